"""What is done at the end of a run that went well."""

from conftest import ROOT

from harmonization.files import read_json, write_json
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


def test_images_of_folds_that_a_run_had_before_are_not_recorded(tmp_path, monkeypatch):
    """A run of fewer folds leaves their manifests, which name images as they were then."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "scripts"))
    (tmp_path / "config.yaml").write_text("run: x\n")
    (tmp_path / "metrics.csv").write_text("method,fold\nespcn,1\nespcn,1\n")
    for fold, told in {"1": "now", "1_denoised": "now", "7": "then", "11": "then"}.items():
        name = "denoised.nii" if "_" in fold else "sh.nii"
        entry = {"path": f"../sh/{name}", "sha256": told}
        files = {"01": {"prisma_st": {"image": entry}}}
        write_json(tmp_path / f"splits/fold-{fold}.json", {"files": files})
    end_run(RunPaths(str(tmp_path)), ROOT)
    data = read_json(tmp_path / "provenance.json")["data"]
    assert data == {"sh/sh.nii": "now", "sh/denoised.nii": "now"}
