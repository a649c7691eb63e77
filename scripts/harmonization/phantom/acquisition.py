"""One scan of one person on one platform.

The steps follow the physics: the head lies in the scanner, the field distorts it, tissue responds
to the gradients that the coil really makes, the receive coil weights the signal, k-space is read
out, and noise is added. The simulation runs slice by slice, so that memory does not grow with its
resolution.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from dipy.core.sphere import HemiSphere, disperse_charges
from scipy.ndimage import distance_transform_edt
from scipy.spatial.transform import Rotation

from harmonization.phantom.fields import VectorField
from harmonization.phantom.people import Person
from harmonization.phantom.scanner import (
    Apodisation,
    Scanner,
    add_noise,
    distortion_field,
    g_factor_at,
    readout,
)
from harmonization.phantom.signal import signal
from harmonization.seeds import generator_of

PHASE_AXIS = 1  # front to back
# Points at half these distances change the spherical harmonics of order 2 by 2 % (2.4 mm voxels)
# and 3 % (1.2 mm).
LARGEST_SPACING = 0.9  # mm
SPACING_PER_VOXEL = 0.75  # within a slice


def gradient_scheme(shells: dict[int, int], b0_volumes: int) -> tuple[np.ndarray, np.ndarray]:
    """b-values (n,) and unit directions (n, 3), evenly spread on each shell; b=0 comes first.

    Equal shells have equal directions on every platform.
    """
    bvals, directions = [np.zeros(b0_volumes)], [np.zeros((b0_volumes, 3))]
    for b, number in shells.items():
        rng = generator_of("directions", b, number)
        start = rng.standard_normal((number, 3))
        start /= np.linalg.norm(start, axis=1, keepdims=True)
        spread, _ = disperse_charges(HemiSphere(xyz=start), 500)
        # Opposite directions give the same signal; mixing them balances eddy currents on a scanner.
        signs = rng.choice([-1, 1], (number, 1))
        bvals.append(np.full(number, float(b)))
        directions.append(spread.vertices * signs)
    return np.concatenate(bvals), np.concatenate(directions)


def random_pose(
    session: dict[str, float], isocentre: list[float], rng: np.random.Generator
) -> np.ndarray:
    """Random rigid map (4, 4) from the person's space to the scanner's, millimetres."""
    angles = rng.normal(0, session["rotation"], 3)
    shift = rng.normal(0, session["translation"], 3)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    pose[:3, 3] = isocentre - pose[:3, :3] @ isocentre + shift
    return pose


@dataclass(frozen=True)
class ScanGrid:
    """Voxels of an acquisition, and the finer points on which its signal is computed."""

    shape: tuple[int, int, int]
    voxel: float
    centre: np.ndarray

    @property
    def affine(self) -> np.ndarray:
        """Affine (4, 4) from voxel index to scanner space, millimetres."""
        affine = np.diag([self.voxel] * 3 + [1.0])
        affine[:3, 3] = self.centre - self.voxel * (np.array(self.shape) - 1) / 2
        return affine

    @property
    def fine_shape(self) -> tuple[int, int]:
        """Number of fine points along each axis of a slice."""
        spacing = min(LARGEST_SPACING, SPACING_PER_VOXEL * self.voxel)
        return tuple(int(np.ceil(n * self.voxel / spacing - 1e-9)) for n in self.shape[:2])

    @property
    def slice_parts(self) -> int:
        """Number of fine points across the thickness of a slice."""
        return int(np.ceil(self.voxel / LARGEST_SPACING - 1e-9))

    def slice_points(self, k: int) -> np.ndarray:
        """Scanner coordinates (n, 3) of the fine points of slice `k`, part by part."""
        parts = (np.arange(self.slice_parts) + 0.5) / self.slice_parts - 0.5 + k
        index = [
            (np.arange(m) + 0.5) * n / m - 0.5
            for n, m in zip(self.shape, self.fine_shape, strict=False)
        ]
        z, x, y = np.meshgrid(parts, *index, indexing="ij")
        return np.stack([x, y, z], axis=-1).reshape(-1, 3) * self.voxel + self.affine[:3, 3]

    def voxel_points(self, k: int) -> np.ndarray:
        """Scanner coordinates (n, 3) of the voxel centres of slice `k`."""
        index = np.stack(np.meshgrid(*map(np.arange, self.shape[:2]), [k], indexing="ij"), axis=-1)
        return index.reshape(-1, 3) * self.voxel + self.affine[:3, 3]


@dataclass
class Acquisition:
    """One simulated scan."""

    signal: np.ndarray  # (x, y, z, volumes), float32; noise-free until `add_noise`
    sigma: np.ndarray  # (x, y, z), standard deviation of the noise in either channel
    affine: np.ndarray
    bvals: np.ndarray
    directions: np.ndarray  # (volumes, 3), scanner axes
    mask: np.ndarray  # (x, y, z) of uint8
    tissue: np.ndarray  # 1 white matter, 2 grey matter, 3 CSF, 4 lesion, 0 outside
    regions: np.ndarray  # region labels from `Person.labels`
    pose: np.ndarray  # (4, 4), person to scanner
    rng: np.random.Generator

    def add_noise(self) -> None:
        """Add noise in place, see `scanner.add_noise`."""
        add_noise(self.signal, self.sigma, self.rng)


@dataclass(frozen=True)
class Session:
    """A person in a scanner: everything that one scan's signal depends on."""

    person: Person
    platform: str
    pose: np.ndarray
    distortion: VectorField
    calibration: float

    @property
    def protocol(self) -> dict[str, Any]:
        """The platform's section of the parameters."""
        return self.person.parameters["platforms"][self.platform]

    def origin(self, points: np.ndarray) -> np.ndarray:
        """Places (n, 3) in the scanner whose signal appears at `points` (n, 3)."""
        moved = points.copy()
        moved[:, PHASE_AXIS] += self.distortion(points)[:, 0]
        return moved

    def in_person(self, places: np.ndarray) -> np.ndarray:
        """Coordinates (n, 3), in the person's space, of `places` (n, 3) in the scanner."""
        return (places - self.pose[:3, 3]) @ self.pose[:3, :3]


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
        They differ in head pose, calibration, distortion and noise.
    shells : list of int
        Which of the platform's b-values to acquire.
    slab : (float, float), optional
        Centre and thickness along z, mm; by default the whole field of view.

    Returns
    -------
    Acquisition
        Still noise-free; 0 outside the rim that brain extraction leaves around the brain.
    """
    parameters = person.parameters
    protocol, settings = parameters["platforms"][platform], parameters["acquisition"]
    rng = generator_of("session", person.seed, person.name, platform, scan)
    session = Session(
        person,
        platform,
        pose=random_pose(parameters["session"], settings["isocentre"], rng),
        distortion=distortion_field(platform, parameters, person.atlas, rng),
        calibration=parameters["scanners"][protocol["scanner"]]["b_calibration"]
        * (1 + parameters["session"]["calibration"] * rng.standard_normal()),
    )
    grid = scan_grid(settings, protocol["voxel"], slab)
    bvals, directions = gradient_scheme(
        {b: n for b, n in protocol["shells"].items() if b in shells}, settings["b0_volumes"]
    )

    # The first axis is contiguous in memory, as in the file.
    image = np.empty((len(bvals), *grid.shape[::-1]), dtype=np.float32).T
    tissue, regions = (np.empty(grid.shape, dtype=np.uint8) for _ in range(2))
    gain = np.empty(grid.shape, dtype=np.float32)
    for k, values in enumerate(slices(session, grid, bvals, directions)):
        image[:, :, k] = values
        points = grid.voxel_points(k)
        labels = person.labels(session.in_person(session.origin(points)))
        tissue[:, :, k], regions[:, :, k] = (label.reshape(grid.shape[:2]) for label in labels)
        gain[:, :, k] = g_factor_at(points, protocol, settings["isocentre"]).reshape(grid.shape[:2])
    white = (tissue == 1) & (image[..., 0] > 0)
    snr_without = (image[..., 0][white] / gain[white]).mean()
    image[distance_transform_edt(tissue == 0) * grid.voxel > settings["rim"]] = 0
    return Acquisition(
        signal=image,
        sigma=gain * np.float32(snr_without / protocol["snr"]),
        affine=grid.affine,
        bvals=bvals,
        directions=directions,
        mask=(tissue > 0).astype(np.uint8),
        tissue=tissue,
        regions=regions,
        pose=session.pose,
        rng=rng,
    )


def scan_grid(settings: dict[str, Any], voxel: float, slab: tuple[float, float] | None) -> ScanGrid:
    """Grid over the whole field of view, or over a `slab` given by centre and thickness, mm."""
    centre = np.array(settings["isocentre"], dtype=float)
    extent = np.array(settings["field_of_view"], dtype=float)
    if slab:
        centre[2], extent[2] = slab
    return ScanGrid(tuple(round(e / voxel) for e in extent), voxel, centre)


def slices(
    session: Session, grid: ScanGrid, bvals: np.ndarray, directions: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the noise-free magnitude images (x, y, volumes) of each slice in turn."""
    person, protocol = session.person, session.protocol
    scanner = Scanner(protocol["scanner"], person.parameters, person.atlas)
    along_phase = Apodisation.of_width(
        protocol["point_spread"], protocol["readout"] / person.parameters["tissue"]["t2_star"]
    )
    across, along = (
        readout(n, m, apodisation)
        for n, m, apodisation in zip(
            grid.shape, grid.fine_shape, (Apodisation(0.0, 0.0), along_phase), strict=False
        )
    )
    for k in range(grid.shape[2]):
        points = grid.slice_points(k)
        places = session.origin(points)
        tissue = person.tissue(session.in_person(places)).turned(session.pose[:3, :3])
        points, places = points[tissue.brain], places[tissue.brain]
        values = signal(
            tissue,
            person.parameters["tissue"],
            protocol["te"],
            bvals * session.calibration,
            directions,
            scanner.coil_at(places),
        )
        # Where the field squeezes tissue together, its signal adds up.
        squeezed = 1 + session.distortion.jacobian(points)[:, PHASE_AXIS]
        values *= np.float32(scanner.receive_at(places) * squeezed)[:, None]
        fine = np.zeros((len(tissue.brain), len(bvals)), dtype=np.float32)
        fine[tissue.brain] = values
        fine = fine.reshape(grid.slice_parts, *grid.fine_shape, len(bvals)).mean(axis=0)
        yield np.abs(along @ np.tensordot(across, fine, axes=1))
