"""Tables in the documentation follow from the scores that lie beside them."""

import re

import pandas as pd
import pytest
from conftest import ROOT

from harmonization.report.comparison import compare, errors_of, holm, relative_changes

TARGETS = ["prisma_st", "connectom_st", "connectom_sa"]
DECLARED = ["espcn", "mtl_cascade", "msp_self", "espcn_long", "ridge_mlp"]
CLASSICAL = [
    *("identity", "denoised", "affine", "gain", "moments", "moments_denoised", "linear_rish"),
    *("linear_rish_denoised", "combat", "combat_denoised", "modality_propagation", "ridge"),
    *("iqt_forest", "iqt_forest_bayesian", "espcn", "msp_espcn"),
]
SIGNAL = [
    *("identity", "denoised", "noise_free", "affine", "ridge", "ridge_mlp", "ridge_cnn"),
    *("espcn", "espcn_long", "mtl_hard", "msp_espcn", "rescan", "truth"),
]
LONG = [
    *("identity", "ridge", "ridge_mlp", "ridge_cnn", "espcn", "espcn_long", "ensemble_mean"),
    *("mtl_hard", "mtl_cascade", "msp_espcn", "msp_self", "msp_no_auxiliary", "msp_ridge_cnn"),
    "truth",
]
REGIONS = ["brain", "white_matter", "lesion"]


def scores_of(run):
    return pd.read_csv(ROOT / f"docs/data/{run}.csv", dtype={"subject": str})


@pytest.fixture(scope="module")
def scores():
    return scores_of("phantom_small")


def rows_of(page, title, number):
    """Rows of the table of that number in a section of a page, without its head."""
    section = re.split(r"\n#+ ", (ROOT / page).read_text().split(f"{title}\n", 1)[1])[0]
    tables = re.findall(r"(?:^\|.*\|\n)+", section, flags=re.MULTILINE)
    return tables[number].splitlines()[2:]


def assert_errors(rows, scores, methods):
    """Each row shows the patch MSE and excess of a method on every target, x 1000."""
    means = scores.groupby(["method", "target", "metric"])["value"].mean() * 1000
    assert len(rows) == len(methods)
    for row, method in zip(rows, methods, strict=True):
        shown = [float(number) for number in re.findall(r"\d+\.\d{3}", row)]
        of_method = means[method]
        expected = [of_method[t, metric] for t in TARGETS for metric in ("patch_mse", "excess")]
        assert shown == pytest.approx(expected, abs=6e-4), method  # three digits are shown


def test_the_table_of_eight_folds_follows_from_the_scores_of_every_subject(scores):
    subjects = scores.groupby("method", sort=False)["subject"].nunique()
    everywhere = list(subjects.index[subjects == 8])
    assert_errors(rows_of("README.md", "Eight folds at equal computation", 0), scores, everywhere)


def test_the_table_of_classical_rivals_follows_from_the_scores_of_three_folds(scores):
    three = scores[scores["fold"] < 3]
    assert_errors(rows_of("docs/results.md", "Every classical rival", 0), three, CLASSICAL)


def test_the_declared_comparisons_follow_from_the_scores_of_every_subject(scores):
    complete = scores[scores["method"].isin(["msp_espcn", *DECLARED])]
    errors = errors_of(complete, "patch_mse")[TARGETS]
    found = [
        compare(relative_changes(errors, "msp_espcn", other).mean(axis=1)) for other in DECLARED
    ]
    adjusted = holm([comparison.p for comparison in found])
    rows = rows_of("README.md", "Eight folds at equal computation", 1)
    for row, comparison, p in zip(rows, found, adjusted, strict=True):
        _, _, change, wins, shown_p, verdict, _ = (cell.strip() for cell in row.split("|"))
        numbers = [float(x) for x in re.findall(r"[+-]\d+\.\d+", change.replace("−", "-"))]
        expected = [comparison.change, comparison.low, comparison.high]
        assert numbers == pytest.approx(expected, abs=0.06), row
        assert wins == f"{comparison.wins}/{comparison.n}"
        assert float(shown_p) == pytest.approx(p, abs=6e-4)
        assert verdict == ("supported" if comparison.high < 0 and p < 0.05 else "the opposite")


def test_the_table_of_the_signal_follows_from_the_scores_of_the_run():
    keys = ["target", "method", "metric", "region"]
    scores = scores_of("signal").set_index(keys)["value"].sort_index()
    rows = rows_of("docs/results.md", "What the signal says", 0)
    assert len(rows) == len(SIGNAL)
    for row, method in zip(rows, SIGNAL, strict=True):
        shown = [float(number) for number in re.findall(r"\d+\.\d+", row)]
        of_method = scores["prisma_st", method]
        expected = [1e3 * of_method[metric]["brain"] for metric in ("patch_mse", "excess")]
        for metric, unit in ("fa_mae", 1), ("md_mae", 1e6):
            expected += [unit * of_method[metric][region] for region in REGIONS]
        assert shown[:5] == pytest.approx(expected[:5], abs=6e-4), method  # three digits are shown
        assert shown[5:] == pytest.approx(expected[5:], abs=6e-2), method


def test_the_table_of_long_trainings_follows_from_the_scores_of_the_run():
    scores = scores_of("phantom_small_long").set_index(["metric", "region", "target", "method"])
    errors = {metric: scores["value"][metric]["brain"] for metric in ("patch_mse", "excess")}
    rows = rows_of("docs/results.md", "With nine times the training", 0)
    assert len(rows) == len(LONG)
    for row, method in zip(rows, LONG, strict=True):
        *shown, first, second = (cell.strip() for cell in row.split("|")[4:8])
        for target, cell, change in zip(TARGETS[:2], shown, [first, second], strict=True):
            of_target = errors["patch_mse"][target]
            expected = [1e3 * errors[metric][target][method] for metric in ("patch_mse", "excess")]
            numbers = [float(number) for number in re.findall(r"\d+\.\d+", cell)]
            assert numbers == pytest.approx(expected, abs=6e-4), (method, target)
            expected = 100 * of_target[method] / of_target["espcn"] - 100
            assert float(change.replace("−", "-")) == pytest.approx(expected, abs=0.051), method


def test_the_table_of_limited_data_follows_from_the_table_of_the_run():
    table = pd.read_csv(ROOT / "docs/data/limited_data.csv")
    rows = rows_of("docs/results.md", "Where data are few", 0)
    cells = list(table.groupby(["target", "subjects", "patches"], sort=False))
    assert len(rows) == len(cells)
    for row, (key, of_methods) in zip(rows, cells, strict=True):
        target, subjects, patches, error = (cell.strip(" `") for cell in row.split("|")[1:5])
        assert (target, subjects, patches) == tuple(map(str, key))
        first, *others = of_methods.itertuples()
        assert float(error) == pytest.approx(1e3 * first.patch_mse, abs=6e-4)
        shown = [float(number.replace("−", "-")) for number in re.findall(r"[+−]\d+\.\d", row)]
        assert shown == pytest.approx([other.change for other in others], abs=0.051), row
