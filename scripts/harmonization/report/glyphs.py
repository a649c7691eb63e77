"""Figure: fibre orientation distributions of a few voxels, measured and predicted."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from harmonization.report.orientations import amplitudes, direction_colours, plane_directions
from harmonization.report.style import MM, PRINT, mark_sides, outline, show

Slices = dict[str, dict[str, np.ndarray]]


def draw_glyphs(slices: Slices, reference: str, rivals: list[str], title: str) -> Figure:
    """Draw distributions as measured, by the reference, and by the best rival in the slice.

    Parameters
    ----------
    slices : dict of str to dict
        By label of the method: what `slices.cut_slice` returns.
    reference : str
        Label of a method.
    rivals : list of str
        Labels of the methods among which the best is chosen; the reference is none of them.
    title : str
    """
    first = slices[reference]
    panels = {"Measured": (first, "target"), reference: (first, "prediction")}
    if best := best_of(slices, rivals):
        panels[f"{best},\nthe rival with the least error in the slice"] = (
            slices[best],
            "prediction",
        )
    size = glyph_size(first["target_glyphs"], first["axes"])
    figure, axes = plt.subplots(
        1,
        len(panels) + 1,
        figsize=(PRINT * MM, PRINT * MM * 0.34),
        width_ratios=[0.6, *[1] * len(panels)],
        layout="constrained",
    )
    draw_place(axes[0], first)
    for axis, (label, (arrays, image)) in zip(axes[1:], panels.items(), strict=True):
        draw_window(axis, arrays, image, size)
        axis.set_title(label, fontsize=6.5)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize=8)
    return figure


def best_of(slices: Slices, rivals: list[str]) -> str | None:
    """Rival with the least error in the slice, root mean square over its brain; None without one.

    Parameters as in `draw_glyphs`.
    """
    errors = {
        rival: np.square(slices[rival]["error"][slices[rival]["mask"] > 0]).mean()
        for rival in rivals
    }
    return min(errors, key=errors.get) if errors else None


def glyph_size(coefficients: np.ndarray, axes: np.ndarray) -> float:
    """Voxels for each unit of a distribution, so that a fifth fill their voxel, see `glyphs`."""
    highest = amplitudes(coefficients, plane_directions(axes)).max(axis=-1)
    return 0.5 / max(float(np.quantile(highest, 0.8)), 1e-9)


def glyphs(coefficients: np.ndarray, axes: np.ndarray, size: float) -> np.ndarray:
    """Outlines of distributions in the plane of a slice.

    Parameters
    ----------
    coefficients : ndarray, shape (i, j, c)
    axes : ndarray, shape (2, 3)
        World vectors of a step along each axis of the slice.
    size : float
        Voxels for each unit of a distribution.

    Returns
    -------
    ndarray, shape (i, j, n, 2)
        Voxels; the first is at (0, 0).
    """
    directions = plane_directions(axes)
    unit = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    radii = size * amplitudes(coefficients, directions)
    centres = np.moveaxis(np.indices(coefficients.shape[:2]), 0, -1)
    return centres[:, :, None] + radii[..., None] * (directions @ unit.T)


def draw_place(axis: Axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw the measured slice with the place of the window."""
    steps = np.linalg.norm(arrays["axes"], axis=1)
    show(axis, arrays["target"], cmap="gray", aspect=steps[1] / steps[0])
    outline(axis, arrays["lesion"])
    mark_sides(axis, 6.5)
    edges = arrays["target_glyphs"].shape[:2]
    axis.add_patch(plt.Rectangle(arrays["corner"] - 0.5, *edges, fill=False, color="#ffb000", lw=1))
    axis.set_title("Place", fontsize=6.5)


def draw_window(axis: Axes, arrays: dict[str, np.ndarray], image: str, size: float) -> None:
    """Draw the distributions of the target or a prediction over its coefficient l=0."""
    coefficients = arrays[f"{image}_glyphs"]
    edges = coefficients.shape[:2]
    x, y = arrays["corner"]
    window = (slice(x, x + edges[0]), slice(y, y + edges[1]))
    steps = np.linalg.norm(arrays["axes"], axis=1)
    # Dark, for the glyphs to stand out.
    top = 2 * float(np.quantile(arrays["target"], 0.995))
    grey = np.where(arrays["mask"] > 0, arrays[image], 0)[window]
    show(axis, grey, cmap="gray", vmin=0, vmax=top, aspect=steps[1] / steps[0])
    colours = direction_colours(coefficients).reshape(-1, 3)
    hues = colours / np.maximum(colours.max(axis=1, keepdims=True), 1e-9)
    shapes = glyphs(coefficients, arrays["axes"], size)
    axis.add_collection(
        PolyCollection(
            list(shapes.reshape(-1, *shapes.shape[2:])), facecolor=hues, edgecolor="none"
        )
    )
    outline(axis, arrays["lesion"][window])
    axis.set(xlim=(-0.5, edges[0] - 0.5), ylim=(-0.5, edges[1] - 0.5))
