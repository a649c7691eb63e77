"""Tabulate the errors of methods by the amount of training data."""

import argparse
import json
from pathlib import Path

from harmonization.files import run_command, write_text
from harmonization.report.limited_data import limited_data_table
from harmonization.report.metrics import read_metrics
from harmonization.report.tables import plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--methods", type=json.loads, required=True, help="see make_table")
    parser.add_argument("--targets", nargs="+", required=True, help="in order")
    parser.add_argument("--folds", type=json.loads, required=True, help="what each learns from")
    for output in ("csv", "html"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()

    table = limited_data_table(read_metrics(args.metrics), args.methods, args.targets, args.folds)
    write_text(args.csv, table.to_csv(index=False, lineterminator="\n", float_format="%.9g"))
    caption = (
        "Patch MSE (thousandths) by the amount of training data, and its change (%) against the "
        "first method on the same draw: means over the draws, and the lowest and highest change."
    )
    table["patch_mse"] *= 1000
    style = plain(table.rename(columns=lambda name: name.replace("_", " ")), caption)
    style = style.format("{:.3f}", subset=["patch mse"])
    style = style.format("{:+.1f}", subset=["change", "lowest", "highest"])
    write_text(args.html, style.to_html(doctype_html=True))


if __name__ == "__main__":
    run_command(main)
