"""Verdicts on claims, each computed from a comparison."""

import itertools
from typing import Any

import numpy as np
import pandas as pd

from harmonization.report.comparison import (
    FEWEST,
    SIGNIFICANT,
    Comparison,
    compare,
    errors_of,
    holm,
    least_p,
    relative_changes,
    with_chosen,
)

SUPPORTED, NOT_SUPPORTED = "supported", "not supported"
NOT_EXCLUDED = "not excluded"  # a size that the interval contains; a wide one contains many
UNDECIDABLE, ABSENT = "not decidable at this scale", "not in this run"
BY_DESIGN, UNTESTED = "answered by design", "not tested"
ANSWERS = {"By design": BY_DESIGN, "Not tested": UNTESTED}  # how an answer without scores begins
MEASURES = ("patch_mse", "excess")
CHOSEN = "best on validation"  # a method that is another one in each fold and on each target
COLUMNS = (
    *("claim", "statement", "method", "against", "metric", "declared", "change", "low", "high"),
    *("wins", "n", "p", "p_holm", "verdict", "reason"),
)


def claims_table(
    claims: list[dict[str, Any]],
    metrics: pd.DataFrame,
    validation: pd.DataFrame,
    methods: dict[str, dict[str, str]],
) -> pd.DataFrame:
    """Judge all claims.

    Parameters
    ----------
    claims : list of dict
        As in `config/claims.yaml`.
    metrics : DataFrame
        All scores.
    validation : DataFrame
        As from `comparison.validation_errors`.
    methods : dict
        Label, family, role and selects_on of the methods that are compared, in order.

    Returns
    -------
    DataFrame
        Columns as in `COLUMNS`. Changes are in per cent, means over the targets of each subject.
    """
    rows = [judged_by(claim, metrics, validation, methods) for claim in claims]
    declared = [row for row in rows if row["declared"] and row["comparison"]]
    adjusted = holm([row["comparison"].p for row in declared])
    for row, p in zip(declared, adjusted, strict=True):
        row["p_holm"], row["tests"] = p, len(declared)
    for row in rows:
        if comparison := row.pop("comparison"):
            row |= {key: getattr(comparison, key) for key in ("change", "low", "high")}
            row |= {key: getattr(comparison, key) for key in ("wins", "n", "p")}
            row["verdict"], row["reason"] = verdict(
                comparison, row["rule"], row["largest"], row.get("p_holm"), row.get("tests", 1)
            )
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))


def judged_by(
    claim: dict[str, Any],
    metrics: pd.DataFrame,
    validation: pd.DataFrame,
    methods: dict[str, dict[str, str]],
) -> dict[str, Any]:
    """What a claim compares in this run: a row of the table that has no verdict yet."""
    row: dict[str, Any] = {
        "claim": claim["id"],
        "statement": claim["statement"],
        "metric": claim.get("metric", "patch_mse"),
        "declared": claim.get("declared", False),
        "rule": {key: claim[key] for key in ("below", "contains") if key in claim},
        "comparison": None,
        "largest": np.nan,
    }
    if answer := claim.get("answer"):
        first, _, reason = answer.partition(". ")
        return row | {"metric": None, "verdict": ANSWERS[first], "reason": reason}
    against = claim["against"]
    candidates = chosen_from(against, methods, validation)
    label = {name: shown["label"] for name, shown in methods.items()}
    absent = [name for name in (claim["method"], *candidates[:1]) if name not in methods]
    if absent:
        return row | {"verdict": ABSENT, "reason": f"The run has no {absent[0]}."}
    if not candidates:
        return row | {"verdict": ABSENT, "reason": "The run has no method to compare it with."}
    if row["metric"] not in set(metrics["metric"]):
        return row | {"verdict": ABSENT, "reason": f"Only a phantom has {row['metric']}."}
    name = candidates[0] if isinstance(against, str) else CHOSEN
    row["method"] = label[claim["method"]]
    row["against"] = label.get(name, f"{CHOSEN} of {', '.join(label[c] for c in candidates)}")
    errors = {
        metric: with_chosen(errors_of(metrics, metric), CHOSEN, candidates, validation)
        if name == CHOSEN
        else errors_of(metrics, metric)
        for metric in {row["metric"], *MEASURES} & set(metrics["metric"])
    }
    if not (errors[row["metric"]].loc[name] > 0).all(axis=None):
        reason = f"In a subject {row['metric']} of {row['against']} is not above 0."
        return row | {"verdict": UNDECIDABLE, "reason": reason}
    changes = relative_changes(errors[row["metric"]], claim["method"], name)
    row["comparison"] = compare(changes.mean(axis=1), limit=claim.get("below", 0))
    if row["metric"] == "patch_mse" and "excess" in errors:
        row["largest"] = largest_gain(*(errors[metric].loc[name] for metric in MEASURES))
    return row


def chosen_from(
    against: str | dict[str, list[str]],
    methods: dict[str, dict[str, str]],
    validation: pd.DataFrame,
) -> list[str]:
    """Methods that a claim compares with: one, or those of `best_of` that the run has."""
    if isinstance(against, str):
        return [against]
    return [
        name
        for name, shown in methods.items()
        if name in validation.columns
        and (
            name in against["best_of"]
            or (shown["role"] == "rival" and shown["family"] in against["best_of"])
        )
    ]


def largest_gain(patch_mse: pd.DataFrame, excess: pd.DataFrame) -> float:
    """Largest change of a method's patch MSE that is possible, %: the target's noise remains.

    Parameters
    ----------
    patch_mse, excess : DataFrame
        Of the method that is to be changed; a column for each target.
    """
    return float(-100 * (excess.mean() / patch_mse.mean()).mean())


def verdict(
    found: Comparison,
    rule: dict[str, float],
    largest: float,
    p_holm: float | None = None,
    tests: int = 1,
) -> tuple[str, str]:
    """Verdict on a claim, and the reason for it.

    Parameters
    ----------
    found : Comparison
    rule : dict
        ``below`` or ``contains``, %.
    largest : float
        Largest change that is possible, %, or NaN.
    p_holm : float, optional
        Adjusted p of a declared comparison.
    tests : int
        Declared comparisons for which p is adjusted.
    """
    if found.n < FEWEST:
        return UNDECIDABLE, f"{found.n} subject(s); an exact test needs {FEWEST} to reach 0.05."
    if "contains" in rule:
        wanted = rule["contains"]
        if largest > wanted:
            return UNDECIDABLE, f"The target's noise leaves {largest:.0f} % at most."
        inside = found.low <= wanted <= found.high
        if inside and found.low <= 0 <= found.high:
            return UNDECIDABLE, f"The interval contains both {wanted:g} % and 0."
        where = "contains" if inside else "does not contain"
        return NOT_EXCLUDED if inside else NOT_SUPPORTED, f"The interval {where} {wanted:g} %."
    limit = rule["below"]
    if found.low <= limit <= found.high:
        return NOT_SUPPORTED, f"The interval contains {limit:g}."
    side = "below" if found.high < limit else "above"
    if p_holm is not None and p_holm >= SIGNIFICANT:
        if tests * least_p(found.n) >= SIGNIFICANT:
            needed = next(n for n in itertools.count(FEWEST) if tests * least_p(n) < SIGNIFICANT)
            return UNDECIDABLE, f"{found.n} subjects; {tests} declared tests need {needed}."
        return NOT_SUPPORTED, f"The interval lies {side} {limit:g}, but p is {p_holm:.3g} (Holm)."
    if side == "above":
        return NOT_SUPPORTED, f"The interval lies above {limit:g}: the opposite holds."
    return SUPPORTED, f"The interval lies below {limit:g}."
