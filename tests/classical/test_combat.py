"""ComBat, against differences between platforms that it must undo."""

import numpy as np
import pytest

from harmonization.classical.combat import Combat, affine_maps
from harmonization.files import InputError
from harmonization.learning.models import FitSettings, Specification, build
from harmonization.learning.network import Task

CHANNELS = 6


def combat(r, choices):
    return Combat(Task(CHANNELS, {"t": r}, "t", 0), empirical_bayes=choices)


def test_a_gain_and_an_offset_of_each_feature_are_undone_exactly(rng):
    source = rng.standard_normal((5, 40))
    gain, offset = rng.uniform(0.5, 2, 40), rng.standard_normal(40)
    scale, shift = affine_maps(source, gain * source + offset)[False]
    np.testing.assert_allclose(scale, gain)
    np.testing.assert_allclose(shift, offset, atol=1e-9)


def test_empirical_bayes_steadies_what_few_people_tell(rng):
    """All features have the same gain, and noise; three people cannot tell it for each alone."""
    truth = rng.standard_normal((3, 5000))
    source, target = (g * truth + 0.3 * rng.standard_normal(truth.shape) for g in (1, 2))
    errors = {
        bayes: np.median(np.abs(scale - 2))
        for bayes, (scale, _) in affine_maps(source, target).items()
    }
    assert errors[True] < 0.7 * errors[False]


def test_a_gain_is_undone_in_a_head(gained_fold, gained_template, r, gains):
    model = combat(r, [False])
    model.fit(gained_fold, FitSettings(template=gained_template))
    source, mask = gained_fold.image("c", "source"), gained_fold.mask("c", "source")
    image = model.apply(source, mask, card=None, target="t")
    wanted = np.kron(gains * source, np.ones((r, r, r, 1)))
    error, before = (
        np.abs(x - wanted).mean() for x in (image, np.kron(source, np.ones((r, r, r, 1))))
    )
    assert error < (0.15 if r == 1 else 0.5) * before


def test_what_is_better_on_validation_is_chosen(gained_fold, gained_template, r):
    settings = FitSettings(template=gained_template)
    both = combat(r, [True, False]).fit(gained_fold, settings).card
    alone = {
        choice: combat(r, [choice]).fit(gained_fold, settings).card["validation_mse"]
        for choice in (True, False)
    }
    assert alone[True] != alone[False]
    assert both["validation_mse"] == alone[both["empirical_bayes"]] == min(alone.values())


def test_a_fitted_model_needs_no_more_than_its_arrays(gained_fold, gained_template, r):
    model = combat(r, [True, False])
    model.fit(gained_fold, FitSettings(template=gained_template))
    again = build(
        Specification("classical", "combat", {"empirical_bayes": [True, False]}, model.task)
    )
    again.restore(model.arrays())
    image, mask = gained_fold.image("c", "source"), gained_fold.mask("c", "source")
    predicted = [m.apply(image, mask, card=None, target="t") for m in (model, again)]
    np.testing.assert_array_equal(*predicted)


def test_one_training_subject_is_refused(gained_fold, gained_template, r, monkeypatch):
    monkeypatch.setattr(gained_fold, "subjects", lambda part: {"train": ["a"]}.get(part, ["c"]))
    with pytest.raises(InputError, match="needs the variance over training subjects"):
        combat(r, [True]).fit(gained_fold, FitSettings(template=gained_template))
