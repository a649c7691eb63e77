"""Fit one method to one fold: by gradient descent, in closed form, or not at all.

It reads only the training and validation files that the manifest names.
"""

import argparse
import csv
import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import torch

from harmonization.files import blamed_on, run_command, sha256, whole_file
from harmonization.learning.devices import choose_device
from harmonization.learning.manifest import Fold
from harmonization.learning.models import (
    HISTORY,
    Card,
    FitSettings,
    Model,
    Specification,
    build,
    load_model,
    save_model,
    versions,
)
from harmonization.learning.network import Task
from harmonization.learning.sizing import lengthened, setting_for
from harmonization.learning.training import Progress
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
        "--matches", type=Path, nargs="*", default=[], help="fitted models to be equal to"
    )
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

    fold = Fold(args.manifest)
    candidates = [load_model(folder, device) for folder in args.components]
    components = {
        card.name: (model, card)
        for model, card in chosen(candidates, args.settings["alternatives"], fold)
    }
    cards = {name: card for name, (_, card) in components.items()}
    seed = seed_of(args.method, args.target, args.fold, args.seed)
    specification = Specification(
        args.settings["wing"],
        args.settings["plugin"],
        args.settings["settings"],
        task_of(fold, args.target, seed, list(cards.values())),
        {name: card.specification for name, card in cards.items()},
    )
    how = {key: args.settings[key] for key in ("training", "solve")}
    before = sum(card.multiply_adds for _, card in candidates)
    with blamed_on(f"method {args.method}"):
        specification, how["training"] = matched(
            specification,
            how["training"],
            args.settings,
            [Card.read(folder) for folder in args.matches],
            before,
            fold,
        )
        torch.manual_seed(seed)
        model = build(specification, device)
        model.initialise_from({name: fitted for name, (fitted, _) in components.items()})
    label = f"{args.method} {args.target} fold {args.fold} seed {args.seed}:"
    outcome = model.fit(
        fold,
        FitSettings(
            **how, precision=args.precision, report=functools.partial(print, label, flush=True)
        ),
    )
    write_history(args.output / HISTORY, outcome.history)
    card = Card(
        method=args.method,
        target=args.target,
        fold=args.fold,
        seed=args.seed,
        specification=specification,
        settings=how,
        parameters=model.count_parameters(),
        path_parameters=model.count_path_parameters(),
        multiply_adds=before + model.count_multiply_adds(how["training"], fold.lattice.window),
        outcome=outcome.card,
        source=fold.source,
        lattice=dataclasses.asdict(fold.lattice),
        spherical_harmonics=fold.spherical_harmonics,
        normalisation=normalisation(fold, model),
        manifest_sha256=sha256(args.manifest),
        versions=versions(),
    )
    save_model(args.output, model, card)


Fitted = tuple[Model, Card]


def chosen(candidates: list[Fitted], alternatives: list[list[str]], fold: Fold) -> list[Fitted]:
    """Of methods that are alternatives, the model of each target with the lowest error."""
    kept: dict[tuple, Fitted] = {}
    errors: dict[tuple, float] = {}
    for model, card in candidates:
        among = next((tuple(names) for names in alternatives if card.method in names), None)
        place = (among or card.method, card.target, card.seed)
        error = model.select_error(fold) if among else 0.0
        if place not in kept or error < errors[place]:
            kept[place], errors[place] = (model, card), error
    return list(kept.values())


def matched(
    specification: Specification,
    training: dict[str, Any] | None,
    settings: dict[str, Any],
    cards: list[Card],
    before: int,
    fold: Fold,
) -> tuple[Specification, dict[str, Any] | None]:
    """Specification and training of a model that is made equal to others.

    Parameters
    ----------
    specification : Specification
    training : dict or None
    settings : dict
        ``matches``: the setting to solve for, or ``steps``; None leaves both as they are.
        ``within``: settings of a method that builds on this one, and whose size counts, or None.
    cards : list of Card
        Of the models to be equal to.
    before : int
        Multiplications with an addition in the trainings of the components.
    fold : Fold
    """
    if (by := settings["matches"]) is None:
        return specification, training
    if by == "steps":
        wanted = sum(card.multiply_adds for card in cards) - before
        own = build(specification).count_multiply_adds(training, fold.lattice.window)
        return specification, lengthened(training, wanted / own)

    def sized(value: int) -> Specification:
        changed = {**specification.settings, by: value}
        return dataclasses.replace(specification, settings=changed)

    def size(value: int) -> int:
        own = sized(value)
        whole = built_on(own, settings["within"], fold.scales) if settings["within"] else own
        return build(whole).count_path_parameters()

    value = setting_for(sum(card.path_parameters for card in cards), size, by)
    return sized(value), training


def built_on(
    component: Specification, settings: dict[str, Any], scales: dict[str, int]
) -> Specification:
    """Specification of a method of all targets that builds on a model like this one for each."""
    of_all = dataclasses.replace(component.task, scales=scales, target=None)
    components = {
        target: dataclasses.replace(
            component, task=dataclasses.replace(of_all, scales={target: r}, target=target)
        )
        for target, r in scales.items()
    }
    chosen = {key: settings[key] for key in ("wing", "plugin", "settings")}
    return Specification(**chosen, task=of_all, components=components)


def task_of(fold: Fold, target: str, seed: int, components: list[Card]) -> Task:
    """Task of a model, which reads the scans of its own target and of its components' targets."""
    read = {target, *(t for card in components for t in card.specification.task.scales)}
    scales = {t: r for t, r in fold.scales.items() if t in read or target == "all"}
    return Task(fold.channels, scales, None if target == "all" else target, seed)


def normalisation(fold: Fold, model: Model) -> dict[str, Any]:
    """How to normalise a model's input, and how to undo this on each output."""
    given = fold.normalisation[fold.source]
    targets = [model.task.target] if model.task.target else list(model.task.scales)
    return {
        "input": given,
        "outputs": {t: given if model.keeps_units else fold.normalisation[t] for t in targets},
    }


def write_history(path: Path, history: list[Progress]) -> None:
    """Write one row for each validation; none for a fit without steps."""
    with whole_file(path) as temporary, temporary.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(field.name for field in dataclasses.fields(Progress))
        writer.writerows(dataclasses.astuple(row) for row in history)


if __name__ == "__main__":
    run_command(main)
