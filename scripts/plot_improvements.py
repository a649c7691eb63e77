"""Draw how much better or worse than a reference every method is in each test subject."""

import argparse
import json
from pathlib import Path

from harmonization.files import run_command
from harmonization.report.improvements import draw_improvements
from harmonization.report.metrics import read_metrics
from harmonization.report.style import save_pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--methods", type=json.loads, required=True, help="see make_table")
    parser.add_argument("--targets", nargs="+", required=True, help="in order")
    parser.add_argument("--reference", required=True, help="one of the methods")
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()

    metrics = read_metrics(args.metrics)
    pages = draw_improvements(metrics, args.methods, args.targets, args.reference)
    save_pages(pages, args.output)


if __name__ == "__main__":
    run_command(main)
