"""Compiled interpolation gives what scipy's does."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from harmonization.images.sampling import sample_maps


@pytest.mark.parametrize(("periodic", "mode"), [(False, "nearest"), (True, "grid-wrap")])
def test_maps_are_sampled_as_by_scipy(rng, periodic, mode):
    maps = rng.random((5, 6, 7, 3), dtype=np.float32)
    index = rng.uniform(-9, 14, (3, 500))
    index[:, :20] = np.round(index[:, :20])  # nodes themselves
    expected = [map_coordinates(m, index, order=1, mode=mode) for m in np.moveaxis(maps, -1, 0)]
    found = sample_maps(maps, index, periodic)
    np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=1e-6)
