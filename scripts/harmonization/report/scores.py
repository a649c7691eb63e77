"""Score a predicted image against a target image; the code knows images, not methods."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from harmonization.images.coefficients import mean_by_order
from harmonization.images.peaks import angles, main_peaks
from harmonization.learning.lattice import Lattice
from harmonization.report.features import (
    Maps,
    clear_peaks,
    contrast,
    feature_errors,
    feature_maps,
    feature_means,
)

TISSUES = {1: "white_matter", 2: "grey_matter", 3: "csf", 4: "lesion"}
COMPARED = ("brain", "white_matter")  # regions whose means tell people apart
SURROUNDINGS = 2  # source voxels around a lesion
CUBE = np.ones((3, 3, 3), dtype=bool)  # a voxel and all that touch it
PREFIXES = {"target": "", "truth": "truth_"}  # of errors against each
TOGETHER = 8192  # voxels at once, for the memory

Regions = dict[str, np.ndarray]


@dataclass(frozen=True)
class Score:
    """One number: what was measured, and where."""

    region: str
    metric: str
    value: float


@dataclass(frozen=True)
class Scoring:
    """Where and in what units a prediction is scored.

    Parameters
    ----------
    mask : ndarray, shape (x, y, z)
        Brain mask of the target.
    lattice : Lattice
    scale : int
        Scale r of the target.
    statistics : dict
        ``mean`` and ``std`` of the target's coefficients over the training subjects.
    patches : ndarray of int, shape (n, 3)
        Cores that count, the same for every method.
    conventions : dict
        ``spherical_harmonics`` of the configuration, with the target's shell. Without it there is
        no score of peaks or tensors.
    brain : ndarray, shape (x, y, z), optional
        All of the target's brain, if a prediction reaches only the part in `mask`.
    """

    mask: np.ndarray
    lattice: Lattice
    scale: int
    statistics: dict[str, list[float]]
    patches: np.ndarray
    conventions: dict[str, Any] = field(default_factory=dict)
    brain: np.ndarray | None = None

    @property
    def coverage(self) -> np.ndarray:
        """Number of voxels in the mask in each patch, (n,)."""
        blocks = self.lattice.blocks(self.mask > 0, self.scale)
        return blocks[tuple(self.patches.T)].sum(axis=-1)

    @property
    def scored(self) -> np.ndarray:
        """Voxels in the mask and in the patches that count, (x, y, z) of bool."""
        return self.lattice.voxels(self.patches, self.mask.shape, self.scale) & (self.mask > 0)

    def patch_mse(self, squared_error: np.ndarray) -> float:
        """Average over each patch's voxels in the mask, then over the patches that have any.

        Parameters
        ----------
        squared_error : ndarray, shape (x, y, z)
            Averaged over the coefficients.
        """
        means = self.lattice.patch_means(squared_error, self.mask, self.patches, self.scale)
        return float(means.mean())

    def regions(self, tissue: np.ndarray | None = None) -> Regions:
        """Voxels of each region that has any, (x, y, z) of bool.

        ``brain`` is the mask in the patches that count. ``boundary`` is what of it lies within one
        source voxel of the end of the brain, diagonals included, or of the image, for what lies
        beyond either was not seen; ``interior`` is the rest. A tissue is all of it in the mask.

        Parameters
        ----------
        tissue : ndarray, shape (x, y, z)
            Labels as in `TISSUES`.
        """
        mask, scored = self.mask > 0, self.scored
        whole = mask if self.brain is None else self.brain > 0
        deep = binary_erosion(whole, CUBE, iterations=self.scale)
        found = {"brain": scored, "boundary": scored & ~deep, "interior": scored & deep}
        if tissue is not None:
            found |= {name: mask & (tissue == label) for label, name in TISSUES.items()}
        return {name: where for name, where in found.items() if where.any()}

    def scores(
        self,
        prediction: np.ndarray,
        target: np.ndarray,
        truth: np.ndarray | None = None,
        expected: np.ndarray | None = None,
        variance: np.ndarray | None = None,
        tissue: np.ndarray | None = None,
    ) -> list[Score]:
        """Compute all scores of one prediction.

        ``patch_mse``, after the paper's, is in raw units; ``patch_mse_standardised`` divides
        each coefficient by its standard deviation. ``truth_mse`` is the same against the noise-free
        target, and ``excess`` against what the noisy target is expected to be, an unbiased
        estimate: less is not possible on average. In other `regions` than the brain they are means
        over voxels, and ``patch_mse`` is called ``mse``. ``<metric>_l<l>`` covers one order.
        ``voxels`` is how many of them the region has.

        `feature_scores`, `peak_scores` and `kept_scores` follow.

        Parameters
        ----------
        prediction, target, truth : ndarray, shape (x, y, z, c)
            Raw coefficients.
        expected : ndarray, shape (x, y, z, c)
            Mean of the target over draws of its noise.
        variance : ndarray, shape (x, y, z, orders)
            Variance of `expected`, its mean over each order.
        tissue : ndarray, shape (x, y, z)
            Labels as in `TISSUES`.
        """
        inside = np.nonzero(self.mask)
        regions = self.regions(tissue)
        voxels = {name: np.flatnonzero(where[inside]) for name, where in regions.items()}
        images = {"prediction": prediction[inside], "target": target[inside]}
        if truth is not None:
            images["truth"] = truth[inside]

        scores = [Score(name, "voxels", float(len(where))) for name, where in voxels.items()]
        standardised = squared_errors(
            images["prediction"], images["target"], np.array(self.statistics["std"])
        )
        scores.append(
            Score("brain", "patch_mse_standardised", _of_all(self._patch_means(standardised)))
        )
        errors = {
            metric: squared_errors(images["prediction"], images[reference])
            for metric, reference in (("mse", "target"), ("truth_mse", "truth"))
            if reference in images
        }
        if expected is not None:
            errors["excess"] = squared_errors(images["prediction"], expected[inside])
            errors["excess"] -= variance[inside]
        for metric, by_order in errors.items():
            for region, where in voxels.items():
                if region == "brain":
                    name = "patch_mse" if metric == "mse" else metric
                    scores += _of_orders(region, name, self._patch_means(by_order))
                else:
                    scores += _of_orders(region, metric, by_order[where].mean(axis=0))

        maps = {name: feature_maps(image, self.conventions) for name, image in images.items()}
        scores += feature_scores(maps, voxels)
        if self.conventions.get("representation") == "fod":
            scores += peak_scores(images, maps, voxels)
        return scores + kept_scores(maps, voxels | self._near_lesion(regions))

    def _patch_means(self, by_order: np.ndarray) -> np.ndarray:
        """Patch MSE of each order, (orders,), from squared errors (voxels in the mask, orders)."""
        image, inside = np.zeros(self.mask.shape), np.nonzero(self.mask)
        means = []
        for values in by_order.T:
            image[inside] = values
            means.append(self.patch_mse(image))
        return np.array(means)

    def _near_lesion(self, regions: Regions) -> Regions:
        """White matter around the lesion, if there is any: where among the voxels in the mask."""
        if not {"white_matter", "lesion"} <= set(regions):
            return {}
        around = binary_dilation(regions["lesion"], CUBE, iterations=SURROUNDINGS * self.scale)
        near = np.flatnonzero((around & regions["white_matter"])[np.nonzero(self.mask)])
        return {"near_lesion": near} if len(near) else {}


def squared_errors(
    prediction: np.ndarray, reference: np.ndarray, unit: np.ndarray | float = 1.0
) -> np.ndarray:
    """Mean squared error of each order, (n, orders) of float64, of coefficients (n, c).

    Parameters
    ----------
    prediction, reference : ndarray, shape (n, c)
    unit : ndarray, shape (c,), or float
        Errors are divided by it.
    """
    parts = [slice(start, start + TOGETHER) for start in range(0, len(prediction), TOGETHER)]
    return np.concatenate(
        [
            mean_by_order(((prediction[part].astype(np.float64) - reference[part]) / unit) ** 2)
            for part in parts
        ]
    )


def feature_scores(maps: dict[str, Maps], regions: Regions) -> list[Score]:
    """Errors of `features.feature_errors` in each region.

    With ``truth_`` in front they are errors against the noise-free target.

    Parameters
    ----------
    maps : dict of dict
        `features.feature_maps` of ``prediction``, ``target`` and, on a phantom, ``truth``.
    regions : dict of ndarray of int, shape (voxels,)
        Which of the n voxels are in each region.
    """
    return [
        Score(region, prefix + metric, value)
        for reference, prefix in PREFIXES.items()
        if reference in maps
        for region, where in regions.items()
        for metric, value in feature_errors(maps["prediction"], maps[reference], where).items()
    ]


def peak_scores(
    images: dict[str, np.ndarray], maps: dict[str, Maps], regions: Regions
) -> list[Score]:
    """``angular_error``: mean angle between the main peaks of two distributions, in degrees.

    It is a mean over the voxels in which the target's peak is clear, see `features.clear_peaks`.
    ``truth_angular_error`` is the same for the noise-free target. A region without a clear peak has
    no such score.

    Parameters
    ----------
    images : dict of ndarray, shape (n, c)
        Coefficients of ``prediction``, ``target`` and, on a phantom, ``truth``.
    maps : dict of dict
        Their `features.feature_maps`.
    regions : dict of ndarray of int, shape (voxels,)
        Which of the n voxels are in each region.
    """
    clear = {name: clear_peaks(maps[name]) for name in PREFIXES if name in images}
    predicted, sought = (
        np.zeros((len(images["prediction"]), 3)),
        np.any(list(clear.values()), axis=0),
    )
    predicted[sought] = main_peaks(images["prediction"][sought])
    scores = []
    for reference, where in clear.items():
        apart = np.full(len(where), np.nan)
        apart[where] = angles(predicted[where], main_peaks(images[reference][where]))
        scores += [
            Score(name, f"{PREFIXES[reference]}angular_error", float(np.nanmean(apart[region])))
            for name, region in regions.items()
            if where[region].any()
        ]
    return scores


def kept_scores(maps: dict[str, Maps], regions: Regions) -> list[Score]:
    """What a harmonisation must keep, of the prediction, and as ``<metric>_target`` of the target.

    ``mean_<feature>`` of the brain and of white matter tells people apart. ``lesion_contrast`` is
    the mean coefficient of order 0 in the lesion less that in the white matter around it.

    Parameters
    ----------
    maps : dict of dict
        `features.feature_maps` of ``prediction`` and ``target``.
    regions : dict of ndarray of int, shape (voxels,)
        With ``near_lesion``, white matter within `SURROUNDINGS` of a lesion.
    """
    scores = []
    for image, suffix in (("prediction", ""), ("target", "_target")):
        for region in [name for name in COMPARED if name in regions]:
            means = feature_means(maps[image], regions[region])
            scores += [Score(region, metric + suffix, value) for metric, value in means.items()]
        if "near_lesion" in regions:
            value = contrast(maps[image], regions["lesion"], regions["near_lesion"])
            scores.append(Score("lesion", f"lesion_contrast{suffix}", value))
    return scores


def _of_all(by_order: np.ndarray) -> float:
    """Mean over all coefficients of what is a mean over each order, (orders,)."""
    return float(np.average(by_order, weights=4 * np.arange(len(by_order)) + 1))


def _of_orders(region: str, metric: str, by_order: np.ndarray) -> list[Score]:
    """Errors of a region, (orders,): of all coefficients and of each order."""
    return [
        Score(region, metric, _of_all(by_order)),
        *(Score(region, f"{metric}_l{2 * n}", float(value)) for n, value in enumerate(by_order)),
    ]
