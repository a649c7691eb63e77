"""Warp between the template of a fold and the source of one of its subjects."""

import argparse
from pathlib import Path

import numpy as np

from harmonization.files import run_command
from harmonization.images.nifti import read_image, write_image
from harmonization.images.template import brightness, warp_to_template
from harmonization.learning.manifest import Fold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="of the fold")
    parser.add_argument("--subject", required=True, help="of training or validation")
    parser.add_argument("--template", type=Path, required=True)
    parser.add_argument(
        "--to-head", type=Path, required=True, help="where the template's voxels lie"
    )
    parser.add_argument("--to-template", type=Path, required=True, help="where the head's lie")
    args = parser.parse_args()
    fold = Fold(args.manifest)
    head = brightness(fold.image(args.subject, fold.source), fold.mask(args.subject, fold.source))
    warp = warp_to_template(read_image(args.template)[0], head)
    write_image(args.to_head, warp.to_head, np.eye(4))
    write_image(args.to_template, warp.to_template, np.eye(4))


if __name__ == "__main__":
    run_command(main)
