"""Draw one slice of every method's prediction with its error."""

import argparse
from pathlib import Path

from harmonization.files import run_command
from harmonization.report.errors import draw_errors
from harmonization.report.slices import read_slices
from harmonization.report.style import save_pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", nargs="+", required=True, help="one per method")
    parser.add_argument("--slices", type=Path, nargs="+", required=True, help="one per method")
    parser.add_argument("--reference", required=True, help="label that errors are compared with")
    parser.add_argument("--title", required=True)
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    slices = read_slices(args.labels, args.slices)
    save_pages(draw_errors(slices, args.reference, args.title), args.output)


if __name__ == "__main__":
    run_command(main)
