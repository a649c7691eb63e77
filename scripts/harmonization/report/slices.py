"""The slice of a prediction that figures show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from harmonization.images.coefficients import normalise, order_of, rish
from harmonization.images.grids import canonical
from harmonization.report.orientations import crossing, direction_colours
from harmonization.report.scores import TISSUES, Scoring

# Edge of the window that is shown as glyphs: mm, and most voxels, for each to be legible.
WINDOW, MOST = 26, 16
LESION = next(label for label, name in TISSUES.items() if name == "lesion")


def cut_slice(
    prediction: np.ndarray,
    target: np.ndarray,
    affine: np.ndarray,
    scoring: Scoring,
    brain: np.ndarray,
    tissue: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Cut the axial slice that figures show out of a prediction, to the box of its brain.

    The slice depends on the target alone, so it is the same for every method. Its first axis runs
    to the right and its second to the front, however the images are stored.

    Parameters
    ----------
    prediction, target : ndarray, shape (x, y, z, c)
        Raw coefficients.
    affine : ndarray, shape (4, 4)
        Voxel to world of both, mm.
    scoring : Scoring
        Its mask says where the prediction is scored.
    brain : ndarray, shape (x, y, z)
        Brain of the target.
    tissue : ndarray, shape (x, y, z), optional
        Labels as in `TISSUES`.

    Returns
    -------
    dict of ndarray
        ``prediction`` and ``target``: coefficient l=0, raw, (x, y); ``<image>_energy``: root of the
        energy of order 2; ``<image>_colours``: colour of the fibre direction, uint8, (x, y, 3), as
        bright as the target's; ``<image>_glyphs``: coefficients of the window of glyphs (i, j, c).
        ``error``: root mean square over the normalised coefficients, (x, y); ``mask`` and
        ``lesion``: uint8, (x, y); ``corner``: first voxel of the window (2,); ``axes``: world
        vectors of a step along each axis, mm, (2, 3). Numbers are float32.
    """
    lesion = np.zeros(brain.shape, bool) if tissue is None else (tissue == LESION) & (brain > 0)
    volumes = {
        "prediction": prediction,
        "target": target,
        "mask": scoring.mask > 0,
        "brain": brain > 0,
        "scored": replace(scoring, mask=brain).scored,
        "lesion": lesion,
    }
    turned = {name: canonical(volume, affine)[0] for name, volume in volumes.items()}
    axes = canonical(brain, affine)[1][:3, :2].T
    z = choose_slice(turned["scored"], turned["lesion"], scoring.scale)
    box = _box(turned["brain"][:, :, z])
    shown = {name: volume[:, :, z][box] for name, volume in turned.items()}
    edge = min(round(WINDOW / np.linalg.norm(axes, axis=1).mean()), MOST)
    corner = choose_window(shown["target"], shown["lesion"], shown["brain"], axes, edge)
    window = tuple(slice(first, first + edge) for first in corner)
    images = {name: shown[name] for name in ("prediction", "target")}
    normalised = [normalise(image, scoring.statistics) for image in images.values()]
    difference = normalised[0] - normalised[1]
    maps = {"error": np.sqrt((difference**2).mean(axis=-1)), "axes": axes}
    for name, image in images.items():
        maps |= {
            name: image[..., 0],
            f"{name}_energy": np.sqrt(rish(image, order_of(image.shape[-1]))[..., 1]),
            f"{name}_glyphs": image[window],
        }
    colours = {
        f"{name}_colours": np.round(255 * direction_colours(image, shown["target"])).astype(
            np.uint8
        )
        for name, image in images.items()
    }
    flags = {name: shown[name].astype(np.uint8) for name in ("mask", "lesion")}
    numbers = {name: values.astype(np.float32) for name, values in maps.items()}
    return {**numbers, **colours, **flags, "corner": np.array(corner)}


def choose_slice(scored: np.ndarray, lesion: np.ndarray, margin: int) -> int:
    """Axial slice with the most lesion, or with the most scored brain if there is no lesion.

    The outermost slices of the scored brain are no choice if others are left: at the edge of a
    slab, scans of other sessions end.

    Parameters
    ----------
    scored, lesion : ndarray of bool, shape (x, y, z)
    margin : int
        Number of outermost slices at each end.
    """
    inside = np.flatnonzero(scored.any(axis=(0, 1)))
    inside = inside[margin:-margin] if len(inside) > 2 * margin else inside
    for wanted in (lesion & scored, scored):
        voxels = wanted.sum(axis=(0, 1))[inside]
        if voxels.any():
            best = inside[voxels == voxels.max()]
            return int(best[len(best) // 2])
    return scored.shape[2] // 2


def choose_window(
    coefficients: np.ndarray, lesion: np.ndarray, mask: np.ndarray, axes: np.ndarray, edge: int
) -> tuple[int, int]:
    """Corner of the window whose glyphs are shown: around a lesion, or else where fibres cross.

    Parameters
    ----------
    coefficients : ndarray, shape (x, y, c)
    lesion, mask : ndarray of bool, shape (x, y)
    axes : ndarray, shape (2, 3)
        World vectors of a step along each axis.
    edge : int
        Of the window, voxels.
    """
    if lesion.any():
        # Smoothed, for the lesion to come to the middle: a window may be larger than it.
        return richest_window(gaussian_filter(lesion.astype(float), edge / 4), edge)
    return richest_window(np.where(mask, crossing(coefficients, axes), 0), edge)


def richest_window(values: np.ndarray, edge: int) -> tuple[int, int]:
    """Corner of the window of `edge` x `edge` pixels with the largest sum of `values` (x, y)."""
    edges = [min(edge, n) for n in values.shape]
    sums = np.lib.stride_tricks.sliding_window_view(values, edges).sum(axis=(2, 3))
    x, y = np.unravel_index(sums.argmax(), sums.shape)
    return int(x), int(y)


def _box(brain: np.ndarray) -> tuple[slice, slice]:
    """Smallest box of the brain in a slice (x, y), one voxel wider where there is room."""
    sides = []
    for axis in (1, 0):
        inside = np.flatnonzero(brain.any(axis=axis))
        sides.append(slice(max(int(inside[0]) - 1, 0), int(inside[-1]) + 2))
    return tuple(sides)


def read_slices(labels: list[str], paths: list[Path]) -> dict[str, dict[str, np.ndarray]]:
    """Read the slices of methods, by label."""
    slices = {}
    for label, path in zip(labels, paths, strict=True):
        with np.load(path, allow_pickle=False) as arrays:
            slices[label] = dict(arrays)
    return slices
