"""Random fields over the head: smooth ones, and fine ones that repeat."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter

from harmonization.images.sampling import sample_maps

NODES_PER_SIZE = 1.5  # of a texture


@dataclass(frozen=True)
class VectorField:
    """A smooth field on a coarse grid over the head, interpolated linearly between its nodes."""

    values: np.ndarray  # (channels, x, y, z)
    spacing: float = 4.0  # mm
    origin: tuple[float, float, float] = (-110.0, -140.0, -90.0)
    extent = (220.0, 250.0, 220.0)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values at world `points` (n, 3), as (n, channels)."""
        return sample_maps(self._maps, (points - np.array(self.origin)).T / self.spacing)

    @cached_property
    def _maps(self) -> np.ndarray:
        return np.ascontiguousarray(np.moveaxis(self.values, 0, -1), dtype=np.float32)

    @cached_property
    def jacobian(self) -> "VectorField":
        """Partial derivatives d(value)/d(position), row by row: three for each channel."""
        rows = [np.gradient(v, self.spacing) for v in self.values]
        return VectorField(np.concatenate(rows), self.spacing, self.origin)

    @classmethod
    def random(cls, rng: np.random.Generator, channels: int, smoothness: float) -> "VectorField":
        """White noise smoothed by a Gaussian of `smoothness` mm, each channel with rms 1."""
        shape = tuple(int(e / cls.spacing) + 1 for e in cls.extent)
        noise = rng.standard_normal((channels, *shape), dtype=np.float32)
        smooth = np.stack(
            [gaussian_filter(n, smoothness / cls.spacing, mode="wrap") for n in noise]
        )
        return cls(smooth / np.sqrt((smooth**2).mean(axis=(1, 2, 3), keepdims=True)))

    def exponential(self, steps: int = 5) -> "VectorField":
        """Diffeomorphic displacement of the flow along this velocity, by scaling and squaring."""
        shape = self.values.shape[1:]
        nodes = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
        points = nodes * self.spacing + np.array(self.origin)
        displacement = self.values / 2**steps
        for _ in range(steps):
            moved = points + displacement.reshape(3, -1).T
            displacement = displacement + VectorField(displacement)(moved).T.reshape(3, *shape)
        return VectorField(displacement)


@dataclass(frozen=True)
class Texture:
    """Fine random fields of mean 0 and variance 1, on a cube that repeats in all directions."""

    maps: np.ndarray  # (n, n, n, channels), float32
    spacing: float  # mm

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values at `points` (n, 3), mm, as (n, channels)."""
        return sample_maps(self.maps, points.T / self.spacing, periodic=True)

    @classmethod
    def random(
        cls, rng: np.random.Generator, channels: int, size: float, nodes: int = 64
    ) -> "Texture":
        """White noise smoothed by a Gaussian of standard deviation `size`, mm."""
        noise = rng.standard_normal((channels, nodes, nodes, nodes), dtype=np.float32)
        smooth = np.stack([gaussian_filter(n, NODES_PER_SIZE, mode="wrap") for n in noise], axis=-1)
        smooth -= smooth.mean(axis=(0, 1, 2))
        return cls(smooth / smooth.std(axis=(0, 1, 2)), size / NODES_PER_SIZE)
