"""The digital travelling heads: deterministic, plausible, and the same on every platform."""

import copy
import dataclasses
import functools

import numpy as np
import pytest
import yaml
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from harmonization.files import InputError
from harmonization.phantom import acquisition
from harmonization.phantom.acquisition import acquire, gradient_scheme, scan_grid
from harmonization.phantom.atlas import (
    POPULATIONS,
    SPACING,
    draw_bundle,
    main_directions,
    region_names,
)
from harmonization.phantom.checks import (
    b_range,
    check_person,
    differences,
    equal_protocols,
    examine,
)
from harmonization.phantom.detail import Detail
from harmonization.phantom.effects import EFFECTS, with_effects
from harmonization.phantom.fields import VectorField
from harmonization.phantom.people import LESION, Person
from harmonization.phantom.scanner import (
    Apodisation,
    Scanner,
    add_rician_noise,
    half_range,
    readout,
)
from harmonization.phantom.signal import decay, dispersed, signal
from harmonization.plan.phantom import check_phantom, read_parameters

FILE = ROOT / "config/travelling_heads.yaml"
PARAMETERS = read_parameters(FILE)
RESPONSE = yaml.safe_load((ROOT / "config/config.yaml").read_text())["spherical_harmonics"][
    "response"
]
SLAB = (20.0, 4.8)
EQUAL = ["ge_st", "prisma_st", "connectom_st"]


@pytest.fixture(scope="module")
def person(atlas):
    return Person(atlas, PARAMETERS, 2019, "01")


def scanned(
    atlas, effects=EFFECTS, platform="prisma_st", session="scan", seed=2019, name="01", slab=SLAB
):
    person = Person(atlas, with_effects(PARAMETERS, effects), seed, name)
    scan = acquire(person, platform, session, [1200], slab)
    scan.add_noise()
    return scan


@pytest.fixture(scope="module")
def scan(atlas):
    return scanned(atlas)


# --- Reproducible, and different where it should be


def test_the_same_names_give_the_same_bytes(atlas, scan):
    again = scanned(atlas)
    np.testing.assert_array_equal(again.signal, scan.signal)
    np.testing.assert_array_equal(again.regions, scan.regions)


@pytest.mark.parametrize("change", [{"seed": 2020}, {"name": "02"}, {"session": "rescan"}])
def test_another_seed_person_or_session_gives_another_scan(atlas, scan, change):
    other = scanned(atlas, **change)
    assert not np.array_equal(other.signal, scan.signal)
    assert not np.allclose(other.pose, scan.pose)


def test_people_differ_but_the_scanner_does_not(atlas, scan):
    other = scanned(atlas, seed=7, name="02")
    np.testing.assert_array_equal(other.directions, scan.directions)
    assert (other.tissue != scan.tissue).mean() > 0.05


def test_without_any_effect_platforms_of_equal_protocol_see_the_same(atlas):
    first, *others = (scanned(atlas, [], platform).signal for platform in EQUAL)
    assert first.max() > 0.5
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.fixture(scope="module")
def scanned_with(atlas):
    """Signals of scans by effects and platform, each scanned once."""

    @functools.cache
    def scan(effects, platform, slab):
        return scanned(atlas, effects, platform, slab=slab).signal

    return scan


@pytest.mark.parametrize("effect", EFFECTS)
def test_each_effect_alone_changes_a_scan(scanned_with, effect):
    platform, slab, others = "connectom_st", SLAB, ()
    # Only the sa protocols have their own echo time and parallel imaging, which affects only
    # noise. A few of their thin slices will do.
    if effect in ("echo_time", "acceleration"):
        platform, slab, others = "connectom_sa", (20.0, 2.4), ("noise",)
    with_it, without = (scanned_with((*others, *e), platform, slab) for e in ([effect], []))
    assert not np.allclose(with_it, without, atol=1e-4)


def test_the_switches_are_those_of_the_configuration():
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    assert schema["properties"]["dataset"]["properties"]["effects"]["items"]["enum"] == list(
        EFFECTS
    )
    assert with_effects(PARAMETERS, list(EFFECTS)) == PARAMETERS


# --- Plausible: docs/phantom.md shows the same checks for a whole head


@pytest.fixture(scope="module")
def checks(atlas, person):
    slab = (20.0, 14.4)
    scans = [examine(person, platform, 1200, slab) for platform in PARAMETERS["platforms"]]
    only_noise = Person(atlas, with_effects(PARAMETERS, ["noise"]), 2019, "01")
    without = [examine(only_noise, platform, 1200, slab) for platform in EQUAL]
    people = [
        examine(Person(atlas, PARAMETERS, 2019, name), "ge_st", 1200, slab)
        for name in ("01", "02", "03", "04", "05", "06")
    ]
    return check_person(person, scans, without, people, RESPONSE, slab)


@pytest.mark.slow
def test_all_checks_of_plausibility_pass(checks):
    failed = [check for check in checks if not check.passed]
    assert not failed
    assert len(checks) == 1 + 2 + 4 + 5 * len(PARAMETERS["platforms"]) + 1 + 4


@pytest.mark.slow
def test_a_broken_phantom_fails_its_checks(atlas):
    """No direction, slow CSF, nothing fine, people all alike, scanners with no effect at all."""
    broken, slab = copy.deepcopy(PARAMETERS), (20.0, 9.6)
    broken["tissue"] |= {"dispersion": 70.0, "csf_diffusivity": 1.0e-3}
    broken["detail"] |= {"boundary": 4.0, "tilt": 0.0, "share_rms": 0.0, "intra_rms": 0.0}
    broken["people"]["biology_rms"] = dict.fromkeys(broken["people"]["biology_rms"], 0.0)
    person = Person(atlas, broken, 2019, "01")
    scans = [examine(person, platform, 1200, slab) for platform in ("prisma_st", "connectom_st")]
    ideal = Person(atlas, with_effects(broken, []), 2019, "01")
    same = [examine(ideal, platform, 1200, slab) for platform in ("prisma_st", "connectom_st")]
    people = [examine(Person(atlas, broken, 2019, n), "ge_st", 1200, slab) for n in ("02", "03")]
    checks = check_person(person, scans, same, people, RESPONSE, slab)
    failed = {check.name for check in checks if not check.passed}
    assert {
        "white matter FA",
        "CSF MD, 1e-3 mm2/s",
        "share not explained by blocks",
        "correlation of neighbours",
        "MD between people, %",
    } <= failed
    assert dict(differences(*same)) == {"FA": 0.0, "MD": 0.0}
    assert not b_range(ideal, same[0], wanted=0.03).passed


def test_equal_protocols_are_found():
    assert equal_protocols(PARAMETERS, "ge_st") == EQUAL
    assert equal_protocols(PARAMETERS, "prisma_sa") == ["prisma_sa"]


# --- Anatomy


def test_bundles_run_where_anatomy_has_them(atlas):
    places = {
        "corpus callosum, midline": ([0, -8, 26], [1, 0, 0], "commissural"),
        "internal capsule": ([25, -15, 10], [0, 0, 1], "projection"),
        "cingulum": ([-9, -8, 37], [0, 1, 0], "association"),
    }
    for name, (place, axis, population) in places.items():
        directions, shares = atlas.fibres_at(np.array([place], dtype=float))
        assert POPULATIONS[shares[0].argmax()] == population, name
        assert abs(directions[0, shares[0].argmax()] @ axis) > 0.85, name


def test_fibres_fan_out_where_a_bundle_widens():
    bundle = {"points": [[0, 0, 0], [0, 0, 20], [0, 0, 40]], "radii": [5, 10, 15]}
    points = np.array([[-6.0, 0, 20], [0, 0, 20], [6, 0, 20], [90, 0, 20]])
    near, weight, direction = draw_bundle(bundle, points)
    assert near.tolist() == [0, 1, 2]
    assert weight[1] == pytest.approx(1.0, abs=1e-3)
    assert direction[0, 0] < -0.1
    assert direction[2, 0] > 0.1
    np.testing.assert_allclose(direction[1], [0, 0, 1], atol=1e-6)


def test_radial_fibres_point_from_ventricles_to_cortex(atlas):
    for side in (-1, 1):
        outwards = atlas.radial_at(np.array([[side * 48.0, -20.0, 20.0]]))[0]
        assert outwards @ [side, 0, 0] > 0.5


def test_fractions_and_directions_are_normalised(atlas):
    points = atlas.brain_points(6.0)
    white = points[atlas.fractions(points)[0] > 0]
    directions, shares = atlas.fibres_at(white)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-4)
    length = np.linalg.norm(directions, axis=2)
    np.testing.assert_allclose(length[shares > 0], 1, rtol=1e-4)
    assert (shares >= 0).all()
    assert (length[shares == 0] == 0).all()


def test_populations_with_less_than_a_tenth_of_the_white_matter_are_dropped(atlas):
    """By the traces of their maps: 0.05, 0.2 and 0.75 of the white matter leave 0, 0.1 and 0.65."""
    fibres = np.zeros((3, 3, 3, 3, 6), np.float32)
    fibres[..., [0, 3, 5]] = np.array([[0.05], [0.2], [0.75]]) / 3
    even = dataclasses.replace(
        atlas, fibres=fibres.reshape(3, 3, 3, -1), fibre_origin=-SPACING * np.ones(3)
    )
    _, shares = even.fibres_at(np.zeros((1, 3)))
    np.testing.assert_allclose(shares, [[0, 0.1 / 0.75, 0.65 / 0.75]], atol=1e-6)


def test_main_directions_are_those_of_the_largest_eigenvalue(rng):
    axes = rng.normal(size=(50, 3, 3))
    axes[:, 1:] *= 0.3
    upper = np.einsum("nki,nkj->nij", axes, axes)[:, *np.triu_indices(3)]
    expected = np.linalg.eigh(np.einsum("nki,nkj->nij", axes, axes))[1][..., -1]
    cosine = np.abs((main_directions(upper.astype(np.float32)) * expected).sum(axis=1))
    np.testing.assert_allclose(cosine, 1, atol=1e-4)
    assert np.isfinite(main_directions(np.zeros((1, 6), dtype=np.float32))).all()


def test_an_atlas_survives_its_file(atlas, tmp_path):
    atlas.save(tmp_path / "atlas.npz")
    again = type(atlas).load(tmp_path / "atlas.npz")
    for name, values in vars(atlas).items():
        np.testing.assert_array_equal(vars(again)[name], values)


# --- People


def test_warps_keep_the_order_of_tissue(person):
    jacobian = np.eye(3) + np.moveaxis(person.warp.jacobian.values.reshape(3, 3, -1), -1, 0)
    assert np.linalg.det(jacobian).min() > 0
    rms = np.sqrt((person.warp.values**2).sum(axis=0).mean())
    assert rms == pytest.approx(PARAMETERS["people"]["warp_rms"], rel=0.2)


def test_fibres_turn_with_the_warp(person):
    """A step along a fibre in the person is a step along it in the atlas."""
    points = np.argwhere(np.ones((9, 9, 3))) * 8.0 + [-36, -50, 12]
    tissue = person.tissue(points)
    white = tissue.white > 0
    points = points[tissue.brain][white]
    population = tissue.fibre_fractions[white].argmax(axis=1)
    fibre = tissue.fibres[white][np.arange(len(points)), population]
    step = 0.1
    moved = person.to_atlas(points + step * fibre) - person.to_atlas(points - step * fibre)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    wanted, _ = person.detail.fibres_at(person.to_atlas(points))
    wanted /= np.maximum(np.linalg.norm(wanted, axis=2, keepdims=True), 1e-9)
    cosine = np.abs((moved * wanted[np.arange(len(points)), population]).sum(axis=1))
    # The warp's derivatives are taken at its nodes, which costs some degrees between them.
    assert np.quantile(cosine, 0.05) > np.cos(np.radians(10))


def test_only_the_named_people_have_a_lesion(atlas, person, scan):
    lesion = scan.tissue == LESION
    assert 20 < lesion.sum() < 1000
    regions = region_names(PARAMETERS["bundles"])
    assert set(scan.regions[lesion]) == {len(regions) + 1}
    assert not (scanned(atlas, name="02").tissue == LESION).any()

    healthy = copy.deepcopy(PARAMETERS)
    healthy["lesion"]["subjects"] = []
    without = acquire(Person(atlas, healthy, 2019, "01"), "prisma_st", "scan", [1200], SLAB)
    sick = acquire(person, "prisma_st", "scan", [1200], SLAB)
    changed = np.abs(sick.signal - without.signal).max(axis=-1) > 0.02
    assert changed[lesion].mean() > 0.9
    # Beyond the lesion, only what point spread and ringing carry there changes.
    assert changed[~lesion].mean() < 0.01


def test_lesions_differ_in_number_and_size(atlas):
    names = PARAMETERS["lesion"]["subjects"]
    found = [Person(atlas, PARAMETERS, 2019, name).lesions for name in names]
    assert len({len(lesions) for lesions in found}) > 1
    radii = [radius for lesions in found for _, radius in lesions]
    low, high = PARAMETERS["lesion"]["radius"]
    assert low <= min(radii) < max(radii) <= high
    assert max(radii) > 1.5 * min(radii)
    centres = np.array([centre for lesions in found for centre, _ in lesions])
    assert atlas.fractions(centres)[0].min() > 0.5


# --- Detail


def test_many_people_together_are_the_atlas(atlas):
    points = atlas.brain_points(4.0)
    points = points[np.abs(points[:, 2] - 20) < 12]
    people = [
        Detail(atlas, PARAMETERS["detail"], np.random.default_rng(seed)).fractions(points)
        for seed in range(60)
    ]
    mean, likely = np.mean(people, axis=0), atlas.fractions(points)
    assert np.abs(mean - likely).mean() < 0.04
    # Systematically more of one tissue would not average out.
    np.testing.assert_allclose(mean.mean(axis=1), likely.mean(axis=1), atol=0.02)


def test_a_person_is_crisper_than_the_atlas(atlas, person):
    points = atlas.brain_points(3.0)

    def mixed(fractions):
        return (fractions.max(axis=0) < 0.9).mean()

    assert mixed(person.detail.fractions(points)) < 0.5 * mixed(atlas.fractions(points))


def test_folds_run_inwards_from_the_surface(atlas, person):
    """Tissue changes less on the way inwards than along the surface."""
    points = atlas.brain_points(4.0)
    way = atlas.way_to_surface(points)
    depth = np.linalg.norm(way, axis=1)
    points, way = points[(depth > 6) & (depth < 12)], way[(depth > 6) & (depth < 12)]
    inwards = way / np.linalg.norm(way, axis=1, keepdims=True)
    along = np.cross(inwards, [0.6, 0.48, 0.64])
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    here = person.detail.folds(points + 0.75 * way)[:, 0]

    def change(step):
        moved = points + 2.0 * step
        folds = person.detail.folds(moved + 0.75 * atlas.way_to_surface(moved))[:, 0]
        return np.mean((folds - here) ** 2)

    assert change(inwards) < 0.5 * change(along)


def test_finer_points_change_a_scan_little(atlas, monkeypatch):
    person = Person(atlas, with_effects(PARAMETERS, []), 2019, "02")
    coarse = acquire(person, "prisma_st", "scan", [1200], (20.0, 2.4))
    monkeypatch.setattr(acquisition, "LARGEST_SPACING", 0.45)
    fine = acquire(person, "prisma_st", "scan", [1200], (20.0, 2.4))
    brain = fine.mask > 0
    change = np.sqrt(np.mean((coarse.signal - fine.signal)[brain] ** 2))
    assert change < 0.03 * np.sqrt(np.mean(fine.signal[brain] ** 2))


# --- Signal


@given(
    q=st.floats(0, 5),
    angle=st.floats(0, 90),
    spread=st.floats(0, 20),
)
@settings(max_examples=25, deadline=None)
def test_dispersion_is_the_mean_over_tilted_sticks(q, angle, spread):
    rng = np.random.default_rng(0)
    tilts = rng.normal(0, np.radians(spread), (20000, 2))
    sticks = np.c_[tilts, np.ones(len(tilts))]
    sticks /= np.linalg.norm(sticks, axis=1, keepdims=True)
    gradient = np.array([np.sin(np.radians(angle)), 0, np.cos(np.radians(angle))])
    sampled = np.exp(-q * (sticks @ gradient) ** 2).mean()
    closed = dispersed(
        *map(np.float32, (q, np.cos(np.radians(angle)) ** 2, np.radians(spread) ** 2))
    )
    assert closed == pytest.approx(sampled, abs=0.03)


def test_the_compiled_exponential_is_one():
    x = np.linspace(0, 20, 2001, dtype=np.float32)
    np.testing.assert_allclose([decay(value) for value in x], np.exp(-x), rtol=1e-5, atol=1e-8)


def test_the_signal_is_the_sum_of_its_compartments(person, rng):
    """The compiled code against the model's formula, written plainly in float64."""
    points = person.atlas.brain_points(24.0)
    tissue = person.tissue(points)
    coil = np.eye(3) + rng.normal(0, 0.03, (tissue.brain.sum(), 3, 3))
    bvals, directions = gradient_scheme({1200: 6, 3000: 6}, 1)
    p, te, own = PARAMETERS["tissue"], 80.0, tissue.properties

    gradients = np.einsum("nij,vj->vni", coil, directions)
    strength = (gradients**2).sum(axis=-1)
    b = bvals[:, None] * strength

    def cosine2(axes):
        return np.einsum("vni,ni->vn", gradients, axes) ** 2 / np.maximum(strength, 1e-6)

    def tilted(q, cosine2):
        spread = np.radians(own["dispersion"].astype(float)) ** 2
        q = q / (1 + 2 * spread)
        widening = 1 + 2 * spread * q * (1 - cosine2)
        return np.exp(-q * cosine2 / widening) / np.sqrt(widening)

    along, across = own["parallel_diffusivity"], own["extra_perpendicular_diffusivity"]
    white = sum(
        share
        * (
            own["intra_fraction"] * np.exp(-te / own["t2_intra"]) * tilted(b * along, c)
            + (1 - own["intra_fraction"])
            * np.exp(-te / own["t2_extra"])
            * np.exp(-b * across)
            * tilted(b * (along - across), c)
        )
        for share, c in (
            (tissue.fibre_fractions[:, k], cosine2(tissue.fibres[:, k])) for k in range(3)
        )
    )
    low, high = p["grey_perpendicular_diffusivity"], p["grey_parallel_diffusivity"]
    grey = np.exp(-te / p["t2_grey"] - b * (low + (high - low) * cosine2(tissue.columns)))
    csf = np.exp(-te / p["t2_csf"] - b * p["csf_diffusivity"])
    expected = (
        p["density_white"] * tissue.white * white
        + p["density_grey"] * tissue.grey * grey
        + p["density_csf"] * tissue.csf * csf
    )
    found = signal(tissue, p, te, bvals, directions, coil)
    np.testing.assert_allclose(found.T, expected, atol=3e-6)


def test_echo_time_changes_the_mixture_even_after_dividing_by_b0(atlas):
    means = {}
    for te in (68, 89):
        parameters = with_effects(PARAMETERS, [])
        parameters["platforms"]["ge_st"]["te"] = te
        scan = acquire(Person(atlas, parameters, 2019, "01"), "ge_st", "scan", [1200], SLAB)
        white = scan.tissue == 1
        means[te] = (
            scan.signal[white][:, scan.bvals > 0].mean(axis=1) / scan.signal[white][:, 0]
        ).mean()
    assert abs(means[68] / means[89] - 1) > 0.005


def test_grey_matter_is_slightly_anisotropic_across_the_cortex(atlas):
    person = Person(atlas, with_effects(PARAMETERS, []), 2019, "02")
    fa = examine(person, "prisma_st", 1200, SLAB)
    grey = fa.fa[fa.scan.tissue == 2]
    assert 0.05 < np.median(grey) < 0.25


# --- Scanner


def test_a_readout_keeps_what_is_smooth_and_rings_at_edges():
    voxels, points = 40, 100
    ideal = readout(voxels, points, Apodisation(0.0, 0.0))
    place = (np.arange(points) + 0.5) / points
    wave = np.cos(2 * np.pi * 5 * place + 1)
    sampled = np.cos(2 * np.pi * 5 * (np.arange(voxels) + 0.5) / voxels + 1)
    np.testing.assert_allclose(ideal @ wave, sampled, atol=1e-5)
    # Frequencies that the voxels cannot hold are left out, not folded back.
    np.testing.assert_allclose(ideal @ np.cos(2 * np.pi * 30 * place), 0, atol=1e-5)
    edge = ideal @ (place > 0.52)
    assert edge.max() > 1.03


@pytest.mark.parametrize("width", [1.0, 1.1, 1.2, 1.3])
def test_the_point_spread_has_the_width_of_the_table(width):
    apodisation = Apodisation.of_width(width, decay=0.4)
    voxels, points = 60, 6000
    spread = readout(voxels, points, apodisation)[30]
    wide = np.flatnonzero(spread > spread.max() / 2)
    measured = (wide[-1] - wide[0] + 1) / (points / voxels)
    ideal = readout(voxels, points, Apodisation(0.0, 0.0))[30]
    ideal_wide = np.flatnonzero(ideal > ideal.max() / 2)
    assert measured / ((ideal_wide[-1] - ideal_wide[0] + 1) / (points / voxels)) == pytest.approx(
        width, rel=0.02
    )
    assert spread.sum() == pytest.approx(1, abs=1e-4)


def test_a_readout_that_decays_too_long_is_refused():
    with pytest.raises(InputError, match="give a shorter readout"):
        Apodisation.of_width(1.1, decay=3.0)


def test_receive_bias_is_as_large_as_the_table_says(atlas):
    scanner = Scanner("connectom", PARAMETERS, atlas)
    sensitivity = scanner.receive_at(atlas.brain_points(5.0))
    assert half_range(sensitivity) == pytest.approx(0.30, rel=0.05)
    assert sensitivity.mean() == pytest.approx(1.0, abs=0.03)
    biased, plain = (scanned(atlas, effects, "connectom_st") for effects in (["receive_bias"], []))
    grid = scan_grid(PARAMETERS["acquisition"], 2.4, SLAB)
    wanted = scanner.receive_at(grid.voxel_points(1)).reshape(grid.shape[:2])
    inside = plain.tissue[:, :, 1] == 1
    ratio = biased.signal[:, :, 1, 0] / np.maximum(plain.signal[:, :, 1, 0], 1e-6)
    np.testing.assert_allclose(ratio[inside], wanted[inside], rtol=0.05)


def test_noise_is_amplified_in_the_middle_only_where_imaging_is_parallel(atlas, scan):
    brain = scan.mask > 0
    assert np.ptp(scan.sigma[brain]) == pytest.approx(0, abs=1e-7)
    fast = scanned(atlas, platform="prisma_sa")
    brain = fast.mask > 0
    middle = tuple(n // 2 for n in brain.shape)
    assert fast.sigma[middle] == pytest.approx(fast.sigma[brain].max(), rel=0.02)
    assert fast.sigma[brain].min() < 0.9 * fast.sigma[middle]


def test_the_noise_is_rician(rng):
    magnitude = add_rician_noise(np.zeros((200, 200, 4, 1), np.float32), 2.0, rng)
    # With no signal, Rician noise is Rayleigh distributed: mean sigma * sqrt(pi / 2).
    assert magnitude.mean() == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.01)


def test_a_scan_ends_at_the_rim_of_the_brain(scan):
    outside = scan.signal[..., 0] == 0
    assert not outside[scan.tissue > 0].any()
    assert outside.mean() > 0.3


# --- Grids, directions, parameters


def test_a_field_interpolates_linearly():
    shape = (12, 13, 14)
    x = np.arange(12)[:, None, None] * np.ones(shape)
    field = VectorField(np.stack([x]), spacing=2.0, origin=(0.0, 0.0, 0.0))
    np.testing.assert_allclose(field(np.array([[5.0, 3.0, 7.0]])), [[2.5]])
    np.testing.assert_allclose(
        field.jacobian(np.array([[5.0, 3.0, 7.0]])), [[0.5, 0, 0]], atol=1e-9
    )


@pytest.mark.parametrize("voxel", [1.2, 1.5, 2.4])
def test_fine_points_fill_the_voxels_evenly(voxel):
    grid = scan_grid(PARAMETERS["acquisition"], voxel, SLAB)
    points, voxels = grid.slice_points(2), grid.voxel_points(2)
    np.testing.assert_allclose(points.mean(axis=0), voxels.mean(axis=0), atol=1e-9)
    fine = grid.fine_shape
    assert len(points) == grid.slice_parts * fine[0] * fine[1]
    assert all(n * voxel / m <= 1.2 + 1e-9 for n, m in zip(grid.shape, fine, strict=False))


def test_directions_are_unit_and_spread():
    bvals, directions = gradient_scheme({1200: 30}, 4)
    assert bvals.tolist() == [0.0] * 4 + [1200.0] * 30
    weighted = directions[4:]
    np.testing.assert_allclose(np.linalg.norm(weighted, axis=1), 1)
    angles = np.degrees(np.arccos(np.clip(np.abs(weighted @ weighted.T), 0, 1)))
    assert angles[~np.eye(30, dtype=bool)].min() > 18


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("tissue", "csf_difusivity"), 3e-3, "did you mean 'csf_diffusivity'"),
        (("scanners", "ge", "receive_bias"), "much", "scanners.ge.receive_bias"),
        (("platforms", "ge_st", "scanner"), "gee", "did you mean 'ge'"),
        (("bundles", "genu", "radii"), [5, 5, 5], "bundles.genu: 5 points and 3 radii"),
    ],
)
def test_a_wrong_parameter_is_named(tmp_path, where, value, message):
    changed = yaml.safe_load(FILE.read_text())
    section = changed
    for key in where[:-1]:
        section = section[key]
    section[where[-1]] = value
    path = tmp_path / "heads.yaml"
    path.write_text(yaml.safe_dump(changed))
    with pytest.raises(InputError, match=message) as error:
        read_parameters(path)
    assert "heads.yaml" in str(error.value)


def test_a_missing_or_broken_parameter_file_is_named(tmp_path):
    path = tmp_path / "heads.yaml"
    with pytest.raises(InputError, match=r"heads.yaml: no such file"):
        read_parameters(path)
    path.write_text("tissue: [")
    with pytest.raises(InputError, match=r"heads.yaml: not valid YAML"):
        read_parameters(path)
    path.write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"heads.yaml: is no text in UTF-8"):
        read_parameters(path)
    with pytest.raises(InputError, match=r"cannot be read as a file \(Is a directory\)"):
        read_parameters(tmp_path)


def test_a_run_cannot_ask_for_what_the_phantom_has_not():
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    check_phantom(config, PARAMETERS)
    with pytest.raises(InputError, match="did you mean 'prisma_st'"):
        check_phantom({**config, "targets": ["prisma_sx"]}, PARAMETERS)
    with pytest.raises(InputError, match=r"platform ge_st of the phantom has no b=3000"):
        check_phantom({**config, "spherical_harmonics": {"shell": 3000}}, PARAMETERS)
