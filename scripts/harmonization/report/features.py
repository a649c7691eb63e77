"""What biology is read from: energies of orders, anisotropy and tensors of two images."""

from typing import Any

import numpy as np

from harmonization.images.coefficients import generalised_anisotropy, order_of, rish
from harmonization.images.tensors import anisotropy_and_diffusivity

PEAK_ANISOTROPY = 0.8  # generalised; that of noise in grey matter is mostly below, of fibres above
PEAK_SHARE = 1 / 3  # of the mean coefficient of order 0: fluid has less, and peaks of noise only
TOGETHER = 8192  # voxels at once, for the memory

Maps = dict[str, np.ndarray]


def feature_maps(coefficients: np.ndarray, settings: dict[str, Any]) -> Maps:
    """Features of each voxel.

    Parameters
    ----------
    coefficients : ndarray, shape (n, c)
        Raw.
    settings : dict
        ``spherical_harmonics`` of the configuration, with the shell of these coefficients.

    Returns
    -------
    dict of ndarray, shape (n,)
        ``rish_l<l>``, square roots of the energies of each order; ``gfa``, the generalised
        fractional anisotropy. If the coefficients are those of a signal that was divided by b=0,
        also ``fa`` and ``md`` (mm2/s) of a tensor.
    """
    parts = [
        _feature_maps(coefficients[start : start + TOGETHER], settings)
        for start in range(0, len(coefficients), TOGETHER)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _feature_maps(coefficients: np.ndarray, settings: dict[str, Any]) -> Maps:
    energies = rish(coefficients, order_of(coefficients.shape[1]))
    maps = {f"rish_l{2 * number}": root for number, root in enumerate(np.sqrt(energies).T)}
    maps["gfa"] = generalised_anisotropy(energies)
    if settings.get("representation") == "signal" and settings["normalise_by_b0"]:
        maps["fa"], maps["md"] = anisotropy_and_diffusivity(coefficients, settings["shell"])
    return maps


def feature_errors(prediction: Maps, reference: Maps, where: np.ndarray) -> dict[str, float]:
    """How far the features of a prediction lie from those of a reference, in one region.

    ``rish_error_l<l>`` is the mean absolute error of the square root of the energy of an order,
    divided by the reference's mean square root: a relative error of the region. (A mean of relative
    errors of voxels would be that of voxels with next to nothing.) ``gfa_mae``, ``fa_mae`` and
    ``md_mae`` (mm2/s) are mean absolute errors.

    Parameters
    ----------
    prediction, reference : dict of ndarray, shape (n,)
        See `feature_maps`.
    where : ndarray of int or bool
        The voxels of the region.
    """
    errors = {}
    for name, values in reference.items():
        of_region = values[where]
        error = _mean(np.abs(prediction[name][where] - of_region))
        if name.startswith("rish"):
            errors[name.replace("rish", "rish_error")] = _ratio(error, _mean(of_region))
        else:
            errors[f"{name}_mae"] = error
    return errors


def _mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=float))  # a sum of a million float32 would lose digits


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else np.nan


def feature_means(maps: Maps, where: np.ndarray) -> dict[str, float]:
    """Means over a region that people are compared by: ``mean_rish0``, ``mean_gfa``, ...

    Parameters
    ----------
    maps : dict of ndarray, shape (n,)
        See `feature_maps`.
    where : ndarray of int or bool
        The voxels of the region.
    """
    means = {
        f"mean_{name}": _mean(maps[name][where]) for name in ("gfa", "fa", "md") if name in maps
    }
    return {"mean_rish0": _mean(maps["rish_l0"][where] ** 2), **means}


def contrast(maps: Maps, inside: np.ndarray, outside: np.ndarray) -> float:
    """Mean coefficient of order 0, its absolute value, in one region less that in another."""
    order_0 = maps["rish_l0"]
    return _mean(order_0[inside]) - _mean(order_0[outside])


def clear_peaks(maps: Maps) -> np.ndarray:
    """Where distributions have a clear main peak: voxels (n,) of bool.

    Their anisotropy is at least `PEAK_ANISOTROPY`, and their coefficient of order 0 at least
    `PEAK_SHARE` of its mean over all voxels.
    """
    order_0 = maps["rish_l0"]
    return (maps["gfa"] >= PEAK_ANISOTROPY) & (order_0 >= PEAK_SHARE * _mean(order_0))
