"""Remove Gibbs ringing from a raw scan."""

import argparse
import sys
from pathlib import Path

from harmonization.data.ringing import remove_ringing
from harmonization.files import read_json, run_command
from harmonization.images.nifti import read_image, write_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dwi", type=Path, required=True)
    parser.add_argument(
        "--sidecar", type=Path, help="PartialFourier, if present, is the sampled share of k-space"
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    sampled = read_json(args.sidecar).get("PartialFourier", 1) if args.sidecar else 1
    if sampled != 1:
        print(
            f"warning: {args.sidecar}: only {sampled} of k-space was sampled, so that the method "
            "misses part of the ringing; set preprocessing.ringing to false to skip this step",
            file=sys.stderr,
        )
    data, affine = read_image(args.dwi)
    write_image(args.output, remove_ringing(data), affine)


if __name__ == "__main__":
    run_command(main)
