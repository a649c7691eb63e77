"""How figures are shown and written."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axis import Axis
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harmonization.files import whole_file

DPI = 200
MM = 1 / 25.4  # inches
PRINT = 180  # mm, the width of a printed page
OUTLINE = "#00b8d4"  # of a lesion
PALETTE = sns.color_palette("colorblind")
MARKERS = "osDv^PX*"  # beside the colours of the palette
# The colour and the marker of each family: markers tell them apart in grey print, too.
FAMILIES = {
    "single_task": (PALETTE[0], "o"),
    "multi_task": (PALETTE[2], "s"),
    "msp": (PALETTE[3], "D"),
    "ensemble": (PALETTE[4], "^"),
    "classical": (PALETTE[1], "v"),
    "control": (PALETTE[7], "X"),
}
NO_DATE = {"CreationDate": None}  # so that the same figure has the same bytes

# Figures of the print width are drawn with these: `@printed`.
printed = matplotlib.rc_context(
    {
        "font.family": "DejaVu Sans",  # comes with matplotlib
        "font.size": 7,
        "axes.titlesize": 7.5,
        "axes.labelsize": 7,
        "xtick.labelsize": 6.5,
        "ytick.labelsize": 6.5,
        "legend.fontsize": 6.5,
        "legend.frameon": False,
        "figure.titlesize": 8,
        "figure.constrained_layout.h_pad": 0.03,
        "figure.constrained_layout.w_pad": 0.05,
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "lines.linewidth": 0.9,
        "lines.markersize": 3.2,
        "lines.markeredgewidth": 0.5,
    }
)


def look(number: int) -> dict[str, Any]:
    """Colour and marker of what has no family; none looks like another of the first forty."""
    return {"color": PALETTE[number % len(PALETTE)], "marker": MARKERS[number % len(MARKERS)]}


def save_figure(figure: Figure, paths: list[Path]) -> None:
    """Write a figure in the formats that the suffixes of `paths` give."""
    for path in paths:
        with whole_file(path) as temporary:
            metadata = NO_DATE if path.suffix == ".pdf" else None
            figure.savefig(temporary, dpi=DPI, bbox_inches="tight", metadata=metadata)
    plt.close(figure)


def save_pages(pages: list[Figure], paths: list[Path]) -> None:
    """Write figures of the print width: pages of a PDF; in a PNG, one below the other."""
    for path in paths:
        with whole_file(path) as temporary:
            if path.suffix == ".pdf":
                with PdfPages(temporary, metadata=NO_DATE) as pdf:
                    for page in pages:
                        pdf.savefig(page)
            else:
                plt.imsave(temporary, np.vstack([_pixels(p) for p in pages]), dpi=DPI)
    for page in pages:
        plt.close(page)


def _pixels(page: Figure) -> np.ndarray:
    page.set_dpi(DPI)
    page.canvas.draw()
    return np.array(page.canvas.buffer_rgba())


def cells_on_page(
    rows: int, columns: int, aspect: float, height: float, label: float, gap: float
) -> tuple[int, float, float]:
    """Blocks side by side into which rows are wrapped, for pictures as large as a page allows.

    Parameters
    ----------
    rows, columns : int
        Rows in all blocks together, and pictures in each row.
    aspect : float
        Height of a picture over its width.
    height, label, gap : float
        Height of the page for rows, width of a row's label, and space around a picture, mm.

    Returns
    -------
    blocks : int
    width, height : float
        Of a picture, mm.
    """
    choices = []
    for blocks in range(1, rows + 1):
        across = (PRINT / blocks - label) / columns - gap
        down = height / math.ceil(rows / blocks) - gap
        choices.append((min(across, down / aspect), -blocks))
    width, blocks = max(choices)
    return -blocks, width, width * aspect


def show(axis: plt.Axes, image: np.ndarray, **options: object) -> matplotlib.image.AxesImage:
    """Show a slice (x, y), or (x, y, 3) in colour, with y up: the front, if it is `canonical`."""
    return axis.imshow(image.swapaxes(0, 1), origin="lower", **options)


def panels_of_methods(
    labels: list[str], targets: list[str], bands: int = 1, line: float = 2.55
) -> tuple[Figure, np.ndarray]:
    """Panels in which every method has a line; a column for each target.

    Parameters
    ----------
    labels : list of str
        Of the methods, from top to bottom: method number n has y = n.
    targets : list of str
        Titles of the columns.
    bands : int
        Rows of panels.
    line : float
        Height of a method's line, mm.

    Returns
    -------
    figure : Figure
    axes : ndarray of Axes, shape (bands, targets)
        Those of a band share their x axis.
    """
    height = (20 + bands * (10 + line * max(len(labels), 3))) * MM
    figure, axes = plt.subplots(
        bands,
        len(targets),
        figsize=(PRINT * MM, height),
        sharex="row",
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.set_yticks(range(len(labels)), labels)
        axis.set_ylim(len(labels) - 0.4, -0.6)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="y", color="0.88", linewidth=0.4)
        axis.set_axisbelow(True)
    for axis, target in zip(axes[0], targets, strict=True):
        axis.set_title(target)
    return figure, axes


def family_key(families: Iterable[str]) -> list[Line2D]:
    """Entries of a key that says which colour and marker a family has."""
    shown = set(families)
    return [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=family.replace("_", " "))
        for family, (colour, marker) in FAMILIES.items()
        if family in shown
    ]


def number_logarithmic(*axes: Axis) -> None:
    """Number logarithmic axes with plain numbers, once their limits are there.

    By default, an axis that spans less than a decade has one number or none.
    """
    for axis in axes:
        low, high = axis.get_view_interval()
        few = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])
        some = LogLocator(subs=(1, 1.5, 2, 3, 5, 7))
        axis.set_major_locator(
            few if high < 2.5 * low else some if high < 20 * low else LogLocator()
        )
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def mark_sides(axis: plt.Axes, size: float) -> None:
    """Mark the sides of the person, in a slice whose first axis runs to the right."""
    for text, x, aligned in (("L", 0.02, "left"), ("R", 0.98, "right")):
        axis.text(
            *(x, 0.02),
            text,
            color="white",
            fontsize=size,
            ha=aligned,
            va="bottom",
            transform=axis.transAxes,
        )


def outline(axis: plt.Axes, region: np.ndarray) -> None:
    """Draw the outline of a region (x, y) over a slice; nothing if it is empty."""
    if region.any():
        padded = np.pad(region, 1)
        x, y = (np.arange(n) - 1 for n in padded.shape)
        axis.contour(x, y, padded.T, levels=[0.5], colors=OUTLINE, linewidths=0.6)
