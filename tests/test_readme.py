"""Tables in the documentation follow from the scores that lie beside them."""

import itertools
import re

import pandas as pd
import pytest
import yaml
from conftest import ROOT

from harmonization.plan.methods import method_files
from harmonization.report.comparison import compare, errors_of, holm, relative_changes

TARGETS = ["prisma_st", "connectom_st", "connectom_sa"]
DECLARED = ["espcn", "mtl_cascade", "msp_self", "espcn_long", "ridge_mlp"]
EMBEDDED_RUN = [
    *("noise", "identity", "denoised", "noise_free", "affine", "ridge", "ridge_mlp", "espcn"),
    *("mtl_hard", "msp_espcn", "rescan", "truth"),
]
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
COMPARED_LONG = [
    *(("msp_espcn", other) for other in ("espcn", "mtl_cascade", "mtl_hard", "msp_self")),
    *(("msp_espcn", other) for other in ("espcn_long", "ridge_mlp", "ensemble_mean")),
    *(("msp_espcn", "ridge"), ("espcn", "ridge"), ("msp_espcn", "msp_no_auxiliary")),
    *(("ridge_cnn", "msp_espcn"), ("msp_ridge_cnn", "ridge_cnn")),
]
CAPACITY = [
    *("identity", "ridge", "ridge_5", "espcn", "espcn_wide", "diqt_rn4", "ensemble_mean"),
    *("mtl_cross_stitch", "mtl_nddr", "mtl_hard_matched", "large_shared", "mtl_cascade_matched"),
    *("msp_espcn", "truth"),
]
COMPARED_CAPACITY = [
    *(("msp_espcn", other) for other in ("espcn", "espcn_wide", "diqt_rn4", "mtl_hard_matched")),
    *(("msp_espcn", other) for other in ("large_shared", "mtl_cascade_matched")),
    *(("msp_espcn", other) for other in ("mtl_cross_stitch", "mtl_nddr", "ensemble_mean")),
    ("ridge_5", "ridge"),
    *(("espcn_wide", "espcn"), ("ensemble_mean", "espcn"), ("large_shared", "large_single")),
    *(("msp_espcn", "large_single"), ("msp_diqt", "diqt_rn4"), ("msp_diqt", "msp_espcn")),
]
SELECTION = [
    *("espcn", "espcn_linear", "msp_espcn", "msp_linear", "msp_best", "msp_selected_on_test"),
]
COMPARED_SELECTION = [
    *(("msp_selected_on_test", "msp_best"), ("msp_best", "msp_espcn")),
    *(("msp_linear", "msp_espcn"), ("msp_linear", "espcn_linear"), ("espcn_linear", "espcn")),
    *(("msp_linear", other) for other in ("espcn_wide", "diqt_rn4", "mtl_nddr")),
    *(("msp_linear", other) for other in ("large_shared", "mtl_cascade_matched")),
]
OTHER_PHANTOMS = [
    *("identity", "ridge", "ridge_mlp", "ridge_cnn", "espcn", "espcn_long", "mtl_hard"),
    *("mtl_cross_stitch", "mtl_cascade", "msp_espcn", "msp_self"),
]
SECOND_PHASES = ("msp_espcn", "msp_self")
# Rivals with a warm-up, and the run that trained them without.
WARMED_UP = {
    "espcn": "phantom_small_capacity",
    "mtl_hard": "phantom_small_long",
    "espcn_wide": "phantom_small_capacity",
}
SIGNAL = [
    *("identity", "denoised", "noise_free", "affine", "ridge", "ridge_mlp", "ridge_cnn"),
    *("espcn", "espcn_long", "mtl_hard", "msp_espcn", "rescan", "truth"),
]
REGIONS = ["brain", "white_matter", "lesion"]


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("config/*.md")]


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


def assert_errors(rows, scores, methods, targets=TARGETS):
    """Each row shows the patch MSE and excess of a method on every target, x 1000."""
    brain = scores[scores["region"] == "brain"]
    means = brain.groupby(["method", "target", "metric"])["value"].mean() * 1000
    for row, method in zip(rows, methods, strict=True):
        of_method = means[method]
        expected = [of_method[t, metric] for t in targets for metric in ("patch_mse", "excess")]
        assert numbers_in(row) == pytest.approx(expected, abs=6e-4), method  # three digits


def changes_of(scores, method, others, targets, metric="patch_mse"):
    """Changes of a method's errors from those of each other method, by subject and target."""
    errors = errors_of(scores[scores["method"].isin([method, *others])], metric)[targets]
    return [relative_changes(errors, method, other) for other in others]


def in_folds_of_all(scores, methods):
    """Scores of the folds in which all of these methods ran."""
    folds = [set(scores.loc[scores["method"] == method, "fold"]) for method in methods]
    return scores[scores["fold"].isin(set.intersection(*folds))]


def assert_change(cells, comparison, within=0.06):
    """Cells show the mean change with its interval, and in how many subjects it is lower."""
    expected = [comparison.change, comparison.low, comparison.high][: 1 if comparison.n == 1 else 3]
    assert numbers_in(cells[:1]) == pytest.approx(expected, abs=within), cells
    assert cells[1] == f"{comparison.wins}/{comparison.n}"


def test_the_table_of_eight_folds_follows_from_the_scores_of_every_subject(scores):
    subjects = scores.groupby("method", sort=False)["subject"].nunique()
    everywhere = list(subjects.index[subjects == 8])
    rows = rows_of_methods("docs/results.md", "### With short trainings", 0, everywhere)
    assert_errors(rows, scores, everywhere)


def test_the_table_of_classical_rivals_follows_from_the_scores_of_three_folds(scores):
    rows = rows_of_methods("docs/results.md", "Every classical rival", 0, CLASSICAL)
    assert_errors(rows, scores[scores["fold"] < 3], CLASSICAL)


def test_the_declared_comparisons_follow_from_the_scores_of_every_subject(scores):
    """Those of long trainings in the README, of short ones in the page on results."""
    long, same = (declared(s, TARGETS[:2]) for s in (scores_of("phantom_small_long"), scores))
    short = declared(scores, TARGETS)
    _, rows = table_of("README.md", "## Eight folds", 1)
    for row, of_long, (change, _, verdict) in zip(rows, long, same, strict=True):
        assert_declared(*row[1:5], *of_long)
        said = row[5].partition(": ")
        assert float(said[0]) == pytest.approx(change.change, abs=0.06)
        assert said[2] == verdict
    _, rows = table_of("docs/results.md", "### With short trainings", 1)
    with_p = [row for row in rows if re.fullmatch(r"0\.\d+", row[4])]
    for row, of_short in zip(with_p, short, strict=True):
        assert_declared(*row[2:5], row[6].removeprefix("not supported: "), *of_short)


def test_the_table_of_verdicts_follows_from_the_scores():
    """Eight subjects are those of the long run, six those of the runs on capacity and selection."""
    runs = {"8": "phantom_small_long", "6": "phantom_small_capacity"}
    of_label = {label_of(method): method for method in [*LONG, *CAPACITY, *SELECTION]}
    found = dict(zip(DECLARED, declared(scores_of(runs["8"]), TARGETS[:2]), strict=True))
    _, rows = table_of("docs/results.md", "## Verdicts", 0)
    for claim, rival, *shown, verdict, is_declared, _ in rows:
        methods, run = ["msp_espcn", of_label[rival]], runs[shown[1][-1]]
        if claim.startswith("W4"):  # the one claim of another method
            methods[0], run = "msp_selected_on_test", "phantom_small_selection"
        scores = in_folds_of_all(scores_of(run), methods)
        (changes,) = changes_of(scores, methods[0], methods[1:], TARGETS[:2])
        comparison = compare(changes.mean(axis=1))
        assert_change(shown, comparison, within=0.006)
        expected = found.pop(methods[1])[2] if is_declared else verdict_on(comparison, p=0)
        assert verdict == expected, rival
    assert not found


def test_the_table_of_trainings_follows_from_the_files():
    _, rows = table_of("README.md", "## Eight folds", 2)
    for training, runs, *shown in rows:
        for run in re.findall(r"(\w+)\.yaml", runs):
            config = yaml.safe_load((ROOT / f"config/{run}.yaml").read_text())
            length = config.get("training", "short")
            assert length == ("small" if training.startswith("long") else training)
            for method, cell in zip(("espcn", "msp_espcn"), shown, strict=True):
                (file,) = ROOT.glob(f"config/methods/*/{method}.yaml")
                phases = yaml.safe_load(file.read_text())["training"][length]["phases"]
                replaced = (config.get("overrides") or {}).get(method, {}).get("training", {})
                phases = replaced.get(length, {}).get("phases", phases)
                assert [int(n.replace(",", "")) for n in cell.split(" + ")] == [
                    phase["steps"] for phase in phases
                ], (run, method)


def declared(scores, targets):
    """Each declared comparison of a run, its p after Holm's correction and its verdict."""
    changes = changes_of(scores, "msp_espcn", DECLARED, targets)
    found = [compare(of_other.mean(axis=1)) for of_other in changes]
    adjusted = holm([comparison.p for comparison in found])
    return [(of_one, p, verdict_on(of_one, p)) for of_one, p in zip(found, adjusted, strict=True)]


def assert_declared(change, lower, shown_p, shown_verdict, comparison, p, verdict):
    assert comparison.n == 8
    assert_change([change, lower], comparison)
    assert float(shown_p) == pytest.approx(p, abs=6e-4)
    assert shown_verdict == verdict


def verdict_on(comparison, p):
    """Whether the method is lower: a short form of what `report.claims.verdict` says."""
    if p >= 0.05 or comparison.low <= 0 <= comparison.high:
        return "open"
    return "supported" if comparison.high < 0 else "the opposite"


@pytest.mark.parametrize(
    ("run", "folds", "methods", "page", "title", "before"),
    [
        ("phantom_small_long", 8, LONG, "docs/results.md", "With nine times the training", 2),
        ("phantom_small_long", 8, LONG, "README.md", "## Eight folds", 1),
        ("phantom_small_capacity", 6, CAPACITY, "docs/results.md", "### Is it capacity?", 2),
        (
            "phantom_small_selection",
            6,
            SELECTION,
            "docs/results.md",
            "### Selection on the test subject",
            0,
        ),
    ],
)
def test_tables_of_long_trainings_follow_from_the_scores(run, folds, methods, page, title, before):
    scores = scores_of(run)
    scores = scores[(scores["fold"] < folds) & scores["method"].isin(methods)]
    assert set(scores.groupby("method")["fold"].nunique()) == {folds}
    rows = [row[before:] for row in rows_of_methods(page, title, 0, methods)]
    assert_errors([row[:2] for row in rows], scores, methods, TARGETS[:2])
    shown = {method: numbers_in(row[2:]) for row, method in zip(rows, methods, strict=True)}
    assert shown.pop("espcn") == [0, 0]
    for method, cells in shown.items():
        (changes,) = changes_of(scores, method, ["espcn"], TARGETS[:2])
        assert cells == pytest.approx(list(changes.mean()), abs=0.051), method


@pytest.mark.parametrize(
    ("runs", "pairs", "title"),
    [
        (["long"], COMPARED_LONG, "With nine times the training"),
        (["capacity"], COMPARED_CAPACITY, "### Is it capacity?"),
        (["selection", "capacity"], COMPARED_SELECTION, "### Selection on the test subject"),
    ],
)
def test_comparisons_of_long_trainings_follow_from_the_scores(runs, pairs, title):
    scores = pd.concat([scores_of(f"phantom_small_{run}") for run in runs]).drop_duplicates()
    _, rows = table_of("docs/results.md", title, 1)
    for row, (method, other) in zip(rows, pairs, strict=True):
        assert row[:2] == [label_of(method), label_of(other)]
        of_both = in_folds_of_all(scores, [method, other])
        (changes,) = changes_of(of_both, method, [other], TARGETS[:2])
        (by_excess,) = changes_of(of_both, method, [other], TARGETS[:2], "excess")
        of_subjects = changes.mean(axis=1)
        assert_change(row[2:4], compare(of_subjects), within=0.006)
        expected = [of_subjects.min(), of_subjects.max(), *changes.mean()]
        assert numbers_in(row[4:7]) == pytest.approx(expected, abs=0.006)
        assert numbers_in(row[7:]) == pytest.approx([by_excess.mean(axis=None)], abs=0.06)


def test_the_table_of_dead_units_follows_from_the_trainings():
    models = scores_of("warm_up").query("method not in @WARMED_UP")
    models = models.set_index(["warm_up", "method", "target", "fold"]).sort_index()
    scores = scores_of("phantom_small_selection").query("metric == 'patch_mse'")
    scores = scores.set_index(["method", "target", "fold"]).sort_index()
    _, rows = table_of("docs/results.md", "### Dead units", 0)
    warm_ups = models.index.unique("warm_up")
    for row, warm_up in zip(rows, warm_ups, strict=True):
        of_warm_up = models.loc[warm_up]
        dead = 100 * of_warm_up.loc["espcn_linear", "dead_units"]
        changes = [
            100 * (of_warm_up.loc[method, "patch_mse"] / scores.loc[other, "value"] - 1).mean()
            for method, other in (("espcn_linear", "espcn"), ("msp_linear", "msp_espcn"))
        ]
        assert int(row[0].replace(",", "")) == warm_up
        assert row[1] == f"{dead.min():.0f} to {dead.max():.0f}"
        assert numbers_in(row[2:]) == pytest.approx(changes, abs=0.006)
    # The second is the run on selection itself.
    again = models.loc[warm_ups[1], "patch_mse"]
    assert list(again) == list(scores.loc[again.index, "value"])


def test_the_table_of_warmed_up_rivals_follows_from_their_scores():
    rivals = scores_of("warm_up").query("method in @WARMED_UP")
    warmed_up = rivals.groupby(["method", "fold"], sort=False)
    _, rows = table_of("docs/results.md", "### Dead units", 1)
    for row, ((method, fold), warmed) in zip(rows, warmed_up, strict=True):
        of_fold = f"method == @method and fold == {fold} and region == 'brain'"
        cold = scores_of(WARMED_UP[method]).query(f"{of_fold} and metric == 'patch_mse'")
        errors = [table.set_index("target") for table in (warmed, cold)]
        changes = (100 * (errors[0]["patch_mse"] / errors[1]["value"] - 1))[TARGETS[:2]]
        assert row[:3] == [label_of(method), str(fold), f"{warmed['warm_up'].iloc[0]:,}"]
        assert numbers_in(row[3:]) == pytest.approx(list(changes), abs=0.006)


def test_the_table_of_a_longer_second_phase_follows_from_its_scores():
    scores = scores_of("phantom_small_gentle").set_index(["run", "method", "metric", "target"])
    values = 1000 * scores["value"].sort_index()
    _, rows = table_of("docs/results.md", "With a longer second phase", 0)
    runs = [("phantom_small_long", method) for method in ("espcn", "ensemble_mean")]
    runs += [(f"phantom_small_{end}", m) for end in ("long", "gentle") for m in SECOND_PHASES]
    for row, (run, method) in zip(rows, runs, strict=True):
        errors = {m: values[run, method, m][TARGETS[:2]] for m in ("patch_mse", "excess")}
        reference = values["phantom_small_long", "espcn", "patch_mse"][TARGETS[:2]]
        changes = 100 * (errors["patch_mse"] / reference - 1)
        assert row[0] == label_of(method)
        for target, cell, change in zip(TARGETS, row[3:5], row[5:7], strict=False):
            expected = [errors[metric][target] for metric in ("patch_mse", "excess")]
            assert numbers_in([cell]) == pytest.approx(expected, abs=6e-4)
            assert float(change) == pytest.approx(changes[target], abs=0.006)


def test_the_table_of_the_embedded_run_follows_from_its_scores():
    rows = rows_of_methods("README.md", "## Results of the embedded run", 0, EMBEDDED_RUN)
    assert_errors([row[1:] for row in rows], scores_of("embedded"), EMBEDDED_RUN)


def test_what_has_no_score_is_listed():
    scored = set()
    for path in ROOT.glob("docs/data/*.csv"):
        scored |= set(pd.read_csv(path).get("method", []))
    page = (ROOT / "docs/results.md").read_text()
    section = page.split("\n## What has no score here\n")[1].split("\n## ")[0]
    listed = [" ".join(label.split()) for label in re.findall(r"\*(\S[^*]*)\*", section)]
    unscored = sorted(method_files(ROOT / "config/methods").keys() - scored)
    assert sorted(listed) == sorted(map(label_of, unscored))


def test_the_tables_of_other_phantoms_follow_from_their_scores(scores):
    others = dict(list(scores_of("other_phantoms").groupby("phantom")))
    rows = rows_of_methods("docs/results.md", "### On other phantoms", 0, OTHER_PHANTOMS)
    for number, of_phantom in enumerate(others.values()):
        shown = [row[3 * number : 3 * number + 3] for row in rows]
        assert_errors(shown, of_phantom, OTHER_PHANTOMS)
    phantoms = {2019: scores} | others
    _, rows = table_of("docs/results.md", "### On other phantoms", 1)
    expected = itertools.product(DECLARED, phantoms)
    for (rival, phantom, subjects, *cells), (other, seed) in zip(rows, expected, strict=True):
        assert (rival, phantom) == (label_of(other), str(seed))
        (changes,) = changes_of(phantoms[seed], "msp_espcn", [other], TARGETS)
        of_subjects = changes.mean(axis=1)
        assert int(subjects) == len(of_subjects)
        assert cells[1] == f"{(of_subjects < 0).sum()}/{len(of_subjects)}"
        means = [of_subjects.mean(), of_subjects.min(), of_subjects.max(), *changes.mean()]
        assert numbers_in(cells) == pytest.approx(means, abs=0.006)


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


def anchors_of(page):
    """What a link to a heading of a page may name."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), link
        assert not anchor or anchor in anchors_of(linked), link
