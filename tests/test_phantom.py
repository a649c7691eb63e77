"""The digital travelling heads: deterministic, plausible, and themselves between platforms."""

import numpy as np
import pytest
import yaml
from conftest import ROOT
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel

from harmonization.phantom import Person, VectorField, acquire, add_rician_noise, gradient_scheme

PARAMETERS = yaml.safe_load((ROOT / "config/travelling_heads.yaml").read_text())
SLAB = (20.0, 9.6)


@pytest.fixture(scope="module")
def person():
    return Person(PARAMETERS, 2019, "01")


@pytest.fixture(scope="module")
def scan(person):
    return acquire(person, "prisma_st", "scan", [1200], SLAB)


@pytest.fixture(scope="module")
def tensor(scan):
    gradients = gradient_table(scan.bvals, bvecs=scan.directions)
    return TensorModel(gradients).fit(scan.dwi, mask=scan.mask)


def test_the_same_names_give_the_same_bytes(scan):
    again = acquire(Person(PARAMETERS, 2019, "01"), "prisma_st", "scan", [1200], SLAB)
    assert again.dwi.tobytes() == scan.dwi.tobytes()
    assert again.bvals.tobytes() == scan.bvals.tobytes()


@pytest.mark.parametrize(
    ("seed", "name", "session"),
    [(2020, "01", "scan"), (2019, "02", "scan"), (2019, "01", "rescan")],
)
def test_another_seed_person_or_session_gives_another_scan(scan, seed, name, session):
    other = acquire(Person(PARAMETERS, seed, name), "prisma_st", session, [1200], SLAB)
    assert not np.array_equal(other.dwi, scan.dwi)
    assert not np.allclose(other.pose, scan.pose)


def test_people_differ_but_the_directions_belong_to_the_platform(scan):
    other = acquire(Person(PARAMETERS, 2019, "02"), "prisma_st", "scan", [1200], SLAB)
    np.testing.assert_array_equal(other.directions, scan.directions)
    assert (other.tissue != scan.tissue).mean() > 0.05


def test_white_matter_is_anisotropic_and_csf_diffuses_freely(scan, tensor):
    assert 0.3 < tensor.fa[scan.tissue == 1].mean() < 0.7
    assert tensor.fa[scan.tissue == 2].mean() < 0.3
    pure_csf = scan.truth[..., 0] > 0.9 * PARAMETERS["tissue"]["density_csf"]
    assert pure_csf.sum() > 20
    assert tensor.md[pure_csf].mean() == pytest.approx(3.0e-3, rel=0.1)


def test_a_quarter_of_white_matter_holds_crossing_fibres(person, scan):
    points = np.argwhere(scan.tissue == 1) @ scan.affine[:3, :3].T + scan.affine[:3, 3]
    tissue = person.tissue(points)
    crossing = (tissue.fibre_fractions > 0.2).sum(axis=1) >= 2
    assert crossing.mean() > 0.25
    np.testing.assert_allclose(tissue.fibre_fractions.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(tissue.fibres, axis=2), 1, rtol=1e-5)


def test_noise_has_the_snr_of_the_table(scan):
    white = (scan.tissue == 1)[..., None]
    b0 = scan.bvals == 0
    noise = (scan.dwi - scan.truth)[..., b0][np.broadcast_to(white, (*white.shape[:3], b0.sum()))]
    measured = scan.truth[..., 0][scan.tissue == 1].mean() / noise.std()
    assert measured == pytest.approx(PARAMETERS["platforms"]["prisma_st"]["snr"], rel=0.1)


def test_the_noise_is_rician(rng):
    magnitude = add_rician_noise(np.zeros((200, 200, 4, 1), np.float32), 2.0, rng)
    # With no signal, Rician noise is Rayleigh distributed: mean sigma * sqrt(pi / 2).
    assert magnitude.mean() == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.01)


def test_echo_time_changes_the_mixture_even_after_dividing_by_b0(person):
    parameters = {**PARAMETERS, "platforms": {}}
    for name, te in (("short", 68), ("long", 89)):
        parameters["platforms"][name] = {**PARAMETERS["platforms"]["ge_st"], "te": te}
    person = Person(parameters, 2019, "01", person.atlas)
    means = {}
    for name in ("short", "long"):
        scan = acquire(person, name, "scan", [1200], SLAB)
        white = scan.tissue == 1
        ratio = scan.truth[white][:, scan.bvals > 0].mean(axis=1) / scan.truth[white][:, 0]
        means[name] = ratio.mean()
    assert abs(means["short"] / means["long"] - 1) > 0.005


def test_warps_keep_the_order_of_tissue(person):
    jacobian = np.eye(3) + np.moveaxis(person.warp.jacobian.values.reshape(3, 3, -1), -1, 0)
    assert np.linalg.det(jacobian).min() > 0
    rms = np.sqrt((person.warp.values**2).sum(axis=0).mean())
    assert rms == pytest.approx(PARAMETERS["anatomy"]["warp_rms"], rel=0.2)


def test_a_field_interpolates_linearly():
    shape = (12, 13, 14)
    x = np.arange(12)[:, None, None] * np.ones(shape)
    field = VectorField(np.stack([x]), spacing=2.0, origin=(0.0, 0.0, 0.0))
    np.testing.assert_allclose(field(np.array([[5.0, 3.0, 7.0]])), [[2.5]])


def test_directions_are_unit_and_spread(rng):
    bvals, directions = gradient_scheme({1200: 30}, 4, rng)
    assert bvals.tolist() == [0.0] * 4 + [1200.0] * 30
    weighted = directions[4:]
    np.testing.assert_allclose(np.linalg.norm(weighted, axis=1), 1)
    angles = np.degrees(np.arccos(np.clip(np.abs(weighted @ weighted.T), 0, 1)))
    assert angles[~np.eye(30, dtype=bool)].min() > 18
