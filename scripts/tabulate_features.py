"""Tabulate errors of what biology is read from: peaks, anisotropy, energies, tensors."""

import argparse
import json
from pathlib import Path

from harmonization.files import run_command, write_text
from harmonization.report.metrics import read_metrics
from harmonization.report.tables import feature_table, plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--methods", type=json.loads, required=True, help="see make_table")
    parser.add_argument("--targets", nargs="+", required=True, help="in order")
    for output in ("csv", "html"):
        parser.add_argument(f"--{output}", type=Path, required=True)
    args = parser.parse_args()

    table = feature_table(read_metrics(args.metrics), args.methods, args.targets)
    write_text(args.csv, table.to_csv(index=False, lineterminator="\n", float_format="%.9g"))
    caption = (
        "Errors of what biology is read from; means over n subjects. Angles in degrees, md in "
        "mm2/s; rish is relative to the region's mean. With truth: against the noise-free target."
    )
    shown = table.rename(columns=lambda name: name.replace("_", " "))
    style = plain(shown, caption).format(precision=3, na_rep="", escape="html")
    diffusivities = [name for name in shown.columns if name.endswith("md mae")]
    style = style.format("{:.2e}", subset=diffusivities, na_rep="")
    write_text(args.html, style.to_html(doctype_html=True))


if __name__ == "__main__":
    run_command(main)
