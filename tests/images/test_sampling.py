"""Compiled interpolation gives what scipy's does."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from harmonization.images import sampling
from harmonization.images.sampling import sample_maps, sample_volumes


@pytest.mark.parametrize(("periodic", "mode"), [(False, "nearest"), (True, "grid-wrap")])
def test_maps_are_sampled_as_by_scipy(rng, periodic, mode):
    maps = rng.random((5, 6, 7, 3), dtype=np.float32)
    index = rng.uniform(-9, 14, (3, 500))
    index[:, :20] = np.round(index[:, :20])  # nodes themselves
    expected = [map_coordinates(m, index, order=1, mode=mode) for m in np.moveaxis(maps, -1, 0)]
    found = sample_maps(maps, index, periodic)
    np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=1e-6)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_volumes_are_sampled_as_by_scipy(rng, order, monkeypatch):
    monkeypatch.setattr(sampling, "TOGETHER", 2)
    series = rng.random((9, 5, 2, 6), dtype=np.float32)
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    index = rng.uniform(-0.5, np.array([[8.5], [4.5], [1.5]]), (3, 500))
    index[:, :20] = np.round(index[:, :20])
    volumes = np.array([5, 0, 2])
    points = index.T * affine.diagonal()[:3]
    expected = [
        map_coordinates(series[..., v], index, order=order, mode="nearest") for v in volumes
    ]
    found = sample_volumes(series, volumes, affine, points, order)
    np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=2e-6)
