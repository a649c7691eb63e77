"""Affine registration of a scan to its subject's source scan, and how well it went."""

import warnings

import numpy as np
from dipy.align.imaffine import AffineRegistration, MutualInformationMetric
from dipy.align.transforms import AffineTransform3D, RigidTransform3D, TranslationTransform3D
from scipy.linalg import polar
from scipy.spatial.transform import Rotation

from harmonization.images.grids import in_view, points_of_mask, sample, transform_points

LEVELS = ((3, 2.0, 50), (2, 1.0, 30), (1, 0.0, 15))  # shrinking, smoothing (voxels), iterations
LARGEST_STRETCH = 0.1  # scanners distort a head by a few percent
LARGEST_ROTATION = 30.0  # degrees; heads lie straighter in their coils
SIMILARITY_TOLERANCE = 0.01  # registering already aligned scans may lower similarity a little
BINS, BRIGHTEST = 32, 0.999


def similarity(
    fixed: np.ndarray,
    fixed_affine: np.ndarray,
    moving: np.ndarray,
    moving_affine: np.ndarray,
    transform: np.ndarray,
) -> float:
    """Normalised mutual information (Studholme 1999) of two images of one head.

    Parameters
    ----------
    fixed, moving : ndarray, shape (x, y, z)
    fixed_affine, moving_affine : ndarray, shape (4, 4)
        Voxel to world, millimetres.
    transform : ndarray, shape (4, 4)
        World of `fixed` to world of `moving`.

    Returns
    -------
    float
        1 if one image says nothing about the other, 2 if it says everything; 1 without overlap.
    """
    points = points_of_mask(np.ones(fixed.shape, dtype=bool), fixed_affine)
    points = transform_points(transform, points)
    seen = in_view(moving.shape, moving_affine, points)
    if not seen.any():
        return 1.0
    values = fixed.ravel()[seen], sample(moving, moving_affine, points[seen], order=1)
    # A few bright voxels must not stretch the bins.
    clipped = [np.minimum(v, np.quantile(v, BRIGHTEST)) for v in values]
    joint = np.histogram2d(*clipped, bins=BINS)[0] / seen.sum()
    return float((_entropy(joint.sum(0)) + _entropy(joint.sum(1))) / max(_entropy(joint), 1e-9))


def _entropy(p: np.ndarray) -> float:
    p = p[p > 0]
    return -(p * np.log(p)).sum()


def rotation_of(transform: np.ndarray) -> float:
    """Rotation angle of a `transform` (4, 4), degrees."""
    rotation, _ = polar(transform[:3, :3])
    return float(np.degrees(Rotation.from_matrix(rotation).magnitude()))


def assess(
    fixed: np.ndarray,
    fixed_affine: np.ndarray,
    moving: np.ndarray,
    moving_affine: np.ndarray,
    transform: np.ndarray,
) -> dict[str, float]:
    """Measure what a registration did; the arguments are those of `similarity`.

    Returns
    -------
    dict
        ``similarity_before`` and ``similarity_after``; ``shift`` of the fixed image's centre, mm;
        ``rotation``, degrees; ``stretch``, the largest change of length in any direction (0.03 is
        3 %).
    """
    images = fixed, fixed_affine, moving, moving_affine
    centre = fixed_affine @ [*((np.array(fixed.shape) - 1) / 2), 1]
    lengths = np.linalg.svd(transform[:3, :3], compute_uv=False)
    return {
        "similarity_before": similarity(*images, np.eye(4)),
        "similarity_after": similarity(*images, transform),
        "shift": float(np.linalg.norm((transform @ centre - centre)[:3])),
        "rotation": rotation_of(transform),
        "stretch": float(np.abs(lengths - 1).max()),
    }


def implausible(quality: dict[str, float]) -> str | None:
    """Reason why `quality`, from `assess`, is impossible for two scans of one head, or None."""
    if quality["stretch"] > LARGEST_STRETCH:
        return f"stretches the head by {quality['stretch']:.0%}"
    if quality["rotation"] > LARGEST_ROTATION:
        return f"turns the head by {quality['rotation']:.0f} degrees"
    before, after = quality["similarity_before"], quality["similarity_after"]
    if after < before - SIMILARITY_TOLERANCE:
        return f"makes the scans less alike (similarity {before:.3f} before, {after:.3f} after)"
    return None


def register(
    fixed: np.ndarray,
    fixed_affine: np.ndarray,
    moving: np.ndarray,
    moving_affine: np.ndarray,
    model: str = "affine",
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Align `moving` with `fixed` by mutual information (dipy), coarse to fine.

    Parameters
    ----------
    fixed, moving : ndarray, shape (x, y, z)
        Mean b=0 images.
    fixed_affine, moving_affine : ndarray, shape (4, 4)
        Voxel to world, millimetres.
    model : {'rigid', 'affine'}
        Last model to fit, after a translation and, for 'affine', a rigid model.
    mask : ndarray of bool, shape (x, y, z), optional
        Part of `fixed` to compare, all of which `moving` must reach; by default what both reach.

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
    # Use all voxels: dipy's random sampling would make the transform depend on a seed.
    engine = AffineRegistration(
        metric=MutualInformationMetric(nbins=32),
        level_iters=iterations,
        sigmas=sigmas,
        factors=factors,
        verbosity=0,
    )
    # Where only one scan reaches, there is nothing to compare. A mask must be compared in full:
    # otherwise, turning it out of view would leave only the few voxels that fit best.
    if mask is None:
        masks = {"moving_mask": np.ones(moving.shape, dtype=np.int32)}
    else:
        masks = {"static_mask": mask.astype(np.int32)}
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
                **masks,
            ).affine
    return transform
