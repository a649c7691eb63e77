"""Write which patches of a fold's test subjects count, for scoring only.

No method reads this file: methods learn from the manifest.
"""

import argparse
import json
from pathlib import Path

from harmonization.files import run_command, sha256, write_json
from harmonization.learning.lattice import Lattice
from harmonization.learning.manifest import counted_patches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", nargs="+", required=True, help="test subjects")
    parser.add_argument("--targets", nargs="+", required=True)
    parser.add_argument(
        "--masks", type=Path, nargs="+", required=True, help="of each subject, one a target"
    )
    parser.add_argument(
        "--references", type=Path, nargs="+", required=True, help="what scores are made with"
    )
    parser.add_argument("--scales", type=json.loads, required=True, help="r of every target")
    parser.add_argument("--lattice", type=json.loads, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    masks = iter(args.masks)
    patches = {
        subject: counted_patches(
            {target: next(masks) for target in args.targets}, args.scales, Lattice(**args.lattice)
        )
        for subject in args.subjects
    }
    for subject, cores in patches.items():
        print(f"{subject}: {len(cores)} patches count")
    # A file of other content, so that evaluations follow their references: Snakemake takes a small
    # file that is written again with the same content for the old one.
    references = [sha256(path) for path in args.references]
    write_json(args.output, {"test": args.subjects, "patches": patches, "references": references})


if __name__ == "__main__":
    run_command(main)
