"""Lower the resolution of a scan by cropping its k-space."""

import argparse
from pathlib import Path

from harmonization.files import blamed_on, run_command
from harmonization.images.kspace import crop_kspace, crop_mask
from harmonization.images.nifti import read_image, read_mask, write_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dwi", "mask"):
        parser.add_argument(f"--{name}", type=Path, required=True)
        parser.add_argument(f"--cropped-{name}", type=Path, required=True, help="output file")
    parser.add_argument("--factor", type=int, required=True)
    args = parser.parse_args()
    image = read_image(args.dwi)
    with blamed_on(args.dwi):
        data, affine = crop_kspace(*image, args.factor)
    mask, _ = read_mask(args.mask)
    write_image(args.cropped_dwi, data, affine)
    write_image(args.cropped_mask, crop_mask(mask, args.factor), affine)


if __name__ == "__main__":
    run_command(main)
