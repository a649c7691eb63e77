"""Tables of a run."""

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

LINE = 40  # letters; longer texts are broken into lines in LaTeX


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
        ``<target>``, ``<target>_sd`` and, on a phantom, the mean ``<target>_excess``.
    """
    means, excess = (subject_means(metrics, name) for name in ("patch_mse", "excess"))
    rows = []
    for method, shown in methods.items():
        of_method = means[means["method"] == method]
        row = {"method": shown["label"], "family": of_method["family"].iloc[0]}
        row |= {"role": shown["role"], "n": of_method["subject"].nunique()}
        for target in targets:
            values = of_method.loc[of_method["target"] == target, "value"]
            row |= {target: values.mean(), f"{target}_sd": values.std()}
            rest = excess[(excess["method"] == method) & (excess["target"] == target)]["value"]
            row |= {f"{target}_excess": rest.mean()} if len(rest) else {}
        rows.append(row)
    return pd.DataFrame(rows)


def denoising_and_the_rest(
    metrics: pd.DataFrame, noisy: str, noise_free: str, targets: list[str]
) -> dict[str, float]:
    """How much of an error against the noise-free target remains without noise in the source.

    Parameters
    ----------
    metrics : DataFrame
    noisy, noise_free : str
        The same method, applied to the source and to the source without noise.
    targets : list of str

    Returns
    -------
    dict of str to float
        By target, a share: the task of harmonisation; denoising is the rest.
    """
    means = subject_means(metrics, "truth_mse").groupby(["method", "target"])["value"].mean()
    return {target: means[noise_free, target] / means[noisy, target] for target in targets}


def region_table(
    metrics: pd.DataFrame, methods: dict[str, dict[str, str]], targets: list[str]
) -> pd.DataFrame:
    """Mean scores over subjects by region and order.

    Returns
    -------
    DataFrame
        Columns target, region, metric (``mse``, for the brain patch MSE; ``truth_mse``;
        ``excess``), order (``all``, ``0``, ``2``, ...), n (subjects that have the region), voxels
        (of all of them), and one for each method, by its label.
    """
    rows = metrics.copy()
    split = (
        rows["metric"].str.removeprefix("patch_").str.extract(r"^(mse|truth_mse|excess)(_l\d+)?$")
    )
    rows["metric"], rows["order"] = split[0], split[1].str[2:].fillna("all")
    keys = ["target", "region"]
    people = metrics[metrics["metric"] == "voxels"].groupby([*keys, "subject"])["value"].max()
    size = people.groupby(level=keys).agg(n="count", voxels="sum").astype(int)
    labels = ["method", *keys, "metric", "order"]
    scores = rows.dropna(subset="metric")
    means = scores.groupby([*labels, "subject"])["value"].mean().reset_index()
    means = means.pivot_table("value", index=labels[1:], columns="method")
    table = means[list(methods)].rename(columns={m: shown["label"] for m, shown in methods.items()})
    table = table.reset_index().merge(size.reset_index(), on=keys)
    place = {name: number for number, name in enumerate(targets)}
    table = table.sort_values([*keys, "metric", "order"], key=lambda c: c.map(place).fillna(c))
    first = [*keys, "metric", "order", "n", "voxels"]
    return table[first + [name for name in table.columns if name not in first]]


def styled(table: pd.DataFrame, targets: list[str], caption: str) -> Styler:
    """Format the table: thousandths, mean and deviation in one cell, the best rivals in bold."""
    shown = table[["method", "family"]].copy()
    for target in targets:
        spread = table[f"{target}_sd"] * 1000
        shown[target] = [
            f"{mean:.3f}" + (f" ± {sd:.3f}" if np.isfinite(sd) else "")
            for mean, sd in zip(table[target] * 1000, spread, strict=True)
        ]
        if f"{target}_excess" in table:
            shown[f"{target} excess"] = (table[f"{target}_excess"] * 1000).map("{:.3f}".format)
    rivals = table[table["role"] == "rival"]
    measures = {name: name.replace(" excess", "_excess") for name in shown.columns[2:]}
    best = {name: rivals[key].idxmin() for name, key in measures.items() if len(rivals)}

    def bold(column: pd.Series) -> list[str]:
        chosen = best.get(column.name)
        return ["font-weight: bold" if index == chosen else "" for index in column.index]

    return plain(shown, caption).apply(bold, subset=list(measures))


def latex(style: Styler) -> str:
    """A styled table of text as LaTeX, for the package booktabs; changes the style."""
    special = {c: f"\\{c}" for c in "%&_#$"} | {"^": "\\^{}"}
    style.caption = "".join(special.get(c, c) for c in style.caption)
    style.table_styles = []  # those of a web page, which LaTeX would take for commands
    widest = style.data.map(len).max() if len(style.data) else {}
    columns = "".join("p{4cm}" if widest.get(name, 0) > LINE else "l" for name in style.columns)
    escaped = style.format(escape="latex").format_index(escape="latex", axis=1)
    return escaped.to_latex(hrules=True, convert_css=True, column_format=columns)


def plain(table: pd.DataFrame, caption: str) -> Styler:
    """Format a table like all tables of a run."""
    # By default, pandas names every table at random.
    style = table.style.set_uuid("table").hide(axis="index").set_caption(caption)
    return style.set_table_styles(
        [
            {"selector": "", "props": "border-collapse: collapse; font-family: sans-serif"},
            {"selector": "th, td", "props": "padding: 0.3em 0.8em; text-align: left"},
            {"selector": "thead, tbody", "props": "border-bottom: 1px solid"},
            {"selector": "caption", "props": "text-align: left; padding: 0.5em 0"},
        ]
    )
