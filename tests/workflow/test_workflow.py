"""The real DAG, run from scratch on three subjects: what a user does, but small."""

import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import EMBEDDED, ROOT, planned, snakemake, validator_errors, without_test_subject

from harmonization.files import read_json, sha256
from harmonization.images.coefficients import mean_by_order
from harmonization.images.nifti import read_image
from harmonization.plan.methods import method_files, read_methods
from harmonization.plan.references import read_references
from redraw_noise import DRAWS

METHODS = [
    "noise",
    "identity",
    "denoised",
    "noise_free",
    "affine",
    "smoothed",
    "ridge",
    "espcn",
    "mtl_hard",
    "msp_espcn",
    "rescan",
    "truth",
]
TARGETS = ["prisma_st", "connectom_sa"]
FIGURES = [
    "Draw the improvements in each test subject",
    "Draw the errors by region",
    "Draw error against computation",
]


def test_it_ends_by_saying_where_tables_and_figures_are(run):
    said = run[1]
    assert "Tables:  results/tiny/tables" in said
    assert "Figures: results/tiny/figures" in said
    assert "Page:    results/tiny/index.html" in said


def test_progress_is_visible(run):
    said = run[1]
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
    # The truth has no error against itself.
    own = metrics[(metrics["method"] == "truth") & (metrics["metric"] == "truth_mse")]
    assert (own["value"] == 0).all()


def test_controls_bound_the_table(results):
    table = pd.read_csv(results / "tables/patch_mse.csv").set_index("method")
    labels = ["Noise", "Identity", "Denoised", "Noise-free source", "Affine", "Smoothed"]
    labels += ["Ridge (IQT-GL)", "ESPCN", "MTL, hard sharing", "MSP (ESPCN)", "Rescan", "Truth"]
    assert table.index.tolist() == labels
    for target in TARGETS:
        assert table[target].idxmax() == "Noise"
        assert table.loc["Truth", target] < table.loc["Identity", target]
        assert table.loc["Ridge (IQT-GL)", target] < table.loc["Identity", target]


def test_less_noise_in_the_source_leaves_less_error(results):
    table = pd.read_csv(results / "tables/patch_mse.csv").set_index("method")
    for target in TARGETS:
        for measure in (target, f"{target}_excess"):
            errors = table.loc[["Noise-free source", "Denoised", "Identity"], measure]
            assert errors.is_monotonic_increasing
    said = (results / "tables/patch_mse.html").read_text()
    assert re.search(r"\d\d% on prisma_st, \d\d% on connectom_sa of the task and denoising", said)


def test_draws_of_noise_tell_how_far_a_scan_lies_from_their_mean(results):
    """A measured scan is one more draw, so it differs from the mean by all of the variance."""
    for target in TARGETS:
        name = f"sub-01_platform-{target}"
        measured, mask = (
            read_image(results / f"sh/scan/{name}{end}.nii")[0] for end in ("", "_mask")
        )
        expected, variance = (
            read_image(results / f"expected/{name}{end}.nii")[0] for end in ("", "_variance")
        )
        inside = mask > 0
        differences = mean_by_order((measured - expected)[inside] ** 2).mean(axis=0)
        of_mean = variance[inside].mean(axis=0)
        np.testing.assert_allclose(differences, (DRAWS + 1) * of_mean, rtol=0.05)


def test_regions_say_how_many_voxels_they_have(results):
    table = pd.read_csv(results / "tables/regions.csv")
    parts, tissues = ["boundary", "interior"], ["white_matter", "grey_matter", "csf", "lesion"]
    assert set(table["region"]) == {"brain", *parts, *tissues}
    assert set(table["order"]) == {"all", "0", "2", "4", "6"}
    assert set(table["metric"]) == {"mse", "truth_mse", "excess"}
    for target, scale in zip(TARGETS, (1, 2), strict=True):
        mask, _ = read_image(results / f"sh/scan/sub-01_platform-{target}_mask.nii")
        of_target = table[(table["target"] == target) & (table["order"] == "all")]
        sizes = of_target.groupby("region")["voxels"].first()
        assert sizes[tissues].sum() == (mask > 0).sum()
        assert sizes[parts].sum() == sizes["brain"]
        assert 30 * scale**3 < sizes["lesion"] < sizes["white_matter"]
    shown = (results / "tables/regions.html").read_text()
    assert "lesion" in shown
    assert "voxels" in shown


def test_tables_and_figures_are_there(results):
    figures = ["platforms", "architecture", "learning_curves"]
    figures += [f"{kind}_{target}" for kind in ("errors", "glyphs") for target in TARGETS]
    figures += ["improvements", "regions", "cost", "branches"]
    figures += [f"registration_{subject}" for subject in ("01", "02", "03")]
    for figure in figures:
        assert (results / f"figures/{figure}.pdf").read_bytes().startswith(b"%PDF")
        assert (results / f"figures/{figure}.png").stat().st_size > 20_000
    assert r"\toprule" in (results / "tables/patch_mse.tex").read_text()
    assert "MSP (ESPCN)" in (results / "tables/patch_mse.html").read_text()


def test_the_page_has_every_table_and_figure(results):
    page = (results / "index.html").read_text()
    # But not what `check_phantom` makes.
    made = {path.stem for path in results.glob("*/*.*") if not path.stem.startswith("phantom_")}
    for pattern, files in (
        (r'<h2 id="(\w+)_table">', results.glob("tables/*.csv")),
        (r'<figure id="figure_(\w+)"', results.glob("figures/*.png")),
    ):
        assert sorted(re.findall(pattern, page)) == sorted(made & {path.stem for path in files})
    assert "All scans are simulated" in page
    assert len(page) < 25_000_000


@pytest.mark.parametrize(
    ("label", "method", "target"),
    [
        ("ESPCN", "espcn", "prisma_st"),
        ("MSP (ESPCN)", "msp_espcn", "connectom_sa"),
        ("Ridge (IQT-GL)", "ridge", "prisma_st"),
    ],
)
def test_a_cell_of_the_table_follows_from_the_images_alone(results, label, method, target):
    """Patch MSE in ten lines of numpy, from the prediction, the scan, its mask and the patches."""
    name = f"sub-01_platform-{target}"
    predicted = nib.load(results / f"predictions/{method}/fold-0_seed-0/{name}.nii").get_fdata()
    measured = nib.load(results / f"sh/scan/{name}.nii").get_fdata()
    brain = nib.load(results / f"sh/scan/{name}_mask.nii").get_fdata() > 0
    patches = json.loads((results / "splits/fold-0_scoring.json").read_text())["patches"]["01"]
    size = 14 if target == "connectom_sa" else 7
    error, means = ((predicted - measured) ** 2).mean(axis=-1), []
    for patch in np.array(patches):
        core = tuple(slice(corner, corner + size) for corner in patch * size)
        means.append(error[core][brain[core]].mean())
    table = pd.read_csv(results / "tables/patch_mse.csv").set_index("method")
    assert table.loc[label, target] == pytest.approx(np.mean(means), rel=1e-5)


def test_every_claim_has_a_verdict_and_one_subject_decides_none(results):
    claims = pd.read_csv(results / "tables/claims.csv").set_index("claim")
    known = yaml.safe_load((ROOT / "config/claims.yaml").read_text())
    assert list(claims.index) == [claim["id"] for claim in known]
    assert set(claims["verdict"]) == {
        *("not decidable at this scale", "not in this run", "answered by design", "not tested")
    }
    table = pd.read_csv(results / "tables/patch_mse.csv").set_index("method")
    ratios = table.loc["MSP (ESPCN)", TARGETS] / table.loc["ESPCN", TARGETS]
    assert claims.loc["C1", "change"] == pytest.approx(100 * (ratios.mean() - 1), rel=1e-4)
    assert claims.loc["C1", "n"] == 1


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="there is no LaTeX to compile tables with")
def test_the_tables_compile_in_latex(results, tmp_path):
    tables = sorted((results / "tables").glob("*.tex"))
    assert len(tables) == 7
    body = "".join(table.read_text() for table in tables)
    packages = "\\usepackage{array,booktabs,longtable}\\usepackage[a4paper,margin=20mm]{geometry}"
    start = f"\\documentclass{{article}}{packages}\\begin{{document}}"
    (tmp_path / "all.tex").write_text(f"{start}\n{body}\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:]
    assert "Float too large" not in result.stdout
    wider = re.findall(r"Overfull .hbox .([\d.]+)pt too wide", result.stdout)
    assert all(float(points) < 6 for points in wider)  # less than columns are apart


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
    assert not validator_errors(results / "bids")


def test_the_lesion_is_scored_on_its_own(results):
    metrics = pd.read_csv(results / "metrics.csv")
    regions = metrics.loc[metrics["metric"] == "mse", "region"]
    tissues = {"white_matter", "grey_matter", "csf", "lesion"}
    assert set(regions) == tissues | {"boundary", "interior"}


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
        assert history["validation_mse"].iloc[0] == single["outcome"]["validation_mse"]


def test_networks_of_two_platforms_start_differently(results):
    cards = [
        json.loads((results / f"models/espcn/{t}/fold-0_seed-0/card.json").read_text())
        for t in TARGETS
    ]
    assert cards[0]["specification"]["task"]["seed"] != cards[1]["specification"]["task"]["seed"]


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


def test_a_deleted_model_and_what_depends_on_it_are_made_again(copied_run):
    folder = copied_run
    (folder / "results/tiny/models/espcn/prisma_st/fold-0_seed-0/weights.safetensors").unlink()
    jobs = planned(folder)
    made = [job for job in jobs if job.startswith(("Fit", "Predict", "Score", "Scan"))]
    assert sorted(made) == sorted(
        [
            "Fit espcn to prisma_st, fold 0, seed 0",
            *(f"Fit msp_espcn to {t}, fold 0, seed 0" for t in TARGETS),
            *(f"Predict 01 by {m}, fold 0" for m in ("espcn", "msp_espcn")),
            *(f"Score {m} on 01, fold 0" for m in ("espcn", "msp_espcn")),
        ]
    )
    others = set(jobs) - set(made)
    assert others == {
        "Join all scores",
        "Make the table of patch MSE",
        *(f"Make the table of {what}" for what in ("regions", "features", "preservation")),
        "Judge the claims",
        "Compare the methods",
        "Make the table of methods",
        "Make the table of training times",
        *FIGURES,
        "Draw the learning curves",
        "Draw what branches contribute",
        *(f"Draw the {what} on {t}" for what in ("errors", "glyphs") for t in TARGETS),
        "Make the page of the run",
    }


def test_other_settings_of_a_method_train_only_what_they_touch(run, tmp_path):
    changed = tmp_path / "changed.yaml"
    text = (ROOT / "tests/tiny.yaml").read_text()
    changed.write_text(
        text.replace("{steps: 5, learning_rate: 1.0e-4}", "{steps: 5, learning_rate: 2.0e-4}")
    )
    jobs = planned(run[0], config=changed)
    assert {job for job in jobs if job.startswith("Fit")} == {
        f"Fit msp_espcn to {t}, fold 0, seed 0" for t in TARGETS
    }


@pytest.mark.slow
def test_scans_simulated_again_have_the_same_bytes(results, tmp_path):
    """The test of a user's own data set repeats what follows from the scans."""
    stems = [
        "sub-01/ses-ge/dwi/sub-01_ses-ge_acq-st_run-1_desc-preproc_dwi",
        "sub-01/ses-connectom/dwi/sub-01_ses-connectom_acq-sa_run-2_desc-preproc_dwi",
    ]
    files = [f"bids/{stem}{end}" for stem in stems for end in (".nii", ".bval", ".bvec")]
    result = snakemake(tmp_path, "--", *(f"results/tiny/{file}" for file in files))
    assert result.returncode == 0, result.stderr[-3000:]
    assert "Tables:" not in result.stdout + result.stderr  # there are none
    for file in ("phantom/atlas.npz", *files):
        made = tmp_path / "results/tiny" / file
        assert sha256(made) == sha256(results / file), file


@pytest.mark.slow
def test_a_method_learns_nothing_from_the_test_subject(copied_run):
    """Without the test subject's images and masks, all fits give the same bytes again."""
    folder = copied_run
    results = folder / "results/tiny"
    before = {
        path.relative_to(results): sha256(path)
        for name in ("weights.safetensors", "card.json", "history.csv")
        for path in results.glob(f"models/**/{name}")
    }
    without_test_subject(results)
    shutil.rmtree(results / "models")
    result = snakemake(
        folder, *(str(Path("results/tiny") / p) for p in before), "--rerun-triggers", "input"
    )
    assert result.returncode == 0, result.stderr[-3000:]
    for name, digest in before.items():
        assert sha256(results / name) == digest, name


def test_it_is_recorded_how_the_results_came_about(results):
    record = read_json(results / "provenance.json")
    if (ROOT / ".git").exists():
        assert re.fullmatch("[0-9a-f]{40}", record["code"]["commit"])
    assert record["configuration"]["sha256"] == sha256(results / "config.yaml")
    assert record["pins"]["sha256"] == sha256(ROOT / "envs/requirements.txt")
    image = "sh/scan/sub-03_platform-prisma_st.nii"
    assert record["data"][image] == sha256(results / image)
    assert not any("sub-01" in path for path in record["data"])  # the test subject
    assert record["rules"]["fit"]["jobs"] == len(list(results.glob("models/*/*/*/card.json")))
    assert record["rules"]["fit"]["seconds"] > 1
    assert record["versions"]["torch"].startswith("2.")


def test_methods_are_described_with_their_references(results):
    about = pd.read_csv(results / "tables/about.csv", index_col="method")
    assert len(about) == len(METHODS)
    msp = about.loc["MSP (ESPCN)"]
    assert msp["references"] == "blumberg2019"
    assert (msp["family"], msp["hardware"]) == ("msp", "a GPU, or 1 core")
    assert about[["summary", "citation", "hardware"]].notna().all(axis=None)
    entries = read_references(results / "references.bib")
    cited = {key for keys in about["references"].dropna() for key in keys.split()}
    assert set(entries) == cited
    assert "Multi-Stage Prediction Networks" in entries["blumberg2019"]


def test_the_report_shows_table_and_figures(copied_run):
    result = snakemake(copied_run, "--report", "report.zip")
    assert result.returncode == 0, result.stderr[-3000:]
    with zipfile.ZipFile(copied_run / "report.zip") as archive:
        report = archive.read("report/report.html").decode()
    assert (copied_run / "report.zip").stat().st_size < 20e6  # a size that a mail can have
    names = ["patch_mse.html", "platforms.png", "learning_curves.png", "errors_prisma_st.png"]
    names += ["improvements.png", "regions.png", "cost.png", "branches.png"]
    for name in [*names, "registration.html", "registration_01.png"]:
        assert name in report
    assert "All scans are simulated" in report
    categories, _ = json.JSONDecoder().raw_decode(report.split("var categories = ", 1)[1])
    assert min(categories) == "Claims"  # the menu sorts them
    assert categories["Claims"] == {"Other": ["results/tiny/tables/claims.html"]}


def test_a_typo_stops_before_any_job_with_one_line(tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("cross_validation: {fold: 2}\n")
    result = snakemake(tmp_path, config=wrong)
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert result.stderr.strip().splitlines()[-1] == (
        "error: configuration: unknown key 'fold' at cross_validation; did you mean 'folds'?"
    )
    assert not re.search("Traceback|WorkflowError|common.smk", said)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("method", "problem"),
    [("affine", "is not trained"), ("diqt_rn4", "is no method of this run")],
)
def test_what_cannot_be_tuned_is_told(tmp_path, method, problem):
    result = snakemake(tmp_path, "--dry-run", "--", f"results/tiny/tuning/{method}.json")
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last == f"error: {method} {problem}; tune one that is trained"
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_the_full_synthetic_run_has_a_plan_with_every_method(tmp_path):
    # The default profile counts the jobs by rule.
    result = snakemake(tmp_path, "--dry-run", config=ROOT / "config/phantom.yaml")
    assert result.returncode == 0, result.stderr
    said = result.stdout + result.stderr
    names = sorted(method_files(ROOT / "config/methods"))
    models = [m for m in read_methods(EMBEDDED | {"methods": names}, ROOT).values() if m.is_model]
    assert len(models) > 45
    # Ten folds, three targets, three seeds.
    for rule, seeds in (("fit", 3), ("fit once", 1)):
        of_rule = [m for m in models if m.is_trained == (rule == "fit")]
        fits = sum(10 * (1 if method.fits == "all" else 3) * seeds for method in of_rule)
        assert re.search(rf"^ *{rule} +{fits} *$", said, flags=re.MULTILINE)


def test_a_run_may_train_nothing(tmp_path):
    methods = "methods=[identity, ridge]"
    jobs = planned(tmp_path, "--config", methods, config=ROOT / "config/config.yaml")
    assert "Fit ridge to prisma_st, fold 0, seed 0" in jobs
    assert "Draw the learning curves" not in jobs
    assert "Draw what branches contribute" not in jobs


# --- What a change to the code re-runs


def changed_jobs(run, clone):
    """Jobs of the finished run that the edited code re-runs."""
    return planned(run[0], "--rerun-triggers", "params", root=clone)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_new_network_re_runs_nothing(run, clone):
    networks = clone / "scripts/harmonization/networks"
    code = (networks / "espcn.py").read_text().replace("Espcn", "Unused")
    (networks / "unused.py").write_text(code)
    assert changed_jobs(run, clone) == []


def test_another_text_of_an_error_re_runs_nothing(run, clone):
    edit(clone / "scripts/harmonization/images/nifti.py", "no such file", "is not there")
    assert changed_jobs(run, clone) == []


def test_another_msp_re_runs_its_fits_and_what_follows(run, clone):
    path = clone / "scripts/harmonization/networks/multi_stage.py"
    edit(path, "nn.Conv3d(width, width, 1)", "nn.Conv3d(width, width, 1, bias=False)")
    jobs = changed_jobs(run, clone)
    assert sorted(jobs) == sorted(
        [
            *(f"Fit msp_espcn to {t}, fold 0, seed 0" for t in TARGETS),
            "Predict 01 by msp_espcn, fold 0",
            "Score msp_espcn on 01, fold 0",
            *("Join all scores", "Make the table of patch MSE", "Draw the learning curves"),
            *("Make the table of methods", "Make the table of training times"),
            *(f"Make the table of {what}" for what in ("regions", "features", "preservation")),
            *("Judge the claims", "Compare the methods"),
            *(*FIGURES, "Draw what branches contribute", "Draw the architectures"),
            *(f"Draw the {what} on {t}" for what in ("errors", "glyphs") for t in TARGETS),
            "Make the page of the run",
        ]
    )


@pytest.mark.slow
def test_everything_can_be_denoised(results, tmp_path):
    """The tiny run's scans with less noise: no control repeats the source, and errors are less."""
    tiny = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())
    methods = ["identity", "denoised", "noise_free", "affine", "rescan"]
    changes = {"run": "quiet", "denoising": "both", "targets": TARGETS[:1], "methods": methods}
    (tmp_path / "quiet.yaml").write_text(yaml.safe_dump(tiny | changes | {"overrides": {}}))
    result = snakemake(tmp_path, config=tmp_path / "quiet.yaml")
    assert result.returncode == 0, result.stderr[-3000:]
    noisy, quiet = (
        pd.read_csv(folder / "tables/patch_mse.csv").set_index("method")
        for folder in (results, tmp_path / "results/quiet")
    )
    assert "Denoised" not in quiet.index
    assert (quiet["prisma_st"] < noisy["prisma_st"].loc[quiet.index]).all()
    # What denoising the target does to it, no source without noise can tell.
    of_noisy = ["Identity", "Affine", "Rescan"]
    excess = [table.loc[of_noisy, "prisma_st_excess"] for table in (quiet, noisy)]
    assert (excess[0] < excess[1]).all()
    assert not list((tmp_path / "results/quiet").glob("denoised/*/*"))


@pytest.mark.slow
def test_methods_can_learn_from_denoised_sources(tmp_path):
    """Without the source's noise, the moments of a target of its resolution cost less."""
    tiny = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())
    methods = ["identity", "denoised", "moments", "moments_denoised"]
    changes = {"run": "less_noise", "targets": TARGETS[:1], "methods": methods, "overrides": {}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny | changes))
    result = snakemake(tmp_path, config=tmp_path / "config.yaml")
    assert result.returncode == 0, result.stderr[-3000:]
    folder = tmp_path / "results/less_noise"
    table = pd.read_csv(folder / "tables/patch_mse.csv").set_index("method")
    assert table.loc["Moments, denoised", "prisma_st"] < table.loc["Moments", "prisma_st"]
    noisy, quiet = (read_json(folder / f"splits/fold-0{end}.json") for end in ("", "_denoised"))
    assert [manifest["input"]["denoised"] for manifest in (noisy, quiet)] == [False, True]
    subject = noisy["train"][0]
    assert noisy["patches"] == quiet["patches"]
    assert noisy["files"][subject]["prisma_st"] == quiet["files"][subject]["prisma_st"]
    assert noisy["files"][subject]["ge_st"] != quiet["files"][subject]["ge_st"]
    card = read_json(folder / "models/moments_denoised/prisma_st/fold-0_seed-0/card.json")
    assert card["input"] == quiet["input"] | {"noise_free": False}


@pytest.mark.slow
def test_the_phantom_is_checked_on_request(copied_run):
    result = snakemake(copied_run, "check_phantom")
    assert result.returncode == 0, result.stderr[-3000:]
    results = copied_run / "results/tiny"
    checks = pd.read_csv(results / "tables/phantom_checks.csv")
    assert len(checks) == 37
    assert checks["passed"].all(), checks[~checks["passed"]]
    for figure in ("anisotropy", "detail", "fods", "scanners", "checks"):
        assert (results / f"figures/phantom_{figure}.png").stat().st_size > 20_000


def test_gpus_are_used_only_where_they_are_lent(tmp_path):
    card = "results/tiny/models/espcn/prisma_st/fold-0_seed-0/card.json"

    def asked(*options):
        profile = ("--workflow-profile", "none")
        result = snakemake(
            tmp_path, "--dry-run", "--printshellcmds", *profile, *options, "--", card
        )
        assert result.returncode == 0, result.stderr
        return re.findall(r"--gpus (\d)", result.stdout + result.stderr)

    assert asked() == ["0"]
    assert asked("--resources", "gpu=2") == ["1"]
