"""Tables of what models are made of and what their fits cost."""

import json

import pandas as pd
import pytest

from harmonization.files import write_json

METHODS = {
    name: {"label": label, "family": "msp", "role": "rival", "selects_on": "validation"}
    for name, label in (("msp", "MSP"), ("ridge", "Ridge"))
}
MODELS = {"ridge": {"a": [0]}, "msp": {"a": [0, 1]}, "component": {"a": [0]}}
FOLDS = {"0": ["01"]}


def card(method, **outcome):
    training = {"phases": [{"steps": 30}, {"steps": 10}]} if outcome else None
    sizes = {
        "parameters": 100,
        "path_parameters": 80,
        "trainings": {"x": 6_000_000, "y": 1_000_000},
    }
    return {
        "method": method,
        "target": "a",
        "settings": {"training": training},
        **sizes,
        "outcome": outcome,
    }


@pytest.fixture
def folders(tmp_path):
    """Folders of three models that are shown and a component that is not."""
    for seed, (best, dead, branch) in enumerate([(20, 0.25, 0.02), (40, 0.0, 0.01)]):
        outcome = {"best_step": best, "validation_mse": 0.2, "dead_units": {"x": dead, "y": 0.0}}
        contributions = {"own": 0.9, "first": 0.5, "second": branch}
        write_json(
            tmp_path / f"msp-a-0-{seed}/card.json",
            card("msp", **outcome, contributions=contributions),
        )
    for name in ("ridge", "component"):
        write_json(tmp_path / f"{name}-a-0-0/card.json", card(name))
    return tmp_path


def options(folder):
    return {
        "models": json.dumps(MODELS),
        "folds": json.dumps(FOLDS),
        "methods": json.dumps(METHODS),
        "csv": folder / "table.csv",
        "tex": folder / "table.tex",
        "html": folder / "table.html",
    }


def test_a_run_without_models_has_tables_without_rows(command, tmp_path):
    """Such as one of a scan, or of a baseline with rules of its own."""
    given = {"folders": str(tmp_path / "{method}"), **options(tmp_path), "models": "{}"}
    assert command("tabulate_methods", given) == (0, "")
    assert pd.read_csv(tmp_path / "table.csv").empty


def test_models_are_summed_up_by_method_and_target(command, folders):
    given = {"folders": str(folders / "{method}-{target}-{fold}-{seed}"), **options(folders)}
    assert command("tabulate_methods", given) == (0, "")
    msp, ridge = pd.read_csv(folders / "table.csv").to_dict("records")
    assert (msp["method"], msp["models"], msp["steps"], msp["best_step"]) == ("MSP", 2, 40, 30)
    assert (msp["parameters"], msp["path_parameters"]) == (100, 80)
    # The worst of all layers and models, and never the branch of the target's own network.
    assert (msp["dead_units"], msp["smallest_branch"]) == (0.25, 0.01)
    assert (ridge["method"], ridge["steps"]) == ("Ridge", 0)
    assert pd.isna(ridge["best_step"])
    shown = (folders / "table.html").read_text()
    assert "25.0%" in shown
    assert "7.00e+06" in shown
    assert "component" not in shown
    printed = (folders / "table.tex").read_text()
    assert r"25.0\%" in printed
    assert "path parameters" not in printed


def test_seconds_and_memory_are_those_of_the_fits(command, folders):
    for seed, (seconds, memory) in enumerate([(10, 300), (20, 200)]):
        (folders / f"msp-a-0-{seed}.tsv").write_text(f"s\tmax_rss\n{seconds}\t{memory}\n")
    (folders / "ridge-a-0-0.tsv").write_text("s\tmax_rss\n0.02\t-\n")
    given = {"benchmarks": str(folders / "{method}-{target}-{fold}-{seed}.tsv"), **options(folders)}
    assert command("tabulate_runtime", given) == (0, "")
    msp, ridge = pd.read_csv(folders / "table.csv").to_dict("records")
    assert (msp["seconds"], msp["peak_memory"], msp["models"]) == (15, 300, 2)
    assert ridge["seconds"] == 0.02
    assert pd.isna(ridge["peak_memory"])


def test_a_run_without_measurements_has_an_empty_table(command, folders):
    given = {"benchmarks": str(folders / "{method}-{target}-{fold}-{seed}.tsv"), **options(folders)}
    assert command("tabulate_runtime", given) == (0, "")
    assert pd.read_csv(folders / "table.csv").empty
