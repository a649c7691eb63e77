"""Spherical harmonics: the same numbers as dipy's own fits, in one stated basis."""

import numpy as np
import pytest
from dipy.core.gradients import gradient_table
from dipy.data import get_sphere
from dipy.reconst.csdeconv import ConstrainedSphericalDeconvModel
from dipy.reconst.shm import convert_sh_descoteaux_tournier, sf_to_sh, sh_to_sf
from scipy.spatial.transform import Rotation

from harmonization.images.coefficients import coefficient_orders, rish
from harmonization.images.deconvolution import fit_fod
from harmonization.images.spherical_harmonics import fit_signal, normalise_by_b0
from harmonization.phantom.acquisition import gradient_scheme

RESPONSE = {"eigenvalues": [1.7e-3, 0.3e-3, 0.3e-3], "s0": 1.0}
SHELL = 1200.0


def two_fibres(directions, first, second):
    """Signal (volumes,) of two equal tensors."""

    def tensor(fibre):
        cosine2 = (directions @ fibre) ** 2
        return np.exp(-SHELL * (0.3e-3 + 1.4e-3 * cosine2))

    return (tensor(first) + tensor(second)) / 2


@pytest.fixture
def directions():
    return gradient_scheme({1200: 60}, 0)[1]


@pytest.fixture
def signals(rng, directions):
    fibres = rng.standard_normal((40, 2, 3))
    fibres /= np.linalg.norm(fibres, axis=2, keepdims=True)
    clean = np.array([two_fibres(directions, *pair) for pair in fibres])
    return np.clip(clean + rng.normal(0, 0.03, clean.shape), 0, 1)


def test_order_6_has_28_coefficients():
    orders = coefficient_orders(6)
    assert len(orders) == 28
    assert {order: int((orders == order).sum()) for order in (0, 2, 4, 6)} == {
        0: 1,
        2: 5,
        4: 9,
        6: 13,
    }


@pytest.mark.parametrize("order", [2, 4, 6, 8])
def test_deconvolution_agrees_with_dipy(rng, directions, signals, order):
    gradients = gradient_table(
        np.r_[0, np.full(60, SHELL)], bvecs=np.vstack([np.zeros(3), directions])
    )
    model = ConstrainedSphericalDeconvModel(
        gradients, (np.array(RESPONSE["eigenvalues"]), 1.0), sh_order_max=order
    )
    # Fibres, noise alone, no direction, no signal: few, many and no constraints are active.
    signals = np.vstack([signals, rng.random((40, 60)), np.full((1, 60), 0.4), np.zeros((1, 60))])
    theirs = model.fit(np.c_[np.ones(len(signals)), signals]).shm_coeff
    ours = fit_fod(signals, directions, SHELL, order, RESPONSE)
    sphere = get_sphere(name="repulsion200")
    np.testing.assert_allclose(
        sh_to_sf(ours, sphere, sh_order_max=order, basis_type="descoteaux07", legacy=False),
        sh_to_sf(theirs, sphere, sh_order_max=order, basis_type="descoteaux07", legacy=True),
        atol=1e-12,
    )


def test_deconvolution_survives_directions_that_do_not_determine_it():
    angles = np.linspace(0, np.pi, 30, endpoint=False)
    in_a_plane = np.stack([np.cos(angles), np.sin(angles), np.zeros(30)], axis=1)
    assert np.isfinite(fit_fod(np.full((3, 30), 0.5), in_a_plane, SHELL, 6, RESPONSE)).all()


def test_the_basis_is_the_one_that_other_tools_read(directions, signals):
    ours = fit_fod(signals, directions, SHELL, 6, RESPONSE)
    mrtrix = convert_sh_descoteaux_tournier(ours)
    # In both bases the function is the same and l=0 holds its mean.
    assert mrtrix.shape == ours.shape
    np.testing.assert_allclose(mrtrix[:, 0], ours[:, 0])


def test_signal_fit_agrees_with_dipy(directions, signals):
    sphere = get_sphere(name="repulsion100")
    sphere = type(sphere)(xyz=directions)
    theirs = sf_to_sh(
        signals, sphere, sh_order_max=6, basis_type="descoteaux07", legacy=False, smooth=0.006
    )
    np.testing.assert_allclose(fit_signal(signals, directions, 6, 0.006), theirs, atol=1e-10)


def test_the_largest_peak_is_the_fibre(directions):
    fibre = np.array([0.36, 0.48, 0.8])
    coefficients = fit_fod(
        two_fibres(directions, fibre, fibre)[None], directions, SHELL, 6, RESPONSE
    )
    sphere = get_sphere(name="repulsion724")
    fod = sh_to_sf(coefficients, sphere, sh_order_max=6, basis_type="descoteaux07", legacy=False)[0]
    peak = sphere.vertices[fod.argmax()]
    assert np.degrees(np.arccos(abs(peak @ fibre))) < 5


@pytest.mark.parametrize("representation", ["fod", "signal"])
def test_rotating_head_and_directions_together_leaves_rish_unchanged(directions, representation):
    turn = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    fibres = np.array([[0.36, 0.48, 0.8], [0.8, -0.6, 0.0]])

    def coefficients(fibres, directions):
        signal = two_fibres(directions, *fibres)[None]
        if representation == "fod":
            return fit_fod(signal, directions, SHELL, 6, RESPONSE)
        return fit_signal(signal, directions, 6, 0.006)

    before = coefficients(fibres, directions)
    after = coefficients(fibres @ turn.T, directions @ turn.T)
    assert not np.allclose(before, after, atol=1e-2)
    # The sphere that constrains the deconvolution does not turn with them, hence the tolerance.
    energy = rish(before, 6)
    tolerance = (0.005 if representation == "fod" else 1e-9) * energy.sum()
    np.testing.assert_allclose(rish(after, 6), energy, atol=tolerance)


def test_division_by_b0_survives_empty_voxels():
    signal, b0 = np.array([[0.5, 2.0], [0.3, 0.1]]), np.array([1.0, 0.0])
    divided = normalise_by_b0(signal, b0)
    assert np.isfinite(divided).all()
    np.testing.assert_array_equal(divided[0], [0.5, 1.0])
