"""Comparisons of methods over subjects, against cases worked out by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmonization.files import InputError
from harmonization.report.comparison import (
    compare,
    comparison_table,
    errors_of,
    exact_p,
    holm,
    interval,
    relative_changes,
    shown_changes,
    validation_errors,
    with_chosen,
)

SUBJECTS = ["01", "02", "03", "04", "05", "06", "07", "08"]


def metrics(errors, metric="patch_mse"):
    """Scores from errors by method: (seed, target, values over subjects)."""
    rows = [
        {
            "method": method,
            "family": "msp",
            "target": target,
            "fold": str(number),
            "seed": seed,
            "subject": subject,
            "region": "brain",
            "metric": metric,
            "value": value,
        }
        for method, seed, target, values in errors
        for number, (subject, value) in enumerate(zip(SUBJECTS, values, strict=False))
    ]
    return pd.DataFrame(rows)


TWO_SEEDS = metrics(
    [
        ("a", "0", "t", [1.0, 2.0]),
        ("a", "1", "t", [3.0, 2.0]),
        ("a", "0", "u", [4.0, 4.0]),
        ("a", "1", "u", [4.0, 4.0]),
        ("b", "0", "t", [4.0, 4.0]),
        ("b", "0", "u", [8.0, 2.0]),
    ]
)


def test_changes_are_relative_to_the_mean_over_seeds_of_the_reference():
    errors = errors_of(TWO_SEEDS, "patch_mse")
    changes = relative_changes(errors, "a", "b")
    assert changes.loc[("01", "0")].to_dict() == {"t": -75.0, "u": -50.0}
    assert changes.loc[("01", "1")].to_dict() == {"t": -25.0, "u": -50.0}
    assert changes.loc[("02", "0")].to_dict() == {"t": -50.0, "u": 100.0}
    back = relative_changes(errors, "b", "a")  # of a, the means over seeds are 2, 2 and 4, 4
    assert back.loc[("01", "0")].to_dict() == {"t": 100.0, "u": 100.0}


def test_subjects_and_seeds_spread_apart():
    changes = relative_changes(errors_of(TWO_SEEDS, "patch_mse"), "a", "b").mean(axis=1)
    found = compare(changes)  # 01: -62.5, -37.5; 02: 25, 25
    assert (found.change, found.wins, found.n) == (-12.5, 1, 2)
    assert found.sd_subjects == pytest.approx(np.std([-50, 25], ddof=1))
    assert found.sd_seeds == pytest.approx((np.std([-62.5, -37.5], ddof=1) + 0) / 2)


def test_one_subject_has_no_interval_and_no_test():
    found = compare(pd.Series([-3.0], index=pd.MultiIndex.from_tuples([("01", "0")], names=KEYS)))
    assert (found.change, found.wins, found.n) == (-3.0, 1, 1)
    nothing = (found.low, found.high, found.p, found.sd_subjects, found.sd_seeds)
    assert np.isnan(nothing).all()


KEYS = ["subject", "seed"]


@pytest.mark.parametrize("n", [2, 5, 6, 8])
def test_all_wins_have_the_smallest_p(n):
    """2 / 2^n: five subjects can never reach 0.05, six can."""
    assert exact_p(-np.arange(1.0, n + 1)) == pytest.approx(2 / 2**n)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=7).filter(any))
def test_p_counts_changes_of_signs_with_ties_and_zeros(differences):
    """Every change of signs is equally likely; zeros are dropped and ties share their rank."""
    values = np.array([d for d in differences if d], dtype=float)
    ranks = pd.Series(np.abs(values)).rank().to_numpy()
    middle = ranks.sum() / 2
    seen = abs(ranks[values > 0].sum() - middle)
    sums = [
        abs(ranks @ np.array(signs) - middle)
        for signs in itertools.product([0, 1], repeat=len(values))
    ]
    wanted = np.mean(np.array(sums) >= seen - 1e-9)
    assert exact_p(np.array(differences, dtype=float)) == pytest.approx(wanted)


def test_no_difference_is_no_evidence():
    assert exact_p(np.zeros(6)) == 1
    assert interval(np.zeros(6)) == (0, 0)


def test_the_interval_holds_the_mean_and_comes_again():
    values = np.random.default_rng(3).normal(-5, 2, 8)
    low, high = interval(values)
    assert low < values.mean() < high
    assert values.min() <= low
    assert high <= values.max()
    assert interval(values) == (low, high)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    adjusted = holm([0.01, np.nan, 0.04])
    assert adjusted[::2] == pytest.approx([0.02, 0.04])
    assert np.isnan(adjusted[1])


def test_a_missing_seed_is_named():
    broken = TWO_SEEDS.drop(index=TWO_SEEDS.index[TWO_SEEDS["seed"] == "1"][1])
    with pytest.raises(InputError, match=r"patch_mse of a, seed 1, is missing for subject 02"):
        errors_of(broken, "patch_mse")


def test_nothing_is_relative_to_no_error():
    errors = errors_of(metrics([("a", "0", "t", [1.0]), ("b", "0", "t", [0.0])]), "patch_mse")
    assert relative_changes(errors, "a", "b").isna().all(axis=None)


def card(method, target, fold, error, seed=0):
    outcome = {} if error is None else {"validation_mse": error}
    return {"method": method, "target": target, "fold": fold, "seed": seed, "outcome": outcome}


def test_the_reference_is_chosen_on_validation_in_each_fold_and_on_each_target():
    cards = [
        *(card("a", "t", 0, 1.0), card("a", "u", 0, 3.0), card("a", "t", 1, 1.0)),
        *(card("a", "u", 1, 1.0), card("none", "t", 0, None)),
        *(card("b", "all", 0, 2.0), card("b", "all", 1, 4.0), card("b", "all", 1, 6.0, seed=1)),
    ]
    validation = validation_errors(cards, ["t", "u"])
    assert list(validation.columns) == ["a", "b"]
    assert validation.loc[("1", "u"), "b"] == 5
    errors = with_chosen(errors_of(TWO_SEEDS, "patch_mse"), "best", ["a", "b"], validation)
    # Fold 0: a on t, b on u; fold 1: a on both. Of a, the mean over its seeds.
    assert errors.loc["best"].to_numpy().tolist() == [[2.0, 8.0], [2.0, 4.0]]


METHODS = {
    "a": {"label": "A", "family": "msp", "role": "ablation", "selects_on": "validation"},
    "b": {"label": "B", "family": "msp", "role": "rival", "selects_on": "validation"},
}


def test_the_table_has_every_target_and_their_mean():
    errors = {"patch_mse": errors_of(TWO_SEEDS, "patch_mse")}
    table = comparison_table(errors, METHODS, {"b": "B"})
    assert table["target"].tolist() == ["mean", "t", "u"]
    assert table["change"].tolist() == [-12.5, -50.0, 25.0]
    shown = shown_changes(table, "patch_mse").iloc[0]
    assert shown["mean"].startswith("-12.5 [")
    assert (shown["t"], shown["u"], shown["wins"]) == ("-50.0", "+25.0", "1/2")


def test_a_metric_in_which_the_reference_has_no_error_is_left_out():
    excess = metrics([("a", "0", "t", [1.0]), ("b", "0", "t", [-0.1])], "excess")
    table = comparison_table({"excess": errors_of(excess, "excess")}, METHODS, {"b": "B"})
    assert table.empty
    assert shown_changes(table, "excess").empty


def test_changes_that_are_equal_but_for_rounding_have_an_interval():
    low, high = interval(30 + np.array([1, 2, 3, 4, 5, 6]) * 1e-14)
    assert (low, high) == (pytest.approx(30), pytest.approx(30))
