"""Fit spherical harmonics to a scan on its subject's source grid.

The source stays in place and is only cropped to its brain. A target is sampled once, on the same
grid or on its 2^3 split.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from harmonization.data.bids import read_series
from harmonization.files import InputError, blamed_on, run_command, write_json
from harmonization.images.coefficients import BASIS, LEGACY
from harmonization.images.gradients import volumes_of_shell
from harmonization.images.nifti import read_mask, write_image
from harmonization.images.scan import coefficients_on_grid, crop_to_brain


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
    scan_mask, _ = read_mask(args.mask)
    if scan_mask.shape != dwi.shape[:3]:
        raise InputError(f"{args.mask}: shape {scan_mask.shape} differs from {args.dwi.name}'s")
    with blamed_on(args.grid):
        grid = crop_to_brain(*read_mask(args.grid))
    with blamed_on(args.dwi):
        image, mask, grid_affine = coefficients_on_grid(
            dwi,
            affine,
            bvals,
            directions,
            scan_mask,
            *grid,
            args.settings,
            shell=volumes_of_shell(bvals, args.settings["shell"], args.bval),
            transform=np.loadtxt(args.transform) if args.transform else None,
            scale=args.scale,
            interpolation=args.interpolation,
        )
    write_image(args.sh, image, grid_affine)
    write_image(args.sh_mask, mask, grid_affine)
    write_json(args.sh_sidecar, {"basis": BASIS, "legacy": LEGACY, **args.settings})


if __name__ == "__main__":
    run_command(main)
