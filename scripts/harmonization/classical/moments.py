"""Method of moments: what can be undone without matching voxels."""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from harmonization.learning.images import ImageModel, interpolate
from harmonization.learning.manifest import Fold
from harmonization.learning.models import FitSettings, Model, Outcome
from harmonization.learning.network import Task

HIGHEST = 6  # power of the source's values that a quadratic map needs


class Moments(ImageModel):
    """A polynomial for each coefficient gives the source the moments of the target.

    After Huynh 2019, for coefficients in place of gradient directions. A linear map matches mean
    and variance over the brains of the training subjects, a quadratic one skewness, too. No voxel
    is matched with another, so nothing needs to be registered.

    Parameters
    ----------
    degrees
        Degrees of the polynomial to try on the validation subjects: 1, 2 or both.
    """

    fitted = ("powers",)

    def __init__(
        self,
        task: Task,
        components: dict[str, Model] | None = None,
        *,
        degrees: list[Literal[1, 2]],
    ) -> None:
        super().__init__(task, components)
        self.degrees = degrees
        self.powers = np.zeros((task.channels, 3))
        self.powers[:, 1] = 1

    def fit(self, fold: Fold, settings: FitSettings) -> Outcome:  # noqa: ARG002
        """Match the moments of the training subjects; choose the degree on validation."""
        source = moments_of_brains(fold, fold.source)
        target = moments_of_brains(fold, self.task.target)
        choices = {
            degree: {
                "powers": np.array(
                    [match(*pair, degree) for pair in zip(source, target, strict=True)]
                )
            }
            for degree in self.degrees
        }
        degree, errors = self.choose(fold, choices)
        return Outcome({"degree": degree, **errors})

    def predict(self, source: np.ndarray, mask: np.ndarray) -> np.ndarray:  # noqa: ARG002
        constant, linear, quadratic = self.powers.T
        x = source.astype(np.float64)
        return interpolate(constant + x * (linear + x * quadratic), self.task.r)


def moments_of_brains(fold: Fold, platform: str) -> np.ndarray:
    """Mean and standard deviation of each coefficient, and mean powers of its standard scores.

    Returns
    -------
    ndarray, shape (c, 2 + 7)
        Mean, standard deviation, then the means of z^0 to z^6, over the brains of all training
        subjects.
    """
    brains = [
        fold.image(subject, platform)[fold.mask(subject, platform) > 0]
        for subject in fold.subjects("train")
    ]
    values = np.concatenate(brains).astype(np.float64)
    mean, std = values.mean(axis=0), values.std(axis=0)
    z = (values - mean) / std
    return np.stack([mean, std, *((z**power).mean(axis=0) for power in range(HIGHEST + 1))], axis=1)


def match(source: np.ndarray, target: np.ndarray, degree: int) -> np.ndarray:
    """Powers of x, (3,), of the polynomial that gives `source` the moments of `target`.

    With z the standard scores of the source and q = z^2 - s z - 1, where s is their skewness, z and
    q are uncorrelated. So any angle in ``std (cos z + sin q / sd(q))`` keeps the target's
    variance, and one number remains, for its skewness: the angle nearest to a linear map is taken,
    or that which comes closest if none fits.

    Parameters
    ----------
    source, target : ndarray, shape (2 + 7,)
        As from `moments_of_brains`.
    degree : int
        1 or 2.
    """
    (mean, std, *power), (new_mean, new_std, *wanted) = source, target
    angle, spread, skew = 0.0, 1.0, power[3]
    if degree == 2:
        q = np.array([-1.0, -skew, 1.0])
        spread = np.sqrt(power[4] - 1 - skew**2)

        def excess(angle: float) -> float:
            f = np.cos(angle) * np.array([0, 1, 0]) + np.sin(angle) * q / spread
            cube = np.polynomial.polynomial.polypow(f, 3)
            return float(cube @ power[: len(cube)]) - wanted[3]

        angle = nearest_root(excess)
    linear, quadratic = np.cos(angle), np.sin(angle) / spread
    # From standard scores to raw units.
    of_z = np.array([-quadratic, linear - quadratic * skew, quadratic])
    # z = (x - mean) / std, in powers of x.
    z = np.polynomial.Polynomial([-mean / std, 1 / std])
    found = new_mean + new_std * np.polynomial.Polynomial(of_z)(z)
    return np.append(found.coef, [0.0, 0.0])[:3]


def nearest_root(function: Callable[[float], float]) -> float:
    """Root of a function of an angle that is nearest to 0, or the angle nearest to a root.

    Angles up to 45 degrees: beyond, a map would be more quadratic than linear.
    """
    steps = np.linspace(0, np.pi / 4, 46)
    for one, next_ in pairwise(steps):
        for sign in (1, -1):
            a, b = sign * one, sign * next_
            if function(a) * function(b) <= 0:
                return float(brentq(function, *sorted((a, b))))
    limits = (-np.pi / 4, np.pi / 4)
    return float(minimize_scalar(lambda x: abs(function(x)), bounds=limits, method="bounded").x)
