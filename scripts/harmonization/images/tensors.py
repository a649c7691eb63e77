"""Diffusion tensors of a signal that is given as spherical harmonics."""

from functools import cache

import numpy as np

from harmonization.images.coefficients import order_of
from harmonization.images.spheres import half_sphere
from harmonization.images.spherical_harmonics import harmonics

LEAST_SIGNAL = 1e-3  # of b=0: the logarithm of what is less, or negative, means nothing


def anisotropy_and_diffusivity(coefficients: np.ndarray, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Fractional anisotropy and mean diffusivity of the tensor that fits a signal best.

    The signal is evaluated in 50 evenly spread directions, and its logarithm fitted by least
    squares (Basser 1994).
    A tensor with negative eigenvalues is left as it is, but its anisotropy is at most 1.

    Parameters
    ----------
    coefficients : ndarray, shape (n, c)
        Of one shell's signal, divided by that at b=0.
    b : float
        s/mm2.

    Returns
    -------
    anisotropy, diffusivity : ndarray, shape (n,)
        The first without a unit, the second in mm2/s.
    """
    basis, fit = _tables(order_of(coefficients.shape[1]))
    elements = -np.log(np.maximum(coefficients @ basis, LEAST_SIGNAL)) / b @ fit
    mean = elements[:, :3].mean(axis=1)
    # Squared norms of the tensor and of its deviation from a sphere, which need no eigenvalues.
    norm = (elements**2 @ [1, 1, 1, 2, 2, 2]).clip(min=np.finfo(float).tiny)
    deviation = norm - 3 * mean**2
    return np.sqrt(np.clip(1.5 * deviation / norm, 0, 1)), mean


@cache
def _tables(order: int) -> tuple[np.ndarray, np.ndarray]:
    """From coefficients to signals (c, d), and from their logarithms to six elements (d, 6)."""
    directions = half_sphere("repulsion100")
    x, y, z = directions.T
    design = np.stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z], axis=1)
    return harmonics(directions, order).T, np.linalg.pinv(design).T
