"""Fit one method to one fold: by gradient descent, in closed form, or not at all.

Reads training and validation files only, those that the manifest names.
"""

import argparse
import csv
import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import torch

from harmonization import least_squares, training
from harmonization.files import read_json, run_command, sha256, whole_file
from harmonization.models import (
    choose_device,
    choose_precision,
    load_model,
    save_model,
    to_device,
    versions,
)
from harmonization.networks import MultiStage, Network, build, count_parameters
from harmonization.patches import read_part
from harmonization.seeds import seed_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", required=True, help="name")
    parser.add_argument("--settings", type=json.loads, required=True, help="of the method")
    parser.add_argument("--manifest", type=Path, required=True, help="of the fold")
    parser.add_argument("--target", required=True, help="a platform, or 'all'")
    parser.add_argument("--fold", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--components", type=Path, nargs="*", default=[], help="fitted models")
    parser.add_argument(
        "--precision",
        choices=["float32", "bfloat16"],
        default="float32",
        help="of training; bfloat16 only where the processor has it",
    )
    parser.add_argument("--gpus", type=int, default=0, help="0 computes on the CPU")
    parser.add_argument("--output", type=Path, required=True, help="folder of the model")
    args = parser.parse_args()
    device = choose_device(args.gpus)

    manifest = read_json(args.manifest)
    components = {card["target"]: (model, card) for model, card in map(load_model, args.components)}
    # A network of several platforms, or built on those of several, needs all their targets.
    several = args.target == "all" or len(components) > 1
    targets = list(manifest["scales"]) if several else [args.target]

    seed = seed_of(args.method, args.target, args.fold, args.seed)
    torch.manual_seed(seed)
    specification = {
        "network": args.settings["network"],
        "target": args.target,
        "channels": len(manifest["normalisation"][manifest["source"]]["mean"]),
        "scales": {t: manifest["scales"][t] for t in targets},
        "seed": seed,
        "components": {t: card["specification"] for t, (_, card) in components.items()},
    }
    network = build(specification)
    if components:
        network.adopt({target: model for target, (model, _) in components.items()})
    network = to_device(network, device)

    def read(part: str) -> Any:
        return read_part(args.manifest, part, targets, device)

    outcome: dict[str, Any] = {}
    if settings := args.settings.get("training"):
        precision = choose_precision(args.precision, device)
        label = f"{args.method} {args.target} fold {args.fold} seed {args.seed}:"
        validation = read("validation")
        result = training.train(
            network,
            read("train"),
            validation,
            settings,
            seed,
            precision,
            report=functools.partial(print, label, flush=True),
        )
        write_history(args.output / "history.csv", result.history)
        outcome = {
            "precision": str(precision).removeprefix("torch."),
            "best_step": result.best.step,
            "validation_mse": result.best.validation_mse,
            "converged": result.converged,
        }
        if isinstance(network, MultiStage):
            outcome["branch_shares"] = training.branch_shares(network, validation)
    elif settings := args.settings.get("least_squares"):
        penalty = least_squares.fit(
            network, read("train"), read("validation"), settings["penalties"]
        )
        outcome = {"penalty": penalty}

    card = {
        "method": args.method,
        "target": args.target,
        "fold": args.fold,
        "seed": args.seed,
        "specification": specification,
        "settings": args.settings,
        "parameters": count_parameters(network),
        **outcome,
        "source": manifest["source"],
        "lattice": manifest["lattice"],
        "spherical_harmonics": manifest["spherical_harmonics"],
        "normalisation": normalisation(manifest, network, targets),
        "manifest_sha256": sha256(args.manifest),
        "versions": versions(),
    }
    save_model(args.output, network, card)


def normalisation(manifest: dict[str, Any], network: Network, targets: list[str]) -> dict[str, Any]:
    """How to normalise the input and to undo it on each output."""
    statistics = manifest["normalisation"]
    given = statistics[manifest["source"]]
    return {
        "input": given,
        "outputs": {t: given if network.keeps_units else statistics[t] for t in targets},
    }


def write_history(path: Path, history: list[training.Progress]) -> None:
    """Write one row for each look at the validation subjects."""
    with whole_file(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(field.name for field in dataclasses.fields(training.Progress))
        writer.writerows(dataclasses.astuple(row) for row in history)


if __name__ == "__main__":
    run_command(main)
