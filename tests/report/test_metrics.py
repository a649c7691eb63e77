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
    assert "n = 4 test subjects" in options["html"].read_text()


def test_no_table_is_made_without_a_subject(command, metrics, tmp_path):
    options = table_options(metrics, tmp_path, [*PEOPLE, "02"])
    status, error = command("make_table", options)
    assert (status, len(error.splitlines())) == (1, 1)
    assert "no score of a on new for subject 02" in error
    assert not options["csv"].exists()


def test_scores_are_joined_to_the_digit(command, metrics, tmp_path):
    more = write(tmp_path / "more.csv", [score("a", "NA", "0.10", target="old")])
    output = tmp_path / "all.csv"
    assert command("collect", {"output": output}, metrics, more) == (0, "")
    assert output.read_text() == metrics.read_text() + score("a", "NA", "0.10", target="old")
    write(more, [score("a", "NA", "nan")])
    status, error = command("collect", {"output": tmp_path / "none.csv"}, metrics, more)
    assert (status, len(error.splitlines())) == (1, 1)
    assert "subject NA" in error
