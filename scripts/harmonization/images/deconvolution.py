"""Constrained spherical deconvolution of many voxels, compiled by numba.

Between two iterations few directions become negative or cease to be, so the normal matrix is
updated by their rows instead of being summed again, and each system is solved by a Cholesky
factorisation of packed rows.
"""

from typing import Any

import numpy as np
from numba import njit

from harmonization.images.coefficients import coefficient_orders
from harmonization.images.spheres import half_sphere
from harmonization.images.spherical_harmonics import harmonics

CONSTRAINED = "evenly_distributed_sphere_362"
ALONG_Z = np.array([[0.0, 0.0, 1.0]])
ITERATIONS = 50  # at most; about five are needed
THRESHOLD = 0.1  # of the mean of the distribution, below which a direction counts as negative
LOW = 15  # coefficients up to l=4, from which the first negative directions are found


def fit_fod(
    signal: np.ndarray, directions: np.ndarray, shell: float, order: int, response: dict[str, Any]
) -> np.ndarray:
    """Constrained spherical deconvolution (Tournier 2007), equal to dipy's.

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
    basis, orders = harmonics(directions, order), coefficient_orders(order)
    by_order, _ = response_kernel(directions, shell, order, response)
    kernel = by_order[orders // 2]
    # With even orders only, half a sphere constrains as the whole does.
    constraints = harmonics(half_sphere(CONSTRAINED), order)
    weight = len(orders) * kernel[0] / np.sqrt(len(constraints) * 362)
    return deconvolve(np.asarray(signal, dtype=float), kernel * basis, weight * constraints)


def response_kernel(
    directions: np.ndarray, shell: float, order: int, response: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Response to a single fibre, by order; parameters as in `fit_fod`.

    Returns
    -------
    kernel : ndarray, shape (order / 2 + 1,)
        What convolution multiplies the coefficients of each order by.
    along_z : ndarray, shape (order / 2 + 1,)
        Coefficients of the response to a fibre along z; those with m=0, the others are 0.
    """
    decay = directions**2 @ np.array(response["eigenvalues"])[::-1]
    signal = response["s0"] * np.exp(-shell * decay)
    coefficients = np.linalg.lstsq(harmonics(directions, order), signal)[0]
    fibre = harmonics(ALONG_Z, order)[0]
    zonal = np.flatnonzero(fibre)
    return coefficients[zonal] / fibre[zonal], coefficients[zonal]


def deconvolve(signal: np.ndarray, design: np.ndarray, constraints: np.ndarray) -> np.ndarray:
    """Fibre orientation distributions that explain signals and are hardly ever negative.

    Parameters
    ----------
    signal : ndarray, shape (n, volumes)
    design : ndarray, shape (volumes, c)
        Signal of each coefficient.
    constraints : ndarray, shape (directions, c)
        Value of each coefficient in the directions that are constrained, times the weight of the
        constraint. The first coefficient is the mean.

    Returns
    -------
    ndarray, shape (n, c)
        The solutions of Tournier 2007 (super-CSD), as dipy's ``csdeconv`` finds them.
    """
    normal = design.T @ design
    try:
        np.linalg.cholesky(normal)
    except np.linalg.LinAlgError:
        normal += 1e-5 * np.eye(len(normal))
    rows, columns = np.triu_indices(len(normal))
    return _deconvolve(
        signal @ design,
        normal[rows, columns],
        np.ascontiguousarray(constraints.T),
        np.ascontiguousarray(constraints[:, rows] * constraints[:, columns]),
    )


@njit(cache=True, error_model="numpy")
def _deconvolve(
    right: np.ndarray, normal: np.ndarray, constraints: np.ndarray, products: np.ndarray
) -> np.ndarray:
    """See `deconvolve`; symmetric matrices are upper triangles, packed row by row.

    Parameters
    ----------
    right : ndarray, shape (n, c)
        Right-hand side of each voxel.
    normal : ndarray, shape (c (c + 1) / 2,)
        Normal matrix without constraints.
    constraints : ndarray, shape (c, directions)
    products : ndarray, shape (directions, c (c + 1) / 2)
        What a constrained direction adds to the normal matrix.
    """
    directions = len(products)
    fully_constrained = normal + products.sum(axis=0)
    found = np.empty_like(right)
    matrix, factor = np.empty_like(normal), np.empty_like(normal)
    density = np.empty(directions)
    constrained = np.empty(directions, np.bool_)
    for voxel in range(len(right)):
        solution = found[voxel]
        _solve(normal, right[voxel], factor, solution)
        threshold = THRESHOLD * constraints[0, 0] * solution[0]
        _evaluate(constraints[:LOW], solution, density)
        if density.min() >= threshold:
            _evaluate(constraints, solution, density)
        # Start from the nearer of two matrices: every direction constrained, or none.
        changed = 2 * (density < threshold).sum() > directions
        constrained[:] = changed
        matrix[:] = fully_constrained if changed else normal
        for _ in range(ITERATIONS):
            for direction in range(directions):
                if (density[direction] < threshold) != constrained[direction]:
                    changed = True
                    constrained[direction] = not constrained[direction]
                    _add(products[direction], 1.0 if constrained[direction] else -1.0, matrix)
            if not changed:
                break
            _solve(matrix, right[voxel], factor, solution)
            _evaluate(constraints, solution, density)
            changed = False
    return found


# Slices and inlined loops from 0 let the compiler use vector instructions.
@njit(inline="always")
def _add(values: np.ndarray, weight: float, total: np.ndarray) -> None:
    """Add weighted values in place."""
    for i in range(len(values)):
        total[i] += weight * values[i]


@njit(cache=True, error_model="numpy")
def _evaluate(constraints: np.ndarray, coefficients: np.ndarray, density: np.ndarray) -> None:
    """Write the density (directions,) of coefficients; those beyond `constraints` count as 0."""
    density[:] = 0
    for row in range(len(constraints)):
        _add(constraints[row], coefficients[row], density)


@njit(cache=True, error_model="numpy")
def _solve(matrix: np.ndarray, right: np.ndarray, factor: np.ndarray, solution: np.ndarray) -> None:
    """Solve a symmetric system by Cholesky; `factor` is overwritten."""
    size = len(right)
    factor[:] = matrix
    solution[:] = right
    start = 0
    for k in range(size):
        row = factor[start : start + size - k]
        scale = 1 / np.sqrt(row[0])
        for j in range(len(row)):
            row[j] *= scale
        start += len(row)
        below = start
        for i in range(1, len(row)):
            _add(row[i:], -row[i], factor[below : below + len(row) - i])
            below += len(row) - i
        solution[k] /= row[0]
        _add(row[1:], -solution[k], solution[k + 1 :])
    for k in range(size - 1, -1, -1):
        start -= size - k
        row, rest = factor[start : start + size - k], solution[k:]
        total = rest[0]
        for j in range(1, len(row)):
            total -= row[j] * rest[j]
        rest[0] = total / row[0]
