"""People: the warped atlas with folds, fine texture and tissue of their own, perhaps lesions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from harmonization.phantom.atlas import BACKGROUND_REGIONS, Atlas
from harmonization.phantom.detail import Detail
from harmonization.phantom.fields import VectorField
from harmonization.seeds import generator_of

MOST_INTRA = 0.95  # of white matter's signal can come from inside axons
LESION = 4  # tissue label of a lesion; white matter is 1, grey matter 2, CSF 3


@dataclass(frozen=True)
class Tissue:
    """A person's tissue at n points; float32."""

    brain: np.ndarray  # bool, one for each point asked for: True at the n with brain
    white: np.ndarray  # (n,) volume fractions
    grey: np.ndarray
    csf: np.ndarray
    fibres: np.ndarray  # (n, 3, 3): population, unit vector
    fibre_fractions: np.ndarray  # (n, 3), shares of white matter, summing to 1
    columns: np.ndarray  # (n, 3) unit vectors across the cortex
    properties: dict[str, np.ndarray]  # (n,) each, of white matter; people differ in these

    def turned(self, rotation: np.ndarray) -> "Tissue":
        """The same tissue with all directions turned by `rotation` (3, 3)."""
        turned = {
            "fibres": self.fibres @ np.float32(rotation.T),
            "columns": self.columns @ np.float32(rotation.T),
        }
        return Tissue(**{**vars(self), **turned})


class Person:
    """One person: a map to the atlas and fields of individual tissue properties.

    Parameters
    ----------
    atlas : Atlas
    parameters : dict
        The phantom's parameters.
    seed : int
        Seed of the whole cohort.
    name : str
        Subject label.
    """

    def __init__(self, atlas: Atlas, parameters: dict[str, Any], seed: int, name: str) -> None:
        self.atlas, self.parameters, self.seed, self.name = atlas, parameters, seed, name
        people = parameters["people"]
        rng = generator_of("person", seed, name)
        scale = rng.uniform(*people["affine_scale"], size=3)
        angles = rng.normal(0, people["affine_rotation"], 3)
        self.linear = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(
            1 / scale
        )
        velocity = VectorField.random(rng, 3, people["warp_smoothness"])
        # The rms of a vector is sqrt(3) times the rms of its components.
        rms = people["warp_rms"] / np.sqrt(3)
        self.warp = VectorField(velocity.values * rms).exponential()
        self.properties = self._individual_properties()
        self.detail = Detail(atlas, parameters["detail"], generator_of("detail", seed, name))
        self.lesions = self._place_lesions()

    def _individual_properties(self) -> VectorField:
        """Relative deviation of each property: the cohort's modes with this person's weights."""
        people = self.parameters["people"]
        modes = VectorField.random(
            generator_of("biology", self.seed),
            people["biology_modes"],
            people["biology_smoothness"],
        ).values
        rng = generator_of("biology", self.seed, self.name)
        rms = np.array(list(people["biology_rms"].values()))
        loadings = rng.normal(0, 1, (len(rms), len(modes))) / np.sqrt(len(modes))
        return VectorField(np.tensordot(rms[:, None] * loadings, modes, axes=1))

    def _place_lesions(self) -> list[tuple[np.ndarray, float]]:
        """MNI centres (3,) and radii of this person's lesions, each surrounded by white matter."""
        lesion = self.parameters["lesion"]
        if self.name not in lesion["subjects"]:
            return []
        rng = generator_of("lesion", self.seed, self.name)
        low, high = np.array(lesion["box"]).T
        ball = rng.standard_normal((30, 3))
        ball /= np.linalg.norm(ball, axis=1, keepdims=True)
        placed = []
        number = rng.integers(*lesion["number"], endpoint=True)
        for radius in rng.uniform(*lesion["radius"], number):
            centres = rng.uniform(low, high, (50, 3)) * [rng.choice([-1, 1]), 1, 1]
            around = (centres[:, None] + 0.7 * radius * ball).reshape(-1, 3)
            white = self.atlas.fractions(around)[0].reshape(len(centres), len(ball)).mean(axis=1)
            placed.append((centres[white.argmax()], float(radius)))
        return placed

    def to_atlas(self, points: np.ndarray) -> np.ndarray:
        """MNI coordinates of `points` (n, 3), mm in this person's space."""
        aligned = points @ self.linear.T
        return aligned + self.warp(aligned)

    def to_person(self, points: np.ndarray) -> np.ndarray:
        """Jacobian (n, 3, 3) of the map from MNI space to this person at their `points` (n, 3)."""
        jacobian = np.eye(3) + self.warp.jacobian(points @ self.linear.T).reshape(-1, 3, 3)
        return np.linalg.inv(jacobian @ self.linear)

    def lesion_at(self, atlas_points: np.ndarray) -> np.ndarray:
        """Weight (n,) of lesions at MNI `atlas_points` (n, 3): 1 inside, 0 outside."""
        weight = np.zeros(len(atlas_points))
        for centre, radius in self.lesions:
            distance = np.linalg.norm(atlas_points - centre, axis=1)
            weight = np.maximum(weight, np.exp2(-((distance / radius) ** 6)))
        return weight

    def tissue(self, points: np.ndarray) -> Tissue:
        """Tissue at the `points` (m, 3), mm in this person's space, that hold brain.

        Fibres and cortical columns follow the warp.
        """
        atlas_points = self.to_atlas(points)
        brain = self.atlas.fractions(atlas_points).sum(axis=0) > 0
        points, atlas_points = points[brain], atlas_points[brain]
        fractions = self._with_lesion(self.detail.fractions(atlas_points), atlas_points)
        directions, shares = self.detail.fibres_at(atlas_points)
        axes = np.concatenate([directions, self.atlas.radial_at(atlas_points)[:, None]], axis=1)
        axes = np.float32(_unit(axes @ np.swapaxes(self.to_person(points), 1, 2)))
        return Tissue(
            brain,
            *np.float32(fractions),
            fibres=axes[:, :3],
            fibre_fractions=np.float32(shares),
            columns=axes[:, 3],
            properties=self._properties_at(atlas_points),
        )

    def _with_lesion(self, fractions: np.ndarray, atlas_points: np.ndarray) -> np.ndarray:
        white, grey, csf = fractions
        loss = self.parameters["lesion"]["white_loss"] * self.lesion_at(atlas_points) * white
        return np.stack([white - loss, grey, csf + loss])

    def _properties_at(self, atlas_points: np.ndarray) -> dict[str, np.ndarray]:
        mean, lesion = self.parameters["tissue"], self.parameters["lesion"]
        deviation = self.properties(atlas_points)
        names = self.parameters["people"]["biology_rms"]
        found = {n: np.float32(mean[n] * (1 + deviation[:, i])) for i, n in enumerate(names)}
        found["intra_fraction"] *= self.detail.intra_fraction_at(atlas_points)
        found["intra_fraction"] = np.minimum(found["intra_fraction"], MOST_INTRA)
        share = np.float32(self.lesion_at(atlas_points))
        found["intra_fraction"] *= 1 - lesion["intra_loss"] * share
        found["t2_extra"] *= 1 + lesion["t2_extra_gain"] * share
        return found

    def labels(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tissue (see `LESION`) and region (see `region_names`) at `points` (n, 3).

        A lesion has the next label after the last region. Both are 0 where there is no brain.
        """
        atlas_points = self.to_atlas(points)
        healthy = self.detail.fractions(atlas_points)
        brain, lesion = healthy.sum(axis=0) > 0.5, self.lesion_at(atlas_points) > 0.5
        tissue = np.where(lesion, LESION, healthy.argmax(axis=0) + 1)
        region = self.atlas.regions_at(atlas_points, healthy)
        region[lesion] = self.atlas.bundle_count + len(BACKGROUND_REGIONS) + 1
        return np.uint8(tissue * brain), np.uint8(region * brain)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
