"""Figures draw the right numbers, stay legible with many methods, and have the same bytes twice."""

import json
import re
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from harmonization.files import sha256, write_json
from harmonization.plan.methods import FAMILIES as ALL_FAMILIES
from harmonization.report.branches import contribution_rows, dead_rows, draw_branches
from harmonization.report.cost import costs, draw_costs, front, place_labels
from harmonization.report.improvements import axis_range, draw_improvements, paired_changes
from harmonization.report.learning_curves import draw_learning_curves, linear_errors
from harmonization.report.patches import choose_patch, draw_patches
from harmonization.report.regions import draw_regions, relative_errors
from harmonization.report.style import DPI, FAMILIES, save_pages

TARGETS = ["a", "b"]
METHODS = {
    "noise": {"label": "Noise", "family": "control", "role": "control"},
    "ridge": {"label": "Ridge", "family": "classical", "role": "rival"},
    "msp": {"label": "MSP", "family": "msp", "role": "rival"},
}
VALUES = {"noise": 20.0, "ridge": 3.0, "msp": 2.0}
LONG = "Ensemble of networks, weighted"  # longer than most labels


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def row(method, subject, value, target="a", seed=0, region="brain", metric="patch_mse"):
    return {
        "method": method,
        "family": METHODS.get(method, {}).get("family", "classical"),
        "target": target,
        "fold": 0,
        "seed": seed,
        "subject": subject,
        "region": region,
        "metric": metric,
        "value": value,
    }


def scores(values=None, subjects=("01", "02")):
    """Patch MSE, excess and errors of regions: `values` by method, the same on every target."""
    metrics = {"patch_mse": "brain", "excess": "brain", "voxels": "brain", "mse": "csf"}
    return pd.DataFrame(
        [
            row(method, subject, value, target, region=region, metric=metric)
            for method, value in (values or VALUES).items()
            for subject in subjects
            for target in TARGETS
            for metric, region in [*metrics.items(), ("voxels", "csf")]
        ]
    )


def many(number):
    """Methods with long labels, of all families, and their scores."""
    rng = np.random.default_rng(0)
    methods = {
        f"m{n}": {"label": f"{LONG} {n}", "family": ALL_FAMILIES[n % 5], "role": "rival"}
        for n in range(number)
    }
    values = {name: 2 + rng.normal(0, 0.05) for name in methods}
    return methods, scores({**values, "m1": 30.0}, subjects=[f"{n:02d}" for n in range(8)])


def drawn(axis, gid, along="x"):
    """Coordinates of all marks or lines of one kind, from top to bottom or left to right."""
    lines = [line for line in axis.lines if line.get_gid() == gid]
    found = [np.ravel(line.get_xdata() if along == "x" else line.get_ydata()) for line in lines]
    return [float(value) for value in np.concatenate(found)] if found else []


def assert_legible(figure):
    """No text leaves the page, and no two texts lie on each other."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    hidden = {
        text
        for axis in figure.axes
        for one in (axis.xaxis, axis.yaxis)
        for tick in [*one.get_major_ticks(), *one.get_minor_ticks()]
        for text in (tick.label1, tick.label2)
        if not _inside(tick.get_loc(), one.get_view_interval())
    }
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    # Of the text alone, without the line from it to its point.
    boxes = {t: Text.get_window_extent(t, renderer) for t in texts if t not in hidden}
    page = figure.bbox.padded(0.5)
    for text, box in boxes.items():
        assert page.contains(*box.min), text
        assert page.contains(*box.max), text
    for (one, first), (two, second) in combinations(boxes.items(), 2):
        common = Bbox.intersection(first, second)
        assert common is None or min(common.width, common.height) < 1.5, (one, two)


def _inside(place, interval):
    low, high = sorted(interval)
    return low - 1e-9 <= place <= high + 1e-9


def test_every_family_has_a_colour_and_a_marker_of_its_own():
    assert set(FAMILIES) == set(ALL_FAMILIES)
    for kind in zip(*FAMILIES.values(), strict=True):
        assert len(set(kind)) == len(FAMILIES)


def test_pages_have_the_same_bytes_twice_and_a_png_has_them_all(tmp_path):
    for attempt in ("first", "second"):
        pages = [plt.figure(figsize=(4, height)) for height in (1, 2)]
        for page in pages:
            page.text(0.1, 0.5, "error")
        save_pages(pages, [tmp_path / f"{attempt}.{end}" for end in ("pdf", "png")])
        assert not plt.get_fignums()
    for end in ("pdf", "png"):
        assert sha256(tmp_path / f"first.{end}") == sha256(tmp_path / f"second.{end}")
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "first.pdf").read_bytes())) == 2
    assert plt.imread(tmp_path / "first.png").shape[:2] == (3 * DPI, 4 * DPI)


# --- Improvements


def test_changes_are_of_each_subject_after_the_mean_over_seeds():
    metrics = pd.DataFrame(
        [
            *(row("msp", "01", value, seed=seed) for seed, value in enumerate([1.0, 3.0])),
            *(row("msp", "02", 4.0, seed=seed) for seed in (0, 1)),
            row("ridge", "01", 3.0),
            row("ridge", "02", 3.0),
        ]
    )
    changes = paired_changes(metrics, "patch_mse", ["ridge", "msp"], "msp")
    changes = changes.set_index(["method", "subject"])["change"]
    # By hand: 3 against the mean of 1 and 3, and 3 against 4.
    assert changes["ridge"].to_dict() == {"01": 50.0, "02": -25.0}
    assert changes["msp"].to_dict() == {"01": 0.0, "02": 0.0}


def test_an_excess_of_nothing_has_no_change():
    metrics = pd.DataFrame(
        [
            row(method, subject, value, metric="excess")
            for subject, of_msp in (("01", -0.1), ("02", 2.0))
            for method, value in (("msp", of_msp), ("ridge", 1.0))
        ]
    )
    changes = paired_changes(metrics, "excess", ["ridge"], "msp")
    assert changes[["subject", "change"]].to_numpy().tolist() == [["02", -50.0]]


@pytest.mark.parametrize(
    ("changes", "low", "high"),
    [
        ([-10.0, 0.0, 10.0, 100.0], -10.0, 32.5),  # the upper quartile by hand
        ([-40.0, 0.0, 1.0], -40.0, 40.0),
        ([0.0, 0.0], 0.0, 1.0),
    ],
)
def test_the_axis_reaches_the_best_and_the_upper_quartile(changes, low, high):
    pad = 0.05 * (high - low)
    assert axis_range(pd.Series(changes)) == pytest.approx((low - pad, high + pad))


def test_improvements_are_dots_and_what_lies_beyond_is_a_number():
    (figure,) = draw_improvements(scores(), METHODS, TARGETS, "msp")
    assert len(figure.axes) == 4  # patch MSE and excess, on two targets
    for axis in figure.axes:
        # Ridge is 50 % above the MSP; Noise, with 900 %, does not set the axis.
        assert drawn(axis, "dots") == [50.0, 50.0, 0.0, 0.0]
        assert drawn(axis, "median") == [50.0, 50.0, 0.0, 0.0]
        assert [text.get_text() for text in axis.texts] == ["900"]
        assert axis.get_xlim()[1] < 100
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["Noise", "Ridge", "MSP"]
    assert figure.axes[0].get_ylim()[0] > figure.axes[0].get_ylim()[1]  # from top to bottom
    assert_legible(figure)


def test_a_run_without_a_phantom_has_no_excess():
    metrics = scores()
    (figure,) = draw_improvements(metrics[metrics["metric"] != "excess"], METHODS, TARGETS, "msp")
    assert len(figure.axes) == 2


@pytest.mark.parametrize(("number", "pages"), [(6, 1), (40, 1), (60, 2)])
def test_improvements_of_many_methods_stay_legible(number, pages):
    methods, metrics = many(number)
    figures = draw_improvements(metrics, methods, TARGETS, "m0")
    assert len(figures) == pages
    for figure in figures:
        assert_legible(figure)
        assert figure.get_figheight() < 10  # inches that fit a page


# --- Regions


def test_errors_of_regions_are_relative_to_the_reference():
    metrics = pd.DataFrame(
        [
            row(method, subject, value, region=region, metric=metric)
            for method, brain, csf in (("msp", 2.0, 4.0), ("ridge", 3.0, 1.0))
            for subject, times in (("01", 1), ("02", 3))
            for region, metric, value in (
                ("brain", "patch_mse", brain * times),
                ("brain", "voxels", 10),
                ("csf", "mse", csf * times),
                ("csf", "voxels", 5),
            )
        ]
    )
    shown = {name: METHODS[name] for name in ("ridge", "msp")}
    errors = relative_errors(metrics, shown, ["a"], "msp")
    assert errors["Ridge"].to_dict() == {("a", "brain"): 1.5, ("a", "csf"): 0.25}
    assert set(errors["MSP"]) == {1.0}


def test_regions_are_drawn_of_rivals_only():
    figure = draw_regions(scores(), METHODS, TARGETS, "msp")
    for axis in figure.axes:
        assert drawn(axis, "brain") == drawn(axis, "csf") == [1.5, 1.0]
        assert not drawn(axis, "lesion")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["Ridge", "MSP"]
    assert_legible(figure)


def test_regions_of_many_methods_stay_legible():
    methods, metrics = many(40)
    assert_legible(draw_regions(metrics, methods, TARGETS, "m0"))


# --- Cost


def test_costs_are_of_what_was_measured_and_is_no_control():
    seconds = {"noise": {"a": 1.0}, "ridge": {"a": 2.0, "b": 3.0}}
    points = costs(scores(), seconds, METHODS)
    assert points[["method", "number", "target", "seconds", "error"]].to_numpy().tolist() == [
        ["ridge", 1, "a", 2.0, 3000.0],
        ["ridge", 1, "b", 3.0, 3000.0],
    ]


def test_the_front_is_what_nothing_beats_in_time_and_error():
    points = pd.DataFrame(
        {
            "method": ["slow", "best", "fast", "worse", "equal"],
            "seconds": [9.0, 4.0, 1.0, 2.0, 4.0],
            "error": [2.0, 1.0, 3.0, 3.5, 1.0],
        }
    )
    assert list(front(points)["method"]) == ["fast", "best"]


def test_costs_are_numbered_points():
    seconds = {"ridge": {"a": 2.0, "b": 2.0}, "msp": {"a": 50.0, "b": 80.0}}
    figure = draw_costs(costs(scores(), seconds, METHODS), TARGETS)
    for axis, last in zip(figure.axes, (50.0, 80.0), strict=True):
        assert drawn(axis, "front") == [2.0, last]
        assert drawn(axis, "front", "y") == [3000.0, 2000.0]
        assert [text.get_text() for text in axis.texts] == ["1", "2"]
    said = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert said[:2] == ["1  Ridge", "2  MSP"]
    assert_legible(figure)


def test_costs_of_many_methods_stay_legible():
    methods, metrics = many(40)
    rng = np.random.default_rng(1)
    seconds = {name: {t: 10 ** rng.uniform(0, 3) for t in TARGETS} for name in methods}
    figure = draw_costs(costs(metrics, seconds, methods), TARGETS)
    assert_legible(figure)


def test_a_run_without_measurements_has_an_empty_figure_of_costs(tmp_path):
    figure = draw_costs(costs(scores(), {}, METHODS), TARGETS)
    save_pages([figure], [tmp_path / "cost.png"])
    assert (tmp_path / "cost.png").exists()


def test_labels_hide_neither_points_nor_each_other(rng):
    points = rng.normal(0, 25, (40, 2)) + 80
    sizes = np.full((40, 2), (7.0, 5.5))
    shifts = place_labels(points, sizes, Bbox([[0, 0], [160, 160]]))
    assert np.array_equal(shifts, place_labels(points, sizes, Bbox([[0, 0], [160, 160]])))
    boxes = [
        Bbox.from_bounds(*(p + s - z / 2), *z)
        for p, s, z in zip(points, shifts, sizes, strict=True)
    ]
    for number, box in enumerate(boxes):
        assert not box.count_overlaps(boxes[:number])
        assert not any(box.contains(x, y) for x, y in points)
        assert box.x0 >= 0
        assert box.x1 <= 160


# --- Branches


def msp_card(target="a", seed=0, **changes):
    names = {"net-a-0": "a", "net-b-0": "b"}
    own = f"net-{target}-0"
    other = next(name for name in names if name != own)
    return {
        "method": "msp",
        "target": target,
        "fold": 0,
        "seed": seed,
        "specification": {"components": {n: {"task": {"target": t}} for n, t in names.items()}},
        "outcome": {
            "contributions": {own: 0.98, other: 0.02},
            "dead_units": {
                "first_stage.net-a-0.x": 0.1,
                "first_stage.net-b-0.x": 0.3,
                "branches.net-b-0.1": 0.5,
            },
            **changes,
        },
    }


def test_contributions_are_of_the_own_network_and_of_branches():
    first = {"method": "msp", "target": "b"}
    assert contribution_rows(msp_card("b")) == [
        {**first, "component": "b", "own": True, "share": 98.0},
        {**first, "component": "a", "own": False, "share": 2.0},
    ]
    assert dead_rows(msp_card("b")) == [
        {**first, "part": "first_stage", "share": 30.0},
        {**first, "part": "branches", "share": 50.0},
    ]


def test_branches_are_drawn_by_target_and_by_what_they_read():
    cards = [msp_card(target, seed) for target in TARGETS for seed in (0, 1)]
    other = {**msp_card(), "method": "other", "outcome": {"dead_units": {}}}
    figure = draw_branches([*cards, other], {"other": "Other", "msp": "MSP"}, TARGETS)
    above, below = figure.axes[:2], figure.axes[2:]
    for axis, target, component in zip(above, TARGETS, reversed(TARGETS), strict=True):
        assert drawn(axis, "own") == [98.0, 98.0]
        assert drawn(axis, component) == [2.0, 2.0]
        assert not drawn(axis, target)
    for axis in below:
        assert drawn(axis, "first_stage") == [30.0, 30.0]
        assert drawn(axis, "branches") == [50.0, 50.0]
    assert [label.get_text() for label in above[0].get_yticklabels()] == ["MSP"]
    assert_legible(figure)


def test_a_branch_that_contributes_nothing_is_drawn_all_the_same():
    cards = [msp_card("a", contributions={"net-a-0": 1.0, "net-b-0": 0.0})]
    axis = draw_branches(cards, {"msp": "MSP"}, TARGETS).axes[0]
    assert drawn(axis, "b") == [0.1]
    assert axis.get_xlim()[0] < 0.1


# --- Learning curves


def curve(method, target, fold=0, start=1.0):
    steps = [0, 50, 100]
    validation = [start, 0.3, 0.4]
    return pd.DataFrame(
        {
            "method": method,
            "target": target,
            "fold": fold,
            "seed": 0,
            "step": steps,
            "training_mse": [np.nan, 0.5, 0.2],
            "validation_mse": validation,
        }
    )


def test_errors_of_the_linear_map_are_of_target_and_fold_and_of_all():
    def card(target, fold, **outcome):
        return {"target": target, "fold": fold, "outcome": outcome}

    cards = [
        card("a", 0, validation_mse=0.2),
        card("b", 0, validation_mse=0.4),
        card("a", 1, validation_mse=0.6),
        card("b", 1, penalty=1.0),
    ]
    expected = {("a", 0): 0.2, ("b", 0): 0.4, ("a", 1): 0.6, ("all", 0): pytest.approx(0.3)}
    assert linear_errors(cards, TARGETS) == expected


def test_learning_curves_show_where_they_start_and_what_is_linear():
    history = pd.concat(
        [
            *(curve("net", "a", fold, start) for fold, start in enumerate([1.0, 2.0])),
            *(curve("net", "b", start=2.0), curve("mtl", "all")),
        ]
    )
    linear = {("a", 0): 0.35, ("a", 1): 0.36, ("all", 0): 0.37}
    labels = {"net": "Net", "mtl": "MTL"}
    (figure,) = draw_learning_curves(history, labels, TARGETS, linear, "Ridge")
    assert "Ridge on validation" in [text.get_text() for text in figure.legends[0].get_texts()]
    a, b, together = figure.axes
    # Means over the folds, by hand.
    assert drawn(a, "linear", "y") == pytest.approx([0.355, 0.355])
    assert drawn(a, "validation", "y") == pytest.approx([1.5, 0.3, 0.4])
    assert (drawn(a, "best"), drawn(a, "best", "y")) == ([50.0, 50.0], [0.3, 0.3])
    assert drawn(b, "linear", "y") == []
    assert drawn(together, "linear", "y") == [0.37, 0.37]
    assert drawn(b, "start", "y") == [2.0, 2.0]
    assert drawn(b, "validation", "y") == [2.0, 0.3, 0.4]
    assert (drawn(b, "best"), drawn(b, "best", "y")) == ([50.0], [0.3])
    # One range for the panels of a method, with all curves and lines in it.
    assert a.get_ylim() == b.get_ylim() != together.get_ylim()
    assert a.get_ylim()[0] < 0.2
    assert a.get_ylim()[1] > 2.0
    # A model of all targets has the whole row.
    assert_legible(figure)
    assert together.get_position().width > a.get_position().width + b.get_position().width
    assert together.get_title() == "MTL: all targets"


def test_a_page_has_at_most_eight_methods_in_the_order_of_the_tables():
    names = [f"m{n}" for n in range(19)]
    history = pd.concat([curve(name, target) for name in names for target in TARGETS])
    labels = {name: f"{LONG} {name}" for name in reversed(names)}
    pages = draw_learning_curves(history, labels, TARGETS, {}, "")
    assert [len(page.axes) for page in pages] == [16, 16, 6]
    assert pages[0].axes[0].get_title().startswith(f"{LONG} m18")
    for page in pages:
        assert_legible(page)
        assert page.get_figheight() < 10


# --- Commands


def figures_of(command, name, options, folder):
    """Run a command twice; assert that the figures have the same bytes."""
    bytes_of = []
    for attempt in ("first", "second"):
        output = [folder / f"{attempt}.{end}" for end in ("pdf", "png")]
        assert command(name, {**options, "output": output}) == (0, "")
        bytes_of.append([sha256(path) for path in output])
    assert bytes_of[0] == bytes_of[1]


@pytest.fixture
def of_scores(tmp_path):
    scores().to_csv(tmp_path / "metrics.csv", index=False)
    methods = json.dumps(METHODS)
    return {"metrics": tmp_path / "metrics.csv", "methods": methods, "targets": TARGETS}


@pytest.mark.parametrize("name", ["plot_improvements", "plot_regions"])
def test_figures_of_scores_are_written(command, of_scores, tmp_path, name):
    figures_of(command, name, {**of_scores, "reference": "msp"}, tmp_path)


def test_a_missing_subject_is_no_gap_in_a_figure(command, of_scores, tmp_path):
    metrics = scores()
    gone = (metrics["method"] == "ridge") & (metrics["subject"] == "02")
    metrics[~gone].to_csv(of_scores["metrics"], index=False)
    options = {**of_scores, "reference": "msp", "output": [tmp_path / "figure.png"]}
    status, error = command("plot_improvements", options)
    assert status == 1
    assert "patch_mse of ridge, seed 0, is missing for subject 02" in error


def test_the_figure_of_costs_sums_all_fits_that_a_method_needs(
    command, of_scores, tmp_path, monkeypatch
):
    needed = {"a": {"msp": {"a": [0]}, "net": {"a": [0], "b": [0]}}}
    fits = {"msp": needed, "ridge": {"a": {"ridge": {"a": [0]}}, "b": {"gone": {"b": [0]}}}}
    for fold, factor in (("0", 1), ("1", 3)):
        measured = {"msp-a": 10, "net-a": 1, "net-b": 2, "ridge-a": 5}
        for name, seconds in measured.items():
            (tmp_path / f"{name}-{fold}-0.tsv").write_text(f"s\n{factor * seconds}\n")
    options = {
        **of_scores,
        "benchmarks": str(tmp_path / "{method}-{target}-{fold}-{seed}.tsv"),
        "fits": json.dumps(fits),
        "folds": json.dumps({"0": ["01"], "1": ["02"]}),
    }
    figures_of(command, "plot_cost", options, tmp_path)
    seen = []
    monkeypatch.setattr(
        "harmonization.report.cost.costs", lambda m, s, r: seen.append(s) or costs(m, s, r)
    )
    assert command("plot_cost", {**options, "output": [tmp_path / "figure.png"]}) == (0, "")
    # By hand: 10 + 1 + 2 and three times as much, their mean. One fit was not measured.
    assert seen == [{"msp": {"a": 26.0}, "ridge": {"a": 10.0}}]


def test_figures_of_models_are_written(command, tmp_path):
    models = {"msp": {"a": [0], "b": [0]}}
    for target in TARGETS:
        folder = tmp_path / f"msp-{target}-0-0"
        write_json(folder / "card.json", msp_card(target))
        columns = ["step", "training_mse", "validation_mse"]
        curve("msp", target)[columns].to_csv(folder / "history.csv", index=False)
    write_json(
        tmp_path / "ridge-a-0-0/card.json",
        {"target": "a", "fold": 0, "outcome": {"validation_mse": 0.3}},
    )
    options = {
        "folders": str(tmp_path / "{method}-{target}-{fold}-{seed}"),
        "models": json.dumps(models),
        "folds": json.dumps({"0": ["01"]}),
        "labels": json.dumps({"msp": "MSP"}),
        "targets": TARGETS,
    }
    figures_of(command, "plot_branches", options, tmp_path)
    options["labels"] = json.dumps({"msp": "MSP", "ridge": "Ridge"})
    linear = json.dumps({"ridge": {"a": [0]}})
    figures_of(command, "plot_learning_curves", {**options, "linear": linear}, tmp_path)


# --- Patches


def test_the_patch_that_is_shown_lies_amid_the_slice_with_the_most():
    full = [[x, y, 1] for x in range(3) for y in range(5)]
    assert choose_patch(np.array([[0, 0, 0], *full, [2, 4, 2]])).tolist() == [1, 2, 1]


def test_patches_are_framed_where_they_lie_on_every_grid(gained_fold, r):
    figure = draw_patches(gained_fold, "a", ["t"])
    source, target = figure.axes[2:]  # below: the one patch
    frames = {
        axis: [(p.get_xy(), p.get_width()) for p in axis.patches if isinstance(p, Rectangle)]
        for axis in (source, target)
    }
    ((x, y), edge), ((left, bottom), window) = frames[source]
    assert (edge, window) == (7, 11)
    assert (left, bottom) == (x - 2, y - 2)
    # Both begin at the same place of the world: half a voxel before the centre of the first.
    assert frames[target] == [((r * (x + 0.5) - 0.5, r * (y + 0.5) - 0.5), 7 * r)]
    assert target.get_xlabel() == " × ".join([str(7 * r)] * 3) + " voxels predicted"
    assert figure.axes[0].get_ylabel() == "l=0, 4 of 8 patches"
