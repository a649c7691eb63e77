"""Figure: what every method predicts in one slice, and its error."""

import math

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from harmonization.report.style import MM, OUTLINE, PRINT, cells_on_page, mark_sides, outline, show

# mm
HEIGHT = 222  # of all rows of a page
LABEL, GAP, HEAD, TITLE, FOOT = 8.5, 0.6, 6.5, 6.0, 15.0
FONT = 6.5  # points
COLUMNS = 5
MOST = 24  # methods on a page; of more, the labels would meet
SPREAD = 0.98  # quantile of an error that a typical method's scale reaches
KEY = {"left–right": "#cc0000", "front–back": "#008c00", "up–down": "#0000e6"}

Slices = dict[str, dict[str, np.ndarray]]


def draw_errors(slices: Slices, reference: str, title: str) -> list[Figure]:
    """Draw what every method predicts in one slice and its error, all on the same scales.

    On each page the measured target comes first, then a row for each method: coefficient l=0,
    energy of order 2, fibre direction, error, and this error minus that of the reference.

    Parameters
    ----------
    slices : dict of str to dict
        By label of the method: what `slices.cut_slice` returns.
    reference : str
        Label of the method whose error the others' are compared with.
    title : str
    """
    scales = scales_of(slices, reference)
    parts = np.array_split(list(slices), math.ceil(len(slices) / MOST))
    title += f"; reference: {reference}"
    return [
        draw_page({label: slices[label] for label in part}, slices[reference], scales, title)
        for part in parts
    ]


def draw_page(
    slices: Slices,
    reference: dict[str, np.ndarray],
    scales: dict[str, Normalize],
    title: str,
) -> Figure:
    """Draw the measured target and some of the methods."""
    first = next(iter(slices.values()))
    row_count, aspect = len(slices) + 1, shape_of(first)
    blocks, width, height = cells_on_page(row_count, COLUMNS, aspect, HEIGHT, LABEL, GAP)
    rows = math.ceil(row_count / blocks)
    page = TITLE + HEAD + rows * (height + GAP) + FOOT
    figure = plt.figure(figsize=(PRINT * MM, page * MM))
    figure.text(0.5, 1 - 0.4 * TITLE / page, title, fontsize=8, ha="center", va="center")
    block_width, used = PRINT / blocks, LABEL + COLUMNS * (width + GAP)
    for number, label in enumerate([None, *slices]):
        block, row = divmod(number, rows)
        left = block * block_width + LABEL + (block_width - used) / 2
        bottom = page - TITLE - HEAD - (row + 1) * (height + GAP)
        axes = [
            figure.add_axes(
                (
                    (left + column * (width + GAP)) / PRINT,
                    bottom / page,
                    width / PRINT,
                    height / page,
                )
            )
            for column in range(COLUMNS)
        ]
        if row == 0:
            head(axes)
        if label is None:
            draw_measured(axes, first, scales)
        else:
            draw_method(axes, label, slices[label], reference, scales)
    draw_scales(figure, scales, page)
    return figure


def shape_of(arrays: dict[str, np.ndarray]) -> float:
    """Height of a slice over its width."""
    steps = np.linalg.norm(arrays["axes"], axis=1)
    x, y = arrays["target"].shape
    return float(y * steps[1] / (x * steps[0]))


def scales_of(slices: Slices, reference: str) -> dict[str, Normalize]:
    """What black and white, or the ends of a colour map, stand for, by column."""
    first, errors, differences = next(iter(slices.values())), [], []
    inside = first["target"] > 0
    top = {
        name: float(np.quantile(first[name][inside], 0.995)) for name in ("target", "target_energy")
    }
    for label, arrays in slices.items():
        errors.append(np.quantile(arrays["error"][arrays["mask"] > 0], SPREAD))
        if label != reference:
            change = np.abs(difference(arrays, slices[reference]))
            differences.append(np.nanquantile(change, SPREAD))
    # Controls would stretch the scales until no rival's error shows, and rivals differ by little.
    worst = float(np.median(errors))
    widest = float(np.quantile(differences, 1 / 3)) if differences else worst
    return {
        "prediction": Normalize(0, top["target"]),
        "energy": Normalize(0, top["target_energy"]),
        "error": Normalize(0, worst),
        "difference": Normalize(-widest, widest),
    }


def difference(arrays: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> np.ndarray:
    """Error of a method minus that of the reference, (x, y); NaN where one has none."""
    both = (arrays["mask"] > 0) & (reference["mask"] > 0)
    return np.where(both, arrays["error"] - reference["error"], np.nan)


def head(axes: list[Axes]) -> None:
    """Write the titles of a block's columns."""
    texts = ("l = 0", "l = 2,\nenergy", "direction", "error", "error minus\nreference")
    for axis, text in zip(axes, texts, strict=True):
        axis.set_title(text, fontsize=FONT, pad=2, linespacing=1)


def draw_measured(
    axes: list[Axes], arrays: dict[str, np.ndarray], scales: dict[str, Normalize]
) -> None:
    """Draw the row of the measured target, with the key of the directions."""
    draw_images(axes[:3], arrays, "target", scales)
    mark_sides(axes[0], FONT)
    name_row(axes[0], "Measured")
    for axis in axes[3:]:
        axis.set_axis_off()
    key = {**KEY, "lesion, outlined": OUTLINE} if arrays["lesion"].any() else KEY
    for number, (text, colour) in enumerate(key.items()):
        axes[3].text(
            *(0.08, 0.85 - 0.2 * number),
            text,
            color=colour,
            fontsize=FONT,
            transform=axes[3].transAxes,
        )


def draw_method(
    axes: list[Axes],
    label: str,
    arrays: dict[str, np.ndarray],
    reference: dict[str, np.ndarray],
    scales: dict[str, Normalize],
) -> None:
    """Draw the row of a method."""
    draw_images(axes[:3], arrays, "prediction", scales)
    error = np.where(arrays["mask"] > 0, arrays["error"], np.nan)
    show_slice(axes[3], arrays, error, cmap="magma", norm=scales["error"])
    if arrays is reference:
        axes[4].set_axis_off()
        axes[4].text(
            *(0.5, 0.5), "reference", fontsize=FONT, ha="center", transform=axes[4].transAxes
        )
    else:
        change = difference(arrays, reference)
        show_slice(axes[4], arrays, change, cmap="RdBu_r", norm=scales["difference"])
    name_row(axes[0], label)


def draw_images(
    axes: list[Axes], arrays: dict[str, np.ndarray], image: str, scales: dict[str, Normalize]
) -> None:
    """Draw coefficient l=0, energy of order 2 and direction of the target or a prediction."""
    inside = arrays["mask"] > 0 if image == "prediction" else np.ones_like(arrays["mask"], bool)
    grey = {"prediction": image, "energy": f"{image}_energy"}
    for axis, (scale, name) in zip(axes[:2], grey.items(), strict=True):
        show_slice(axis, arrays, np.where(inside, arrays[name], 0), cmap="gray", norm=scales[scale])
    show_slice(axes[2], arrays, np.where(inside[..., None], arrays[f"{image}_colours"], 0))


def show_slice(
    axis: Axes, arrays: dict[str, np.ndarray], image: np.ndarray, **options: object
) -> None:
    """Show an image of the slice, with the outline of the lesion."""
    steps = np.linalg.norm(arrays["axes"], axis=1)
    show(axis, image, aspect=steps[1] / steps[0], **options)
    outline(axis, arrays["lesion"])
    axis.set(xticks=[], yticks=[])


def name_row(axis: Axes, label: str) -> None:
    """Write a method's label beside its row, on two lines if it is long."""
    words, lines = label.split(), [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > 12 and len(lines) < 2:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    axis.set_ylabel("\n".join(lines), fontsize=FONT, labelpad=2, linespacing=1)


def draw_scales(figure: Figure, scales: dict[str, Normalize], page: float) -> None:
    """Draw the colour bars at the foot."""
    bars = {
        "prediction": ("gray", "coefficient l = 0, raw units"),
        "energy": ("gray", "root of the energy of l = 2, raw units"),
        "error": ("magma", "rms error, SD of the target"),
        "difference": ("RdBu_r", "blue: less error, red: more, SD"),
    }
    for number, (name, (colours, text)) in enumerate(bars.items()):
        axis = figure.add_axes(
            ((number + 0.1) / len(bars), 8.5 / page, 0.8 / len(bars), 2.2 / page)
        )
        extend = {"error": "max", "difference": "both"}.get(name, "max")
        bar = figure.colorbar(
            ScalarMappable(scales[name], colours), cax=axis, orientation="horizontal", extend=extend
        )
        bar.set_label(text, fontsize=FONT, labelpad=1)
        bar.ax.tick_params(labelsize=FONT - 0.5, length=2, pad=1)
        bar.ax.locator_params(nbins=4)
