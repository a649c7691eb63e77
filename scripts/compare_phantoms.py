"""Compare the rankings and the declared comparisons of runs on several phantoms."""

import argparse
from pathlib import Path

import pandas as pd

from harmonization.files import InputError, run_command, tell, write_text
from harmonization.report.phantoms import declared_changes, draw_phantoms, ranking
from harmonization.report.style import save_pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phantoms", nargs="+", required=True, help="a name for each run")
    parser.add_argument("--comparisons", type=Path, nargs="+", required=True, help="one a run")
    parser.add_argument("--claims", type=Path, nargs="+", required=True, help="one a run")
    parser.add_argument("--ranking", type=Path, required=True, help="CSV")
    parser.add_argument("--declared", type=Path, required=True, help="CSV")
    parser.add_argument("--figure", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    for option in ("comparisons", "claims"):
        if len(given := getattr(args, option)) != len(args.phantoms):
            raise InputError(f"--{option}: {len(given)} files for {len(args.phantoms)} --phantoms")

    ranks = ranking(by_phantom(args.phantoms, args.comparisons))
    declared = declared_changes(by_phantom(args.phantoms, args.claims))
    for table, path in ((ranks, args.ranking), (declared, args.declared)):
        write_text(path, table.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    save_pages([draw_phantoms(ranks, declared)], args.figure)
    tell(ranks[["method", "phantom", "rank", "change"]].to_string(index=False))


def by_phantom(phantoms: list[str], paths: list[Path]) -> dict[str, pd.DataFrame]:
    """Tables of the runs by their phantoms."""
    return {name: pd.read_csv(path) for name, path in zip(phantoms, paths, strict=True)}


if __name__ == "__main__":
    run_command(main)
