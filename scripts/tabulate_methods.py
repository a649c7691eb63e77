"""Tabulate what models are made of: parameters, computation, dead units."""

import argparse
import json
from pathlib import Path

from harmonization.files import run_command, write_text
from harmonization.report.methods import method_table, read_cards
from harmonization.report.tables import plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", required=True, help="path of a model, with wildcards")
    parser.add_argument("--models", type=json.loads, required=True, help="seeds by method, target")
    parser.add_argument("--folds", type=json.loads, required=True, help="test subjects by fold")
    parser.add_argument("--methods", type=json.loads, required=True, help="see make_table")
    for output in ("csv", "html"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()

    table = method_table(read_cards(args.folders, args.models, args.folds), args.methods)
    write_text(args.csv, table.to_csv(index=False, lineterminator="\n", float_format="%.9g"))
    caption = "Size and training of the models, by method and target."
    shown = table.rename(columns=lambda name: name.replace("_", " "))
    style = plain(shown, caption).format(na_rep="", precision=4, thousands=",")
    style = style.format("{:.2e}", subset=["multiply adds"])
    style = style.format("{:.1%}", subset=["dead units", "smallest branch"], na_rep="")
    style = style.format("{:.0f}", subset=["best step"], na_rep="")
    write_text(args.html, style.to_html(doctype_html=True))


if __name__ == "__main__":
    run_command(main)
