"""Values of images between their voxels."""

import numpy as np
from numba import njit
from scipy.ndimage import map_coordinates, spline_filter

from harmonization.images.grids import voxel_index

# Voxels that extend an image for cubic splines, as in scipy: what lies beyond hardly counts.
MARGIN = 12
TOGETHER = 32  # volumes that are sampled at once: more take memory, fewer take time


def sample(image: np.ndarray, affine: np.ndarray, points: np.ndarray, order: int) -> np.ndarray:
    """Values of `image` at world `points` (n, 3), by splines of `order`; check with `in_view`."""
    return map_coordinates(image, voxel_index(affine, points), order=order, mode="nearest")


def sample_volumes(
    series: np.ndarray, volumes: np.ndarray, affine: np.ndarray, points: np.ndarray, order: int
) -> np.ndarray:
    """Values (n, v) of v `volumes` of a `series` (x, y, z, all volumes); see `sample`."""
    index = voxel_index(affine, points)
    if order == 0:
        last = np.array(series.shape[:3])[:, None] - 1
        nearest = np.clip(np.floor(index + 0.5), 0, last).astype(int)
        return series[(*nearest[:, :, None], volumes)]
    values = np.empty((len(points), len(volumes)), dtype=np.float32)
    for start in range(0, len(volumes), TOGETHER):
        some = slice(start, start + TOGETHER)
        maps = series[..., volumes[some]]
        values[:, some] = sample_maps(maps, index) if order == 1 else _sample_cubic(maps, index)
    return values


def _sample_cubic(maps: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Values of several maps at once, by cubic splines; parameters as of `sample_maps`."""
    edges = np.array(maps.shape[:3]) + 2 * MARGIN
    coefficients = np.empty((*edges, maps.shape[3]), dtype=np.float32)
    for channel in range(maps.shape[3]):
        wide = np.pad(maps[..., channel], MARGIN, mode="edge")
        coefficients[..., channel] = spline_filter(wide, order=3, output=np.float32)
    values = np.empty((index.shape[1], maps.shape[3]), dtype=np.float32)
    _cubic(coefficients, index + MARGIN, values)
    return values


def sample_maps(maps: np.ndarray, index: np.ndarray, periodic: bool = False) -> np.ndarray:
    """Values of several maps at once, linear between their nodes.

    Compiled, because the phantom has tens of maps at millions of points and a scan tens of volumes,
    and scipy takes each by itself.

    Parameters
    ----------
    maps : ndarray of float32, shape (x, y, z, c)
    index : ndarray, shape (3, n)
        Places in units of nodes.
    periodic : bool
        Whether the maps repeat, instead of ending with their last node's value.

    Returns
    -------
    ndarray of float32, shape (n, c)
    """
    values = np.empty((index.shape[1], maps.shape[3]), dtype=np.float32)
    _trilinear(np.ascontiguousarray(maps), np.ascontiguousarray(index), periodic, values)
    return values


@njit(cache=True, error_model="numpy")
def _trilinear(maps: np.ndarray, index: np.ndarray, periodic: bool, values: np.ndarray) -> None:
    """Fill `values` (n, c), see `sample_maps`."""
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    share = np.empty(3, np.float32)
    for point in range(index.shape[1]):
        for axis in range(3):
            size = maps.shape[axis]
            place = index[axis, point]
            if not periodic:
                place = min(max(place, 0.0), size - 1.0)
            first = np.floor(place)
            share[axis] = place - first
            low[axis] = int(first) % size
            high[axis] = (low[axis] + 1) % size if periodic else min(low[axis] + 1, size - 1)
        for channel in range(maps.shape[3]):
            values[point, channel] = 0
        for corner in range(8):
            weight = np.float32(1)
            x, y, z = low
            if corner & 1:
                x, weight = high[0], weight * share[0]
            else:
                weight *= 1 - share[0]
            if corner & 2:
                y, weight = high[1], weight * share[1]
            else:
                weight *= 1 - share[1]
            if corner & 4:
                z, weight = high[2], weight * share[2]
            else:
                weight *= 1 - share[2]
            if weight > 0:
                for channel in range(maps.shape[3]):
                    values[point, channel] += weight * maps[x, y, z, channel]


@njit(cache=True, error_model="numpy")
def _cubic(coefficients: np.ndarray, index: np.ndarray, values: np.ndarray) -> None:
    """Fill `values` (n, c) from the coefficients of cubic splines at places within the margin."""
    first = np.empty(3, np.int64)
    weights = np.empty((3, 4), np.float32)
    for point in range(index.shape[1]):
        for axis in range(3):
            place = min(max(index[axis, point], 1.0), coefficients.shape[axis] - 3.0)
            first[axis] = int(place) - 1
            low = place - int(place)
            high = 1 - low
            weights[axis, 0] = high**3 / 6
            weights[axis, 1] = 2 / 3 + low**2 * (low / 2 - 1)
            weights[axis, 2] = 2 / 3 + high**2 * (high / 2 - 1)
            weights[axis, 3] = low**3 / 6
        for channel in range(coefficients.shape[3]):
            values[point, channel] = 0
        for x in range(4):
            for y in range(4):
                for z in range(4):
                    weight = weights[0, x] * weights[1, y] * weights[2, z]
                    node = coefficients[first[0] + x, first[1] + y, first[2] + z]
                    for channel in range(coefficients.shape[3]):
                        values[point, channel] += weight * node[channel]
