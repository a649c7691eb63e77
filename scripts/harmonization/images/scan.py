"""One scan as coefficients on a grid: the geometry of the benchmark in one function."""

from typing import Any

import numpy as np

from harmonization.files import InputError
from harmonization.images.coefficients import coefficient_orders
from harmonization.images.deconvolution import fit_fod
from harmonization.images.gradients import B0_THRESHOLD, has_signal
from harmonization.images.grids import (
    bounding_box,
    cut,
    in_view,
    points_of_mask,
    rotate_directions,
    split_grid,
    split_mask,
    transform_points,
)
from harmonization.images.sampling import sample, sample_volumes
from harmonization.images.spherical_harmonics import fit_signal, normalise_by_b0

SPLINES = {"nearest": 0, "linear": 1, "cubic": 3}


def crop_to_brain(mask: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut a mask (x, y, z) to its bounding box, and give the affine of the cut.

    Raises
    ------
    InputError
        If the mask is empty.
    """
    if not mask.any():
        raise InputError("the brain mask is empty; make another one")
    return cut(mask, affine, bounding_box(mask > 0))


def coefficients_on_grid(
    dwi: np.ndarray,
    affine: np.ndarray,
    bvals: np.ndarray,
    directions: np.ndarray,
    scan_mask: np.ndarray,
    grid_mask: np.ndarray,
    grid_affine: np.ndarray,
    settings: dict[str, Any],
    shell: np.ndarray,
    transform: np.ndarray | None = None,
    scale: int = 1,
    interpolation: str = "linear",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit spherical harmonics to a scan on a grid, or on the split of its voxels into r^3.

    The scan is sampled once. Coefficients are fitted wherever its field of view reaches the grid's
    brain. The mask that is returned says where the scan has brain, and signal, too.

    Parameters
    ----------
    dwi : ndarray, shape (x, y, z, n)
    affine : ndarray, shape (4, 4)
        Voxel to world of the scan, mm.
    bvals : ndarray, shape (n,)
        s/mm2.
    directions : ndarray, shape (n, 3)
        Unit vectors in the scan's world axes.
    scan_mask : ndarray, shape (x, y, z)
        Brain of the scan.
    grid_mask, grid_affine : ndarray, shapes (i, j, k) and (4, 4)
        Brain of the source, which defines the grid, see `crop_to_brain`.
    settings : dict
        ``spherical_harmonics`` of the configuration.
    shell : ndarray of bool, shape (n,)
        Diffusion-weighted volumes to use.
    transform : ndarray, shape (4, 4), optional
        World of the grid to world of the scan, mm. Without it the grid is the scan's own.
    scale : int
        r, parts of an edge of a voxel of the grid.
    interpolation : {'linear', 'cubic'}

    Returns
    -------
    image : ndarray of float32, shape (i r, j r, k r, c)
        Coefficients; 0 where there are none.
    mask : ndarray of uint8, shape (i r, j r, k r)
    affine : ndarray, shape (4, 4)
        Voxel to world of both.

    Raises
    ------
    InputError
        If the two brains do not meet, or the order needs more directions.
    """
    _, fine_affine = split_grid(grid_mask.shape, grid_affine, scale)
    brain = split_mask(grid_mask, scale)
    to_scan = np.eye(4) if transform is None else transform
    points = transform_points(to_scan, points_of_mask(brain, fine_affine))
    seen = in_view(dwi.shape, affine, points)
    in_brain = seen & (sample(scan_mask, affine, points, order=1) > 0.5)

    if not in_brain.any():
        raise InputError(
            "its brain does not meet the source's; look at both and their registration"
        )

    # On the scan's own grid the points are voxel centres: there is nothing to interpolate.
    order = SPLINES["nearest" if transform is None else interpolation]
    b0 = bvals < B0_THRESHOLD
    used = b0 | shell
    values = sample_volumes(dwi, np.flatnonzero(used), affine, points[seen], order)
    # Without any signal nothing was measured, whatever the mask says.
    in_brain[seen] &= has_signal(values, b0[used])
    turned = rotate_directions(directions, to_scan)
    coefficients = fit_coefficients(
        values[:, b0[used]].mean(axis=1), values[:, ~b0[used]], turned[shell], settings
    )

    image = np.zeros((*brain.shape, coefficients.shape[1]), dtype=np.float32)
    mask = np.zeros(brain.shape, dtype=np.uint8)
    voxels = np.argwhere(brain)
    image[tuple(voxels[seen].T)] = coefficients
    mask[tuple(voxels[in_brain].T)] = 1
    return image, mask, fine_affine


def fit_coefficients(
    b0: np.ndarray, signal: np.ndarray, directions: np.ndarray, settings: dict[str, Any]
) -> np.ndarray:
    """Fit the configured representation to signals.

    Parameters
    ----------
    b0 : ndarray, shape (n,)
    signal : ndarray, shape (n, volumes)
        One shell.
    directions : ndarray, shape (volumes, 3)
        Unit vectors.
    settings : dict
        ``spherical_harmonics`` of the configuration.

    Returns
    -------
    ndarray, shape (n, c)

    Raises
    ------
    InputError
        If the order needs more directions.
    """
    order = settings["order"]
    if len(directions) < (needed := len(coefficient_orders(order))):
        raise InputError(
            f"spherical_harmonics.order: order {order} needs {needed} directions, the shell has "
            f"{len(directions)}; choose a lower order"
        )
    if settings["normalise_by_b0"]:
        signal = normalise_by_b0(signal, b0)
    if settings["representation"] == "signal":
        return fit_signal(signal, directions, order, settings["regularisation"])
    return fit_fod(signal, directions, settings["shell"], order, settings["response"])
