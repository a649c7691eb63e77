"""Affine registration of a scan to its subject's source scan."""

import warnings

import numpy as np
from dipy.align.imaffine import AffineRegistration, MutualInformationMetric
from dipy.align.transforms import AffineTransform3D, RigidTransform3D, TranslationTransform3D
from scipy.linalg import polar
from scipy.spatial.transform import Rotation

LEVELS = ((3, 2.0, 50), (2, 1.0, 30), (1, 0.0, 15))  # shrinking, smoothing (voxels), iterations
LARGEST_STRETCH = 0.1  # scanners distort a head by a few percent
LARGEST_ROTATION = 30.0  # degrees; heads lie straighter in their coils


def implausible(transform: np.ndarray) -> str | None:
    """What a transform between two scans of one head cannot be; None if it can be one.

    Parameters
    ----------
    transform : ndarray, shape (4, 4)
    """
    stretch = np.linalg.svd(transform[:3, :3], compute_uv=False)
    if np.abs(stretch - 1).max() > LARGEST_STRETCH:
        return "stretches the head by factors of " + ", ".join(f"{s:.2f}" for s in stretch)
    rotation, _ = polar(transform[:3, :3])
    angle = np.degrees(Rotation.from_matrix(rotation).magnitude())
    if angle > LARGEST_ROTATION:
        return f"turns the head by {angle:.0f} degrees"
    return None


def register(
    fixed: np.ndarray,
    fixed_affine: np.ndarray,
    moving: np.ndarray,
    moving_affine: np.ndarray,
    model: str = "affine",
) -> np.ndarray:
    """Align `moving` with `fixed` by mutual information (dipy), coarse to fine.

    Parameters
    ----------
    fixed, moving : ndarray, shape (x, y, z)
        Mean b=0 images.
    fixed_affine, moving_affine : ndarray, shape (4, 4)
        Voxel to world, millimetres.
    model : {'rigid', 'affine'}
        Last of the transformations fitted one after the other.

    Returns
    -------
    ndarray, shape (4, 4)
        World of `fixed` to world of `moving`, millimetres.
    """
    stages = [TranslationTransform3D(), RigidTransform3D()]
    if model == "affine":
        stages.append(AffineTransform3D())
    # A thin slab must not be shrunk to a single slice, which fits in any rotation.
    levels = [level for level in LEVELS if min(fixed.shape) // level[0] >= 2 or level[0] == 1]
    factors, sigmas, iterations = map(list, zip(*levels, strict=True))
    # All voxels vote: dipy's random sampling would make the transform depend on a seed.
    engine = AffineRegistration(
        metric=MutualInformationMetric(nbins=32),
        level_iters=iterations,
        sigmas=sigmas,
        factors=factors,
        verbosity=0,
    )
    # Where one scan reaches further than the other there is nothing to compare.
    in_field_of_view = np.ones(moving.shape, dtype=np.int32)
    transform = None
    for stage in stages:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            transform = engine.optimize(
                fixed,
                moving,
                stage,
                None,
                static_grid2world=fixed_affine,
                moving_grid2world=moving_affine,
                starting_affine=transform,
                moving_mask=in_field_of_view,
            ).affine
    return transform
