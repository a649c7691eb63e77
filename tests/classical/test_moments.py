"""The method of moments, against maps that it must find."""

import numpy as np
import pytest
from conftest import write_fold

from harmonization.classical.moments import Moments, match
from harmonization.learning.manifest import Fold
from harmonization.learning.models import FitSettings, Specification, build
from harmonization.learning.network import Task

SHAPE, CHANNELS = (14, 14, 7), 6
GAIN = np.array([2.0, 0.5, 1, 1, 1, 3], dtype=np.float32)


def fold_of(folder, rng, change):
    """Targets are `change` of their sources, whose values are skewed."""
    scans = {}
    for subject in "abc":
        source = rng.gamma(3, 1, (*SHAPE, CHANNELS)).astype(np.float32)
        mask = np.ones(SHAPE)
        scans[subject] = {"source": (source, mask), "t": (change(source), mask)}
    return Fold(write_fold(folder, scans, {"t": 1}))


def fitted(fold, degrees):
    model = Moments(Task(CHANNELS, {"t": 1}, "t", 0), degrees=degrees)
    return model, model.fit(fold, FitSettings()).card


@pytest.mark.parametrize("degrees", [[1], [2]])
def test_a_gain_is_undone_exactly(tmp_path, rng, degrees):
    fold = fold_of(tmp_path, rng, lambda x: GAIN * x + 0.1)
    model, card = fitted(fold, degrees)
    assert card["validation_mse"] < 1e-10
    np.testing.assert_allclose(model.powers[:, 1], GAIN, rtol=1e-4)
    np.testing.assert_allclose(model.powers[:, 0], 0.1, atol=1e-4)


def test_a_quadratic_map_is_found_and_chosen(tmp_path, rng):
    fold = fold_of(tmp_path, rng, lambda x: 0.2 + GAIN * x + 0.1 * x**2)
    model, card = fitted(fold, [1, 2])
    assert card["degree"] == 2
    np.testing.assert_allclose(model.powers, [[0.2, g, 0.1] for g in GAIN], atol=1e-3)
    assert card["validation_mse"] < 0.01 * fitted(fold, [1])[1]["validation_mse"]


def test_voxels_need_not_match(tmp_path, rng):
    fold = fold_of(tmp_path, rng, lambda x: (GAIN * x)[::-1])
    model, _ = fitted(fold, [1])
    np.testing.assert_allclose(model.powers[:, 1], GAIN, rtol=1e-4)


def scored(values):
    z = (values - values.mean()) / values.std()
    return np.array([values.mean(), values.std(), *((z**p).mean() for p in range(7))])


def test_a_skewness_that_no_map_reaches_leaves_mean_and_variance(rng):
    x = rng.gamma(3, 1, 10_000)
    powers = match(scored(x), scored(-x), 2)
    found = scored(np.polynomial.Polynomial(powers)(x))
    np.testing.assert_allclose(found[:2], scored(-x)[:2])
    assert found[5] < scored(x)[5]


def test_a_fitted_model_survives_its_arrays(tmp_path, rng):
    fold = fold_of(tmp_path, rng, lambda x: GAIN * x + 0.1 * x**2)
    model, _ = fitted(fold, [2])
    again = build(Specification("classical", "moments", {"degrees": [2]}, model.task))
    again.restore(model.arrays())
    image, mask = fold.image("b", "source"), fold.mask("b", "source")
    mask[:5] = 0
    predicted = [m.apply(image, mask, card=None, target="t") for m in (model, again)]
    np.testing.assert_array_equal(*predicted)
    assert (predicted[0][:5] == 0).all()
