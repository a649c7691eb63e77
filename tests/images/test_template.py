"""Templates and warps, on heads that are known deformations of one."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from harmonization.images.template import (
    OUTSIDE,
    brightness,
    build_template,
    pull,
    warp_to_template,
)

SHAPE = (28, 32, 14)


@pytest.fixture(scope="module")
def head():
    """A smooth pattern within an ellipsoid."""
    noise = gaussian_filter(np.random.default_rng(5).standard_normal(SHAPE), 1.5)
    centred = (np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2).T
    radius = np.sqrt(sum((c / (0.42 * n)) ** 2 for c, n in zip(centred, SHAPE, strict=True)))
    return np.where(radius < 1, 1 + 0.4 * noise / noise.std(), 0).clip(0)


def moved(head, shift):
    """The head, moved by whole or half voxels along the first axis and bent along the second."""
    x, y, z = np.indices(SHAPE, dtype=float)
    bent = x - shift + 1.2 * np.sin(y / 6)
    return map_coordinates(head, [bent, y, z], order=1), bent


def test_a_warp_finds_a_deformation_and_its_inverse(head):
    image, bent = moved(head, 1.5)
    warp = warp_to_template(head, image)
    inside = gaussian_filter(image, 2) > 0.7
    # Each voxel of the deformed head shows what lies at `bent` in the template.
    found = warp.to_template[..., 0]
    assert np.abs(found - bent)[inside].mean() < 0.35
    assert np.abs(np.indices(SHAPE)[0] - bent)[inside].mean() > 0.8
    grid = np.moveaxis(np.indices(SHAPE, dtype=np.float32), 0, -1)
    there_and_back = pull(pull(grid, warp.to_template), warp.to_head)
    core = np.isfinite(there_and_back).all(axis=-1) & (gaussian_filter(head, 2) > 0.7)
    assert core.sum() > 1000
    assert np.abs(there_and_back - grid)[core].mean() < 0.1


def test_heads_are_more_like_their_template_than_like_their_mean(head):
    heads = [moved(head, shift)[0] for shift in (-2.0, 0.0, 2.0)]
    template = build_template(heads)
    assert template.shape == SHAPE
    assert np.isfinite(template).all()
    aligned = [pull(h[..., None], warp_to_template(template, h).to_head)[..., 0] for h in heads]
    spread = np.nanmean([(a - template) ** 2 for a in aligned])
    assert spread < 0.3 * np.var(heads, axis=0).mean()


def test_what_lies_outside_has_no_value():
    image = np.arange(8.0).reshape(2, 2, 2, 1)
    coordinates = np.array([[[[0, 0, 0.5]]], [[[OUTSIDE] * 3]]])
    values = pull(image, coordinates)[..., 0].ravel()
    assert values[0] == 0.5
    assert np.isnan(values[1])


def test_brightness_is_1_on_average_in_the_brain():
    coefficients = np.random.default_rng(0).uniform(1, 2, (4, 4, 4, 6))
    mask = np.zeros((4, 4, 4))
    mask[1:3] = 1
    image = brightness(coefficients, mask)
    assert image[mask > 0].mean() == pytest.approx(1)
    assert (image[mask == 0] == 0).all()
