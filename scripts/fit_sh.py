"""Fit spherical harmonics to a scan on its subject's source grid.

The source stays where it is and is only cropped to its brain. A target is sampled once, on the
same grid or on its 2^3 split.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from harmonization.bids import B0_THRESHOLD, read_series, volumes_of_shell
from harmonization.coefficients import coefficient_orders
from harmonization.files import InputError, run_command, write_json
from harmonization.grids import (
    in_view,
    points_of_mask,
    rotate_directions,
    sample,
    split_grid,
    transform_points,
)
from harmonization.images import read_image, write_image
from harmonization.spherical_harmonics import (
    BASIS,
    LEGACY,
    fit_fod,
    fit_signal,
    normalise_by_b0,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dwi", "bval", "bvec", "mask"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="of the scan")
    parser.add_argument("--grid", type=Path, required=True, help="brain mask of the source scan")
    parser.add_argument("--transform", type=Path, help="source to scan; the source has none")
    parser.add_argument("--scale", type=int, default=1, help="r, parts of a source voxel's edge")
    parser.add_argument("--interpolation", choices=["linear", "cubic"], default="linear")
    parser.add_argument("--settings", type=json.loads, required=True, help="spherical_harmonics")
    for name in ("sh", "sh-mask", "sh-sidecar"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="written")
    args = parser.parse_args()

    dwi, affine, bvals, directions = read_series(args.dwi, args.bval, args.bvec)
    scan_mask, _ = read_image(args.mask)
    if scan_mask.shape != dwi.shape[:3]:
        raise InputError(f"{args.mask}: shape {scan_mask.shape} differs from {args.dwi.name}'s")
    source_mask, source_affine = cropped(args.grid)

    # The grid of the output, its brain, and where its voxels lie in the scan.
    _, grid_affine = split_grid(source_mask.shape, source_affine, args.scale)
    r = args.scale
    brain = np.kron(source_mask > 0, np.ones((r, r, r), dtype=bool))
    transform = np.loadtxt(args.transform) if args.transform else np.eye(4)
    directions = rotate_directions(directions, transform)
    points = transform_points(transform, points_of_mask(brain, grid_affine))
    # Fitted wherever the field of view reaches, scored where the scan has brain too.
    seen = in_view(dwi.shape, affine, points)
    scored = seen & (sample(scan_mask, affine, points, order=1) > 0.5)

    b0, shell = bvals < B0_THRESHOLD, volumes_of_shell(bvals, args.settings["shell"], args.bval)
    order = 3 if args.interpolation == "cubic" else 1
    if args.transform is None:
        order = 0  # the points are voxel centres
    values = np.stack(
        [sample(dwi[..., v], affine, points[seen], order) for v in np.flatnonzero(b0 | shell)], 1
    )
    is_b0 = b0[b0 | shell]
    coefficients = fit(
        values[:, is_b0].mean(axis=1), values[:, ~is_b0], directions[shell], args.settings
    )

    image = np.zeros((*brain.shape, coefficients.shape[1]), dtype=np.float32)
    mask = np.zeros(brain.shape, dtype=np.uint8)
    voxels = np.argwhere(brain)
    image[tuple(voxels[seen].T)] = coefficients
    mask[tuple(voxels[scored].T)] = 1
    write_image(args.sh, image, grid_affine)
    write_image(args.sh_mask, mask, grid_affine)
    write_json(args.sh_sidecar, {"basis": BASIS, "legacy": LEGACY, **args.settings})


def cropped(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mask cut to its bounding box, and the affine of the cut."""
    mask, affine = read_image(path)
    inside = np.argwhere(mask > 0)
    if not len(inside):
        raise InputError(f"{path}: the brain mask is empty; make it anew")
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    cut = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    affine = affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    return cut, affine


def fit(
    b0: np.ndarray, signal: np.ndarray, directions: np.ndarray, settings: dict[str, Any]
) -> np.ndarray:
    """Coefficients (n, c) of the configured representation."""
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


if __name__ == "__main__":
    run_command(main)
