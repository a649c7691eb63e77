"""After any change, one call makes what a fresh run would make, and no more than that.

Two finished tiny runs, over scans that are preprocessed and over raw ones, are changed in every
section of their configuration, in every kind of input file, and in their code.
"""

import gzip
import json
import os
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import OWN, ROOT, snakemake, write_study

from harmonization.files import sha256
from harmonization.plan.configuration import merge

pytestmark = pytest.mark.slow
RAW = {
    **OWN,
    "run": "raw",
    "dataset": {"kind": "raw", "root": "study", "subjects": 3},
    "denoising": "both",
    "preprocessing": {"ringing": False, "motion": False, "mask": False},
    "platforms": {
        name: {"session": name.split("_")[0], "scale": 1} for name in ("ge_st", "prisma_st")
    },
    "spherical_harmonics": {"representation": "signal", "order": 4},
    "methods": ["identity", "affine"],
    "overrides": {},
}


@pytest.fixture(scope="module")
def own(own, tmp_path_factory):
    """A copy of it that tests change, while other workers look at the shared one."""
    return shutil.copytree(own, tmp_path_factory.mktemp("one-call") / "own", symlinks=True)


@pytest.fixture(scope="session")
def raw(shared, run):
    """A folder with raw scans, their configuration and the finished run."""

    def build(folder):
        write_study(run[0], folder / "study", ("_acq-st_run-1", "_desc-preproc"))
        for path in (folder / "study").rglob("*_dwi.nii.gz"):
            keep_volumes(path, 22)  # fewer volumes are denoised in less time
        (folder / "run.yaml").write_text(yaml.safe_dump(RAW))
        result = snakemake(folder, config=folder / "run.yaml")
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]

    return shared("one-call-raw", build)


def keep_volumes(path, number):
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[..., :number], image.affine), path)
    stem = str(path).removesuffix(".nii.gz")
    np.savetxt(f"{stem}.bval", np.loadtxt(f"{stem}.bval")[None, :number], fmt="%g")
    np.savetxt(f"{stem}.bvec", np.loadtxt(f"{stem}.bvec")[:, :number])


# What the page of a run shows: beginnings of the names of the rules that make it.
SHOWN = ("tabulate_", "plot_", "make_table", "judge_claims", "compare_methods", "describe_methods")
SHOWN += ("write_config",)


def planned_rules(folder, config, root=ROOT):
    """Number of jobs of each rule that one call would run; without `all`.

    The page is left out, too: it must be made again with anything that it shows, and only then.
    """
    result = snakemake(folder, "--dry-run", "--workflow-profile", "none", config=config, root=root)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said[-3000:]
    table = re.search(r"^job +count\n[- ]+\n(.*?)\ntotal ", said, flags=re.DOTALL | re.MULTILINE)
    rows = table[1].splitlines() if table else []
    counts = {rule: int(count) for rule, count in map(str.split, rows)}
    counts.pop("all", None)
    assert counts.pop("make_page", 0) == any(rule.startswith(SHOWN) for rule in counts)
    return counts


# --- What must be made again: rules with the number of their jobs

OF_METRICS = {"make_table": 1, "tabulate_regions": 1, "judge_claims": 1, "compare_methods": 1}
OF_METRICS |= {"plot_improvements": 1, "plot_regions": 1, "plot_cost": 1}
OF_METRICS |= {"tabulate_features": 1, "tabulate_preservation": 1}
SLICES = {"plot_errors": 1, "plot_glyphs": 1}
SCORES = {"evaluate": 3, "collect": 1} | SLICES | OF_METRICS
OF_MODELS = {"tabulate_methods": 1, "tabulate_runtime": 1}
PREDICTIONS = {"predict": 1, "predict_once": 2}
MODELS = {"fit": 1, "fit_once": 2, "plot_learning_curves": 1} | PREDICTIONS | OF_MODELS | SCORES
SPLITS = {"split": 1, "plot_patches": 1, "split_scoring": 1} | MODELS
TARGETS = {"fit_sh": 3, "plot_platforms": 1} | SPLITS
IMAGES = TARGETS | {"fit_sh": 6}
REGISTRATIONS = {"register": 3, "plot_registration": 3, "tabulate_registrations": 1}
VALIDATIONS = {"validate_scan": 6, "validate_dataset": 1}
EVERYTHING = VALIDATIONS | REGISTRATIONS | IMAGES
DATASET = {"validate_dataset": 1}
ONE = {"evaluate": 1, "collect": 1} | OF_METRICS | OF_MODELS
ONE_CLASSICAL = ONE | {"fit_once": 1, "predict_once": 1} | SLICES
# Ridge is drawn beside the learning curves.
ONE_RIDGE = ONE_CLASSICAL | {"plot_learning_curves": 1}
ONE_NETWORK = ONE | {"fit": 1, "predict": 1, "plot_learning_curves": 1} | SLICES
NETWORKS = {"plot_architecture": 1}
FULL = yaml.safe_load((ROOT / "config/methods/single_task/espcn.yaml").read_text())["training"]

# The scan of the validation subject on the target, from its files to every model.
ONE_SCAN = {"validate_scan": 1, "validate_dataset": 1, "register": 1, "plot_registration": 1}
ONE_SCAN |= {"tabulate_registrations": 1, "fit_sh": 1, "split": 1, "plot_patches": 1}
ONE_SCAN |= MODELS
# That of the test subject, from which no model learns.
TEST_SCAN = ONE_SCAN | {"plot_platforms": 1, "split_scoring": 1, **SCORES}
for rule in (
    "split",
    "plot_patches",
    "fit",
    "fit_once",
    *PREDICTIONS,
    "plot_learning_curves",
    *OF_MODELS,
):
    TEST_SCAN.pop(rule)

LIMITED = {"subjects": [1], "patches": [9, None], "draws": 1}
SETTINGS = {
    "nothing": ({}, {}),
    "dataset.root, the same files elsewhere": ({"dataset": {"root": "linked"}}, EVERYTHING),
    "dataset.subjects, validation and training exchanged": (
        {"dataset": {"subjects": ["01", "03", "02"]}},
        DATASET | {"split": 1, "plot_patches": 1, "tabulate_registrations": 1} | MODELS,
    ),
    "dataset.bvec_convention": ({"dataset": {"bvec_convention": "image"}}, EVERYTHING),
    "denoising of the source": (
        {"denoising": "source"},
        {"denoise": 3} | REGISTRATIONS | IMAGES,
    ),
    "denoising of the targets": (
        {"denoising": "targets"},
        {"denoise": 3} | REGISTRATIONS | TARGETS,
    ),
    "preprocessing, of scans that need none": ({"preprocessing": {"motion": False}}, {}),
    "platforms.scale": (
        {"platforms": {"prisma_st": {"scale": 2}}},
        DATASET | TARGETS | NETWORKS,
    ),
    "platforms.crop": (
        {"platforms": {"prisma_st": {"crop": 2}}},
        DATASET | {"crop_kspace": 3} | REGISTRATIONS | TARGETS,
    ),
    "platforms.shell, the same": ({"platforms": {"prisma_st": {"shell": 1200}}}, DATASET),
    "source and targets": (
        {"source": "prisma_st", "targets": ["ge_st"]},
        DATASET | REGISTRATIONS | IMAGES | NETWORKS,
    ),
    "registration.program": ({"registration": {"program": "flirt"}}, REGISTRATIONS | TARGETS),
    "registration.model": ({"registration": {"model": "rigid"}}, REGISTRATIONS | TARGETS),
    "registration.interpolation": ({"registration": {"interpolation": "linear"}}, IMAGES),
    "registration.accept_implausible": (
        {"registration": {"accept_implausible": True}},
        REGISTRATIONS | TARGETS,
    ),
    "spherical_harmonics.order": (
        {"spherical_harmonics": {"order": 4}},
        DATASET | IMAGES | NETWORKS,
    ),
    "spherical_harmonics.representation": (
        {"spherical_harmonics": {"representation": "signal"}},
        IMAGES,
    ),
    "patches.core": ({"patches": {"core": 5}}, SPLITS | NETWORKS),
    "cross_validation.folds": (
        {"cross_validation": {"folds": 2}},
        {rule: n for rule, n in SPLITS.items() if rule not in {"plot_patches", *SLICES}},
    ),
    "cross_validation.seeds": (
        {"cross_validation": {"seeds": 2}},
        ONE_NETWORK,
    ),
    "limited_data": (
        {"limited_data": LIMITED},
        {"split": 2, "split_scoring": 1, "fit": 2, "fit_once": 4, "predict": 2, "predict_once": 4}
        | {"evaluate": 6, "collect": 1, "tabulate_limited_data": 1, "plot_limited_data": 1}
        | OF_MODELS,
    ),
    "methods": (
        {"methods": ["identity", "affine", "ridge", "espcn"]},
        ONE_CLASSICAL | {"describe_methods": 1},
    ),
    "training": ({"training": "full"}, ONE_NETWORK),
    "precision": ({"precision": "float32"}, ONE_NETWORK),
    "overrides, of a training": (
        {"overrides": {"espcn": {"training": {"short": {"batch_size": 5}}}}},
        ONE_NETWORK,
    ),
    "overrides, of a label": (
        {"overrides": {"espcn": {"label": "Other {max}"}}},  # no wildcard
        {"describe_methods": 1, "plot_learning_curves": 1}
        | OF_METRICS
        | SLICES
        | NETWORKS
        | OF_MODELS,
    ),
    "keep_predictions": ({"keep_predictions": False}, {}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_change_of_the_configuration_reaches_all_that_it_touches(own, tmp_path, name):
    changes, expected = SETTINGS[name]
    linked = own / "linked"
    if not linked.is_symlink():
        linked.symlink_to("study")
    config = configured(own, tmp_path, changes)
    written = {"write_config": 1} if changes else {}
    found = planned_rules(own, config)
    found.pop("tabulate_settings", None)  # it shows a dozen of these keys and costs nothing
    assert found == expected | written


def test_every_section_of_the_configuration_is_changed():
    sections = set(yaml.safe_load((ROOT / "config/config.yaml").read_text()))
    assert {key for changes, _ in SETTINGS.values() for key in changes} == sections - {"run"}


@pytest.fixture
def changed():
    """Change a file, and restore its content and its date at the end."""
    before = {}

    def change(path, new):
        if path not in before:
            before[path] = (path.read_bytes(), path.stat()) if path.exists() else None
        path.write_bytes(new(path.read_bytes() if path.exists() else b""))

    yield change
    for path, content in before.items():
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content[0])
            os.utime(path, ns=(content[1].st_atime_ns, content[1].st_mtime_ns))


def configured(folder, tmp_path, changes):
    path = tmp_path / "changed.yaml"
    settings = yaml.safe_load((folder / "run.yaml").read_text())
    path.write_text(yaml.safe_dump(merge(settings, changes)))
    return path


def flip(text):
    table = np.loadtxt(text.decode().splitlines())
    return "\n".join(" ".join(f"{x:.8f}" for x in row) for row in -table).encode()


def shrink(mask):
    image = nib.Nifti1Image.from_bytes(gzip.decompress(mask))
    data = np.asarray(image.dataobj).copy()
    data[: np.flatnonzero(data.any(axis=(1, 2)))[0] + 9] = 0
    return gzip.compress(nib.Nifti1Image(data, image.affine).to_bytes())


def brighten(series):
    image = nib.Nifti1Image.from_bytes(gzip.decompress(series))
    data = 1.01 * np.asarray(image.dataobj, np.float32)
    return gzip.compress(nib.Nifti1Image(data, image.affine).to_bytes(), 1)


def echo(text):
    return json.dumps({**json.loads(text), "EchoTime": 0.09}).encode()


def qsiprep(text):
    return json.dumps({**json.loads(text), "GeneratedBy": [{"Name": "QSIPrep"}]}).encode()


def renamed(text):
    return json.dumps({**json.loads(text), "Name": "Another name"}).encode()


def scan_of(subject, end):
    stem = f"sub-{subject}/ses-prisma/dwi/sub-{subject}_ses-prisma_acq-st_run-1"
    return f"study/{stem}_desc-{end}"


FILES = {
    "series": (scan_of("02", "preproc_dwi.nii.gz"), brighten, ONE_SCAN),
    "series of the test subject": (scan_of("01", "preproc_dwi.nii.gz"), brighten, TEST_SCAN),
    "b-values": (
        scan_of("02", "preproc_dwi.bval"),
        lambda b: b.replace(b"1200", b"1205"),
        ONE_SCAN,
    ),
    "b-vectors": (scan_of("02", "preproc_dwi.bvec"), flip, ONE_SCAN),
    "mask": (scan_of("02", "brain_mask.nii.gz"), shrink, ONE_SCAN),
    "sidecar": (scan_of("02", "preproc_dwi.json"), echo, ONE_SCAN),
    "new table in world axes": (scan_of("02", "preproc_dwi.b"), lambda _: b"0 0 1 0", ONE_SCAN),
    "maker of the data set": ("study/dataset_description.json", qsiprep, EVERYTHING),
    "name of the data set": ("study/dataset_description.json", renamed, DATASET),
}


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_reaches_all_that_it_touches(own, changed, name):
    path, change, expected = FILES[name]
    changed(own / path, change)
    assert planned_rules(own, own / "run.yaml") == expected


@pytest.mark.parametrize("name", ["series", "mask", "name of the data set"])
def test_an_older_file_in_the_place_of_another_is_a_change_too(own, changed, name):
    path, change, expected = FILES[name]
    changed(own / path, change)
    os.utime(own / path, (1e9, 1e9))
    assert planned_rules(own, own / "run.yaml") == expected


def test_a_call_that_was_cut_short_leaves_nothing_stale(own, tmp_path):
    """What a finished job wrote with the same content as before must not hide the change."""
    folder = tmp_path / "cut"
    shutil.copytree(own, folder, symlinks=True)
    path, change, expected = FILES["series of the test subject"]
    (folder / path).write_bytes(change((folder / path).read_bytes()))
    os.utime(folder / path, (1e9, 1e9))
    for done in ("validate_scan", "split_scoring"):
        result = snakemake(folder, "--until", done, config=folder / "run.yaml")
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        upstream = {"validate_scan", "validate_dataset"}
        if done == "split_scoring":
            upstream |= {"register", "fit_sh", "split_scoring"}
        left = {rule: n for rule, n in expected.items() if rule not in upstream}
        found = planned_rules(folder, folder / "run.yaml")
        assert {rule: n for rule, n in found.items() if rule not in upstream} == left


CODE = {
    "a module of the images": (
        "scripts/harmonization/images/scan.py",
        "order=1) > 0.5",
        "order=1) > 0.6",
        IMAGES,
    ),
    "the command that scores": (
        "scripts/evaluate.py",
        "atol=1e-4",
        "atol=2e-4",
        SCORES,
    ),
    "a network": (
        "scripts/harmonization/networks/espcn.py",
        "self.feature_channels = width",
        "self.feature_channels = int(width)",
        ONE_NETWORK | NETWORKS,
    ),
    "the validation": (
        "scripts/harmonization/data/validation.py",
        "NEGATIVE_SHARE = 1e-3",
        "NEGATIVE_SHARE = 2e-3",
        EVERYTHING,
    ),
    "a comment": (
        "scripts/harmonization/images/scan.py",
        "import numpy",
        "# Why\nimport numpy",
        {},
    ),
    "a message": ("scripts/harmonization/images/scan.py", "the brain mask is", "this mask is", {}),
    "a setting of a method": (
        "config/methods/classical/ridge.yaml",
        "1.0e-4",
        "2.0e-4",
        ONE_RIDGE | {"write_config": 1},
    ),
    "a citation": (
        "config/methods/classical/ridge.yaml",
        "citation:",
        "citation: Also,",
        {"write_config": 1, "describe_methods": 1},
    ),
}


@pytest.mark.parametrize("name", CODE)
def test_a_change_of_the_code_reaches_all_that_it_touches(own, clone, name):
    path, old, new, expected = CODE[name]
    text = (clone / path).read_text()
    assert old in text
    (clone / path).write_text(text.replace(old, new, 1))
    assert planned_rules(own, own / "run.yaml", clone) == expected


# --- Raw scans: the import stands between a user's file and the rest

PREPROCESSING = {"denoise_raw": 1, "make_mask": 1, "write_scan": 1, "validate_scan_raw": 1}
RAW_SCAN = PREPROCESSING | ONE_SCAN | {"fit_once": 2, "predict_once": 2, "evaluate": 2}
for rule in ("fit", "predict", "plot_learning_curves"):
    RAW_SCAN.pop(rule)
RAW_FILE = "study/sub-02/ses-prisma/dwi/sub-02_ses-prisma"
RAW_FILES = {
    "series": (f"{RAW_FILE}_dwi.nii.gz", brighten, RAW_SCAN),
    "b-vectors": (f"{RAW_FILE}_dwi.bvec", flip, RAW_SCAN),
    "mask": (f"{RAW_FILE}_desc-brain_mask.nii.gz", shrink, RAW_SCAN),
    "sidecar": (f"{RAW_FILE}_dwi.json", echo, RAW_SCAN),
    "name of the data set": ("study/dataset_description.json", renamed, DATASET),
}


@pytest.mark.parametrize("name", RAW_FILES)
def test_a_changed_raw_file_reaches_all_that_it_touches(raw, changed, name):
    path, change, expected = RAW_FILES[name]
    changed(raw / path, change)
    assert planned_rules(raw, raw / "run.yaml") == expected


def test_a_change_of_the_preprocessing_starts_there(raw, tmp_path):
    config = configured(raw, tmp_path, {"denoising": "none"})
    jobs = planned_rules(raw, config)
    assert (jobs["make_mask"], jobs["write_scan"], jobs["validate_scan"]) == (6, 6, 6)
    assert not {"denoise_raw", "validate_scan_raw", "validate_dataset"} & set(jobs)
    config = configured(raw, tmp_path, {"spherical_harmonics": {"order": 2}})
    assert not {"denoise_raw", "write_scan", "validate_scan"} & set(planned_rules(raw, config))


def test_a_study_of_limited_data_ends_with_its_own_table_alone(own, tmp_path):
    shutil.copytree(own, tmp_path / "limited", symlinks=True)
    shutil.rmtree(tmp_path / "limited/results/own/tables")
    config = configured(own, tmp_path, {"limited_data": LIMITED})
    result = snakemake(tmp_path / "limited", config=config)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    tables = tmp_path / "limited/results/own/tables"
    named = {path.stem for path in tables.glob("*.csv")}
    assert named == {"limited_data", "about", "methods", "runtime"}
    page = (tables.parent / "index.html").read_text()
    shown = re.findall(r'<h2 id="(\w+)_table">', page)
    assert shown == ["limited_data", "methods", "runtime", "about"]
    assert re.findall(r'<figure id="figure_(\w+)"', page) == ["limited_data"]
    ridge = pd.read_csv(tables / "limited_data.csv").set_index("method").loc["Ridge (IQT-GL)"]
    assert list(ridge["patches"]) == ["9", "all"]
    # Far more patches in place of nine make a better linear map.
    assert ridge["patch_mse"].iloc[1] < 0.9 * ridge["patch_mse"].iloc[0]


# --- The bytes of a fresh run


TRAINING = "study/sub-03/ses-prisma/dwi/sub-03_ses-prisma"


def run_again(folder, config, targets):
    result = snakemake(folder, *targets, config=config)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    (results,) = (folder / "results").iterdir()
    return {
        path.relative_to(results): sha256(path)
        for pattern in ("metrics.csv", "config.yaml", "tables/*.csv", "sh/**/*", "bids/**/*.json")
        for path in results.glob(pattern)
        if path.is_file() and path.name != "runtime.csv"  # seconds differ from run to run
    }


@pytest.mark.parametrize(
    ("kind", "changes", "files"),
    [
        ("own", {"spherical_harmonics": {"order": 4}}, {}),
        # Of the training subject, from whom both methods learn.
        ("raw", {}, {f"{TRAINING}_dwi.json": echo, f"{TRAINING}_desc-brain_mask.nii.gz": shrink}),
    ],
    ids=["order", "raw sidecar and mask"],
)
def test_one_call_gives_the_bytes_of_a_fresh_run(request, tmp_path, kind, changes, files):
    finished = request.getfixturevalue(kind)
    config = configured(finished, tmp_path, changes)
    shutil.copytree(finished, tmp_path / "changed", symlinks=True)
    for path, change in files.items():
        file = tmp_path / "changed" / path
        file.write_bytes(change(file.read_bytes()))
    shutil.copytree(tmp_path / "changed/study", tmp_path / "fresh/study")
    before = sha256(tmp_path / f"changed/results/{kind}/metrics.csv")
    targets = [
        str(path.relative_to(finished))
        for pattern in ("config.yaml", "tables/*.csv", "bids/*.json")
        for path in finished.glob(f"results/{kind}/{pattern}")
    ]
    changed, fresh = (run_again(tmp_path / name, config, targets) for name in ("changed", "fresh"))
    assert changed.keys() == fresh.keys()
    for path, digest in fresh.items():
        assert changed[path] == digest, path
    assert fresh[Path("metrics.csv")] != before
