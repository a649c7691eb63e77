"""Tabulate how similar each scan is to its source, before and after registration."""

import argparse
from pathlib import Path

import pandas as pd

from harmonization.files import read_json, run_command, write_text
from harmonization.report.tables import plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--qualities", type=Path, nargs="+", required=True)
    for name in ("subjects", "platforms", "scans"):
        parser.add_argument(f"--{name}", nargs="+", required=True, help="one per quality")
    for output in ("csv", "html"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()
    of_scan = pd.DataFrame(
        {"subject": args.subjects, "platform": args.platforms, "scan": args.scans}
    )
    table = of_scan.join(pd.DataFrame([read_json(path) for path in args.qualities]))
    write_text(args.csv, table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    units = {"shift": "shift (mm)", "rotation": "rotation (degrees)", "stretch": "stretch (%)"}
    shown = table.assign(stretch=100 * table["stretch"]).rename(
        columns={name: units.get(name, name.replace("_", " ")) for name in table.columns}
    )
    caption = (
        "Registration of each scan to its subject's source. Similarity is the normalised mutual "
        "information of the mean b=0 images: 1 for nothing in common, 2 for everything."
    )
    write_text(
        args.html,
        plain(shown, caption).format(escape="html", precision=3).to_html(doctype_html=True),
    )


if __name__ == "__main__":
    run_command(main)
