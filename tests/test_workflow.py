"""The real DAG, run from scratch on three people: what a user does, made small."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, snakemake

from harmonization.configuration import merge

METHODS = [
    "noise",
    "identity",
    "affine",
    "ridge",
    "espcn",
    "mtl_hard",
    "msp_espcn",
    "rescan",
    "truth",
]
TARGETS = ["prisma_st", "connectom_sa"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder in which the tiny run has been made."""
    folder = tmp_path_factory.mktemp("first")
    result = snakemake(folder)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder, result


@pytest.fixture
def results(run):
    return run[0] / "results/tiny"


def planned(folder, *arguments, **options):
    """Jobs of a dry run, as (rule, what its message says)."""
    result = snakemake(folder, "--dry-run", *arguments, **options)
    assert result.returncode == 0, result.stderr
    return re.findall(r"^Job \d+: (.*)$", result.stdout + result.stderr, flags=re.MULTILINE)


def test_it_ends_by_saying_where_tables_and_figures_are(run):
    said = run[1].stdout + run[1].stderr
    assert "Tables:  results/tiny/tables" in said
    assert "Figures: results/tiny/figures" in said


def test_progress_is_visible(run):
    said = run[1].stdout + run[1].stderr
    assert re.search(r"espcn prisma_st fold 0 seed 0: step 20/20 .* s left", said)


def test_metrics_hold_every_method_once(results):
    metrics = pd.read_csv(results / "metrics.csv", dtype={"subject": str})
    assert list(metrics.columns) == [
        *("method", "family", "target", "fold", "seed", "subject", "region", "metric", "value")
    ]
    paper = metrics[(metrics["metric"] == "patch_mse") & (metrics["region"] == "brain")]
    assert paper["method"].tolist() == [m for m in METHODS for _ in TARGETS]
    assert set(paper["subject"]) == {"01"}
    assert np.isfinite(metrics["value"]).all()
    assert not metrics.drop(columns="value").duplicated().any()
    # The truth against itself leaves nothing.
    own = metrics[(metrics["method"] == "truth") & (metrics["metric"] == "truth_mse")]
    assert (own["value"] == 0).all()


def test_controls_bound_the_table(results):
    table = pd.read_csv(results / "tables/patch_mse.csv").set_index("method")
    labels = ["Noise", "Identity", "Affine", "Ridge (IQT-GL)", "ESPCN", "MTL, hard sharing"]
    assert table.index.tolist() == [*labels, "MSP (ESPCN)", "Rescan", "Truth"]
    for target in TARGETS:
        assert table[target].idxmax() == "Noise"
        assert table.loc["Truth", target] < table.loc["Identity", target]
        assert table.loc["Ridge (IQT-GL)", target] < table.loc["Identity", target]


def test_tables_and_figures_are_there(results):
    figures = ["platforms", "learning_curves", *(f"errors_{target}" for target in TARGETS)]
    figures += [f"registration_{subject}" for subject in ("01", "02", "03")]
    for figure in figures:
        assert (results / f"figures/{figure}.pdf").read_bytes().startswith(b"%PDF")
        assert (results / f"figures/{figure}.png").stat().st_size > 20_000
    assert r"\toprule" in (results / "tables/patch_mse.tex").read_text()
    assert "MSP (ESPCN)" in (results / "tables/patch_mse.html").read_text()


def test_every_registration_is_in_the_table_and_made_the_scans_more_alike(results):
    table = pd.read_csv(results / "tables/registration.csv", dtype={"subject": str})
    scans = [(subject, target, "scan") for subject in ("01", "02", "03") for target in TARGETS]
    scans += [("01", target, "rescan") for target in TARGETS]
    assert list(zip(table["subject"], table["platform"], table["scan"], strict=True)) == scans
    assert (table["similarity_after"] > table["similarity_before"] + 0.05).all()
    assert "Similarity is the normalised" in (results / "tables/registration.html").read_text()


def test_the_data_set_says_who_has_a_lesion_and_what_labels_mean(results):
    people = pd.read_csv(results / "bids/participants.tsv", sep="\t").set_index("participant_id")
    assert people["lesion"].to_dict() == {"sub-01": "yes", "sub-02": "no", "sub-03": "no"}
    for kind in ("tissue", "region"):
        names = pd.read_csv(results / f"bids/desc-{kind}_dseg.tsv", sep="\t").set_index("index")
        scan = results / "bids/sub-01/ses-prisma/dwi/sub-01_ses-prisma_acq-st_run-1"
        labels = np.unique(nib.load(f"{scan}_desc-{kind}_dseg.nii.gz").get_fdata())
        assert names.loc[labels.max(), "name"] == "lesion"
        assert set(labels[labels > 0]) <= set(names.index)


def test_the_data_set_passes_the_bids_validator(results):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    result = subprocess.run(
        [validator, results / "bids", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    issues = json.loads(result.stdout)["issues"]["issues"]
    assert not [issue for issue in issues if issue["severity"] == "error"]


def test_the_lesion_is_scored_on_its_own(results):
    metrics = pd.read_csv(results / "metrics.csv")
    regions = metrics.loc[metrics["metric"] == "mse", "region"]
    assert set(regions) == {"white_matter", "grey_matter", "csf", "lesion"}


def test_the_merged_configuration_lies_beside_the_results(results):
    config = (results / "config.yaml").read_text()
    assert "run: tiny" in config
    assert "first_stage_weight" in config


def test_msp_starts_where_its_single_network_ended(results):
    for target in TARGETS:
        single = json.loads(
            (results / f"models/espcn/{target}/fold-0_seed-0/card.json").read_text()
        )
        history = pd.read_csv(results / f"models/msp_espcn/{target}/fold-0_seed-0/history.csv")
        assert history["validation_mse"].iloc[0] == single["validation_mse"]


def test_networks_of_two_platforms_start_differently(results):
    cards = [
        json.loads((results / f"models/espcn/{t}/fold-0_seed-0/card.json").read_text())
        for t in TARGETS
    ]
    assert cards[0]["specification"]["seed"] != cards[1]["specification"]["seed"]


def test_predictions_lie_on_the_grid_of_their_target(results):
    for target, scale in zip(TARGETS, (1, 2), strict=True):
        source = nib.load(results / "sh/scan/sub-01_platform-ge_st.nii")
        measured = nib.load(results / f"sh/scan/sub-01_platform-{target}.nii")
        assert measured.shape[:3] == tuple(n * scale for n in source.shape[:3])
        for method in METHODS:
            name = f"predictions/{method}/fold-0_seed-0/sub-01_platform-{target}.nii"
            prediction = nib.load(results / name)
            assert prediction.shape == measured.shape
            np.testing.assert_allclose(prediction.affine, measured.affine, atol=1e-5)


def test_a_second_run_has_nothing_to_do(run):
    assert planned(run[0]) == []


def test_a_deleted_model_and_what_depends_on_it_are_made_anew(run, tmp_path_factory):
    folder = shutil.copytree(run[0], tmp_path_factory.mktemp("copy"), dirs_exist_ok=True)
    (folder / "results/tiny/models/espcn/prisma_st/fold-0_seed-0/weights.safetensors").unlink()
    jobs = planned(folder)
    made = [job for job in jobs if job.startswith(("Train", "Fit", "Predict", "Score", "Scan"))]
    assert sorted(made) == sorted(
        [
            "Train espcn for prisma_st, fold 0, seed 0",
            *(f"Train msp_espcn for {t}, fold 0, seed 0" for t in TARGETS),
            "Predict prisma_st of 01 by espcn",
            *(f"Predict {t} of 01 by msp_espcn" for t in TARGETS),
            "Score espcn on prisma_st of 01",
            *(f"Score msp_espcn on {t} of 01" for t in TARGETS),
        ]
    )
    others = set(jobs) - set(made)
    assert others == {
        "Join all scores",
        "Make the table of patch MSE",
        "Draw the learning curves",
        *(f"Draw the errors on {t}" for t in TARGETS),
    }


def test_other_settings_of_a_method_train_only_what_they_touch(run, tmp_path):
    changed = tmp_path / "changed.yaml"
    text = (ROOT / "tests/tiny.yaml").read_text()
    changed.write_text(
        text.replace("{steps: 5, learning_rate: 1.0e-4}", "{steps: 5, learning_rate: 2.0e-4}")
    )
    result = snakemake(run[0], "--dry-run", config=changed)
    jobs = re.findall(r"^Job \d+: (.*)$", result.stdout + result.stderr, flags=re.MULTILINE)
    assert {job for job in jobs if job.startswith("Train")} == {
        f"Train msp_espcn for {t}, fold 0, seed 0" for t in TARGETS
    }


def test_another_program_registers_all_targets_anew(run):
    jobs = planned(run[0], "--config", "registration={program: flirt}")
    registered = [job for job in jobs if job.startswith("Register")]
    assert sorted(registered) == sorted(
        f"Register {t} of {s} to ge_st" for t in TARGETS for s in ("01", "01", "02", "03")
    )


def test_another_label_draws_anew_but_trains_nothing(run):
    jobs = planned(run[0], "--config", "overrides={espcn: {label: Another name}}")
    assert "Make the table of patch MSE" in jobs
    assert not [job for job in jobs if job.startswith(("Train", "Fit", "Predict", "Score"))]


def test_two_runs_from_scratch_give_the_same_bytes(results, tmp_path):
    result = snakemake(tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    again = tmp_path / "results/tiny"
    assert (again / "metrics.csv").read_bytes() == (results / "metrics.csv").read_bytes()
    for weights in results.glob("models/**/weights.safetensors"):
        assert (again / weights.relative_to(results)).read_bytes() == weights.read_bytes(), weights


def test_a_method_learns_nothing_from_the_test_subject(run, tmp_path_factory):
    """The test subject's images become NaN; every method is fitted again to the same bytes."""
    folder = shutil.copytree(run[0], tmp_path_factory.mktemp("copy"), dirs_exist_ok=True)
    results = folder / "results/tiny"
    before = {
        path.relative_to(results): path.read_bytes()
        for name in ("weights.safetensors", "card.json", "history.csv")
        for path in results.glob(f"models/**/{name}")
    }
    for path in results.glob("sh/*/sub-01_*.nii"):
        image = nib.load(path)
        if image.ndim == 4:
            nib.save(nib.Nifti1Image(np.full(image.shape, np.nan, np.float32), image.affine), path)
    shutil.rmtree(results / "models")
    shutil.rmtree(results / "splits")
    result = snakemake(
        folder, *(str(Path("results/tiny") / p) for p in before), "--rerun-triggers", "input"
    )
    assert result.returncode == 0, result.stderr[-3000:]
    for name, content in before.items():
        assert (results / name).read_bytes() == content, name


def test_the_report_shows_table_and_figures(run):
    result = snakemake(run[0], "--report", "report.html")
    assert result.returncode == 0, result.stderr[-3000:]
    report = (run[0] / "report.html").read_text()
    names = ["patch_mse.html", "platforms.png", "learning_curves.png", "errors_prisma_st.png"]
    for name in [*names, "registration.html", "registration_01.png"]:
        assert name in report
    assert "All scans are simulated" in report


def test_a_typo_stops_before_any_job_with_one_line(tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("cross_validation: {fold: 2}\n")
    result = snakemake(tmp_path, config=wrong)
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert "unknown key 'fold' at cross_validation; did you mean 'folds'?" in said
    assert "Traceback" not in said
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("config", "trainings"), [("config/config.yaml", 7), ("config/phantom.yaml", 390)]
)
def test_the_configured_runs_have_a_plan(tmp_path, config, trainings):
    result = snakemake(tmp_path, "--dry-run", "--quiet", "rules", config=ROOT / config)
    assert result.returncode == 0, result.stderr
    # Phantom: 10 folds x 3 seeds x (espcn, diqt, msp_espcn, msp_diqt on 3 targets, mtl on all).
    assert re.search(rf"^train +{trainings}$", result.stdout + result.stderr, flags=re.MULTILINE)


@pytest.fixture
def own_data(run, tmp_path):
    """The scans of the tiny run as a data set of the user's, and a configuration that reads it."""
    shutil.copytree(run[0] / "results/tiny/bids", tmp_path / "study")
    first = {"run": "1", "description": "preproc"}
    settings = {
        **yaml.safe_load((ROOT / "tests/tiny.yaml").read_text()),
        "run": "own",
        "dataset": {"kind": "bids", "root": "study", "subjects": 3},
        "platforms": dict.fromkeys(["ge_st", *TARGETS], first),
        "methods": ["identity", "ridge"],
        "overrides": {},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def test_ones_own_data_set_gives_the_same_numbers(own_data, results):
    result = snakemake(own_data, config=own_data / "own.yaml")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    mine = pd.read_csv(own_data / "results/own/metrics.csv")
    same = pd.read_csv(results / "metrics.csv").merge(
        mine, on=["method", "target", "subject", "region", "metric"], suffixes=("", "_own")
    )
    assert len(same) == len(mine) > 10
    assert (same["value"] == same["value_own"]).all()
    # Nobody knows the noise-free truth of a user's scans.
    assert "truth_mse" not in set(mine["metric"])
    assert "fit for use" in (own_data / "results/own/validation.txt").read_text()


def test_a_broken_data_set_stops_before_anything_expensive(own_data):
    scan = "study/sub-02/ses-prisma/dwi/sub-02_ses-prisma_acq-st_run-1_desc-preproc_dwi"
    (own_data / f"{scan}.bvec").write_text("1 0 0")
    result = snakemake(own_data, config=own_data / "own.yaml")
    assert result.returncode != 0
    log = (own_data / "results/own/logs/validation.txt.log").read_text()
    assert f"{scan}.bvec: holds a table of shape (1, 3)" in log
    assert not (own_data / "results/own/registration").exists()
    assert not (own_data / "results/own/validation.txt").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": {"root": "nowhere"}}, "nowhere: no such folder; change dataset.root"),
        ({"dataset": {"root": None}}, "dataset.root: kind bids needs the data set's folder"),
        ({"dataset": {"subjects": 4}}, "study: holds 3 subjects, dataset.subjects asks for 4"),
        ({"platforms": {"ge_st": {"run": "3"}}}, "no scan on platform ge_st"),
        ({"methods": ["truth"]}, "'truth' is a scan that only a phantom has"),
    ],
)
def test_a_data_set_that_does_not_fit_the_configuration_is_named(own_data, change, message):
    config = own_data / "own.yaml"
    config.write_text(yaml.safe_dump(merge(yaml.safe_load(config.read_text()), change)))
    result = snakemake(own_data, "--dry-run", config=config)
    assert result.returncode != 0
    assert message in result.stdout + result.stderr


SCANNERS = {"ge": "GE", "prisma": "Prisma", "connectom": "connectom"}


def write_released_tree(bids, root):
    """The tiny run's scans as the cross-scanner database is released, with all its traps.

    Names in upper and lower case, compressed or not, b-vectors as rows or columns between blanks or
    tabs, and b=0 volumes of another echo time at the end.
    """
    for number, scan in enumerate(sorted(bids.rglob("*run-1_desc-preproc_dwi.nii.gz"))):
        subject, session, acquisition = re.match(
            r"sub-(\w+)_ses-(\w+)_acq-(\w+)_run", scan.name
        ).groups()
        folder = root / "ABC"[int(subject) - 1] / SCANNERS[session] / acquisition.upper()
        folder.mkdir(parents=True)
        image = nib.load(scan)
        data = np.asarray(image.dataobj, dtype=np.float32)
        data = np.concatenate([data, 0.8 * data[..., :2]], axis=-1)
        end = ".nii" if number % 2 else ".nii.gz"
        nib.save(nib.Nifti1Image(data, image.affine), folder / f"dwi{end}")
        shutil.copy(str(scan).replace("preproc_dwi", "brain_mask"), folder / "mask.nii.gz")
        stem = str(scan).removesuffix(".nii.gz")
        bvals = np.r_[np.loadtxt(f"{stem}.bval"), 0, 0]
        bvecs = np.c_[np.loadtxt(f"{stem}.bvec"), np.zeros((3, 2))]
        np.savetxt(folder / "dwi.bval", bvals[None], fmt="%g", delimiter="\t")
        np.savetxt(folder / "dwi.bvec", bvecs.T if number % 3 else bvecs, delimiter="\t")
        times = np.where(np.arange(len(bvals)) < len(bvals) - 2, 89.0, 66.0)
        np.savetxt(folder / "dwi.TE", times)
        np.savetxt(folder / "dwi.TR", np.full(len(bvals), 7200.0)[None])


@pytest.fixture
def released_tree(results, tmp_path):
    write_released_tree(results / "bids", tmp_path / "released")
    return tmp_path


def import_released(folder, *arguments):
    return snakemake(
        folder,
        "--config",
        "dataset={root: released, subjects: 3}",
        "targets=[prisma_st, connectom_sa]",
        "cross_validation={folds: 1, seeds: 1}",
        "methods=[identity, ridge]",
        *arguments,
        config=ROOT / "config/paper.yaml",
    )


def test_the_released_database_gives_the_same_numbers_as_bids(released_tree, results):
    result = import_released(released_tree)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    made = released_tree / "results/paper"
    for subject, letter in zip(("01", "02", "03"), "ABC", strict=True):
        for end in ("desc-preproc_dwi.nii.gz", "desc-brain_mask.nii.gz"):
            name = f"sub-{{}}/ses-connectom/dwi/sub-{{}}_ses-connectom_acq-sa_run-1_{end}"
            direct = nib.load(results / "bids" / name.format(subject, subject))
            imported = nib.load(made / "bids" / name.format(letter, letter))
            np.testing.assert_array_equal(imported.affine, direct.affine)
            np.testing.assert_array_equal(
                np.float32(imported.dataobj), np.float32(np.asarray(direct.dataobj))
            )
    columns = ["method", "target", "region", "metric"]
    imported, direct = (pd.read_csv(r / "metrics.csv").set_index(columns) for r in (made, results))
    both = imported.join(direct, lsuffix="_imported", rsuffix="_direct")
    assert len(both) > 10
    np.testing.assert_allclose(both["value_imported"], both["value_direct"], rtol=1e-6)
    assert (made / "tables/patch_mse.csv").exists()
    logs = "".join(path.read_text() for path in (made / "logs/bids").rglob("*.log"))
    assert logs.count(": dropped volume") == 2 * 9
    assert "b=0, TE 66 ms, TR 7200 ms" in logs


def test_a_platform_that_was_not_released_is_named(released_tree):
    shutil.rmtree(released_tree / "released/B/Prisma")
    result = import_released(released_tree, "--dry-run")
    assert result.returncode != 0
    assert "platform prisma_st of subject B is missing" in result.stdout + result.stderr


def test_a_run_may_train_nothing(tmp_path):
    methods = "methods=[identity, ridge]"
    jobs = planned(tmp_path, "--config", methods, config=ROOT / "config/config.yaml")
    assert "Fit ridge for prisma_st, fold 0" in jobs
    assert not [job for job in jobs if job.startswith("Train")]


@pytest.mark.slow
def test_the_phantom_is_checked_on_request(run, results):
    result = snakemake(run[0], "check_phantom")
    assert result.returncode == 0, result.stderr[-3000:]
    checks = pd.read_csv(results / "tables/phantom_checks.csv")
    assert len(checks) == 30
    assert checks["passed"].all(), checks[~checks["passed"]]
    for figure in ("anisotropy", "fods", "scanners", "checks"):
        assert (results / f"figures/phantom_{figure}.png").stat().st_size > 20_000
