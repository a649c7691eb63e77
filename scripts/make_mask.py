"""Make the brain mask of a scan."""

import argparse
from pathlib import Path

import numpy as np

from harmonization.data.bids import read_mean_b0
from harmonization.data.preprocessing import brain_mask
from harmonization.files import blamed_on, run_command
from harmonization.images.nifti import read_mask, write_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dwi", "bval", "output"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--given", type=Path, help="mask made by other means, used instead")
    args = parser.parse_args()
    if args.given:
        write_image(args.output, *read_mask(args.given))
        return
    b0, affine = read_mean_b0(args.dwi, args.bval)
    with blamed_on(args.dwi):
        write_image(args.output, brain_mask(b0).astype(np.uint8), affine)


if __name__ == "__main__":
    run_command(main)
