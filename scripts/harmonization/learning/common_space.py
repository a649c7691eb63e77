"""Models that compare people voxel by voxel, in the template of their fold."""

from abc import abstractmethod
from collections.abc import Callable

import numpy as np

from harmonization.images.template import brightness, pull, warp_to_template
from harmonization.learning.images import ImageModel
from harmonization.learning.manifest import Fold
from harmonization.learning.models import Model
from harmonization.learning.network import Task
from harmonization.learning.template import Template


class TemplateModel(ImageModel):
    """A model that finds the place of each voxel in a template, one of its fitted arrays."""

    def __init__(self, task: Task, components: dict[str, Model] | None = None) -> None:
        super().__init__(task, components)
        self.template = np.zeros((1, 1, 1), dtype=np.float32)

    @abstractmethod
    def predict_placed(
        self, source: np.ndarray, mask: np.ndarray, to_template: np.ndarray
    ) -> np.ndarray:
        """Predict like `predict`, from the place of each voxel in the template, (x, y, z, 3)."""

    def predict(self, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        warp = warp_to_template(self.template, brightness(source, mask))
        return self.predict_placed(source, mask, warp.to_template)

    def predict_known(self, subject: str, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self.predict_placed(source, mask, self._known.to_template(subject))

    def count_parameters(self) -> int:
        return super().count_parameters() - self.template.size

    def _use_template(self, template: Template) -> None:
        """Take the template of a fold as the common space."""
        self.template, self._known = template.image, template

    def _training_pairs(
        self, fold: Fold, change: Callable[[np.ndarray], np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Sources and targets of the training subjects in the template, changed beforehand.

        Returns
        -------
        source, target : ndarray of float32, shape (subjects, x, y, z, n)
            Of the target, the mean over the r^3 parts of a voxel; NaN outside of either brain.
        """
        r, pairs = self.task.r, []
        for subject in fold.subjects("train"):
            source = change(fold.image(subject, fold.source))
            target = coarse(change(fold.image(subject, self.task.target)), r)
            whole = coarse(fold.mask(subject, self.task.target)[..., None] > 0, r) == 1
            inside = whole & (fold.mask(subject, fold.source)[..., None] > 0)
            to_head = self._known.to_head(subject)
            pairs.append([pull(np.where(inside, x, np.nan), to_head) for x in (source, target)])
        source, target = np.stack(pairs, axis=1)
        return source, target


def coarse(image: np.ndarray, r: int) -> np.ndarray:
    """Mean over the r^3 parts of each voxel, (x, y, z, n) from (x r, y r, z r, n)."""
    x, y, z, n = image.shape
    return image.reshape(x // r, r, y // r, r, z // r, r, n).mean(axis=(1, 3, 5))
