"""Figure: errors of every rival by region, relative to those of a reference method."""

import pandas as pd
from matplotlib.figure import Figure

from harmonization.report.scores import TISSUES
from harmonization.report.style import (
    PALETTE,
    number_logarithmic,
    panels_of_methods,
    plt,
    printed,
)
from harmonization.report.tables import region_table

REGIONS = dict(
    zip(
        ["brain", *TISSUES.values()],
        [
            ("black", "o"),
            (PALETTE[0], "s"),
            (PALETTE[1], "^"),
            (PALETTE[2], "D"),
            (PALETTE[4], "v"),
        ],
        strict=True,
    )
)


def relative_errors(
    metrics: pd.DataFrame, methods: dict[str, dict[str, str]], targets: list[str], reference: str
) -> pd.DataFrame:
    """Mean errors over the subjects that have a region, divided by those of a reference method.

    Returns
    -------
    DataFrame
        Index target and region; a column for each method, by its label.
    """
    table = region_table(metrics, methods, targets)
    table = table[(table["metric"] == "mse") & (table["order"] == "all")]
    errors = table.set_index(["target", "region"])[[s["label"] for s in methods.values()]]
    return errors.div(errors[methods[reference]["label"]], axis=0)


@printed
def draw_regions(
    metrics: pd.DataFrame, methods: dict[str, dict[str, str]], targets: list[str], reference: str
) -> Figure:
    """Draw the errors of the rivals by region: a panel for each target, a line for each rival.

    Parameters
    ----------
    metrics : DataFrame
    methods : dict
        Label and role of each method, in order.
    targets : list of str
    reference : str
        One of the methods.
    """
    errors = relative_errors(metrics, methods, targets, reference)
    labels = [shown["label"] for shown in methods.values() if shown["role"] == "rival"]
    figure, axes = panels_of_methods(labels, targets, line=4.4)
    regions = [name for name in REGIONS if name in errors.index.get_level_values("region")]
    for axis, target in zip(axes[0], targets, strict=True):
        axis.axvline(1, color="black", lw=0.6, zorder=1)
        for number, region in enumerate(regions):
            if (target, region) in errors.index:
                # Side by side, so that equal errors do not hide each other.
                shift = 0.8 * ((number + 0.5) / len(regions) - 0.5)
                places = [place + shift for place in range(len(labels))]
                colour, marker = REGIONS[region]
                axis.plot(
                    errors.loc[(target, region), labels],
                    places,
                    marker,
                    color=colour,
                    ms=2.4,
                    mew=0,
                    gid=region,
                )
        axis.set_xscale("log")
        axis.set_xlabel("error relative to the reference")
    number_logarithmic(*(axis.xaxis for axis in axes[0]))
    figure.suptitle(
        f"Mean squared error, relative to {methods[reference]['label']}; left is better"
    )
    figure.legend(
        handles=[
            plt.Line2D([], [], color=c, marker=m, ls="", label=name.replace("_", " "))
            for name, (c, m) in REGIONS.items()
            if name in regions
        ],
        loc="outside lower center",
        ncols=len(REGIONS),
    )
    return figure
