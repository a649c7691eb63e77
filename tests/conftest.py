"""Fixtures shared by the tests."""

import gzip
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from filelock import FileLock
from scipy.ndimage import gaussian_filter

from harmonization.data.bids import write_dataset_description
from harmonization.files import write_json
from harmonization.images.nifti import write_image
from harmonization.images.template import brightness, build_template, warp_to_template
from harmonization.learning.lattice import Lattice
from harmonization.learning.manifest import Fold, make_manifest
from harmonization.learning.models import Card, Specification, build, save_model
from harmonization.learning.patches import PatchData
from harmonization.learning.template import Template
from harmonization.phantom.atlas import Atlas, build_atlas
from harmonization.plan.phantom import read_parameters

ROOT = Path(__file__).parent.parent
# All runs of the tests share what numba compiled.
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".cache/numba"))
EMBEDDED = yaml.safe_load((ROOT / "config/config.yaml").read_text())
# What the command `fit` is told of a method that has nothing special.
FIT_SETTINGS = {"wing": "networks", "settings": {}, "input": {}, "alternatives": []}
FIT_SETTINGS |= dict.fromkeys(("training", "solve", "matches", "within"))
# A run over the tiny run's scans as a data set of one's own.
OWN = {
    "run": "own",
    "dataset": {"kind": "bids", "root": "study", "subjects": 3},
    "platforms": {
        name: EMBEDDED["platforms"][name] | {"run": "1", "description": "preproc"}
        for name in ("ge_st", "prisma_st")
    },
    "source": "ge_st",
    "targets": ["prisma_st"],
    "cross_validation": {"folds": 1},
    "methods": ["identity", "ridge", "espcn"],
    "overrides": {
        "espcn": {
            "training": {
                "short": {
                    "batch_size": 4,
                    "validate_every": 5,
                    "phases": [{"steps": 5, "learning_rate": 3.0e-3}],
                }
            }
        }
    },
}


def snakemake(
    folder: Path,
    *arguments: str,
    config: Path | None = ROOT / "tests/tiny.yaml",
    root: Path = ROOT,
    snakefile: Path | None = None,
) -> subprocess.CompletedProcess:
    """Run the workflow in `folder`, as a user would."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile or root / "Snakefile"]
    command += ["--configfile", config] if config else []
    command += ["--directory", folder, "--cores", "2"]
    return subprocess.run(
        [*map(str, command), *arguments], capture_output=True, text=True, check=False
    )


def planned(folder: Path, *arguments: str, **options: Path) -> list[str]:
    """Messages of the jobs in a dry run, which the default profile only counts."""
    result = snakemake(folder, "--dry-run", "--workflow-profile", "none", *arguments, **options)
    assert result.returncode == 0, result.stderr
    return re.findall(r"^Job \d+: (.*)$", result.stdout + result.stderr, flags=re.MULTILINE)


def validator_errors(bids: Path) -> list[dict]:
    """Errors that the BIDS validator finds in a data set."""
    validator = Path(sys.executable).with_name("bids-validator-deno")
    result = subprocess.run(
        [validator, bids, "--format", "json"], capture_output=True, text=True, check=False
    )
    issues = json.loads(result.stdout)["issues"]["issues"]
    return [issue for issue in issues if issue["severity"] == "error"]


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id):
    """Make something once for all workers: the first to need it makes it, and the others wait.

    It lies in the folder that the environment's SHARED_RUNS names, so that two calls of pytest on
    the same code can share it, or else in a folder of this call.
    """
    # Each worker's folder lies in a folder that all share.
    base = tmp_path_factory.getbasetemp()
    base = base if worker_id == "master" else base.parent
    base = Path(os.environ.get("SHARED_RUNS", base))

    def make(name, build):
        folder = base / name
        with FileLock(base / f"{name}.lock"):
            if not (base / f"{name}.made").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                build(folder)
                (base / f"{name}.made").touch()
        return folder

    return make


@pytest.fixture(scope="session")
def run(shared):
    """A folder with the finished tiny run, and Snakemake's output.

    All workers share it, at the same time: a test that writes into it takes `copied_run`.
    """

    def build(folder):
        result = snakemake(folder)
        (folder / "said.txt").write_text(result.stdout + result.stderr)
        assert result.returncode == 0, (folder / "said.txt").read_text()[-6000:]

    folder = shared("tiny", build)
    return folder, (folder / "said.txt").read_text()


def write_study(run: Path, study: Path, without: tuple[str, ...] = ()) -> None:
    """Write the first scans of the tiny run as a data set; their names leave out `without`."""
    bids = run / "results/tiny/bids"
    for path in bids.rglob("*_acq-st_run-1_*"):
        session = path.relative_to(bids).parts[1]
        if session != "ses-connectom" and re.search("preproc_dwi|brain_mask", path.name):
            name = path.name
            for part in without:
                name = name.replace(part, "")
            place = study / path.relative_to(bids).parent
            place.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".nii":  # users have packed series
                (place / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
            else:
                shutil.copy(path, place / name)
    write_dataset_description(study, "Study", {"Name": "tests"})


@pytest.fixture(scope="session")
def own(shared, run):
    """A folder with a data set of one's own, its configuration and the finished run."""

    def build(folder):
        write_study(run[0], folder / "study")
        (folder / "run.yaml").write_text(yaml.safe_dump(OWN))
        result = snakemake(folder, config=folder / "run.yaml")
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]

    return shared("own", build)


@pytest.fixture
def copied_run(run, request):
    """A copy of the tiny run's folder, beside it: paths to the workflow stay the same."""
    return shutil.copytree(run[0], run[0].with_name(f"copy-{request.node.name}"))


def without_test_subject(results: Path) -> None:
    """Make the images of the tiny run's test subject NaN, its masks empty, and forget the folds."""
    for path in results.glob("sh/*/sub-01_*.nii"):
        image = nib.load(path)
        worthless = np.nan if image.ndim == 4 else 0
        data = np.full(image.shape, worthless, np.float32)
        nib.save(nib.Nifti1Image(data, image.affine), path)
    shutil.rmtree(results / "splits")


def copy_workflow(to: Path) -> Path:
    """Copy all that the workflow needs, for tests that edit it or put it elsewhere."""
    for name in ("scripts", "workflow", "config", "envs", "profiles"):
        shutil.copytree(ROOT / name, to / name)
    shutil.copy(ROOT / "Snakefile", to)
    return to


@pytest.fixture
def clone(tmp_path):
    """A copy of the workflow that tests edit."""
    return copy_workflow(tmp_path / "clone")


@pytest.fixture
def results(run):
    """Results of the tiny run."""
    return run[0] / "results/tiny"


@pytest.fixture
def command(monkeypatch, capsys):
    """Run a command as `python scripts/<name>.py`; return its exit status and error output.

    Its standard output is in `command.said`.
    """

    def run(name, options, *positional):
        arguments = [f"{name}.py"]
        for option, value in options.items():
            if value is not None:
                values = value if isinstance(value, list) else [value]
                arguments += [f"--{option}", *map(str, values)]
        arguments += map(str, positional)
        monkeypatch.setattr(sys, "argv", arguments)
        status = 0
        try:
            runpy.run_path(str(ROOT / f"scripts/{name}.py"), run_name="__main__")
        except SystemExit as stopped:
            status = stopped.code
        run.said, error = capsys.readouterr()
        return status, error

    return run


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    # Networks start the same in every run of a test, whichever tests ran before.
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def atlas(shared):
    """The phantom's atlas, as commands read it from its file."""

    def build(folder):
        parameters = read_parameters(ROOT / "config/travelling_heads.yaml")
        build_atlas(parameters["bundles"]).save(folder / "atlas.npz")

    return Atlas.load(shared("atlas", build) / "atlas.npz")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def make_patch_data(
    subjects: int = 1,
    cores: int = 2,
    channels: int = 3,
    scales: dict[str, int] | None = None,
    seed: int = 0,
) -> PatchData:
    """Random sources, and smooth functions of them as targets, in the layout of `read_part`."""
    scales = scales or {"a": 1, "b": 1, "c": 2}
    generator = torch.Generator().manual_seed(seed)
    n = 7 * cores
    source = torch.randn(subjects, n + 4, n + 4, n + 4, channels, generator=generator)
    inner = source[:, 2:-2, 2:-2, 2:-2]
    mean = torch.tanh(inner + inner.roll(1, dims=1))
    targets, masks = {}, {}
    for i, (platform, r) in enumerate(scales.items()):
        fine = mean.repeat_interleave(r, 1).repeat_interleave(r, 2).repeat_interleave(r, 3)
        targets[platform] = fine * (1 + 0.1 * i)
        masks[platform] = torch.ones(*fine.shape[:-1], 1)
    grid = torch.cartesian_prod(torch.arange(subjects), *[torch.arange(cores)] * 3)
    return PatchData(source, targets, masks, scales, grid, Lattice())


def write_fold(
    folder: Path,
    scans: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]],
    scales: dict[str, int],
) -> Path:
    """Write a fold: images and masks by subject and platform, and the manifest that lists them.

    The last two subjects validate and test, those before them train; the source is the platform
    `source`.
    """
    images: dict = {}
    for subject, platforms in scans.items():
        for platform, (image, mask) in platforms.items():
            roles = {role: folder / f"{subject}_{platform}_{role}.nii" for role in ("sh", "mask")}
            write_image(roles["sh"], image.astype(np.float32), np.eye(4))
            write_image(roles["mask"], mask.astype(np.uint8), np.eye(4))
            images.setdefault(subject, {})[platform] = roles
    *train, validation, test = scans
    parts = {"train": train, "validation": [validation], "test": [test]}
    manifest = make_manifest(folder, parts, images, "source", scales, Lattice(), {"order": 2})
    write_json(folder / "fold.json", manifest)
    return folder / "fold.json"


def write_model(
    folder: Path, specification: Specification, harmonics: dict, fitted: dict | None = None, **card
) -> Path:
    """Write a model that was not fitted; `fitted` are attributes that a fit would set.

    Coefficients are normalised by nothing; `card` are entries that differ from the usual.
    """
    torch.manual_seed(0)
    model, task = build(specification), specification.task
    vars(model).update(fitted or {})
    units = {"mean": [0.0] * task.channels, "std": [1.0] * task.channels}
    usual = {
        "method": specification.plugin,
        "target": task.target or "all",
        "fold": 0,
        "seed": 0,
        "specification": specification,
        "settings": {},
        "parameters": model.count_parameters(),
        "path_parameters": 0,
        "trainings": {},
        "outcome": {},
        "source": "s",
        "input": {
            "voxel_size": [2.4, 2.4, 2.4],
            "axes": "RAS",
            "denoised": False,
            "noise_free": False,
        },
        "lattice": {"core": 7, "minimum_inside": 0.5},
        "spherical_harmonics": harmonics,
        "normalisation": {"input": units, "outputs": dict.fromkeys(task.scales, units)},
        "manifest_sha256": "",
        "versions": {},
    }
    save_model(folder, model, Card(**usual | card))
    return folder


@pytest.fixture
def gains():
    """Of the six coefficients of orders 0 and 2."""
    return np.array([2.0, *[0.5] * 5], dtype=np.float32)


@pytest.fixture(params=[1, 2])
def r(request):
    """Into how many parts a target splits each edge of a voxel."""
    return request.param


@pytest.fixture
def gained_fold(tmp_path, r, gains):
    """Targets are their sources with a gain for each order, split into r^3 voxels."""
    rng, grid = np.random.default_rng(3), (14, 14, 14)
    shape = gaussian_filter(rng.standard_normal(grid), 2)
    scans = {}
    for subject in "abcd":
        own = gaussian_filter(rng.standard_normal((*grid, 6)), (2, 2, 2, 0))
        source = (own * 4).astype(np.float32)
        source[..., 0] = 1 + 3 * shape + own[..., 0]
        target = np.kron(gains * source, np.ones((r, r, r, 1), dtype=np.float32))
        mask = np.ones(grid)
        scans[subject] = {
            "source": (source, mask),
            "t": (target, np.ones(target.shape[:3])),
        }
    return Fold(write_fold(tmp_path, scans, {"t": r}))


@pytest.fixture
def gained_template(gained_fold, tmp_path):
    subjects = gained_fold.subjects("train") + gained_fold.subjects("validation")
    images = {s: [f(s, "source") for f in (gained_fold.image, gained_fold.mask)] for s in subjects}
    heads = {s: brightness(*image) for s, image in images.items()}
    image = build_template([heads[s] for s in gained_fold.subjects("train")])
    write_image(tmp_path / "template.nii", image, np.eye(4))
    files = [tmp_path / "template.nii"]
    for subject, head in heads.items():
        warp = warp_to_template(image, head)
        for name in ("to_head", "to_template"):
            files.append(tmp_path / f"{subject}_{name}.nii")
            write_image(files[-1], getattr(warp, name), np.eye(4))
    return Template(*files, subjects=subjects)
