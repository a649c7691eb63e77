"""Smoothing: what removing noise alone gains."""

import numpy as np
from scipy.ndimage import gaussian_filter

from harmonization.learning.images import ImageModel, interpolate
from harmonization.learning.manifest import Fold
from harmonization.learning.models import FitSettings, Model, Outcome
from harmonization.learning.network import Task
from harmonization.settings import NonNegative


class Smoothed(ImageModel):
    """A Gaussian mean of the source, then a scale and an offset for each coefficient.

    Parameters
    ----------
    widths
        Standard deviations of the Gaussian to try on the validation subjects, in source voxels; 0
        does not smooth.
    """

    fitted = ("width", "scale", "offset")

    def __init__(
        self,
        task: Task,
        components: dict[str, Model] | None = None,
        *,
        widths: list[NonNegative],
    ) -> None:
        super().__init__(task, components)
        self.widths = widths
        self.width = np.zeros(())
        self.scale = np.ones(task.channels, dtype=np.float32)
        self.offset = np.zeros(task.channels, dtype=np.float32)

    def fit(self, fold: Fold, settings: FitSettings) -> Outcome:  # noqa: ARG002
        """Regress each coefficient on the smoothed source's; choose the width on validation."""
        names = "width", "scale", "offset"
        choices = {
            width: dict(
                zip(names, (np.array(width, dtype=float), *self._regress(fold, width)), strict=True)
            )
            for width in self.widths
        }
        width, errors = self.choose(fold, choices)
        return Outcome({"width": width, **errors})

    def predict(self, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return smooth(source, mask, self.width, self.task.r) * self.scale + self.offset

    def _regress(self, fold: Fold, width: float) -> tuple[np.ndarray, np.ndarray]:
        """Scale and offset of each coefficient by least squares over the training subjects."""
        sums = np.zeros((5, self.task.channels))
        for subject in fold.subjects("train"):
            source, mask = fold.image(subject, fold.source), fold.mask(subject, fold.source)
            inside = fold.mask(subject, self.task.target) > 0
            x = smooth(source, mask, width, self.task.r)[inside].astype(float)
            y = fold.image(subject, self.task.target)[inside].astype(float)
            sums += np.stack([v.sum(axis=0) for v in (np.ones_like(x), x, y, x * x, x * y)])
        n, x, y, xx, xy = sums
        scale = (xy / n - x * y / n**2) / (xx / n - (x / n) ** 2)
        return scale.astype(np.float32), (y / n - scale * x / n).astype(np.float32)


def smooth(image: np.ndarray, mask: np.ndarray, width: float, r: int) -> np.ndarray:
    """Gaussian mean over the brain, interpolated linearly at the centres of the r^3 split voxels.

    Parameters
    ----------
    image : ndarray, shape (x, y, z, c)
    mask : ndarray, shape (x, y, z)
        Voxels outside do not contribute to the mean.
    width : float
        Standard deviation, voxels.
    r : int

    Returns
    -------
    ndarray of float32, shape (x r, y r, z r, c)
    """
    inside = (mask > 0).astype(np.float32)
    weight = np.maximum(gaussian_filter(inside, width), 1e-6)[..., None]
    means = gaussian_filter(image * inside[..., None], (width, width, width, 0)) / weight
    return interpolate(means, r)
