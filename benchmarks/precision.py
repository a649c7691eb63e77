"""What training in bfloat16 costs in accuracy: final patch MSE of two runs over several seeds.

    for precision in float32 bfloat16; do
        .venv/bin/snakemake --cores 2 --config run=$precision precision=$precision \
            cross_validation='{folds: 1, seeds: 3}' methods='[espcn, mtl_hard, msp_espcn]'
    done
    python benchmarks/precision.py results/float32/metrics.csv results/bfloat16/metrics.csv

change   of the test subjects' patch MSE from the first run to the second, mean over the seeds
seeds    standard deviation of the patch MSE over the seeds of the first run

Both are in percent of the first run's patch MSE. The exit status is 1 if a change exceeds 1 %.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd
from common import print_row

from harmonization.report.metrics import read_metrics

LIMIT = 1.0  # percent
KEY = ["method", "target"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("metrics", type=Path, nargs=2, help="of two runs with the same seeds")
    args = parser.parse_args()
    first, second = (patch_mse(path) for path in args.metrics)
    if not first.index.equals(second.index):
        parser.error("the runs have other methods, targets, folds or seeds")
    by_method = first.groupby(KEY)
    mean = by_method.mean()
    change = (second.groupby(KEY).mean() / mean - 1) * 100
    spread = by_method.std() / mean * 100
    print_row("method", "target", "patch MSE", "change, %", "seeds, %")
    for (method, target), value in mean.items():
        found = change[method, target], spread[method, target]
        print_row(method, target, f"{value:.6f}", f"{found[0]:+.2f}", f"{found[1]:.2f}")
    sys.exit(int(change.abs().max() > LIMIT))


def patch_mse(path: Path) -> pd.Series:
    """Patch MSE by method, target, fold, subject and seed; mean over what else differs."""
    scores = read_metrics(path)
    scores = scores[(scores.metric == "patch_mse") & (scores.region == "brain")]
    return scores.groupby([*KEY, "fold", "subject", "seed"]).value.mean()


if __name__ == "__main__":
    main()
