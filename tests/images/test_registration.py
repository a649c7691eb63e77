"""Registration and grids: a known pose is found, and nothing shifts by a fraction of a voxel."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from conftest import EMBEDDED, ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from harmonization.images.directions import READINGS, name_of, orientation_field
from harmonization.images.grids import (
    canonical,
    in_view,
    points_of_mask,
    rotate_directions,
    split_grid,
    transform_points,
)
from harmonization.images.heads import head
from harmonization.images.registration import (
    assess,
    implausible,
    register,
    register_heads,
    similarity,
)
from harmonization.images.sampling import sample
from harmonization.images.scan import coefficients_on_grid, crop_to_brain
from harmonization.phantom.acquisition import acquire
from harmonization.phantom.effects import EFFECTS, with_effects
from harmonization.phantom.people import Person
from harmonization.plan.phantom import read_parameters

PARAMETERS = read_parameters(ROOT / "config/travelling_heads.yaml")


def errors_of_registration(source, moved):
    """How far off each voxel of the brain comes to lie, mm."""
    found = register(
        source.signal.mean(axis=-1), source.affine, moved.signal.mean(axis=-1), moved.affine
    )
    true = moved.pose @ np.linalg.inv(source.pose)
    brain = points_of_mask(source.mask, source.affine)
    return np.linalg.norm(transform_points(found, brain) - transform_points(true, brain), axis=1)


@pytest.mark.parametrize(
    ("target", "voxel"),
    [("prisma_st", 2.4), pytest.param("connectom_sa", 1.2, marks=pytest.mark.slow)],
)
def test_a_known_pose_is_found_to_half_a_voxel(atlas, target, voxel):
    person = Person(atlas, PARAMETERS, 2019, "01")
    source = acquire(person, "ge_st", "scan", [], (20.0, 28.8))
    moved = acquire(person, target, "scan", [], (20.0, 43.2))
    for scan in (source, moved):
        scan.add_noise()
    error = errors_of_registration(source, moved)
    true = moved.pose @ np.linalg.inv(source.pose)
    brain = points_of_mask(source.mask, source.affine)
    before = np.linalg.norm(brain - transform_points(true, brain), axis=1)
    assert before.mean() > 1.0
    assert error.mean() < voxel / 2
    assert error.max() < 1.2


@pytest.mark.parametrize("subject", ["01", pytest.param("02", marks=pytest.mark.slow)])
def test_no_registration_stops_on_its_way(atlas, subject):
    """Around the world's origin, turns and shifts depend on each other: these were 1 mm off."""
    parameters = with_effects(PARAMETERS, [e for e in EFFECTS if e != "distortion"])
    person = Person(atlas, parameters, 2019, subject)
    source = acquire(person, "ge_st", "scan", [], (20.0, 28.8))
    moved = acquire(person, "prisma_st", "scan", [], (20.0, 43.2))
    for scan in (source, moved):
        scan.add_noise()
    assert errors_of_registration(source, moved).max() < 0.5


@pytest.mark.parametrize(
    "effect",
    ["pose", *(pytest.param(e, marks=pytest.mark.slow) for e in ("distortion", "receive_bias"))],
)
def test_how_much_of_an_effect_is_registration(atlas, effect):
    """Noise-free scans that differ in one effect, at the found pose and at the true one."""
    person = Person(atlas, with_effects(PARAMETERS, [effect]), 2019, "01")
    source = acquire(person, "ge_st", "scan", [1200], (20.0, 16.8))
    moved = acquire(person, "prisma_st", "scan", [1200], (20.0, 31.2))
    b0 = source.bvals == 0
    found = register(
        source.signal[..., b0].mean(axis=-1),
        source.affine,
        moved.signal[..., b0].mean(axis=-1),
        moved.affine,
    )
    grid = crop_to_brain(source.mask, source.affine)

    def image(scan, transform, interpolation):
        return coefficients_on_grid(
            scan.signal,
            scan.affine,
            scan.bvals,
            scan.directions,
            scan.mask,
            *grid,
            EMBEDDED["spherical_harmonics"],
            shell=~b0,
            transform=transform,
            interpolation=interpolation,
        )[:2]

    wanted, _ = image(source, None, "cubic")

    def error(transform, interpolation):
        moved_back, mask = image(moved, transform, interpolation)
        return ((moved_back - wanted)[mask > 0] ** 2).mean()

    true = moved.pose @ np.linalg.inv(source.pose)
    share = error(found, "cubic") / error(true, "cubic")
    if effect == "pose":
        # Nothing but one resampling, in which cubic splines lose less.
        assert share == pytest.approx(1, abs=0.05)
        assert error(true, "linear") > 1.5 * error(true, "cubic")
    elif effect == "distortion":
        assert share < 1.05  # an affine map may even undo a little of it
    else:
        assert share > 1.5  # mutual information takes it for a move


@pytest.mark.parametrize(
    ("subject", "target"),
    [("04", "connectom_sa"), pytest.param("03", "prisma_st", marks=pytest.mark.slow)],
)
def test_a_few_thick_slices_do_not_stretch_the_head(atlas, subject, target):
    """As few as at coarser levels; they once fitted best when stretched by 1 to 2 mm."""
    person = Person(atlas, with_effects(PARAMETERS, ["distortion"]), 2019, subject)
    source = acquire(person, "ge_st", "scan", [], (20.0, 16.8))
    moved = acquire(person, target, "scan", [], (20.0, 31.2))
    assert errors_of_registration(source, moved).max() < 0.6


def test_a_slab_of_five_slices_registers(atlas):
    """Shrunk to a single slice, this slab once registered at a right angle."""
    person = Person(atlas, PARAMETERS, 2019, "03")
    source = acquire(person, "ge_st", "scan", [], (20.0, 12.0))
    moved = acquire(person, "connectom_sa", "scan", [], (20.0, 26.4))
    found = register(
        source.signal.mean(axis=-1), source.affine, moved.signal.mean(axis=-1), moved.affine
    )
    true = moved.pose @ np.linalg.inv(source.pose)
    brain = points_of_mask(source.mask, source.affine)
    error = np.linalg.norm(transform_points(found, brain) - transform_points(true, brain), axis=1)
    assert error.max() < 2.4
    heads = (head(scan.signal.mean(axis=-1), scan.affine, scan.mask) for scan in (source, moved))
    quality = assess(*heads, found)
    assert quality["similarity_after"] > quality["similarity_before"] + 0.1
    assert implausible(quality) is None


@pytest.fixture
def smooth(rng):
    """A smooth image, and its affine."""
    image = gaussian_filter(rng.standard_normal((20, 22, 18)), 2)
    return image - image.min(), np.diag([2.4, 2.4, 2.4, 1.0])


@pytest.fixture
def one(smooth):
    """A head of which every voxel is brain."""
    return head(*smooth, np.ones(smooth[0].shape, bool))


@pytest.mark.parametrize(
    ("angles", "scale", "finding"),
    [
        ((0, 0, 0), (1, 1, 1), None),
        ((5, -10, 15), (1.04, 0.97, 1.0), None),
        ((0, 0, 0), (1.15, 1, 1), "stretches the head by 15%"),
        ((10, 20, 30), (1, 1, 0.85), "stretches the head by 15%"),
        ((0, 0, 45), (1, 1, 1), "turns the head by 45 degrees"),
    ],
)
def test_a_transform_no_head_can_undergo_is_told(one, angles, scale, finding):
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(
        scale
    )
    quality = assess(one, one, transform)
    if finding is None:
        quality |= {"similarity_after": quality["similarity_before"], "overlap": 1, "coverage": 1}
    assert implausible(quality) == finding


def test_a_scan_that_lies_further_off_than_before_did_not_register(one):
    transform = np.eye(4)
    transform[0, 3] = 12.0
    quality = assess(one, one, transform)
    assert quality["shift"] == pytest.approx(12)
    assert quality["similarity_before"] == pytest.approx(2)
    assert implausible(quality).startswith("makes the scans less alike (similarity 2.000 before")
    there = transform.copy()
    there[:3, 3] += one.affine[:3, :3] @ one.image.shape
    nowhere = assess(one, one, there)
    assert nowhere["similarity_after"] == 1.0
    assert nowhere["overlap"] == 0
    assert implausible(nowhere) == "brings only 0% of the smaller brain onto the other"


def test_heads_without_fibres_have_no_agreement(one):
    blank = replace(one, field=np.zeros((*one.brain.shape, 3, 3), np.float32))
    for fixed, moving in ((one, one), (blank, blank)):
        quality = assess(fixed, moving, np.eye(4))
        assert quality["agreement"] is None
        assert quality["change"] is None


def test_similarity_knows_what_two_images_share(smooth, rng):
    image, affine = smooth
    noise = rng.standard_normal(image.shape)
    same = similarity(image, affine, -3 * image, affine, np.eye(4))
    other = similarity(image, affine, noise, affine, np.eye(4))
    between = similarity(image, affine, image + 0.05 * noise, affine, np.eye(4))
    assert same > 1.6  # another contrast is not another head
    assert other < 1.06
    assert other < between < same


def test_directions_turn_with_the_head_and_ignore_scale():
    rotation = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
    transform = np.eye(4)
    # A symmetric stretch along axes of its own turns nothing.
    transform[:3, :3] = rotation @ [[1.1, 0.05, -0.03], [0.05, 0.9, 0.08], [-0.03, 0.08, 1.05]]
    in_head = np.eye(3)
    in_scanner = in_head @ rotation.T
    np.testing.assert_allclose(rotate_directions(in_scanner, transform), in_head, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(rotate_directions(in_scanner, transform), axis=1), 1)


@given(
    ramp=st.tuples(*[st.floats(-3, 3)] * 3),
    voxel=st.floats(0.5, 3),
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
)
@settings(max_examples=25, deadline=None)
def test_a_linear_ramp_survives_the_split(ramp, voxel, turn):
    """In any orientation, the split voxels lie where a pixel shuffle puts them."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * voxel
    affine[:3, 3] = [5, -7, 3]
    shape = (5, 6, 7)

    def values(shape, affine):
        return (points_of_mask(np.ones(shape), affine) @ np.array(ramp)).reshape(shape)

    fine_shape, fine_affine = split_grid(shape, affine, 2)
    assert fine_shape == (10, 12, 14)
    fine = values(fine_shape, fine_affine)
    # The mean of a voxel's 2^3 parts equals the voxel.
    parts = fine.reshape(5, 2, 6, 2, 7, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(parts, values(shape, affine), atol=1e-9)
    # The first part lies at index -0.25 of the old grid.
    index = np.linalg.inv(affine) @ fine_affine @ [0, 0, 0, 1]
    np.testing.assert_allclose(index[:3], -0.25, atol=1e-9)


def test_split_by_one_is_the_grid_itself():
    affine = np.diag([2.0, 2, 3, 1])
    shape, same = split_grid((3, 4, 5), affine, 1)
    assert shape == (3, 4, 5)
    np.testing.assert_array_equal(same, affine)


def test_sampling_at_voxel_centres_changes_nothing(rng):
    image, affine = rng.standard_normal((4, 5, 6)), np.diag([2.4, 2.4, 2.4, 1])
    points = points_of_mask(np.ones(image.shape), affine)
    for order in (0, 1):
        np.testing.assert_allclose(sample(image, affine, points, order), image.ravel(), atol=1e-9)


def test_the_field_of_view_ends_at_the_outer_voxel_centres():
    affine = np.diag([2.0, 2.0, 2.0, 1])
    points = np.array([[0, 0, 0], [6, 8, 10], [-0.1, 0, 0], [6.1, 0, 0]], dtype=float)
    assert in_view((4, 5, 6), affine, points).tolist() == [True, True, False, False]


# --- Registrations that are wrong, on real heads of the phantom


@pytest.fixture(scope="module")
def heads(atlas):
    """Source and target scan of one person with noise, and their files' contents."""
    person = Person(atlas, PARAMETERS, 2019, "02")
    scans = []
    for platform, slab in (("ge_st", (20.0, 19.2)), ("prisma_st", (20.0, 33.6))):
        scan = acquire(person, platform, "scan", [1200], slab)
        scan.add_noise()
        scans.append(scan)
    return scans


def as_head(scan, affine=None, reading=None):
    """A scan as registration reads it, under another affine or reading of its table."""
    affine = scan.affine if affine is None else affine
    directions = scan.directions if reading is None else scan.directions @ reading.T
    field = orientation_field(scan.signal, scan.mask, scan.bvals, directions)
    b0 = scan.signal[..., scan.bvals < 50].mean(axis=-1)
    return head(b0, affine, scan.mask, field)


def registered(fixed, moving):
    found = register_heads(fixed, moving, "affine", register)
    return found, assess(fixed, moving, found)


@pytest.fixture(scope="module")
def right(heads):
    """The transform of the target scan to its source, and what it did."""
    return registered(*map(as_head, heads))


def test_two_scans_of_one_head_fit(right):
    quality = right[1]
    assert implausible(quality) is None
    assert quality["overlap"] > 0.95
    assert quality["agreement"] > 0.9
    assert quality["change"] is None
    assert quality["similarity_after"] > quality["similarity_mirrored"] + 0.05


def test_headers_that_put_the_brains_apart_do_not_matter(heads, right):
    fixed, affine = as_head(heads[0]), heads[1].affine.copy()
    affine[1, 3] += 150
    found, quality = registered(fixed, as_head(heads[1], affine))
    assert implausible(quality) is None
    away = np.eye(4)
    away[1, 3] = -150
    brain = points_of_mask(fixed.brain, fixed.affine)
    error = transform_points(away @ found, brain) - transform_points(right[0], brain)
    assert np.linalg.norm(error, axis=1).max() < 1.0


def test_a_mirrored_head_is_refused(heads):
    """The same numbers, with x counted from the other side."""
    affine = heads[1].affine.copy()
    middle = affine[0, 3] + affine[0, 0] * (heads[1].mask.shape[0] - 1) / 2
    affine[0] = [-affine[0, 0], 0, 0, 2 * middle - affine[0, 3]]
    # The directions are mirrored with the head, so that nothing but the anatomy tells.
    flipped = np.diag([-1.0, 1.0, 1.0])
    _, quality = registered(as_head(heads[0]), as_head(heads[1], affine, flipped))
    assert "left and right are exchanged" in implausible(quality)


@pytest.mark.parametrize("reading", READINGS[1:5], ids=name_of)
def test_directions_that_differ_from_the_sources_are_told_with_the_change_that_fits(heads, reading):
    fixed, moving = as_head(heads[0]), as_head(heads[1], reading=reading)
    true = heads[1].pose @ np.linalg.inv(heads[0].pose)
    quality = assess(fixed, moving, true)
    assert quality["change"] == name_of(reading.T)
    assert f"they fit with {name_of(reading.T)} in one bvec table" in implausible(quality)


def test_a_target_that_covers_little_of_the_brain_is_refused(heads):
    scan = heads[1]
    middle = np.flatnonzero(scan.mask.any(axis=(0, 1)))[6:8]
    mask = np.zeros_like(scan.mask)
    mask[:, :, middle] = scan.mask[:, :, middle]
    moving = replace(as_head(scan), brain=canonical(mask > 0, scan.affine)[0])
    quality = assess(as_head(heads[0]), moving, scan.pose @ np.linalg.inv(heads[0].pose))
    assert "of the source's brain without a target" in implausible(quality)


def test_a_head_stored_in_another_orientation_registers_the_same(heads, right):
    fixed, scan = as_head(heads[0]), heads[1]
    change = nib.orientations.ornt_transform(
        nib.io_orientation(scan.affine), nib.orientations.axcodes2ornt("PIR")
    )
    b0 = scan.signal[..., scan.bvals < 50].mean(axis=-1)
    stored = nib.Nifti1Image(np.float32(b0), scan.affine).as_reoriented(change)
    brain = nib.Nifti1Image(np.uint8(scan.mask), scan.affine).as_reoriented(change)
    moving = head(np.asarray(stored.dataobj), stored.affine, np.asarray(brain.dataobj))
    other = register_heads(fixed, moving, "affine", register)
    points = points_of_mask(fixed.brain, fixed.affine)
    error = transform_points(other, points) - transform_points(right[0], points)
    assert np.linalg.norm(error, axis=1).max() < 0.1
