"""Undo the motion between the volumes of a raw scan, and rotate its b-vectors accordingly."""

import argparse
from pathlib import Path

import numpy as np

from harmonization.data.bids import read_series, write_gradients, write_table
from harmonization.data.preprocessing import correct_motion
from harmonization.files import blamed_on, run_command
from harmonization.images.nifti import write_image
from harmonization.images.registration import rotation_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dwi", "bval", "bvec"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("output", "rotated-bval", "rotated-bvec", "motion"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="output file")
    args = parser.parse_args()

    data, affine, bvals, directions = read_series(args.dwi, args.bval, args.bvec)
    with blamed_on(args.dwi):
        corrected, rotated, transforms = correct_motion(data, affine, bvals, directions)
    write_image(args.output, corrected, affine)
    write_gradients(args.rotated_bval, args.rotated_bvec, bvals, rotated, affine)
    centre = affine @ [*((np.array(data.shape[:3]) - 1) / 2), 1]
    shifts = np.linalg.norm((transforms @ centre - centre)[:, :3], axis=1)
    write_table(
        args.motion,
        volume=[str(volume) for volume in range(len(bvals))],
        b=[f"{b:g}" for b in bvals],
        shift_mm=[f"{shift:.3f}" for shift in shifts],
        rotation_degrees=[f"{rotation_of(transform):.3f}" for transform in transforms],
    )


if __name__ == "__main__":
    run_command(main)
