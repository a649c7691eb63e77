"""What a scanner does to a scan: gradient coil, receive coil, distortion, point spread, noise.

Each effect belongs to the scanner or its protocol, whatever the cohort's seed; only the session's
share differs from scan to scan.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from harmonization.files import InputError
from harmonization.images.spheres import sphere
from harmonization.phantom.atlas import Atlas
from harmonization.phantom.fields import VectorField
from harmonization.seeds import generator_of

REACH = 100.0  # mm; the unit of coordinates that keeps polynomials of order one
G_FACTOR_RADIUS = 60.0  # mm; parallel imaging amplifies noise most in the middle


def half_range(values: np.ndarray) -> float:
    """Half the distance between the 1st and the 99th percentile."""
    low, high = np.quantile(values, [0.01, 0.99])
    return float(high - low) / 2


def b_deviation(coil: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Relative errors of b (n, v) for unit `directions` (v, 3), from coil matrices (n, 3, 3)."""
    made = np.einsum("nij,vj->nvi", coil, directions)
    return (made**2).sum(axis=2) - 1


class Scanner:
    """A scanner's hardware as functions of position.

    Parameters
    ----------
    name : str
        Key of ``scanners``.
    parameters : dict
        The phantom's parameters.
    atlas : Atlas
        Sizes of effects refer to its brain.
    """

    def __init__(self, name: str, parameters: dict[str, Any], atlas: Atlas) -> None:
        settings = parameters["scanners"][name]
        self.isocentre = np.array(parameters["acquisition"]["isocentre"])
        brain = self._centred(atlas.brain_points(8.0))

        # Errors of b are proportional to the coil's errors as long as these are small.
        pattern, small = np.array(settings["gradient_coil"]), 1e-3
        errors = b_deviation(CoilField(small * pattern)(brain), sphere("repulsion100"))
        unit = half_range(errors) / small
        self.coil = CoilField(settings["b_deviation"] / unit * pattern)

        self.receive_weights = generator_of("receive coil", name).normal(size=9)
        shape = _second_order(brain) @ self.receive_weights
        self.receive_mean, self.receive_range = shape.mean(), half_range(shape)
        self.receive_bias = settings["receive_bias"]

    def _centred(self, points: np.ndarray) -> np.ndarray:
        return (points - self.isocentre) / REACH

    def coil_at(self, points: np.ndarray) -> np.ndarray:
        """Matrices (n, 3, 3) that turn the wanted into the real gradient at `points` (n, 3)."""
        return self.coil(self._centred(points))

    def receive_at(self, points: np.ndarray) -> np.ndarray:
        """Relative sensitivity (n,) of the receive coil at `points` (n, 3), 1 on average."""
        shape = _second_order(self._centred(points)) @ self.receive_weights
        relative = (shape - self.receive_mean) / self.receive_range
        return np.maximum(1 + self.receive_bias * relative, 0.1)


@dataclass(frozen=True)
class CoilField:
    """Derivatives of a gradient coil's field, whose error is a solid harmonic of third degree.

    The x coil has the field x + a x (4 z^2 - x^2 - y^2), the y coil accordingly, and the z coil
    z + a z (2 z^2 - 3 x^2 - 3 y^2). An ideal coil's symmetry allows no error of lower degree.

    Parameters
    ----------
    cubic : ndarray, shape (3,)
        a of each coil, with lengths in units of `REACH`.
    """

    cubic: np.ndarray

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """Matrices (n, 3, 3) at `places` (n, 3) relative to the isocentre, in units of `REACH`."""
        x, y, z = places.T
        a, b, c = self.cubic
        rows = [
            [1 + a * (4 * z**2 - 3 * x**2 - y**2), -2 * a * x * y, 8 * a * x * z],
            [-2 * b * x * y, 1 + b * (4 * z**2 - x**2 - 3 * y**2), 8 * b * y * z],
            [-6 * c * x * z, -6 * c * y * z, 1 + c * (6 * z**2 - 3 * x**2 - 3 * y**2)],
        ]
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _second_order(places: np.ndarray) -> np.ndarray:
    """Monomials (n, 9) of first and second order."""
    rows, columns = np.triu_indices(3)
    return np.concatenate([places, places[:, rows] * places[:, columns]], axis=1)


def distortion_field(
    platform: str, parameters: dict[str, Any], atlas: Atlas, session: np.random.Generator
) -> VectorField:
    """Residual displacement along the phase axis after distortion correction, mm (one channel).

    The pattern is fixed for the platform except for a share that the session adds. Its size (99th
    percentile of the absolute displacement over the brain) is drawn from the platform's range.
    """
    smoothness = parameters["acquisition"]["distortion_smoothness"]
    share = parameters["session"]["distortion"]
    fixed = VectorField.random(generator_of("distortion", platform), 1, smoothness).values
    own = VectorField.random(session, 1, smoothness).values
    field = VectorField(np.sqrt(1 - share**2) * fixed + share * own)
    size = np.quantile(np.abs(field(atlas.brain_points(8.0))), 0.99)
    wanted = session.uniform(*parameters["platforms"][platform]["distortion"])
    return VectorField(field.values * wanted / size)


def g_factor_at(points: np.ndarray, protocol: dict[str, Any], isocentre: list[float]) -> np.ndarray:
    """Noise amplification (n,) by parallel imaging at `points` (n, 3)."""
    distance2 = ((points - np.array(isocentre)) ** 2).sum(axis=1)
    return 1 + (protocol["g_factor"] - 1) * np.exp(-distance2 / (2 * G_FACTOR_RADIUS**2))


@dataclass(frozen=True)
class Apodisation:
    """Weights along the phase axis of k-space, exp(-decay k) exp(-smoothing k^2); k=1 at its edge.

    The signal decays (T2*) while the phase axis is sampled; with partial Fourier sampling and its
    conjugate symmetry, both halves of k-space decay alike. The vendor's filter is a Gaussian.
    """

    decay: float
    smoothing: float

    @classmethod
    def of_width(cls, width: float, decay: float) -> "Apodisation":
        """Add to `decay` the smoothing that makes the point spread `width` times the ideal width.

        A `width` of 1 means an ideal readout, without decay.

        Raises
        ------
        InputError
            If decay alone makes the point spread wider.
        """
        if width == 1:
            return cls(0.0, 0.0)
        ideal = cls(0.0, 0.0).half_width()
        if cls(decay, 0.0).half_width() > width * ideal:
            raise InputError(
                f"phantom parameters: point_spread {width}: T2* decay of {decay:.2g} during the "
                "readout alone makes it wider; give a shorter readout"
            )
        excess = lambda smoothing: cls(decay, smoothing).half_width() / ideal - width  # noqa: E731
        return cls(decay, float(brentq(excess, 0, 20)))

    def __call__(self, k: np.ndarray) -> np.ndarray:
        """Weights at spatial frequencies `k`; k=1 at the edge of k-space."""
        return np.exp(-self.decay * k - self.smoothing * k**2)

    def half_width(self) -> float:
        """Half width at half maximum of the point spread, in voxels."""
        k = (np.arange(2000) + 0.5) / 2000
        weights = self(k)

        def above_half(x: float) -> float:
            return float((weights * (np.cos(np.pi * x * k) - 0.5)).sum())

        return float(brentq(above_half, 0, 5))


def readout(voxels: int, points: int, apodisation: Apodisation) -> np.ndarray:
    """Matrix (voxels, points) that samples fine points through a truncated k-space on one axis.

    Points and voxels divide the same field of view evenly. Spatial frequencies up to that of the
    voxels pass, weighted by `apodisation`; edges ring as they do on a scanner.
    """
    frequencies = np.arange(voxels // 2 + 1)
    weights = apodisation(frequencies / (voxels / 2))
    weights[1:] *= 2
    if voxels % 2 == 0:
        weights[-1] /= 2
    where_voxels = (np.arange(voxels) + 0.5) / voxels
    where_points = (np.arange(points) + 0.5) / points
    phase = 2 * np.pi * (where_voxels[:, None] - where_points[None])
    waves = np.cos(phase[..., None] * frequencies) @ weights
    return (waves / points).astype(np.float32)


def add_noise(signal: np.ndarray, sigma: np.ndarray, rng: np.random.Generator) -> None:
    """Add noise where a series has signal; in place, because a full scan fills gigabytes.

    Parameters
    ----------
    signal : ndarray, shape (x, y, z, n)
    sigma : ndarray, shape (x, y, z)
        Standard deviation of the noise in either channel.
    rng : Generator
    """
    for k in range(signal.shape[2]):
        there = signal[:, :, k, 0] > 0
        noisy = add_rician_noise(signal[there, k], sigma[there, k][:, None], rng)
        signal[there, k] = noisy


def add_rician_noise(
    signal: np.ndarray, sigma: np.ndarray | float, rng: np.random.Generator
) -> np.ndarray:
    """Magnitude of `signal` plus complex Gaussian noise of standard deviation `sigma`."""
    real, imaginary = (
        rng.standard_normal(signal.shape, dtype=np.float32) * np.float32(sigma) for _ in range(2)
    )
    real += signal
    return np.sqrt(real**2 + imaginary**2)
