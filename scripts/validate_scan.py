"""Check a scan, and write its gradients and mask in the one form that the other steps read."""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np

from harmonization.data.bids import CONVENTIONS, read_gradients, write_gradients
from harmonization.data.validation import validate_scan
from harmonization.files import InputError, run_command, sha256, whole_file, write_json
from harmonization.images.grids import layout
from harmonization.images.nifti import write_image
from harmonization.plan.scans import FoundScan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for role in ("dwi", "bval", "bvec"):
        parser.add_argument(f"--{role}", required=True)
    for role in ("mask", "sidecar", "b-table"):
        parser.add_argument(f"--{role}", help="if there is one")
    parser.add_argument("--platform", required=True, help="copied into the report")
    parser.add_argument(
        "--convention", choices=CONVENTIONS, required=True, help="of the bvec table"
    )
    for role in ("bval", "bvec", "sidecar", "report"):
        parser.add_argument(f"--valid-{role}", type=Path, required=True, help="written")
    parser.add_argument("--valid-mask", type=Path, help="written: brain where there is signal")
    args = parser.parse_args()

    scan = FoundScan(args.dwi, args.bval, args.bvec, args.mask, args.sidecar, args.b_table)
    valid, problems = validate_scan(scan, args.convention)
    if valid is None:
        print("\n".join(problems[:-1]), file=sys.stderr)
        raise InputError(problems[-1])
    for warning in valid.warnings:
        print(f"warning: {warning}")
    print(f"{scan.bvec}: read in the convention '{valid.convention}'")

    gradients = valid.bvals, valid.directions
    if is_canonical(scan, valid.affine, gradients):
        # The same text, so that the same scan gives the same bytes from every kind of data set.
        copy(args.bval, args.valid_bval)
        copy(args.bvec, args.valid_bvec)
    else:
        write_gradients(args.valid_bval, args.valid_bvec, *gradients, valid.affine)
    if args.valid_mask:
        write_image(args.valid_mask, valid.mask, valid.affine)
    write_json(args.valid_sidecar, valid.sidecar)
    write_json(
        args.valid_report,
        {
            "platform": args.platform,
            "dwi": args.dwi,
            "bval": args.bval,
            "bvec": args.bvec,
            "sha256": sha256(args.dwi),
            "convention": valid.convention,
            "layout": layout(valid.affine),
            "warnings": valid.warnings,
            "bvals": valid.bvals.tolist(),
            "directions": valid.directions.tolist(),
        },
    )


def is_canonical(
    scan: FoundScan, affine: np.ndarray, gradients: tuple[np.ndarray, np.ndarray]
) -> bool:
    """Whether the tables, read in FSL's convention, give these gradients."""
    as_fsl = read_gradients(scan.bval, scan.bvec, affine)
    return all(np.array_equal(a, b) for a, b in zip(as_fsl, gradients, strict=True))


def copy(source: str, target: Path) -> None:
    """Copy a file, completely or not at all."""
    with whole_file(target) as temporary:
        shutil.copyfile(source, temporary)


if __name__ == "__main__":
    run_command(main)
