"""Spherical harmonics of a scan: deconvolved fibre orientations, or the signal itself.

The basis is dipy's ``descoteaux07`` in its current form (``legacy=False``), even orders only.
"""

import inspect
from typing import Any

import numpy as np
from dipy.core.gradients import gradient_table
from dipy.core.sphere import HemiSphere, Sphere
from dipy.data import get_sphere
from dipy.reconst.csdeconv import ConstrainedSphericalDeconvModel, csdeconv
from dipy.reconst.shm import real_sh_descoteaux, smooth_pinv

from harmonization.images.coefficients import LEGACY


def normalise_by_b0(signal: np.ndarray, b0: np.ndarray) -> np.ndarray:
    """Divide `signal` (n, volumes) by `b0` (n,), voxel by voxel, and clip to [0, 1].

    A diffusion-weighted signal cannot exceed the b=0 signal; only noise at the brain's edge
    makes it seem to.
    """
    return np.clip(signal / np.maximum(b0, 1e-6 * b0.max())[:, None], 0, 1)


def fit_fod(
    signal: np.ndarray, directions: np.ndarray, shell: float, order: int, response: dict[str, Any]
) -> np.ndarray:
    """Constrained spherical deconvolution (Tournier 2007; dipy).

    Parameters
    ----------
    signal : ndarray, shape (n, volumes)
        One shell, divided by b=0 if the response has an ``s0`` of 1.
    directions : ndarray, shape (volumes, 3)
        Unit vectors.
    shell : float
        b-value, s/mm2.
    order : int
        Largest order of the spherical harmonics.
    response : dict
        ``eigenvalues`` (three, mm2/s) and ``s0`` of a single fibre's tensor.

    Returns
    -------
    ndarray, shape (n, coefficients)
    """
    gradients = gradient_table(
        np.r_[0.0, np.full(len(directions), shell)],
        bvecs=np.vstack([np.zeros(3), directions]),
    )
    # With even orders only, a half sphere gives the same solution as dipy's full sphere, faster.
    half_sphere = HemiSphere.from_sphere(get_sphere(name="symmetric362"))
    model = ConstrainedSphericalDeconvModel(
        gradients,
        (np.array(response["eigenvalues"]), response["s0"]),
        sh_order_max=order,
        reg_sphere=half_sphere,
    )
    # model.fit() passes through a decorator that inspects the signature of csdeconv in every
    # voxel, which takes as long as the deconvolution.
    deconvolve = inspect.unwrap(csdeconv)
    prediction = model.R.diagonal() * model.B_dwi
    normal = prediction.T @ prediction
    coefficients = np.empty((len(signal), prediction.shape[1]))
    for voxel, values in enumerate(np.asarray(signal, dtype=float)):
        coefficients[voxel], _ = deconvolve(values, prediction, model.B_reg, P=normal)
    return coefficients @ _from_legacy(order)


def _from_legacy(order: int) -> np.ndarray:
    """Matrix (c, c) from coefficients in dipy's legacy basis, which its CSD uses, to ours."""
    sphere = get_sphere(name="symmetric362")
    bases = [
        real_sh_descoteaux(order, sphere.theta, sphere.phi, legacy=legacy)[0]
        for legacy in (True, LEGACY)
    ]
    # The bases differ by signs and the order of coefficients, so the fit is exact.
    return np.round(np.linalg.lstsq(bases[1], bases[0], rcond=None)[0].T)


def fit_signal(
    signal: np.ndarray, directions: np.ndarray, order: int, regularisation: float
) -> np.ndarray:
    """Least-squares fit of the signal with Laplace-Beltrami regularisation (Descoteaux 2007).

    Parameters and return value as in `fit_fod`; `regularisation` is the weight of the penalty.
    """
    sphere = Sphere(xyz=directions)
    basis, _, orders = real_sh_descoteaux(order, sphere.theta, sphere.phi, legacy=LEGACY)
    penalty = -orders * (orders + 1)
    return signal @ smooth_pinv(basis, np.sqrt(regularisation) * penalty).T
