"""The overlays of registrations fit a page, however many scans a subject has."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from harmonization.report.registrations import draw_registration
from harmonization.report.style import MM, PRINT


@pytest.mark.parametrize("scans", [1, 3, 8])
@pytest.mark.parametrize("slices", [12, 60], ids=["slab", "head"])
def test_the_overlays_fit_a_page(scans, slices):
    fixed = np.random.default_rng(0).random((60, 75, slices))
    rows = {f"scan {n}\nsimilarity": (fixed, fixed[::-1]) for n in range(scans)}
    figure = draw_registration(fixed, np.full(3, 2.4), rows, "title")
    width, height = figure.get_size_inches() / MM
    assert width == pytest.approx(PRINT)
    assert height <= 257
    figure.draw_without_rendering()
    pictures = [axis.get_position() for axis in figure.axes]
    assert len(pictures) == 4 * scans
    for one in pictures:
        assert min(one.x0, one.y0) >= 0
        assert max(one.x1, one.y1) <= 1
        assert sum(one.overlaps(other) for other in pictures) == 1
    assert min(one.width for one in pictures) * PRINT >= 20
    assert [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()] == [*rows]
    plt.close(figure)
