"""Kinds of data sets: the same scans give the same numbers as each kind."""

import gzip
import hashlib
import json
import re
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import EMBEDDED, ROOT, planned, snakemake, validator_errors
from openneuro import Server
from scipy.spatial.transform import Rotation

from harmonization.data.bids import read_gradients, write_dataset_description, write_gradients
from harmonization.files import sha256
from harmonization.images.nifti import read_image

TARGETS = ["prisma_st", "connectom_sa"]
PHANTOM_ONLY = ("noise_free", "rescan", "truth")


@pytest.fixture
def own_data(run, tmp_path):
    """The tiny run's scans as the user's own data set, and a configuration that reads it."""
    shutil.copytree(run[0] / "results/tiny/bids", tmp_path / "study")
    first = {"run": "1", "description": "preproc"}
    settings = {
        **yaml.safe_load((ROOT / "tests/tiny.yaml").read_text()),
        "run": "own",
        "dataset": {"kind": "bids", "root": "study", "subjects": 3},
        "platforms": {name: EMBEDDED["platforms"][name] | first for name in ["ge_st", *TARGETS]},
    }
    # Real scans have no noise-free truth.
    settings["methods"] = [m for m in settings["methods"] if m not in PHANTOM_ONLY]
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def same_files(made, results, pattern):
    """Number of files that both runs have; refused if one differs."""
    files = list(made.glob(pattern))
    for file in files:
        assert sha256(file) == sha256(results / file.relative_to(made)), file
    return len(files)


@pytest.mark.slow
def test_ones_own_data_set_gives_the_same_images(own, results):
    made = own / "results/own"
    assert same_files(made, results, "sh/scan/*.nii") == 3 * 2 * 2
    table = pd.read_csv(made / "tables/patch_mse.csv").set_index("method")
    assert table.loc["Ridge (IQT-GL)", "prisma_st"] < table.loc["Identity", "prisma_st"]
    assert (table["n"] == 1).all()
    # Nobody knows the noise-free truth of a user's scans.
    assert "truth_mse" not in set(pd.read_csv(made / "metrics.csv")["metric"])
    assert "fit for use" in (made / "validation.txt").read_text()
    log = (made / "logs/validate_scan/validated/sub-02_platform-ge_st_report.json.log").read_text()
    assert log.endswith("preproc_dwi.bvec: read in the convention 'fsl'\n")


@pytest.mark.slow
def test_ones_own_data_set_gives_the_same_numbers(own_data, results):
    """The whole chain again, from the scans to the scores: images, models and scores are the same.

    Without the phantom's truth, a score may come from a product of other matrices, whose last
    digits differ on some processors.
    """
    result = snakemake(own_data, "results/own/metrics.csv", config=own_data / "own.yaml")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    made = own_data / "results/own"
    assert same_files(made, results, "sh/scan/*.nii") == 3 * 3 * 2
    assert same_files(made, results, "models/**/weights.safetensors") == 17
    mine = pd.read_csv(made / "metrics.csv")
    same = pd.read_csv(results / "metrics.csv").merge(
        mine, on=["method", "target", "subject", "region", "metric"], suffixes=("", "_own")
    )
    assert len(same) == len(mine) > 50
    assert same["value_own"].tolist() == pytest.approx(same["value"].tolist(), rel=1e-6)


def test_a_broken_data_set_stops_before_anything_expensive(own_data):
    scan = "study/sub-02/ses-prisma/dwi/sub-02_ses-prisma_acq-st_run-1_desc-preproc_dwi"
    (own_data / f"{scan}.bvec").write_text("1 0 0")
    result = snakemake(own_data, config=own_data / "own.yaml")
    assert result.returncode != 0
    # The last thing on the console is what is wrong, and where the log is.
    *_, error, log = result.stderr.strip().splitlines()
    assert error.startswith(f"error: {scan}.bvec: holds a table of shape (1, 3)")
    log = own_data / log.strip().removeprefix("Log: ")
    started, *rest = filter(None, log.read_text().splitlines())
    assert started.startswith("Started ")
    assert rest == [error]
    for later in ("sh", "models", "validation.txt"):
        assert not (own_data / "results/own" / later).exists()


SCANNERS = {"ge": "GE", "prisma": "Prisma", "connectom": "connectom"}


def write_released_tree(bids, root):
    """Write the tiny run's scans like the released cross-scanner database, with all its traps.

    Names are in upper or lower case, images compressed or not, b-vectors in rows or columns, tables
    with blanks or tabs, and b=0 volumes of another echo time come last.
    """
    for number, scan in enumerate(sorted(bids.rglob("*run-1_desc-preproc_dwi.nii"))):
        subject, session, acquisition = re.match(
            r"sub-(\w+)_ses-(\w+)_acq-(\w+)_run", scan.name
        ).groups()
        folder = root / "ABC"[int(subject) - 1] / SCANNERS[session] / acquisition.upper()
        folder.mkdir(parents=True)
        data, affine = read_image(scan)
        data = np.concatenate([data, 0.8 * data[..., :2]], axis=-1)
        end = ".nii" if number % 2 else ".nii.gz"
        nib.save(nib.Nifti1Image(data, affine), folder / f"dwi{end}")
        stem = str(scan).removesuffix(".nii")
        shutil.copy(f"{stem.replace('preproc_dwi', 'brain_mask')}.nii.gz", folder / "mask.nii.gz")
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


def test_the_released_database_is_imported_scan_by_scan(released_tree, results):
    result = import_released(released_tree, "--", "results/paper/validation.txt")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    made = released_tree / "results/paper"
    for subject, letter in zip(("01", "02", "03"), "ABC", strict=True):
        for end in ("desc-preproc_dwi.nii", "desc-brain_mask.nii.gz"):
            name = f"sub-{{}}/ses-connectom/dwi/sub-{{}}_ses-connectom_acq-sa_run-1_{end}"
            direct = read_image(results / "bids" / name.format(subject, subject))
            imported = read_image(made / "bids" / name.format(letter, letter))
            for one, other in zip(imported, direct, strict=True):
                np.testing.assert_array_equal(one, other)
    assert not validator_errors(made / "bids")
    logs = "".join(path.read_text() for path in (made / "logs/import_scan").rglob("*.log"))
    assert logs.count(": dropped volume") == 2 * 9
    assert "b=0, TE 66 ms, TR 7200 ms" in logs


@pytest.mark.slow
def test_the_released_database_gives_the_same_numbers_as_bids(released_tree, results):
    result = import_released(released_tree, "--", "results/paper/tables/patch_mse.csv")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    made = released_tree / "results/paper"
    columns = ["method", "target", "region", "metric"]
    imported, direct = (pd.read_csv(r / "metrics.csv").set_index(columns) for r in (made, results))
    both = imported.join(direct, lsuffix="_imported", rsuffix="_direct")
    assert len(both) > 10
    np.testing.assert_allclose(both["value_imported"], both["value_direct"], rtol=1e-6)
    assert (made / "tables/patch_mse.csv").exists()


def test_a_platform_that_was_not_released_is_named(released_tree):
    shutil.rmtree(released_tree / "released/B/Prisma")
    result = import_released(released_tree, "--dry-run")
    assert result.returncode != 0
    assert "platform prisma_st of subject B is missing" in result.stdout + result.stderr


# --- Raw scans: downloaded, preprocessed, at a lower resolution

SUBJECTS = {"01": "03286", "02": "03997", "03": "10975"}


def raw_files(bids, sessions, scratch):
    """The tiny run's scans as raw scans of ON-Harmony.

    They hold whole numbers on an oblique grid; b-values jitter, and b=0 is 5 and has directions.
    """
    files, tilt = {}, np.eye(4)
    tilt[:3, :3] = Rotation.from_euler("x", -10.7, degrees=True).as_matrix()
    for subject, label in SUBJECTS.items():
        for session, (scanner, protocol) in sessions.items():
            name = f"sub-{subject}_ses-{scanner}_acq-{protocol}_run-1_desc-preproc_dwi"
            scan = bids / f"sub-{subject}/ses-{scanner}/dwi/{name}"
            data, affine = read_image(f"{scan}.nii")
            bvals, directions = read_gradients(f"{scan}.bval", f"{scan}.bvec", affine)
            kept = np.r_[np.flatnonzero(bvals < 50)[:1], np.flatnonzero(bvals > 50)[:20]]
            bvals = np.where(bvals > 50, bvals + 5 * (np.arange(len(bvals)) % 3 - 1), 5)
            directions = np.where(bvals[:, None] > 50, directions, [0.6, 0.8, 0]) @ tilt[:3, :3].T
            affine = tilt @ affine
            stem = f"sub-{label}/ses-{session}/dwi/sub-{label}_ses-{session}_dir-AP_dwi"
            scaled = data[..., kept] * 1000 / data.max()
            image = nib.Nifti1Image(np.round(scaled).astype(np.int16), affine)
            image.header.set_xyzt_units("mm", "sec")
            tables = scratch / "bval", scratch / "bvec"
            write_gradients(*tables, bvals[kept], directions[kept], affine)
            sidecar = {"EchoTime": 0.096, "Manufacturer": "Siemens", "PartialFourier": 0.75}
            files |= {
                f"{stem}.nii.gz": gzip.compress(image.to_bytes(), 1),
                f"{stem}.bval": tables[0].read_bytes(),
                f"{stem}.bvec": tables[1].read_bytes(),
                f"{stem}.json": json.dumps(sidecar).encode(),
            }
    return files


@pytest.fixture
def openneuro(results, tmp_path):
    sessions = {"OXF3TRI001": ("ge", "st"), "OXF1PRI001": ("prisma", "st")}
    files = raw_files(results / "bids", sessions, tmp_path)
    files["dataset_description.json"] = b'{"Name": "ON-Harmony", "BIDSVersion": "1.8.0"}'
    server = Server(files, "ds004712", "2.0.1")
    yield server
    server.close()


def run_open(folder, server, *arguments):
    urls = f"bucket: '{server.url}/bucket', mirror: '{server.url}/mirror'"
    people = json.dumps(list(SUBJECTS.values()))
    return snakemake(
        folder,
        "--config",
        f"dataset={{root: raw, subjects: {people}, openneuro: {{{urls}}}}}",
        "targets=[prisma_32ch]",
        "spherical_harmonics={order: 4, shell: 1200}",
        "cross_validation={folds: 1, seeds: 1}",
        "methods=[identity, ridge]",
        *arguments,
        config=ROOT / "config/open.yaml",
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps", [["denoising"], ["denoising", "ringing", "motion"]], ids=["one step", "all steps"]
)
def test_on_harmony_comes_from_the_server_to_the_table(openneuro, tmp_path, steps):
    openneuro.faults = ["cut", "500", "truncated"]
    left_out = "{ringing: false, motion: false}" if len(steps) == 1 else "{}"
    result = run_open(tmp_path, openneuro, f"preprocessing={left_out}")
    said = result.stdout + result.stderr
    assert result.returncode == 0, said[-3000:]
    assert "whole" in said
    # Only files of the configured subjects and sessions, each downloaded in full only once.
    assert {path for path, _ in openneuro.requests} == set(openneuro.content)
    for path in openneuro.content:
        if path.startswith("/bucket"):
            local = tmp_path / "raw" / path.removeprefix("/bucket/ds004712/")
            assert sha256(local) == hashlib.sha256(openneuro.content[path]).hexdigest()
    made = tmp_path / "results/open"
    table = pd.read_csv(made / "tables/patch_mse.csv").set_index("method")
    assert 0 < table.loc["Ridge (IQT-GL)", "prisma_32ch"] < table.loc["Identity", "prisma_32ch"]
    registered = pd.read_csv(made / "tables/registration.csv")
    assert (registered["similarity_after"] > registered["similarity_before"]).all()
    assert not validator_errors(made / "bids")
    stem = "sub-03286/ses-OXF3TRI001/dwi/sub-03286_ses-OXF3TRI001_acq-trio_run-1_desc-preproc_dwi"
    sidecar = json.loads((made / f"bids/{stem}.json").read_text())
    assert sidecar["Preprocessing"] == steps
    assert sidecar["EchoTime"] == 0.096
    if "motion" in steps:
        motion = pd.read_csv(made / "preprocessing/motion/sub-03286_platform-trio.tsv", sep="\t")
        assert len(motion) == 21
    # The images of the steps are deleted once the scan is written.
    assert not list(made.rglob("preprocessing/*/*.nii"))
    # Nothing is left to do, and the downloaded data need no server.
    openneuro.close()
    again = run_open(tmp_path, openneuro, f"preprocessing={left_out}", "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_scan_that_does_not_come_stops_the_run_with_its_name(openneuro, tmp_path):
    path = "sub-03997/ses-OXF1PRI001/dwi/sub-03997_ses-OXF1PRI001_dir-AP_dwi.nii.gz"
    openneuro.content[f"/bucket/ds004712/{path}"] = b"another version"
    wanted = f"raw/{path}"
    result = run_open(tmp_path, openneuro, "--", wanted)
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert f"{path}: the server's file is shorter than that of this version" in said or (
        f"{path}: what came has sha256" in said
    )
    assert not (tmp_path / wanted).exists()


@pytest.mark.slow
def test_a_broken_raw_scan_stops_before_its_preprocessing(openneuro, tmp_path):
    """A file with the right checksum may still be unusable."""
    stem = "sub-10975/ses-OXF3TRI001/dwi/sub-10975_ses-OXF3TRI001_dir-AP_dwi"
    for server in ("bucket/ds004712", "mirror/ds004712/2.0.1"):
        openneuro.content[f"/{server}/{stem}.bval"] = b"0 1200 1200\n"
    result = run_open(tmp_path, openneuro, "preprocessing={ringing: false, motion: false}")
    assert result.returncode != 0
    logs = tmp_path / "results/open/logs/validate_scan_raw/validated/raw"
    log = (logs / "sub-10975_platform-trio_report.json.log").read_text()
    assert f"raw/{stem}.bvec: holds a table of shape (3, 21) for the 3 b-values" in log
    assert "Traceback" not in log
    made = tmp_path / "results/open"
    assert not list(made.glob("preprocessing/*/sub-10975_platform-trio*"))
    assert not (made / "bids/sub-10975/ses-OXF3TRI001").exists()
    assert not (made / "models").exists()
    assert (tmp_path / f"raw/{stem}.nii.gz").exists()


@pytest.fixture
def raw_data(results, tmp_path):
    """Raw scans on disk, of which the source is the finest."""
    sessions = {"OXF3TRI001": ("connectom", "sa"), "OXF1PRI001": ("ge", "st")}
    for path, content in raw_files(results / "bids", sessions, tmp_path).items():
        (tmp_path / "study" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "study" / path).write_bytes(content)
    write_dataset_description(tmp_path / "study", "Raw", {"Name": "tests"})
    return tmp_path


def run_super_resolution(folder, *arguments):
    """None of the steps, and a source with half of its resolution."""
    return snakemake(
        folder,
        "--config",
        "dataset={kind: raw, root: study, subjects: 3}",
        "preprocessing={ringing: false, motion: false}",
        "denoising=none",
        "targets=[prisma_32ch]",
        "spherical_harmonics={order: 4, shell: 1200}",
        "cross_validation={folds: 1, seeds: 1}",
        "methods=[identity, affine, ridge]",
        *arguments,
        config=ROOT / "config/open_sr.yaml",
    )


def test_a_lower_resolution_makes_a_source_for_super_resolution(raw_data):
    images = [
        f"results/open_sr/sh/scan/sub-03286_platform-{platform}.nii"
        for platform in ("trio", "prisma_32ch")
    ]
    result = run_super_resolution(raw_data, "--", *images)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert not (raw_data / "results/open_sr/preprocessing").exists()
    for image, size in zip(images, (2.4, 1.2), strict=True):
        sizes = nib.affines.voxel_sizes(nib.load(raw_data / image).affine)
        np.testing.assert_allclose(sizes, size, atol=1e-3)


@pytest.mark.slow
def test_super_resolution_of_raw_scans_comes_to_the_table(raw_data):
    result = run_super_resolution(raw_data, "--", "results/open_sr/tables/patch_mse.csv")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    table = pd.read_csv(raw_data / "results/open_sr/tables/patch_mse.csv").set_index("method")
    error = table["prisma_32ch"]
    # One subject of a thin slab is little to learn the 1,000 weights of ridge from.
    assert 0 < error["Affine"] < error["Identity"]
    assert 0 < error["Ridge (IQT-GL)"] < 1.1 * error["Identity"]


def lower_source(path):
    """Change a configuration to a source of half its resolution, and one target."""
    settings = yaml.safe_load(path.read_text())
    settings["platforms"]["ge_st"]["crop"] = settings["platforms"]["prisma_st"]["scale"] = 2
    settings |= {"targets": ["prisma_st"], "methods": ["identity", "denoised", "ridge"]}
    path.write_text(yaml.safe_dump(settings | {"overrides": {}}))


def test_a_derivative_can_be_lowered_too(own_data):
    lower_source(own_data / "own.yaml")
    jobs = planned(own_data, config=own_data / "own.yaml")
    lowered = [job for job in jobs if job.startswith("Lower")]
    # That of the test subject twice, for the control `denoised`.
    assert sorted(lowered) == [f"Lower the resolution of ge_st of 0{n}" for n in (1, 1, 2, 3)]


def test_a_derivative_can_be_denoised_and_lowered(own_data):
    """A control's source is denoised, and a run's own scans of both kinds, before all else."""
    lower_source(own_data / "own.yaml")
    jobs = planned(own_data, config=own_data / "own.yaml")
    assert [job for job in jobs if job.startswith("Denoise")] == ["Denoise ge_st of 01"]
    assert len([job for job in jobs if job.startswith("Lower")]) == 4
    jobs = planned(own_data, "--config", "denoising=both", config=own_data / "own.yaml")
    assert len([job for job in jobs if job.startswith("Denoise")]) == 6
    assert len([job for job in jobs if job.startswith("Lower")]) == 3


@pytest.mark.slow
def test_the_open_run_has_a_plan_without_its_data(tmp_path):
    jobs = planned(tmp_path, config=ROOT / "config/open_sr.yaml")
    assert sum(job.startswith("Download") for job in jobs) == 41  # scans, and their description
    assert sum(job.startswith("Correct") for job in jobs) == 40
    assert sum(job.startswith("Lower the resolution") for job in jobs) == 10
    assert sum(job.startswith("Fit msp_diqt") for job in jobs) == 90


def test_an_open_run_that_cannot_be_is_one_line(tmp_path):
    change = "dataset={kind: raw, root: nowhere}"
    result = snakemake(
        tmp_path, "--dry-run", "--config", change, config=ROOT / "config/open_sr.yaml"
    )
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert "nowhere: no such folder" in said
    assert "Traceback" not in said
