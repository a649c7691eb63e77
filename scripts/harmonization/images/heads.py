"""Scans as registration sees them."""

from dataclasses import dataclass

import numpy as np

from harmonization.images.grids import canonical


@dataclass(frozen=True)
class Head:
    """One scan, as registration sees it; see `head`.

    Parameters
    ----------
    image : ndarray, shape (x, y, z)
        Mean b=0 image.
    affine : ndarray, shape (4, 4)
        Voxel to world, mm.
    brain : ndarray of bool, shape (x, y, z)
    field : ndarray, shape (x, y, z, 3, 3), or None
        Fibre orientations, see `directions.orientation_field`; None if the scan shows none.
    table_axes : ndarray, shape (3, 3)
        Rotation from the axes of the scan's bvec table to world axes.
    """

    image: np.ndarray
    affine: np.ndarray
    brain: np.ndarray
    field: np.ndarray | None
    table_axes: np.ndarray


def head(
    image: np.ndarray,
    affine: np.ndarray,
    brain: np.ndarray,
    field: np.ndarray | None = None,
    table_axes: np.ndarray | None = None,
) -> Head:
    """Make a `Head` whose voxels run the same way in every scan, however they are stored.

    An optimiser ends elsewhere if voxels come in another order, by up to a millimetre.
    """
    reordered, moved = canonical(image, affine)
    return Head(
        reordered,
        moved,
        canonical(brain > 0, affine)[0],
        None if field is None else canonical(field, affine)[0],
        np.eye(3) if table_axes is None else table_axes,
    )
