"""Tables of what models are made of, and what their fits cost."""

from typing import Any

import pandas as pd

from harmonization.files import read_json
from harmonization.plan.paths import expand_models
from harmonization.report.tables import in_order

Rows = dict[str, dict[str, str]]


def read_cards(
    folder: str, models: dict[str, dict[str, list[int]]], folds: dict[str, list[str]]
) -> list[dict[str, Any]]:
    """Cards of models.

    Parameters
    ----------
    folder : str
        Path of a model, with wildcards.
    models, folds : dict
        Seeds by method and target, and test subjects by fold.
    """
    return [read_json(f"{model}/card.json") for model in expand_models(folder, models, folds)]


def model_row(card: dict[str, Any]) -> dict[str, Any]:
    """What the card of a model says of its size and training, for one row."""
    outcome, training = card["outcome"], card["settings"]["training"]
    branches = list(outcome.get("contributions", {}).values())[1:]
    return {
        **{key: card[key] for key in ("method", "target", "parameters", "path_parameters")},
        "multiply_adds": sum(card["trainings"].values()),
        "steps": sum(phase["steps"] for phase in training["phases"]) if training else 0,
        "best_step": outcome.get("best_step"),
        "validation_mse": outcome.get("validation_mse"),
        "dead_units": max(outcome.get("dead_units", {}).values(), default=None),
        "smallest_branch": min(branches, default=None),
    }


def method_table(cards: list[dict[str, Any]], methods: Rows) -> pd.DataFrame:
    """Size and training of the models of each method and target.

    Parameters
    ----------
    cards : list of dict
        Of all models.
    methods : dict
        Label, family, role and selects_on of the methods to show, in order.

    Returns
    -------
    DataFrame
        Columns method (label), family, role, selects_on, target, models (their number),
        parameters, path_parameters, multiply_adds, steps, best_step and validation_mse (means),
        dead_units (the largest), smallest_branch.
    """
    measured = dict.fromkeys(("best_step", "validation_mse"), "mean")
    measured |= {"dead_units": "max", "smallest_branch": "min"}
    # A method that is not trained has none of these, which would make its column one of objects.
    of_size = dict.fromkeys(("parameters", "path_parameters", "multiply_adds", "steps"), "max")
    columns = ["method", "target", *of_size, *measured]
    rows = pd.DataFrame([model_row(card) for card in cards], columns=columns)
    return _labelled(rows.astype(dict.fromkeys(measured, float)), of_size | measured, methods)


def runtime_table(rows: pd.DataFrame, methods: Rows) -> pd.DataFrame:
    """Seconds and peak memory of the fits of each method and target.

    Parameters
    ----------
    rows : DataFrame
        One row for each model: method, target, seconds, peak_memory (MiB).
    methods : dict
        See `method_table`.
    """
    how = {"seconds": "mean", "peak_memory": "max"}
    return _labelled(rows, how, methods)


def _labelled(rows: pd.DataFrame, how: dict[str, str], methods: Rows) -> pd.DataFrame:
    """Rows of the methods to show, by method and target, in their order."""
    of_target = rows.groupby(["method", "target"], sort=False)
    table = of_target.agg(how).assign(models=of_target.size()).reset_index()
    table = in_order(table[table["method"].isin(methods)], ["method"], methods)
    said = pd.DataFrame([methods[name] for name in table["method"]])
    named = said.rename(columns={"label": "method"})
    return pd.concat([named, table[["target", "models", *how]]], axis=1)
