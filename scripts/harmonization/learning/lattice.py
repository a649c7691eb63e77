"""The lattice of patches: one rule for training, scoring and prediction.

Cores of ``core``^3 source voxels tile an image without overlap. A network sees a core with a
border of two voxels, which its two unpadded 3^3 convolutions consume. Every voxel is thus predicted
once, and predicting by patch equals predicting the whole volume.
"""

from dataclasses import dataclass

import numpy as np

BORDER = 2  # source voxels on each side that the networks consume


@dataclass(frozen=True)
class Lattice:
    """Cores on a fixed lattice that starts at the first voxel of an image.

    Parameters
    ----------
    core : int
        Edge of a core, source voxels.
    minimum_inside : float
        A core counts in training and scoring if at least this share of it lies in the mask.
    """

    core: int = 7
    minimum_inside: float = 0.5

    @property
    def window(self) -> int:
        """Edge of a network's input, source voxels."""
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
        """Whether each core counts, (i, j, k) of bool."""
        return self.blocks(mask > 0, scale).mean(axis=-1) >= self.minimum_inside

    def touched(self, mask: np.ndarray, scale: int = 1) -> np.ndarray:
        """Whether each core holds any voxel of the mask, (i, j, k) of bool."""
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
