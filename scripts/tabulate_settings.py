"""Tabulate what is known of the paper's settings beside those of a run."""

import argparse
import json
from pathlib import Path

import pandas as pd

from harmonization.files import run_command, write_text
from harmonization.report.tables import latex, plain

CAPTION = (
    "Settings of the paper, as far as they are known, and of this run. Known: its abstract, "
    "captions or a published review say so. Related: read in a paper that it builds on. Not read: "
    "the paper's full text was not at hand, so this is our choice, whatever it says."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="rows: setting, certainty, paper, ours"
    )
    for output in ("csv", "tex", "html"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()
    table = pd.DataFrame(args.settings)
    write_text(args.csv, table.to_csv(index=False, lineterminator="\n"))
    style = plain(table, CAPTION)
    write_text(args.html, style.to_html(doctype_html=True))
    write_text(args.tex, latex(style))


if __name__ == "__main__":
    run_command(main)
