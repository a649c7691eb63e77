"""Linear RISH: each order of the source is rescaled voxel by voxel, in a common space."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from harmonization.images.coefficients import coefficient_orders, mean_by_order, order_of
from harmonization.images.template import brightness, pull, register
from harmonization.learning.images import ImageModel, interpolate
from harmonization.learning.manifest import Fold
from harmonization.learning.models import FitSettings, Model, Outcome
from harmonization.learning.network import Task
from harmonization.settings import NonNegative

FLOOR = 1e-3  # of an order's mean energy over the template; below it is noise


class LinearRish(ImageModel):
    """Harmonisation of rotation invariant features for travelling heads (Mirzaalian 2017).

    The energy of an order of the spherical harmonics does not change when the head turns. At each
    voxel of the template, the mean energy of the target over the training subjects, relative to
    that of the source, tells how an order of a new source must be rescaled there. Its voxels find
    their place by registration to the template.

    Parameters
    ----------
    widths
        Standard deviations to try on the validation subjects of the Gaussian that smooths energies,
        in voxels of the template.
    """

    def __init__(
        self, task: Task, components: dict[str, Model] | None = None, *, widths: list[NonNegative]
    ) -> None:
        super().__init__(task, components)
        self.widths = widths
        orders = order_of(task.channels) // 2 + 1
        self.template = np.zeros((1, 1, 1), dtype=np.float32)
        self.scales = np.ones((1, 1, 1, orders), dtype=np.float32)
        self.mean_scales = np.ones(orders, dtype=np.float32)

    def fit(self, fold: Fold, settings: FitSettings) -> Outcome:
        """Average the energies of both platforms over the training subjects in the template."""
        self.template, self._known = settings.template.image, settings.template
        energies = [
            self._energies(fold, subject, settings.template.to_head(subject))
            for subject in fold.subjects("train")
        ]
        source, target = (np.stack(pair) for pair in zip(*energies, strict=True))
        trials = []
        for width in self.widths:
            self.scales, self.mean_scales = ratios(source, target, width)
            trials.append((self.validation_mse(fold), width, self.scales, self.mean_scales))
        error, width, self.scales, self.mean_scales = min(trials, key=lambda trial: trial[0])
        return Outcome({"width": width, "validation_mse": error})

    def predict(self, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self._rescaled(source, register(self.template, brightness(source, mask)).to_template)

    def predict_known(self, subject: str, source: np.ndarray, mask: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return self._rescaled(source, self._known.to_template(subject))

    def arrays(self) -> dict[str, Tensor]:
        return {
            name: torch.from_numpy(np.ascontiguousarray(getattr(self, name))) for name in ARRAYS
        }

    def restore(self, arrays: dict[str, Tensor]) -> None:
        for name in ARRAYS:
            setattr(self, name, arrays[name].numpy())

    def count_parameters(self) -> int:
        return self.scales.size

    def _energies(
        self, fold: Fold, subject: str, to_head: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Energy of each order in source and target, in the template; NaN outside the head."""
        r, brain = self.task.r, fold.mask(subject, fold.source) > 0
        source = mean_by_order(fold.image(subject, fold.source) ** 2)
        fine = mean_by_order(fold.image(subject, self.task.target) ** 2)
        inside = brain & (
            coarse(fold.mask(subject, self.task.target)[..., None] > 0, r)[..., 0] == 1
        )
        images = (np.where(inside[..., None], e, np.nan) for e in (source, coarse(fine, r)))
        return tuple(pull(image, to_head) for image in images)

    def _rescaled(self, source: np.ndarray, to_template: np.ndarray) -> np.ndarray:
        scales = pull(self.scales, to_template)
        scales = np.where(np.isfinite(scales), scales, self.mean_scales)
        number = coefficient_orders(order_of(self.task.channels)) // 2
        return interpolate(source, self.task.r) * interpolate(scales, self.task.r)[..., number]


ARRAYS = "template", "scales", "mean_scales"


def coarse(image: np.ndarray, r: int) -> np.ndarray:
    """Mean over the r^3 parts of each voxel, (x, y, z, n) from (x r, y r, z r, n)."""
    x, y, z, n = image.shape
    return image.reshape(x // r, r, y // r, r, z // r, r, n).mean(axis=(1, 3, 5))


def ratios(source: np.ndarray, target: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Factors of the coefficients of each order, at each voxel of the template and on average.

    Parameters
    ----------
    source, target : ndarray, shape (subjects, x, y, z, orders)
        Energies; NaN outside a head.
    width : float
        Standard deviation of the Gaussian that smooths them, voxels.

    Returns
    -------
    ndarray of float32, shape (x, y, z, orders)
        Where no subject has a value, the mean.
    ndarray of float32, shape (orders,)
    """
    inside = np.isfinite(source) & np.isfinite(target)
    smooth = (0, width, width, width, 0)
    energy, wanted = (
        gaussian_filter(np.where(inside, image, 0).astype(np.float64), smooth)
        for image in (source, target)
    )
    sums = [np.where(inside, image, 0).sum(axis=(0, 1, 2, 3)) for image in (source, target)]
    mean = np.sqrt(sums[1] / sums[0])
    floor = FLOOR * sums[0] / inside.sum(axis=(0, 1, 2, 3))
    weight = gaussian_filter(inside.astype(np.float64), smooth)
    # Each subject counts by how much of the Gaussian lies in its head.
    shares = weight * wanted / (energy + floor * weight + np.finfo(float).tiny)
    total = weight.sum(axis=0)
    scales = np.sqrt(shares.sum(axis=0) / np.maximum(total, 1e-6))
    return np.where(total > 1e-3, scales, mean).astype(np.float32), mean.astype(np.float32)
