"""Affine registration of a scan to its subject's source scan."""

import warnings

import numpy as np
from dipy.align.imaffine import AffineRegistration, MutualInformationMetric
from dipy.align.transforms import AffineTransform3D, RigidTransform3D, TranslationTransform3D


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
    # All voxels vote: dipy's random sampling would make the transform depend on a seed.
    engine = AffineRegistration(
        metric=MutualInformationMetric(nbins=32),
        level_iters=[50, 30, 15],
        sigmas=[2.0, 1.0, 0.0],
        factors=[3, 2, 1],
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
