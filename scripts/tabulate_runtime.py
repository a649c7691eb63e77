"""Tabulate seconds and peak memory of the fits, as Snakemake measured them."""

import argparse
import json
from pathlib import Path

import pandas as pd

from harmonization.files import run_command, write_text
from harmonization.plan.paths import expand_models
from harmonization.report.methods import runtime_table
from harmonization.report.tables import as_text, latex, plain

CAPTION = "Fits of the models: mean seconds and peak memory (MiB), by method and target."
FORMATS = dict.fromkeys(("method", "family", "target"), "{}")
FORMATS |= {"models": "{:,.0f}", "seconds": "{:,.1f}", "peak_memory": "{:,.0f}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmarks", required=True, help="path of a benchmark, with wildcards")
    parser.add_argument("--models", type=json.loads, required=True, help="seeds by method, target")
    parser.add_argument("--folds", type=json.loads, required=True, help="test subjects by fold")
    parser.add_argument("--methods", type=json.loads, required=True, help="see make_table")
    for output in ("csv", "tex", "html"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()

    columns = ["method", "target", "seconds", "peak_memory"]
    rows = [pd.DataFrame(columns=columns)]
    rows += [
        read_benchmark(file).assign(method=method, target=target)[columns]
        for method, targets in args.models.items()
        for target, seeds in targets.items()
        for file in expand_models(args.benchmarks, {method: {target: seeds}}, args.folds)
        # A run that was moved or restored may lack some, and its scores do not need them.
        if Path(file).exists()
    ]
    table = runtime_table(pd.concat(rows), args.methods)
    write_text(args.csv, table.to_csv(index=False, lineterminator="\n", float_format="%.4g"))
    style = plain(as_text(table, FORMATS), CAPTION)
    write_text(args.html, style.to_html(doctype_html=True))
    write_text(args.tex, latex(style))


def read_benchmark(file: str) -> pd.DataFrame:
    """Seconds and peak memory (MiB) of a job; Snakemake writes - where it could not measure."""
    measured = pd.read_csv(file, sep="\t", na_values="-")
    return measured.rename(columns={"s": "seconds", "max_rss": "peak_memory"})


if __name__ == "__main__":
    run_command(main)
