"""Build the template of a fold from the sources of its training subjects."""

import argparse
from pathlib import Path

import numpy as np

from harmonization.files import run_command
from harmonization.images.nifti import write_image
from harmonization.images.template import brightness, build_template
from harmonization.learning.manifest import Fold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="of the fold")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    fold = Fold(args.manifest)
    heads = [
        brightness(fold.image(subject, fold.source), fold.mask(subject, fold.source))
        for subject in fold.subjects("train")
    ]
    write_image(args.output, build_template(heads), np.eye(4))  # in voxels


if __name__ == "__main__":
    run_command(main)
