"""Join the rows of all evaluations into one table."""

import argparse
import json
from pathlib import Path

import pandas as pd

from harmonization.files import run_command, whole_file
from harmonization.plan.paths import expand_models
from harmonization.report.metrics import read_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", required=True, help="path of an evaluation, with wildcards")
    parser.add_argument("--models", type=json.loads, required=True, help="seeds by method, target")
    parser.add_argument("--folds", type=json.loads, required=True, help="test subjects by fold")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    files = expand_models(args.scores, args.models, args.folds)
    rows = pd.concat([read_text(path) for path in files])
    with whole_file(args.output) as temporary:
        rows.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    run_command(main)
