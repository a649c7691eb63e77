"""NIfTI images: written completely or not at all, refused if broken."""

from pathlib import Path

import nibabel as nib
import numpy as np

from harmonization.files import InputError, whole_file


def write_image(path: str | Path, data: np.ndarray, affine: np.ndarray) -> None:
    """Write a NIfTI-1 image in millimetres, in the dtype of `data`."""
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    with whole_file(path) as temporary:
        nib.save(image, temporary)


def read_image(
    path: str | Path, volumes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read a NIfTI image.

    Parameters
    ----------
    path : path
    volumes : ndarray of int, optional
        Read only these volumes of a series.

    Returns
    -------
    data : ndarray of float32
    affine : ndarray, shape (4, 4)
        Voxel to world, millimetres.

    Raises
    ------
    InputError
        If the file is missing, truncated or not a NIfTI image, or holds NaN or infinite values.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        image = nib.load(path)
        if volumes is None:
            data = np.asarray(image.dataobj, dtype=np.float32)
        else:
            data = np.stack([np.float32(image.dataobj[..., v]) for v in volumes], axis=-1)
    except (nib.filebasedimages.ImageFileError, EOFError, OSError, ValueError, IndexError) as error:
        raise InputError(
            f"{path}: cannot be read as NIfTI ({error}); copy or make it again"
        ) from None
    if not np.isfinite(data).all():
        raise InputError(f"{path}: holds NaN or infinite values; repair or leave out this scan")
    return data, image.affine
