"""Tables of a run."""

import html
from collections.abc import Iterable

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from harmonization.report.scores import COMPARED

FEATURE_ERRORS = r"(truth_)?(angular_error|gfa_mae|fa_mae|md_mae|rish_error_l\d+)"
LINE = 24  # letters; columns of longer texts are broken into lines in LaTeX
PAGE = 168  # mm, the width of a table in LaTeX, on A4
ROWS = 40  # of a table in LaTeX that fits one page
LETTER = 1.4  # mm, the mean width of a letter in LaTeX's \footnotesize
GAP = 2.2  # mm between columns, see `latex`
RATIO_KEYS = ["target", "region", "metric", "method"]
LEAST_SUBJECTS = 3  # of which a standard deviation is taken


def in_order(table: pd.DataFrame, keys: list[str], names: Iterable[str]) -> pd.DataFrame:
    """Sort a table by columns: `names` in their order, other values by themselves."""
    place = {name: number for number, name in enumerate(names)}
    return table.sort_values(
        keys, key=lambda column: column.map(place).fillna(column), kind="stable", ignore_index=True
    )


def subject_means(metrics: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One value in the brain for each method, target and subject: the mean over seeds.

    The subject is the unit of every statistic; patches and seeds are averaged first.

    Parameters
    ----------
    metrics : DataFrame
        Tidy rows: method, family, target, fold, seed, subject, region, metric, value.
    metric : str
    """
    rows = metrics[(metrics["metric"] == metric) & (metrics["region"] == "brain")]
    keys = ["method", "family", "target", "subject"]
    return rows.groupby(keys, sort=False)["value"].mean().reset_index()


def patch_mse_table(
    metrics: pd.DataFrame, methods: dict[str, dict[str, str]], targets: list[str]
) -> pd.DataFrame:
    """Mean and standard deviation of patch MSE over subjects.

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
    table = in_order(table, [*keys, "metric", "order"], targets)
    first = [*keys, "metric", "order", "n", "voxels"]
    return table[first + [name for name in table.columns if name not in first]]


def feature_table(
    metrics: pd.DataFrame, methods: dict[str, dict[str, str]], targets: list[str]
) -> pd.DataFrame:
    """Mean errors over subjects of what biology is read from, in the brain and in white matter.

    Returns
    -------
    DataFrame
        Columns target, region, method (label), n (subjects), and one for each error that was
        computed: ``angular_error``, ``gfa_mae``, ``fa_mae``, ``md_mae``, ``rish_error_l<l>``, and
        the same against the noise-free target, ``truth_<metric>``.
    """
    known = metrics["metric"].str.fullmatch(FEATURE_ERRORS)
    rows = metrics[known & metrics["region"].isin(COMPARED) & metrics["method"].isin(methods)]
    keys = ["target", "region", "method"]
    people = rows.groupby(keys)["subject"].nunique().rename("n")
    means = rows.groupby([*keys, "metric", "subject"])["value"].mean().reset_index()
    table = means.pivot_table("value", index=keys, columns="metric").join(people).reset_index()
    table = in_order(table, keys, [*targets, *COMPARED, *methods])
    table["method"] = [methods[name]["label"] for name in table["method"]]
    measures = [name for name in table.columns if name not in (*keys, "n")]
    measures.sort(key=lambda name: name.startswith("truth_"))
    return table[[*keys, "n", *measures]]


def preservation_table(
    metrics: pd.DataFrame, methods: dict[str, dict[str, str]], targets: list[str]
) -> pd.DataFrame:
    """What of the differences between people, and of a lesion, predictions keep: 1 is all of it.

    Returns
    -------
    DataFrame
        The rows of `between_subject_table` and `lesion_contrast_table`.
    """
    tables = [
        make(metrics, methods, targets) for make in (between_subject_table, lesion_contrast_table)
    ]
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def between_subject_table(
    metrics: pd.DataFrame, methods: dict[str, dict[str, str]], targets: list[str]
) -> pd.DataFrame:
    """Standard deviation between subjects of a region's mean, predicted over measured.

    Returns
    -------
    DataFrame
        Columns target, region, metric (``mean_<feature>``), n (subjects), and one for each method,
        by its label. Without rows if there are less than three subjects.
    """
    means = _kept(metrics, r"mean_[a-z0-9]+?")
    spread = means.groupby(RATIO_KEYS)[["predicted", "measured"]].std()
    enough = means.groupby(RATIO_KEYS)["subject"].nunique() >= LEAST_SUBJECTS
    return _ratios(spread[enough], means, methods, targets)


def lesion_contrast_table(
    metrics: pd.DataFrame, methods: dict[str, dict[str, str]], targets: list[str]
) -> pd.DataFrame:
    """Contrast of lesions to the white matter around them, predicted over measured.

    Returns
    -------
    DataFrame
        As from `between_subject_table`, for the means over the subjects that have a lesion.
    """
    contrasts = _kept(metrics, "lesion_contrast")
    means = contrasts.groupby(RATIO_KEYS)[["predicted", "measured"]].mean()
    return _ratios(means, contrasts, methods, targets)


def _kept(metrics: pd.DataFrame, pattern: str) -> pd.DataFrame:
    """Values of each method and subject, mean over seeds, ``predicted`` beside ``measured``."""
    split = metrics["metric"].str.extract(f"^({pattern})(_target)?$")
    rows = metrics.assign(metric=split[0], image=split[1].map({"_target": "measured"}))
    rows = rows.dropna(subset="metric").fillna({"image": "predicted"})
    means = rows.pivot_table("value", index=[*RATIO_KEYS, "subject"], columns="image")
    return means.reindex(columns=["predicted", "measured"]).reset_index()


def _ratios(
    found: pd.DataFrame,
    values: pd.DataFrame,
    methods: dict[str, dict[str, str]],
    targets: list[str],
) -> pd.DataFrame:
    """Predicted over measured, a column for each method, from rows by `RATIO_KEYS`."""
    keys = RATIO_KEYS[:3]
    ratios = (found["predicted"] / found["measured"]).rename("ratio").reset_index()
    ratios = ratios.pivot_table("ratio", index=keys, columns="method")
    people = values.groupby(keys)["subject"].nunique().rename("n").reindex(ratios.index)
    table = ratios.reindex(columns=list(methods)).rename(columns=lambda m: methods[m]["label"])
    table.insert(0, "n", people)
    return in_order(table.reset_index(), keys, targets)


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
    """A styled table of text as LaTeX, for array, booktabs and longtable; changes the style.

    It is set in small print, and long texts are broken, such that it fits the width of A4, unless
    short columns alone are wider. A table of many rows goes on on the next page.
    """
    special = {c: f"\\{c}" for c in "%&_#${}"} | {"^": "\\^{}", "~": "\\~{}"}
    special["\\"] = "\\textbackslash{}"
    style.caption = "".join(special.get(c, c) for c in html.unescape(style.caption))
    style.table_styles = []  # those of a web page, which LaTeX would take for commands
    escaped = style.format(escape="latex").format_index(escape="latex", axis=1)
    table = escaped.to_latex(
        hrules=True,
        convert_css=True,
        column_format=_column_format(style.data),
        environment="longtable" if len(style.data) > ROWS else "table",
    )
    # A name with underscores may be broken at them.
    table = table.replace("\\_", "\\_\\allowbreak ")
    small = "\\footnotesize\\setlength{\\tabcolsep}{1.1mm}\n"
    if "\\begin{table}" in table:  # which begins with the size of the text around it
        return table.replace("\\begin{table}\n", f"\\begin{{table}}\n{small}", 1)
    return f"{{{small}{table}}}\n"


def _column_format(table: pd.DataFrame) -> str:
    """Columns of short texts as wide as they need; those of long ones share what is left."""
    cells = {name: max(table[name].map(len), default=0) for name in table}
    # A head is broken between its words.
    heads = {name: max(map(len, name.split())) for name in table}
    widths = {name: LETTER * max(cells[name], heads[name]) for name in table}
    long = [name for name in table if cells[name] > LINE]
    needed = sum(widths[name] for name in table if name not in long)
    left = max(PAGE - len(widths) * GAP - needed, LETTER * LINE * len(long) / 2)
    # Twice the text has not twice the width, but more lines, too.
    shares = {name: cells[name] ** 0.5 for name in long}
    widths |= {name: left * shares[name] / sum(shares.values()) for name in long}
    ragged = ">{\\raggedright\\arraybackslash}"
    return "".join(f"{ragged}p{{{width:.1f}mm}}" for width in widths.values())


def as_text(table: pd.DataFrame, formats: dict[str, str]) -> pd.DataFrame:
    """Columns of a table for reading: formatted, without underscores; a missing value is empty.

    Parameters
    ----------
    table : DataFrame
    formats : dict
        Of the columns to show, in order; texts have ``{}``.
    """
    shown = table.reindex(columns=list(formats))  # an empty table may lack some
    for name, how in formats.items():
        shown[name] = ["" if pd.isna(value) else how.format(value) for value in shown[name]]
    return shown.rename(columns=lambda name: name.replace("_", " "))


def plain(table: pd.DataFrame, caption: str) -> Styler:
    """Format a table like all tables of a run."""
    # By default, pandas names every table at random.
    style = (
        table.style.set_uuid("table")
        .hide(axis="index")
        .set_caption(html.escape(caption, quote=False))
    )
    style.format(escape="html").format_index(escape="html", axis=1)
    return style.set_table_styles(
        [
            {"selector": "", "props": "border-collapse: collapse; font-family: sans-serif"},
            {"selector": "th, td", "props": "padding: 0.3em 0.8em; text-align: left"},
            {"selector": "thead, tbody", "props": "border-bottom: 1px solid"},
            {"selector": "caption", "props": "text-align: left; padding: 0.5em 0"},
        ]
    )
