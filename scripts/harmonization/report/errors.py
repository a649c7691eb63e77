"""Figure: what every method predicts in one slice, and its error."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from harmonization.report.style import show


def draw_errors(slices: dict[str, dict[str, np.ndarray]], title: str) -> Figure:
    """Draw prediction and error of every method in one slice, all on the same scales.

    Parameters
    ----------
    slices : dict of str to dict
        By label of the method: what `evaluation.Scoring.slice` returns.
    title : str
    """
    figure, axes = plt.subplots(
        2,
        len(slices) + 1,
        figsize=(1.5 * (len(slices) + 1), 4.2),
        squeeze=False,
        layout="constrained",
    )
    target = next(iter(slices.values()))["target"]
    top = float(np.quantile(target[target > 0], 0.995))
    show(axes[0, 0], target, cmap="gray", vmin=0, vmax=top)
    axes[0, 0].set_title("Measured", fontsize=8)
    axes[1, 0].set_axis_off()
    # The method noise would stretch the scale until no other method's error shows.
    typical = [np.quantile(s["error"][s["mask"] > 0], 0.98) for s in slices.values()]
    worst = float(np.median(typical))
    for (upper, lower), (label, arrays) in zip(axes.T[1:], slices.items(), strict=True):
        inside = arrays["mask"] > 0
        show(upper, np.where(inside, arrays["prediction"], 0), cmap="gray", vmin=0, vmax=top)
        error = np.where(inside, arrays["error"], np.nan)
        shown = show(lower, error, cmap="magma", vmin=0, vmax=worst)
        upper.set_title(label, fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("coefficient l=0", fontsize=8)
    axes[1, 1].set_ylabel("error", fontsize=8)
    figure.colorbar(shown, ax=axes[1], shrink=0.8, label="rms error / SD")
    figure.suptitle(title, fontsize=10)
    return figure
