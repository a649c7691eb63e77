"""Values of images between their voxels."""

import numpy as np
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
