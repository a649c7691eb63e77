"""The slice that figures show: which one, which way round, and what is drawn from it."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from harmonization.images.spherical_harmonics import harmonics
from harmonization.learning.lattice import Lattice
from harmonization.report import errors, glyphs
from harmonization.report.errors import draw_errors, scales_of
from harmonization.report.orientations import crossing, direction_colours, plane_directions
from harmonization.report.scores import Scoring
from harmonization.report.slices import choose_slice, cut_slice, richest_window
from harmonization.report.style import MM, PRINT, cells_on_page

RAS = np.diag([2.0, 2.0, 2.0, 1.0])
LAS = np.diag([-2.0, 2.0, 2.0, 1.0])
X, Y, Z = np.eye(3)


def distribution(*directions):
    """Coefficients (28,) of a distribution with a peak in each direction."""
    return sum(harmonics(np.array([d]) / np.linalg.norm(d), 6)[0] for d in directions)


def scoring_of(mask):
    statistics = {"mean": [0.0] * 28, "std": [1.0] * 28}
    lattice = Lattice(core=7)
    patches = np.argwhere(lattice.touched(mask))
    return Scoring(mask, lattice, 1, statistics, patches)


@pytest.fixture
def head():
    """Target (14, 14, 7, 28) with a brain of fewer voxels, stored from left to right."""
    target = np.zeros((14, 14, 7, 28), np.float32)
    brain = np.zeros(target.shape[:3], np.uint8)
    brain[1:13, 2:12, 1:6] = 1
    target[brain > 0] = distribution(X)
    return target, brain


def tissue_at(brain, *voxels):
    tissue = np.where(brain > 0, 1, 0)
    for voxel in voxels:
        tissue[voxel] = 4
    return tissue


def cut(target, brain, affine=RAS, tissue=None, prediction=None, mask=None):
    prediction = target if prediction is None else prediction
    scoring = scoring_of(brain if mask is None else mask)
    return cut_slice(prediction, target, affine, scoring, brain, tissue)


def test_the_slice_with_the_most_lesion_is_shown(head):
    target, brain = head
    lesion = tissue_at(brain, (5, 5, 2), (5, 5, 4), (6, 5, 4))
    shown = cut(target, brain, tissue=lesion)
    assert shown["lesion"].sum() == 2
    assert shown["lesion"][5, 4] == shown["lesion"][6, 4] == 1  # the box starts at (0, 1)


def test_without_a_lesion_it_is_the_slice_with_the_most_scored_brain():
    scored = np.zeros((4, 4, 6), bool)
    scored[:2, :, 1:5] = True
    scored[:3, :, 3] = True
    nothing = np.zeros_like(scored)
    assert choose_slice(scored, nothing, 1) == 3
    # At the end of a slab the brain may be widest.
    scored[:, :, 4] = True
    assert choose_slice(scored, nothing, 1) == 3
    # A lesion that is not scored is none.
    elsewhere = nothing.copy()
    elsewhere[3, 3, 2] = True
    assert choose_slice(scored, elsewhere, 1) == 3


def test_every_method_has_the_same_slice_window_and_box(head):
    target, brain = head
    reached = brain.copy()
    reached[:, :, 3:] = 0
    whole, partly = cut(target, brain), cut(target, brain, mask=reached, prediction=2 * target)
    for name in ("target", "lesion", "corner", "axes", "target_glyphs"):
        assert np.array_equal(whole[name], partly[name])
    assert whole["mask"].any()
    assert not partly["mask"].any()


@pytest.mark.parametrize(
    "affine", [RAS, LAS], ids=["stored from the left", "stored from the right"]
)
def test_the_subjects_left_is_shown_at_the_left_however_it_is_stored(head, affine):
    target, brain = head
    if affine is LAS:
        target, brain = target[::-1], brain[::-1]
    world_left = 3 if affine is RAS else 10  # index of the fourth voxel from the subject's left
    target = target.copy()
    target[world_left, 6, :, 0] = 9
    shown = cut(target, brain, affine)
    assert np.argwhere(shown["target"] == 9).tolist() == [[3, 5]]
    assert shown["axes"][0, 0] > 0
    (figure,) = draw_errors({"A": shown}, "A", "")
    axis = next(a for a in figure.axes if a.get_ylabel() == "Measured")
    row, column = np.argwhere(axis.images[0].get_array() == 9)[0]
    assert axis.transData.transform((column, row))[0] < axis.transData.transform((6, 0))[0]
    left, right = (t for t in axis.texts if t.get_text() in "LR")
    assert (left.get_text(), right.get_text()) == ("L", "R")
    assert left.get_position()[0] < 0.5 < right.get_position()[0]


def test_images_stored_along_other_axes_are_turned(head):
    target, brain = head
    target = target.copy()
    target[3, 6, :, 0] = 9
    swapped = np.array([[0, 0, 2.0, 0], [2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1]])
    shown = cut(target.transpose(1, 2, 0, 3), brain.transpose(1, 2, 0), swapped)
    assert np.array_equal(shown["target"], cut(target, brain)["target"])


def test_maps_by_hand(head):
    target, brain = head
    prediction = target.copy()
    prediction[..., 1:6] *= 2
    prediction[..., 27] += 5
    prediction[brain == 0] = 0
    shown = cut(target, brain, prediction=prediction)
    inside = shown["mask"] > 0
    np.testing.assert_allclose(
        shown["prediction_energy"][inside], 2 * shown["target_energy"][inside], rtol=1e-5
    )
    energy = (distribution(X)[1:6] ** 2).sum()
    np.testing.assert_allclose(shown["target_energy"][inside], np.sqrt(energy), rtol=1e-5)
    np.testing.assert_allclose(shown["error"][inside], np.sqrt((energy + 25) / 28), rtol=1e-5)
    assert shown["target_glyphs"].shape == (13, 12, 28)
    assert {shown[name].dtype.name for name in ("prediction", "error", "target_glyphs")} == {
        "float32"
    }


def test_colours_are_as_bright_as_the_targets(head):
    target, brain = head
    assert direction_colours(distribution(X)[None]).argmax() == 0
    shown = cut(target, brain, prediction=target / 2)
    inside = shown["mask"] > 0
    assert (shown["target_colours"][inside].argmax(axis=-1) == 0).all()
    assert (shown["target_colours"][inside][:, 0] == 255).all()
    halved = shown["target_colours"][inside] / 2
    np.testing.assert_allclose(shown["prediction_colours"][inside], halved, atol=1)


def test_a_crossing_in_the_plane_is_found():
    axes = np.array([X, Y])
    voxels = np.stack([distribution(X), distribution(X, Y), distribution(X, Z)])[None]
    one, two, through = crossing(voxels, axes)[0]
    assert two > 2 * max(one, through, 0.1)


def test_the_window_of_glyphs_is_around_the_lesion_or_else_a_crossing():
    target = np.tile(distribution(X).astype(np.float32), (40, 40, 7, 1))
    brain = np.ones(target.shape[:3], np.uint8)
    target[28:34, 27:31] = distribution(X, Y)
    assert (abs(cut(target, brain)["corner"] + 6.5 - [31, 29]) <= 5).all()
    lesion = tissue_at(brain, (10, 20, 3))
    assert (abs(cut(target, brain, tissue=lesion)["corner"] + 6 - [10, 20]) <= 1).all()
    values = np.zeros((9, 9))
    values[8, 2] = 1
    assert richest_window(values, 1) == (8, 2)


def test_glyphs_point_where_the_fibres_do():
    """Also in a slice that is turned against the world."""
    turned = np.array([X + Y, Y - X])
    for axes, along in ((np.array([X, Y]), [1, 1]), (turned, [1, 0])):
        outline = glyphs.glyphs(distribution(X + Y)[None, None], axes, 1.0)[0, 0]
        tip = outline[np.linalg.norm(outline, axis=1).argmax()]
        np.testing.assert_allclose(
            abs(tip / np.linalg.norm(tip)), along / np.linalg.norm(along), atol=0.05
        )
    np.testing.assert_allclose(plane_directions(turned) @ Z, 0, atol=1e-12)


def shown_methods(head, number):
    target, brain = head
    return {
        f"Method {n}": cut(target, brain, prediction=target + np.float32(0.1 * n))
        for n in range(number)
    }


def test_the_best_rival_is_the_one_with_the_least_error_in_the_slice(head):
    slices = shown_methods(head, 4)
    assert glyphs.best_of(slices, ["Method 3", "Method 1", "Method 2"]) == "Method 1"
    assert glyphs.best_of(slices, []) is None
    figure = glyphs.draw_glyphs(slices, "Method 0", ["Method 3", "Method 1"], "")
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[1:3] == ["Measured", "Method 0"]
    assert titles[3].startswith("Method 1,")
    plt.close(figure)


def test_the_difference_is_centred_and_where_both_are(head):
    slices = shown_methods(head, 3)
    slices["Method 2"]["mask"][0] = 0
    scale = scales_of(slices, "Method 1")["difference"]
    assert scale.vmin == -scale.vmax < 0
    change = errors.difference(slices["Method 2"], slices["Method 1"])
    np.testing.assert_allclose(change[5, 5], 0.1, rtol=1e-4)
    assert np.isnan(change[slices["Method 2"]["mask"] == 0]).all()


@pytest.mark.parametrize(("number", "on_pages"), [(1, [1]), (24, [24]), (63, [21, 21, 21])])
def test_the_figure_fits_pages_and_is_legible(head, number, on_pages):
    slices = shown_methods(head, number)
    pages = draw_errors(slices, "Method 0", "prisma_st of subject 01")
    labels = [a.get_ylabel() for page in pages for a in page.axes if a.get_ylabel()]
    assert [name.replace("\n", " ") for name in labels if name != "Measured"] == list(slices)
    for page, methods in zip(pages, on_pages, strict=True):
        assert_page(page, methods)


def assert_page(figure, number):
    width, height = figure.get_size_inches() / MM
    assert width == pytest.approx(PRINT)
    assert height <= 257
    figure.draw_without_rendering()
    texts = [t for t in figure.findobj(plt.Text) if t.get_text()]
    assert min(t.get_fontsize() for t in texts) >= 6
    labels = [a.get_ylabel() for a in figure.axes if a.get_ylabel()]
    assert len(labels) == number + 1
    pictures = [a.get_position() for a in figure.axes if a.images and not a.get_xlabel()]
    for one in pictures:
        assert 0 <= one.x0 < one.x1 <= 1
        assert 0 <= one.y0 < one.y1 <= 1
        assert sum(one.overlaps(other) for other in pictures) == 1
    assert min(p.width for p in pictures) * PRINT >= 12
    plt.close(figure)


def test_pictures_are_as_large_as_the_page_allows():
    assert cells_on_page(7, 5, 1.25, 220, 8, 1)[0] == 1
    blocks, width, height = cells_on_page(26, 5, 1.25, 220, 8, 1)
    assert blocks == 2
    assert height == pytest.approx(1.25 * width)
