"""Fine variation is told from noise, and where it is."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from dipy.data import get_fnames
from scipy.ndimage import gaussian_filter

from harmonization.files import InputError
from harmonization.images.grids import parts_to_channels
from harmonization.images.spheres import sphere
from harmonization.images.spherical_harmonics import harmonics
from harmonization.images.variation import fine_variation, power_spectrum

SHAPE = (24, 24, 24)
DIRECTIONS = sphere("repulsion100")


def scan_of(coefficients, noise=0.0):
    """Signal (x, y, z, n) with `coefficients` (x, y, z, 5) of order 2."""
    full = np.zeros((*coefficients.shape[:3], 6))
    full[..., 0], full[..., 1:] = 1.5, coefficients
    signal = full @ harmonics(DIRECTIONS, 2).T
    return signal + np.random.default_rng(1).normal(0, noise, signal.shape)


@pytest.fixture
def smooth(rng):
    noise = rng.standard_normal((*SHAPE, 5))
    return np.stack([gaussian_filter(n, 1.5, mode="wrap") for n in np.moveaxis(noise, -1, 0)], -1)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_variation_is_what_blocks_leave_with_noise_or_without(smooth, noise):
    split = parts_to_channels(smooth, 2).reshape(-1, 8, smooth.shape[-1])
    rest = split - split.mean(axis=1, keepdims=True)
    found = fine_variation(scan_of(smooth, noise), DIRECTIONS, np.ones(SHAPE, dtype=bool))
    assert found.unexplained == pytest.approx((rest**2).mean() / (split**2).mean(), abs=0.01)
    # Smoothed by s, the correlation at distance d is exp(-d^2 / 4 s^2).
    assert found.correlation == pytest.approx(np.exp(-1 / (4 * 1.5**2)), abs=0.03)


def test_what_is_constant_within_blocks_is_explained(rng):
    coarse = rng.standard_normal((12, 12, 12, 5))
    whole = np.kron(coarse, np.ones((2, 2, 2, 1)))
    found = fine_variation(scan_of(whole), DIRECTIONS, np.ones(SHAPE, dtype=bool))
    assert found.unexplained == pytest.approx(0, abs=1e-9)
    assert found.correlation == pytest.approx(0.5, abs=0.05)


def test_only_the_brain_counts(rng, smooth):
    brain = np.zeros(SHAPE, dtype=bool)
    brain[4:20, 4:20, 4:20] = True
    noisy = smooth + np.where(brain[..., None], 0, 5 * rng.standard_normal((*SHAPE, 5)))
    inside = fine_variation(scan_of(smooth), DIRECTIONS, brain)
    assert fine_variation(scan_of(noisy), DIRECTIONS, brain) == inside


def test_too_few_directions_or_voxels_are_told(smooth):
    brain = np.ones(SHAPE, dtype=bool)
    with pytest.raises(InputError, match="takes 30 directions; the shell has 20"):
        fine_variation(scan_of(smooth)[..., :20], DIRECTIONS[:20], brain)
    with pytest.raises(InputError, match="no block"):
        fine_variation(scan_of(smooth), DIRECTIONS, np.zeros(SHAPE, dtype=bool))


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_spectrum_shows_the_frequency_of_a_wave_and_no_noise(noise):
    """Three periods along one axis; by hand, Hann's taper spreads them to the neighbours."""
    n = 24
    wave = np.cos(2 * np.pi * 3 * np.arange(n) / n)
    coefficients = np.zeros((n, n, n, 5))
    coefficients[..., 2] = wave[:, None, None]
    power = power_spectrum(scan_of(coefficients, noise), DIRECTIONS)
    assert power.shape == (12,)
    np.testing.assert_allclose(power[1:4] / power[2], [0.25, 1, 0.25], atol=0.02)
    assert abs(power[5:]).max() < 0.01 * power[2]


def test_a_real_scan_is_measured_by_the_command():
    """A crop of a real scan, 2 mm, which dipy ships."""
    dwi, bval, bvec = get_fnames(name="small_64D")
    command = [sys.executable, "-m", "measure_variation", "--dwi", dwi, "--bval", bval]
    result = subprocess.run(
        [*command, "--bvec", bvec, "--shell", "1000"],
        cwd=ROOT / "scripts",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "27.6% of order 2 is not explained" in result.stdout
    assert "0.66 is the correlation" in result.stdout
