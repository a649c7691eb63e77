"""Lower the resolution of a scan as a scanner would: by cropping k-space."""

import numpy as np

from harmonization.files import InputError


def crop_kspace(data: np.ndarray, affine: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the centre of k-space, so that voxels become `factor` times as long in each direction.

    Parameters
    ----------
    data : ndarray, shape (x, y, z, v)
        Magnitudes. Voxels at the end that do not fill a new voxel are dropped.
    affine : ndarray, shape (4, 4)
    factor : int

    Returns
    -------
    data : ndarray of float32, shape (x // factor, y // factor, z // factor, v)
    affine : ndarray, shape (4, 4)
        Each new voxel covers factor^3 old ones, so that `split_grid` restores the old grid.

    Raises
    ------
    InputError
        If a side is too short for one new voxel.
    """
    if min(data.shape[:3]) < factor:
        raise InputError(
            f"crop: {factor} leaves none of {data.shape[:3]} voxels; give larger scans or crop less"
        )
    for axis in range(3):
        data = _crop(np.moveaxis(data, axis, 0), factor)
        data = np.moveaxis(data, 0, axis)
    whole = affine.copy()
    whole[:3, :3] *= factor
    whole[:3, 3] = affine[:3, :3] @ np.full(3, (factor - 1) / 2) + affine[:3, 3]
    return np.maximum(data, 0).astype(np.float32), whole


def _crop(data: np.ndarray, factor: int) -> np.ndarray:
    """Crop the Fourier transform along the first axis."""
    new = data.shape[0] // factor
    old = new * factor
    spectrum = np.fft.rfft(data[:old], axis=0)[: new // 2 + 1]
    # The centre of a new voxel lies between old ones: a shift in space, a phase in k-space.
    shift = (factor - 1) / 2
    phase = np.exp(2j * np.pi * np.arange(len(spectrum)) * shift / old)
    spectrum = spectrum * phase.reshape(-1, *[1] * (data.ndim - 1))
    return np.fft.irfft(spectrum, n=new, axis=0) / factor


def crop_mask(mask: np.ndarray, factor: int) -> np.ndarray:
    """Mask (x, y, z) on the grid of `crop_kspace`; voxels at least half inside are inside."""
    x, y, z = (n // factor for n in mask.shape)
    whole = mask[: x * factor, : y * factor, : z * factor] > 0
    share = whole.reshape(x, factor, y, factor, z, factor).mean(axis=(1, 3, 5))
    return (share >= 0.5).astype(np.uint8)
