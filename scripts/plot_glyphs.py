"""Draw distributions of a few voxels, as measured and as predicted."""

import argparse
from pathlib import Path

from harmonization.files import run_command
from harmonization.report.glyphs import draw_glyphs
from harmonization.report.slices import read_slices
from harmonization.report.style import save_figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", nargs="+", required=True, help="one per method")
    parser.add_argument("--slices", type=Path, nargs="+", required=True, help="one per method")
    parser.add_argument("--reference", required=True, help="label of a method to show")
    parser.add_argument("--rivals", nargs="*", default=[], help="the best of these is shown, too")
    parser.add_argument("--title", required=True)
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    slices = read_slices(args.labels, args.slices)
    save_figure(draw_glyphs(slices, args.reference, args.rivals, args.title), args.output)


if __name__ == "__main__":
    run_command(main)
