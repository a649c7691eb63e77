"""Scores come into the tables in full: nobody is left out without a word."""

import json

import pandas as pd
import pytest

from harmonization.files import InputError
from harmonization.report.metrics import read_metrics, read_text, refuse_missing

HEADER = "method,family,target,fold,seed,subject,region,metric,value\n"
PEOPLE = ["01", "NA", "null", "1e5"]


def score(method, subject, value, target="new"):
    return f"{method},classical,{target},0,0,{subject},brain,patch_mse,{value}\n"


def write(path, rows):
    path.write_text(HEADER + "".join(rows))
    return path


@pytest.fixture
def metrics(tmp_path):
    rows = [score(m, s, 0.1 * n) for m in ("a", "b") for n, s in enumerate(PEOPLE, 1)]
    return write(tmp_path / "metrics.csv", rows)


def test_labels_stay_text(metrics):
    table = read_metrics(metrics)
    assert list(table["subject"]) == 2 * PEOPLE
    assert table["value"].dtype == float
    assert read_text(metrics)["value"].iloc[0] == "0.1"


@pytest.mark.parametrize("value", ["nan", "", "inf", "-inf", "NA", "much"])
def test_a_score_that_is_no_number_is_named(tmp_path, value):
    path = write(tmp_path / "scores.csv", [score("a", "01", 0.1), score("a", "NA", value)])
    with pytest.raises(InputError, match=r"method a, .*subject NA, .*metric patch_mse") as error:
        read_metrics(path)
    assert f"the score is '{value}', no number" in str(error.value)


@pytest.mark.parametrize("content", ["", "a,b\n1,2,3,4\n1\n", "method\na\n", "\xff\xfe"])
def test_what_is_no_table_of_scores_is_refused(tmp_path, content):
    path = tmp_path / "scores.csv"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match="delete it, run again"):
        read_text(path)


def test_a_missing_score_is_named(metrics):
    table = read_metrics(metrics)
    refuse_missing(table, metrics, ["a", "b"], ["new"], PEOPLE)
    with pytest.raises(InputError, match="no score of a on new for subject 02"):
        refuse_missing(table, metrics, ["a", "b"], ["new"], [*PEOPLE, "02"])
    with pytest.raises(InputError, match="no score of c on new for subject 01"):
        refuse_missing(table, metrics, ["c"], ["new"], PEOPLE)


def table_options(metrics, tmp_path, subjects):
    return {
        "metrics": metrics,
        "methods": json.dumps({m: {"label": m.upper(), "role": "rival"} for m in ("a", "b")}),
        "targets": ["new"],
        "subjects": subjects,
        **{end: tmp_path / f"table.{end}" for end in ("csv", "tex", "html")},
    }


def test_the_table_says_how_many_subjects_it_has(command, metrics, tmp_path):
    options = table_options(metrics, tmp_path, PEOPLE)
    assert command("make_table", options) == (0, "")
    table = pd.read_csv(options["csv"])
    assert list(table["n"]) == [4, 4]
    assert table["new"].iloc[0] == pytest.approx(0.25)  # by hand: the mean of 0.1 to 0.4
    first = options["html"].read_text()
    assert "n = 4 test subjects" in first
    assert command("make_table", options) == (0, "")
    assert options["html"].read_text() == first


def test_what_only_a_phantom_tells_stands_beside_the_measure(command, metrics, tmp_path):
    known = "{},classical,new,0,0,{},brain,{},{}\n"
    for number, subject in enumerate(PEOPLE, 1):
        rows = [known.format("a", subject, "excess", 0.01 * number)]
        rows += [known.format("b", subject, "excess", -0.02)]
        rows += [known.format("a", subject, "truth_mse", 0.4)]
        rows += [known.format("b", subject, "truth_mse", 0.02 * number)]
        with metrics.open("a") as stream:
            stream.writelines(rows)
    options = {**table_options(metrics, tmp_path, PEOPLE), "task": ["a", "b"]}
    assert command("make_table", options) == (0, "")
    table = pd.read_csv(options["csv"])
    assert list(table["new_excess"]) == [pytest.approx(0.025), pytest.approx(-0.02)]
    said = options["html"].read_text()
    # By hand: 0.05, the mean of 0.02 to 0.08, of 0.4.
    assert "is 12% on new of the task" in said
    assert "what remains of A's error against the noise-free target in B" in said


def test_regions_stand_beside_the_number_of_their_voxels(command, tmp_path):
    rows = [
        f"{method},classical,new,0,{seed},{subject},{region},{metric},{value}\n"
        for method in ("a", "b")
        for seed in (0, 1)
        for subject, regions in (("01", {"brain": 100, "lesion": 5}), ("02", {"brain": 60}))
        for region, voxels in regions.items()
        for metric, value in (
            ("voxels", voxels),
            ("patch_mse" if region == "brain" else "mse", voxels / 10 + seed),
            ("excess_l2" if region == "brain" else "excess_l4", 1),
        )
    ]
    options = {
        "metrics": write(tmp_path / "metrics.csv", rows),
        "methods": json.dumps({m: {"label": m.upper()} for m in ("b", "a")}),
        "targets": ["new"],
        **{end: tmp_path / f"table.{end}" for end in ("csv", "html")},
    }
    assert command("tabulate_regions", options) == (0, "")
    table = pd.read_csv(options["csv"])
    assert table.to_numpy().tolist() == [
        ["new", "brain", "excess", "2", 2, 160, 1, 1],
        ["new", "brain", "mse", "all", 2, 160, 8.5, 8.5],
        ["new", "lesion", "excess", "4", 1, 5, 1, 1],
        ["new", "lesion", "mse", "all", 1, 5, 1, 1],
    ]
    assert list(table.columns)[-2:] == ["B", "A"]


def tabulated(command, tmp_path, name, values):
    """Rows of a table of metrics (method, target, subject, region, metric, value), one fold."""
    rows = ["{},rival,{},0,0,{},{},{},{}\n".format(*value) for value in values]
    options = {
        "metrics": write(tmp_path / "metrics.csv", rows),
        "methods": json.dumps({m: {"label": m.upper()} for m in ("b", "a")}),
        "targets": ["new", "fine"],
        **{end: tmp_path / f"table.{end}" for end in ("csv", "html")},
    }
    assert command(f"tabulate_{name}", options) == (0, "")
    assert options["html"].read_text().startswith("<!DOCTYPE html>")
    return pd.read_csv(options["csv"], keep_default_na=False)


def test_features_of_brain_and_white_matter_are_means_over_subjects(command, tmp_path):
    table = tabulated(
        command,
        tmp_path,
        "features",
        [
            (method, target, subject, region, metric, value * (2 if method == "a" else 1))
            for method in ("a", "b")
            for target in ("fine", "new")
            for region in ("brain", "white_matter", "lesion")
            for subject, value in (("NA", 1), ("02", 2))
            for metric in ("truth_gfa_mae", "angular_error", "rish_error_l2", "mean_gfa", "mse")
        ],
    )
    measures = ["angular_error", "rish_error_l2", "truth_gfa_mae"]
    assert list(table.columns) == ["target", "region", "method", "n", *measures]
    assert table.iloc[:, :3].to_numpy().tolist() == [
        [target, region, method]
        for target in ("new", "fine")
        for region in ("brain", "white_matter")
        for method in ("B", "A")
    ]
    assert set(table["n"]) == {2}
    # By hand: the mean of 1 and 2, and twice that.
    assert table[measures].to_numpy().tolist() == 4 * [[1.5] * 3, [3.0] * 3]


def kept(method, subject, metric, predicted, measured, region="white_matter"):
    """Rows of what a prediction keeps, and of what the target has."""
    place = (method, "new", subject, region)
    return [(*place, metric, predicted), (*place, f"{metric}_target", measured)]


def test_what_predictions_keep_of_the_differences_between_people(command, tmp_path):
    rows = [
        row
        for method, share in (("a", 0.5), ("b", 1.0))
        for number, subject in enumerate(["01", "02", "NA"])
        for row in kept(method, subject, "mean_gfa", 0.7 + share * number / 10, 0.4 + number / 10)
    ]
    rows += kept("a", "01", "lesion_contrast", -0.1, -0.2, "lesion")
    rows += kept("a", "02", "lesion_contrast", -0.1, -0.3, "lesion")
    rows += kept("b", "01", "lesion_contrast", -0.2, -0.2, "lesion")
    table = tabulated(command, tmp_path, "preservation", rows)
    assert list(table.columns) == ["target", "region", "metric", "n", "B", "A"]
    # By hand: half as far apart, whatever the mean; and -0.1 of -0.25.
    assert table.to_numpy().tolist() == [
        ["new", "white_matter", "mean_gfa", 3, pytest.approx(1), pytest.approx(0.5)],
        ["new", "lesion", "lesion_contrast", 2, pytest.approx(1), pytest.approx(0.4)],
    ]


def test_two_people_do_not_tell_how_people_differ(command, tmp_path):
    rows = [row for s in ("01", "02") for row in kept("a", s, "mean_md", float(s), float(s))]
    table = tabulated(command, tmp_path, "preservation", rows)
    assert list(table.columns) == ["target", "region", "metric", "n", "B", "A"]
    assert table.empty


def test_no_table_is_made_without_a_subject(command, metrics, tmp_path):
    options = table_options(metrics, tmp_path, [*PEOPLE, "02"])
    status, error = command("make_table", options)
    assert (status, len(error.splitlines())) == (1, 1)
    assert "no score of a on new for subject 02" in error
    assert not options["csv"].exists()


def test_scores_are_joined_to_the_digit(command, metrics, tmp_path):
    more = write(tmp_path / "b-old-0-0-NA.csv", [score("a", "NA", "0.10", target="old")])
    metrics.rename(tmp_path / "a-new-0-0-NA.csv")
    output = tmp_path / "all.csv"
    options = {
        "scores": str(tmp_path / "{method}-{target}-{fold}-{seed}-{subject}.csv"),
        "models": json.dumps({"a": {"new": [0]}, "b": {"old": [0]}}),
        "folds": json.dumps({"0": ["NA"]}),
    }
    assert command("collect", {**options, "output": output}) == (0, "")
    metrics = tmp_path / "a-new-0-0-NA.csv"
    assert output.read_text() == metrics.read_text() + score("a", "NA", "0.10", target="old")
    write(more, [score("a", "NA", "nan")])
    status, error = command("collect", {**options, "output": tmp_path / "none.csv"})
    assert (status, len(error.splitlines())) == (1, 1)
    assert "subject NA" in error
