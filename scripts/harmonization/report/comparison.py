"""Methods compared with one another, subject by subject."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import PermutationMethod, bootstrap, wilcoxon
from statsmodels.stats.multitest import multipletests

from harmonization.files import InputError

CONFIDENCE = 0.95
RESAMPLES = 9999
SIGNIFICANT = 0.05
FEWEST = 6  # subjects; with fewer no exact test of pairs reaches 0.05, see `least_p`
EXHAUSTIVE = 2**16  # sign changes that a test may enumerate; beyond, it draws as many


@dataclass(frozen=True)
class Comparison:
    """Relative changes of an error, %, over subjects; less than 0 is better.

    Parameters
    ----------
    change : float
        Mean over subjects.
    low, high : float
        Bootstrap interval of that mean; NaN for one subject.
    wins, n : int
        Subjects whose error is lower, and all.
    p : float
        Two-sided, of an exact Wilcoxon test of pairs; NaN for one subject.
    sd_subjects : float
        Standard deviation between subjects; NaN for one.
    sd_seeds : float
        Standard deviation between the seeds of the method, mean over subjects; NaN for one seed.
    """

    change: float
    low: float
    high: float
    wins: int
    n: int
    p: float
    sd_subjects: float
    sd_seeds: float


def errors_of(metrics: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Errors in the brain by method, fold, seed, subject (index) and target (columns).

    Raises
    ------
    InputError
        If a method lacks a seed for a subject or a target.
    """
    rows = metrics[(metrics["metric"] == metric) & (metrics["region"] == "brain")]
    keys = ["method", "fold", "seed", "subject"]
    errors = rows.pivot_table("value", index=keys, columns="target", sort=False)
    seeds = rows.groupby("method")["seed"].unique()
    subjects = rows[["fold", "subject"]].drop_duplicates().itertuples(index=False, name=None)
    subjects = list(subjects)
    for method, of_method in seeds.items():
        for fold, subject in subjects:
            for seed in of_method:
                place = (method, fold, seed, subject)
                if place not in errors.index or errors.loc[place].isna().any():
                    raise InputError(
                        f"scores: {metric} of {method}, seed {seed}, is missing for subject "
                        f"{subject} on a target; delete metrics.csv and run again"
                    )
    return errors


def validation_errors(cards: list[dict[str, Any]], targets: list[str]) -> pd.DataFrame:
    """Error on validation of each method (columns) by fold and target (index), mean over seeds.

    Parameters
    ----------
    cards : list of dict
        Of models; those without an error on validation are left out. The error of a model of all
        targets, which is a mean, stands for each of them: it is chosen, or not, on all alike.
    targets : list of str
    """
    rows = [
        (str(card["fold"]), target, card["method"], card["outcome"]["validation_mse"])
        for card in cards
        if "validation_mse" in card["outcome"]
        for target in (targets if card["target"] == "all" else [card["target"]])
    ]
    table = pd.DataFrame(rows, columns=["fold", "target", "method", "error"])
    return table.pivot_table("error", index=["fold", "target"], columns="method")


def with_chosen(
    errors: pd.DataFrame, name: str, candidates: list[str], validation: pd.DataFrame
) -> pd.DataFrame:
    """Add a method that is, in each fold and on each target, the candidate best on validation.

    Parameters
    ----------
    errors : DataFrame
        As from `errors_of`.
    name : str
        Of the new method, whose errors are means over the seeds of those chosen.
    candidates : list of str
        Methods that have errors on validation.
    validation : DataFrame
        As from `validation_errors`.
    """
    means = errors.groupby(["method", "fold", "subject"], sort=False).mean()
    chosen = validation[candidates].idxmin(axis=1)
    people = means.index.droplevel("method").unique()
    rows = {
        (name, fold, "0", subject): [
            means.loc[(chosen[fold, target], fold, subject), target] for target in errors.columns
        ]
        for fold, subject in people
    }
    index = pd.MultiIndex.from_tuples(rows, names=errors.index.names)
    return pd.concat([errors, pd.DataFrame(list(rows.values()), index, errors.columns)])


def relative_changes(errors: pd.DataFrame, method: str, against: str) -> pd.DataFrame:
    """Relative change of a method's errors, %, by subject, seed (index) and target (columns).

    Parameters
    ----------
    errors : DataFrame
        As from `errors_of`.
    method, against : str
        Of the latter, the mean over its seeds counts. Where it is not above 0, nothing is relative
        to it, and the change is NaN.
    """
    own = errors.loc[method].droplevel("fold").swaplevel()
    reference = errors.loc[against].groupby("subject", sort=False).mean()
    reference = reference.where(reference > 0).reindex(own.index, level="subject")
    return 100 * (own / reference - 1)


def compare(changes: pd.Series, limit: float = 0) -> Comparison:
    """Compare two methods by the changes from one to the other.

    Parameters
    ----------
    changes : Series
        Of one target or means over targets, %, by subject and seed.
    limit : float
        Change from which the test asks for a difference, %.
    """
    people = changes.groupby("subject", sort=False)
    means = people.mean().to_numpy()
    low, high = interval(means)
    return Comparison(
        change=float(means.mean()),
        low=low,
        high=high,
        wins=int((means < 0).sum()),
        n=len(means),
        p=exact_p(means - limit),
        sd_subjects=float(np.std(means, ddof=1)) if len(means) > 1 else np.nan,
        sd_seeds=float(people.std().mean()),
    )


def interval(values: np.ndarray) -> tuple[float, float]:
    """Bootstrap interval of the mean over subjects (bias-corrected and accelerated).

    Parameters
    ----------
    values : ndarray, shape (n,)
        One for each subject.
    """
    if len(values) < 2:
        return np.nan, np.nan
    if np.allclose(values, values[0], rtol=1e-9, atol=0):  # nothing to draw from
        return float(values[0]), float(values[0])
    found = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, rng=0
    ).confidence_interval
    return float(found.low), float(found.high)


def exact_p(values: np.ndarray) -> float:
    """Two-sided p of a Wilcoxon test of pairs, from all changes of signs, so ties do no harm.

    Of more than 16 subjects there are too many changes, and as many as 16 have are drawn.

    Parameters
    ----------
    values : ndarray, shape (n,)
        One difference for each subject.
    """
    if len(values) < 2:
        return np.nan
    if not values.any():
        return 1.0
    method = PermutationMethod(n_resamples=EXHAUSTIVE, rng=np.random.default_rng(0))
    return float(wilcoxon(values, method=method).pvalue)


def least_p(subjects: int) -> float:
    """The lowest p that an exact test of pairs can have: all signs are alike."""
    return 2 / 2**subjects


def holm(p: list[float]) -> list[float]:
    """Adjust p-values of a family of tests (Holm 1979); NaN stays, and counts as no test."""
    values = np.array(p, dtype=float)
    tested = np.isfinite(values)
    if tested.any():
        values[tested] = multipletests(values[tested], method="holm")[1]
    return values.tolist()


def comparison_table(
    errors: dict[str, pd.DataFrame], methods: dict[str, dict[str, str]], references: dict[str, str]
) -> pd.DataFrame:
    """Compare every method with each reference.

    Parameters
    ----------
    errors : dict of str to DataFrame
        By metric, as from `errors_of`.
    methods : dict
        Label, family, role and selects_on of the methods, in order.
    references : dict of str to str
        Labels of the references, by name.

    Returns
    -------
    DataFrame
        Columns method (label), family, role, against, metric, target (``mean`` for the mean of the
        relative changes over all targets), and those of `Comparison`. A metric in which a reference
        has an error of 0 or less is left out.
    """
    rows = []
    for against, label in references.items():
        for metric, of_metric in errors.items():
            if not (of_metric.loc[against] > 0).all(axis=None):
                continue
            for method in (name for name in methods if name != against):
                changes = relative_changes(of_metric, method, against)
                of_target = {"mean": changes.mean(axis=1), **dict(changes.items())}
                shown = {key: methods[method][key] for key in ("family", "role")}
                rows += [
                    {
                        "method": methods[method]["label"],
                        **shown,
                        "against": label,
                        "metric": metric,
                        "target": target,
                        **vars(compare(values)),
                    }
                    for target, values in of_target.items()
                ]
    labels = ("method", "family", "role", "against", "metric", "target")
    return pd.DataFrame(rows, columns=[*labels, *Comparison.__annotations__])


def shown_changes(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of a comparison table for a page: a row for each method and reference.

    Returns
    -------
    DataFrame
        Columns method, family, against; mean, with its interval; each target; wins; p; and the
        standard deviations between subjects and between seeds.
    """
    rows = table[table["metric"] == metric]
    keys = ["against", "method", "family"]
    changes = rows.pivot_table("change", index=keys, columns="target", sort=False)
    whole = rows[rows["target"] == "mean"].set_index(keys).reindex(changes.index)
    shown = pd.DataFrame(index=changes.index)
    shown["mean"] = [
        f"{change:+.1f}" + interval_text(low, high)
        for change, low, high in zip(whole["change"], whole["low"], whole["high"], strict=True)
    ]
    for target in changes.columns.drop("mean", errors="ignore"):
        shown[target] = changes[target].map("{:+.1f}".format)
    shown["wins"] = [f"{w}/{n}" for w, n in zip(whole["wins"], whole["n"], strict=True)]
    for name, column, places in (
        ("p", "p", 3),
        ("SD of subjects", "sd_subjects", 1),
        ("SD of seeds", "sd_seeds", 1),
    ):
        shown[name] = ["" if np.isnan(x) else f"{x:.{places}f}" for x in whole[column]]
    return shown.reset_index()


def interval_text(low: float, high: float) -> str:
    """An interval in brackets; nothing if there is none."""
    return "" if np.isnan(low) else f" [{low:+.1f}, {high:+.1f}]"
