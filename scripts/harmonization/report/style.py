"""How figures are shown and written."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from harmonization.files import whole_file

DPI = 150


def save_figure(figure: Figure, paths: list[Path]) -> None:
    """Write a figure in the formats that the suffixes of `paths` give."""
    for path in paths:
        with whole_file(path) as temporary:
            figure.savefig(temporary, dpi=DPI, bbox_inches="tight")
    plt.close(figure)


def show(axis: plt.Axes, image: np.ndarray, **options: object) -> matplotlib.image.AxesImage:
    """Show an axial slice (x, y) with the front up."""
    return axis.imshow(image.T, origin="lower", **options)
