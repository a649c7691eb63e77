"""The least that a raw scan needs: less noise, ringing and motion, and a brain mask. By dipy.

Distortion by susceptibility and eddy currents stays: that takes other tools.
"""

import warnings

import numpy as np
from dipy.denoise.gibbs import gibbs_removal
from dipy.denoise.localpca import mppca
from dipy.segment.mask import median_otsu
from scipy.ndimage import binary_dilation

from harmonization.bids import volumes_by_shell
from harmonization.files import InputError
from harmonization.grids import points_of_mask, rotate_directions, sample, transform_points
from harmonization.registration import LARGEST_ROTATION, register, rotation_of

LARGEST_MOTION = 50.0  # mm
MARGIN = 2  # voxels around the brain that count as well


def brain_mask(b0: np.ndarray) -> np.ndarray:
    """Brain (x, y, z) of bool in a mean b=0 image (x, y, z), by Otsu's threshold after a median.

    Raises
    ------
    InputError
        If nothing stands out.
    """
    if np.ptp(b0) > 0:
        # dipy treats a single volume as a series.
        options = {"vol_idx": [0], "median_radius": 3, "numpass": 2, "finalize_mask": True}
        _, mask = median_otsu(b0[..., None], **options)
        if mask.any() and not mask.all():
            return mask
    raise InputError("nothing stands out as brain in its mean b=0 image; look at it")


def _around_brain(b0: np.ndarray) -> np.ndarray:
    return binary_dilation(brain_mask(b0), iterations=MARGIN)


def denoise(data: np.ndarray, bvals: np.ndarray) -> np.ndarray:
    """Marchenko-Pastur PCA (Veraart 2016) of a series (x, y, z, v), in and around the brain.

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
            f"{data.shape[:3]}; switch preprocessing.denoising off"
        )
    brain = _around_brain(data[..., volumes_by_shell(bvals)[0]].mean(axis=-1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # division by zero where no patch reaches
        denoised = mppca(data, mask=brain, patch_radius=radius)
    kept = ~brain | ~np.isfinite(denoised).all(axis=-1)
    denoised[kept] = data[kept]
    return denoised


def remove_ringing(data: np.ndarray) -> np.ndarray:
    """Gibbs ringing removed from a series (x, y, z, v) by sub-voxel shifts (Kellner 2016).

    Slices are taken to be axial. The method presumes that all of k-space was sampled.
    """
    return gibbs_removal(data, slice_axis=2, inplace=False, num_processes=1)


def correct_motion(
    data: np.ndarray, affine: np.ndarray, bvals: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rigid motion between the volumes of a series, undone.

    Each volume is registered to the mean of its shell, which looks like it, and each mean to that
    of the next lower shell, down to b=0. Only the brain counts: at high b, noise fills the rest.

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
        Sampled once, by cubic splines.
    rotated : ndarray, shape (v, 3)
        Directions in the head as it lies in the b=0 volumes (Leemans & Jones 2009).
    transforms : ndarray, shape (v, 4, 4)
        World of the b=0 volumes to that of each volume.

    Raises
    ------
    InputError
        If a volume fits only where no head can have gone; its number is named.
    """
    shells = volumes_by_shell(bvals)
    means = [data[..., shell].mean(axis=-1) for shell in shells]
    brain = _around_brain(means[0])

    def pose(fixed: np.ndarray, moving: np.ndarray) -> np.ndarray:
        return register(fixed, affine, moving, affine, "rigid", mask=brain)

    transforms, to_shell = np.empty((len(bvals), 4, 4)), np.eye(4)
    for number, (shell, mean) in enumerate(zip(shells, means, strict=True)):
        if number:
            to_shell = pose(means[number - 1], mean) @ to_shell
        for volume in shell:
            alone = len(shell) == 1
            within = np.eye(4) if alone else pose(mean, data[..., volume])
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
                f"{rotation_of(transform):.0f} degrees; look at it, and leave it out of the scan"
            )
        values = sample(data[..., volume], affine, moved, order=3)
        # Splines swing below zero beside bright edges; magnitudes do not.
        corrected[..., volume] = np.maximum(values, 0).reshape(data.shape[:3])
        rotated[volume] = rotate_directions(directions[volume], transform)
    return corrected, rotated, transforms
