"""Figure: one subject on every platform."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from harmonization.images.coefficients import order_of
from harmonization.images.spheres import sphere
from harmonization.images.spherical_harmonics import harmonics
from harmonization.report.style import show


def direction_colours(coefficients: np.ndarray) -> np.ndarray:
    """Colour of the mean fibre direction: red left-right, green front-back, blue up-down.

    Parameters
    ----------
    coefficients : ndarray, shape (x, y, c)
        Fibre orientation distributions or signals.

    Returns
    -------
    ndarray, shape (x, y, 3), between 0 and 1
        Brightness grows with anisotropy.
    """
    directions = sphere("repulsion100")
    basis = harmonics(directions, order_of(coefficients.shape[-1]))
    amplitudes = np.maximum(coefficients @ basis.T, 0)
    anisotropic = amplitudes - amplitudes.min(axis=-1, keepdims=True)
    colours = anisotropic @ np.abs(directions)
    colours = colours - colours.min(axis=-1, keepdims=True)
    return np.clip(colours / max(np.quantile(colours, 0.995), 1e-9), 0, 1)


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
        column[2].imshow(direction_colours(coefficients).transpose(1, 0, 2), origin="lower")
        column[0].set_title(platform)
    for axis, label in zip(
        axes[:, 0], ("b=0, as acquired", "l=0, on the source grid", "fibre direction"), strict=True
    ):
        axis.set_ylabel(label)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.suptitle(f"Subject {subject} on all platforms")
    return figure
