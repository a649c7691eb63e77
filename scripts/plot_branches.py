"""Draw what the branches of MSPs contribute, and how many of their units are dead."""

import argparse
import json
from pathlib import Path

from harmonization.files import run_command
from harmonization.report.branches import draw_branches
from harmonization.report.methods import read_cards
from harmonization.report.style import save_pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", required=True, help="path of a model, with wildcards")
    parser.add_argument("--models", type=json.loads, required=True, help="seeds by method, target")
    parser.add_argument("--folds", type=json.loads, required=True, help="test subjects by fold")
    parser.add_argument("--labels", type=json.loads, required=True, help="by method, in order")
    parser.add_argument("--targets", nargs="+", required=True, help="in order")
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()

    cards = read_cards(args.folders, args.models, args.folds)
    save_pages([draw_branches(cards, args.labels, args.targets)], args.output)


if __name__ == "__main__":
    run_command(main)
