"""Figure: one subject on every platform."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from harmonization.report.orientations import direction_colours
from harmonization.report.style import show


def draw_platforms(columns: dict[str, tuple[np.ndarray, np.ndarray]], subject: str) -> Figure:
    """Draw one subject on every platform.

    Parameters
    ----------
    columns : dict of str to (ndarray, ndarray)
        By platform: a b=0 volume (x, y, z) as acquired, and the coefficients (x, y, z, c) on the
        source grid.
    subject : str
    """
    figure, axes = plt.subplots(
        3, len(columns), figsize=(2.6 * len(columns), 8.6), squeeze=False, layout="constrained"
    )
    for column, (platform, (b0, sh)) in zip(axes.T, columns.items(), strict=True):
        coefficients = sh[:, :, sh.shape[2] // 2]
        show(column[0], b0[:, :, b0.shape[2] // 2], cmap="gray")
        show(column[1], coefficients[..., 0], cmap="gray")
        show(column[2], direction_colours(coefficients))
        column[0].set_title(platform)
    for axis, label in zip(
        axes[:, 0], ("b=0, as acquired", "l=0, on the source grid", "fibre direction"), strict=True
    ):
        axis.set_ylabel(label)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.suptitle(f"Subject {subject} on all platforms")
    return figure
