"""Fibre directions in figures: their colours, and their distributions in the plane of a slice."""

import numpy as np

from harmonization.images.coefficients import order_of
from harmonization.images.spheres import sphere
from harmonization.images.spherical_harmonics import harmonics

ANGLES = 72  # directions in the plane of a slice


def direction_colours(coefficients: np.ndarray, brightest: np.ndarray | None = None) -> np.ndarray:
    """Colour of the mean fibre direction: red left-right, green front-back, blue up-down.

    Parameters
    ----------
    coefficients : ndarray, shape (..., c)
        Fibre orientation distributions or signals.
    brightest : ndarray, shape (..., c), optional
        Those whose colours set the brightness of all, so that pictures compare; by default the
        same.

    Returns
    -------
    ndarray, shape (..., 3), between 0 and 1
        Brightness grows with anisotropy.
    """
    colours = _unscaled_colours(coefficients)
    scaling = colours if brightest is None else _unscaled_colours(brightest)
    return np.clip(colours / max(np.quantile(scaling, 0.995), 1e-9), 0, 1)


def _unscaled_colours(coefficients: np.ndarray) -> np.ndarray:
    directions = sphere("repulsion100")
    heights = amplitudes(coefficients, directions)
    anisotropic = heights - heights.min(axis=-1, keepdims=True)
    colours = anisotropic @ np.abs(directions)
    return colours - colours.min(axis=-1, keepdims=True)


def crossing(coefficients: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Height of the second peak of a distribution in the plane of a slice, (x, y); 0 without one.

    Parameters
    ----------
    coefficients : ndarray, shape (x, y, c)
    axes : ndarray, shape (2, 3)
        World vectors of a step along each axis of the slice.
    """
    heights = amplitudes(coefficients, plane_directions(axes))[..., : ANGLES // 2]
    neighbours = np.maximum(np.roll(heights, 1, axis=-1), np.roll(heights, -1, axis=-1))
    return np.sort(np.where(heights > neighbours, heights, 0), axis=-1)[..., -2]


def plane_directions(axes: np.ndarray) -> np.ndarray:
    """Unit vectors (n, 3) around the plane of two `axes` (2, 3), from the first to the second."""
    angle = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    first, second = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    return np.outer(np.cos(angle), first) + np.outer(np.sin(angle), second)


def amplitudes(coefficients: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Values (..., n) of distributions (..., c) in `directions` (n, 3); negative ones are 0."""
    basis = harmonics(directions, order_of(coefficients.shape[-1]))
    return np.maximum(coefficients @ basis.T, 0)
