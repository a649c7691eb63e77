"""Figure: how every network learned."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure


def draw_learning_curves(history: pd.DataFrame) -> Figure:
    """Draw patch MSE by step: a row for each method, a column for each target.

    Parameters
    ----------
    history : DataFrame
        Columns of `training.Progress` and method, target, fold, seed.
    """
    methods = list(history["method"].unique())
    trained = history.groupby("method", sort=False)["target"].unique()
    columns = max(len(targets) for targets in trained)
    figure, axes = plt.subplots(
        len(methods),
        columns,
        figsize=(3.4 * columns, 2.5 * len(methods)),
        squeeze=False,
        layout="constrained",
    )
    colours = sns.color_palette("colorblind", 2)
    for row, method in zip(axes, methods, strict=True):
        for axis in row[len(trained[method]) :]:
            axis.set_axis_off()
        for axis, target in zip(row, trained[method], strict=False):
            rows = history[(history["method"] == method) & (history["target"] == target)]
            for _, curve in rows.groupby(["fold", "seed"]):
                axis.plot(curve["step"], curve["training_mse"], color=colours[0], lw=0.8)
                axis.plot(curve["step"], curve["validation_mse"], color=colours[1], lw=1.2)
                best = curve.loc[curve["validation_mse"].idxmin()]
                axis.plot(best["step"], best["validation_mse"], "o", color=colours[1], ms=4)
            axis.set_title(f"{method}, {target}", fontsize=8)
            # The first steps would squeeze the rest of the curve.
            low, high = rows["validation_mse"].min(), rows["validation_mse"].quantile(0.9)
            axis.set_ylim(
                0.95 * min(low, rows["training_mse"].min()), high + 0.3 * (high - low) + 1e-3
            )
            axis.set(xlabel="step", ylabel="patch MSE / variance")
    figure.legend(
        handles=[
            plt.Line2D([], [], color=colours[0], label="training"),
            plt.Line2D([], [], color=colours[1], marker="o", ms=4, label="validation, best marked"),
        ],
        loc="outside lower center",
        ncols=2,
    )
    return figure
