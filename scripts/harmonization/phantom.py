"""Digital travelling heads: people made from MNI152 and scanned on several platforms.

White matter is stick + zeppelin, grey matter and CSF are balls, each compartment with its own T2,
so that echo time changes the mixture. Fibres cross: three analytic orientation fields (commissural,
projection, association) overlap. Everything follows from one seed by name (`seeds`).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from dipy.core.sphere import HemiSphere, disperse_charges
from nilearn.datasets import (
    load_mni152_brain_mask,
    load_mni152_gm_template,
    load_mni152_wm_template,
)
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates
from scipy.spatial.transform import Rotation

from harmonization.seeds import generator_of

FWHM_TO_SIGMA = 1 / np.sqrt(8 * np.log(2))


@dataclass(frozen=True)
class VectorField:
    """A smooth field on a coarse grid over the head, interpolated linearly between its nodes."""

    values: np.ndarray  # (channels, x, y, z)
    spacing: float = 4.0
    origin: tuple[float, float, float] = (-110.0, -140.0, -90.0)
    extent = (220.0, 250.0, 220.0)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values at world `points` (n, 3), as (n, channels)."""
        index = (points - np.array(self.origin)).T / self.spacing
        return np.stack(
            [map_coordinates(v, index, order=1, mode="nearest") for v in self.values], axis=1
        )

    @cached_property
    def jacobian(self) -> "VectorField":
        """Partial derivatives, nine channels: row by row of d(value)/d(position)."""
        rows = [np.gradient(v, self.spacing) for v in self.values]
        return VectorField(np.concatenate(rows))

    @classmethod
    def random(cls, rng: np.random.Generator, channels: int, smoothness: float) -> "VectorField":
        """White noise smoothed by a Gaussian of `smoothness` mm, each channel with rms 1."""
        shape = tuple(int(e / cls.spacing) + 1 for e in cls.extent)
        noise = rng.standard_normal((channels, *shape))
        smooth = np.stack(
            [gaussian_filter(n, smoothness / cls.spacing, mode="wrap") for n in noise]
        )
        return cls(smooth / np.sqrt((smooth**2).mean(axis=(1, 2, 3), keepdims=True)))

    def exponential(self, steps: int = 5) -> "VectorField":
        """Displacement of the flow along this velocity, a diffeomorphism: scaling and squaring."""
        shape = self.values.shape[1:]
        nodes = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
        points = nodes * self.spacing + np.array(self.origin)
        displacement = self.values / 2**steps
        for _ in range(steps):
            moved = points + displacement.reshape(3, -1).T
            displacement = displacement + VectorField(displacement)(moved).T.reshape(3, *shape)
        return VectorField(displacement)


@dataclass(frozen=True)
class Tissue:
    """What is found at n points of a person, w of which hold white matter; all float32."""

    white: np.ndarray  # (n,) volume fractions
    grey: np.ndarray
    csf: np.ndarray
    fibres: np.ndarray  # (w, 3, 3): population, unit vector
    fibre_fractions: np.ndarray  # (w, 3), summing to 1
    properties: dict[str, np.ndarray]  # (w,) each, where people differ


class Atlas:
    """MNI152 tissue maps (nilearn) and analytic fibre orientations in MNI space."""

    def __init__(self) -> None:
        brain = load_mni152_brain_mask(resolution=1)
        self.to_voxel = np.linalg.inv(brain.affine)
        inside = brain.get_fdata(dtype=np.float32)
        self.white = load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32) * inside
        self.grey = load_mni152_gm_template(resolution=1).get_fdata(dtype=np.float32) * inside
        total = np.maximum(self.white + self.grey, 1)
        self.white, self.grey = self.white / total, self.grey / total
        self.csf = inside - self.white - self.grey

    def fractions(self, points: np.ndarray) -> list[np.ndarray]:
        """White matter, grey matter and CSF fractions at MNI `points` (n, 3), each (n,)."""
        index = self.to_voxel[:3, :3] @ points.T + self.to_voxel[:3, 3:]
        return [map_coordinates(m, index, order=1) for m in (self.white, self.grey, self.csf)]

    @staticmethod
    def fibres(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Directions (n, 3, 3) and fractions (n, 3) of three fibre populations.

        Commissural fibres follow arcs open to the vertex, projection fibres fan out from the
        brain stem, association fibres run along front-to-back arcs. Which of them prevails
        depends on the distance from the midline; in between they cross.
        """
        zero = np.zeros(len(points))
        above, stem, below = (0, 0, 75), (0, -20, -60), (0, -15, -25)
        d = points - above
        commissural = np.stack([-d[:, 2], zero, d[:, 0]], axis=1)
        projection = points - stem
        d = points - below
        association = np.stack([zero, d[:, 2], -d[:, 1]], axis=1)
        directions = np.stack([commissural, projection, association], axis=1)
        directions /= np.linalg.norm(directions, axis=2, keepdims=True) + 1e-9

        lateral = np.abs(points[:, 0])
        weights = np.stack(
            [
                np.exp(-((lateral / 24) ** 2)) + 0.12,
                np.exp(-(((lateral - 26) / 12) ** 2)) + 0.2,
                1 / (1 + np.exp(-(lateral - 36) / 5)) + 0.12,
            ],
            axis=1,
        )
        fractions = weights / weights.sum(axis=1, keepdims=True)
        fractions[fractions < 0.1] = 0  # below what spherical deconvolution resolves
        return directions, fractions / fractions.sum(axis=1, keepdims=True)


@dataclass
class Person:
    """One person: a map to the atlas and fields of individual tissue properties.

    Parameters
    ----------
    parameters : dict
        The phantom's parameter file.
    seed : int
        Seed of the whole cohort.
    name : str
        Subject label.
    """

    parameters: dict[str, Any]
    seed: int
    name: str
    atlas: Atlas = field(default_factory=Atlas)

    def __post_init__(self) -> None:
        anatomy = self.parameters["anatomy"]
        rng = generator_of("person", self.seed, self.name)
        scale = rng.uniform(*anatomy["affine_scale"], size=3)
        angles = rng.normal(0, anatomy["affine_rotation"], 3)
        self.linear = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ np.diag(
            1 / scale
        )
        velocity = VectorField.random(rng, 3, anatomy["warp_smoothness"])
        # The rms of a vector is sqrt(3) times that of its components.
        rms = anatomy["warp_rms"] / np.sqrt(3)
        self.warp = VectorField(velocity.values * rms).exponential()
        self.properties = self._individual_properties()

    def _individual_properties(self) -> VectorField:
        """Relative deviation of each property: the cohort's modes, weighted by this person."""
        biology = self.parameters["biology"]
        modes = VectorField.random(
            generator_of("biology", self.seed), biology["modes"], biology["smoothness"]
        ).values
        rng = generator_of("biology", self.seed, self.name)
        rms = np.array(list(biology["relative_rms"].values()))
        loadings = rng.normal(0, 1, (len(rms), len(modes))) / np.sqrt(len(modes))
        return VectorField(np.tensordot(rms[:, None] * loadings, modes, axes=1))

    def to_atlas(self, points: np.ndarray) -> np.ndarray:
        """Where `points` (n, 3), mm in this person's space, lie in MNI space."""
        aligned = points @ self.linear.T
        return aligned + self.warp(aligned)

    def tissue(self, points: np.ndarray) -> Tissue:
        """Tissue at `points` (n, 3), mm in this person's space; fibres follow the warp."""
        atlas_points = self.to_atlas(points)
        white, grey, csf = self.atlas.fractions(atlas_points)
        is_white = white > 0
        directions, fractions = self.atlas.fibres(atlas_points[is_white])

        jacobian = np.eye(3) + self.warp.jacobian(points[is_white] @ self.linear.T).reshape(
            -1, 3, 3
        )
        to_person = np.linalg.inv(jacobian @ self.linear)
        directions = np.einsum("nij,npj->npi", to_person, directions)
        directions /= np.linalg.norm(directions, axis=2, keepdims=True)

        deviation = self.properties(atlas_points[is_white])
        names = self.parameters["biology"]["relative_rms"]
        mean = self.parameters["tissue"]
        properties = {n: np.float32(mean[n] * (1 + deviation[:, i])) for i, n in enumerate(names)}
        return Tissue(
            *(np.float32(f) for f in (white, grey, csf, directions, fractions)), properties
        )


def signal(
    tissue: Tissue, parameters: dict[str, Any], te: float, b: float, direction: np.ndarray
) -> np.ndarray:
    """Noise-free signal of one volume at n points.

    Stick + zeppelin for each fibre population of white matter, a ball each for grey matter and
    CSF, every compartment weighted by exp(-TE / T2).

    Parameters
    ----------
    tissue : Tissue
    parameters : dict
        ``tissue`` section of the phantom's parameters.
    te : float
        Echo time, ms.
    b : float
        s/mm2.
    direction : ndarray, shape (3,)
        Unit gradient direction in the person's space; anything where b is 0.

    Returns
    -------
    ndarray, shape (n,)
    """
    p, own = parameters, tissue.properties
    cosine2 = (tissue.fibres @ np.float32(direction)) ** 2
    parallel = own["parallel_diffusivity"][:, None]
    perpendicular = own["extra_perpendicular_diffusivity"][:, None]
    stick = np.exp(-b * parallel * cosine2)
    zeppelin = np.exp(-b * (perpendicular + (parallel - perpendicular) * cosine2))
    intra = own["intra_fraction"] * np.exp(-te / own["t2_intra"])
    extra = (1 - own["intra_fraction"]) * np.exp(-te / own["t2_extra"])
    populations = intra[:, None] * stick + extra[:, None] * zeppelin
    grey = np.exp(-b * p["grey_diffusivity"] - te / p["t2_grey"])
    csf = np.exp(-b * p["csf_diffusivity"] - te / p["t2_csf"])
    total = tissue.grey * (p["density_grey"] * grey) + tissue.csf * (p["density_csf"] * csf)
    is_white = tissue.white > 0
    white = np.einsum("np,np->n", populations, tissue.fibre_fractions)
    total[is_white] += tissue.white[is_white] * p["density_white"] * white
    return total


def gradient_scheme(
    shells: dict[int, int], b0_volumes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """b-values (n,) and unit directions (n, 3), evenly spread on each shell; b=0 comes first."""
    bvals, directions = [np.zeros(b0_volumes)], [np.zeros((b0_volumes, 3))]
    for b, number in shells.items():
        start = rng.standard_normal((number, 3))
        start /= np.linalg.norm(start, axis=1, keepdims=True)
        spread, _ = disperse_charges(HemiSphere(xyz=start), 500)
        # Opposite directions measure the same; mixing them balances eddy currents on a scanner.
        signs = rng.choice([-1, 1], (number, 1))
        bvals.append(np.full(number, float(b)))
        directions.append(spread.vertices * signs)
    return np.concatenate(bvals), np.concatenate(directions)


def random_pose(session: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """Rigid map (4, 4) from the person's to the scanner's space, millimetres."""
    pose = np.eye(4)
    angles = rng.normal(0, session["rotation"], 3)
    pose[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    pose[:3, 3] = rng.normal(0, session["translation"], 3)
    return pose


@dataclass(frozen=True)
class ScanGrid:
    """Voxels of an acquisition and the finer points on which its signal is computed."""

    shape: tuple[int, int, int]
    voxel: float
    centre: np.ndarray
    oversampling: int

    @property
    def affine(self) -> np.ndarray:
        """Voxel index to scanner space, millimetres."""
        affine = np.diag([self.voxel] * 3 + [1.0])
        affine[:3, 3] = self.centre - self.voxel * (np.array(self.shape) - 1) / 2
        return affine

    def points(self) -> np.ndarray:
        """Scanner coordinates of the fine points, (n, 3)."""
        k = self.oversampling
        axes = [(np.arange(n * k) + 0.5) / k - 0.5 for n in self.shape]
        index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        return index * self.voxel + self.affine[:3, 3]

    def to_voxels(self, values: np.ndarray, point_spread: float = 0.0) -> np.ndarray:
        """Blur fine `values` (n,) along the phase axis, then average them in each voxel."""
        k = self.oversampling
        image = values.reshape([n * k for n in self.shape])
        if point_spread:
            image = gaussian_filter1d(image, point_spread * FWHM_TO_SIGMA * k, axis=1)
        x, y, z = self.shape
        return image.reshape(x, k, y, k, z, k).mean(axis=(1, 3, 5))


@dataclass(frozen=True)
class Acquisition:
    """One simulated scan."""

    dwi: np.ndarray  # (x, y, z, volumes), with noise
    truth: np.ndarray  # the same without
    affine: np.ndarray
    bvals: np.ndarray
    directions: np.ndarray  # (volumes, 3), scanner axes
    mask: np.ndarray  # (x, y, z) of uint8
    tissue: np.ndarray  # 1 white matter, 2 grey matter, 3 CSF, 0 outside
    pose: np.ndarray  # (4, 4), person to scanner


def acquire(
    person: Person,
    platform: str,
    scan: str,
    shells: list[int],
    slab: tuple[float, float] | None = None,
) -> Acquisition:
    """Scan a person.

    Parameters
    ----------
    person : Person
    platform : str
        Key of the parameters' ``platforms``.
    scan : {'scan', 'rescan'}
        They differ in head pose and noise.
    shells : list of int
        Which of the platform's b-values to acquire.
    slab : (float, float), optional
        Centre and thickness along z, mm; the whole field of view where missing.
    """
    parameters = person.parameters
    protocol, acquisition = parameters["platforms"][platform], parameters["acquisition"]
    centre, thickness = slab or (0.0, acquisition["field_of_view"][2])
    voxel = protocol["voxel"]
    extent = [*acquisition["field_of_view"][:2], thickness]
    grid = ScanGrid(
        shape=tuple(round(e / voxel) for e in extent),
        voxel=voxel,
        centre=np.array([0.0, -18.0, centre + (0 if slab else 10.0)]),  # where MNI's brain lies
        oversampling=max(1, round(voxel / acquisition["simulation_spacing"])),
    )

    session = generator_of("session", person.seed, person.name, platform, scan)
    pose = random_pose(parameters["session"], session)
    to_person = np.linalg.inv(pose)
    points = grid.points() @ to_person[:3, :3].T + to_person[:3, 3]
    fractions = person.atlas.fractions(person.to_atlas(points))
    inside = sum(fractions) > 0
    tissue = person.tissue(points[inside])

    # The directions belong to the platform: every person gets the same ones.
    bvals, directions = gradient_scheme(
        {b: n for b, n in protocol["shells"].items() if b in shells},
        acquisition["b0_volumes"],
        generator_of("directions", person.seed, platform),
    )
    truth = np.empty((*grid.shape, len(bvals)), dtype=np.float32)
    fine = np.zeros(len(points), dtype=np.float32)
    for volume, (b, direction) in enumerate(zip(bvals, directions @ pose[:3, :3], strict=True)):
        fine[inside] = signal(tissue, parameters["tissue"], protocol["te"], b, direction)
        truth[..., volume] = grid.to_voxels(fine, protocol["point_spread"])

    shares = [grid.to_voxels(f) for f in fractions]
    mask = sum(shares) > 0.5
    labels = np.where(mask, np.argmax(shares, axis=0) + 1, 0)
    white_b0 = truth[..., 0][mask & (shares[0] > 0.9)].mean()
    return Acquisition(
        dwi=add_rician_noise(truth, white_b0 / protocol["snr"], session),
        truth=truth,
        affine=grid.affine,
        bvals=bvals,
        directions=directions,
        mask=mask.astype(np.uint8),
        tissue=labels.astype(np.uint8),
        pose=pose,
    )


def add_rician_noise(truth: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Magnitude of `truth` plus complex Gaussian noise of standard deviation `sigma`."""
    real, imaginary = (
        rng.standard_normal(truth.shape, dtype=np.float32) * np.float32(sigma) for _ in range(2)
    )
    real += truth
    return np.sqrt(real**2 + imaginary**2)
