"""Tabulate what predictions keep: differences between people, and lesions."""

import argparse
import json
from pathlib import Path

from harmonization.files import run_command, write_text
from harmonization.report.metrics import read_metrics
from harmonization.report.tables import LEAST_SUBJECTS, plain, preservation_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--methods", type=json.loads, required=True, help="see make_table")
    parser.add_argument("--targets", nargs="+", required=True, help="in order")
    for output in ("csv", "html"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()

    table = preservation_table(read_metrics(args.metrics), args.methods, args.targets)
    write_text(args.csv, table.to_csv(index=False, lineterminator="\n", float_format="%.9g"))
    caption = (
        "What predictions keep, as a share of the measured target, 1 being all of it: the standard "
        f"deviation between subjects of a region's mean (at least {LEAST_SUBJECTS} subjects), and "
        "the contrast of lesions to the white matter around them."
    )
    style = plain(table, caption).format(escape="html", precision=3, na_rep="")
    write_text(args.html, style.to_html(doctype_html=True))


if __name__ == "__main__":
    run_command(main)
