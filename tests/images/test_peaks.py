"""Main peaks: a fibre's distribution points along the fibre, whichever way it is turned."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from harmonization.images.coefficients import coefficient_orders, generalised_anisotropy, rish
from harmonization.images.peaks import angles, main_peaks
from harmonization.images.spherical_harmonics import harmonics


def along(fibres, order=6):
    """Coefficients (n, c) of a smooth lobe along each of `fibres` (n, 3)."""
    orders = coefficient_orders(order)
    return harmonics(fibres, order) * np.exp(-0.03 * orders * (orders + 1))


@pytest.fixture
def fibres(rng):
    drawn = rng.standard_normal((500, 3))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("order", [2, 4, 6, 8])
def test_the_peak_lies_along_the_fibre(fibres, order):
    found = angles(main_peaks(along(fibres, order)), fibres)
    assert found.mean() < 0.1  # degrees, where the directions lie 8 apart
    assert found.max() < 1


def test_the_largest_of_two_lobes_is_found():
    axes = np.eye(3)[:2]
    first, second = along(axes)
    np.testing.assert_allclose(
        angles(main_peaks((first + 0.5 * second)[None]), axes[:1]), 0, atol=1
    )
    np.testing.assert_allclose(
        angles(main_peaks((0.5 * first + second)[None]), axes[1:]), 0, atol=1
    )


@pytest.mark.parametrize("degrees", [0, 10, 45, 90])
def test_a_turned_distribution_is_that_far_away(fibres, degrees):
    across = np.cross(fibres, np.roll(fibres, 1, axis=0))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    turned = Rotation.from_rotvec(np.radians(degrees) * across).apply(fibres)
    found = angles(main_peaks(along(fibres)), main_peaks(along(turned)))
    np.testing.assert_allclose(found, degrees, atol=1.5)
    assert found.mean() == pytest.approx(degrees, abs=0.2)


def test_opposite_directions_are_the_same_axis():
    first, second = (
        np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]),
        np.array([[-1.0, 0, 0], [0, 1, 1], [1, 0, 0]]),
    )
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    np.testing.assert_allclose(angles(first, second), [0, 45, 90], atol=1e-9)


def test_a_flat_or_empty_distribution_has_some_direction():
    flat = np.zeros((2, 28))
    flat[0, 0] = 1
    np.testing.assert_allclose(np.linalg.norm(main_peaks(flat), axis=1), 1)
    assert main_peaks(np.zeros((0, 28))).shape == (0, 3)


def test_generalised_anisotropy_by_hand():
    coefficients = np.zeros((4, 6))
    coefficients[0, 0] = 0.3  # a sphere
    coefficients[1, [0, 3]] = 3, 4  # sqrt(16 / 25)
    coefficients[2, 2] = 1
    np.testing.assert_allclose(generalised_anisotropy(rish(coefficients, 2)), [0, 0.8, 1, 0])
    coefficients[0, 1] = 0.3e-6  # not rounded away
    assert generalised_anisotropy(rish(coefficients, 2))[0] == pytest.approx(1e-6)
