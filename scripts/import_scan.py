"""Import one scan of the released cross-scanner database into the BIDS data set.

Its series end with b=0 volumes of other echo or repetition times; the command drops and lists them.
"""

import argparse
from pathlib import Path

import numpy as np

from harmonization.data.bids import CONVENTIONS, read_series, write_gradients
from harmonization.files import InputError, run_command, write_json
from harmonization.images.gradients import B0_THRESHOLD
from harmonization.images.nifti import read_mask, write_image

MANUFACTURERS = {"ge": "GE", "prisma": "Siemens", "connectom": "Siemens"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("from-dwi", "from-mask", "from-bval", "from-bvec"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--from-echo-times", type=Path, required=True, help="per volume, ms")
    parser.add_argument("--from-repetition-times", type=Path, required=True, help="per volume, ms")
    parser.add_argument("--convention", choices=CONVENTIONS, default="fsl", help="of the b-vectors")
    parser.add_argument("--scanner", required=True)
    for name in ("dwi", "bval", "bvec", "sidecar", "mask"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="output file")
    args = parser.parse_args()

    series = args.from_dwi, args.from_bval, args.from_bvec
    data, affine, bvals, directions = read_series(*series, args.convention)
    mask, mask_affine = read_mask(args.from_mask)
    volumes = data.shape[-1]
    echo_times, repetition_times = (
        read_times(path, volumes) for path in (args.from_echo_times, args.from_repetition_times)
    )
    timing = np.stack([echo_times, repetition_times], axis=1)
    weighted = bvals >= B0_THRESHOLD
    kinds = np.unique(timing[weighted], axis=0)
    if len(kinds) != 1:
        raise InputError(
            f"{args.from_echo_times}: diffusion-weighted volumes have {len(kinds)} echo or "
            "repetition times, not one; split the series"
        )
    kept = (timing == kinds[0]).all(axis=1)
    for volume in np.flatnonzero(~kept):
        print(
            f"{args.from_dwi}: dropped volume {volume}, b={bvals[volume]:g}, "
            f"TE {echo_times[volume]:g} ms, TR {repetition_times[volume]:g} ms"
        )
    if not (kept & ~weighted).any():
        raise InputError(
            f"{args.from_bval}: no b=0 volume has the echo and repetition time of the weighted ones"
        )
    write_image(args.dwi, data[..., kept], affine)
    write_gradients(args.bval, args.bvec, bvals[kept], directions[kept], affine)
    write_image(args.mask, mask, mask_affine)
    echo_time, repetition_time = map(float, kinds[0])
    sidecar = {
        "EchoTime": echo_time / 1000,
        "RepetitionTime": repetition_time / 1000,
        "MagneticFieldStrength": 3,
        "SkullStripped": False,
    }
    if args.scanner in MANUFACTURERS:
        sidecar["Manufacturer"] = MANUFACTURERS[args.scanner]
    write_json(args.sidecar, sidecar)


def read_times(path: Path, volumes: int) -> np.ndarray:
    """Read the times of all volumes, ms; refuse a table of another length."""
    try:
        times = np.loadtxt(path, ndmin=1).ravel()
    except ValueError as error:
        raise InputError(f"{path}: not a table of numbers ({error}); copy it again") from None
    if len(times) != volumes:
        raise InputError(f"{path}: {len(times)} times for {volumes} volumes; copy it again")
    return times


if __name__ == "__main__":
    run_command(main)
