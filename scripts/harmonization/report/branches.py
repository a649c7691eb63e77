"""Figure: what the branches of MSPs contribute, and how many of their units are dead."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from harmonization.report.style import (
    PALETTE,
    look,
    number_logarithmic,
    panels_of_methods,
    plt,
    printed,
)

LEAST = 0.1  # %; a contribution below it, which the logarithm of 0 is, is drawn here
PARTS = {"first_stage": ("0.45", "s"), "branches": (PALETTE[3], "o")}


def contribution_rows(card: dict[str, Any]) -> list[dict[str, Any]]:
    """What the components of a model contribute, in percent of its prediction; its own is first.

    Columns method, target, component (its target), own, share.
    """
    components = card["specification"]["components"]
    return [
        {
            "method": card["method"],
            "target": card["target"],
            "component": components[name]["task"]["target"],
            "own": place == 0,
            "share": 100 * share,
        }
        for place, (name, share) in enumerate(card["outcome"]["contributions"].items())
    ]


def dead_rows(card: dict[str, Any]) -> list[dict[str, Any]]:
    """The largest share of dead units in any layer, in percent, of first stage and branches."""
    found: dict[str, float] = {}
    for layer, share in card["outcome"]["dead_units"].items():
        part = layer.partition(".")[0]
        found[part] = max(found.get(part, 0.0), 100 * share)
    named = {key: card[key] for key in ("method", "target")}
    return [{**named, "part": part, "share": share} for part, share in found.items()]


@printed
def draw_branches(
    cards: list[dict[str, Any]], labels: dict[str, str], targets: list[str]
) -> Figure:
    """Draw contributions and dead units of every model: a line for each method.

    Parameters
    ----------
    cards : list of dict
        Of the models; those without contributions are not shown.
    labels : dict of str
        By method, in order.
    targets : list of str
    """
    cards = [card for card in cards if "contributions" in card["outcome"]]
    shares = pd.DataFrame([row for card in cards for row in contribution_rows(card)])
    dead = pd.DataFrame([row for card in cards for row in dead_rows(card)])
    shown = [name for name in labels if name in set(shares["method"])]
    place = {name: number for number, name in enumerate(shown)}
    figure, axes = panels_of_methods([labels[n] for n in shown], targets, bands=2, line=4.5)
    for column, target in zip(axes.T, targets, strict=True):
        of_target = shares[shares["target"] == target]
        _draw_shares(column[0], of_target, targets, place)
        _draw_dead(column[1], dead[dead["target"] == target], place)
    axes[0, 0].set_xscale("log")
    number_logarithmic(*(axis.xaxis for axis in axes[0]))
    axes[1, 0].set_xlim(-3, 103)
    _add_key(figure, targets, set(shares["component"]))
    return figure


def _draw_shares(
    axis: plt.Axes, shares: pd.DataFrame, targets: list[str], place: dict[str, int]
) -> None:
    own = shares[shares["own"]]
    axis.plot(own["share"], own["method"].map(place), "s", color="black", mfc="none", gid="own")
    others = shares[~shares["own"]]
    for number, component in enumerate(targets):
        of_component = others[others["component"] == component]
        # Side by side, so that equal shares do not hide each other.
        lines = of_component["method"].map(place) + _shift(number, len(targets))
        options = look(number) | {"ls": "", "mew": 0, "ms": 3, "gid": component}
        axis.plot(of_component["share"].clip(lower=LEAST), lines, **options)
    axis.set_xlabel("contribution, RMS (% of the prediction)")


def _draw_dead(axis: plt.Axes, dead: pd.DataFrame, place: dict[str, int]) -> None:
    for number, (part, (colour, marker)) in enumerate(PARTS.items()):
        of_part = dead[dead["part"] == part]
        lines = of_part["method"].map(place) + _shift(number, len(PARTS))
        axis.plot(of_part["share"], lines, marker, color=colour, mew=0, ms=3, gid=part)
    axis.set_xlabel("dead units, worst layer (%)")


def _shift(number: int, of: int) -> float:
    return 0.6 * ((number + 0.5) / of - 0.5)


def _add_key(figure: Figure, targets: list[str], components: set[str]) -> None:
    def entry(label: str, **options: Any) -> plt.Line2D:
        return plt.Line2D([], [], ls="", label=label, **options)

    of_shares = [entry("own first stage", color="black", marker="s", mfc="none")] + [
        entry(f"branch from {target}", **look(number))
        for number, target in enumerate(targets)
        if target in components
    ]
    of_dead = [
        entry(f"dead units: {part.replace('_', ' ')}", color=colour, marker=marker)
        for part, (colour, marker) in PARTS.items()
    ]
    figure.legend(handles=[*of_shares, *of_dead], loc="outside lower center", ncols=3)
