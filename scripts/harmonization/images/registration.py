"""Affine registration of a scan to its subject's source scan, and how well it went."""

import warnings
from collections.abc import Callable

import numpy as np
from dipy.align.imaffine import AffineRegistration, MutualInformationMetric
from dipy.align.transforms import (
    AffineTransform3D,
    RigidTransform3D,
    Transform,
    TranslationTransform3D,
)
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from harmonization.images.directions import READINGS, agreement, name_of
from harmonization.images.grids import (
    bounding_box,
    cut,
    in_view,
    points_of_mask,
    rotation_in,
    transform_points,
)
from harmonization.images.heads import Head
from harmonization.images.sampling import sample

LEVELS = ((3, 2.0, 50), (2, 1.0, 30), (1, 0.0, 15))  # shrinking, smoothing (voxels), iterations
RADIUS = 50.0  # mm, of a head: a turn by one radian moves its rim by about as much
# The least gain of mutual information worth a step, and the trials for a step.
# Close to its maximum it is too rough to climb; with three trials, some got stuck on the way.
PATIENCE = {"ftol": 1e-4, "maxls": 8}
# Slices that a level must keep: one alone fits in any rotation, a few mislead about stretches.
FEWEST_SLICES, FEWEST_TO_STRETCH = 2, 8
LEVELS_WITHIN = (*LEVELS[:2], (1, 0.0, 5))  # volumes of a scan lie close to each other
LARGEST_STRETCH = 0.1  # scanners distort a head by a few percent
LARGEST_ROTATION = 30.0  # degrees; heads lie straighter in their coils
SIMILARITY_TOLERANCE = 0.01  # registering already aligned scans may lower similarity a little
SMALL_MOVE = 0.1  # mm and degrees; not a failure, however much it costs scans that were equal
SMALLEST_OVERLAP = 0.7  # of the smaller brain with the other; 0.97 and more between phantom scans
SMALLEST_COVERAGE = 0.3  # of the source's brain; the rest could not be scored
SMALLEST_AGREEMENT = 0.5  # of the fibre orientations; 0.97 between phantom scans
BINS, BRIGHTEST = 32, 0.999
COARSE_SIZE = 24  # voxels; the search for a mirror image skips every other one along longer edges
MIRROR_RANGE, MIRROR_STEPS = 20.0, 150  # mm and degrees; evaluations


def centre(scan: Head) -> np.ndarray:
    """Centre of a brain (3,), world mm."""
    return points_of_mask(scan.brain, scan.affine).mean(axis=0)


def register_heads(
    fixed: Head, moving: Head, model: str, program: Callable[..., np.ndarray]
) -> np.ndarray:
    """Register two scans of one head, even if their headers place it far apart.

    Parameters
    ----------
    fixed, moving : Head
    model : {'rigid', 'affine'}
    program : callable
        `register` or another function with its first five parameters.

    Returns
    -------
    ndarray, shape (4, 4)
        World of `fixed` to world of `moving`, mm.
    """
    shift = np.eye(4)
    if overlaps(fixed, moving, shift)[0] < SMALLEST_OVERLAP:
        shift[:3, 3] = centre(moving) - centre(fixed)
    nearby = np.linalg.inv(shift) @ moving.affine
    return shift @ program(fixed.image, fixed.affine, moving.image, nearby, model)


def overlaps(fixed: Head, moving: Head, transform: np.ndarray) -> tuple[float, float]:
    """Volume that two brains share, as a share of the smaller brain and of the fixed one."""
    points = transform_points(transform, points_of_mask(fixed.brain, fixed.affine))
    seen = in_view(moving.brain.shape, moving.affine, points)
    both = sample(moving.brain.astype(np.uint8), moving.affine, points[seen], order=0).sum()
    voxels = [abs(np.linalg.det(scan.affine[:3, :3])) for scan in (fixed, moving)]
    volumes = [
        scan.brain.sum() * voxel for scan, voxel in zip((fixed, moving), voxels, strict=True)
    ]
    shared = both * voxels[0]
    return float(min(shared / min(volumes), 1)), float(shared / volumes[0])


def mirror_similarity(fixed: Head, moving: Head) -> float:
    """Similarity that the mirror image of the moving scan reaches, left and right exchanged.

    The search starts with the brains' centres aligned, on a coarse grid. Where few voxels of the
    fixed brain are in view they may look alike by chance, so they count by their share.
    """
    reflection = np.diag([-1.0, 1.0, 1.0, 1.0])
    reflection[0, 3] = 2 * centre(moving)[0]
    mirrored = reflection @ moving.affine
    every = tuple(2 if size >= COARSE_SIZE else 1 for size in fixed.image.shape)
    coarse = tuple(slice(None, None, step) for step in every)
    image, affine = fixed.image[coarse], fixed.affine @ np.diag([*every, 1.0])
    brain = points_of_mask(fixed.brain[coarse], affine)
    middle, there = centre(fixed), centre(moving)

    def moved(pose: np.ndarray) -> np.ndarray:
        transform = np.eye(4)
        transform[:3, :3] = Rotation.from_rotvec(np.radians(pose[3:])).as_matrix()
        transform[:3, 3] = there + pose[:3] - transform[:3, :3] @ middle
        return transform

    def dissimilarity(pose: np.ndarray) -> float:
        transform = moved(pose)
        seen = in_view(moving.image.shape, mirrored, transform_points(transform, brain)).mean()
        alike = similarity(image, affine, moving.image, mirrored, transform)
        return float((1 - alike) * seen)

    found = minimize(
        dissimilarity,
        np.zeros(6),
        method="Powell",
        bounds=[(-MIRROR_RANGE, MIRROR_RANGE)] * 6,  # mm, then degrees
        options={"maxfev": MIRROR_STEPS, "xtol": 0.1, "ftol": 1e-3},
    )
    return 1 - float(found.fun)


def fibre_agreement(fixed: Head, moving: Head, transform: np.ndarray) -> np.ndarray | None:
    """Correlation of the fibre orientations of two brains under each of `READINGS`, (24,).

    None if one of the scans shows no orientations where the brains meet.
    """
    if fixed.field is None or moving.field is None:
        return None
    points = transform_points(transform, points_of_mask(fixed.brain, fixed.affine))
    seen = in_view(moving.brain.shape, moving.affine, points)
    seen[seen] = sample(moving.brain.astype(np.uint8), moving.affine, points[seen], 0) > 0
    if seen.sum() < 2:
        return None
    there = points[seen]
    field = np.empty((len(there), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            field[:, i, j] = sample(moving.field[..., i, j], moving.affine, there, 1)
            field[:, j, i] = field[:, i, j]
    if not np.ptp(field) or not np.ptp(fixed.field[fixed.brain][seen]):
        return None
    rotation = rotation_in(transform)
    # The transform turns the fixed scan's world into the moving one's.
    turned = rotation.T @ field @ rotation
    return agreement(fixed.field[fixed.brain][seen], turned, rotation.T @ moving.table_axes)


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
    rotation = rotation_in(transform)
    return float(np.degrees(Rotation.from_matrix(rotation).magnitude()))


def assess(fixed: Head, moving: Head, transform: np.ndarray) -> dict[str, float | str | None]:
    """Measure what a registration did.

    Parameters
    ----------
    fixed, moving : Head
    transform : ndarray, shape (4, 4)
        World of `fixed` to world of `moving`.

    Returns
    -------
    dict
        ``similarity_before`` and ``similarity_after``; ``similarity_mirrored``, see
        `mirror_similarity`; ``shift`` of the fixed image's centre, mm; ``rotation``, degrees;
        ``stretch``, the largest change of length in any direction (0.03 is 3 %); ``overlap`` and
        ``coverage``, see `overlaps`; ``agreement`` of the fibre orientations and, if another
        reading of the moving scan's bvec table fits better, which ``change`` that is. Both are None
        if a scan shows no orientations.
    """
    images = fixed.image, fixed.affine, moving.image, moving.affine
    middle = fixed.affine @ [*((np.array(fixed.image.shape) - 1) / 2), 1]
    lengths = np.linalg.svd(transform[:3, :3], compute_uv=False)
    overlap, coverage = overlaps(fixed, moving, transform)
    fits = fibre_agreement(fixed, moving, transform)
    best = 0 if fits is None else int(fits.argmax())
    return {
        "similarity_before": similarity(*images, np.eye(4)),
        "similarity_after": similarity(*images, transform),
        "similarity_mirrored": mirror_similarity(fixed, moving),
        "shift": float(np.linalg.norm((transform @ middle - middle)[:3])),
        "rotation": rotation_of(transform),
        "stretch": float(np.abs(lengths - 1).max()),
        "overlap": overlap,
        "coverage": coverage,
        "agreement": None if fits is None else float(fits[0]),
        "change": name_of(READINGS[best]) if best else None,
    }


def implausible(quality: dict[str, float | str | None]) -> str | None:
    """Reason why `quality`, from `assess`, is impossible for two scans of one head, or None."""
    if quality["stretch"] > LARGEST_STRETCH:
        return f"stretches the head by {quality['stretch']:.0%}"
    if quality["rotation"] > LARGEST_ROTATION:
        return f"turns the head by {quality['rotation']:.0f} degrees"
    if quality["overlap"] < SMALLEST_OVERLAP:
        return f"brings only {quality['overlap']:.0%} of the smaller brain onto the other"
    if quality["coverage"] < SMALLEST_COVERAGE:
        return f"leaves all but {quality['coverage']:.0%} of the source's brain without a target"
    before, after = quality["similarity_before"], quality["similarity_after"]
    moved = max(quality["shift"], quality["rotation"]) > SMALL_MOVE
    if moved and after < before - SIMILARITY_TOLERANCE:
        return f"makes the scans less alike (similarity {before:.3f} before, {after:.3f} after)"
    if quality["similarity_mirrored"] > after:
        return (
            f"is less alike (similarity {after:.3f}) than the scan's mirror image "
            f"({quality['similarity_mirrored']:.3f}): left and right are exchanged"
        )
    if quality["agreement"] is None:
        return None
    if quality["change"]:
        return (
            f"shows other fibre directions than the source (correlation "
            f"{quality['agreement']:.2f}): they fit with {quality['change']} in one bvec table"
        )
    if quality["agreement"] < SMALLEST_AGREEMENT:
        return f"shows other fibre directions (correlation {quality['agreement']:.2f})"
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
        Last model to fit, after a translation and, for 'affine', a rigid model.

    Returns
    -------
    ndarray, shape (4, 4)
        World of `fixed` to world of `moving`, millimetres.
    """
    stages = [TranslationTransform3D(), RigidTransform3D()]
    if model == "affine":
        stages.append(AffineTransform3D())
    units = _units(fixed > 0, fixed_affine)
    images = (fixed, units @ fixed_affine), (moving, units @ moving_affine)
    found = None
    # Where only one scan reaches, there is nothing to compare.
    masks = {"moving_mask": np.ones(moving.shape, dtype=np.int32)}
    for stage in stages:
        found = _fit(stage, *images, LEVELS, starting_affine=found, **masks)
    return np.linalg.inv(units) @ found @ units


def register_within(
    mask: np.ndarray, fixed: np.ndarray, moving: np.ndarray, affine: np.ndarray
) -> np.ndarray:
    """Align two volumes of one scan rigidly, by mutual information (dipy) in a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (x, y, z)
        Part of `fixed` to compare, all of which `moving` must reach: otherwise, turning it out of
        view would leave only the few voxels that fit best.
    fixed, moving : ndarray, shape (x, y, z)
    affine : ndarray, shape (4, 4)
        Voxel to world, millimetres.

    Returns
    -------
    ndarray, shape (4, 4)
        World of `fixed` to world of `moving`, millimetres.
    """
    units = _units(mask, affine)
    box = bounding_box(mask)
    images = cut(fixed, units @ affine, box), (moving, units @ affine)
    inside = mask[box].astype(np.int32)
    found = _fit(RigidTransform3D(), *images, LEVELS_WITHIN, static_mask=inside)
    return np.linalg.inv(units) @ found @ units


def _units(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """World to head (4, 4): its origin is the centre of `mask`, its unit a head's radius.

    There, turns and shifts move the head by about as much, and do not depend on each other: the
    optimiser takes fewer steps, comes closer and is not caught on its way.
    """
    units = np.diag([1 / RADIUS, 1 / RADIUS, 1 / RADIUS, 1.0])
    units[:3, 3] = -points_of_mask(mask, affine).mean(axis=0) / RADIUS
    return units


def _fit(
    stage: Transform,
    fixed: tuple[np.ndarray, np.ndarray],
    moving: tuple[np.ndarray, np.ndarray],
    levels: tuple[tuple[int, float, int], ...],
    **options: np.ndarray | None,
) -> np.ndarray:
    """World of `fixed` to world of `moving` (4, 4), each an image and its affine."""
    fewest = FEWEST_TO_STRETCH if isinstance(stage, AffineTransform3D) else FEWEST_SLICES
    slices = min(fixed[0].shape)
    used = [level for level in levels if slices // level[0] >= fewest or level[0] == 1]
    factors, sigmas, iterations = map(list, zip(*used, strict=True))
    # Use all voxels: dipy's random sampling would make the transform depend on a seed.
    engine = AffineRegistration(
        metric=MutualInformationMetric(nbins=32),
        level_iters=iterations,
        sigmas=sigmas,
        factors=factors,
        options=dict(PATIENCE),  # dipy changes it
        verbosity=0,
    )
    options |= {"static_grid2world": fixed[1], "moving_grid2world": moving[1]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return engine.optimize(fixed[0], moving[0], stage, None, **options).affine
