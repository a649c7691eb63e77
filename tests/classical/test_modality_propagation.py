"""Modality propagation, against cases whose nearest patches are known."""

from itertools import islice, product

import numpy as np
import pytest
from conftest import write_fold
from scipy.ndimage import gaussian_filter

from harmonization.classical.modality_propagation import (
    PATCH,
    WINDOW,
    ModalityPropagation,
    interpolation,
    mean_of,
    mean_of_parts,
    search,
)
from harmonization.images.coefficients import normalise
from harmonization.images.grids import channels_to_parts, parts_to_channels
from harmonization.images.nifti import write_image
from harmonization.images.template import OUTSIDE, pull
from harmonization.learning.common_space import TemplateModel, coarse
from harmonization.learning.manifest import Fold
from harmonization.learning.models import FitSettings, Specification, build
from harmonization.learning.network import Task
from harmonization.learning.template import Template

SHAPE, CHANNELS = (10, 9, 8), 6
HALF = 1e-3  # error of half precision, of a value or of a standard deviation


@pytest.fixture(params=[1, 2])
def r(request):
    return request.param


def head(number):
    """A noisy source, and a bend of it without the noise as the target.

    Heads differ by their noise and are one voxel apart, which the registration has missed.
    """
    anatomy = np.random.default_rng(3).standard_normal((*np.add(SHAPE, 3), CHANNELS))
    anatomy = 8 * gaussian_filter(anatomy, (1, 1, 1, 0))[number:, number:, number:]
    source = anatomy[tuple(slice(n) for n in SHAPE)].astype(np.float32)
    noise = 0.2 * np.random.default_rng(number).standard_normal(source.shape)
    return source + noise.astype(np.float32), source + source**2 / 2


def fine(target, r, slope=0.0):
    """Split each voxel into r^3 parts; the first coefficient has a slope along them."""
    image = np.kron(target, np.ones((r, r, r, 1), dtype=np.float32))
    image[..., 0] += slope * np.indices(image.shape[:3]).sum(axis=0)
    return image


@pytest.fixture
def fold(tmp_path, r):
    scans = {}
    for number, subject in enumerate("abc"):
        source, target = head(number)
        mask = np.ones(SHAPE)
        mask[0], mask[:, 0] = 0, 0
        scans[subject] = {
            "source": (source, mask),
            "t": (fine(target, r, slope=0.1), fine(mask[..., None], r)[..., 0]),
        }
    return Fold(write_fold(tmp_path, scans, {"t": r}))


@pytest.fixture
def template(tmp_path):
    """Heads are where they are."""
    write_image(tmp_path / "template.nii", np.ones(SHAPE, dtype=np.float32), np.eye(4))
    write_image(tmp_path / "warp.nii", identity(SHAPE), np.eye(4))
    return Template(tmp_path / "template.nii", *[tmp_path / "warp.nii"] * 4, subjects=["a", "b"])


def identity(shape):
    return np.moveaxis(np.indices(shape, dtype=np.float32), 0, -1)


def fitted(fold, template, r, **settings):
    model = ModalityPropagation(Task(CHANNELS, {"t": r}, "t", 0), **settings)
    return model, model.fit(fold, FitSettings(template=template)).card


def predict(model, fold, subject):
    source, mask = fold.image(subject, "source"), fold.mask(subject, "source")
    return model.predict_placed(source, mask, identity(SHAPE))


def brain_error(image, fold, subject):
    brain = fold.mask(subject, "t") > 0
    return ((image - fold.image(subject, "t"))[brain] ** 2).mean()


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_subject_of_the_atlas_gets_its_own_target(fold, template, r, rounds):
    model, _ = fitted(fold, template, r, neighbours=[1], rounds=1)
    model.chosen[1] = rounds
    found, wanted = (
        normalise(image, fold.normalisation["t"])[fold.mask("a", "t") > 0]
        for image in (predict(model, fold, "a"), fold.image("a", "t"))
    )
    np.testing.assert_allclose(found, wanted, rtol=HALF, atol=HALF)


def test_a_function_of_the_source_is_found_in_another_head(fold, template, r):
    """Better than by the training mean, and than by the same place in the head of the atlas."""
    model, _ = fitted(fold, template, r, neighbours=[1, 5], rounds=2)
    error = brain_error(predict(model, fold, "b"), fold, "b")
    assert error < 0.25 * brain_error(np.array(fold.normalisation["t"]["mean"]), fold, "b")
    assert error < 0.25 * brain_error(fold.image("a", "t"), fold, "b")


def test_a_fit_tries_what_the_model_then_predicts(fold, template, r, monkeypatch):
    """A fit goes on from round to round; a prediction starts from the first."""
    seen, measure = [], ModalityPropagation.validation_mse

    def measured(model, fold):
        seen.append(measure(model, fold))
        return seen[-1]

    monkeypatch.setattr(ModalityPropagation, "validation_mse", measured)
    model, card = fitted(fold, template, r, neighbours=[40, 4], rounds=3)
    tried = list(seen)
    assert len(set(tried)) == 2 * 3
    assert card["validation_mse"] == min(tried)
    monkeypatch.setattr(ModalityPropagation, "predict_known", TemplateModel.predict_known)
    for trial, error in zip(product([40, 4], [1, 2, 3]), tried, strict=True):
        model.chosen = np.array(trial)
        assert model.validation_mse(fold) == error


def test_the_best_round_is_chosen(fold, template, r, monkeypatch):
    errors = iter([5.0, 4.0, 3.0, 6.0, 2.0, 2.0])
    monkeypatch.setattr(ModalityPropagation, "validation_mse", lambda *_: next(errors))
    model, card = fitted(fold, template, r, neighbours=[7, 9], rounds=3)
    assert card == {"neighbours": 9, "rounds": 2, "validation_mse": 2.0}
    assert model.chosen.tolist() == [9, 2]


def test_a_fitted_model_needs_no_more_than_its_arrays(fold, template, r):
    settings = {"neighbours": [1, 4], "rounds": 2}
    model, _ = fitted(fold, template, r, **settings)
    again = build(Specification("classical", "modality_propagation", settings, model.task))
    again.restore(model.arrays())
    for name, values in model.arrays().items():
        assert again.arrays()[name].numpy().tobytes() == values.numpy().tobytes()
    images = [predict(m, fold, "b") for m in (model, again)]
    np.testing.assert_array_equal(*images)


def test_only_training_subjects_are_in_the_atlas(fold, template, r):
    model, _ = fitted(fold, template, r, neighbours=[1], rounds=1)
    brain = fold.mask("a", "source") > 0
    np.testing.assert_array_equal(model.brains, brain[None])
    source = model._normalised(fold.image("a", "source"), 0)[brain]
    np.testing.assert_array_equal(model.sources, source.astype(np.float16))


def small_atlas(heads):
    """A model of one coefficient with an atlas of (source, target) lines of voxels."""
    model = ModalityPropagation(Task(1, {"t": 1}, "t", 0), neighbours=[1], rounds=1)
    model.units = np.array([[[0.0], [1.0]]] * 2)
    sources, targets = np.array(heads, dtype=np.float16).swapaxes(0, 1)
    model.brains = np.ones((len(heads), 1, 1, sources.shape[1]), dtype=bool)
    model.sources, model.targets = sources.reshape(-1, 1), targets.reshape(-1, 1)
    return model


def predictions(model, source, rounds, to_template=None):
    image = np.array(source, dtype=np.float32).reshape(1, 1, -1, 1)
    place = identity(image.shape[:3]) if to_template is None else to_template
    rounds = islice(model._predictions(image, np.ones(image.shape[:3]), place), rounds)
    return [image.ravel().tolist() for image in rounds]


def test_the_second_round_asks_the_prediction_where_sources_tie():
    """In the middle both patches are (0, 0, 0), and the first subject wins the tie.

    Its neighbours see the 5 and take the second subject's target. In the second round the patch of
    the prediction, (1, -1, 1), is nearer to (1, 1, 1) than to (-1, -1, -1).
    """
    wrong = [9, 0, 0, 0, 9], [-1] * 5
    right = [5, 0, 0, 0, 5], [1] * 5
    one, two = predictions(small_atlas([wrong, right]), right[0], rounds=2)
    assert one == [1, 1, -1, 1, 1]
    assert two == [1, 1, 1, 1, 1]


def test_the_mean_of_the_nearest_targets_is_taken():
    model = small_atlas([([0] * 5, [4] * 5), ([1] * 5, [6] * 5), ([7] * 5, [100] * 5)])
    model.chosen[0] = 2 * 3  # all that the voxels at the ends see of the first two subjects
    (values,) = predictions(model, [0.4] * 5, rounds=1)
    assert values[0] == values[-1] == 5


def test_without_a_candidate_the_source_stands_in_in_units_of_the_target():
    model = small_atlas([([0] * 3, [4] * 3)])
    model.units = np.array([[[1.0], [2.0]], [[10.0], [4.0]]])
    nowhere = np.full((1, 1, 3, 3), OUTSIDE)
    assert predictions(model, [1, 3, 5], 2, nowhere) == [[10, 14, 18]] * 2


def test_the_search_finds_what_comparing_all_patches_finds():
    rng = np.random.default_rng(5)
    shape, count = (2, 3, 7), 5
    query = rng.standard_normal((*shape, 2)).astype(np.float32)
    brain = rng.random(shape) < 0.8
    keys = rng.standard_normal((2, *shape, 2)).astype(np.float32)
    keys[rng.random((2, *shape)) < 0.3] = np.nan
    found = search(query, brain, keys, count)
    for voxel, candidates in zip(np.argwhere(brain), found.T, strict=True):
        wanted = compare_all(query, brain, keys, voxel)[:count]
        assert sorted(candidates) == sorted(wanted + [-1] * (count - len(wanted)))


def compare_all(query, brain, keys, voxel):
    """Candidates of one voxel, the nearest first."""
    compared = []
    for number, key in enumerate(keys.reshape(-1, 2)):
        subject, *place = np.unravel_index(number, keys.shape[:4])
        if np.abs(place - voxel).max() <= WINDOW // 2 and np.isfinite(key).all():
            squares = []
            for step in product(range(-(PATCH // 2), PATCH // 2 + 1), repeat=3):
                here, there = voxel + step, place + np.array(step)
                if all((i >= 0).all() and (i < brain.shape).all() for i in (here, there)):
                    square = ((query[tuple(here)] - keys[subject][tuple(there)]) ** 2).sum()
                    # The brain is the new head's, at the voxel; NaN is outside of the atlas's.
                    if brain[tuple(here)] and np.isfinite(square):
                        squares.append(square)
            compared.append((np.mean(squares), number))
    return [number for _, number in sorted(compared)]


def test_the_mean_of_candidates_leaves_out_what_was_not_found():
    candidates = np.array([[0, 3, -1], [2, -1, -1]])  # of 2 subjects with 2 places
    weights = [interpolation(identity((1, 1, 2)), np.ones((1, 1, 2), dtype=bool))] * 2
    values = np.array([[[1.0], [2.0]], [[3.0], [4.0]]], dtype=np.float32)
    np.testing.assert_array_equal(mean_of(candidates, weights, values)[:, 0], [2, 4, np.nan])


def test_in_a_brain_interpolation_is_linear():
    rng = np.random.default_rng(6)
    image = rng.standard_normal((4, 5, 6, 2)).astype(np.float32)
    places = (rng.random((3, 3, 3, 3)) * [3, 4, 5]).astype(np.float32)
    weights = interpolation(places, np.ones(image.shape[:3], dtype=bool))
    found = (weights @ image.reshape(-1, 2)).reshape(3, 3, 3, 2)
    np.testing.assert_allclose(found, pull(image, places), atol=1e-5)


def test_a_point_belongs_to_the_brain_that_has_most_of_its_weight():
    places = np.array([0.0, 0.75, 0.25, OUTSIDE, 2.0])
    points = np.zeros((1, 1, 5, 3))
    points[..., 2] = places
    points[0, 0, 3] = OUTSIDE
    weights = interpolation(points, np.array([[[False, True, True]]]))
    wanted = [[0, 0], [1, 0], [0, 0], [0, 0], [0, 1]]
    np.testing.assert_array_equal(weights.toarray(), wanted)


def test_parts_keep_their_places():
    image = np.arange(4 * 6 * 2 * 3, dtype=np.float32).reshape(4, 6, 2, 3)
    channels = parts_to_channels(image, 2)
    first = image[:2, :2, :2].reshape(8, 3)
    np.testing.assert_array_equal(channels[0, 0, 0].reshape(8, 3), first)
    np.testing.assert_array_equal(channels_to_parts(channels, 2), image)
    means = mean_of_parts(channels.reshape(-1, 24), 2).reshape(2, 3, 1, 3)
    np.testing.assert_allclose(means, coarse(image, 2))
