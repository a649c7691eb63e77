"""Find everything that is wrong with a BIDS data set, and say what to do about it.

Given the reports that `validate_scan` wrote, the command does not read the scans again.
"""

import argparse
import json
import sys
from pathlib import Path

from harmonization.data.validation import validate_dataset, validate_reports
from harmonization.files import InputError, read_json, run_command, write_text
from harmonization.plan.configuration import check_run, merge, read_run, with_own_platforms
from harmonization.plan.schemas import read_yaml
from harmonization.plan.sources import SOURCES

ROOT = Path(__file__).parent.parent
# Entities that tell a phantom's first scans from the rest of its data set.
FIRST_SCAN = {"run": "1", "description": "preproc"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="of the data set")
    parser.add_argument("--config", required=True, help="of the run: a YAML file, or JSON")
    parser.add_argument("--reports", type=Path, nargs="+", help="on scans that are validated")
    parser.add_argument("--output", type=Path, help="written if nothing is wrong")
    args = parser.parse_args()

    default = read_yaml(ROOT / "config/config.yaml")
    changes = read_changes(args.config)
    merged = with_own_platforms(merge(default, changes), changes)
    if isinstance(merged["dataset"], dict) and merged["dataset"]["root"] is None:
        merged["dataset"]["root"] = str(args.root)
    config = check_run(merged, ROOT)
    kind = config["dataset"]["kind"]
    if kind == "mushac" and not args.reports:
        raise InputError(f"{args.config}: dataset.kind: a run checks the scans of {kind} itself")
    if kind == "phantom":
        config["platforms"] = {n: {**p, **FIRST_SCAN} for n, p in config["platforms"].items()}
    if args.reports:
        problems = validate_reports(config, args.root, [read_json(path) for path in args.reports])
        warnings = []
    else:
        problems, warnings = validate_dataset(config, args.root)
    for warning in warnings:
        print(f"warning: {warning}")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        raise InputError(f"{args.root}: {len(problems)} problem{'s' * (len(problems) > 1)}, above")
    raw = "raw " if SOURCES[kind].is_raw else ""
    verdict = f"{args.root}: every {raw}scan that the run uses is fit for use"
    print(verdict)
    if args.output:
        write_text(args.output, verdict + "\n")


def read_changes(config: str) -> dict:
    """Read a run's configuration from a file, or from JSON as the workflow passes it."""
    if config.startswith("{"):
        try:
            return json.loads(config)
        except json.JSONDecodeError as error:
            raise InputError(f"--config: {config}: not valid JSON ({error})") from None
    return read_run(Path(config))


if __name__ == "__main__":
    run_command(main)
