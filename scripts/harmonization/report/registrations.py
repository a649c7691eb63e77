"""Figure: every scan of a subject on the source, before and after registration."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure


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
