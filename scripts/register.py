"""Register a target scan to its subject's source scan: both are represented by their mean b=0."""

import argparse
import sys
from pathlib import Path

import numpy as np

from harmonization.bids import B0_THRESHOLD
from harmonization.files import InputError, run_command, whole_file
from harmonization.images import read_image
from harmonization.registration import implausible, register


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fixed", type=Path, nargs=2, required=True, metavar=("DWI", "BVAL"))
    parser.add_argument("--moving", type=Path, nargs=2, required=True, metavar=("DWI", "BVAL"))
    parser.add_argument("--model", choices=["rigid", "affine"], required=True)
    parser.add_argument("--accept-implausible", action="store_true", help="go on, with a warning")
    parser.add_argument("--output", type=Path, required=True, help="4 x 4, fixed to moving world")
    args = parser.parse_args()
    transform = register(*mean_b0(*args.fixed), *mean_b0(*args.moving), args.model)
    if finding := implausible(transform):
        problem = f"{args.moving[0]}: did not register to {args.fixed[0]}: the result {finding}"
        if not args.accept_implausible:
            raise InputError(
                f"{problem}; look at both scans, leave the subject out, or set "
                "registration.accept_implausible"
            )
        print(f"warning: {problem}", file=sys.stderr)
    with whole_file(args.output) as temporary:
        np.savetxt(temporary, transform)


def mean_b0(dwi: Path, bval: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean b=0 volume of a series, and its affine."""
    chosen = np.flatnonzero(np.loadtxt(bval, ndmin=1) < B0_THRESHOLD)
    if not len(chosen):
        raise InputError(f"{bval}: no volume with b below {B0_THRESHOLD:g}; registration needs one")
    data, affine = read_image(dwi, chosen)
    return data.mean(axis=-1), affine


if __name__ == "__main__":
    run_command(main)
