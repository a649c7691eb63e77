"""Measure how much a scan varies from voxel to voxel, as `check_phantom` measures the phantom."""

import argparse
from pathlib import Path

import numpy as np

from harmonization.data.bids import CONVENTIONS, read_series
from harmonization.files import InputError, blamed_on, run_command
from harmonization.images.gradients import B0_THRESHOLD, volumes_of_shell
from harmonization.images.nifti import read_mask
from harmonization.images.variation import fine_variation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dwi", "bval", "bvec"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--mask", type=Path, help="where to measure; by default everywhere")
    parser.add_argument("--shell", type=float, required=True, metavar="B", help="s/mm2")
    parser.add_argument("--convention", choices=CONVENTIONS, default="fsl", help="of the b-vectors")
    args = parser.parse_args()

    data, _, bvals, directions = read_series(args.dwi, args.bval, args.bvec, args.convention)
    shell = volumes_of_shell(bvals, args.shell, args.bval)
    b0 = bvals < B0_THRESHOLD
    if not b0.any():
        raise InputError(f"{args.bval}: no volume with b below {B0_THRESHOLD:g}; add one")
    brain = np.ones(data.shape[:3], dtype=bool)
    if args.mask:
        brain = read_mask(args.mask)[0] > 0
        if brain.shape != data.shape[:3]:
            raise InputError(f"{args.mask}: shape {brain.shape} differs from {args.dwi.name}'s")
    mean = data[..., b0].mean(axis=-1, keepdims=True)
    signal = np.divide(data[..., shell], mean, out=np.zeros_like(data[..., shell]), where=mean > 0)
    with blamed_on(args.dwi):
        found = fine_variation(signal, directions[shell], brain & (mean[..., 0] > 0))
    print(f"{found.unexplained:.1%} of order 2 is not explained by blocks of 2 x 2 x 2 voxels")
    print(f"{found.correlation:.2f} is the correlation of neighbouring voxels")


if __name__ == "__main__":
    run_command(main)
