"""Draw which patches of a subject a fold learns from."""

import argparse
from pathlib import Path

from harmonization.files import run_command
from harmonization.learning.manifest import Fold
from harmonization.report.patches import draw_patches
from harmonization.report.style import save_figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="of the fold")
    parser.add_argument("--subject", required=True)
    parser.add_argument("--targets", nargs="+", required=True, help="in order")
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    save_figure(draw_patches(Fold(args.manifest), args.subject, args.targets), args.output)


if __name__ == "__main__":
    run_command(main)
