"""Score a predicted image against a target image; the code knows images, not methods."""

from dataclasses import dataclass

import numpy as np

from harmonization.images.coefficients import coefficient_orders, normalise, order_of
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
        tissue: np.ndarray | None = None,
    ) -> list[Score]:
        """Compute all scores of one prediction.

        ``patch_mse`` is the paper's measure, in raw units; ``patch_mse_standardised`` divides each
        coefficient by its standard deviation, ``patch_mse_l<l>`` covers one order (raw), and
        ``truth_mse`` is ``patch_mse`` against the noise-free target. ``mse`` is the mean over the
        voxels of one tissue.

        Parameters
        ----------
        prediction, target, truth : ndarray, shape (x, y, z, c)
            Raw coefficients.
        tissue : ndarray, shape (x, y, z)
            Labels as in `TISSUES`.
        """
        error = (prediction.astype(np.float64) - target) ** 2
        std = np.array(self.statistics["std"])
        scores = [
            Score("brain", "patch_mse", self.patch_mse(error.mean(axis=-1))),
            Score(
                "brain", "patch_mse_standardised", self.patch_mse((error / std**2).mean(axis=-1))
            ),
        ]
        orders = coefficient_orders(order_of(error.shape[-1]))
        for order in np.unique(orders):
            part = error[..., orders == order].mean(axis=-1)
            scores.append(Score("brain", f"patch_mse_l{order}", self.patch_mse(part)))
        if truth is not None:
            excess = ((prediction.astype(np.float64) - truth) ** 2).mean(axis=-1)
            scores.append(Score("brain", "truth_mse", self.patch_mse(excess)))
        if tissue is not None:
            for label, name in TISSUES.items():
                where = (self.mask > 0) & (tissue == label)
                if where.any():
                    scores.append(Score(name, "mse", float(error[where].mean())))
        return scores

    def slice(self, prediction: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
        """Axial slice with the most brain, for figures; the same slice for every prediction.

        Returns
        -------
        dict of ndarray, shape (x, y)
            ``prediction`` and ``target``: coefficient l=0, raw; ``error``: root mean square over
            the normalised coefficients; ``mask``.
        """
        z = int(np.count_nonzero(target[..., 0], axis=(0, 1)).argmax())
        difference = normalise(prediction[:, :, z], self.statistics) - normalise(
            target[:, :, z], self.statistics
        )
        return {
            "prediction": prediction[:, :, z, 0],
            "target": target[:, :, z, 0],
            "error": np.sqrt((difference**2).mean(axis=-1)),
            "mask": (self.mask[:, :, z] > 0).astype(np.uint8),
        }
