"""Tabulate what models are made of: parameters, computation, dead units."""

import argparse
import json
from pathlib import Path

from harmonization.files import run_command, write_text
from harmonization.report.methods import method_table, read_cards
from harmonization.report.tables import as_text, latex, plain

CAPTION = "Size and training of the models, by method and target."
FORMATS = dict.fromkeys(("method", "family", "role", "selects_on", "target"), "{}")
FORMATS |= dict.fromkeys(("models", "parameters", "path_parameters"), "{:,.0f}")
FORMATS |= {"multiply_adds": "{:.2e}", "steps": "{:,.0f}", "best_step": "{:,.0f}"}
FORMATS |= {"validation_mse": "{:.4f}", "dead_units": "{:.1%}", "smallest_branch": "{:.1%}"}

NOT_PRINTED = ["family", "role", "selects_on", "models", "path_parameters", "best_step"]
NOT_PRINTED += ["validation_mse"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", required=True, help="path of a model, with wildcards")
    parser.add_argument("--models", type=json.loads, required=True, help="seeds by method, target")
    parser.add_argument("--folds", type=json.loads, required=True, help="test subjects by fold")
    parser.add_argument("--methods", type=json.loads, required=True, help="see make_table")
    for output in ("csv", "tex", "html"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()

    table = method_table(read_cards(args.folders, args.models, args.folds), args.methods)
    write_text(args.csv, table.to_csv(index=False, lineterminator="\n", float_format="%.9g"))
    shown = as_text(table, FORMATS)
    write_text(args.html, plain(shown, CAPTION).to_html(doctype_html=True))
    # What fits a page of print.
    printed = shown.drop(columns=[name.replace("_", " ") for name in NOT_PRINTED])
    write_text(args.tex, latex(plain(printed, CAPTION)))


if __name__ == "__main__":
    run_command(main)
