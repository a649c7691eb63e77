"""Linear RISH, against gains that it must undo."""

import numpy as np
import pytest
from conftest import write_fold
from scipy.ndimage import gaussian_filter

from harmonization.classical.linear_rish import LinearRish, ratios
from harmonization.images.nifti import write_image
from harmonization.images.template import brightness, build_template, register
from harmonization.learning.manifest import Fold
from harmonization.learning.models import FitSettings, Specification, build
from harmonization.learning.network import Task
from harmonization.learning.template import Template

SHAPE, CHANNELS = (14, 14, 14), 6
GAINS = np.array([2.0, *[0.5] * 5], dtype=np.float32)  # of orders 0 and 2


@pytest.fixture(params=[1, 2])
def r(request):
    return request.param


@pytest.fixture
def fold(tmp_path, r):
    """Targets are their sources with a gain for each order, split into r^3 voxels."""
    rng = np.random.default_rng(3)
    shape = gaussian_filter(rng.standard_normal(SHAPE), 2)
    scans = {}
    for subject in "abc":
        own = gaussian_filter(rng.standard_normal((*SHAPE, CHANNELS)), (2, 2, 2, 0))
        source = (own * 4).astype(np.float32)
        source[..., 0] = 1 + 3 * shape + own[..., 0]
        target = np.kron(GAINS * source, np.ones((r, r, r, 1), dtype=np.float32))
        mask = np.ones(SHAPE)
        scans[subject] = {
            "source": (source, mask),
            "t": (target, np.ones(target.shape[:3])),
        }
    return Fold(write_fold(tmp_path, scans, {"t": r}))


@pytest.fixture
def template(fold, tmp_path):
    subjects = fold.subjects("train") + fold.subjects("validation")
    heads = {s: brightness(fold.image(s, "source"), fold.mask(s, "source")) for s in subjects}
    image = build_template([heads[s] for s in fold.subjects("train")])
    write_image(tmp_path / "template.nii", image, np.eye(4))
    files = [tmp_path / "template.nii"]
    for subject, head in heads.items():
        warp = register(image, head)
        for name in ("to_head", "to_template"):
            files.append(tmp_path / f"{subject}_{name}.nii")
            write_image(files[-1], getattr(warp, name), np.eye(4))
    return Template(*files, subjects=subjects)


@pytest.mark.parametrize("width", [0.0, 2.0])
def test_a_gain_of_each_order_is_undone(fold, template, r, width):
    model = LinearRish(Task(CHANNELS, {"t": r}, "t", 0), widths=[width])
    model.fit(fold, FitSettings(template=template))
    np.testing.assert_allclose(model.mean_scales, [2.0, 0.5], rtol=1e-3)
    np.testing.assert_allclose(np.median(model.scales, axis=(0, 1, 2)), [2.0, 0.5], rtol=0.01)
    source, mask = fold.image("b", "source"), fold.mask("b", "source")
    image = model.apply(source, mask, card=None, target="t")
    if r == 1:
        assert np.abs(image - GAINS * source).mean() < 0.02 * np.abs(GAINS * source).mean()
    assert image.shape == (*(n * r for n in SHAPE), CHANNELS)


def test_the_width_is_chosen_on_validation(fold, template, r):
    model = LinearRish(Task(CHANNELS, {"t": r}, "t", 0), widths=[0.0, 1.0])
    card = model.fit(fold, FitSettings(template=template)).card
    errors = []
    for width in (0.0, 1.0):
        alone = LinearRish(model.task, widths=[width])
        errors.append(alone.fit(fold, FitSettings(template=template)).card["validation_mse"])
    assert card["validation_mse"] == min(errors)


def test_a_fitted_model_needs_no_more_than_its_arrays(fold, template, r):
    model = LinearRish(Task(CHANNELS, {"t": r}, "t", 0), widths=[1.0])
    model.fit(fold, FitSettings(template=template))
    again = build(Specification("classical", "linear_rish", {"widths": [1.0]}, model.task))
    again.restore(model.arrays())
    image, mask = fold.image("b", "source"), fold.mask("b", "source")
    predicted = [m.apply(image, mask, card=None, target="t") for m in (model, again)]
    np.testing.assert_array_equal(*predicted)


def test_where_no_head_is_the_mean_stands_in():
    source = np.full((2, 3, 3, 3, 1), np.nan)
    source[:, 0] = 1.0
    scales, mean = ratios(source, 4 * source, 0.0)
    np.testing.assert_allclose(scales[..., 0], 2, rtol=1e-3)
    np.testing.assert_allclose(mean, 2)
