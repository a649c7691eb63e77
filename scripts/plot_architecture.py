"""Draw how networks are built."""

import argparse
import json
from pathlib import Path

from harmonization.files import run_command
from harmonization.learning.lattice import Lattice
from harmonization.learning.models import Specification, build
from harmonization.report.architecture import draw_architectures
from harmonization.report.style import save_figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--networks", type=json.loads, required=True, help="specification of each, by label"
    )
    parser.add_argument("--core", type=int, required=True, help="edge of a patch, source voxels")
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    networks = {
        label: build(Specification.from_json(content)).network
        for label, content in args.networks.items()
    }
    save_figure(draw_architectures(networks, Lattice(args.core).window), args.output)


if __name__ == "__main__":
    run_command(main)
