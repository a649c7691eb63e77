"""Overlay every scan of one subject on the source, before and after registration."""

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np

from harmonization.data.bids import read_mean_b0
from harmonization.files import read_json, run_command
from harmonization.images.grids import canonical, in_view, points_of_mask, transform_points
from harmonization.images.sampling import sample
from harmonization.report.registrations import draw_registration
from harmonization.report.style import save_figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fixed", type=Path, nargs=2, required=True, metavar=("DWI", "BVAL"))
    parser.add_argument("--labels", nargs="+", required=True, help="one per scan, as below")
    for name in ("dwi", "bval", "transforms", "qualities"):
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True)
    parser.add_argument("--title", required=True)
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()

    fixed, affine = canonical(*read_mean_b0(*args.fixed))
    points = points_of_mask(np.ones(fixed.shape, dtype=bool), affine)
    rows = {}
    scans = zip(args.labels, args.dwi, args.bval, args.transforms, args.qualities, strict=True)
    for label, dwi, bval, transform, quality in scans:
        moving, moving_affine = read_mean_b0(dwi, bval)
        overlays = []
        for way in (np.eye(4), np.loadtxt(transform)):
            there = transform_points(way, points)
            seen = in_view(moving.shape, moving_affine, there)
            overlays.append((sample(moving, moving_affine, there, 1) * seen).reshape(fixed.shape))
        alike = read_json(quality)
        change = "{similarity_before:.2f} to {similarity_after:.2f}".format(**alike)
        rows[f"{label}\nsimilarity {change}"] = tuple(overlays)
    sizes = nib.affines.voxel_sizes(affine)
    save_figure(draw_registration(fixed, sizes, rows, args.title), args.output)


if __name__ == "__main__":
    run_command(main)
