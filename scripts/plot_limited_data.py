"""Draw the errors of methods over the amount of training data."""

import argparse
import json
from pathlib import Path

from harmonization.files import run_command
from harmonization.report.limited_data import draw_limited_data
from harmonization.report.metrics import read_metrics
from harmonization.report.style import save_pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--methods", type=json.loads, required=True, help="see make_table")
    parser.add_argument("--targets", nargs="+", required=True, help="in order")
    parser.add_argument("--folds", type=json.loads, required=True, help="what each learns from")
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()

    metrics = read_metrics(args.metrics)
    save_pages([draw_limited_data(metrics, args.methods, args.targets, args.folds)], args.output)


if __name__ == "__main__":
    run_command(main)
