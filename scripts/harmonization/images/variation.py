"""How much a scan varies from voxel to voxel, beyond what noise adds."""

from dataclasses import dataclass

import numpy as np

from harmonization.files import InputError
from harmonization.images.grids import parts_to_channels
from harmonization.images.spherical_harmonics import harmonics

ORDER = 4  # of the fit, of which the part of order 2 counts
SECOND = slice(1, 6)  # coefficients of order 2
SPLITS = 10  # of the directions in halves


@dataclass(frozen=True)
class Variation:
    """Fine variation of the coefficients of order 2.

    Parameters
    ----------
    unexplained : float
        Share of their power that the mean of each block of 2 x 2 x 2 voxels does not explain.
    correlation : float
        Of neighbouring voxels.
    """

    unexplained: float
    correlation: float


def fine_variation(signal: np.ndarray, directions: np.ndarray, brain: np.ndarray) -> Variation:
    """Measure the fine variation of a scan, without that of its noise.

    The directions are split in halves with independent noise, and every power is the product of
    what the two halves measure, averaged over several splits.

    Parameters
    ----------
    signal : ndarray, shape (x, y, z, n)
        One shell, divided by b=0.
    directions : ndarray, shape (n, 3)
        Unit vectors.
    brain : ndarray of bool, shape (x, y, z)
        Only blocks and pairs of voxels that lie in it entirely count.

    Raises
    ------
    InputError
        If halves of the directions are too few to fit, or no block lies in the brain.
    """
    coefficients = (ORDER + 1) * (ORDER + 2) // 2
    if len(directions) < 2 * coefficients:
        raise InputError(f"takes {2 * coefficients} directions; the shell has {len(directions)}")
    even = tuple(slice(0, n // 2 * 2) for n in brain.shape)
    whole = parts_to_channels(brain[even][..., None], 2).all(axis=-1)
    if not whole.any():
        raise InputError("no block of 2 x 2 x 2 voxels lies in the brain")
    rng = np.random.default_rng(0)
    powers = np.zeros(4)  # all, unexplained, around the mean, of neighbours
    for _ in range(SPLITS):
        order = rng.permutation(len(directions))
        halves = [_second_order(signal, directions, order[start::2]) for start in (0, 1)]
        first, second = (
            parts_to_channels(half[even], 2)[whole].reshape(-1, 8, half.shape[-1])
            for half in halves
        )
        powers[0] += (first * second).mean()
        rest = [half - half.mean(axis=1, keepdims=True) for half in (first, second)]
        powers[1] += (rest[0] * rest[1]).mean()
        centred = [half - half[brain].mean(axis=0) for half in halves]
        powers[2] += (centred[0] * centred[1])[brain].mean()
        powers[3] += np.mean([_of_neighbours(*centred, brain, axis) for axis in range(3)])
    return Variation(float(powers[1] / powers[0]), float(powers[3] / powers[2]))


def power_spectrum(signal: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Power of order 2 by spatial frequency, without that of noise.

    Parameters
    ----------
    signal : ndarray, shape (n, n, n, v)
        One shell of a cube of voxels, divided by b=0.
    directions : ndarray, shape (v, 3)
        Unit vectors.

    Returns
    -------
    ndarray, shape (n // 2,)
        At 1 to n // 2 periods in the cube, along each axis in turn: mean over axes and lines. The
        lines are tapered (Hann), and as in `fine_variation`, halves of the directions multiplied.
    """
    rng = np.random.default_rng(0)
    edge = len(signal)
    taper = np.hanning(edge + 1)[:edge, None, None, None]
    power = np.zeros(edge // 2)
    for _ in range(SPLITS):
        order = rng.permutation(len(directions))
        halves = [_second_order(signal, directions, order[start::2]) for start in (0, 1)]
        for axis in range(3):
            lines = [np.moveaxis(half - half.mean(axis=(0, 1, 2)), axis, 0) for half in halves]
            first, second = (np.fft.rfft(taper * line, axis=0) for line in lines)
            power += (first * second.conj()).real.mean(axis=(1, 2, 3))[1 : edge // 2 + 1]
    return power / (3 * SPLITS)


def _second_order(signal: np.ndarray, directions: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Coefficients of order 2 (x, y, z, 5) from the `chosen` directions."""
    inverse = np.linalg.pinv(harmonics(directions[chosen], ORDER))
    return signal[..., chosen] @ inverse[SECOND].T


def _of_neighbours(
    first: np.ndarray, second: np.ndarray, brain: np.ndarray, axis: int
) -> np.floating:
    """Mean product of one half's values with the other half's in the next voxel along an axis."""
    first, second, brain = (np.moveaxis(a, axis, 0) for a in (first, second, brain))
    both = brain[1:] & brain[:-1]
    return (first[1:] * second[:-1])[both].mean()
