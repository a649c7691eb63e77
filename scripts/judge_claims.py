"""Judge the paper's claims, and what speaks against them, by the scores of a run."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from harmonization.files import run_command, write_text
from harmonization.report.claims import claims_table
from harmonization.report.comparison import interval_text, validation_errors
from harmonization.report.methods import read_cards
from harmonization.report.metrics import read_metrics
from harmonization.report.tables import latex, plain

CAPTION = (
    "Verdicts on {data}. A change is relative, %, the mean over targets and subjects; less than "
    "0 is in favour of the method. In brackets its 95 % bootstrap interval over subjects. p is "
    "of an exact Wilcoxon test of pairs, only of comparisons declared beforehand, and corrected "
    "for one another (Holm). Folds share training subjects, so p is approximate."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=json.loads, required=True, help="as in config/claims.yaml")
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--methods", type=json.loads, required=True, help="see make_table")
    parser.add_argument("--targets", nargs="+", required=True)
    parser.add_argument("--folders", required=True, help="path of a model, with wildcards")
    parser.add_argument("--models", type=json.loads, required=True, help="seeds by method, target")
    parser.add_argument("--folds", type=json.loads, required=True, help="test subjects by fold")
    parser.add_argument("--data", required=True, help="what the scans are, for the caption")
    for output in ("csv", "tex", "html"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()

    cards = read_cards(args.folders, args.models, args.folds)
    validation = validation_errors(cards, args.targets)
    table = claims_table(args.claims, read_metrics(args.metrics), validation, args.methods)
    write_text(args.csv, table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    style = plain(for_reading(table), CAPTION.format(data=args.data))
    write_text(args.html, style.to_html(doctype_html=True))
    write_text(args.tex, latex(style))


def for_reading(table: pd.DataFrame) -> pd.DataFrame:
    """Claims with their verdicts, as text."""
    shown = table[["claim", "statement", "verdict"]].copy()
    shown["change"] = [
        "" if np.isnan(change) else f"{change:+.1f}" + interval_text(low, high)
        for change, low, high in table[["change", "low", "high"]].itertuples(index=False)
    ]
    counts = table["wins"].notna()
    shown["wins"] = ""
    shown.loc[counts, "wins"] = [
        f"{w:.0f}/{n:.0f}" for w, n in table.loc[counts, ["wins", "n"]].itertuples(index=False)
    ]
    shown["p"] = table["p_holm"].map(lambda p: "" if np.isnan(p) else f"{p:.3f}")
    shown["why"] = table["reason"]
    return shown


if __name__ == "__main__":
    run_command(main)
