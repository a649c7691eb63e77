"""Spherical harmonics: the basis, and the fit of a signal in it.

The basis is dipy's ``descoteaux07`` in its current form (``legacy=False``), even orders only.
"""

import numpy as np
from dipy.reconst.shm import real_sh_descoteaux, smooth_pinv

from harmonization.images.coefficients import LEGACY, coefficient_orders


def normalise_by_b0(signal: np.ndarray, b0: np.ndarray) -> np.ndarray:
    """Divide `signal` (n, volumes) by `b0` (n,), voxel by voxel, and clip to [0, 1].

    A diffusion-weighted signal cannot exceed the b=0 signal; only noise at the brain's edge
    makes it seem to.
    """
    return np.clip(signal / np.maximum(b0, 1e-6 * b0.max())[:, None], 0, 1)


def harmonics(directions: np.ndarray, order: int) -> np.ndarray:
    """Values (n, c) of the basis in `directions` (n, 3), unit vectors."""
    x, y, z = directions.T
    polar, azimuth = np.arccos(np.clip(z, -1, 1)), np.arctan2(y, x)
    return real_sh_descoteaux(order, polar, azimuth, legacy=LEGACY)[0]


def fit_signal(
    signal: np.ndarray, directions: np.ndarray, order: int, regularisation: float
) -> np.ndarray:
    """Least-squares fit of the signal with Laplace-Beltrami regularisation (Descoteaux 2007).

    Parameters and return value as in `deconvolution.fit_fod`; `regularisation` weighs the penalty.
    """
    orders = coefficient_orders(order)
    penalty = -orders * (orders + 1)
    return signal @ smooth_pinv(harmonics(directions, order), np.sqrt(regularisation) * penalty).T
