"""Figures that show whether the phantom is plausible."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from harmonization.images.gradients import B0_THRESHOLD
from harmonization.images.grids import transform_points
from harmonization.images.variation import power_spectrum
from harmonization.phantom.atlas import POPULATIONS
from harmonization.phantom.checks import (
    PEAK_ERROR,
    REAL_SCANS,
    WHITE,
    Check,
    Examined,
    b_error,
    cubes_of,
    fibres_of,
    fods,
    like_real,
    over_b0,
    peak_errors,
    tensor_colours,
)
from harmonization.phantom.people import Person
from harmonization.phantom.scanner import Scanner
from harmonization.report.orientations import amplitudes, plane_directions
from harmonization.report.slices import richest_window
from harmonization.report.style import show

GLYPHS = 14  # along each edge of the figure
CUBES = 12  # crops of the phantom


def draw_anisotropy(scans: list[Examined], subject: str) -> Figure:
    """Draw one subject on every platform: b=0, and FA coloured by direction."""
    figure, axes = plt.subplots(
        2, len(scans), figsize=(2.6 * len(scans), 6.2), squeeze=False, layout="constrained"
    )
    for column, scan in zip(axes.T, scans, strict=True):
        k = scan.fa.shape[2] // 2
        show(column[0], scan.scan.signal[:, :, k, 0], cmap="gray", vmin=0, vmax=0.8)
        column[1].imshow(
            np.clip(1.3 * scan.colours[:, :, k].transpose(1, 0, 2), 0, 1), origin="lower"
        )
        column[0].set_title(scan.platform)
    axes[0, 0].set_ylabel("b=0")
    axes[1, 0].set_ylabel("FA, coloured by direction")
    return _without_ticks(figure, f"Simulated subject {subject} on all platforms")


def draw_detail(
    person: Person,
    real: tuple[np.ndarray, np.ndarray, np.ndarray],
    slab: tuple[float, float] | None,
) -> Figure:
    """Draw a crop of a real scan beside one of the phantom, and their power by spatial frequency.

    Parameters
    ----------
    person : Person
    real : (ndarray, ndarray, ndarray)
        A cube of a real scan of deep white matter (n, n, n, v), 2 mm; its b-values (v,) and
        directions (v, 3).
    slab : (float, float), optional
        Of the person's scan, see `acquire`.
    """
    scan, region = like_real(person, "deep", slab)
    edge = min(*real[0].shape[:3], *region.shape) // 2 * 2
    cubes = cubes_of(region, edge, CUBES)
    crop = real[0][(slice(edge),) * 3]
    series = {"real": [(crop, *real[1:])]}
    series["phantom"] = [(scan.signal[cube], scan.bvals, scan.directions) for cube in cubes]

    figure, axes = plt.subplot_mosaic(
        [
            ["real 0", "real 1", "real 2", "s", "s"],
            ["phantom 0", "phantom 1", "phantom 2", "s", "s"],
        ],
        figsize=(13, 5),
        layout="constrained",
    )
    frequencies = np.arange(1, edge // 2 + 1) / (edge * REAL_SCANS["deep"][0])
    for (label, crops), colour in zip(
        series.items(), sns.color_palette("colorblind", 2), strict=True
    ):
        colours = tensor_colours(*crops[0])
        for number in range(3):
            k = (2 * number + 1) * edge // 6
            axis = axes[f"{label} {number}"]
            axis.imshow(np.clip(1.3 * colours[:, :, k].transpose(1, 0, 2), 0, 1), origin="lower")
            axis.set(xticks=[], yticks=[], title=f"{label}, slice {k}")
        powers = [
            power_spectrum(over_b0(signal, bvals), directions[bvals >= B0_THRESHOLD])
            for signal, bvals, directions in crops
        ]
        shares = np.array([power / power.sum() for power in powers])
        axes["s"].plot(frequencies, np.median(shares, axis=0), "o-", color=colour, label=label)
        if len(shares) > 1:
            low, high = np.quantile(shares, [0.1, 0.9], axis=0)
            axes["s"].fill_between(frequencies, low, high, color=colour, alpha=0.2)
    axes["s"].set(
        yscale="log",
        xlabel="spatial frequency, 1/mm",
        ylabel="share of the power of order 2, without noise",
    )
    axes["s"].legend(title=f"cubes of {edge * REAL_SCANS['deep'][0]:.0f} mm")
    figure.suptitle("Deep white matter at 2 mm: a real crop (small_64D of dipy) and the phantom")
    return figure


def draw_fods(person: Person, scan: Examined, response: dict) -> Figure:
    """Draw fibre orientation distributions and true fibres where all three populations cross.

    The slice is coronal; glyphs show the distribution's values in its plane.
    """
    directions, shares = fibres_of(person, scan)
    white = np.argwhere(scan.scan.tissue == WHITE)
    entropy = -(shares * np.log(np.maximum(shares, 1e-9))).sum(axis=1)
    mixed = np.zeros(scan.fa.shape)
    mixed[tuple(white.T)] = entropy
    y = int(mixed.sum(axis=(0, 2)).argmax())
    x, z = richest_window(mixed[:, y], GLYPHS)
    window = (white[:, 1] == y) & _within(white[:, 0], x) & _within(white[:, 2], z)
    voxels = white[window]
    coefficients = fods(scan, tuple(voxels.T), response)

    figure, axis = plt.subplots(figsize=(8, 8), layout="constrained")
    show(axis, scan.fa[:, y], cmap="gray", vmin=0, vmax=1.4)
    plane = plane_directions(np.eye(3)[[0, 2]])
    radii = amplitudes(coefficients, plane)
    radii *= 0.5 / np.quantile(radii.max(axis=1), 0.95)
    centres = voxels[:, [0, 2]].astype(float)
    glyphs = centres[:, None] + radii[:, :, None] * plane[:, [0, 2]]
    axis.add_collection(
        PolyCollection(list(glyphs), facecolor="#ffb000", edgecolor="none", alpha=0.8)
    )
    for population, colour in enumerate(sns.color_palette("bright", len(POPULATIONS))):
        half = 0.45 * (directions[window, population] * shares[window, population, None])[:, [0, 2]]
        lines = np.stack([centres - half, centres + half], axis=1)
        axis.plot(*lines.transpose(2, 1, 0), color=colour, lw=1.6)
        axis.plot([], [], color=colour, lw=1.6, label=POPULATIONS[population])
    axis.set(xlim=(x - 0.7, x + GLYPHS - 0.3), ylim=(z - 0.7, z + GLYPHS - 0.3))
    axis.legend(loc="upper right", title="true fibres")
    return _without_ticks(figure, f"Fibre orientation distributions, {scan.platform}, coronal")


def _within(index: np.ndarray, first: int) -> np.ndarray:
    return (index >= first) & (index < first + GLYPHS)


def draw_scanners(person: Person, scans: list[Examined]) -> Figure:
    """Draw the effects of each scanner by place: error of b, receive sensitivity, noise."""
    figure, axes = plt.subplots(
        3, len(scans), figsize=(2.6 * len(scans), 9), squeeze=False, layout="constrained"
    )
    parameters = person.parameters
    for column, examined in zip(axes.T, scans, strict=True):
        scan = examined.scan
        k = scan.mask.shape[2] // 2
        brain = np.argwhere(scan.mask[:, :, k] > 0)
        places = transform_points(scan.affine, np.c_[brain, np.full(len(brain), k)])
        name = parameters["platforms"][examined.platform]["scanner"]
        scanner = Scanner(name, parameters, person.atlas)
        along_z = np.linalg.norm(scanner.coil_at(places)[..., 2], axis=1) ** 2
        rows = (
            (100 * (along_z - 1), "RdBu_r", -10, 10),
            (scanner.receive_at(places), "viridis", 0.7, 1.3),
            (scan.sigma[brain[:, 0], brain[:, 1], k], "magma", 0, 0.04),
        )
        for axis, (values, colours, low, high) in zip(column, rows, strict=True):
            image = np.full(scan.mask.shape[:2], np.nan)
            image[tuple(brain.T)] = values
            shown = show(axis, image, cmap=colours, vmin=low, vmax=high)
            if column is axes.T[-1]:
                figure.colorbar(shown, ax=axis, shrink=0.7)
        column[0].set_title(examined.platform)
    for axis, label in zip(
        axes[:, 0],
        ("error of b along z, %", "receive sensitivity", "noise, 1 = water without decay"),
        strict=True,
    ):
        axis.set_ylabel(label)
    return _without_ticks(figure, "What the scanners do, by place")


def draw_checks(
    person: Person, scans: list[Examined], checks: list[Check], response: dict
) -> Figure:
    """Draw a panel for each check: measured and wanted values, distributions if there are any."""
    table = pd.DataFrame([vars(check) for check in checks])
    figure, axes = plt.subplots(2, 4, figsize=(17, 8), layout="constrained")
    panels = iter(axes.flat)
    colours = dict(
        zip([s.platform for s in scans], sns.color_palette("colorblind", len(scans)), strict=True)
    )

    axis = next(panels)
    for s in scans:
        _histogram(axis, s.fa[s.scan.tissue == WHITE], s.platform, colours, np.linspace(0, 1, 60))
    axis.set(xlabel="FA of white matter voxels (mean wanted: 0.3-0.7)", yticks=[])
    axis.legend(fontsize=8)

    _bars(next(panels), table, "CSF MD, 1e-3 mm2/s")
    _bars(next(panels), table, "SNR of white matter")

    axis = next(panels)
    for s in scans:
        _histogram(
            axis, 100 * b_error(person, s).ravel(), s.platform, colours, np.linspace(-12, 12, 80)
        )
    axis.set(xlabel="error of b by gradient nonlinearity, %", yticks=[])

    axis = next(panels)
    shares = np.sort(fibres_of(person, scans[0])[1], axis=1)
    axis.hist(shares[:, -2], np.linspace(0, 0.5, 40), color="0.5")
    axis.axvline(0.2, color="k", ls=":")
    axis.set(xlabel="share of the second population in white matter voxels", yticks=[])

    axis = next(panels)
    for s in scans:
        _histogram(
            axis, peak_errors(person, s, response), s.platform, colours, np.linspace(0, 20, 60)
        )
    axis.axvline(PEAK_ERROR, color="k", ls=":")
    axis.set(xlabel="FOD peak to true fibre, degrees, coherent white matter", yticks=[])

    axis = next(panels)
    rows = table[table["where"] == "equal protocols"]
    labels = rows["name"].str.replace("between platforms, %, ", "\n", regex=False)
    axis.bar(labels, rows["measured"], color="0.5")
    axis.tick_params(axis="x", labelsize=8)
    for x, (low, high) in enumerate(zip(rows["low"], rows["high"], strict=True)):
        axis.fill_between([x - 0.45, x + 0.45], low, high, color="tab:green", alpha=0.25)
    axis.set_ylabel("difference between platforms, %")
    next(panels).set_axis_off()
    figure.suptitle("Is the phantom plausible? Green: wanted")
    return figure


def _histogram(
    axis: plt.Axes, values: np.ndarray, platform: str, colours: dict, bins: np.ndarray
) -> None:
    axis.hist(values, bins, density=True, histtype="step", color=colours[platform], label=platform)


def _bars(axis: plt.Axes, table: pd.DataFrame, name: str) -> None:
    """Draw the measured values of one check, each with its wanted range."""
    rows = table[table["name"] == name]
    axis.bar(rows["where"], rows["measured"], color="0.5")
    for x, (low, high) in enumerate(zip(rows["low"], rows["high"], strict=True)):
        axis.fill_between([x - 0.45, x + 0.45], low, high, color="tab:green", alpha=0.35)
    axis.tick_params(axis="x", labelsize=8, rotation=20)
    axis.set_ylabel(name)


def _without_ticks(figure: Figure, title: str) -> Figure:
    for axis in figure.axes:
        if axis.get_label() != "<colorbar>":
            axis.set(xticks=[], yticks=[])
    figure.suptitle(title)
    return figure
