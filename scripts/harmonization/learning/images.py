"""Models that predict whole images rather than patches."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from scipy.ndimage import zoom
from torch import Tensor

from harmonization.images.coefficients import normalise
from harmonization.images.grids import split_mask
from harmonization.learning.manifest import Fold
from harmonization.learning.models import Card, Model


class ImageModel(Model):
    """A model that predicts a whole image at once, of one target."""

    fitted: tuple[str, ...]  # attributes that a fit sets and a prediction needs, all of them arrays

    @abstractmethod
    def predict(self, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Predict the target everywhere, from what `apply` is given.

        What lies outside the brain does not matter.
        """

    def apply(
        self,
        source: np.ndarray,
        mask: np.ndarray,
        card: Card,  # noqa: ARG002
        target: str,  # noqa: ARG002
    ) -> np.ndarray:
        return self._within(mask, self.predict(source, mask))

    def _within(self, mask: np.ndarray, image: np.ndarray) -> np.ndarray:
        """The image in the brain, and 0 elsewhere."""
        return np.where(split_mask(mask, self.task.r)[..., None], image, np.float32(0))

    def predict_known(self, subject: str, source: np.ndarray, mask: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Predict a subject of the fold; what its fit knows of the subject may save work."""
        return self.predict(source, mask)

    def arrays(self) -> dict[str, Tensor]:
        return {n: torch.from_numpy(np.asarray(getattr(self, n), order="C")) for n in self.fitted}

    def restore(self, arrays: dict[str, Tensor]) -> None:
        for name in self.fitted:
            setattr(self, name, arrays[name].numpy())

    def choose(self, fold: Fold, choices: dict[Any, dict[str, Any]]) -> tuple[Any, dict[str, Any]]:
        """Take the attributes with which the error on the validation subjects is lowest.

        Parameters
        ----------
        fold : Fold
        choices : dict of dict
            Values of attributes, by what tells the choices apart.

        Returns
        -------
        choice
            Key of `choices`.
        errors : dict
            For the card: its error, and those of all that were tried.
        """
        errors = {}
        for choice, attributes in choices.items():
            vars(self).update(attributes)
            errors[choice] = self.validation_mse(fold)
        best = min(errors, key=errors.__getitem__)
        vars(self).update(choices[best])
        tried = {str(choice): error for choice, error in errors.items()}
        return best, {"validation_mse": errors[best], "tried": tried}

    def validation_mse(self, fold: Fold) -> float:
        """Patch MSE of normalised images over the validation subjects."""
        target = self.task.target
        means = []
        for subject in fold.subjects("validation"):
            source, mask = fold.image(subject, fold.source), fold.mask(subject, fold.source)
            image = self._within(mask, self.predict_known(subject, source, mask))
            predicted, measured = (
                normalise(each, fold.normalisation[target])
                for each in (image, fold.image(subject, target))
            )
            error = ((predicted - measured) ** 2).mean(axis=-1)
            brain, patches = fold.mask(subject, target), fold.patches(subject)
            means.append(fold.lattice.patch_means(error, brain, patches, self.task.r))
        return float(np.concatenate(means).mean())


def interpolate(image: np.ndarray, r: int) -> np.ndarray:
    """Interpolate linearly at the centres of the r^3 parts of each voxel.

    Parameters
    ----------
    image : ndarray, shape (x, y, z, c)
    r : int

    Returns
    -------
    ndarray of float32, shape (x r, y r, z r, c)
    """
    if r == 1:
        return image.astype(np.float32)
    return zoom(image, (r, r, r, 1), order=1, mode="nearest", grid_mode=True).astype(np.float32)
