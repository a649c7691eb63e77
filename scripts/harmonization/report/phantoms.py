"""Several phantoms compared: whether a ranking is that of the people of one of them."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from harmonization.files import InputError
from harmonization.report.style import MM, PRINT, look, plt, printed

KEPT = ["phantom", "change", "low", "high", "wins", "n", "p"]
APART = 0.16  # of a line, between the marks of two phantoms


def ranking(comparisons: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Rank the methods in each phantom, by their changes of patch MSE against one of them.

    Parameters
    ----------
    comparisons : dict of str to DataFrame
        By phantom, a run's table of comparisons. Of its references, the last is taken.

    Returns
    -------
    DataFrame
        Columns method, family, against (that one), phantom, rank (1 is the lowest error; equal
        errors share the better rank), and those of a comparison. Methods are in the order of their
        mean ranks; controls are left out. The reference is among them, with a change of 0 and
        neither interval nor p.

    Raises
    ------
    InputError
        If two phantoms have other methods, or other references.
    """
    ranks = pd.concat(
        [_ranks(table).assign(phantom=phantom) for phantom, table in comparisons.items()]
    )
    first = next(iter(comparisons))
    compared = {
        phantom: set(zip(rows["method"], rows["against"], strict=True))
        for phantom, rows in ranks.groupby("phantom", sort=False)
    }
    for phantom, methods in compared.items():
        if methods != compared[first]:
            raise InputError(
                f"comparisons: phantom {phantom} has other methods than phantom {first}, or "
                "another reference; run both with the same list"
            )
    means = ranks.groupby("method")["rank"].transform("mean")
    ranks = ranks.assign(mean=means).sort_values(["mean", "method"], kind="stable")
    return ranks[["method", "family", "against", "rank", *KEPT]].reset_index(drop=True)


def _ranks(table: pd.DataFrame) -> pd.DataFrame:
    """Methods of one phantom with their changes and ranks, the reference among them."""
    against = table["against"].iloc[-1]
    changes = table[
        (table["against"] == against)
        & (table["target"] == "mean")
        & (table["metric"] == "patch_mse")
        & (table["family"] != "control")
    ]
    # Nothing is compared with itself; only another reference's rows tell its family.
    family = table.loc[table["method"] == against, "family"].unique()
    reference = {"method": [against], "family": family[:1] if len(family) else [""], "change": 0.0}
    changes = pd.concat([changes, pd.DataFrame(reference)], ignore_index=True)
    return changes.assign(against=against, rank=changes["change"].rank(method="min").astype(int))


def agreement(ranks: pd.DataFrame) -> tuple[float, float]:
    """Kendall's tau between the ranks in two phantoms: the least of all pairs, and the largest.

    Parameters
    ----------
    ranks : DataFrame
        As from `ranking`, of two phantoms or more.
    """
    by_phantom = ranks.pivot_table("rank", index="method", columns="phantom")
    pairs = itertools.combinations(by_phantom.columns, 2)
    taus = [kendalltau(by_phantom[a], by_phantom[b]).statistic for a, b in pairs]
    return min(taus), max(taus)


def declared_changes(claims: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Changes of the declared comparisons in each phantom, in the order of the claims.

    Parameters
    ----------
    claims : dict of str to DataFrame
        By phantom, a run's table of claims.

    Returns
    -------
    DataFrame
        Columns claim, method, against, and those of a comparison.
    """
    tables = [
        table[table["declared"] & table["change"].notna()].assign(phantom=phantom)
        for phantom, table in claims.items()
    ]
    found = pd.concat(tables)
    order = {claim: n for n, claim in enumerate(dict.fromkeys(found["claim"]))}
    found = found.sort_values("claim", key=lambda names: names.map(order), kind="stable")
    return found[["claim", "method", "against", *KEPT]].reset_index(drop=True)


@printed
def draw_phantoms(ranks: pd.DataFrame, declared: pd.DataFrame) -> Figure:
    """Draw the changes of all methods, with their ranks, and those of declared comparisons.

    Parameters
    ----------
    ranks : DataFrame
        As from `ranking`.
    declared : DataFrame
        As from `declared_changes`.
    """
    phantoms = list(dict.fromkeys(sorted(ranks["phantom"])))
    methods, claims = (list(dict.fromkeys(names)) for names in (ranks["method"], declared["claim"]))
    lines = max(len(methods), len(claims))
    figure, (left, right) = plt.subplots(
        1,
        2,
        figsize=(PRINT * MM, (24 + 5 * lines) * MM),
        width_ratios=(3, 2),
        layout="constrained",
    )
    reference = ranks["against"].iloc[0]
    _draw_changes(left, ranks, "method", methods, phantoms)
    _draw_changes(right, declared, "claim", claims, phantoms)
    left.set_title("All methods, and their ranks in the phantoms")
    left.set_xlabel(f"change of patch MSE against {reference} (%)")
    for place, method in enumerate(methods):
        of_method = ranks[ranks["method"] == method].set_index("phantom")["rank"]
        text = " ".join(f"{of_method[phantom]:>2}" for phantom in phantoms)
        left.text(
            *(1.01, place),
            text,
            transform=left.get_yaxis_transform(),
            va="center",
            family="monospace",
            fontsize=6,
        )
    right.set_title("The declared comparisons")
    favoured = ", ".join(declared["method"].unique())
    right.set_xlabel(f"change of patch MSE (%); left is for {favoured}")
    if len(phantoms) > 1:
        taus = dict.fromkeys(f"{tau:.2f}" for tau in agreement(ranks))  # alike for two phantoms
        figure.suptitle(f"Kendall's tau between the rankings: {' to '.join(taus)}")
    handles = [
        plt.Line2D([], [], **look(n), ls="", label=f"phantom {phantom}")
        for n, phantom in enumerate(phantoms)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=6)
    return figure


def _draw_changes(
    axis: plt.Axes, rows: pd.DataFrame, key: str, names: list[str], phantoms: list[str]
) -> None:
    """Draw a line for each name: in each phantom its change, with the interval."""
    middle = (len(phantoms) - 1) / 2
    for number, phantom in enumerate(phantoms):
        found = rows[rows["phantom"] == phantom].set_index(key).reindex(names)
        places = np.arange(len(names)) + APART * (number - middle)
        looks = look(number)
        axis.plot(found["change"], places, ls="", **looks, gid=f"phantom {phantom}")
        axis.hlines(places, found["low"], found["high"], color=looks["color"], lw=0.8)
    axis.axvline(0, color="black", lw=0.6, zorder=1)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y", color="0.88", linewidth=0.4)
    axis.set_axisbelow(True)
