"""Table and figure of a study of limited data: who wins where there is little to learn from."""

import pandas as pd
from matplotlib.figure import Figure

from harmonization.report.style import MM, PRINT, look, number_logarithmic, plt, printed

CLAIMED = -20  # per cent; over which rival, the paper's abstract does not say


def limited_data_changes(
    metrics: pd.DataFrame, methods: dict[str, dict[str, str]], folds: dict[str, dict[str, str]]
) -> pd.DataFrame:
    """Patch MSE of each draw, and its change against the first method on the same draw.

    Parameters
    ----------
    metrics : DataFrame
    methods : dict
        Label of each method, in order; the first is the one that all are compared with.
    folds : dict
        By fold, the number of training ``subjects``, of their ``patches``, and of the ``draw``.

    Returns
    -------
    DataFrame
        Columns target, subjects, patches, draw, method, patch_mse (means over seeds and test
        subjects) and change (%).
    """
    rows = metrics[(metrics["metric"] == "patch_mse") & (metrics["region"] == "brain")]
    rows = rows[rows["method"].isin(methods)]
    means = rows.pivot_table("value", index=["target", "fold"], columns="method")[list(methods)]
    changes = 100 * means.div(means[next(iter(methods))], axis=0) - 100
    table = means.melt(value_name="patch_mse", ignore_index=False)
    table = table.assign(change=changes.melt()["value"].to_numpy()).reset_index()
    learnt = pd.DataFrame([folds[str(fold)] for fold in table["fold"]], index=table.index)
    keys = ["target", *learnt.columns, "method"]
    return pd.concat([table, learnt], axis=1)[[*keys, "patch_mse", "change"]]


def limited_data_table(
    metrics: pd.DataFrame,
    methods: dict[str, dict[str, str]],
    targets: list[str],
    folds: dict[str, dict[str, str]],
) -> pd.DataFrame:
    """Mean patch MSE of every method by the amount of training data, and its change.

    Parameters
    ----------
    metrics, methods, folds
        See `limited_data_changes`.
    targets : list of str
        In order.

    Returns
    -------
    DataFrame
        Columns target, subjects, patches, method (label), draws (their number), patch_mse and
        change (%, means over the draws), lowest and highest (changes of a single draw).
    """
    draws = limited_data_changes(metrics, methods, folds)
    keys = ["target", "subjects", "patches", "method"]
    table = draws.groupby(keys).agg(
        draws=("draw", "count"),
        patch_mse=("patch_mse", "mean"),
        change=("change", "mean"),
        lowest=("change", "min"),
        highest=("change", "max"),
    )
    amounts = _in_order(folds)
    order = [targets, amounts["subjects"], amounts["patches"], list(methods)]
    table = table.reindex(pd.MultiIndex.from_product(order, names=keys)).dropna().reset_index()
    table["method"] = [methods[name]["label"] for name in table["method"]]
    return table.astype({"draws": int})


def _in_order(folds: dict[str, dict[str, str]]) -> dict[str, list[str]]:
    """Amounts of each kind, in the order of the configuration."""
    kinds = "subjects", "patches"
    return {kind: list(dict.fromkeys(fold[kind] for fold in folds.values())) for kind in kinds}


@printed
def draw_limited_data(
    metrics: pd.DataFrame,
    methods: dict[str, dict[str, str]],
    targets: list[str],
    folds: dict[str, dict[str, str]],
) -> Figure:
    """Draw errors, and changes against the first method, over the number of patches.

    A column of panels for each number of training subjects; two rows for each target. Lines are
    means over the draws, dots are draws.

    Parameters
    ----------
    metrics, methods, folds
        See `limited_data_changes`.
    targets : list of str
        In order.
    """
    draws = limited_data_changes(metrics, methods, folds)
    amounts = _in_order(folds)
    figure, axes = plt.subplots(
        2 * len(targets),
        len(amounts["subjects"]),
        figsize=(PRINT * MM, (18 + 72 * len(targets)) * MM),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    reference = next(iter(methods.values()))["label"]
    for row, target in enumerate(targets):
        for column, subjects in enumerate(amounts["subjects"]):
            of_panel = draws[(draws["target"] == target) & (draws["subjects"] == subjects)]
            above, below = axes[2 * row : 2 * row + 2, column]
            _draw_lines(above, of_panel, "patch_mse", methods, amounts["patches"])
            _draw_lines(below, of_panel, "change", methods, amounts["patches"])
            below.axhline(CLAIMED, color="0.4", lw=0.8, ls=":")
            plural = "" if subjects == "1" else "s"
            above.set_title(f"{target}, {subjects} training subject{plural}")
        axes[2 * row, 0].set_yscale("log")
        axes[2 * row, 0].set_ylabel("patch MSE")
        axes[2 * row + 1, 0].set_ylabel(f"change against {reference} (%)")
        number_logarithmic(axes[2 * row, 0].yaxis)
    for axis in axes[-1]:
        axis.set_xlabel("patches of each training subject")
    handles = [
        plt.Line2D([], [], **look(n), label=shown["label"])
        for n, shown in enumerate(methods.values())
    ]
    handles.append(plt.Line2D([], [], color="0.4", lw=0.8, ls=":", label=f"{CLAIMED} %"))
    figure.legend(handles=handles, loc="outside lower center", ncols=6)
    return figure


def _draw_lines(
    axis: plt.Axes,
    draws: pd.DataFrame,
    measure: str,
    methods: dict[str, dict[str, str]],
    patches: list[str],
) -> None:
    """Draw a line for each method, and a dot for each of its draws."""
    middle = (len(methods) - 1) / 2
    for number, name in enumerate(methods):
        found = draws[draws["method"] == name]
        # Side by side, so that equal values do not hide each other.
        places = found["patches"].map(patches.index) + 0.05 * (number - middle)
        looks = look(number)
        axis.plot(places, found[measure], ls="", **looks, ms=2.6, mew=0, gid="draws")
        means = found[measure].groupby(places).mean()
        axis.plot(means.index, means, color=looks["color"], gid=name)
    axis.set_xticks(range(len(patches)), patches)
    axis.set_xlim(-0.4, len(patches) - 0.6)
    axis.grid(axis="y", color="0.9", lw=0.4)
    axis.set_axisbelow(True)
