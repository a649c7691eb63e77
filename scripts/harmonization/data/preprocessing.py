"""The least that a raw scan needs: less noise and motion, and a brain mask.

Distortion by susceptibility and eddy currents remains; its correction takes other tools.
"""

import numpy as np
from dipy.segment.mask import median_otsu
from scipy.ndimage import binary_dilation

from harmonization.data.denoising import remove_noise
from harmonization.files import InputError
from harmonization.images.gradients import volumes_by_shell
from harmonization.images.grids import points_of_mask, rotate_directions, transform_points
from harmonization.images.registration import LARGEST_ROTATION, register_within, rotation_of
from harmonization.images.sampling import sample

LARGEST_MOTION = 50.0  # mm
MARGIN = 2  # voxels around the brain that count as brain


def brain_mask(b0: np.ndarray) -> np.ndarray:
    """Brain mask (x, y, z), bool, of a mean b=0 image (x, y, z): median, then Otsu's threshold.

    Raises
    ------
    InputError
        If nothing stands out as brain.
    """
    if np.ptp(b0) > 0:
        # dipy treats a single volume as a series.
        options = {"vol_idx": [0], "median_radius": 3, "numpass": 2, "finalize_mask": True}
        _, mask = median_otsu(b0[..., None], **options)
        if mask.any() and not mask.all():
            return mask
    raise InputError("nothing stands out as brain in its mean b=0 image; inspect it")


def _around_brain(b0: np.ndarray) -> np.ndarray:
    return binary_dilation(brain_mask(b0), iterations=MARGIN)


def denoise(data: np.ndarray, bvals: np.ndarray) -> np.ndarray:
    """Denoise a series (x, y, z, v) by Marchenko-Pastur PCA (Veraart 2016) in and near the brain.

    Raises
    ------
    InputError
        If the series is too thin for a patch.
    """
    volumes = data.shape[-1]
    # A patch must hold more voxels than there are volumes.
    radius = next(r for r in range(2, 10) if (2 * r + 1) ** 3 > volumes)
    if min(data.shape[:3]) < 2 * radius + 1:
        raise InputError(
            f"denoising takes {2 * radius + 1} voxels in every direction, the scan has "
            f"{data.shape[:3]}; switch off denoising, leave out method 'denoised'"
        )
    brain = _around_brain(data[..., volumes_by_shell(bvals)[0]].mean(axis=-1))
    return remove_noise(data, brain, radius)


def correct_motion(
    data: np.ndarray, affine: np.ndarray, bvals: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Undo rigid motion between the volumes of a series.

    Each volume is registered to the mean of its shell, which has similar contrast, and each mean to
    the mean of the next lower shell, down to b=0. Only the brain counts: at high b, noise fills the
    rest.

    Parameters
    ----------
    data : ndarray, shape (x, y, z, v)
    affine : ndarray, shape (4, 4)
    bvals : ndarray, shape (v,)
        s/mm2.
    directions : ndarray, shape (v, 3)
        In world axes.

    Returns
    -------
    corrected : ndarray of float32, shape (x, y, z, v)
        Sampled only once, by cubic splines.
    rotated : ndarray, shape (v, 3)
        Directions relative to the head as it lies in the b=0 volumes (Leemans & Jones 2009).
    transforms : ndarray, shape (v, 4, 4)
        World of the b=0 volumes to world of each volume.

    Raises
    ------
    InputError
        If a volume fits only after a motion that no head can make; the message gives its number.
    """
    shells = volumes_by_shell(bvals)
    means = [data[..., shell].mean(axis=-1) for shell in shells]
    brain = _around_brain(means[0])

    transforms, to_shell = np.empty((len(bvals), 4, 4)), np.eye(4)
    for number, (shell, mean) in enumerate(zip(shells, means, strict=True)):
        if number:
            to_shell = register_within(brain, means[number - 1], mean, affine) @ to_shell
        for volume in shell:
            within = np.eye(4)
            if len(shell) > 1:
                within = register_within(brain, mean, data[..., volume], affine)
            transforms[volume] = within @ to_shell
    points = points_of_mask(np.ones(data.shape[:3], dtype=bool), affine)
    corrected = np.empty(data.shape, dtype=np.float32)
    rotated = np.empty_like(directions)
    for volume, transform in enumerate(transforms):
        moved = transform_points(transform, points)
        shift = np.linalg.norm(moved.mean(axis=0) - points.mean(axis=0))
        if rotation_of(transform) > LARGEST_ROTATION or shift > LARGEST_MOTION:
            raise InputError(
                f"volume {volume} fits only when moved by {shift:.0f} mm and "
                f"{rotation_of(transform):.0f} degrees; inspect it, and leave it out of the scan"
            )
        values = sample(data[..., volume], affine, moved, order=3)
        # Splines undershoot zero beside bright edges; magnitudes are never negative.
        corrected[..., volume] = np.maximum(values, 0).reshape(data.shape[:3])
        rotated[volume] = rotate_directions(directions[volume], transform)
    return corrected, rotated, transforms
