"""Figure: how much better or worse than a reference every method is in each test subject."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harmonization.report.comparison import errors_of, relative_changes
from harmonization.report.style import FAMILIES, family_key, panels_of_methods, plt, printed

MEASURES = {"patch_mse": "patch MSE", "excess": "excess"}
LINES = 42  # methods of which a page holds two rows of panels
STRIP = 0.24  # of the axis, for the numbers of what lies beyond it


def paired_changes(
    metrics: pd.DataFrame, metric: str, methods: Iterable[str], reference: str
) -> pd.DataFrame:
    """Change of methods' scores against a reference method, in each test subject by itself.

    Parameters
    ----------
    metrics : DataFrame
    metric : str
    methods : iterable of str
    reference : str
        A method.

    Returns
    -------
    DataFrame
        Columns method, subject, target and change (%). A subject is left out where the reference
        has no error, which only the excess allows.
    """
    errors = errors_of(metrics, metric)
    changes = {
        method: relative_changes(errors, method, reference).groupby("subject").mean()
        for method in methods
    }
    table = pd.concat(changes, names=["method"])
    return table.melt(value_name="change", ignore_index=False).reset_index().dropna()


def axis_range(changes: pd.Series) -> tuple[float, float]:
    """Range of the axis: down to the best change, up to the upper quartile or as far as down.

    A few methods that are much worse than all others would squeeze everything else.
    """
    low = min(changes.min(), 0.0)
    high = max(changes.quantile(0.75), -low, 1.0)
    pad = 0.05 * (high - low)
    return low - pad, high + pad


def draw_improvements(
    metrics: pd.DataFrame, methods: dict[str, dict[str, str]], targets: list[str], reference: str
) -> list[Figure]:
    """Draw the change of each method's error against a reference: a dot for each test subject.

    Parameters
    ----------
    metrics : DataFrame
    methods : dict
        Label, family and role of each method, in order.
    targets : list of str
    reference : str
        One of the methods.

    Returns
    -------
    list of Figure
        A page with a row of panels for each measure, or a page for each measure of many methods.
    """
    measures = [name for name in MEASURES if name in set(metrics["metric"])]
    pages = [measures] if len(methods) <= LINES else [[measure] for measure in measures]
    return [_draw_page(metrics, methods, targets, reference, page) for page in pages]


@printed
def _draw_page(
    metrics: pd.DataFrame,
    methods: dict[str, dict[str, str]],
    targets: list[str],
    reference: str,
    measures: list[str],
) -> Figure:
    labels = [shown["label"] for shown in methods.values()]
    figure, axes = panels_of_methods(labels, targets, len(measures))
    compared = {name for name, shown in methods.items() if shown["role"] != "control"}
    for band, measure in zip(axes, measures, strict=True):
        changes = paired_changes(metrics, measure, methods, reference)
        among = changes["method"].isin(compared or methods)
        limits = axis_range(changes.loc[among, "change"])
        strip = _limit(band, limits, changes["change"])
        for axis, target in zip(band, targets, strict=True):
            of_target = changes[changes["target"] == target]
            for place, (name, shown) in enumerate(methods.items()):
                values = of_target.loc[of_target["method"] == name, "change"].to_numpy()
                _draw_subjects(axis, place, values, shown["family"], limits, strip)
            axis.set_xlabel(f"change of {MEASURES[measure]} (%)")
    figure.suptitle(f"Against {methods[reference]['label']}, in each test subject; left is better")
    figure.legend(
        handles=[
            *family_key(shown["family"] for shown in methods.values()),
            plt.Line2D([], [], color="black", marker="|", ms=7, mew=1.1, ls="", label="median"),
        ],
        loc="outside lower center",
        ncols=7,
    )
    return figure


def _limit(band: np.ndarray, limits: tuple[float, float], changes: pd.Series) -> float:
    """Limit the axes of a band; return the width of the strips for what lies beyond."""
    low, high = limits
    strip = STRIP * (high - low)
    shown = (low - strip * (changes.min() < low), high + strip * (changes.max() > high))
    ticks = [t for t in MaxNLocator(5).tick_values(low, high) if low <= t <= high]
    for axis in band:
        axis.axvline(0, color="black", lw=0.6, zorder=1)
        for inner, outer in zip(limits, shown, strict=True):
            axis.axvspan(inner, outer, color="0.94", lw=0, zorder=0)
        axis.set_xlim(shown)
        axis.set_xticks(ticks)
    return strip


def _draw_subjects(
    axis: plt.Axes,
    place: int,
    values: np.ndarray,
    family: str,
    limits: tuple[float, float],
    strip: float,
) -> None:
    """Draw a method's line: its subjects, their median, and arrows to those beyond the axis."""
    (low, high), (colour, marker) = limits, FAMILIES[family]
    inside = values[(values >= low) & (values <= high)]
    places = np.full(len(inside), place)
    axis.plot(inside, places, marker, color=colour, mec="white", mew=0.3, zorder=3, gid="dots")
    if len(values) and low <= np.median(values) <= high:
        median = np.full(2, np.median(values))
        axis.plot(median, [place - 0.4, place + 0.4], color="black", lw=1.1, zorder=2, gid="median")
    for edge, outside, arrow, side in (
        (low, values[values < low], "<", -1),
        (high, values[values > high], ">", 1),
    ):
        if len(outside):
            axis.plot(edge + side * 0.12 * strip, place, arrow, color=colour, ms=2.6)
            axis.text(
                edge + side * 0.25 * strip,
                place,
                f"{np.median(outside):,.0f}".replace("-", "\N{MINUS SIGN}"),
                ha="left" if side > 0 else "right",
                va="center_baseline",
                fontsize=5.5,
            )
