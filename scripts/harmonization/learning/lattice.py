"""The lattice of patches: one rule for training, scoring and prediction.

Cores of ``core``^3 source voxels tile an image without overlap. A network sees a core with a
border of two voxels, which two unpadded 3^3 convolutions consume. So every voxel is predicted once,
and prediction by patch equals prediction of the whole volume. Networks that also pad, such as DIQT,
take zeros for what lies beyond a patch, in training and prediction alike.
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
        A core counts in training and scoring if at least this share of it lies in the mask of every
        target.
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
        """Cut an image (x, y, z) into cores, (i, j, k, voxels), with zeros beyond its end."""
        edge = self.core * scale
        counts = self.shape(image.shape, scale)
        padding = [(0, c * edge - n) for c, n in zip(counts, image.shape, strict=True)]
        i, j, k = counts
        cut = np.pad(image, padding).reshape(i, edge, j, edge, k, edge)
        return cut.transpose(0, 2, 4, 1, 3, 5).reshape(i, j, k, edge**3)

    def counted(self, masks: list[np.ndarray], scales: list[int]) -> np.ndarray:
        """Cores that count: at least `minimum_inside` of each lies in the mask of every target.

        Parameters
        ----------
        masks : list of ndarray, shape (x r, y r, z r)
            A subject's brain mask on each target.
        scales : list of int
            r of each target.

        Returns
        -------
        ndarray of int, shape (n, 3)
            Positions of the cores in the lattice.
        """
        inside = [
            self.blocks(mask > 0, r).mean(axis=-1) for mask, r in zip(masks, scales, strict=True)
        ]
        return np.argwhere(np.min(inside, axis=0) >= self.minimum_inside)

    def voxels(self, patches: np.ndarray, shape: tuple[int, ...], scale: int = 1) -> np.ndarray:
        """Voxels of an image of `shape` that lie in one of the `patches` (n, 3), as a mask."""
        inside = np.zeros(self.shape(shape, scale), dtype=bool)
        inside[tuple(patches.T)] = True
        for axis in range(3):
            inside = inside.repeat(self.core * scale, axis)
        x, y, z = shape[:3]
        return inside[:x, :y, :z]

    def patch_means(
        self, values: np.ndarray, mask: np.ndarray, patches: np.ndarray, scale: int
    ) -> np.ndarray:
        """Mean of an image over each patch's voxels in the mask; patches without any are left out.

        Parameters
        ----------
        values, mask : ndarray, shape (x r, y r, z r)
        patches : ndarray of int, shape (n, 3)
            Positions of the cores in the lattice, see `counted`.
        scale : int

        Returns
        -------
        ndarray, shape (at most n,)
        """
        chosen = tuple(patches.T)
        inside = self.blocks(mask > 0, scale)[chosen].sum(axis=-1)
        total = self.blocks(np.where(mask > 0, values, 0), scale)[chosen].sum(axis=-1)
        return total[inside > 0] / inside[inside > 0]

    def touched(self, mask: np.ndarray, scale: int = 1) -> np.ndarray:
        """Whether each core holds any voxel of the mask, (i, j, k) of bool."""
        return self.blocks(mask > 0, scale).any(axis=-1)


def pad_source(image: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Extend a source image (x, y, z, c) so that every core has its border.

    The outermost voxels are repeated. Outside the brain they are 0 anyway. Where the field of view
    cuts through the brain, the nearest measured voxel is the best guess.
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
