"""Draw one slice of every method's prediction with its error."""

import argparse
from pathlib import Path

import numpy as np

from harmonization.files import run_command
from harmonization.report.errors import draw_errors
from harmonization.report.style import save_figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", nargs="+", required=True, help="one per method")
    parser.add_argument("--slices", type=Path, nargs="+", required=True, help="one per method")
    parser.add_argument("--title", required=True)
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    slices = {}
    for label, path in zip(args.labels, args.slices, strict=True):
        with np.load(path, allow_pickle=False) as arrays:
            slices[label] = dict(arrays)
    save_figure(draw_errors(slices, args.title), args.output)


if __name__ == "__main__":
    run_command(main)
