"""Diffusion signal of tissue: sticks, zeppelins and a ball, each with its own T2.

White matter is a stick (inside axons) and a zeppelin (around them) for each fibre population
(Panagiotaki 2012), with dispersed directions. Grey matter is a slightly anisotropic zeppelin, CSF a
ball. Compartments differ in T2, so that echo time changes the mixture (Veraart 2018).
"""

from typing import Any

import numpy as np

from harmonization.phantom.people import Tissue


def signal(
    tissue: Tissue,
    parameters: dict[str, Any],
    te: float,
    bvals: np.ndarray,
    directions: np.ndarray,
    coil: np.ndarray,
) -> np.ndarray:
    """Noise-free signal at n points.

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
    ndarray, shape (v, n), float32
        1 is the signal of water without diffusion weighting or decay.
    """
    p, g = parameters, directions.astype(np.float32)
    coil = coil.astype(np.float32)
    # |L g|^2 at every point (L: coil); it scales the b-value and the cosines that tissue gets.
    strength = _quadratic(g, np.swapaxes(coil, 1, 2) @ coil)
    b = bvals.astype(np.float32)[:, None] * strength

    total = np.exp(-p["csf_diffusivity"] * b)
    total *= np.float32(p["density_csf"] * np.exp(-te / p["t2_csf"])) * tissue.csf

    grey = tissue.grey > 0
    cosine2 = _squared_cosine(g, coil[grey], tissue.columns, strength[:, grey])
    weight = np.float32(p["density_grey"] * np.exp(-te / p["t2_grey"])) * tissue.grey[grey]
    across, along = p["grey_perpendicular_diffusivity"], p["grey_parallel_diffusivity"]
    total[:, grey] += weight * np.exp(-b[:, grey] * (across + (along - across) * cosine2))

    white = tissue.white > 0
    total[:, white] += tissue.white[white] * _white_matter(
        tissue, p, te, b[:, white], g, coil[white], strength[:, white]
    )
    return total


def _white_matter(
    tissue: Tissue,
    p: dict[str, Any],
    te: float,
    b: np.ndarray,
    g: np.ndarray,
    coil: np.ndarray,
    strength: np.ndarray,
) -> np.ndarray:
    """Signal (v, w) of pure white matter at the points that hold white matter."""
    own = tissue.properties
    parallel = own["parallel_diffusivity"]
    perpendicular = own["extra_perpendicular_diffusivity"]
    spread = np.float32(np.radians(own["dispersion"]) ** 2)
    density = np.float32(p["density_white"])
    intra = density * own["intra_fraction"] * np.exp(-te / own["t2_intra"])
    extra = density * (1 - own["intra_fraction"]) * np.exp(-te / own["t2_extra"])
    isotropic = extra * np.exp(-b * perpendicular)
    stick, zeppelin = b * parallel, b * (parallel - perpendicular)
    total = np.zeros_like(b)
    for population in range(tissue.fibres.shape[1]):
        share = tissue.fibre_fractions[:, population]
        present = share > 0
        cosine2 = _squared_cosine(
            g, coil[present], tissue.fibres[present, population], strength[:, present]
        )
        spread_here = spread[present]
        total[:, present] += share[present] * (
            intra[present] * dispersed(stick[:, present], cosine2, spread_here)
            + isotropic[:, present] * dispersed(zeppelin[:, present], cosine2, spread_here)
        )
    return total


def dispersed(q: np.ndarray, cosine2: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Mean of exp(-q cos^2) over directions that scatter around a mean direction.

    Gaussian angles of variance `spread` (radians squared) tilt the directions along both axes
    across the mean. To first order only the tilt towards the gradient matters; over this tilt, the
    mean of exp(-q (c + s e)^2) has a closed form. Dividing q by 1 + 2 spread keeps the directions'
    length.

    Parameters
    ----------
    q : ndarray
        b times the difference of the diffusivities along and across the fibre.
    cosine2 : ndarray
        Squared cosine between the gradient and the mean direction.
    spread : ndarray
        Variance of the tilt.
    """
    q = q / (1 + 2 * spread)
    widening = 1 + 2 * spread * q * (1 - cosine2)
    return np.exp(-q * cosine2 / widening) / np.sqrt(widening)


def _squared_cosine(
    g: np.ndarray, coil: np.ndarray, axes: np.ndarray, strength: np.ndarray
) -> np.ndarray:
    """Squared cosines (v, n) between the gradients that the coil makes and `axes` (n, 3)."""
    seen = np.einsum("nji,nj->ni", coil, axes)
    cosine2 = (g @ seen.T) ** 2
    # b=0 volumes have no direction.
    return cosine2 / np.maximum(strength, 1e-6)


def _quadratic(g: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Products g M g (v, n) of vectors (v, 3) and symmetric matrices (n, 3, 3)."""
    products = (g[:, :, None] * g[:, None, :]).reshape(len(g), 9)
    return products @ matrices.reshape(-1, 9).T
