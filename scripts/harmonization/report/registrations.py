"""Figure: every scan of a subject on the source, before and after registration."""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harmonization.report.style import MM, PRINT, cells_on_page, show

WAYS = ("as scanned", "registered")
HEIGHT, HEAD, LABEL, GAP = 236, 10.0, 8.0, 2.0  # mm


def draw_registration(
    fixed: np.ndarray,
    voxel_size: np.ndarray,
    rows: dict[str, tuple[np.ndarray, np.ndarray]],
    title: str,
) -> Figure:
    """Overlay scans on the source, before and after registration, in two planes.

    Parameters
    ----------
    fixed : ndarray, shape (x, y, z)
        Mean b=0 image of the source, shown in red.
    voxel_size : ndarray, shape (3,)
        Voxel size of the source, mm.
    rows : dict of str to (ndarray, ndarray)
        By label of the scan: the scan on the source's grid, before and after registration, shown
        in cyan. The picture is grey where scan and source agree.
    title : str
    """
    x, y, z = fixed.shape * voxel_size
    axial, sagittal = y / x, z / y
    blocks, width, height = cells_on_page(
        len(rows), len(WAYS), axial + sagittal, HEIGHT, LABEL, GAP
    )
    down = math.ceil(len(rows) / blocks)
    page = HEAD + down * (height + GAP)
    figure = plt.figure(figsize=(PRINT * MM, page * MM))
    figure.text(0.5, 1 - 2.5 / page, title, fontsize=9, ha="center", va="center")
    for number, (label, images) in enumerate(rows.items()):
        block, row = divmod(number, down)
        for column, image in enumerate(images):
            left = block * PRINT / blocks + LABEL + column * (width + GAP)
            top = page - HEAD - row * (height + GAP)
            places = (
                (left / PRINT, (top - width * axial) / page, width / PRINT, width * axial / page),
                (
                    left / PRINT,
                    (top - height - GAP / 4) / page,
                    width / PRINT,
                    width * sagittal / page,
                ),
            )
            axes = [figure.add_axes(place, xticks=[], yticks=[]) for place in places]
            draw_overlay(axes, fixed, image, voxel_size)
            if column == 0:
                axes[0].set_ylabel(label, fontsize=6.5)
            if row == 0:
                axes[0].set_title(WAYS[column], fontsize=7, pad=2)
    return figure


def draw_overlay(
    axes: list[Axes], fixed: np.ndarray, image: np.ndarray, voxel_size: np.ndarray
) -> None:
    """Draw two images (x, y, z) over each other, in an axial and in a sagittal plane."""
    overlay = np.stack([_brightness(fixed)] + 2 * [_brightness(image)], axis=-1)
    x, _, z = (n // 2 for n in fixed.shape)
    planes = ((overlay[:, :, z], voxel_size[:2]), (overlay[x], voxel_size[1:]))
    for axis, (plane, sizes) in zip(axes, planes, strict=True):
        show(axis, plane, aspect=sizes[1] / sizes[0])


def _brightness(image: np.ndarray) -> np.ndarray:
    return np.clip(image / max(float(np.quantile(image, 0.99)), 1e-9), 0, 1)
