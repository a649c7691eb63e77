"""Main peaks of functions on the sphere, such as fibre orientation distributions."""

from functools import cache

import numpy as np

from harmonization.images.coefficients import order_of
from harmonization.images.spheres import half_sphere
from harmonization.images.spherical_harmonics import harmonics

NEIGHBOURS = 7  # directions that a quadratic of six unknowns goes through, its own included
TOGETHER = 4096  # voxels at once: their values in all directions then fit into a processor's cache


def main_peaks(coefficients: np.ndarray) -> np.ndarray:
    """Direction in which each function is largest.

    It is sought in 362 evenly spread directions, 8 degrees apart, and then at the top of a
    quadratic through the values around the largest, which for distributions of order 6 is 0.1
    degrees beside the peak or less, as a rule.

    Parameters
    ----------
    coefficients : ndarray, shape (n, c)

    Returns
    -------
    ndarray, shape (n, 3)
        Unit vectors; the opposite of each is the same peak.
    """
    peaks = np.empty((len(coefficients), 3))
    for start in range(0, len(coefficients), TOGETHER):
        some = slice(start, start + TOGETHER)
        peaks[some] = _peaks(coefficients[some].astype(np.float32))
    return peaks


def angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angles (n,) between axes, unit vectors (n, 3) without a sign; degrees, at most 90."""
    # Not the arc cosine, which is off by hundredths of a degree for nearly equal axes.
    sines = np.linalg.norm(np.cross(first, second), axis=-1)
    return np.degrees(np.arctan2(sines, np.abs((first * second).sum(axis=-1))))


def _peaks(coefficients: np.ndarray) -> np.ndarray:
    basis, near, fits, frames = _tables(order_of(coefficients.shape[1]))
    values = coefficients @ basis
    top = values.argmax(axis=1)
    around = np.take_along_axis(values, near[top], axis=1)
    _, u, v, uu, uv, vv = np.einsum("nij,nj->in", fits[top], around)
    # Where its gradient is 0; but for flat functions, that is within one distance of neighbours.
    determinant = uu * vv - uv**2
    curved = (determinant > 0) & (uu < 0)
    safe = np.where(curved, determinant, 1)
    across, along = ((uv * v - vv * u) / safe, (uv * u - uu * v) / safe)
    inside = curved & (across**2 + along**2 < np.tan(np.radians(8.0)) ** 2)
    frame = frames[top]
    offset = np.where(inside, [across, along], 0).T
    found = frame[:, 2] + np.einsum("ni,nij->nj", offset, frame[:, :2])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@cache
def _tables(order: int) -> tuple[np.ndarray, ...]:
    """What all voxels share: the basis, and for each direction its neighbours and their quadratic.

    Returns
    -------
    basis : ndarray of float32, shape (c, d)
    near : ndarray of int, shape (d, NEIGHBOURS)
    fits : ndarray of float32, shape (d, 6, NEIGHBOURS)
        From values to value, gradient and second derivatives (uu, uv, vv) in the tangent plane.
    frames : ndarray, shape (d, 3, 3)
        Axes u and v of the tangent plane, and the direction itself.
    """
    directions = half_sphere("repulsion724")
    cosines = directions @ directions.T
    near = np.argsort(-np.abs(cosines), axis=1)[:, :NEIGHBOURS]
    frames = np.stack([np.linalg.svd(d[None])[2][[1, 2, 0]] for d in directions])
    frames[:, 2] = directions
    local = np.einsum("dij,dkj->dki", frames, directions[near])
    u, v = np.moveaxis(local[..., :2] / local[..., 2:], -1, 0)  # of axes: a sign cancels
    design = np.stack([np.ones_like(u), u, v, u**2 / 2, u * v, v**2 / 2], axis=-1)
    fits = np.linalg.pinv(design).astype(np.float32)
    return harmonics(directions, order).T.astype(np.float32), near, fits, frames
