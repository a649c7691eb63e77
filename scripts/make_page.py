"""Make the page of a run: all of its tables and figures in one file."""

import argparse
import json
from pathlib import Path

from harmonization.files import run_command, write_text
from harmonization.plan.schemas import read_yaml
from harmonization.report.page import make_page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="of the run")
    parser.add_argument("--captions", type=json.loads, required=True, help="by name")
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="CSV files")
    parser.add_argument(
        "--figures", type=Path, nargs="+", required=True, help="PNG files, in order"
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    config = read_yaml(args.config)
    write_text(args.output, make_page(config, args.captions, args.tables, args.figures))


if __name__ == "__main__":
    run_command(main)
