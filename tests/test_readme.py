"""Tables in the documentation follow from the scores that lie beside them."""

import re

import pandas as pd
import pytest
import yaml
from conftest import ROOT

from harmonization.report.comparison import compare, errors_of, holm, relative_changes

TARGETS = ["prisma_st", "connectom_st", "connectom_sa"]
DECLARED = ["espcn", "mtl_cascade", "msp_self", "espcn_long", "ridge_mlp"]
CLASSICAL = [
    *("identity", "denoised", "affine", "gain", "moments", "moments_denoised", "linear_rish"),
    *("linear_rish_denoised", "combat", "combat_denoised", "modality_propagation", "ridge"),
    *("iqt_forest", "iqt_forest_bayesian", "espcn", "msp_espcn"),
]
LONG = [
    *("identity", "ridge", "ridge_mlp", "ridge_cnn", "espcn", "espcn_long", "ensemble_mean"),
    *("mtl_hard", "mtl_cascade", "msp_espcn", "msp_self", "msp_no_auxiliary", "msp_ridge_cnn"),
    "truth",
]
SIGNAL = [
    *("identity", "denoised", "noise_free", "affine", "ridge", "ridge_mlp", "ridge_cnn"),
    *("espcn", "espcn_long", "mtl_hard", "msp_espcn", "rescan", "truth"),
]
REGIONS = ["brain", "white_matter", "lesion"]


def scores_of(run):
    return pd.read_csv(ROOT / f"docs/data/{run}.csv", dtype={"subject": str})


@pytest.fixture(scope="module")
def scores():
    return scores_of("phantom_small")


def table_of(page, title, number):
    """Cells of the head and of all rows of the table of that number in a section of a page."""
    section = re.split(r"\n#+ ", (ROOT / page).read_text().split(f"{title}\n", 1)[1])[0]
    tables = re.findall(r"(?:^\|.*\|\n)+", section, flags=re.MULTILINE)
    head, _, *rows = (
        [cell.strip(" `") for cell in line.replace("−", "-").split("|")[1:-1]]
        for line in tables[number].splitlines()
    )
    return head, rows


def rows_of_methods(page, title, number, methods):
    """Rows of such a table that has a row for each of these methods, without their labels."""
    _, rows = table_of(page, title, number)
    assert [row[0] for row in rows] == [label_of(method) for method in methods]
    return [row[1:] for row in rows]


def label_of(method):
    (file,) = [
        *ROOT.glob(f"config/methods/*/{method}.yaml"),
        *ROOT.glob(f"workflow/baselines/{method}/baseline.yaml"),
    ]
    return yaml.safe_load(file.read_text())["label"]


def numbers_in(cells):
    return [float(number) for cell in cells for number in re.findall(r"[+-]?\d+\.\d+", cell)]


def assert_errors(rows, scores, methods):
    """Each row shows the patch MSE and excess of a method on every target, x 1000."""
    means = scores.groupby(["method", "target", "metric"])["value"].mean() * 1000
    for row, method in zip(rows, methods, strict=True):
        of_method = means[method]
        expected = [of_method[t, metric] for t in TARGETS for metric in ("patch_mse", "excess")]
        assert numbers_in(row) == pytest.approx(expected, abs=6e-4), method  # three digits


def test_the_table_of_eight_folds_follows_from_the_scores_of_every_subject(scores):
    subjects = scores.groupby("method", sort=False)["subject"].nunique()
    everywhere = list(subjects.index[subjects == 8])
    rows = rows_of_methods("README.md", "Eight folds at equal computation", 0, everywhere)
    assert_errors(rows, scores, everywhere)


def test_the_table_of_classical_rivals_follows_from_the_scores_of_three_folds(scores):
    rows = rows_of_methods("docs/results.md", "Every classical rival", 0, CLASSICAL)
    assert_errors(rows, scores[scores["fold"] < 3], CLASSICAL)


def test_the_declared_comparisons_follow_from_the_scores_of_every_subject(scores):
    complete = scores[scores["method"].isin(["msp_espcn", *DECLARED])]
    errors = errors_of(complete, "patch_mse")[TARGETS]
    found = [
        compare(relative_changes(errors, "msp_espcn", other).mean(axis=1)) for other in DECLARED
    ]
    adjusted = holm([comparison.p for comparison in found])
    _, rows = table_of("README.md", "Eight folds at equal computation", 1)
    for row, comparison, p in zip(rows, found, adjusted, strict=True):
        _, change, wins, shown_p, verdict = row
        expected = [comparison.change, comparison.low, comparison.high]
        assert numbers_in([change]) == pytest.approx(expected, abs=0.06), row
        assert wins == f"{comparison.wins}/{comparison.n}"
        assert float(shown_p) == pytest.approx(p, abs=6e-4)
        assert verdict == ("supported" if comparison.high < 0 and p < 0.05 else "the opposite")


def test_errors_and_changes_of_long_trainings_follow_from_the_scores_of_the_run():
    scores = scores_of("phantom_small_long").set_index(["metric", "region", "target", "method"])
    errors = {metric: scores["value"][metric]["brain"] for metric in ("patch_mse", "excess")}
    rows = rows_of_methods("docs/results.md", "With nine times the training", 0, LONG)
    for (_, _, *cells), method in zip(rows, LONG, strict=True):
        shown, changes = numbers_in(cells[:2]), numbers_in(cells[2:])
        expected = [1e3 * errors[m][t][method] for t in TARGETS[:2] for m in errors]
        assert shown == pytest.approx(expected, abs=6e-4), method
        of_targets = [errors["patch_mse"][target] for target in TARGETS[:2]]
        expected = [100 * each[method] / each["espcn"] - 100 for each in of_targets]
        assert changes == pytest.approx(expected, abs=0.051), method


def test_the_table_of_limited_data_follows_from_the_table_of_the_run():
    table = pd.read_csv(ROOT / "docs/data/limited_data.csv", dtype=str)
    head, rows = table_of("docs/results.md", "Where data are few", 0)
    cells = table.groupby(["target", "subjects", "patches"], sort=False)
    for row, (key, of_methods) in zip(rows, cells, strict=True):
        assert tuple(row[:3]) == key
        assert head[3:] == list(of_methods["method"])
        error, *changes = numbers_in(row[3:])
        assert error == pytest.approx(1e3 * float(of_methods["patch_mse"].iloc[0]), abs=6e-4)
        expected = of_methods["change"].astype(float).iloc[1:]
        assert changes == pytest.approx(list(expected), abs=0.051), key


def test_the_table_of_the_signal_follows_from_the_scores_of_the_run():
    keys = ["target", "method", "metric", "region"]
    scores = scores_of("signal").set_index(keys)["value"].sort_index()
    rows = rows_of_methods("docs/results.md", "What the signal says", 0, SIGNAL)
    for row, method in zip(rows, SIGNAL, strict=True):
        of_method = scores["prisma_st", method]
        expected = [1e3 * of_method[metric]["brain"] for metric in ("patch_mse", "excess")]
        for metric, unit in ("fa_mae", 1), ("md_mae", 1e6):
            expected += [unit * of_method[metric][region] for region in REGIONS]
        shown = numbers_in(row)
        assert shown[:5] == pytest.approx(expected[:5], abs=6e-4), method
        assert shown[5:] == pytest.approx(expected[5:], abs=6e-2), method
