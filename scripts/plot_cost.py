"""Draw the error of every method against the seconds of all fits that it needs."""

import argparse
import json
from pathlib import Path

import pandas as pd

from harmonization.files import run_command
from harmonization.plan.paths import expand_models
from harmonization.report.cost import costs, draw_costs
from harmonization.report.metrics import read_metrics
from harmonization.report.style import save_pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--benchmarks", required=True, help="path of a benchmark, with wildcards")
    parser.add_argument(
        "--fits", type=json.loads, required=True, help="by method, target: seeds of what it needs"
    )
    parser.add_argument("--folds", type=json.loads, required=True, help="test subjects by fold")
    parser.add_argument("--methods", type=json.loads, required=True, help="see make_table")
    parser.add_argument("--targets", nargs="+", required=True, help="in order")
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()

    seconds: dict[str, dict[str, float]] = {}
    for method, of_method in args.fits.items():
        for target, models in of_method.items():
            files = expand_models(args.benchmarks, models, args.folds)
            # A run that was moved or restored may lack some.
            if all(Path(file).exists() for file in files):
                spent = sum(pd.read_csv(file, sep="\t")["s"].mean() for file in files)
                seconds.setdefault(method, {})[target] = spent / len(args.folds)
    points = costs(read_metrics(args.metrics), seconds, args.methods)
    save_pages([draw_costs(points, args.targets)], args.output)


if __name__ == "__main__":
    run_command(main)
