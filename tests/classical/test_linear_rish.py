"""Linear RISH, against gains that it must undo."""

import itertools

import numpy as np
import pytest

from harmonization.classical.linear_rish import LinearRish, ratios
from harmonization.learning.models import FitSettings, Specification, build
from harmonization.learning.network import Task

CHANNELS = 6
SETTINGS = {"widths": [0.0], "floors": [1e-3], "highest_orders": [2]}


@pytest.mark.parametrize("width", [0.0, 2.0])
def test_a_gain_of_each_order_is_undone(gained_fold, gained_template, r, gains, width):
    model = LinearRish(Task(CHANNELS, {"t": r}, "t", 0), **SETTINGS | {"widths": [width]})
    model.fit(gained_fold, FitSettings(template=gained_template))
    np.testing.assert_allclose(model.mean_scales, [2.0, 0.5], rtol=1e-3)
    np.testing.assert_allclose(np.median(model.scales, axis=(0, 1, 2)), [2.0, 0.5], rtol=0.01)
    source, mask = gained_fold.image("c", "source"), gained_fold.mask("c", "source")
    image = model.apply(source, mask, card=None, target="t")
    if r == 1:
        assert np.abs(image - gains * source).mean() < 0.02 * np.abs(gains * source).mean()
    assert image.shape == (*(n * r for n in mask.shape), CHANNELS)


def test_settings_are_chosen_on_validation(gained_fold, gained_template, r):
    tried = {"widths": [0.0, 1.0], "floors": [1e-3, 0.3], "highest_orders": [0, 2]}

    def fitted(**settings):
        model = LinearRish(Task(CHANNELS, {"t": r}, "t", 0), **settings)
        return model.fit(gained_fold, FitSettings(template=gained_template)).card

    errors = {
        combination: fitted(**{k: [v] for k, v in zip(tried, combination, strict=True)})
        for combination in itertools.product(*tried.values())
    }
    best = min(errors, key=lambda combination: errors[combination]["validation_mse"])
    found = fitted(**tried)
    assert [found[key] for key in ("width", "floor", "highest_order")] == list(best)
    assert found["tried"] == {str(c): card["validation_mse"] for c, card in errors.items()}
    assert best[-1] == 2  # both orders have a gain


def test_orders_above_the_highest_stay_as_they_are():
    source = np.ones((2, 3, 3, 3, 2))
    for scales in ratios(source, 4 * source, 0.0, 0.0, highest_order=0):
        np.testing.assert_allclose(scales[..., 0], 2)
        np.testing.assert_array_equal(scales[..., 1], 1)


def test_a_fitted_model_needs_no_more_than_its_arrays(gained_fold, gained_template, r):
    model = LinearRish(Task(CHANNELS, {"t": r}, "t", 0), **SETTINGS)
    model.fit(gained_fold, FitSettings(template=gained_template))
    again = build(Specification("classical", "linear_rish", SETTINGS, model.task))
    again.restore(model.arrays())
    image, mask = gained_fold.image("c", "source"), gained_fold.mask("c", "source")
    predicted = [m.apply(image, mask, card=None, target="t") for m in (model, again)]
    np.testing.assert_array_equal(*predicted)


def test_where_no_head_is_the_mean_stands_in():
    source = np.full((2, 3, 3, 3, 1), np.nan)
    source[:, 0] = 1.0
    scales, mean = ratios(source, 4 * source, 0.0, 1e-3, 6)
    np.testing.assert_allclose(scales[..., 0], 2, rtol=1e-3)
    np.testing.assert_allclose(mean, 2)
