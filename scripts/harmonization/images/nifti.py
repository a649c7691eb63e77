"""NIfTI images: written completely or not at all, refused if broken."""

from pathlib import Path

import nibabel as nib
import numpy as np

from harmonization.files import InputError, whole_file

# Other programs store quaternions whose length exceeds 1 by more than nibabel's own tolerance.
QUATERNION_TOLERANCE = 1e-4


class _Nifti1Header(nib.Nifti1Header):
    quaternion_threshold = -QUATERNION_TOLERANCE


class _Nifti2Header(nib.Nifti2Header):
    quaternion_threshold = -QUATERNION_TOLERANCE


class _Nifti1Image(nib.Nifti1Image):
    header_class = _Nifti1Header


class _Nifti2Image(nib.Nifti2Image):
    header_class = _Nifti2Header


def load_image(path: str | Path) -> nib.Nifti1Image:
    """Open a NIfTI image; its values are not read yet.

    Raises
    ------
    InputError
        If the file is missing, not a NIfTI image, or its quaternion is no rotation.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    reasons = []
    for kind in (_Nifti1Image, _Nifti2Image):
        try:
            return kind.from_filename(path)
        except (
            nib.filebasedimages.ImageFileError,
            nib.spatialimages.HeaderDataError,
            nib.wrapstruct.WrapStructError,
            EOFError,
            OSError,
            OverflowError,
            ValueError,
        ) as error:
            reasons.append(" ".join(str(error).split()))
    raise InputError(f"{path}: is no NIfTI image ({reasons[0]}); copy or convert it again")


def write_image(path: str | Path, data: np.ndarray, affine: np.ndarray) -> None:
    """Write a NIfTI-1 image in millimetres, in the dtype of `data`."""
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm")
    with whole_file(path) as temporary:
        nib.save(image, temporary)


def shape_of(image: nib.Nifti1Image) -> tuple[int, ...]:
    """Shape of an image without trailing dimensions of one beyond the third."""
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def read_image(
    path: str | Path, volumes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read a NIfTI image; trailing dimensions of one are dropped.

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
    image = load_image(path)
    shape = shape_of(image)
    try:
        if volumes is None:
            data = values_of(image).reshape(shape)
        else:
            dropped = (0,) * (len(image.shape) - len(shape))
            chosen = [image.dataobj[(..., volume, *dropped)] for volume in volumes]
            data = np.stack([np.float32(volume) for volume in chosen], axis=-1)
    except (EOFError, OSError, ValueError, IndexError) as error:
        raise InputError(
            f"{path}: cannot be read as NIfTI ({error}); copy or make it again"
        ) from None
    if not np.isfinite(data).all():
        raise InputError(f"{path}: holds NaN or infinite values; repair or leave out this scan")
    return data, image.affine


def values_of(image: nib.Nifti1Image) -> np.ndarray:
    """Read the values of an image as float32, scaled as its header says."""
    stored = image.dataobj.get_unscaled()
    if stored.dtype.itemsize > 2:
        return np.asarray(image.dataobj, dtype=np.float32)
    # Integers of 16 bits are exact in float32, where scaling takes a tenth of the time that
    # nibabel takes in float64.
    data = stored.astype(np.float32)
    if image.dataobj.slope != 1:
        data *= np.float32(image.dataobj.slope)
    if image.dataobj.inter != 0:
        data += np.float32(image.dataobj.inter)
    return data


def read_mask(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a mask as 0 and 1 (x, y, z), uint8, and its affine (4, 4); see `as_mask`."""
    values, affine = read_image(path)
    return as_mask(values, path), affine


def as_mask(values: np.ndarray, path: str | Path) -> np.ndarray:
    """Make a mask 0 and 1, uint8.

    A mask has two values, such as 0 and 255, or is a probability, which counts from one half.

    Raises
    ------
    InputError
        If it is neither; the message names `path`.
    """
    distinct = np.unique(values)
    if distinct[0] < 0 or (len(distinct) > 2 and distinct[-1] > 1):
        raise InputError(
            f"{path}: holds more than two values; give 0 outside the brain and 1 inside, or a "
            "probability"
        )
    return (values > (0 if len(distinct) <= 2 else 0.5)).astype(np.uint8)
