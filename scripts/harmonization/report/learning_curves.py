"""Figure: how every network learned."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import MaxNLocator

from harmonization.report.style import MM, PALETTE, PRINT, number_logarithmic, plt, printed

ROWS = 8  # methods on a page
TRAINING, VALIDATION = PALETTE[0], PALETTE[1]
THIN = {"lw": 0.4, "alpha": 0.4}  # of one training among several


def linear_errors(cards: list[dict], targets: list[str]) -> dict[tuple[str, int], float]:
    """Validation error of the linear models, by target and fold; ``all`` is their mean.

    Parameters
    ----------
    cards : list of dict
        Of the linear models; those without a validation error are left out.
    targets : list of str
    """
    errors = {
        (card["target"], card["fold"]): card["outcome"]["validation_mse"]
        for card in cards
        if "validation_mse" in card["outcome"]
    }
    for fold in {fold for _, fold in errors}:
        of_fold = [errors[t, fold] for t in targets if (t, fold) in errors]
        if len(of_fold) == len(targets):
            errors["all", fold] = float(np.mean(of_fold))
    return errors


def draw_learning_curves(
    history: pd.DataFrame,
    labels: dict[str, str],
    targets: list[str],
    linear: dict[tuple[str, int], float],
    linear_label: str,
) -> list[Figure]:
    """Draw patch MSE by step: a row for each method, a column for each target.

    Parameters
    ----------
    history : DataFrame
        Columns of `training.Progress` and method, target, fold, seed.
    labels : dict of str
        By method, in order.
    targets : list of str
        A model of all targets has the whole row.
    linear : dict
        See `linear_errors`.
    linear_label : str
        Of the method that the linear models are of.

    Returns
    -------
    list of Figure
        Pages.
    """
    methods = [name for name in labels if name in set(history["method"])]
    return [
        _draw_page(history, {m: labels[m] for m in some}, targets, linear, linear_label)
        for some in (methods[n : n + ROWS] for n in range(0, len(methods), ROWS))
    ]


@printed
def _draw_page(
    history: pd.DataFrame,
    labels: dict[str, str],
    targets: list[str],
    linear: dict[tuple[str, int], float],
    linear_label: str,
) -> Figure:
    figure = plt.figure(figsize=(PRINT * MM, (12 + 28 * len(labels)) * MM), layout="constrained")
    grid = figure.add_gridspec(len(labels), len(targets))
    for row, (method, label) in enumerate(labels.items()):
        of_method = history[history["method"] == method]
        places = {"all": slice(None), **{target: n for n, target in enumerate(targets)}}
        trained = of_method["target"].unique()
        cells = {t: grid[row, place] for t, place in places.items() if t in trained}
        _draw_row(figure, cells, of_method, label, linear)
    shown = history[history["method"].isin(labels)]
    figure.legend(handles=_key(shown, linear, linear_label), loc="outside lower center", ncols=4)
    figure.supylabel("patch MSE / variance (log)")
    return figure


def _draw_row(
    figure: Figure,
    cells: dict[str, SubplotSpec],
    history: pd.DataFrame,
    label: str,
    linear: dict[tuple[str, int], float],
) -> None:
    """Draw the curves of a method; all of its panels have the same range."""
    first = None
    for target, cell in cells.items():
        axis = figure.add_subplot(cell, sharey=first)
        rows = history[history["target"] == target]
        _draw_trainings(axis, rows)
        errors = [
            linear[target, fold] for fold in rows["fold"].unique() if (target, fold) in linear
        ]
        if errors:
            axis.axhline(np.mean(errors), color="black", ls="--", lw=0.7, gid="linear")
        axis.set_title(f"{label}: {target if target != 'all' else 'all targets'}", pad=3)
        axis.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axis.set_xlabel("step", labelpad=1)
        if first is None:
            axis.set_yscale("log")
            first = axis
        else:
            axis.tick_params(labelleft=False)
    number_logarithmic(first.yaxis)


def _draw_trainings(axis: plt.Axes, history: pd.DataFrame) -> None:
    """Draw every training thinly with its best, and the means over folds and seeds."""
    for _, curve in history.groupby(["fold", "seed"]):
        best = curve.loc[curve["validation_mse"].idxmin()]
        axis.plot(curve["step"], curve["training_mse"], color=TRAINING, **THIN)
        axis.plot(curve["step"], curve["validation_mse"], color=VALIDATION, **THIN)
        axis.plot(best["step"], best["validation_mse"], "o", color=VALIDATION, ms=2.4, gid="best")
    mean = history.groupby("step")[["training_mse", "validation_mse"]].mean()
    axis.axhline(mean["validation_mse"].iloc[0], color="0.4", ls=":", lw=0.8, gid="start")
    axis.plot(mean["training_mse"], color=TRAINING, lw=0.8, gid="training")
    axis.plot(mean["validation_mse"], color=VALIDATION, lw=1.2, gid="validation")


def _key(
    history: pd.DataFrame, linear: dict[tuple[str, int], float], linear_label: str
) -> list[plt.Line2D]:
    entries = [
        plt.Line2D([], [], color=TRAINING, lw=0.8, label="training"),
        plt.Line2D(
            [], [], color=VALIDATION, marker="o", lw=1.2, ms=2.4, label="validation, best marked"
        ),
        plt.Line2D([], [], color="0.4", ls=":", lw=0.8, label="validation at the start"),
    ]
    if set(history["target"]) & {target for target, _ in linear}:
        label = f"{linear_label} on validation"
        entries.append(plt.Line2D([], [], color="black", ls="--", lw=0.7, label=label))
    return entries
