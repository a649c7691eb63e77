"""Fit one model of a method to a fold: what the commands `fit` and `tune` share."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from harmonization.files import InputError, blamed_on, sha256
from harmonization.learning.checkpoints import Checkpoints
from harmonization.learning.devices import choose_precision
from harmonization.learning.manifest import Fold
from harmonization.learning.models import (
    WEIGHTS,
    Card,
    FitSettings,
    Model,
    Specification,
    build,
    load_model,
    name_of,
    versions,
)
from harmonization.learning.network import Task
from harmonization.learning.sizing import lengthened, setting_for
from harmonization.learning.template import Template
from harmonization.learning.training import Progress

Fitted = tuple[Model, Card]


@dataclasses.dataclass(frozen=True)
class Fit:
    """A model to fit.

    Parameters
    ----------
    method, target : str
        The target is ``all`` for a model of all targets.
    fold, seed : int
        Numbers, for the card.
    random_seed : int
        Seed of everything random.
    settings : dict
        What determines the model, see `Plan.fit_settings`.
    components, matches : list of Path
        Folders of the models that it builds on, and of those that it is made equal to.
    precision : {'float32', 'bfloat16'}
    template : list of Path
        Template of the fold and the two warps of each of its subjects, or nothing.
    """

    method: str
    target: str
    fold: int
    seed: int
    random_seed: int
    settings: dict[str, Any]
    components: list[Path]
    matches: list[Path]
    precision: str = "float32"
    template: list[Path] = dataclasses.field(default_factory=list)


def fit_model(
    wanted: Fit,
    manifest: Path,
    device: str = "cpu",
    report: Callable[[str], None] = print,
    checkpoints: Checkpoints | None = None,
) -> tuple[Model, Card, list[Progress]]:
    """Fit a model to the fold of a manifest.

    Parameters
    ----------
    wanted : Fit
    manifest : Path
    device : str
    report : callable
        Receives a line about each validation.
    checkpoints : Checkpoints, optional
        Of a training; all else that defines it is added to their definition.

    Returns
    -------
    model : Model
    card : Card
    history : list of Progress
        Empty for a fit without steps.

    Raises
    ------
    InputError
        If the method's components or settings do not fit each other.
    """
    fold, settings = Fold(manifest), wanted.settings
    candidates = [load_model(folder, device) for folder in wanted.components]
    kept = chosen(candidates, settings["alternatives"], fold)
    components = {card.name: (model, card) for model, card in kept}
    specification = Specification(
        settings["wing"],
        settings["plugin"],
        settings["settings"],
        task_of(fold, wanted.target, wanted.random_seed, [card for _, card in kept]),
        {name: card.specification for name, (_, card) in components.items()},
    )
    how = {key: settings[key] for key in ("training", "solve")}
    before = trainings_of([card for _, card in candidates])
    with blamed_on(f"method {wanted.method}"):
        if strange := [card.method for component, card in candidates if component.keeps_units]:
            raise InputError(
                f"builds_on: {strange[0]} predicts in the source's units, not in those of a "
                "target's network; build on another"
            )
        equals = [Card.read(folder) for folder in wanted.matches]
        specification, how["training"] = matched(
            specification, how["training"], settings, equals, sum(before.values()), fold
        )
        torch.manual_seed(wanted.random_seed)
        model = build(specification, device)
        model.initialise_from({name: fitted for name, (fitted, _) in components.items()})
        unfitted = model.count_parameters() - sum(m.count_parameters() for m, _ in kept)
        if unfitted > 0 and model.needs_fit and how == {"training": None, "solve": None}:
            raise InputError(
                f"network: nothing fits the {unfitted:,} parameters of {settings['plugin']}; give "
                "training, or needs_fit = False in its class if its start is what it predicts with"
            )
    if checkpoints:
        checkpoints.definition |= {
            "specification": dataclasses.asdict(specification),
            **how,
            "precision": str(choose_precision(wanted.precision, device)),
            "device": device.partition(":")[0],
            "manifest": sha256(manifest),
            "components": [sha256(folder / WEIGHTS) for folder in wanted.components],
            "versions": versions(),
        }
    given = {"precision": wanted.precision, "report": report, "checkpoints": checkpoints}
    if wanted.template:
        given["template"] = Template(
            *wanted.template, subjects=fold.subjects("train") + fold.subjects("validation")
        )
    outcome = model.fit(fold, FitSettings(**how, **given))
    own = model.count_multiply_adds(how["training"], fold.lattice.window)
    card = Card(
        method=wanted.method,
        target=wanted.target,
        fold=wanted.fold,
        seed=wanted.seed,
        specification=specification,
        settings=how,
        parameters=model.count_parameters(),
        path_parameters=model.count_path_parameters(),
        trainings=(before if model.inherits else {})
        | {name_of(wanted.method, wanted.target, wanted.seed): own},
        outcome=outcome.card,
        source=fold.source,
        # The manifest of a method that is not fitted is that of the run's scans, whatever it reads.
        input=fold.input | settings["input"],
        lattice=dataclasses.asdict(fold.lattice),
        spherical_harmonics=fold.spherical_harmonics,
        normalisation=normalisation(fold, model),
        manifest_sha256=sha256(manifest),
        versions=versions(),
    )
    return model, card, outcome.history


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


def trainings_of(cards: list[Card]) -> dict[str, int]:
    """Computation of all trainings of some models, of those that several inherit from once."""
    found: dict[str, int] = {}
    for card in cards:
        found |= card.trainings
    return found


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
        model = build(specification)
        wanted = sum(trainings_of(cards).values()) - before * model.inherits
        own = model.count_multiply_adds(training, fold.lattice.window)
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
