"""Draw one subject on all platforms side by side."""

import argparse
from pathlib import Path

import numpy as np

from harmonization.data.bids import read_bvals
from harmonization.files import run_command
from harmonization.images.gradients import B0_THRESHOLD
from harmonization.images.grids import canonical
from harmonization.images.nifti import read_image
from harmonization.report.platforms import draw_platforms
from harmonization.report.style import save_figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--platforms", nargs="+", required=True)
    for name in ("dwi", "bval", "sh"):
        parser.add_argument(
            f"--{name}", type=Path, nargs="+", required=True, help="one per platform"
        )
    parser.add_argument("--subject", required=True)
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    columns = {
        platform: (
            canonical(*read_image(dwi, [first_b0(bval)]))[0][..., 0],
            canonical(*read_image(sh))[0],
        )
        for platform, dwi, bval, sh in zip(
            args.platforms, args.dwi, args.bval, args.sh, strict=True
        )
    }
    save_figure(draw_platforms(columns, args.subject), args.output)


def first_b0(bval: Path) -> int:
    """Number of the first volume without diffusion weighting."""
    return int(np.argmax(read_bvals(bval) < B0_THRESHOLD))


if __name__ == "__main__":
    run_command(main)
