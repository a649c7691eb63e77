"""Registration by FSL's FLIRT, whose matrices refer to a space of its own.

FLIRT counts millimetres along the voxel axes from the first voxel, and reverses the first axis if
the affine has a positive determinant.
"""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np

from harmonization.files import InputError
from harmonization.images.nifti import write_image
from harmonization.images.registration import LARGEST_ROTATION

DEGREES_OF_FREEDOM = {"rigid": 6, "affine": 12}


def flirt_space(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Map (4, 4) from world to FLIRT's millimetres for an image of this `shape` and `affine`."""
    sizes = nib.affines.voxel_sizes(affine)
    scaling = np.diag([*sizes, 1.0])
    if np.linalg.det(affine[:3, :3]) > 0:
        scaling[0, 0] *= -1
        scaling[0, 3] = (shape[0] - 1) * sizes[0]
    return scaling @ np.linalg.inv(affine)


def from_flirt(matrix: np.ndarray, fixed_space: np.ndarray, moving_space: np.ndarray) -> np.ndarray:
    """Turn FLIRT's `matrix`, moving to fixed, into a transform (4, 4) from fixed to moving world.

    The spaces come from `flirt_space`.
    """
    return np.linalg.inv(moving_space) @ np.linalg.inv(matrix) @ fixed_space


def register_by_flirt(
    fixed: np.ndarray,
    fixed_affine: np.ndarray,
    moving: np.ndarray,
    moving_affine: np.ndarray,
    model: str = "affine",
) -> np.ndarray:
    """Align `moving` with `fixed` by running ``flirt`` from the PATH; see `registration.register`.

    Raises
    ------
    InputError
        If there is no ``flirt``, or it fails.
    """
    fixed_space = flirt_space(fixed.shape, fixed_affine)
    moving_space = flirt_space(moving.shape, moving_affine)
    limits = [f"{-LARGEST_ROTATION:g}", f"{LARGEST_ROTATION:g}"]
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_image(folder / "fixed.nii.gz", np.float32(fixed), fixed_affine)
        write_image(folder / "moving.nii.gz", np.float32(moving), moving_affine)
        np.savetxt(folder / "start.mat", fixed_space @ np.linalg.inv(moving_space))
        command = ["flirt", "-in", str(folder / "moving.nii.gz")]
        command += ["-ref", str(folder / "fixed.nii.gz"), "-init", str(folder / "start.mat")]
        command += ["-omat", str(folder / "found.mat"), "-cost", "normmi"]
        command += ["-dof", str(DEGREES_OF_FREEDOM[model])]
        for axis in "xyz":
            command += [f"-searchr{axis}", *limits]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise InputError(
                "registration.program: flirt is not on the PATH; install FSL, run Snakemake with "
                "--sdm conda, or set it to dipy"
            ) from None
        try:
            matrix = np.loadtxt(folder / "found.mat", ndmin=2)
        except (FileNotFoundError, ValueError):
            matrix = np.empty(0)
        if result.returncode or matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            said = " ".join(result.stderr.split()) or "no message"
            raise InputError(
                f"flirt: no transform, exit status {result.returncode} ({said}); set "
                "registration.program to dipy"
            )
    return from_flirt(matrix, fixed_space, moving_space)
