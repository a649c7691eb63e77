"""Figure: which patches a fold learns from, and what a network sees of one and predicts."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from harmonization.learning.lattice import BORDER
from harmonization.learning.manifest import Fold
from harmonization.report.style import MM, OUTLINE, PRINT, plt, printed, show

WINDOW = {"ls": "--", "lw": 0.9}


def choose_patch(patches: np.ndarray) -> np.ndarray:
    """The patch nearest to the middle of those in the slice of the lattice with the most of them.

    Parameters
    ----------
    patches : ndarray of int, shape (n, 3)
        Positions in the lattice.
    """
    slices, counts = np.unique(patches[:, 2], return_counts=True)
    together = patches[patches[:, 2] == slices[counts.argmax()]]
    distances = np.linalg.norm(together - together.mean(axis=0), axis=1)
    return together[distances.argmin()]


@printed
def draw_patches(fold: Fold, subject: str, targets: list[str]) -> Figure:
    """Draw the coefficient l=0 of a subject on every platform with its patches, and one of them.

    Parameters
    ----------
    fold : Fold
    subject : str
        Of the training or validation subjects.
    targets : list of str
        In order.
    """
    patches, core = fold.patches(subject), fold.lattice.core
    chosen = choose_patch(patches)
    beside = patches[patches[:, 2] == chosen[2]]
    platforms = {fold.source: 1} | {target: fold.scales[target] for target in targets}
    figure, axes = plt.subplots(
        2,
        len(platforms),
        figsize=(PRINT * MM, (10 + 2 * PRINT / len(platforms)) * MM),
        squeeze=False,
        layout="constrained",
    )
    for column, (platform, r) in zip(axes.T, platforms.items(), strict=True):
        image = fold.image(subject, platform)[..., 0]
        plane = image[:, :, min(r * (chosen[2] * core + core // 2), image.shape[2] - 1)]
        size, corner = r * core, r * core * chosen[:2]
        border = BORDER if platform == fold.source else 0
        shades = {"cmap": "gray", "vmin": 0, "vmax": np.percentile(plane, 99.5)}
        show(column[0], plane, **shades)
        show(column[1], plane, **shades)
        for x, y in r * core * beside[:, :2]:
            _frame(column[0], (x, y), size, color="white", lw=0.3)
        _frame(column[0], corner, size, color=OUTLINE, lw=1.2)
        _frame(column[1], corner, size, color=OUTLINE, lw=1.2)
        if border:
            for axis in column:
                _frame(axis, corner - border, size + 2 * border, color=OUTLINE, **WINDOW)
        # As much of the brain in every panel, a voxel more than the network sees.
        reach = r * (BORDER + 1)
        column[1].set_xlim(corner[0] - reach - 0.5, corner[0] + size + reach - 0.5)
        column[1].set_ylim(corner[1] - reach - 0.5, corner[1] + size + reach - 0.5)
        column[0].set_title(f"{platform} (source)" if border else f"{platform} (r={r})")
        edge, what = (fold.lattice.window, "seen") if border else (size, "predicted")
        column[1].set_xlabel(f"{edge} × {edge} × {edge} voxels {what}")
        for axis in column:
            axis.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel(f"l=0, {len(beside)} of {len(patches)} patches")
    axes[1, 0].set_ylabel("one patch")
    return figure


def _frame(axis: Axes, corner: np.ndarray, size: int, **style: object) -> None:
    """Frame a square of voxels whose first is `corner`."""
    x, y = np.asarray(corner) - 0.5
    axis.add_patch(Rectangle((x, y), size, size, fill=False, **style))
