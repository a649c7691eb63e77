"""What is done at the end of a run that went well."""

from conftest import ROOT

from harmonization.files import read_json
from harmonization.plan.ending import end_run
from harmonization.plan.paths import RunPaths


def make(*paths):
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text("")


def test_checkpoints_of_models_that_are_there_are_removed(tmp_path):
    here, there = "espcn/a/fold-0_seed-0", "espcn/a/fold-1_seed-0"
    checkpoints = [tmp_path / f"checkpoints/{model}/1.pt" for model in (here, there)]
    make(*checkpoints, tmp_path / f"models/{here}/weights.safetensors")
    end_run(RunPaths(str(tmp_path)), ROOT)
    assert [path.exists() for path in checkpoints] == [False, True]
    make(tmp_path / f"models/{there}/weights.safetensors")
    end_run(RunPaths(str(tmp_path)), ROOT)
    assert not (tmp_path / "checkpoints").exists()


def test_a_run_that_was_restored_without_benchmarks_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "scripts"))
    (tmp_path / "config.yaml").write_text("run: x\n")
    end_run(RunPaths(str(tmp_path)), ROOT)
    assert read_json(tmp_path / "provenance.json")["rules"] == {}
