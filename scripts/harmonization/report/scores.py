"""Score a predicted image against a target image; the code knows images, not methods."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harmonization.images.coefficients import mean_by_order
from harmonization.learning.lattice import Lattice

TISSUES = {1: "white_matter", 2: "grey_matter", 3: "csf", 4: "lesion"}


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
    """

    mask: np.ndarray
    lattice: Lattice
    scale: int
    statistics: dict[str, list[float]]
    patches: np.ndarray

    @property
    def coverage(self) -> np.ndarray:
        """Number of voxels in the mask in each patch, (n,)."""
        blocks = self.lattice.blocks(self.mask > 0, self.scale)
        return blocks[tuple(self.patches.T)].sum(axis=-1)

    @property
    def scored(self) -> np.ndarray:
        """Voxels in the mask and in the patches that count, (x, y, z) of bool."""
        counted = np.zeros(self.lattice.shape(self.mask.shape, self.scale), dtype=bool)
        counted[tuple(self.patches.T)] = True
        edge = self.lattice.core * self.scale
        x, y, z = self.mask.shape
        return np.kron(counted, np.ones((edge,) * 3, dtype=bool))[:x, :y, :z] & (self.mask > 0)

    def patch_mse(self, squared_error: np.ndarray) -> float:
        """Average over each patch's voxels in the mask, then over the patches that have any.

        Parameters
        ----------
        squared_error : ndarray, shape (x, y, z)
            Averaged over the coefficients.
        """
        means = self.lattice.patch_means(squared_error, self.mask, self.patches, self.scale)
        return float(means.mean())

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

        ``patch_mse`` is the paper's measure, in raw units, and ``patch_mse_standardised`` divides
        each coefficient by its standard deviation. ``truth_mse`` is the same against the noise-free
        target, and ``excess`` against what the noisy target is expected to be, an unbiased
        estimate: less is not possible on average. In the region of a tissue they are means over its
        voxels, and ``patch_mse`` is called ``mse``. ``<metric>_l<l>`` covers one order. ``voxels``
        is how many of them the region has.

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
        error = (prediction.astype(np.float64) - target) ** 2
        standardised = (error / np.array(self.statistics["std"]) ** 2).mean(axis=-1)
        errors = {"mse": mean_by_order(error)}
        if truth is not None:
            errors["truth_mse"] = mean_by_order((prediction.astype(np.float64) - truth) ** 2)
        if expected is not None:
            error = (prediction.astype(np.float64) - expected) ** 2
            errors["excess"] = mean_by_order(error) - variance
        scores = [
            Score("brain", "voxels", float(self.coverage.sum())),
            Score("brain", "patch_mse_standardised", self.patch_mse(standardised)),
        ]
        for metric, by_order in errors.items():
            name = "patch_mse" if metric == "mse" else metric
            scores += _of_orders("brain", name, by_order, self.patch_mse)
        for label, name in TISSUES.items() if tissue is not None else ():
            where = (self.mask > 0) & (tissue == label)
            if not where.any():
                continue
            scores.append(Score(name, "voxels", float(where.sum())))
            for metric, by_order in errors.items():
                scores += _of_orders(name, metric, by_order, lambda e, w=where: float(e[w].mean()))
        return scores


def _of_orders(
    region: str, metric: str, by_order: np.ndarray, mean: Callable[[np.ndarray], float]
) -> list[Score]:
    """Errors (x, y, z, orders), their `mean` over a region: of all coefficients, of each order."""
    orders = 2 * np.arange(by_order.shape[-1])
    coefficients = 2 * orders + 1
    scores = [Score(region, metric, mean(by_order @ (coefficients / coefficients.sum())))]
    return scores + [
        Score(region, f"{metric}_l{order}", mean(by_order[..., number]))
        for number, order in enumerate(orders)
    ]
