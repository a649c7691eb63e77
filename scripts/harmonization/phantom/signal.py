"""Diffusion signal of tissue: sticks, zeppelins and a ball, each with its own T2.

White matter is a stick (inside axons) and a zeppelin (around them) for each fibre population
(Panagiotaki 2012), with dispersed directions. Grey matter is a slightly anisotropic zeppelin, CSF a
ball. Compartments differ in T2, so that echo time changes the mixture (Veraart 2018).
"""

from typing import Any

import numpy as np
from numba import njit

from harmonization.phantom.people import Tissue

ONE, TWO = np.float32(1), np.float32(2)
FLOOR = np.float32(1e-6)
SQUARINGS = 6  # see `decay`
PART = np.float32(1 / 2**SQUARINGS)
SERIES = tuple(np.float32(c) for c in (1 / 720, -1 / 120, 1 / 24, -1 / 6, 1 / 2, -1, 1))


def signal(
    tissue: Tissue,
    parameters: dict[str, Any],
    te: float,
    bvals: np.ndarray,
    directions: np.ndarray,
    coil: np.ndarray,
) -> np.ndarray:
    """Noise-free signal at n points, by compiled code in float32.

    Parameters
    ----------
    tissue : Tissue
        With directions in scanner axes.
    parameters : dict
        ``tissue`` section of the phantom's parameters.
    te : float
        Echo time, ms.
    bvals : ndarray, shape (v,)
        b-values that an ideal gradient coil would give, s/mm2.
    directions : ndarray, shape (v, 3)
        Wanted gradient directions, unit vectors; arbitrary where b is 0.
    coil : ndarray, shape (n, 3, 3)
        Turns the wanted into the real gradient at each point; identity if the coil is ideal.

    Returns
    -------
    ndarray, shape (n, v), float32
        1 is the signal of water without diffusion weighting or decay.
    """
    p, own = parameters, tissue.properties
    white = p["density_white"] * tissue.white
    weights = [
        white * own["intra_fraction"] * np.exp(-te / own["t2_intra"]),
        white * (1 - own["intra_fraction"]) * np.exp(-te / own["t2_extra"]),
        p["density_grey"] * np.exp(-te / p["t2_grey"]) * tissue.grey,
        p["density_csf"] * np.exp(-te / p["t2_csf"]) * tissue.csf,
    ]
    along, across = own["parallel_diffusivity"], own["extra_perpendicular_diffusivity"]
    microstructure = [along, across, np.radians(own["dispersion"]) ** 2]
    others = [p[f"{name}_diffusivity"] for name in ("grey_parallel", "grey_perpendicular", "csf")]
    # (L g) f, of coil L, gradient g and fibre f, is g (L' f): only the fibres need turning.
    back = np.swapaxes(coil, 1, 2)
    axes = np.concatenate([tissue.fibres, tissue.columns[:, None]], axis=1) @ coil
    values = np.empty((len(coil), len(bvals)), dtype=np.float32)
    _fill(
        *(np.stack(rows, axis=1).astype(np.float32) for rows in (weights, microstructure)),
        *(np.float32(array) for array in (others, axes, tissue.fibre_fractions, back @ coil)),
        np.float32(bvals),
        np.ascontiguousarray(directions.T, dtype=np.float32),
        values,
    )
    return values


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _fill(
    weights: np.ndarray,
    microstructure: np.ndarray,
    others: np.ndarray,
    axes: np.ndarray,
    shares: np.ndarray,
    metric: np.ndarray,
    bvals: np.ndarray,
    directions: np.ndarray,
    values: np.ndarray,
) -> None:
    """Fill `values` (n, v), see `signal`; loops over volumes run in vector registers.

    Parameters
    ----------
    weights : ndarray, shape (n, 4)
        Signal at b=0 inside axons, around them, of grey matter and of CSF.
    microstructure : ndarray, shape (n, 3)
        Of white matter: diffusivity along fibres and around them, variance of their tilt.
    others : ndarray, shape (3,)
        Diffusivities along and across the columns of grey matter, and of CSF.
    axes : ndarray, shape (n, 4, 3)
        Three fibre populations and the columns, turned by the transposed coil.
    shares : ndarray, shape (n, 3)
        Of the populations.
    metric : ndarray, shape (n, 3, 3)
        g metric g is the real gradient's squared length, if g is the wanted one.
    bvals, directions : ndarray, shapes (v,) and (3, v)
    """
    x, y, z = directions
    points, volumes = values.shape
    b, strength = np.empty(volumes, np.float32), np.empty(volumes, np.float32)
    cosine2 = np.empty(volumes, np.float32)
    for n in range(points):
        m, (intra, extra, grey, csf) = metric[n], weights[n]
        for v in range(volumes):
            straight = m[0, 0] * x[v] * x[v] + m[1, 1] * y[v] * y[v] + m[2, 2] * z[v] * z[v]
            mixed = m[0, 1] * x[v] * y[v] + m[0, 2] * x[v] * z[v] + m[1, 2] * y[v] * z[v]
            strength[v] = straight + TWO * mixed
            b[v] = bvals[v] * strength[v]
            values[n, v] = 0
        if csf > 0:
            for v in range(volumes):
                values[n, v] = csf * decay(b[v] * others[2])
        if grey > 0:
            _project(axes[n, 3], directions, strength, cosine2)
            for v in range(volumes):
                diffusivity = others[1] + (others[0] - others[1]) * cosine2[v]
                values[n, v] += grey * decay(b[v] * diffusivity)
        if intra + extra > 0:
            along, across, spread = microstructure[n]
            for population in range(3):
                share = shares[n, population]
                if share <= 0:
                    continue
                _project(axes[n, population], directions, strength, cosine2)
                for v in range(volumes):
                    stick = dispersed(b[v] * along, cosine2[v], spread)
                    around = dispersed(b[v] * (along - across), cosine2[v], spread)
                    around *= decay(b[v] * across)
                    values[n, v] += share * (intra * stick + extra * around)


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def _project(
    axis: np.ndarray, directions: np.ndarray, strength: np.ndarray, cosine2: np.ndarray
) -> None:
    """Fill `cosine2` (v,), the squared cosines between an axis and the real gradients."""
    for v in range(len(cosine2)):
        projected = (
            directions[0, v] * axis[0] + directions[1, v] * axis[1] + directions[2, v] * axis[2]
        )
        # b=0 volumes have no direction.
        cosine2[v] = projected * projected / max(strength[v], FLOOR)


@njit(inline="always")
def decay(x: float) -> float:
    """exp(-x) for x from 0 to about 20, to 1e-6 of 1; runs in vector registers, unlike numba's.

    The series is taken of a small part of x, and its value squared again and again.
    """
    part = x * PART
    value = SERIES[0]
    for term in SERIES[1:]:
        value = value * part + term
    for _ in range(SQUARINGS):
        value = value * value
    return value


@njit(inline="always")
def dispersed(q: float, cosine2: float, spread: float) -> float:
    """Mean of exp(-q cos^2) over directions that scatter around a mean direction.

    Gaussian angles of variance `spread` (radians squared) tilt the directions along both axes
    across the mean. To first order only the tilt towards the gradient matters; over this tilt, the
    mean of exp(-q (c + s e)^2) has a closed form. Dividing q by 1 + 2 spread keeps the directions'
    length.

    Parameters
    ----------
    q : float32
        b times the difference of the diffusivities along and across the fibre.
    cosine2 : float32
        Squared cosine between the gradient and the mean direction.
    spread : float32
        Variance of the tilt.
    """
    q = q / (ONE + TWO * spread)
    widening = ONE + TWO * spread * q * (ONE - cosine2)
    return decay(q * cosine2 / widening) / np.sqrt(widening)
