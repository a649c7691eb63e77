"""Tissue and fibres in MNI space: MNI152 tissue maps, and bundles drawn between landmarks.

A bundle has a spline centre line and a cross-section that may widen, so that its fibres fan out.
Each bundle belongs to one of three populations that cross (`POPULATIONS`). White matter that no
bundle reaches holds radial fibres, which follow the gradient of a Laplace potential from ventricles
to cortex.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.affines import apply_affine
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import cg
from scipy.spatial import KDTree

from harmonization.files import whole_file
from harmonization.images.sampling import sample_maps

POPULATIONS = ("commissural", "projection", "association")
TISSUES = ("white_matter", "grey_matter", "csf")
BACKGROUND_REGIONS = ("other_white_matter", "grey_matter", "csf")

SPACING = 2.0  # mm, fibre maps; the tissue maps have 1 mm
SQUARINGS = 5  # of a tensor, until its other eigenvectors are gone
UNRESOLVED = 0.1  # share of white matter below which a fibre population is dropped
RADIAL_WITHIN_BUNDLES = 0.1  # weight of radial fibres where bundles fill the white matter


@dataclass(frozen=True)
class Atlas:
    """Maps in MNI space from which people are made; float32, stored as float16.

    Parameters
    ----------
    tissue : ndarray, shape (x, y, z, 3)
        Volume fractions of `TISSUES`, 1 mm.
    tissue_origin, fibre_origin : ndarray, shape (3,)
        MNI coordinates of the first voxel of each grid; the grids have the axes of MNI space.
    fibres : ndarray, shape (u, v, w, 18)
        For each of `POPULATIONS`, the sum over its bundles of weight times direction times
        transposed direction (its upper triangle of 6), 2 mm. It is smooth although directions have
        no sign.
    radial : ndarray, shape (u, v, w, 3)
        Unit vector from ventricles to cortex, 2 mm.
    surface : ndarray, shape (u, v, w, 3)
        Way to the nearest point of the brain's surface, mm, 2 mm.
    bundles : ndarray, shape (u, v, w), uint8
        Number of the dominant bundle, from 1; 0 where none dominates.
    bundle_count : ndarray, shape ()
    """

    tissue: np.ndarray
    tissue_origin: np.ndarray
    fibres: np.ndarray
    radial: np.ndarray
    surface: np.ndarray
    bundles: np.ndarray
    bundle_count: np.ndarray
    fibre_origin: np.ndarray

    def fractions(self, points: np.ndarray) -> np.ndarray:
        """White matter, grey matter and CSF fractions at MNI `points` (n, 3), as (3, n)."""
        # The maps end outside the brain, where nothing is.
        return sample_maps(self.tissue, (points - self.tissue_origin).T).T

    def fibres_at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fibre populations at MNI `points` (n, 3).

        Returns
        -------
        directions : ndarray, shape (n, 3, 3)
            Population, unit vector.
        fractions : ndarray, shape (n, 3)
            Shares of white matter, summing to 1; 0 for a population that deconvolution could not
            resolve.
        """
        upper = sample_maps(self.fibres, self._fibre_index(points)).reshape(-1, 3, 6)
        weights = upper[..., [0, 3, 5]].sum(axis=2)
        weights[weights.sum(axis=1) < 1e-3, POPULATIONS.index("projection")] = 1
        shares = weights / weights.sum(axis=1, keepdims=True)
        shares = np.maximum(shares - UNRESOLVED, 0)
        shares /= shares.sum(axis=1, keepdims=True)
        directions = np.zeros((len(points), 3, 3), dtype=np.float32)
        present = shares > 0
        directions[present] = main_directions(upper[present])
        return directions, shares

    def radial_at(self, points: np.ndarray) -> np.ndarray:
        """Unit vectors (n, 3) from ventricles to cortex at MNI `points` (n, 3)."""
        vectors = sample_maps(self.radial, self._fibre_index(points))
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)

    def way_to_surface(self, points: np.ndarray) -> np.ndarray:
        """Vectors (n, 3) from MNI `points` (n, 3) to the nearest point of the surface, mm."""
        return sample_maps(self.surface, self._fibre_index(points))

    def regions_at(self, points: np.ndarray, fractions: np.ndarray) -> np.ndarray:
        """Labels (n,), see `region_names`, at MNI `points` with tissue `fractions` (3, n)."""
        bundle = map_coordinates(self.bundles, self._fibre_index(points), order=0)
        tissue = fractions.argmax(axis=0)
        outside = self.bundle_count + 1 + tissue
        return np.where((tissue == 0) & (bundle > 0), bundle, outside).astype(np.uint8)

    def _fibre_index(self, points: np.ndarray) -> np.ndarray:
        return (points - self.fibre_origin).T / SPACING

    def brain_points(self, spacing: float) -> np.ndarray:
        """MNI coordinates (n, 3) of the points of a `spacing` mm grid that lie in the brain."""
        step = int(spacing)
        brain = self.tissue[::step, ::step, ::step].sum(axis=-1) > 0.5
        return np.argwhere(brain) * float(step) + self.tissue_origin

    def save(self, path: Path) -> None:
        """Write all maps to an ``.npz`` file."""
        maps = {
            name: values.astype(np.float16) if values.dtype == np.float32 else values
            for name, values in vars(self).items()
        }
        with whole_file(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **maps)

    @classmethod
    def load(cls, path: Path) -> "Atlas":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            maps = {
                name: values.astype(np.float32) if values.dtype == np.float16 else values
                for name, values in arrays.items()
            }
        return cls(**maps)


def region_names(bundles: Iterable[str]) -> list[str]:
    """Names of the regions, label 1 first: the bundles, then the tissue outside them."""
    return [*bundles, *BACKGROUND_REGIONS]


def main_directions(tensors: np.ndarray) -> np.ndarray:
    """Eigenvectors (n, 3) of the largest eigenvalue of `tensors`, given as upper triangles (n, 6).

    A tensor that is squared again and again loses all but its main eigenvector.
    """
    power = tensors[:, [[0, 1, 2], [1, 3, 4], [2, 4, 5]]]
    power[:, 2, 2] += 1e-6  # a direction where there is none
    for _ in range(SQUARINGS):
        power = power @ power
        power /= np.trace(power, axis1=1, axis2=2)[:, None, None]
    # The column of the largest diagonal element is the longest.
    largest = np.diagonal(power, axis1=1, axis2=2).argmax(axis=1)
    column = np.take_along_axis(power, largest[:, None, None], axis=2)[..., 0]
    return column / np.linalg.norm(column, axis=1, keepdims=True)


def build_atlas(bundles: dict[str, Any]) -> Atlas:
    """Make the atlas from nilearn's MNI152 maps and the `bundles` of the phantom's parameters.

    Parameters
    ----------
    bundles : dict
        By name: ``population``; ``points``, MNI landmarks along the centre line, mm; ``radii``,
        one for each point, mm; ``mirror``, whether a twin lies on the other side.
    """
    tissue, tissue_origin = _tissue_maps()
    # The nodes of the fibre maps are every second voxel of the tissue maps.
    white, grey, csf = np.moveaxis(tissue[::2, ::2, ::2], -1, 0)
    nodes = np.argwhere(white > 0)
    points = nodes * SPACING + tissue_origin
    radial = radial_directions(grey, csf, white + grey + csf > 0.5)

    tensors = np.zeros((len(POPULATIONS), len(nodes), 6), dtype=np.float32)
    strongest, prevailing = np.full(len(nodes), 0.5), np.zeros(len(nodes), dtype=np.uint8)
    total = np.zeros(len(nodes))
    for label, bundle in enumerate(bundles.values(), start=1):
        for side in (1, -1) if bundle["mirror"] else (1,):
            near, weight, direction = draw_bundle(bundle, points * [side, 1, 1])
            direction = direction * [side, 1, 1]
            population = POPULATIONS.index(bundle["population"])
            tensors[population, near] += weight[:, None] * _dyads(direction)
            total[near] += weight
            prevails = weight > strongest[near]
            prevailing[near[prevails]] = label
            strongest[near[prevails]] = weight[prevails]
    outwards = radial[:, *nodes.T].T
    weight = np.maximum(1 - total, RADIAL_WITHIN_BUNDLES)
    tensors[POPULATIONS.index("projection")] += weight[:, None] * _dyads(outwards)

    shape = white.shape
    fibres = np.zeros((*shape, 3, 6), dtype=np.float32)
    fibres[*nodes.T] = tensors.swapaxes(0, 1)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[*nodes.T] = prevailing
    return Atlas(
        tissue=tissue,
        tissue_origin=tissue_origin,
        fibres=fibres.reshape(*shape, -1),
        radial=np.ascontiguousarray(np.moveaxis(radial, 0, -1), dtype=np.float32),
        surface=_way_to_surface(white + grey + csf > 0.5),
        bundles=labels,
        bundle_count=np.array(len(bundles)),
        fibre_origin=tissue_origin,
    )


def _tissue_maps() -> tuple[np.ndarray, np.ndarray]:
    """White matter, grey matter and CSF fractions (x, y, z, 3), and the first voxel's position."""
    # Only the job that makes the atlas pays for this import.
    from nilearn.datasets import (
        load_mni152_brain_mask,
        load_mni152_gm_template,
        load_mni152_wm_template,
    )

    brain = load_mni152_brain_mask(resolution=1)
    inside = brain.get_fdata(dtype=np.float32)
    white = load_mni152_wm_template(resolution=1).get_fdata(dtype=np.float32) * inside
    grey = load_mni152_gm_template(resolution=1).get_fdata(dtype=np.float32) * inside
    total = np.maximum(white + grey, 1)
    white, grey = white / total, grey / total
    maps = np.stack([white, grey, inside - white - grey], axis=-1)
    margin = 4
    low = np.maximum(np.argwhere(inside).min(axis=0) - margin, 0)
    high = np.argwhere(inside).max(axis=0) + margin
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return np.ascontiguousarray(maps[box]), apply_affine(brain.affine, low)


def draw_bundle(
    bundle: dict[str, Any], points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a bundle at the MNI `points` (n, 3) that it reaches.

    Returns
    -------
    near : ndarray, shape (m,), int
        Indices of these points.
    weight : ndarray, shape (m,)
        1 on the centre line, 0.5 at the radius of the cross-section.
    direction : ndarray, shape (m, 3)
        Unit vectors along the centre line, tilted away from it where the bundle widens.
    """
    landmarks, radii = np.array(bundle["points"], dtype=float), np.array(bundle["radii"])
    along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(landmarks, axis=0), axis=1))]
    line, width = CubicSpline(along, landmarks), PchipInterpolator(along, radii)
    places = np.arange(0, along[-1], 0.5)
    centres, radius, slope = line(places), width(places), width(places, 1)
    tangents = line(places, 1)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)

    distance, nearest = KDTree(centres).query(points, distance_upper_bound=1.5 * max(radii))
    near = np.flatnonzero(np.isfinite(distance))
    nearest = nearest[near]
    relative = distance[near] / radius[nearest]
    offset = (points[near] - centres[nearest]) / radius[nearest][:, None]
    direction = tangents[nearest] + offset * slope[nearest][:, None]
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return near, np.exp2(-(relative**4)), direction


def _dyads(directions: np.ndarray) -> np.ndarray:
    """Upper triangles (n, 6) of the outer products of unit vectors (n, 3) with themselves."""
    rows, columns = np.triu_indices(3)
    return directions[:, rows] * directions[:, columns]


def radial_directions(grey: np.ndarray, csf: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Unit vectors (3, u, v, w) along the gradient of a Laplace potential, on a 2 mm grid.

    The potential is 0 in the ventricles (CSF deep in the brain) and 1 in the cortex (grey matter
    near the surface) and outside the brain; in between, its Laplacian vanishes.
    """
    depth = distance_transform_edt(brain) * SPACING
    ventricles = (csf > 0.5) & (depth > 25)
    outside = ~brain | ((grey > 0.6) & (depth < 16))
    unknown = np.flatnonzero(~(ventricles | outside).ravel())
    row_of = np.full(brain.size, -1)
    row_of[unknown] = np.arange(len(unknown))
    steps = [sign * stride for stride in _strides(brain.shape) for sign in (1, -1)]
    rows, columns = [], []
    known = np.zeros(len(unknown))
    for step in steps:
        neighbour = unknown + step
        inner = row_of[neighbour] >= 0
        rows.append(np.flatnonzero(inner))
        columns.append(row_of[neighbour[inner]])
        known += outside.ravel()[neighbour]
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    adjacency = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(unknown),) * 2)
    solution, _ = cg(diags(np.full(len(unknown), 6.0)) - adjacency, known, rtol=1e-6)
    potential = outside.astype(float)
    potential.flat[unknown] = solution
    gradient = np.stack(np.gradient(gaussian_filter(potential, 1.5)))
    return gradient / np.maximum(np.linalg.norm(gradient, axis=0), 1e-9)


def _way_to_surface(brain: np.ndarray) -> np.ndarray:
    """Vectors (u, v, w, 3) to the nearest point outside a `brain` (u, v, w) on a 2 mm grid, mm."""
    nearest = distance_transform_edt(brain, return_distances=False, return_indices=True)
    ways = SPACING * (nearest - np.indices(brain.shape))
    return np.stack([gaussian_filter(way, 1.0) for way in ways], axis=-1).astype(np.float32)


def _strides(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return shape[1] * shape[2], shape[2], 1
