"""Denoise a raw scan by Marchenko-Pastur PCA."""

import argparse
from pathlib import Path

from harmonization.data.bids import read_bvals
from harmonization.data.preprocessing import denoise
from harmonization.files import InputError, blamed_on, run_command
from harmonization.images.nifti import read_image, write_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dwi", "bval", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    data, affine = read_image(args.dwi)
    bvals = read_bvals(args.bval)
    if len(bvals) != data.shape[-1]:
        raise InputError(f"{args.bval}: {len(bvals)} b-values for {data.shape[-1]} volumes")
    with blamed_on(args.dwi):
        write_image(args.output, denoise(data, bvals), affine)


if __name__ == "__main__":
    run_command(main)
