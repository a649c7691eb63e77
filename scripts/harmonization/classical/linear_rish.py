"""Linear RISH: each order of the source is rescaled voxel by voxel, in a common space."""

from itertools import product

import numpy as np
from scipy.ndimage import gaussian_filter

from harmonization.images.coefficients import coefficient_orders, mean_by_order, order_of
from harmonization.images.template import pull
from harmonization.learning.common_space import TemplateModel
from harmonization.learning.images import interpolate
from harmonization.learning.manifest import Fold
from harmonization.learning.models import FitSettings, Model, Outcome
from harmonization.learning.network import Task
from harmonization.settings import Count, NonNegative


class LinearRish(TemplateModel):
    """Harmonisation of rotation invariant features for travelling heads (Mirzaalian 2018).

    The energy of an order of the spherical harmonics does not change when the head turns. At each
    voxel of the template, the energy of the target relative to that of the source, mean over the
    training subjects, tells how an order of a new source must be rescaled there. Its voxels find
    their place by registration to the template.

    Parameters
    ----------
    widths
        Standard deviations of the Gaussian that smooths energies, in voxels of the template.
    floors
        What is added to the source's energy before dividing by it, relative to its mean over the
        template.
    highest_orders
        Highest order that is rescaled; those above it are left as they are.

    Each is a list, and all combinations are tried on the validation subjects.
    """

    fitted = ("template", "scales", "mean_scales")

    def __init__(
        self,
        task: Task,
        components: dict[str, Model] | None = None,
        *,
        widths: list[NonNegative],
        floors: list[NonNegative],
        highest_orders: list[Count],
    ) -> None:
        super().__init__(task, components)
        self.tried = list(product(widths, floors, highest_orders))
        orders = order_of(task.channels) // 2 + 1
        self.scales = np.ones((1, 1, 1, orders), dtype=np.float32)
        self.mean_scales = np.ones(orders, dtype=np.float32)

    def fit(self, fold: Fold, settings: FitSettings) -> Outcome:
        """Average the energies of both platforms over the training subjects in the template."""
        self._use_template(settings.template)
        source, target = self._training_pairs(fold, lambda image: mean_by_order(image**2))
        choices = {
            settings: dict(zip(self.fitted[1:], ratios(source, target, *settings), strict=True))
            for settings in self.tried
        }
        (width, floor, highest_order), errors = self.choose(fold, choices)
        chosen = {"width": width, "floor": floor, "highest_order": highest_order}
        return Outcome({**chosen, **errors})

    def predict_placed(
        self,
        source: np.ndarray,
        mask: np.ndarray,  # noqa: ARG002
        to_template: np.ndarray,
    ) -> np.ndarray:
        scales = pull(self.scales, to_template)
        scales = np.where(np.isfinite(scales), scales, self.mean_scales)
        number = coefficient_orders(order_of(self.task.channels)) // 2
        return interpolate(source, self.task.r) * interpolate(scales, self.task.r)[..., number]


def ratios(
    source: np.ndarray, target: np.ndarray, width: float, floor: float, highest_order: int
) -> tuple[np.ndarray, np.ndarray]:
    """Factors of the coefficients of each order, at each voxel of the template and on average.

    Parameters
    ----------
    source, target : ndarray, shape (subjects, x, y, z, orders)
        Energies; NaN outside a head.
    width : float
        Standard deviation of the Gaussian that smooths them, voxels.
    floor : float
        Added to the source's energy before dividing by it, relative to its mean.
    highest_order : int
        The factors of higher orders are 1.

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
    least = floor * sums[0] / inside.sum(axis=(0, 1, 2, 3))
    weight = gaussian_filter(inside.astype(np.float64), smooth)
    # Each subject counts by how much of the Gaussian lies in its head.
    shares = weight * wanted / (energy + least * weight + np.finfo(float).tiny)
    total = weight.sum(axis=0)
    scales = np.sqrt(shares.sum(axis=0) / np.maximum(total, 1e-6))
    scales = np.where(total > 1e-3, scales, mean)
    untouched = 2 * np.arange(len(mean)) > highest_order
    return tuple(np.where(untouched, 1, x).astype(np.float32) for x in (scales, mean))
