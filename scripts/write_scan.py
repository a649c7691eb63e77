"""Write a scan to the BIDS derivative after all steps of its preprocessing."""

import argparse
from pathlib import Path

from harmonization.data.bids import read_series, write_gradients
from harmonization.files import read_json, run_command, write_json
from harmonization.images.nifti import write_image

KEPT = (
    "EchoTime",
    "RepetitionTime",
    "Manufacturer",
    "ManufacturersModelName",
    "MagneticFieldStrength",
    "PhaseEncodingDirection",
    "PartialFourier",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dwi", "bval", "bvec"):
        parser.add_argument(f"--from-{name}", type=Path, required=True)
    parser.add_argument("--from-sidecar", type=Path, help="of the raw scan, if it has one")
    parser.add_argument(
        "--steps", nargs="*", default=[], help="preprocessing steps to list in the sidecar"
    )
    for name in ("dwi", "bval", "bvec", "sidecar"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="output file")
    args = parser.parse_args()

    series = args.from_dwi, args.from_bval, args.from_bvec
    data, affine, bvals, directions = read_series(*series)
    raw = read_json(args.from_sidecar) if args.from_sidecar else {}
    write_image(args.dwi, data, affine)
    write_gradients(args.bval, args.bvec, bvals, directions, affine)
    known = {key: raw[key] for key in KEPT if key in raw}
    write_json(args.sidecar, {**known, "SkullStripped": False, "Preprocessing": args.steps})


if __name__ == "__main__":
    run_command(main)
