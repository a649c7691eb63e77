"""Join the rows of all evaluations into one table."""

import argparse
from pathlib import Path

import pandas as pd

from harmonization.files import run_command, whole_file
from harmonization.report.metrics import read_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=Path, nargs="+", help="one file per evaluation")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    rows = pd.concat([read_text(path) for path in args.scores])
    with whole_file(args.output) as temporary:
        rows.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    run_command(main)
