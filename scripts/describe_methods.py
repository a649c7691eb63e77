"""Describe the methods of a run: what they do, where they come from, and what they need."""

import argparse
import json
from pathlib import Path

import pandas as pd

from harmonization.files import run_command, write_text
from harmonization.report.tables import plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", type=json.loads, required=True, help="rows of the table")
    parser.add_argument("--references", type=json.loads, required=True, help="entries by key")
    for output in ("csv", "html", "bib"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()

    table = pd.DataFrame(args.methods.values()).rename(columns={"label": "method"})
    write_text(args.csv, table.to_csv(index=False, lineterminator="\n"))
    caption = "The methods of this run. References are keys of references.bib."
    shown = table.rename(columns=lambda name: name.replace("_", " "))
    write_text(args.html, plain(shown, caption).to_html(doctype_html=True))

    entries = [args.references[key] for key in sorted(args.references)]
    write_text(args.bib, "\n\n".join(entries) + "\n")


if __name__ == "__main__":
    run_command(main)
