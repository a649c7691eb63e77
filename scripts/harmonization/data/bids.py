"""BIDS derivative data sets: gradients, sidecars, and the description at their root."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from harmonization.files import InputError, write_json, write_text
from harmonization.images.directions import orientation_field
from harmonization.images.gradients import B0_THRESHOLD
from harmonization.images.heads import Head, head
from harmonization.images.nifti import read_image, read_mask

# What the axes of a bvec table are: FSL's, or the voxel axes as they are (QSIPrep, dipy).
CONVENTIONS = ("fsl", "image")
AGREEMENT = 0.99  # smallest mean cosine of directions that are the same but for rounding


def axes_of_bvec(affine: np.ndarray, convention: str = "fsl") -> np.ndarray:
    """Rotation (3, 3) from the axes of a bvec table to world axes.

    Tables give gradients along the voxel axes. FSL reverses the first axis if the affine has a
    positive determinant.
    """
    rotation = nib.affines.rescale_affine(affine, (2, 2, 2), 1)[:3, :3]
    if convention == "fsl" and np.linalg.det(rotation) > 0:
        rotation = rotation @ np.diag([-1.0, 1.0, 1.0])
    return rotation


def _read_table(path: str | Path) -> np.ndarray:
    if not Path(path).stat().st_size:
        raise InputError(f"{path}: is empty; copy it again")
    try:
        return np.loadtxt(path, ndmin=2, encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no text; copy the table again") from None
    except ValueError as error:
        raise InputError(f"{path}: not a table of numbers ({error}); rewrite it") from None


def read_bvals(bval: str | Path) -> np.ndarray:
    """Read b-values (n,), s/mm2; refuse a file that is not a table of finite numbers."""
    bvals = _read_table(bval).ravel()
    if not np.isfinite(bvals).all():
        raise InputError(f"{bval}: holds NaN or infinite values; rewrite it")
    return bvals


def read_gradients(
    bval: str | Path, bvec: str | Path, affine: np.ndarray, convention: str = "fsl"
) -> tuple[np.ndarray, np.ndarray]:
    """Read the gradients of a scan.

    Parameters
    ----------
    bval, bvec : path
        Tables; bvec as 3 x n or n x 3. Where b is below 50, directions may be NaN, as FSL writes
        them.
    affine : ndarray, shape (4, 4)
        Voxel to world of the scan; the directions in the table refer to its axes.
    convention : {'fsl', 'image'}
        Whether the first axis is reversed if the affine has a positive determinant.

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
    bvals, table = read_bvals(bval), _read_table(bvec)
    directions = table.T if table.shape[0] == 3 and table.shape[1] != 3 else table
    if directions.shape != (len(bvals), 3):
        raise InputError(
            f"{bvec}: holds a table of shape {table.shape} for the {len(bvals)} b-values in "
            f"{Path(bval).name}; give one direction for each volume"
        )
    weighted = bvals >= B0_THRESHOLD
    if not np.isfinite(directions[weighted]).all():
        raise InputError(f"{bvec}: holds NaN or infinite values; rewrite it")
    length = np.linalg.norm(directions, axis=1)
    if (wrong := weighted & (np.abs(length - 1) > 0.01)).any():
        advice = _advice_on_lengths(bvals[weighted], length[weighted])
        raise InputError(f"{bvec}: the direction of volume {int(np.argmax(wrong))} {advice}")
    unit = np.zeros_like(directions)
    unit[weighted] = directions[weighted] / length[weighted, None]
    return bvals, unit @ axes_of_bvec(affine, convention).T


def _advice_on_lengths(bvals: np.ndarray, length: np.ndarray) -> str:
    """What to do about weighted directions of which some have another length than 1."""
    wrong = length[np.argmax(np.abs(length - 1) > 0.01)]
    scaled = bvals * length**2
    encodes_b = np.ptp(bvals) == 0 and length.max() < 1.01 and scaled.min() > B0_THRESHOLD
    if not encodes_b:
        return f"has length {wrong:.3g}, not 1; normalise the directions"
    shells = ", ".join(f"{b:g}" for b in np.unique(np.round(scaled, -1)))
    return (
        f"has length {wrong:.3g}, not 1: the lengths may encode b-values (b times length squared: "
        f"{shells}); write the true b-values into the table, then normalise the directions"
    )


def find_convention(
    bval: str | Path, bvec: str | Path, b_table: str | Path, affine: np.ndarray
) -> str | None:
    """Convention of a bvec table, told by a table in world axes beside it.

    Parameters
    ----------
    bval, bvec : path
        See `read_gradients`.
    b_table : path
        MRtrix's table: x, y, z in world axes and b, one row a volume.
    affine : ndarray, shape (4, 4)
        Voxel to world of the scan.

    Returns
    -------
    str or None
        One of `CONVENTIONS`; None if both agree with the table.

    Raises
    ------
    InputError
        If neither agrees.
    """
    world = _read_table(b_table)
    fitting = []
    for convention in CONVENTIONS:
        bvals, directions = read_gradients(bval, bvec, affine, convention)
        if world.shape != (len(bvals), 4):
            raise InputError(
                f"{b_table}: holds a table of shape {world.shape} for {len(bvals)} b-values; copy "
                "the table that belongs to the scan"
            )
        weighted = bvals >= B0_THRESHOLD
        axes = world[weighted, :3]
        axes = axes / np.maximum(np.linalg.norm(axes, axis=1), 1e-9)[:, None]
        if np.abs((axes * directions[weighted]).sum(axis=1)).mean() > AGREEMENT:
            fitting.append(convention)
    if not fitting:
        raise InputError(
            f"{b_table}: its directions differ from those of {Path(bvec).name}, however its axes "
            "are read; copy the tables that belong to the scan"
        )
    return fitting[0] if len(fitting) == 1 else None


def write_gradients(
    bval: str | Path,
    bvec: str | Path,
    bvals: np.ndarray,
    directions: np.ndarray,
    affine: np.ndarray,
    convention: str = "fsl",
) -> None:
    """Write b-values (n,) and world `directions` (n, 3) in a convention, see `read_gradients`."""
    along_axes = directions @ axes_of_bvec(affine, convention)
    write_text(bval, " ".join(f"{b:g}" for b in bvals) + "\n")
    write_text(bvec, "".join(" ".join(f"{v:.8f}" for v in row) + "\n" for row in along_axes.T))


def read_series(
    dwi: str | Path, bval: str | Path, bvec: str | Path, convention: str = "fsl"
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read a series (x, y, z, n), its affine and its gradients (see `read_gradients`).

    Raises
    ------
    InputError
        If a file is broken, or the numbers of volumes and b-values disagree.
    """
    data, affine = read_image(dwi)
    bvals, directions = read_gradients(bval, bvec, affine, convention)
    if len(bvals) != data.shape[-1]:
        raise InputError(f"{bval}: {len(bvals)} b-values for {data.shape[-1]} volumes")
    return data, affine, bvals, directions


def read_mean_b0(dwi: str | Path, bval: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean b=0 volume (x, y, z) of a series, and its affine; refuse a series without b=0."""
    chosen = np.flatnonzero(read_bvals(bval) < B0_THRESHOLD)
    if not len(chosen):
        raise InputError(f"{bval}: no volume with b below {B0_THRESHOLD:g}; add one")
    data, affine = read_image(dwi, chosen)
    return data.mean(axis=-1), affine


def read_head(dwi: str | Path, bval: str | Path, bvec: str | Path, mask: str | Path) -> Head:
    """Read a scan as registration needs it; refuses what `read_series` and `read_mask` refuse."""
    data, affine, bvals, directions = read_series(dwi, bval, bvec)
    brain, _ = read_mask(mask)
    if brain.shape != data.shape[:3]:
        raise InputError(f"{mask}: shape {brain.shape} differs from the scan's {data.shape[:3]}")
    if not brain.any():
        raise InputError(f"{mask}: the brain mask is empty; make another one")
    b0 = bvals < B0_THRESHOLD
    if not b0.any():
        raise InputError(f"{bval}: no volume with b below {B0_THRESHOLD:g}; add one")
    field = orientation_field(data, brain, bvals, directions)
    return head(data[..., b0].mean(axis=-1), affine, brain, field, axes_of_bvec(affine))


def write_table(path: str | Path, **columns: list[str]) -> None:
    """Write a BIDS table: tab-separated, with the names of the `columns` on top."""
    rows = [columns, *zip(*columns.values(), strict=True)]
    write_text(path, "".join("\t".join(row) + "\n" for row in rows))


def write_dataset_description(root: str | Path, name: str, generator: dict[str, Any]) -> None:
    """Write ``dataset_description.json`` and ``.bidsignore`` at the `root` of a derivative."""
    # The BIDS standard allows gradient tables with a desc- entity, but its validator does not.
    # Its names of maps of diffusion models are a proposal yet.
    write_text(Path(root) / ".bidsignore", "*_dwi.bval\n*_dwi.bvec\n*_dwimap.*\n")
    write_json(
        Path(root) / "dataset_description.json",
        {
            "Name": name,
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [generator],
        },
    )
