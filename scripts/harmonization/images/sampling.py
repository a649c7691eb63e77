"""Values of images between their voxels."""

import numpy as np
from numba import njit
from scipy.ndimage import map_coordinates

from harmonization.images.grids import voxel_index


def sample(image: np.ndarray, affine: np.ndarray, points: np.ndarray, order: int) -> np.ndarray:
    """Values of `image` at world `points` (n, 3), by splines of `order`; check with `in_view`."""
    return map_coordinates(image, voxel_index(affine, points), order=order, mode="nearest")


def sample_volumes(
    series: np.ndarray, volumes: np.ndarray, affine: np.ndarray, points: np.ndarray, order: int
) -> np.ndarray:
    """Values (n, v) of v `volumes` of a `series` (x, y, z, all volumes); see `sample`."""
    index = voxel_index(affine, points)
    values = np.empty((len(points), len(volumes)), dtype=series.dtype)
    for column, volume in enumerate(volumes):
        image = series[..., volume]
        map_coordinates(image, index, output=values[:, column], order=order, mode="nearest")
    return values


def sample_maps(maps: np.ndarray, index: np.ndarray, periodic: bool = False) -> np.ndarray:
    """Values of several maps at once, linear between their nodes.

    Compiled, because the phantom samples tens of maps at millions of points, and scipy takes each
    map by itself.

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
