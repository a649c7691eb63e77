"""Build the atlas from which the phantom's people are warped: tissue and fibre bundles."""

import argparse
from pathlib import Path

from harmonization.files import run_command
from harmonization.phantom.atlas import build_atlas
from harmonization.plan.phantom import read_parameters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parameters", type=Path, required=True, help="phantom parameter file")
    parser.add_argument("--output", type=Path, required=True, help="atlas.npz")
    args = parser.parse_args()
    parameters = read_parameters(args.parameters)
    build_atlas(parameters["bundles"]).save(args.output)


if __name__ == "__main__":
    run_command(main)
