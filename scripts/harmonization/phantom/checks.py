"""Check that the phantom is plausible: measured values beside wanted ones.

Wanted values come from the literature or from the phantom's own parameters; docs/phantom.md says
which. The measures are those that any user of the scans can take: tensors, repeats of b=0, peaks.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel
from scipy.ndimage import binary_erosion

from harmonization.images.deconvolution import fit_fod
from harmonization.images.gradients import B0_THRESHOLD
from harmonization.images.grids import points_of_mask, transform_points
from harmonization.images.peaks import angles, main_peaks
from harmonization.images.spherical_harmonics import normalise_by_b0
from harmonization.images.variation import Variation, fine_variation
from harmonization.phantom.acquisition import Acquisition, acquire, scan_grid
from harmonization.phantom.atlas import main_directions
from harmonization.phantom.people import Person
from harmonization.phantom.scanner import Scanner, b_deviation, half_range

WHITE = 1  # label of white matter
CROSSING_SHARE = 0.2  # of white matter; a population with more than this counts
COHERENT = 0.9  # share above which one population counts as the only one
SMALLEST_REGION = 40  # voxels
PEAK_ERROR = 10.0  # degrees, in nine of ten voxels
PARTS = 3  # of a voxel's edge, to average over it
CORTEX = 15.0  # mm below the surface; what lies deeper is deep
# Where real scans were measured: voxel, and the share that blocks do not explain.
REAL_SCANS = {"cortex": (1.8, 0.20, 0.35), "deep": (2.0, 0.20, 0.40)}
REAL_SHELL = {1000: 64}
LIKE_REAL = "prisma_st"  # platform of the phantom whose scanner makes them
REAL_CORRELATION = 0.70, 0.85
FINE = 1.4  # mm; thinner voxels are a target of super-resolution
TO_RESOLVE = 0.08  # share of a fine target that no mean over its source's voxels explains
# Coefficients of variation over healthy adults, %: means of the white matter regions of Uddin 2019.
PEOPLE = {"FA": 6.4, "MD": 3.9}


@dataclass(frozen=True)
class Check:
    """One measured value and the range it should lie in."""

    name: str
    where: str
    low: float
    high: float
    measured: float

    @property
    def passed(self) -> bool:
        """Whether the measured value lies in the range."""
        return bool(self.low <= self.measured <= self.high)


@dataclass(frozen=True)
class Examined:
    """A scan with its tensors, and the same scan without noise."""

    platform: str
    scan: Acquisition
    truth: np.ndarray
    fa: np.ndarray  # (x, y, z)
    md: np.ndarray  # mm2/s
    colours: np.ndarray  # (x, y, z, 3), FA coloured by direction

    def region_means(self, values: np.ndarray) -> dict[int, float]:
        """Mean over each region's white matter if this has `SMALLEST_REGION` voxels or more."""
        found = {}
        for region in np.unique(self.scan.regions):
            where = (self.scan.regions == region) & (self.scan.tissue == WHITE)
            if where.sum() >= SMALLEST_REGION:
                found[int(region)] = float(values[where].mean())
        return found


def examine(
    person: Person, platform: str, shell: int, slab: tuple[float, float] | None
) -> Examined:
    """Scan a person and fit tensors (weighted least squares) to the noisy signal."""
    scan = acquire(person, platform, "scan", [shell], slab)
    truth = scan.signal.copy()
    scan.add_noise()
    tensors = _tensors(scan, scan.signal)
    return Examined(platform, scan, truth, tensors.fa, tensors.md, tensors.color_fa)


def _tensors(scan: Acquisition, signal: np.ndarray) -> Any:
    gradients = gradient_table(scan.bvals, bvecs=scan.directions, b0_threshold=B0_THRESHOLD)
    return TensorModel(gradients).fit(signal, mask=scan.mask)


def white_matter_fa(examined: Examined) -> Check:
    """Mean FA of white matter (Pierpaoli 1996)."""
    fa = examined.fa[examined.scan.tissue == WHITE]
    return Check("white matter FA", examined.platform, 0.3, 0.7, float(fa.mean()))


def csf_diffusivity(person: Person, examined: Examined) -> Check:
    """MD of pure CSF voxels with pure neighbours, from the noise-free scan: noise hides it."""
    scan = examined.scan
    brain = scan.mask > 0
    tissue = person.tissue(_in_person(scan, points_of_mask(brain, scan.affine)))
    share = np.zeros(brain.shape, dtype=np.float32)
    share[tuple(np.argwhere(brain)[tissue.brain].T)] = tissue.csf
    pure = binary_erosion(share > 0.9)
    md = _tensors(scan, examined.truth).md[pure].mean()
    return Check("CSF MD, 1e-3 mm2/s", examined.platform, 2.7, 3.3, float(md * 1e3))


def crossing_share(person: Person, examined: Examined) -> Check:
    """Share of white matter voxels with at least two populations."""
    crossing = (fibres_of(person, examined)[1] > CROSSING_SHARE).sum(axis=1) >= 2
    return Check("share of crossing fibres", "person", 0.25, 1.0, float(crossing.mean()))


def signal_to_noise(examined: Examined, wanted: float) -> Check:
    """Mean white matter b=0 signal over the voxel-wise standard deviation of its repeats."""
    scan = examined.scan
    b0 = scan.signal[scan.tissue == WHITE][:, scan.bvals < B0_THRESHOLD]
    sigma = np.sqrt(b0.var(axis=1, ddof=1).mean())
    snr = float((b0.mean(axis=1)).mean() / sigma)
    return Check("SNR of white matter", examined.platform, 0.9 * wanted, 1.1 * wanted, snr)


def b_error(person: Person, examined: Examined) -> np.ndarray:
    """Relative errors of b (points, volumes) from gradient nonlinearity over the whole brain."""
    parameters, scan = person.parameters, examined.scan
    scanner = parameters["platforms"][examined.platform]["scanner"]
    grid = scan_grid(parameters["acquisition"], voxel=6.0, slab=None)
    points = np.concatenate([grid.voxel_points(k) for k in range(grid.shape[2])])
    points = points[person.labels(_in_person(scan, points))[0] > 0]
    directions = scan.directions[scan.bvals > B0_THRESHOLD]
    return b_deviation(Scanner(scanner, parameters, person.atlas).coil_at(points), directions)


def b_range(person: Person, examined: Examined, wanted: float) -> Check:
    """Half the range of the error of b between its 1st and 99th percentile, %."""
    measured = 100 * half_range(b_error(person, examined))
    low, high = 90 * wanted, 110 * wanted
    return Check("b deviation, %", examined.platform, low, high, measured)


def differences(first: Examined, second: Examined) -> Iterator[tuple[str, float]]:
    """Yield the relative differences in FA and MD, %, averaged over white matter regions."""
    for measure in ("FA", "MD"):
        a, b = (e.region_means(getattr(e, measure.lower())) for e in (first, second))
        both = sorted(a.keys() & b.keys())
        relative = [abs(a[r] - b[r]) / (a[r] + b[r]) * 2 for r in both]
        yield measure, 100 * float(np.mean(relative))


def mean_differences(scans: list[Examined], low: float, high: float, name: str) -> Iterator[Check]:
    """Check differences in FA and MD, %, averaged over all pairs of equal-protocol platforms."""
    pairs = list(combinations(scans, 2))
    found = [dict(differences(a, b)) for a, b in pairs]
    for measure in ("FA", "MD"):
        mean = float(np.mean([f[measure] for f in found]))
        yield Check(f"{measure} between platforms, %, {name}", "equal protocols", low, high, mean)


def peak_errors(person: Person, examined: Examined, response: dict[str, Any]) -> np.ndarray:
    """Angles (n,), degrees, between the main FOD peak and the true fibre in coherent white matter.

    Coherent white matter has only one population and lies away from other tissue.
    """
    scan = examined.scan
    inner = binary_erosion(scan.tissue == WHITE)
    directions, shares = fibres_of(person, examined, inner)
    coherent = shares.max(axis=1) > COHERENT
    true = directions[coherent, shares[coherent].argmax(axis=1)]
    where = tuple(np.argwhere(inner)[coherent].T)
    return angles(main_peaks(fods(examined, where, response)), true)


def peaks_follow_fibres(person: Person, examined: Examined, response: dict[str, Any]) -> Check:
    """90th percentile of `peak_errors`."""
    errors = peak_errors(person, examined, response)
    error = float(np.quantile(errors, 0.9))
    return Check("FOD peak error, degrees", examined.platform, 0, PEAK_ERROR, error)


def fods(examined: Examined, where: tuple, response: dict[str, Any]) -> np.ndarray:
    """Fibre orientation distributions (n, 28) in the voxels `where`."""
    scan = examined.scan
    signal, b0 = scan.signal[where], scan.bvals < B0_THRESHOLD
    weighted = normalise_by_b0(signal[:, ~b0], signal[:, b0].mean(axis=1))
    shell = float(scan.bvals[~b0][0])
    return fit_fod(weighted, scan.directions[~b0], shell, 6, response)


def fibres_of(
    person: Person, examined: Examined, where: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """True directions (n, 3, 3) in scanner axes and shares (n, 3), means over white matter voxels.

    The voxels are `where`, by default all with white matter.
    """
    scan = examined.scan
    centres = points_of_mask(scan.tissue == WHITE if where is None else where, scan.affine)
    dyads = np.zeros((len(centres), 3, 3, 3), dtype=np.float32)
    for offset in np.ndindex(PARTS, PARTS, PARTS):
        shift = scan.affine[:3, :3] @ ((np.array(offset) + 0.5) / PARTS - 0.5)
        tissue = person.tissue(_in_person(scan, centres + shift))
        weight = tissue.white[:, None] * tissue.fibre_fractions
        dyads[tissue.brain] += np.einsum("np,npi,npj->npij", weight, *[tissue.fibres] * 2)
    weights = np.trace(dyads, axis1=2, axis2=3)
    directions = main_directions(dyads.reshape(-1, 3, 3)[:, *np.triu_indices(3)])
    shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return directions.reshape(-1, 3, 3) @ scan.pose[:3, :3].T, shares


def _in_person(scan: Acquisition, points: np.ndarray) -> np.ndarray:
    return transform_points(np.linalg.inv(scan.pose), points)


def like_real(
    person: Person, where: str, slab: tuple[float, float] | None
) -> tuple[Acquisition, np.ndarray]:
    """A scan with the voxels and directions of a real one of `REAL_SCANS`, and its region."""
    parameters = copy.deepcopy(person.parameters)
    like = {"voxel": REAL_SCANS[where][0], "shells": REAL_SHELL}
    parameters["platforms"][LIKE_REAL] |= like
    same = Person(person.atlas, parameters, person.seed, person.name)
    scan = acquire(same, LIKE_REAL, "scan", list(REAL_SHELL), slab)
    scan.add_noise()
    points = same.to_atlas(_in_person(scan, points_of_mask(scan.mask > 0, scan.affine)))
    depth = np.linalg.norm(person.atlas.way_to_surface(points), axis=1)
    region = scan.mask > 0
    region[region] = (depth < CORTEX) == (where == "cortex")
    return scan, region


def real_variation(person: Person, slab: tuple[float, float] | None) -> Iterator[Check]:
    """Check the fine variation of scans with the voxels and directions of real ones."""
    for where, (voxel, low, high) in REAL_SCANS.items():
        scan, region = like_real(person, where, slab)
        found = _variation(scan, scan.signal, region)
        name = f"{where} at {voxel} mm"
        yield Check("share not explained by blocks", name, low, high, found.unexplained)
        yield Check("correlation of neighbours", name, *REAL_CORRELATION, found.correlation)


def to_resolve(examined: Examined) -> Check:
    """Share of the noise-free scan that blocks of voxels, as a coarser scan has, do not explain."""
    found = _variation(examined.scan, examined.truth, examined.scan.mask > 0)
    return Check(
        "share not explained by blocks", examined.platform, TO_RESOLVE, 1, found.unexplained
    )


def _variation(scan: Acquisition, signal: np.ndarray, region: np.ndarray) -> Variation:
    weighted = over_b0(signal, scan.bvals)
    return fine_variation(weighted, scan.directions[scan.bvals >= B0_THRESHOLD], region)


def over_b0(signal: np.ndarray, bvals: np.ndarray) -> np.ndarray:
    """Diffusion-weighted volumes of a series (x, y, z, n) divided by its mean b=0."""
    b0 = bvals < B0_THRESHOLD
    return signal[..., ~b0] / np.maximum(signal[..., b0].mean(axis=-1, keepdims=True), 1e-6)


def cubes_of(region: np.ndarray, edge: int, number: int) -> list[tuple[slice, slice, slice]]:
    """The `number` cubes of `edge` voxels, half an edge apart, with the most voxels in a region."""
    starts = [range(0, n - edge + 1, max(edge // 2, 1)) for n in region.shape]
    corners = [tuple(slice(s, s + edge) for s in start) for start in product(*starts)]
    return sorted(corners, key=lambda cube: -region[cube].sum())[:number]


def tensor_colours(signal: np.ndarray, bvals: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """FA coloured by direction (x, y, z, 3) of a series (x, y, z, n)."""
    gradients = gradient_table(bvals, bvecs=directions, b0_threshold=B0_THRESHOLD)
    return TensorModel(gradients).fit(signal).color_fa


def between_people(people: list[Examined]) -> Iterator[Check]:
    """Check standard deviations over people, %, averaged over white matter regions."""
    for measure, wanted in PEOPLE.items():
        means = [person.region_means(getattr(person, measure.lower())) for person in people]
        regions = sorted(set.intersection(*(set(m) for m in means)))
        values = np.array([[m[region] for region in regions] for m in means])
        spread = float((values.std(axis=0, ddof=1) / values.mean(axis=0)).mean()) * 100
        low, high = 0.7 * wanted, 1.3 * wanted
        yield Check(f"{measure} between people, %", people[0].platform, low, high, spread)


def check_person(
    person: Person,
    scans: list[Examined],
    without_effects: list[Examined],
    people: list[Examined],
    response: dict[str, Any],
    slab: tuple[float, float] | None,
) -> list[Check]:
    """Run all checks on one person.

    Parameters
    ----------
    person : Person
    scans : list of Examined
        One for each platform.
    without_effects : list of Examined
        Scans on the platforms of equal protocol, by scanners with noise but no other effect.
    people : list of Examined
        Several people on one platform.
    response : dict
        Response of the spherical deconvolution, see `fit_fod`.
    slab : (float, float), optional
        Of scans that are made like real ones, see `acquire`.
    """
    parameters = person.parameters
    checks = [crossing_share(person, scans[0]), *between_people(people)]
    checks += real_variation(person, slab)
    for scan in scans:
        protocol = parameters["platforms"][scan.platform]
        deviation = parameters["scanners"][protocol["scanner"]]["b_deviation"]
        checks += [
            white_matter_fa(scan),
            csf_diffusivity(person, scan),
            signal_to_noise(scan, protocol["snr"]),
            b_range(person, scan, deviation),
            peaks_follow_fibres(person, scan, response),
        ]
        if protocol["voxel"] < FINE:
            checks.append(to_resolve(scan))
    equal = [scan.platform for scan in without_effects]
    checks += mean_differences([s for s in scans if s.platform in equal], 2, 5, "all effects")
    checks += mean_differences(without_effects, 0, 0.5, "noise alone")
    return sorted(checks, key=lambda check: check.name)


def equal_protocols(parameters: dict[str, Any], source: str) -> list[str]:
    """Platforms with the voxels and echo time of `source`: only their scanners differ."""
    protocols = parameters["platforms"]
    same = [protocols[source][key] for key in ("voxel", "te")]
    return [name for name, p in protocols.items() if [p["voxel"], p["te"]] == same]
