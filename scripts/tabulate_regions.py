"""Tabulate errors by region and order, beside the number of voxels in each region."""

import argparse
import json
from pathlib import Path

from harmonization.files import run_command, write_text
from harmonization.report.metrics import read_metrics
from harmonization.report.tables import plain, region_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--methods", type=json.loads, required=True, help="see make_table")
    parser.add_argument("--targets", nargs="+", required=True, help="in order")
    for output in ("csv", "html"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()

    table = region_table(read_metrics(args.metrics), args.methods, args.targets)
    write_text(args.csv, table.to_csv(index=False, lineterminator="\n", float_format="%.9g"))
    shown = table[table["metric"] == ("excess" if "excess" in set(table["metric"]) else "mse")]
    caption = (
        "Errors x 1000 by region and order of the coefficients; means over the subjects that have "
        "the region (n), which has as many voxels in all of them."
    )
    labels = [rival["label"] for rival in args.methods.values()]
    style = plain(shown.assign(**{name: 1000 * shown[name] for name in labels}), caption)
    write_text(args.html, style.format(escape="html", precision=3).to_html(doctype_html=True))


if __name__ == "__main__":
    run_command(main)
