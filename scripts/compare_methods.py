"""Compare every method with the best single-task method and with a reference, by subject."""

import argparse
import json
from pathlib import Path

import pandas as pd

from harmonization.files import run_command, write_text
from harmonization.report.claims import CHOSEN, chosen_from
from harmonization.report.comparison import (
    comparison_table,
    errors_of,
    shown_changes,
    validation_errors,
    with_chosen,
)
from harmonization.report.methods import read_cards
from harmonization.report.metrics import read_metrics
from harmonization.report.tables import latex, plain

FAMILY = "single_task"
CAPTION = (
    "Relative change of patch MSE, %, less than 0 is better: mean over targets and subjects with "
    "its 95 % bootstrap interval over subjects, then each target; wins are subjects with a "
    "lower error. p is of an exact Wilcoxon test of pairs and unadjusted: take it as "
    "exploratory. With n subjects it cannot be below 2 / 2^n, and folds share training "
    "subjects, so it is approximate."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--methods", type=json.loads, required=True, help="see make_table")
    parser.add_argument("--targets", nargs="+", required=True, help="in order")
    parser.add_argument("--reference", required=True, help="a method")
    parser.add_argument("--folders", required=True, help="path of a model, with wildcards")
    parser.add_argument("--models", type=json.loads, required=True, help="seeds by method, target")
    parser.add_argument("--folds", type=json.loads, required=True, help="test subjects by fold")
    for output in ("csv", "tex", "html"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    parser.add_argument(
        "--ablations", nargs=3, type=Path, required=True, help="the same of ablations alone"
    )
    args = parser.parse_args()

    metrics = read_metrics(args.metrics)
    measured = [name for name in ("patch_mse", "excess") if name in set(metrics["metric"])]
    errors = {name: errors_of(metrics, name)[args.targets] for name in measured}
    cards = read_cards(args.folders, args.models, args.folds)
    validation = validation_errors(cards, args.targets)
    references = {}
    if candidates := chosen_from({"best_of": [FAMILY]}, args.methods, validation):
        errors = {n: with_chosen(e, CHOSEN, candidates, validation) for n, e in errors.items()}
        references[CHOSEN] = "Single-task method that is best on validation"
    references[args.reference] = args.methods[args.reference]["label"]
    table = comparison_table(errors, args.methods, references)
    write(table, args.csv, args.tex, args.html)
    write(table[table["role"] == "ablation"], *args.ablations)


def write(table: pd.DataFrame, csv: Path, tex: Path, html: Path) -> None:
    """Write a table of comparisons: all of it as CSV, changes of patch MSE for reading."""
    write_text(csv, table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    shown = shown_changes(table, "patch_mse")
    write_text(html, plain(shown, CAPTION).to_html(doctype_html=True))
    # What fits a page of print.
    printed = shown.drop(columns=["family", "SD of subjects", "SD of seeds"])
    write_text(tex, latex(plain(printed, CAPTION)))


if __name__ == "__main__":
    run_command(main)
