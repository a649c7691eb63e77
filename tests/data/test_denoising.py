"""Marchenko-Pastur PCA: it is dipy's with a patch around every voxel, nearly as good with fewer."""

import warnings

import numpy as np
import pytest
from dipy.denoise.localpca import mppca

from harmonization.data.denoising import remove_noise

SHAPE, VOLUMES, RADIUS, NOISE = (15, 14, 12), 40, 2, 1.0


@pytest.fixture
def truth():
    """A series (x, y, z, v) of five smooth components, and what is brain of it."""
    points = np.indices(SHAPE) / 6.0
    maps = [np.sin(points[i] + k) * np.cos(points[j]) for i, j, k in np.ndindex(3, 3, 1) if i <= j]
    rng = np.random.default_rng(5)
    series = np.tensordot(maps, rng.normal(0, 5, (len(maps), VOLUMES)), axes=(0, 0)) + 100
    brain = np.zeros(SHAPE, dtype=bool)
    brain[3:, 2:12, 4:] = True
    return series.astype(np.float32), brain


@pytest.fixture
def noisy(truth, rng):
    return truth[0] + rng.normal(0, NOISE, truth[0].shape).astype(np.float32)


def error(denoised, truth):
    series, brain = truth
    return np.sqrt(np.mean((denoised - series)[brain] ** 2))


def by_dipy(noisy, brain):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # division by zero where no patch reaches
        return mppca(noisy, mask=brain, patch_radius=RADIUS)


def test_a_patch_around_every_voxel_gives_what_dipy_gives(noisy, truth):
    expected, brain = by_dipy(noisy, truth[1]), truth[1]
    reached = np.isfinite(expected).all(axis=-1) & brain
    found = remove_noise(noisy, brain, RADIUS, stride=1)
    np.testing.assert_allclose(found[reached], expected[reached], rtol=1e-5)
    np.testing.assert_array_equal(found[~reached], noisy[~reached])


def test_fewer_patches_cost_little_accuracy(noisy, truth):
    fewer = error(remove_noise(noisy, truth[1], RADIUS), truth)
    all_patches = error(remove_noise(noisy, truth[1], RADIUS, stride=1), truth)
    assert all_patches < 0.5 * NOISE
    assert fewer < 1.1 * all_patches


@pytest.mark.parametrize("stride", [1, 2])
def test_patches_reach_all_of_a_brain_that_touches_the_edges(noisy, stride):
    found = remove_noise(noisy, np.ones(SHAPE, dtype=bool), RADIUS, stride)
    assert (found != noisy).any(axis=-1).all()


def test_nothing_is_taken_where_nothing_varies():
    series = np.full((*SHAPE, VOLUMES), 7.0, dtype=np.float32)
    found = remove_noise(series, np.ones(SHAPE, dtype=bool), RADIUS)
    np.testing.assert_allclose(found, series, rtol=1e-6)
