"""A common space for several heads: a template of a fold, and warps between it and each head.

All is in voxels: the scans of one platform have voxels of one size. What is registered is the first
coefficient of the spherical harmonics, which every scan has.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from dipy.align.imaffine import (
    AffineMap,
    AffineRegistration,
    MutualInformationMetric,
    transform_centers_of_mass,
)
from dipy.align.imwarp import SymmetricDiffeomorphicRegistration
from dipy.align.metrics import CCMetric
from dipy.align.transforms import AffineTransform3D, RigidTransform3D
from scipy.ndimage import map_coordinates

AFFINE_LEVELS = {"level_iters": [50, 20], "sigmas": [2.0, 0.0], "factors": [2, 1]}
BINS = 32
RADIUS = 2  # voxels, of the window in which two images are correlated
WARP_LEVELS = (20, 20, 10)  # iterations from coarse to fine; thin slabs have fewer levels
ROUNDS = 2  # of registering all heads to their mean
OUTSIDE = -1.0  # coordinate of what lies outside of the other grid


@dataclass(frozen=True)
class Warp:
    """Where each voxel of two grids lies on the other grid.

    Parameters
    ----------
    to_head : ndarray, shape (x, y, z, 3)
        Voxel coordinates in the head of each voxel of the template; `OUTSIDE` where it has none.
    to_template : ndarray, shape (x', y', z', 3)
        Voxel coordinates in the template of each voxel of the head.
    """

    to_head: np.ndarray
    to_template: np.ndarray


def pull(image: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Sample an image linearly; NaN where the coordinates are `OUTSIDE`.

    Parameters
    ----------
    image : ndarray, shape (x, y, z, n)
    coordinates : ndarray, shape (x', y', z', 3)

    Returns
    -------
    ndarray of float32, shape (x', y', z', n)
    """
    places = np.moveaxis(coordinates, -1, 0)
    channels = [
        map_coordinates(channel, places, order=1, mode="constant", cval=np.nan)
        for channel in np.moveaxis(image.astype(np.float32), -1, 0)
    ]
    return np.stack(channels, axis=-1)


def brightness(coefficients: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What is registered: the first coefficient in the brain, whose mean there is 1, float64."""
    inside = np.where(mask > 0, coefficients[..., 0], 0).astype(np.float64)
    return inside / inside[mask > 0].mean()


def build_template(heads: list[np.ndarray]) -> np.ndarray:
    """Mean of several heads, each registered to it.

    The first head gives the grid; its own shape is undone by the rounds after the first, each of
    which registers all heads to the mean of the round before.

    Parameters
    ----------
    heads : list of ndarray, shape (x, y, z)
        As from `brightness`.

    Returns
    -------
    ndarray of float32, shape (x, y, z)
    """
    template = heads[0]
    for _ in range(ROUNDS):
        moved = [
            pull(head[..., None], warp_to_template(template, head).to_head)[..., 0]
            for head in heads
        ]
        # A voxel that a head does not reach is the mean of the others; one that none reaches, 0.
        reached = np.isfinite(moved)
        template = np.nansum(moved, axis=0) / np.maximum(reached.sum(axis=0), 1)
    return template.astype(np.float32)


def warp_to_template(template: np.ndarray, head: np.ndarray) -> Warp:
    """Register a head to the template: rigid, affine, then SyN (Avants 2008) by dipy.

    Parameters
    ----------
    template, head : ndarray, shape (x, y, z) and (x', y', z')
        As from `brightness`.

    Returns
    -------
    Warp
    """
    # In one layout, because sums depend on it, and images from files have another than new ones.
    template, head = (image.astype(np.float64, order="C") for image in (template, head))
    world = np.eye(4)
    affine = _affine(template, head, world)
    levels = WARP_LEVELS[-_levels(min(*template.shape, *head.shape)) :]
    syn = SymmetricDiffeomorphicRegistration(CCMetric(3, radius=RADIUS), level_iters=list(levels))
    found = syn.optimize(
        template, head, static_grid2world=world, moving_grid2world=world, prealign=affine
    )
    return Warp(
        _coordinates(head.shape, found.transform),
        _coordinates(template.shape, found.transform_inverse),
    )


def _affine(template: np.ndarray, head: np.ndarray, world: np.ndarray) -> np.ndarray:
    start: AffineMap = transform_centers_of_mass(template, world, head, world)
    program = AffineRegistration(
        metric=MutualInformationMetric(nbins=BINS), verbosity=0, **AFFINE_LEVELS
    )
    matrix = start.affine
    for kind in (RigidTransform3D(), AffineTransform3D()):
        found = program.optimize(
            template,
            head,
            kind,
            None,
            static_grid2world=world,
            moving_grid2world=world,
            starting_affine=matrix,
        )
        matrix = found.affine
    return matrix


def _levels(edge: int) -> int:
    """How many times an edge can be halved so that a window of `RADIUS` still fits."""
    levels = 1
    while levels < len(WARP_LEVELS) and edge // 2**levels > 2 * RADIUS + 1:
        levels += 1
    return levels


def _coordinates(shape: tuple[int, ...], transform: Callable[..., np.ndarray]) -> np.ndarray:
    """Coordinates on a grid of this shape of each voxel of the grid that `transform` gives."""
    grid = np.indices(shape, dtype=np.float64)
    moved = np.stack([transform(axis, interpolation="linear") for axis in grid], axis=-1)
    inside = transform(np.ones(shape), interpolation="linear") > 1 - 1e-6
    return np.where(inside[..., None], moved, OUTSIDE).astype(np.float32)
