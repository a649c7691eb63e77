"""Linear RISH, against gains that it must undo."""

import numpy as np
import pytest

from harmonization.classical.linear_rish import LinearRish, ratios
from harmonization.learning.models import FitSettings, Specification, build
from harmonization.learning.network import Task

CHANNELS = 6


@pytest.mark.parametrize("width", [0.0, 2.0])
def test_a_gain_of_each_order_is_undone(gained_fold, gained_template, r, gains, width):
    model = LinearRish(Task(CHANNELS, {"t": r}, "t", 0), widths=[width])
    model.fit(gained_fold, FitSettings(template=gained_template))
    np.testing.assert_allclose(model.mean_scales, [2.0, 0.5], rtol=1e-3)
    np.testing.assert_allclose(np.median(model.scales, axis=(0, 1, 2)), [2.0, 0.5], rtol=0.01)
    source, mask = gained_fold.image("c", "source"), gained_fold.mask("c", "source")
    image = model.apply(source, mask, card=None, target="t")
    if r == 1:
        assert np.abs(image - gains * source).mean() < 0.02 * np.abs(gains * source).mean()
    assert image.shape == (*(n * r for n in mask.shape), CHANNELS)


def test_the_width_is_chosen_on_validation(gained_fold, gained_template, r):
    model = LinearRish(Task(CHANNELS, {"t": r}, "t", 0), widths=[0.0, 1.0])
    card = model.fit(gained_fold, FitSettings(template=gained_template)).card
    errors = []
    for width in (0.0, 1.0):
        alone = LinearRish(model.task, widths=[width])
        errors.append(
            alone.fit(gained_fold, FitSettings(template=gained_template)).card["validation_mse"]
        )
    assert card["validation_mse"] == min(errors)


def test_a_fitted_model_needs_no_more_than_its_arrays(gained_fold, gained_template, r):
    model = LinearRish(Task(CHANNELS, {"t": r}, "t", 0), widths=[1.0])
    model.fit(gained_fold, FitSettings(template=gained_template))
    again = build(Specification("classical", "linear_rish", {"widths": [1.0]}, model.task))
    again.restore(model.arrays())
    image, mask = gained_fold.image("c", "source"), gained_fold.mask("c", "source")
    predicted = [m.apply(image, mask, card=None, target="t") for m in (model, again)]
    np.testing.assert_array_equal(*predicted)


def test_where_no_head_is_the_mean_stands_in():
    source = np.full((2, 3, 3, 3, 1), np.nan)
    source[:, 0] = 1.0
    scales, mean = ratios(source, 4 * source, 0.0)
    np.testing.assert_allclose(scales[..., 0], 2, rtol=1e-3)
    np.testing.assert_allclose(mean, 2)
