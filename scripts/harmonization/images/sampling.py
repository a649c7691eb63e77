"""Values of images between their voxels."""

import numpy as np
from scipy.ndimage import map_coordinates

from harmonization.images.grids import voxel_index


def sample(image: np.ndarray, affine: np.ndarray, points: np.ndarray, order: int) -> np.ndarray:
    """Values of `image` at world `points` (n, 3), by splines of `order`; check with `in_view`."""
    return map_coordinates(image, voxel_index(affine, points), order=order, mode="nearest")
