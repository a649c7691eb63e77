"""Smoothing, and with it what every classical rival does: fit to a fold, and predict images."""

import numpy as np
import pytest
import torch
from conftest import write_fold
from scipy.ndimage import gaussian_filter

from harmonization.classical.smoothed import Smoothed, smooth
from harmonization.learning.manifest import Fold
from harmonization.learning.models import FitSettings, Specification, build
from harmonization.learning.network import Task

SHAPE, CHANNELS = (14, 14, 7), 6
GAIN = np.array([2.0, 0.5, 1, 1, 1, 3], dtype=np.float32)


def noisy_fold(folder, rng, noise):
    """Sources with noise, and targets that are the noise-free source times a gain, plus 0.1."""
    scans = {}
    for subject in "abc":
        truth = gaussian_filter(rng.standard_normal((*SHAPE, CHANNELS)), (2, 2, 2, 0)) * 8
        source = truth + noise * rng.standard_normal(truth.shape)
        mask = np.ones(SHAPE)
        scans[subject] = {"source": (source, mask), "t": (GAIN * truth + 0.1, mask)}
    return Fold(write_fold(folder, scans, {"t": 1}))


def model(widths):
    return Smoothed(Task(CHANNELS, {"t": 1}, "t", 0), widths=widths)


def test_a_gain_is_undone_exactly_where_there_is_no_noise(tmp_path, rng):
    fold = noisy_fold(tmp_path, rng, noise=0)
    fitted = model([0.0, 1.0])
    outcome = fitted.fit(fold, FitSettings())
    assert outcome.card["width"] == 0
    np.testing.assert_allclose(fitted.scale, GAIN, rtol=1e-4)
    np.testing.assert_allclose(fitted.offset, 0.1, atol=1e-4)
    source, mask = fold.image("b", "source"), fold.mask("b", "source")
    image = fitted.apply(source, mask, card=None, target="t")
    np.testing.assert_allclose(image, fold.image("b", "t"), atol=1e-3)


def test_noise_is_smoothed_away(tmp_path, rng):
    fold = noisy_fold(tmp_path, rng, noise=0.7)
    errors = {
        w: model([w]).fit(fold, FitSettings()).card["validation_mse"] for w in (0.0, 1.0, 9.0)
    }
    assert errors[1.0] < 0.5 * min(errors[0.0], errors[9.0])
    assert model([0.0, 1.0, 9.0]).fit(fold, FitSettings()).card["width"] == 1.0


def test_a_fitted_model_survives_its_arrays(tmp_path, rng):
    fold = noisy_fold(tmp_path, rng, noise=0.7)
    fitted = model([0.8])
    fitted.fit(fold, FitSettings())
    specification = Specification("classical", "smoothed", {"widths": [0.8]}, fitted.task)
    again = build(specification)
    again.restore(fitted.arrays())
    image, mask = fold.image("b", "source"), fold.mask("b", "source")
    mask[:5] = 0
    predicted = [m.apply(image, mask, card=None, target="t") for m in (fitted, again)]
    np.testing.assert_array_equal(*predicted)
    assert (predicted[0][:5] == 0).all()
    assert fitted.count_parameters() == 2 * CHANNELS + 1
    with pytest.raises(KeyError):
        again.restore({"scale": torch.ones(CHANNELS)})


def test_voxels_outside_the_brain_do_not_contribute():
    image, mask = np.ones((9, 9, 9, 1), np.float32), np.ones((9, 9, 9), np.uint8)
    image[:4], mask[:4] = 100, 0
    np.testing.assert_allclose(smooth(image, mask, 1.0, 1)[4:], 1, rtol=1e-5)


def test_finer_targets_are_interpolated_at_the_centres_of_the_split():
    ramp = np.broadcast_to(np.arange(8.0)[:, None, None, None], (8, 8, 8, 1))
    fine = smooth(ramp, np.ones((8, 8, 8)), 0.0, 2)
    assert fine.shape == (16, 16, 16, 1)
    np.testing.assert_allclose(fine[2:-2, 0, 0, 0], np.arange(2, 14) / 2 - 0.25)
