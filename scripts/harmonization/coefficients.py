"""Arrays of spherical-harmonic coefficients (..., c), even orders only; numpy alone."""

import numpy as np


def coefficient_orders(order: int) -> np.ndarray:
    """Order l of each coefficient up to `order`: [0, 2, 2, 2, 2, 2, 4, ...]."""
    even = np.arange(0, order + 1, 2)
    return np.repeat(even, 2 * even + 1)


def order_of(coefficients: int) -> int:
    """Order l of an even basis with so many coefficients, (l+1)(l+2)/2."""
    return round((np.sqrt(1 + 8 * coefficients) - 3) / 2)


def rish(coefficients: np.ndarray, order: int) -> np.ndarray:
    """Rotation-invariant SH features: the energy of each even order (Mirzaalian 2017).

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


def standardise(image: np.ndarray, statistics: dict[str, list[float]]) -> np.ndarray:
    """Subtract the mean and divide by the standard deviation, coefficient by coefficient."""
    mean, std = (np.array(statistics[k], dtype=np.float32) for k in ("mean", "std"))
    return (image - mean) / std


def raw(image: np.ndarray, statistics: dict[str, list[float]]) -> np.ndarray:
    """Undo `standardise`."""
    mean, std = (np.array(statistics[k], dtype=np.float32) for k in ("mean", "std"))
    return image * std + mean
