"""Register a target scan to its subject's source scan by their mean b=0 images."""

import argparse
import sys
from pathlib import Path

import numpy as np

from harmonization.data.bids import read_head
from harmonization.files import InputError, run_command, whole_file, write_json
from harmonization.images.flirt import register_by_flirt
from harmonization.images.registration import assess, implausible, register, register_heads

PROGRAMS = {"dipy": register, "flirt": register_by_flirt}
FILES = ("DWI", "BVAL", "BVEC", "MASK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fixed", type=Path, nargs=4, required=True, metavar=FILES)
    parser.add_argument("--moving", type=Path, nargs=4, required=True, metavar=FILES)
    parser.add_argument("--program", choices=PROGRAMS, required=True)
    parser.add_argument("--model", choices=["rigid", "affine"], required=True)
    parser.add_argument("--accept-implausible", action="store_true", help="go on, with a warning")
    parser.add_argument(
        "--transform", type=Path, required=True, help="written: 4 x 4, fixed to moving world"
    )
    parser.add_argument("--quality", type=Path, required=True, help="written")
    args = parser.parse_args()
    fixed, moving = read_head(*args.fixed), read_head(*args.moving)
    transform = register_heads(fixed, moving, args.model, PROGRAMS[args.program])
    quality = assess(fixed, moving, transform)
    if finding := implausible(quality):
        problem = f"{args.moving[0]}: did not register to {args.fixed[0]}: the result {finding}"
        if not args.accept_implausible:
            raise InputError(
                f"{problem}; look at both scans, leave the subject out, or set "
                "registration.accept_implausible"
            )
        print(f"warning: {problem}", file=sys.stderr)
    with whole_file(args.transform) as temporary:
        np.savetxt(temporary, transform)
    write_json(args.quality, quality)


if __name__ == "__main__":
    run_command(main)
