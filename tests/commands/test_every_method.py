"""Every method of the benchmark, found by its file: fitted and applied on a tiny set.

A new method gets these tests without a word. Each is fitted in this process for one target, or for
all if it fits all, after everything that the plan says it needs.
"""

import json
import shutil
import sys
import types

import numpy as np
import pandas as pd
import pytest
from conftest import EMBEDDED, ROOT, write_fold

from harmonization.classical.smoothed import Smoothed
from harmonization.files import read_json, sha256, write_json
from harmonization.images.nifti import read_image
from harmonization.learning.lattice import Lattice
from harmonization.learning.manifest import make_manifest
from harmonization.learning.models import Card
from harmonization.plan.configuration import merge
from harmonization.plan.methods import method_files
from harmonization.plan.plan import ModelKey, Plan

SCALES = {"prisma_st": 1, "connectom_sa": 2}
SOURCE, TARGET = "source", "prisma_st"
PEOPLE = "train", "other", "validation", "test"
NAMES = sorted(method_files(ROOT / "config/methods"))
PLAN = Plan(merge(EMBEDDED, {"methods": NAMES, "targets": list(SCALES)}), ROOT)
MODELS = [name for name in NAMES if PLAN.methods[name].is_model]
FITTED = [n for n in MODELS if PLAN.methods[n].training or PLAN.methods[n].solve is not None]
TRAINED = [name for name in FITTED if PLAN.methods[name].is_trained]
HONEST = [name for name in MODELS if PLAN.methods[name].selects_on == "validation"]


def slow_if_ablation(names):
    """Ablations vary what rivals have passed already, so they can wait."""
    slow = {name for name in names if PLAN.methods[name].role == "ablation"}
    return [pytest.param(n, marks=pytest.mark.slow) if n in slow else n for n in names]


def people(rng):
    """Smooth sources that are alike, and targets that differ from them by a gain and a bend."""
    scans, common = {}, rng.standard_normal((4, 4, 2, 6))
    for subject in PEOPLE:
        own = 0.5 * rng.standard_normal(common.shape)
        coarse = (common + own).repeat(4, 0).repeat(4, 1).repeat(4, 2)
        source = coarse[:14, :14, :7] + 0.3 * rng.standard_normal((14, 14, 7, 6))
        target = 0.8 * source + 0.4 * source**2
        fine = target.repeat(2, 0).repeat(2, 1).repeat(2, 2)
        images = {SOURCE: source, "prisma_st": target, "connectom_sa": fine}
        scans[subject] = {p: (image, np.ones(image.shape[:3])) for p, image in images.items()}
    return scans


def write_manifests(folder, scans):
    """The fold's manifest, the one with which a control selects on the test subject, and that of
    methods that read denoised sources, which are the same images here.
    """
    honest = write_fold(folder, scans, SCALES)
    images = {
        subject: {
            platform: {role: folder / f"{subject}_{platform}_{role}.nii" for role in ("sh", "mask")}
            for platform in (SOURCE, *SCALES)
        }
        for subject in ("train", "test")
    }
    parts = {"train": ["train"], "validation": ["test"], "test": []}
    leaking = make_manifest(folder, parts, images, SOURCE, SCALES, Lattice(), {"order": 2})
    write_json(folder / "fold_selects-on-test.json", leaking)
    shutil.copy(honest, folder / "fold_denoised.json")
    return honest


@pytest.fixture(scope="module")
def fold(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fold")
    write_manifests(folder, people(np.random.default_rng(7)))
    return folder


@pytest.fixture(scope="module")
def blind_fold(fold, tmp_path_factory):
    """The same fold, in which the test subject is somebody else."""
    folder = tmp_path_factory.mktemp("blind") / "fold"
    made = shutil.ignore_patterns("template.nii", "*_to-*.nii")  # to be made again
    shutil.copytree(fold, folder, ignore=made)
    scans = people(np.random.default_rng(7))
    scans["test"] = people(np.random.default_rng(8))["test"]
    write_manifests(folder, scans)
    return folder


def shortened(training, builds_on):
    """A training of a few steps, fast for what starts at nothing, gentle for what may start near
    its end.
    """
    if training is None:
        return None
    least = 0 if builds_on else 1e-3
    phases = [
        {**p, "steps": 10, "warm_up": 2, "learning_rate": max(p["learning_rate"], least)}
        for p in training["phases"]
    ]
    return {**training, "batch_size": 2, "validate_every": 4, "phases": phases}


def smaller(settings):
    """Settings of a class with fewer and smaller trees, if it grows any."""
    fewer = {"trees": 2, "voxels": 4000}
    return settings | {name: n for name, n in fewer.items() if name in settings}


@pytest.fixture(scope="module")
def models():
    """Folders of the models that are fitted already."""
    return {}


@pytest.fixture
def template_of(command):
    """Template and warps of a fold for a method that needs them, made where they are missing."""

    def make(method, fold):
        if not PLAN.methods[method].needs_template:
            return None
        manifest = fold / "fold.json"
        files = [fold / "template.nii"]
        if not files[0].exists():
            options = {"manifest": manifest, "output": files[0]}
            assert command("build_template", options) == (0, "")
        for subject in ("train", "other", "validation"):
            warps = {name: fold / f"{subject}_{name}.nii" for name in ("to-head", "to-template")}
            files += warps.values()
            if not files[-1].exists():
                options = {"manifest": manifest, "subject": subject, "template": files[0]}
                assert command("warp_to_template", options | warps) == (0, "")
        return files

    return make


@pytest.fixture
def fit(command, models, template_of, tmp_path_factory):
    """Fit a model, and before it what it needs; gives its folder."""

    def run(key, fold, again=False):
        if key in models and not again:
            return models[key]
        components, matched = (
            [run(needed, fold) for needed in find(*vars(key).values())]
            for find in (PLAN.components, PLAN.matched)
        )
        method = PLAN.methods[key.method]
        settings = PLAN.fit_settings(key.method) | {
            "training": shortened(method.training, method.builds_on),
            "settings": smaller(method.settings),
        }
        folder = tmp_path_factory.mktemp(key.method) / "model"
        options = {
            "method": key.method,
            "settings": json.dumps(settings),
            "manifest": fold / f"fold{PLAN.selection(key.method)}.json",
            "target": key.target,
            "fold": 0,
            "seed": key.seed,
            "seeded-as": method.seeded_as,
            "components": components or None,
            "matches": matched or None,
            "template": template_of(key.method, fold),
            "output": folder,
        }
        assert command("fit", options) == (0, "")
        if not again:
            models[key] = folder
        return folder

    return run


@pytest.fixture
def predict(command, fold, tmp_path):
    """Predict the test subject; gives the image and its affine."""

    def run(folder):
        options = {
            "model": folder,
            "source": fold / "test_source_sh.nii",
            "mask": fold / "test_source_mask.nii",
            "target": TARGET,
            "output": tmp_path / "prediction.nii",
        }
        assert command("predict", options) == (0, "")
        return read_image(tmp_path / "prediction.nii")

    return run


def key_of(method):
    return ModelKey(method, PLAN.model_target(method, TARGET), 0, 0)


@pytest.mark.parametrize("method", slow_if_ablation(MODELS))
def test_predictions_are_finite_images_on_the_targets_grid(fit, predict, fold, method):
    image, affine = predict(fit(key_of(method), fold))
    measured, grid = read_image(fold / f"test_{TARGET}_sh.nii")
    assert image.shape == measured.shape
    np.testing.assert_allclose(affine, grid)
    assert np.isfinite(image).all()
    assert image.std() > 0


@pytest.mark.parametrize("method", slow_if_ablation(FITTED))
def test_a_fit_beats_the_training_mean(fit, predict, fold, method):
    image, _ = predict(fit(key_of(method), fold))
    measured, _ = read_image(fold / f"test_{TARGET}_sh.nii")
    mean = np.array(read_json(fold / "fold.json")["normalisation"][TARGET]["mean"])
    assert ((image - measured) ** 2).mean() < ((mean - measured) ** 2).mean()


@pytest.mark.parametrize("method", slow_if_ablation(TRAINED))
def test_a_training_beats_its_own_start(fit, fold, method):
    folder = fit(key_of(method), fold)
    history = pd.read_csv(folder / "history.csv")
    assert history["validation_mse"].iloc[1:].min() < history["validation_mse"].iloc[0]
    assert Card.read(folder).outcome["best_step"] > 0


@pytest.mark.parametrize("method", slow_if_ablation(HONEST))
def test_the_same_bytes_come_again_whoever_the_test_subject_is(fit, fold, blind_fold, method):
    """Two facts in one: a fit repeats, and nothing of the test subject reaches it."""
    assert_blind(fit, fold, blind_fold, method)


def assert_blind(fit, fold, blind_fold, method, again=False):
    first = fit(key_of(method), fold, again)
    second = fit(key_of(method), blind_fold, again=True)
    for name in ("weights.safetensors", "history.csv"):
        assert sha256(first / name) == sha256(second / name)


@pytest.mark.slow
def test_what_selects_on_the_test_subject_does_not_pass(fit, fold, blind_fold):
    leaking = [name for name in MODELS if name not in HONEST]
    assert leaking == ["msp_selected_on_test"]
    with pytest.raises(AssertionError):
        assert_blind(fit, fold, blind_fold, *leaking)


class Cheater(Smoothed):
    """It reads the test subject, which its manifest does not name as one to learn from."""

    def fit(self, fold, settings):
        outcome = super().fit(fold, settings)
        seen, _ = read_image(fold.path.parent / f"test_{TARGET}_sh.nii")
        self.offset += float(seen.mean())
        return outcome


def test_a_method_that_cheats_does_not_pass(fit, fold, blind_fold, monkeypatch):
    module = types.ModuleType("harmonization.classical.smoothed")
    module.Smoothed = Cheater
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(AssertionError):
        assert_blind(fit, fold, blind_fold, "smoothed", again=True)
