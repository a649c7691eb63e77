"""Arrays (..., c) of spherical-harmonic coefficients, even orders only; needs only numpy."""

import numpy as np

BASIS = "descoteaux07"  # dipy's name
LEGACY = False  # its present form


def coefficient_orders(order: int) -> np.ndarray:
    """Order l of each coefficient up to `order`: [0, 2, 2, 2, 2, 2, 4, ...]."""
    even = np.arange(0, order + 1, 2)
    return np.repeat(even, 2 * even + 1)


def order_of(coefficients: int) -> int:
    """Order l of an even basis with (l+1)(l+2)/2 `coefficients`."""
    return round((np.sqrt(1 + 8 * coefficients) - 3) / 2)


def rish(coefficients: np.ndarray, order: int) -> np.ndarray:
    """Rotation-invariant SH features: the energy of each even order (Mirzaalian 2018).

    Parameters
    ----------
    coefficients : ndarray, shape (..., c)
    order : int

    Returns
    -------
    ndarray, shape (..., order // 2 + 1)
    """
    energy, orders = coefficients**2, coefficient_orders(order)
    return np.stack([energy[..., orders == n].sum(axis=-1) for n in np.unique(orders)], axis=-1)


def generalised_anisotropy(energies: np.ndarray) -> np.ndarray:
    """Generalised fractional anisotropy from `rish` (..., orders): 0 for a sphere, at most 1.

    It is sqrt(1 - c_00^2 / sum of all c_lm^2), as in Descoteaux 2007; 0 if all of them are 0.
    """
    # Not 1 minus the share of order 0, which would round away what little is left of 1.
    anisotropic, total = energies[..., 1:].sum(axis=-1), energies.sum(axis=-1)
    return np.sqrt(np.divide(anisotropic, total, out=np.zeros_like(total), where=total > 0))


def mean_by_order(values: np.ndarray) -> np.ndarray:
    """Mean over each order (..., order // 2 + 1) of `values` (..., c) of every coefficient."""
    orders = coefficient_orders(order_of(values.shape[-1]))
    return np.stack([values[..., orders == n].mean(axis=-1) for n in np.unique(orders)], axis=-1)


Statistics = dict[str, list[float]]  # mean and std of every coefficient over some brains


def normalise(image: np.ndarray, statistics: Statistics) -> np.ndarray:
    """Subtract each coefficient's mean and divide all by one scale, the rms standard deviation.

    One scale keeps the coefficients in proportion: an error of normalised images is the error of
    raw images divided by a constant, so that networks train on the measure that scores them.
    """
    mean, scale = mean_and_scale(statistics)
    return (image - mean) / scale


def denormalise(image: np.ndarray, statistics: Statistics) -> np.ndarray:
    """Undo `normalise`."""
    mean, scale = mean_and_scale(statistics)
    return image * scale + mean


def mean_and_scale(statistics: Statistics) -> tuple[np.ndarray, np.float32]:
    """Mean of every coefficient, (c,), and the one scale, of `normalise`."""
    mean, std = (np.array(statistics[k]) for k in ("mean", "std"))
    return mean.astype(np.float32), np.float32(np.sqrt((std**2).mean()))
