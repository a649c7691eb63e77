"""The lattice of patches: one rule for training, scoring and application.

Cores of ``core``^3 source voxels tile an image without overlap. A network sees a core with a
border of two voxels, which its two unpadded 3^3 convolutions consume. So every voxel is predicted
once, and patch and volume are the same thing.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BORDER = 2  # source voxels on each side that the networks consume


@dataclass(frozen=True)
class Lattice:
    """Cores on a fixed lattice that starts at the first voxel of an image.

    Parameters
    ----------
    core : int
        Edge of a core, source voxels.
    minimum_inside : float
        A core counts in training and scoring when at least this share of it is in the mask.
    """

    core: int = 7
    minimum_inside: float = 0.5

    @property
    def window(self) -> int:
        """Edge of what a network sees."""
        return self.core + 2 * BORDER

    def shape(self, image_shape: tuple[int, ...], scale: int = 1) -> tuple[int, ...]:
        """Number of cores along each axis that cover an image with r=`scale`."""
        return tuple(-(-n // (self.core * scale)) for n in image_shape[:3])

    def blocks(self, image: np.ndarray, scale: int = 1) -> np.ndarray:
        """Cut an image (x, y, z) into cores, (i, j, k, voxels), zero-filled at the end."""
        edge = self.core * scale
        counts = self.shape(image.shape, scale)
        padding = [(0, c * edge - n) for c, n in zip(counts, image.shape, strict=True)]
        i, j, k = counts
        cut = np.pad(image, padding).reshape(i, edge, j, edge, k, edge)
        return cut.transpose(0, 2, 4, 1, 3, 5).reshape(i, j, k, edge**3)

    def counted(self, mask: np.ndarray, scale: int = 1) -> np.ndarray:
        """Which cores count, shape (i, j, k) of bool."""
        return self.blocks(mask > 0, scale).mean(axis=-1) >= self.minimum_inside

    def touched(self, mask: np.ndarray, scale: int = 1) -> np.ndarray:
        """Which cores hold any voxel of the mask, shape (i, j, k) of bool."""
        return self.blocks(mask > 0, scale).any(axis=-1)


def pad_source(image: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Extend a source image (x, y, z, c) so that every core has its border.

    The outermost voxels are repeated. Outside the brain they are 0 anyway; where the field of
    view cuts through the brain, the nearest measured voxel is the best guess.
    """
    spatial = image.shape[:3]
    counts = lattice.shape(spatial)
    padding = [
        (BORDER, c * lattice.core - n + BORDER) for c, n in zip(counts, spatial, strict=True)
    ]
    return np.pad(image, [*padding, (0, 0)], mode="edge")


def pad_target(image: np.ndarray, lattice: Lattice, scale: int) -> np.ndarray:
    """Extend a target image (x, y, z, c) with zeros to whole cores."""
    edge = lattice.core * scale
    counts = lattice.shape(image.shape, scale)
    padding = [(0, c * edge - n) for c, n in zip(counts, image.shape[:3], strict=True)]
    return np.pad(image, [*padding, (0, 0)])


def gather(volumes: Tensor, patches: Tensor, stride: int, size: int) -> Tensor:
    """Cut patches out of volumes on their own device, without a loop.

    Parameters
    ----------
    volumes : Tensor, shape (subjects, x, y, z, c)
    patches : Tensor of int64, shape (n, 4)
        Subject and core (i, j, k) of each patch.
    stride : int
        Voxels from one core to the next.
    size : int
        Edge of the patch, voxels.

    Returns
    -------
    Tensor, shape (n, c, size, size, size)
        In memory format ``channels_last_3d``, for the channel is the last axis of `volumes`.
    """
    _, x, y, z, channels = volumes.shape
    subject, corner = patches[:, 0], patches[:, 1:] * stride
    start = ((subject * x + corner[:, 0]) * y + corner[:, 1]) * z + corner[:, 2]
    edge = torch.arange(size, device=volumes.device)
    offset = (edge[:, None, None] * y + edge[:, None]) * z + edge
    rows = (start[:, None] + offset.ravel()).ravel()
    cut = volumes.reshape(-1, channels)[rows]
    return cut.reshape(-1, size, size, size, channels).permute(0, 4, 1, 2, 3)


def patch_mse(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean-squared error of each patch over its voxels in the mask and all coefficients.

    Parameters
    ----------
    prediction, target : Tensor, shape (n, c, d, d, d)
    mask : Tensor, shape (n, 1, d, d, d)

    Returns
    -------
    Tensor, shape (n,)
    """
    error = ((prediction - target) ** 2).mean(dim=1, keepdim=True) * mask
    return error.flatten(1).sum(dim=1) / mask.flatten(1).sum(dim=1)


@dataclass
class PatchData:
    """All patches of some subjects: whole volumes on one device, and indices into them.

    Parameters
    ----------
    source : Tensor, shape (subjects, x, y, z, c)
        Standardised and padded.
    targets, masks : dict of str to Tensor
        Of each target platform, (subjects, x, y, z, c) and (subjects, x, y, z, 1).
    scales : dict of str to int
        Target voxels along each edge of a source voxel.
    patches : Tensor of int64, shape (n, 4)
        Subject and core of each patch that counts on every target.
    lattice : Lattice
    """

    source: Tensor
    targets: dict[str, Tensor]
    masks: dict[str, Tensor]
    scales: dict[str, int]
    patches: Tensor
    lattice: Lattice

    def __len__(self) -> int:
        return len(self.patches)

    def batch(self, chosen: Tensor) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
        """Windows (n, c, 11, 11, 11) of the `chosen` patches; targets and masks by platform."""
        patches, core = self.patches[chosen.to(self.patches.device)], self.lattice.core
        windows = gather(self.source, patches, core, self.lattice.window)
        cores = {}
        for platform, r in self.scales.items():
            cores[platform] = tuple(
                gather(volumes[platform], patches, core * r, core * r)
                for volumes in (self.targets, self.masks)
            )
        return windows, cores


def stack_padded(images: list[np.ndarray], device: str) -> Tensor:
    """Stack images (x, y, z, c) of different sizes into (n, x, y, z, c), filling with zeros."""
    shape = np.max([i.shape for i in images], axis=0)
    stacked = np.zeros((len(images), *shape), dtype=np.float32)
    for place, image in zip(stacked, images, strict=True):
        x, y, z = image.shape[:3]
        place[:x, :y, :z] = image
    return torch.from_numpy(stacked).to(device)
