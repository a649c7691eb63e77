"""Tabulate how much of each scanner effect linear maps undo.

It reads the scores of runs that differ in the scanner effects of their phantom.
"""

import argparse
from pathlib import Path

import pandas as pd

from harmonization.files import InputError, run_command, tell, write_text
from harmonization.report.metrics import read_metrics
from harmonization.report.tables import subject_means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--effects", nargs="+", required=True, help="a name for each run")
    parser.add_argument("--metrics", type=Path, nargs="+", required=True, help="one a run")
    parser.add_argument("--methods", nargs="+", required=True, help="the source first, best last")
    parser.add_argument("--output", type=Path, required=True, help="CSV")
    args = parser.parse_args()
    if len(args.effects) != len(args.metrics):
        raise InputError(
            f"--effects: {len(args.effects)} names for {len(args.metrics)} files of --metrics"
        )
    tables = [
        effect_rows(effect, read_metrics(path), args.methods)
        for effect, path in zip(args.effects, args.metrics, strict=True)
    ]
    table = pd.concat(tables)
    write_text(args.output, table.to_csv(index=False, lineterminator="\n", float_format="%.4f"))
    tell(table.to_string(index=False, float_format="%.3f"))


def effect_rows(effect: str, metrics: pd.DataFrame, methods: list[str]) -> pd.DataFrame:
    """Error against the noise-free target, x 1000, and the share that the last method undoes."""
    means = subject_means(metrics, "truth_mse")
    if missing := [name for name in methods if name not in set(means["method"])]:
        raise InputError(
            f"--methods: {', '.join(missing)}: not in the run of '{effect}'; leave out what it "
            "leaves out"
        )
    table = means.pivot_table(index="target", columns="method", values="value", sort=False)
    table = 1000 * table[methods]
    first, last = table[methods[0]], table[methods[-1]]
    # Where nothing differs, there is nothing to undo.
    table["undone"] = (1 - last / first).where(first > 1e-4)
    return table.reset_index().assign(effect=effect)[["effect", "target", *methods, "undone"]]


if __name__ == "__main__":
    run_command(main)
