"""Figures of a run."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from dipy.core.sphere import Sphere
from dipy.data import get_sphere
from dipy.reconst.shm import real_sh_descoteaux
from matplotlib.figure import Figure

from harmonization.coefficients import order_of
from harmonization.files import whole_file
from harmonization.spherical_harmonics import LEGACY

DPI = 150


def save_figure(figure: Figure, paths: list[Path]) -> None:
    """Write a figure in the formats that the suffixes of `paths` name."""
    for path in paths:
        with whole_file(path) as temporary:
            figure.savefig(temporary, dpi=DPI, bbox_inches="tight")
    plt.close(figure)


def direction_colours(coefficients: np.ndarray) -> np.ndarray:
    """Colour of the mean fibre direction: red left-right, green front-back, blue up-down.

    Parameters
    ----------
    coefficients : ndarray, shape (x, y, c)
        Fibre orientation distributions or signals.

    Returns
    -------
    ndarray, shape (x, y, 3), between 0 and 1
        Brightness grows with anisotropy.
    """
    sphere: Sphere = get_sphere(name="repulsion100")
    order = order_of(coefficients.shape[-1])
    basis, _, _ = real_sh_descoteaux(order, sphere.theta, sphere.phi, legacy=LEGACY)
    amplitudes = np.maximum(coefficients @ basis.T, 0)
    anisotropic = amplitudes - amplitudes.min(axis=-1, keepdims=True)
    colours = anisotropic @ np.abs(sphere.vertices)
    colours = colours - colours.min(axis=-1, keepdims=True)
    return np.clip(colours / max(np.quantile(colours, 0.995), 1e-9), 0, 1)


def draw_platforms(columns: dict[str, tuple[np.ndarray, np.ndarray]], subject: str) -> Figure:
    """One person on every platform.

    Parameters
    ----------
    columns : dict of str to (ndarray, ndarray)
        By platform: a b=0 volume (x, y, z) as acquired, and the coefficients (x, y, z, c) on the
        source grid.
    subject : str
    """
    figure, axes = plt.subplots(
        3, len(columns), figsize=(2.6 * len(columns), 8.6), squeeze=False, layout="constrained"
    )
    for column, (platform, (b0, sh)) in zip(axes.T, columns.items(), strict=True):
        coefficients = sh[:, :, sh.shape[2] // 2]
        show(column[0], b0[:, :, b0.shape[2] // 2], cmap="gray")
        show(column[1], coefficients[..., 0], cmap="gray")
        column[2].imshow(direction_colours(coefficients).transpose(1, 0, 2), origin="lower")
        column[0].set_title(platform)
    for axis, label in zip(
        axes[:, 0], ("b=0, as acquired", "l=0, on the source grid", "fibre direction"), strict=True
    ):
        axis.set_ylabel(label)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.suptitle(f"Subject {subject} on all platforms")
    return figure


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
        Of the source, mm.
    rows : dict of str to (ndarray, ndarray)
        By what to call the scan: it on the source's grid, before and after; shown in cyan. Where
        both are alike, the picture is grey.
    title : str
    """
    height = fixed.shape[2] * voxel_size[2] / (fixed.shape[1] * voxel_size[1])
    figure, axes = plt.subplots(
        2 * len(rows),
        2,
        figsize=(5.0, len(rows) * (3.0 + 2.5 * height)),
        squeeze=False,
        layout="constrained",
        height_ratios=[1, height] * len(rows),
    )
    for number, (label, images) in enumerate(rows.items()):
        for column, image in zip(axes[2 * number : 2 * number + 2].T, images, strict=True):
            overlay = np.stack([_brightness(fixed)] + 2 * [_brightness(image)], axis=-1)
            x, _, z = (n // 2 for n in fixed.shape)
            for axis, plane, sizes in zip(
                column,
                (overlay[:, :, z], overlay[x]),
                (voxel_size[:2], voxel_size[1:]),
                strict=True,
            ):
                axis.imshow(plane.transpose(1, 0, 2), origin="lower", aspect=sizes[1] / sizes[0])
        axes[2 * number, 0].set_ylabel(label, fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    axes[0, 0].set_title("as scanned", fontsize=9)
    axes[0, 1].set_title("registered", fontsize=9)
    figure.suptitle(title, fontsize=10)
    return figure


def _brightness(image: np.ndarray) -> np.ndarray:
    return np.clip(image / max(float(np.quantile(image, 0.99)), 1e-9), 0, 1)


def show(axis: plt.Axes, image: np.ndarray, **options: object) -> matplotlib.image.AxesImage:
    """Show an axial slice (x, y) with the front up."""
    return axis.imshow(image.T, origin="lower", **options)


def draw_learning_curves(history: pd.DataFrame) -> Figure:
    """Patch MSE by step: a row for each method, a column for each target.

    Parameters
    ----------
    history : DataFrame
        Columns of `training.Progress` and method, target, fold, seed, converged.
    """
    methods = list(history["method"].unique())
    trained = history.groupby("method", sort=False)["target"].unique()
    columns = max(len(targets) for targets in trained)
    figure, axes = plt.subplots(
        len(methods),
        columns,
        figsize=(3.4 * columns, 2.5 * len(methods)),
        squeeze=False,
        layout="constrained",
    )
    colours = sns.color_palette("colorblind", 2)
    for row, method in zip(axes, methods, strict=True):
        for axis in row[len(trained[method]) :]:
            axis.set_axis_off()
        for axis, target in zip(row, trained[method], strict=False):
            rows = history[(history["method"] == method) & (history["target"] == target)]
            for _, curve in rows.groupby(["fold", "seed"]):
                axis.plot(curve["step"], curve["training_mse"], color=colours[0], lw=0.8)
                axis.plot(curve["step"], curve["validation_mse"], color=colours[1], lw=1.2)
                best = curve.loc[curve["validation_mse"].idxmin()]
                axis.plot(best["step"], best["validation_mse"], "o", color=colours[1], ms=4)
            finished = rows.groupby(["fold", "seed"])["converged"].first()
            converged = f"{int(finished.sum())} of {len(finished)} converged"
            axis.set_title(f"{method}, {target}: {converged}", fontsize=8)
            # The first steps would squeeze the rest of the curve.
            low, high = rows["validation_mse"].min(), rows["validation_mse"].quantile(0.9)
            axis.set_ylim(
                0.95 * min(low, rows["training_mse"].min()), high + 0.3 * (high - low) + 1e-3
            )
            axis.set(xlabel="step", ylabel="patch MSE / variance")
    figure.legend(
        handles=[
            plt.Line2D([], [], color=colours[0], label="training"),
            plt.Line2D([], [], color=colours[1], marker="o", ms=4, label="validation, best marked"),
        ],
        loc="outside lower center",
        ncols=2,
    )
    return figure


def draw_errors(slices: dict[str, dict[str, np.ndarray]], title: str) -> Figure:
    """Prediction and error of every method in one slice, all on the same scales.

    Parameters
    ----------
    slices : dict of str to dict
        By method's label, as `evaluation.Scoring.slice` gives them.
    title : str
    """
    figure, axes = plt.subplots(
        2,
        len(slices) + 1,
        figsize=(1.5 * (len(slices) + 1), 4.2),
        squeeze=False,
        layout="constrained",
    )
    target = next(iter(slices.values()))["target"]
    top = float(np.quantile(target[target > 0], 0.995))
    show(axes[0, 0], target, cmap="gray", vmin=0, vmax=top)
    axes[0, 0].set_title("Measured", fontsize=8)
    axes[1, 0].set_axis_off()
    # Noise would stretch the scale until no other method's error shows.
    typical = [np.quantile(s["error"][s["mask"] > 0], 0.98) for s in slices.values()]
    worst = float(np.median(typical))
    for (upper, lower), (label, arrays) in zip(axes.T[1:], slices.items(), strict=True):
        inside = arrays["mask"] > 0
        show(upper, np.where(inside, arrays["prediction"], 0), cmap="gray", vmin=0, vmax=top)
        error = np.where(inside, arrays["error"], np.nan)
        shown = show(lower, error, cmap="magma", vmin=0, vmax=worst)
        upper.set_title(label, fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("coefficient l=0", fontsize=8)
    axes[1, 1].set_ylabel("error", fontsize=8)
    figure.colorbar(shown, ax=axes[1], shrink=0.8, label="rms error / SD")
    figure.suptitle(title, fontsize=10)
    return figure
