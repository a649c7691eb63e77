"""Marchenko-Pastur PCA, several times faster than by dipy: patches overlap less."""

from itertools import product

import numpy as np
from scipy.ndimage import binary_dilation

STRIDE = 2  # voxels from one patch to the next: an eighth of the time of every voxel's own patch
TOGETHER = 64  # patches; more would not stay in the processor's cache


def remove_noise(
    data: np.ndarray, mask: np.ndarray, radius: int, stride: int = STRIDE
) -> np.ndarray:
    """Denoise a series by Marchenko-Pastur PCA of overlapping patches (Veraart 2016).

    The spectrum of a patch's noise follows the Marchenko-Pastur law; its largest eigenvalue tells
    noise from signal. Where patches overlap, they count the more, the fewer components they keep
    (Manjón 2013). With a `stride` of 1 this is dipy's ``mppca``. With 2, the error of a simulated
    scan is 3 % higher, where denoising lowers it to a third.

    Parameters
    ----------
    data : ndarray of float32, shape (x, y, z, v)
        At least as long as a patch along each side.
    mask : ndarray of bool, shape (x, y, z)
        Patches are centred here; where they do not reach, `data` is kept.
    radius : int
        Patches have ``2 radius + 1`` voxels along each side, more voxels than volumes in all.
    stride : int
        From one patch to the next, voxels; at most `radius`.

    Returns
    -------
    ndarray of float32, shape (x, y, z, v)
    """
    size = 2 * radius + 1
    near = binary_dilation(mask, np.ones((3, 3, 3)), stride // 2) if stride > 1 else mask
    starts = (sorted({*range(0, n - size, stride), n - size}) for n in mask.shape)
    corners = [corner for corner in product(*starts) if near[tuple(i + radius for i in corner)]]
    sums, weights = np.zeros(data.shape, np.float32), np.zeros(mask.shape, np.float32)
    boxes = [tuple(slice(i, i + size) for i in corner) for corner in corners]
    for first in range(0, len(boxes), TOGETHER):
        some = boxes[first : first + TOGETHER]
        patches = np.stack([data[box].reshape(size**3, -1) for box in some])
        for box, patch, weight in zip(some, *_without_noise(patches), strict=True):
            sums[box] += weight * patch.reshape(size, size, size, -1)
            weights[box] += weight
    reached = mask & (weights > 0)
    denoised = data.copy()
    denoised[reached] = np.maximum(sums[reached] / weights[reached][:, None], 0)
    return denoised


def _without_noise(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Patches (p, n, v) without their noise components, and a weight (p,) for each."""
    voxels, volumes = patches.shape[1:]
    mean = patches.mean(axis=1, keepdims=True)
    patches = patches - mean
    values, vectors = np.linalg.eigh(patches.swapaxes(1, 2) @ patches / voxels)
    # The noise is the longest beginning of the spectrum that is as wide as the law has it.
    count = np.arange(1, volumes + 1)
    variances = values.cumsum(axis=1) / count
    law = values - values[:, :1] <= 4 * np.sqrt(count / voxels) * variances
    longest = volumes - 1 - law[:, ::-1].argmax(axis=1)
    variance = np.take_along_axis(variances, longest[:, None], axis=1)
    kept = values >= (1 + np.sqrt(volumes / voxels)) ** 2 * variance
    vectors = vectors * kept[:, None]
    weights = 1 / (1 + kept.sum(axis=1))
    return patches @ vectors @ vectors.swapaxes(1, 2) + mean, weights.astype(np.float32)
