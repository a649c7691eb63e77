"""Figure: error against the seconds that the fits of a method take."""

from itertools import product

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from harmonization.report.style import (
    FAMILIES,
    MM,
    PRINT,
    family_key,
    number_logarithmic,
    plt,
    printed,
)
from harmonization.report.tables import subject_means

SIZE = 5.5  # of the numbers, points
LABEL = 28  # letters of the longest label of which the key has four in a row
DISTANCES = (5, 8, 11, 15, 20, 26, 33)  # of a number from its point, points
ANGLES = np.deg2rad([0, 90, 180, 270, 45, 135, 225, 315])


def costs(
    metrics: pd.DataFrame, seconds: dict[str, dict[str, float]], methods: dict[str, dict[str, str]]
) -> pd.DataFrame:
    """Error and seconds of every method whose fits were measured, but not of controls.

    Parameters
    ----------
    metrics : DataFrame
    seconds : dict
        By method and target: all fits that a prediction needs.
    methods : dict
        Label, family and role of each method, in order.

    Returns
    -------
    DataFrame
        Columns method, family, label, number (the same on every target), target, seconds, error
        (patch MSE x 1000, mean over subjects).
    """
    means = subject_means(metrics, "patch_mse").groupby(["method", "target"])["value"].mean()
    shown = [name for name, m in methods.items() if m["role"] != "control" and seconds.get(name)]
    rows = [
        {
            "method": name,
            **{key: methods[name][key] for key in ("family", "label")},
            "number": number,
            "target": target,
            "seconds": spent,
            "error": 1000 * means[name, target],
        }
        for number, name in enumerate(shown, 1)
        for target, spent in seconds[name].items()
    ]
    columns = ["method", "family", "label", "number", "target", "seconds", "error"]
    return pd.DataFrame(rows, columns=columns)


def front(points: pd.DataFrame) -> pd.DataFrame:
    """The Pareto front: points of which none takes less time and has a smaller error."""
    ordered = points.sort_values(["seconds", "error"], kind="stable")
    best_before = ordered["error"].cummin().shift(fill_value=np.inf)
    return ordered[ordered["error"] < best_before]


@printed
def draw_costs(points: pd.DataFrame, targets: list[str]) -> Figure:
    """Draw error against seconds: a panel for each target, numbered points, a key of the numbers.

    Parameters
    ----------
    points : DataFrame
        See `costs`.
    targets : list of str
    """
    key = points.drop_duplicates("number")
    columns = 4 if key["label"].str.len().max() <= LABEL else 3
    height = (75 + 3.4 * -(-len(key) // columns)) * MM
    figure, axes = plt.subplots(
        1, len(targets), figsize=(PRINT * MM, height), squeeze=False, layout="constrained"
    )
    for axis, target in zip(axes[0], targets, strict=True):
        axis.set(title=target, xlabel="seconds of all fits (log)")
        _draw_points(axis, points[points["target"] == target])
    axes[0, 0].set_ylabel("patch MSE x 1000 (log)")
    _add_keys(figure, key, columns)
    # The numbers are placed on the final layout.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axis, target in zip(axes[0], targets, strict=True):
        _number(axis, points[points["target"] == target])
    return figure


def _draw_points(axis: plt.Axes, points: pd.DataFrame) -> None:
    """Draw the methods on one target, and their Pareto front."""
    if points.empty:  # a logarithmic axis of nothing has no numbers
        axis.set(xticks=[], yticks=[])
        return
    best = front(points)
    axis.step(
        best["seconds"], best["error"], where="post", color="0.5", lw=0.8, zorder=1, gid="front"
    )
    for point in points.to_dict("records"):
        colour, marker = FAMILIES[point["family"]]
        axis.plot(point["seconds"], point["error"], marker, color=colour, mec="white", mew=0.3)
    axis.set(xscale="log", yscale="log")
    axis.margins(0.1)
    number_logarithmic(axis.xaxis, axis.yaxis)


def _add_keys(figure: Figure, methods: pd.DataFrame, columns: int) -> None:
    """Add the key of the numbers, and that of families and front."""
    entries = []
    for method in methods.to_dict("records"):
        colour, marker = FAMILIES[method["family"]]
        label = f"{method['number']}  {method['label']}"
        entries.append(plt.Line2D([], [], color=colour, marker=marker, ls="", label=label))
    spacing = {"columnspacing": 1.2, "handlelength": 1.0}
    figure.legend(handles=entries, loc="outside lower center", ncols=columns, **spacing)
    line = plt.Line2D([], [], color="0.5", lw=0.8, label="best for its seconds")
    handles = [*family_key(methods["family"]), line]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))


def _number(axis: plt.Axes, points: pd.DataFrame) -> None:
    """Write the number of each point beside it, with a line to it if it cannot be close."""
    pixels = axis.figure.dpi / 72
    places = axis.transData.transform(points[["seconds", "error"]].to_numpy().reshape(-1, 2))
    texts = [str(number) for number in points["number"]]
    sizes = np.array([(0.66 * SIZE * len(text), SIZE) for text in texts]).reshape(-1, 2)
    shifts = place_labels(places / pixels, sizes, Bbox(axis.bbox.get_points() / pixels))
    for text, at, shift in zip(texts, points[["seconds", "error"]].to_numpy(), shifts, strict=True):
        far = np.hypot(*shift) > DISTANCES[0] + 0.1
        axis.annotate(
            text,
            at,
            shift,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=SIZE,
            path_effects=[withStroke(linewidth=1, foreground="white")],
            arrowprops={"arrowstyle": "-", "lw": 0.3, "color": "0.4", "shrinkA": 2, "shrinkB": 1}
            if far
            else None,
        )


def place_labels(points: np.ndarray, sizes: np.ndarray, frame: Bbox) -> np.ndarray:
    """Place labels beside their points so that they hide neither a point nor each other.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        Typographic points, as everything here.
    sizes : ndarray, shape (n, 2)
        Of the labels.
    frame : Bbox
        That no label leaves.

    Returns
    -------
    ndarray, shape (n, 2)
        From each point to the centre of its label: the closest free place, always the same one. A
        label for which no place is free stands right of its point.
    """
    taken = [Bbox.from_bounds(x - 1.6, y - 1.6, 3.2, 3.2) for x, y in points]
    shifts = np.empty((len(points), 2))
    for number, (point, size) in enumerate(zip(points, sizes, strict=True)):
        for distance, angle in product(DISTANCES, ANGLES):
            shift = distance * np.array([np.cos(angle), np.sin(angle)])
            box = Bbox.from_bounds(*(point + shift - size / 2), *size)
            inside = frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1)
            if inside and not box.count_overlaps(taken):
                break
        else:
            shift = np.array([DISTANCES[0], 0.0])
            box = Bbox.from_bounds(*(point + shift - size / 2), *size)
        taken.append(box)
        shifts[number] = shift
    return shifts
