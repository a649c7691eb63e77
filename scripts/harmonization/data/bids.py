"""BIDS derivative data sets: gradients, sidecars, and the description at their root."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from harmonization.files import InputError, write_json, write_text
from harmonization.images.gradients import B0_THRESHOLD
from harmonization.images.nifti import read_image


def _axes_of_bvec(affine: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) from the axes of an FSL bvec file to world axes.

    FSL gives gradients along the voxel axes and reverses the first one if the affine has a positive
    determinant.
    """
    rotation = nib.affines.rescale_affine(affine, (2, 2, 2), 1)[:3, :3]
    if np.linalg.det(rotation) > 0:
        rotation = rotation @ np.diag([-1.0, 1.0, 1.0])
    return rotation


def read_gradients(
    bval: str | Path, bvec: str | Path, affine: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Read the gradients of a scan.

    Parameters
    ----------
    bval, bvec : path
        Tables in FSL's convention; bvec as 3 x n or n x 3.
    affine : ndarray, shape (4, 4)
        Voxel to world of the scan; the directions in the table refer to its axes.

    Returns
    -------
    bvals : ndarray, shape (n,)
        s/mm2.
    directions : ndarray, shape (n, 3)
        Unit vectors in world axes; zero where b is below 50.

    Raises
    ------
    InputError
        If a file is not a table of finite numbers, the numbers of entries disagree, or a direction
        is not of unit length.
    """
    tables = []
    for path in (bval, bvec):
        try:
            tables.append(np.loadtxt(path, ndmin=2))
        except ValueError as error:
            raise InputError(f"{path}: not a table of numbers ({error}); rewrite it") from None
        if not np.isfinite(tables[-1]).all():
            raise InputError(f"{path}: holds NaN or infinite values; rewrite it")
    bvals, directions = tables[0].ravel(), tables[1]
    if directions.shape[0] == 3 and directions.shape[1] != 3:
        directions = directions.T
    if directions.shape != (len(bvals), 3):
        raise InputError(
            f"{bvec}: holds a table of shape {tables[1].shape} for the {len(bvals)} b-values in "
            f"{Path(bval).name}; give one direction for each volume"
        )
    weighted = bvals > B0_THRESHOLD
    length = np.linalg.norm(directions, axis=1)
    if (wrong := weighted & (np.abs(length - 1) > 0.01)).any():
        volume = int(np.argmax(wrong))
        raise InputError(
            f"{bvec}: the direction of volume {volume} has length {length[volume]:.3g}, not 1; "
            "normalise the directions"
        )
    unit = np.where(weighted[:, None], directions / np.maximum(length, 1e-9)[:, None], 0.0)
    return bvals, unit @ _axes_of_bvec(affine).T


def write_gradients(
    bval: str | Path,
    bvec: str | Path,
    bvals: np.ndarray,
    directions: np.ndarray,
    affine: np.ndarray,
) -> None:
    """Write b-values (n,) and world `directions` (n, 3) in FSL's convention."""
    along_axes = directions @ _axes_of_bvec(affine)
    write_text(bval, " ".join(f"{b:g}" for b in bvals) + "\n")
    write_text(bvec, "".join(" ".join(f"{v:.8f}" for v in row) + "\n" for row in along_axes.T))


def read_series(
    dwi: str | Path, bval: str | Path, bvec: str | Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read a series (x, y, z, n), its affine and its gradients (see `read_gradients`).

    Raises
    ------
    InputError
        If a file is broken, or the numbers of volumes and b-values disagree.
    """
    data, affine = read_image(dwi)
    bvals, directions = read_gradients(bval, bvec, affine)
    if len(bvals) != data.shape[-1]:
        raise InputError(f"{bval}: {len(bvals)} b-values for {data.shape[-1]} volumes")
    return data, affine, bvals, directions


def read_mean_b0(dwi: str | Path, bval: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean b=0 volume (x, y, z) of a series, and its affine; refuse a series without b=0."""
    chosen = np.flatnonzero(np.loadtxt(bval, ndmin=1) < B0_THRESHOLD)
    if not len(chosen):
        raise InputError(f"{bval}: no volume with b below {B0_THRESHOLD:g}; add one")
    data, affine = read_image(dwi, chosen)
    return data.mean(axis=-1), affine


def write_table(path: str | Path, **columns: list[str]) -> None:
    """Write a BIDS table: tab-separated, with the names of the `columns` on top."""
    rows = [columns, *zip(*columns.values(), strict=True)]
    write_text(path, "".join("\t".join(row) + "\n" for row in rows))


def write_dataset_description(root: str | Path, name: str, generator: dict[str, Any]) -> None:
    """Write ``dataset_description.json`` and ``.bidsignore`` at the `root` of a derivative."""
    # The BIDS standard allows gradient tables with a desc- entity, but its validator does not.
    write_text(Path(root) / ".bidsignore", "*_dwi.bval\n*_dwi.bvec\n")
    write_json(
        Path(root) / "dataset_description.json",
        {
            "Name": name,
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [generator],
        },
    )
