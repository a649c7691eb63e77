"""IQT's forest: one leaf is Ridge, splits are found where they help, and trees are weighed."""

import numpy as np
import pytest
import torch
from conftest import write_fold
from scipy.ndimage import gaussian_filter

from harmonization.classical.iqt_forest import (
    IqtForest,
    Sums,
    energy,
    evidence,
    read_voxels,
)
from harmonization.images.coefficients import denormalise
from harmonization.learning.manifest import Fold
from harmonization.learning.models import Card, FitSettings, NetworkModel, Specification, build
from harmonization.learning.network import Task
from harmonization.networks.linear_patch import LinearPatch

SHAPE, CHANNELS = (21, 14, 14), 6
PENALTIES = [1e-3, 1e-1]
EVERY_VOXEL = 10**6


def fold_of(folder, rng, change, r=1, noise=0.3):
    """Targets are `change` of a source and of where it is bright, split into r^3, plus noise."""
    scans = {}
    for subject in "abc":
        bright = np.arange(SHAPE[0])[:, None, None, None] < SHAPE[0] // 2
        source = rng.standard_normal((*SHAPE, CHANNELS)) * np.where(bright, 2, 0.5)
        mask = np.ones(SHAPE)
        mask[:, :, -3:] = 0
        target = change(source, bright).repeat(r, 0).repeat(r, 1).repeat(r, 2)
        target = target + noise * rng.standard_normal(target.shape)
        fine = mask.repeat(r, 0).repeat(r, 1).repeat(r, 2)
        fine[:3, :3] = 0
        scans[subject] = {"source": (source, mask), "t": (target, fine)}
    return Fold(write_fold(folder, scans, {"t": r}))


def shifted(source):
    return np.concatenate([source[:, :1], source[:, :-1]], axis=1)


def one_map(source, bright):  # noqa: ARG001
    return 0.8 * source + 0.2 * shifted(source)


def two_maps(source, bright):
    return np.where(bright, 0.5 * source, 0.5 - 2 * shifted(source))


def forest(r=1, seed=0, **settings):
    given = {"trees": 1, "voxels": EVERY_VOXEL, "depth": 2, "penalties": PENALTIES} | settings
    return IqtForest(Task(CHANNELS, {"t": r}, "t", seed), **given)


def fitted(fold, **settings):
    model = forest(fold.scales["t"], **settings)
    return model, model.fit(fold, FitSettings()).card


def solved(fold, penalties):
    """Ridge, and what its fit reports."""
    model = NetworkModel(LinearPatch(Task(CHANNELS, fold.scales, "t", 0)))
    return model, model.fit(fold, FitSettings(solve={"penalties": penalties})).card


def ridge(fold, penalties):
    """Ridge's prediction of the validation subject."""
    model, _ = solved(fold, penalties)
    units = {
        "input": fold.normalisation["source"],
        "outputs": {"t": fold.normalisation["t"]},
    }
    lattice = {"core": fold.lattice.core, "minimum_inside": fold.lattice.minimum_inside}
    card = Card(*[None] * 12, lattice, None, units, None, None)
    return model.apply(fold.image("b", "source"), fold.mask("b", "source"), card, "t")


def predicted(model, fold):
    return model.apply(fold.image("b", "source"), fold.mask("b", "source"), card=None, target="t")


def error(image, fold):
    inside = fold.mask("b", "t") > 0
    return ((image - fold.image("b", "t"))[inside] ** 2).mean()


@pytest.mark.parametrize("r", [1, 2])
@pytest.mark.parametrize("penalty", [1e-3, 1.0])
def test_one_leaf_is_ridge(tmp_path, rng, r, penalty):
    fold = fold_of(tmp_path, rng, two_maps, r)
    model, card = fitted(fold, depth=0, penalties=[penalty])
    assert card["leaves"] == 1
    np.testing.assert_allclose(predicted(model, fold), ridge(fold, [penalty]), atol=1e-5)
    # Both select on the same subjects, by the same measure: of whole images, and of patches.
    _, outcome = solved(fold, [penalty])
    assert card["validation_mse"] == pytest.approx(outcome["validation_mse"], rel=1e-5)


def test_a_node_takes_the_penalty_that_is_best_for_the_half_that_validates(tmp_path, rng):
    fold = fold_of(tmp_path, rng, one_map, noise=0.01)
    model, _ = fitted(fold, depth=0, penalties=[10.0, 1e-6, 1.0])
    np.testing.assert_allclose(predicted(model, fold), ridge(fold, [1e-6]), atol=1e-4)


@pytest.mark.parametrize("penalties", [PENALTIES, None])
def test_two_kinds_of_voxels_get_a_map_each(tmp_path, rng, penalties):
    fold = fold_of(tmp_path, rng, two_maps)
    model, card = fitted(fold, trees=2, penalties=penalties)
    assert card["leaves"] >= 4
    found, linear = error(predicted(model, fold), fold), error(ridge(fold, PENALTIES), fold)
    assert found < 0.5 * linear


@pytest.mark.parametrize("penalties", [PENALTIES, None])
def test_a_split_that_does_not_help_is_refused(tmp_path, rng, penalties):
    fold = fold_of(tmp_path, rng, one_map)
    model, card = fitted(fold, trees=3, depth=3, penalties=penalties)
    assert card["leaves"] == 3
    assert (model.features == -1).all()


def test_no_leaf_has_fewer_voxels_than_a_map_has_inputs(tmp_path, rng):
    fold = fold_of(tmp_path, rng, two_maps)
    inputs = 27 * CHANNELS + 1
    # Each of two halves of each of two leaves needs as many voxels.
    assert fitted(fold, voxels=4 * inputs - 1)[1]["leaves"] == 1
    assert fitted(fold, voxels=6 * inputs, penalties=[1e-1])[1]["leaves"] == 2


@pytest.mark.parametrize("penalties", [PENALTIES, None])
@pytest.mark.parametrize("r", [1, 2])
def test_a_fitted_model_survives_its_arrays(tmp_path, rng, penalties, r):
    fold = fold_of(tmp_path, rng, two_maps, r)
    settings = {"trees": 2, "voxels": 1500, "depth": 2, "penalties": penalties}
    model, _ = fitted(fold, **settings)
    again = build(Specification("classical", "iqt_forest", settings, model.task))
    again.restore(model.arrays())
    image = predicted(model, fold)
    np.testing.assert_array_equal(image, predicted(again, fold))
    assert image.dtype == np.float32
    assert (image[:, :, -3 * r :] == 0).all()
    assert again.count_parameters() == model.count_parameters()
    with pytest.raises(KeyError):
        again.restore({"maps": torch.ones(1, 1, 1)})


def test_parameters_are_the_values_of_leaves_and_splits(tmp_path, rng):
    model, card = fitted(fold_of(tmp_path, rng, two_maps), depth=1)
    inputs = 27 * CHANNELS + 1
    assert card["leaves"] == 2
    assert model.count_parameters() == 2 * (inputs * CHANNELS + CHANNELS) + 2


def test_the_seed_draws_the_voxels(tmp_path, rng):
    fold = fold_of(tmp_path, rng, two_maps)
    one, same, other = (
        fitted(fold, trees=2, voxels=1000, seed=seed)[0].arrays() for seed in (0, 0, 1)
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["maps"], other["maps"])
    assert not torch.equal(one["maps"][0], one["maps"][1])


def simulated(rng, voxels, weights, noise):
    """Sums over voxels of a linear model, with a bias of 3."""
    x = np.append(rng.standard_normal((voxels, len(weights))), np.ones((voxels, 1)), axis=1)
    y = x[:, :-1] @ weights + 3 + noise * rng.standard_normal((voxels, weights.shape[1]))
    return Sums(x.T @ x, x.T @ y, (y**2).sum(axis=0))


def test_the_evidence_finds_noise_and_prior(rng):
    noise, prior = np.array([0.5, 2.0]), 0.3
    weights = prior * noise * rng.standard_normal((100, 2))
    penalty, variances = evidence(simulated(rng, 2000, weights, noise))
    np.testing.assert_allclose(variances, noise**2, rtol=0.1)
    np.testing.assert_allclose(penalty * 2000, 1 / prior**2, rtol=0.3)


def test_the_noise_is_not_underestimated_where_weights_are_many(rng):
    """Residuals alone would give less than half of it: 100 weights are fitted to 180 voxels."""
    sums = simulated(rng, 180, rng.standard_normal((100, 20)), 1.0)
    penalty, variances = evidence(sums)
    assert sums.errors(sums.solve(penalty)).mean() / 180 < 0.6
    np.testing.assert_allclose(variances.mean(), 1, rtol=0.1)


def test_pure_noise_shrinks_the_weights_but_not_the_bias(rng):
    sums = simulated(rng, 500, np.zeros((100, 1)), 1.0)
    map_, plain = sums.solve(evidence(sums)[0]), sums.solve(1e-6)
    assert np.linalg.norm(map_[:-1]) < 0.2 * np.linalg.norm(plain[:-1])
    np.testing.assert_allclose(map_[-1], 3, atol=0.15)


def two_leaves(variances, covariances=None):
    """Two trees of one leaf each, which predict 1 and 2 everywhere."""
    model, inputs = forest(trees=2, depth=0), 27 * CHANNELS + 1
    model.leaves = np.array([[0], [1]])
    model.maps = np.zeros((2, inputs, CHANNELS), dtype=np.float32)
    model.maps[:, -1] = [[1], [2]]
    model.variances = np.array(variances, dtype=np.float32)
    model.units[[1, 3]] = 1
    if covariances is not None:
        model.covariances = np.array(covariances, dtype=np.float32)
    return model


def test_trees_count_by_the_inverse_of_their_variance(rng):
    source, mask = rng.standard_normal((3, 3, 3, CHANNELS)).astype(np.float32), np.ones((3, 3, 3))
    model = two_leaves([[1] * CHANNELS, [1] + [3] * (CHANNELS - 1)])
    image = model.predict(source, mask)
    np.testing.assert_allclose(image[..., 0], 1.5, rtol=1e-6)
    np.testing.assert_allclose(image[..., 1:], (1 + 2 / 3) / (1 + 1 / 3), rtol=1e-6)


def test_a_bayesian_map_counts_less_far_from_what_it_has_seen():
    inputs = 27 * CHANNELS + 1
    source, mask = np.zeros((5, 5, 5, CHANNELS), np.float32), np.ones((5, 5, 5))
    source[:1] = 10
    model = two_leaves(np.ones((2, CHANNELS)), [np.zeros((inputs, inputs)), np.eye(inputs)])
    model.covariances[1, -1, -1] = 0
    image = model.predict(source, mask)
    np.testing.assert_allclose(image[2:], 1.5, rtol=1e-6)
    assert (image[0] < 1.001).all()
    x = 9 * CHANNELS * 100  # a ninth of the neighbours on three sides is far
    np.testing.assert_allclose(image[1, 2, 2], (1 + 2 / (1 + x)) / (1 + 1 / (1 + x)), rtol=1e-5)


def test_the_variance_is_that_of_voxels_that_the_map_has_not_seen(tmp_path, rng):
    fold = fold_of(tmp_path, rng, one_map, noise=0.3)
    scale = np.sqrt(np.square(fold.normalisation["t"]["std"]).mean())
    for penalties in (PENALTIES, None):
        model, _ = fitted(fold, depth=0, penalties=penalties)
        deviation = np.sqrt(model.variances.mean()) * scale
        np.testing.assert_allclose(deviation, 0.3, rtol=0.1)


def test_inputs_are_the_neighbourhood(tmp_path, rng):
    fold = fold_of(tmp_path, rng, one_map)
    voxels = read_voxels(fold, "t", 1)
    inside = fold.mask("a", "t") > 0
    inside[:7, :7, 7:] = False  # less than half of this core lies in the mask
    assert len(voxels.rows) == inside.sum()
    place = np.ravel_multi_index((4, 5, 6), SHAPE)
    chosen = np.flatnonzero(np.flatnonzero(inside) == place)
    x = denormalise(
        voxels.inputs(chosen)[0, :-1].reshape(3, 3, 3, -1), fold.normalisation["source"]
    )
    np.testing.assert_allclose(x, fold.image("a", "source")[3:6, 4:7, 5:8], atol=1e-5)


def test_energies_are_those_of_the_orders_here_and_around(rng):
    image = gaussian_filter(rng.standard_normal((9, 9, 9, CHANNELS)), (1, 1, 1, 0))
    found = energy(image)[4, 4, 4]
    for i, size in enumerate((1, 3, 5)):
        cube = image[(slice(4 - size // 2, 5 + size // 2),) * 3] ** 2
        wanted = [cube[..., :1].mean(), cube[..., 1:].mean()]
        np.testing.assert_allclose(found[2 * i : 2 * i + 2], wanted, rtol=1e-4)
