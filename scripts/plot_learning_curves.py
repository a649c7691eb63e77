"""Draw the learning curve of every trained network."""

import argparse
import json
from pathlib import Path

import pandas as pd

from harmonization.files import read_json, run_command
from harmonization.plan.paths import expand_models
from harmonization.report.learning_curves import draw_learning_curves, linear_errors
from harmonization.report.methods import read_cards
from harmonization.report.style import save_pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", required=True, help="path of a model, with wildcards")
    parser.add_argument("--models", type=json.loads, required=True, help="seeds by method, target")
    parser.add_argument(
        "--linear", type=json.loads, required=True, help="the same of the linear models to compare"
    )
    parser.add_argument("--folds", type=json.loads, required=True, help="test subjects by fold")
    parser.add_argument("--labels", type=json.loads, required=True, help="by method, in order")
    parser.add_argument("--targets", nargs="+", required=True, help="in order")
    parser.add_argument("--output", type=Path, nargs="+", required=True)
    args = parser.parse_args()
    histories = []
    for folder in map(Path, expand_models(args.folders, args.models, args.folds)):
        card = read_json(folder / "card.json")
        history = pd.read_csv(folder / "history.csv")
        names = ("method", "target", "fold", "seed")
        histories.append(history.assign(**{name: card[name] for name in names}))
    cards = read_cards(args.folders, args.linear, args.folds)
    linear = linear_errors(cards, args.targets)
    label = ", ".join(args.labels[method] for method in args.linear)
    pages = draw_learning_curves(pd.concat(histories), args.labels, args.targets, linear, label)
    save_pages(pages, args.output)


if __name__ == "__main__":
    run_command(main)
