"""Tensors of a signal as harmonics: what dipy finds in the signal itself."""

import numpy as np
import pytest
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel

from harmonization.images.spherical_harmonics import fit_signal
from harmonization.images.tensors import anisotropy_and_diffusivity
from harmonization.phantom.acquisition import gradient_scheme

B = 1200.0  # s/mm2


@pytest.fixture
def directions():
    return gradient_scheme({1200: 60}, 0)[1]


def signal_of(eigenvalues, directions):
    return np.exp(-B * (directions**2 @ np.array(eigenvalues)))[None]


def test_a_tensors_own_anisotropy_and_diffusivity_by_hand(directions):
    signal = signal_of([1.7e-3, 0.3e-3, 0.3e-3], directions)
    anisotropy, diffusivity = anisotropy_and_diffusivity(fit_signal(signal, directions, 8, 0), B)
    # 1.4 / sqrt(1.7^2 + 2 * 0.3^2), and (1.7 + 0.3 + 0.3) / 3
    assert anisotropy == pytest.approx(0.799, abs=2e-3)
    assert diffusivity == pytest.approx(0.7667e-3, abs=2e-6)


def test_a_sphere_has_no_anisotropy(directions):
    signal = signal_of([3e-3, 3e-3, 3e-3], directions)
    anisotropy, diffusivity = anisotropy_and_diffusivity(fit_signal(signal, directions, 6, 0), B)
    assert anisotropy == pytest.approx(0, abs=1e-6)
    assert diffusivity == pytest.approx(3e-3)


def test_dipys_fit_agrees(rng, directions):
    eigenvalues = rng.uniform(0.3e-3, 1.2e-3, (40, 3))
    signal = np.concatenate([signal_of(e, directions) for e in eigenvalues])
    signal = np.clip(signal + rng.normal(0, 0.01, signal.shape), 0.01, 1)
    anisotropy, diffusivity = anisotropy_and_diffusivity(fit_signal(signal, directions, 8, 0), B)
    # b=0 counts so much that dipy's signal at b=0 is 1, too.
    table = gradient_table(
        np.r_[np.zeros(500), np.full(60, B)], bvecs=np.vstack([np.zeros((500, 3)), directions])
    )
    fit = TensorModel(table, fit_method="LS").fit(np.hstack([np.ones((40, 500)), signal]))
    np.testing.assert_allclose(anisotropy, fit.fa, atol=0.02)
    np.testing.assert_allclose(diffusivity, fit.md, rtol=0.02)


def test_what_is_no_signal_gives_numbers_that_can_be_compared():
    coefficients = np.zeros((3, 28))
    coefficients[1, 0], coefficients[2, 1] = -1, 50
    anisotropy, diffusivity = anisotropy_and_diffusivity(coefficients, B)
    assert np.isfinite(diffusivity).all()
    assert ((anisotropy >= 0) & (anisotropy <= 1)).all()
