"""Tables of a run."""

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler


def subject_means(metrics: pd.DataFrame, metric: str, region: str = "brain") -> pd.DataFrame:
    """One value for each method, target and subject: the mean over seeds.

    The subject is the unit of every statistic; patches and seeds are averaged first.

    Parameters
    ----------
    metrics : DataFrame
        Tidy rows: method, family, target, fold, seed, subject, region, metric, value.
    metric, region : str
        Which rows to take.
    """
    rows = metrics[(metrics["metric"] == metric) & (metrics["region"] == region)]
    keys = ["method", "family", "target", "subject"]
    return rows.groupby(keys, sort=False)["value"].mean().reset_index()


def patch_mse_table(
    metrics: pd.DataFrame, methods: dict[str, dict[str, str]], targets: list[str]
) -> pd.DataFrame:
    """Mean and standard deviation of the paper's measure over subjects.

    Returns
    -------
    DataFrame
        Columns method (label), family, role, n (number of subjects), and for each target
        ``<target>`` and ``<target>_sd``.
    """
    means = subject_means(metrics, "patch_mse")
    rows = []
    for method, shown in methods.items():
        of_method = means[means["method"] == method]
        row = {"method": shown["label"], "family": of_method["family"].iloc[0]}
        row |= {"role": shown["role"], "n": of_method["subject"].nunique()}
        for target in targets:
            values = of_method.loc[of_method["target"] == target, "value"]
            row |= {target: values.mean(), f"{target}_sd": values.std()}
        rows.append(row)
    return pd.DataFrame(rows)


def styled(table: pd.DataFrame, targets: list[str], caption: str) -> Styler:
    """Format the table: thousandths, mean and deviation in one cell, the best rival in bold."""
    shown = table[["method", "family"]].copy()
    for target in targets:
        spread = table[f"{target}_sd"] * 1000
        shown[target] = [
            f"{mean:.3f}" + (f" ± {sd:.3f}" if np.isfinite(sd) else "")
            for mean, sd in zip(table[target] * 1000, spread, strict=True)
        ]
    rivals = table[table["role"] == "rival"]
    best = {target: rivals[target].idxmin() for target in targets if len(rivals)}

    def bold(column: pd.Series) -> list[str]:
        chosen = best.get(column.name)
        return ["font-weight: bold" if index == chosen else "" for index in column.index]

    return plain(shown, caption).apply(bold, subset=targets)


def plain(table: pd.DataFrame, caption: str) -> Styler:
    """Format a table like all tables of a run."""
    style = table.style.hide(axis="index").set_caption(caption)
    return style.set_table_styles(
        [
            {"selector": "", "props": "border-collapse: collapse; font-family: sans-serif"},
            {"selector": "th, td", "props": "padding: 0.3em 0.8em; text-align: left"},
            {"selector": "thead, tbody", "props": "border-bottom: 1px solid"},
            {"selector": "caption", "props": "text-align: left; padding: 0.5em 0"},
        ]
    )
