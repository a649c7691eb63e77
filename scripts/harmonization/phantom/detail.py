"""What every brain has of its own and a group average has not: folds and fine texture."""

from typing import Any

import numpy as np
from scipy.special import ndtri

from harmonization.phantom.atlas import Atlas
from harmonization.phantom.fields import Texture

CERTAIN = 1e-6  # the tails of a field are cut here


class Detail:
    """One person's anatomy beyond the resolution of the atlas.

    Parameters
    ----------
    atlas : Atlas
        Tells how likely each tissue is in each place.
    parameters : dict
        ``detail`` section of the phantom's parameters.
    rng : Generator
        Of the person.
    """

    def __init__(self, atlas: Atlas, parameters: dict[str, Any], rng: np.random.Generator) -> None:
        self.atlas, self.parameters = atlas, parameters
        self.folds = Texture.random(rng, 1, parameters["fold_size"])
        # Roughness of the boundaries, intra-axonal fraction, tilt and shares of the fibres.
        self.texture = Texture.random(rng, 8, parameters["texture_size"])

    def fractions(self, points: np.ndarray) -> np.ndarray:
        """White matter, grey matter and CSF (3, n) at MNI `points` (n, 3): mostly 0 or 1.

        A random field ranks this person among all: the lowest have CSF in a place, the highest
        white matter, and grey matter lies in between, so that the average of many people is the
        atlas. Near the surface, the field hardly varies towards it, which makes folds.
        """
        p = self.parameters
        way = self.atlas.way_to_surface(points)
        depth = np.linalg.norm(way, axis=1)
        fold = self.folds(points + (1 - p["fold_slope"]) * way)[:, 0]
        share = (1 - p["roughness"]) * np.exp(-((depth / p["fold_depth"]) ** 2))
        rank = np.sqrt(share) * fold + np.sqrt(1 - share) * self.texture(points)[:, 0]
        likely = self.atlas.fractions(points)
        white, _, csf = ndtri(np.clip(likely, CERTAIN, 1 - CERTAIN))
        white = np.clip(0.5 + (rank + white) / p["boundary"], 0, 1)
        csf = np.clip(0.5 + (csf - rank) / p["boundary"], 0, 1 - white)
        return np.stack([white, 1 - white - csf, csf]) * np.minimum(likely.sum(axis=0), 1)

    def fibres_at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Directions (n, 3, 3) and shares (n, 3) of fibre populations at MNI `points` (n, 3)."""
        directions, shares = self.atlas.fibres_at(points)
        texture = self.texture(points)
        tilt = np.radians(self.parameters["tilt"]) * texture[:, None, 2:5]
        shares = shares * np.exp(self.parameters["share_rms"] * texture[:, 5:])
        return directions + np.cross(tilt, directions), shares / shares.sum(axis=1, keepdims=True)

    def intra_fraction_at(self, points: np.ndarray) -> np.ndarray:
        """Relative intra-axonal fraction (n,) at MNI `points` (n, 3), 1 on average."""
        return np.maximum(1 + self.parameters["intra_rms"] * self.texture(points)[:, 1], 0)
