"""ComBat: mean and variance of each coefficient over people, at each voxel of a common space."""

import numpy as np
import pandas as pd
from neuroCombat import neuroCombat

from harmonization.files import InputError
from harmonization.images.template import pull
from harmonization.learning.common_space import TemplateModel
from harmonization.learning.images import interpolate
from harmonization.learning.manifest import Fold
from harmonization.learning.models import FitSettings, Model, Outcome
from harmonization.learning.network import Task


class Combat(TemplateModel):
    """ComBat (Fortin 2018) of two platforms on which the same people were scanned.

    A feature is a coefficient at a voxel of the template. On either platform it has a mean and a
    variance over the training subjects, and those of a new source are replaced by the target's.

    Parameters
    ----------
    empirical_bayes
        Whether mean and variance of a feature are drawn to those of all features; both may be tried
        on the validation subjects.
    """

    fitted = ("template", "scale", "offset", "mean_scale", "mean_offset")

    def __init__(
        self,
        task: Task,
        components: dict[str, Model] | None = None,
        *,
        empirical_bayes: list[bool],
    ) -> None:
        super().__init__(task, components)
        self.empirical_bayes = empirical_bayes
        self.scale = np.ones((1, 1, 1, task.channels), dtype=np.float32)
        self.offset = np.zeros_like(self.scale)
        self.mean_scale, self.mean_offset = self.scale[0, 0, 0], self.offset[0, 0, 0]

    def fit(self, fold: Fold, settings: FitSettings) -> Outcome:
        """Match mean and variance over the training subjects; choose on validation."""
        if len(fold.subjects("train")) < 2:
            raise InputError(
                f"{fold.path}: ComBat needs the variance over training subjects, and there is only "
                "one; leave the method out or add subjects"
            )
        self._use_template(settings.template)
        source, target = self._training_pairs(fold, lambda image: image)
        # Where all heads are: elsewhere nothing is known about people.
        inside = np.isfinite(source).all(axis=(0, -1)) & np.isfinite(target).all(axis=(0, -1))
        if not inside.any():
            raise InputError(
                f"{fold.path}: no voxel of the template lies in the heads of all training "
                "subjects; look at their registration"
            )
        features = [image[:, inside].reshape(len(image), -1) for image in (source, target)]
        maps = affine_maps(*features)
        choices = {choice: self._placed(inside, *maps[choice]) for choice in self.empirical_bayes}
        choice, errors = self.choose(fold, choices)
        return Outcome({"empirical_bayes": choice, **errors})

    def predict_placed(
        self,
        source: np.ndarray,
        mask: np.ndarray,  # noqa: ARG002
        to_template: np.ndarray,
    ) -> np.ndarray:
        scale, offset = (
            np.where(np.isfinite(placed := pull(image, to_template)), placed, mean)
            for image, mean in (
                (self.scale, self.mean_scale),
                (self.offset, self.mean_offset),
            )
        )
        return interpolate(source * scale + offset, self.task.r)

    def _placed(
        self, inside: np.ndarray, scale: np.ndarray, offset: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Images of the maps of features, which have the mean of all where nothing is known."""
        placed = {}
        for name, values in (("scale", scale), ("offset", offset)):
            of_voxels = values.reshape(-1, self.task.channels).astype(np.float32)
            mean = of_voxels.mean(axis=0)
            image = np.broadcast_to(mean, (*inside.shape, len(mean))).copy()
            image[inside] = of_voxels
            placed |= {name: image, f"mean_{name}": mean}
        return placed


def affine_maps(
    source: np.ndarray, target: np.ndarray
) -> dict[bool, tuple[np.ndarray, np.ndarray]]:
    """Scale and offset of each feature, with empirical Bayes and without.

    Parameters
    ----------
    source, target : ndarray, shape (subjects, features)

    Returns
    -------
    dict of bool to tuple of ndarray, shape (features,)
    """
    platforms = pd.DataFrame({"platform": ["source"] * len(source) + ["target"] * len(target)})
    values = np.concatenate([source, target]).T.astype(np.float64)
    # Harmonised to what both have in common, and from there to the target: with the target as its
    # reference, this version of the package does not run.
    found = neuroCombat(values, platforms, "platform")["estimates"]
    mean, spread = found["stand.mean"][:, 0], np.sqrt(found["var.pooled"][:, 0])
    maps = {}
    for empirical_bayes, names in (
        (True, ("gamma.star", "delta.star")),
        (False, ("gamma_hat", "delta_hat")),
    ):
        (shift, new_shift), (variance, new_variance) = (found[name] for name in names)
        scale = np.sqrt(new_variance / variance)
        offset = mean + spread * new_shift - scale * (mean + spread * shift)
        maps[empirical_bayes] = (scale, offset)
    return maps
