"""Check a data set; one report lists all problems, each with its file and what to do."""

import gzip
import itertools
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from harmonization.data.bids import (
    CONVENTIONS,
    axes_of_bvec,
    find_convention,
    read_gradients,
)
from harmonization.files import InputError, read_json, sha256
from harmonization.images.coefficients import coefficient_orders
from harmonization.images.directions import misread_by_itself, name_of, orientation_field
from harmonization.images.gradients import B0_THRESHOLD, has_signal, volumes_of_shell
from harmonization.images.grids import layout, other_layouts
from harmonization.images.nifti import as_mask, load_image, shape_of, values_of
from harmonization.images.spherical_harmonics import harmonics
from harmonization.plan.scans import (
    FoundScan,
    bvec_convention,
    choose_subjects,
    find_raw_scan,
    find_scan,
    refuse_shared_scans,
)
from harmonization.plan.sources import SOURCES

SMALLEST_VOXEL, LARGEST_VOXEL = 0.3, 6.0  # mm
LARGEST_SHEAR = 0.01  # cosine of two axes
QUATERNION_ROUNDING = 1.5e-3  # radians; a NIfTI file keeps quaternions in float32
DARKER_FROM = 500.0  # s/mm2; from there on, what is weighted is darker than what is not
LARGEST_CONDITION = 50.0  # of the harmonics at a shell's directions; 2 if evenly spread
LARGEST_EMPTY_SHARE = 0.05  # of a mask that may lie where the scan has no signal
NEGATIVE_SHARE = 1e-3  # of a brain's values that spline interpolation may make negative


@dataclass(frozen=True)
class ValidScan:
    """What the run uses of a scan: its gradients and mask in one form, whatever form they came in.

    Parameters
    ----------
    bvals : ndarray, shape (n,)
        s/mm2.
    directions : ndarray, shape (n, 3)
        Unit vectors in world axes; zero without diffusion weighting.
    affine : ndarray, shape (4, 4)
        Voxel to world, mm.
    convention : str
        How the bvec table was read, one of `bids.CONVENTIONS`.
    mask : ndarray of uint8, shape (x, y, z), or None
        1 in the brain where there is signal; None for a raw scan without a mask.
    sidecar : dict
    warnings : list of str
        What is unusual but not wrong.
    """

    bvals: np.ndarray
    directions: np.ndarray
    affine: np.ndarray
    convention: str
    mask: np.ndarray | None
    sidecar: dict[str, Any]
    warnings: list[str]


def validate_dataset(config: dict[str, Any], root: Path) -> tuple[list[str], list[str]]:
    """Check every scan that a run would use, before or after preprocessing.

    Parameters
    ----------
    config : dict
        The run's ``dataset.kind``, ``dataset.subjects``, ``dataset.bvec_convention``,
        ``platforms``, ``source``, ``targets``, ``spherical_harmonics``. Scans of kinds ``raw`` and
        ``openneuro`` are not preprocessed yet and need no mask.
    root : Path
        Folder of the data set.

    Returns
    -------
    problems, warnings : list of str
        One line each: the file, what is wrong or unusual and what to do.
    """
    problems, warnings = check_description(root), []
    try:
        subjects = choose_subjects(root, config["dataset"]["subjects"])
    except InputError as error:
        return [*problems, str(error)], warnings
    finds_mask = SOURCES[config["dataset"]["kind"]].is_raw and config["preprocessing"]["mask"]
    find = find_raw_scan if finds_mask else find_scan
    convention = bvec_convention(config["dataset"]["bvec_convention"], root)
    contents: dict[str, str] = {}
    layouts: dict[str, dict[str, Any]] = {}
    for subject in subjects:
        series: dict[str, str] = {}
        for platform in [config["source"], *config["targets"]]:
            try:
                scan = find(root, subject, platform, config["platforms"][platform])
                series[platform] = scan.dwi
                refuse_shared_scans(config["platforms"], series)
                contents[scan.dwi] = sha256(scan.dwi)
                valid, found = validate_scan(scan, convention)
            except InputError as error:
                problems.append(str(error))
                continue
            problems += found
            if valid is not None:
                warnings += valid.warnings
                if platform == config["source"]:
                    layouts[scan.dwi] = layout(valid.affine)
                gradients = valid.bvals, valid.directions
                problems += gradient_problems(config, platform, vars(scan), *gradients)
    return problems + other_layouts(layouts) + duplicates(contents), warnings


def validate_reports(
    config: dict[str, Any], root: Path, reports: list[dict[str, Any]]
) -> list[str]:
    """Check what only all scans together, or the settings of the run, can tell.

    Parameters
    ----------
    config : dict
        See `validate_dataset`.
    root : Path
        Folder of the data set.
    reports : list of dict
        What `validate_scan.py` wrote about each scan.

    Returns
    -------
    list of str
        Problems, see `validate_dataset`.
    """
    problems = check_description(root)
    for report in reports:
        gradients = (np.array(report[key]) for key in ("bvals", "directions"))
        problems += gradient_problems(config, report["platform"], report, *gradients)
    of_source = [report for report in reports if report["platform"] == config["source"]]
    problems += other_layouts({report["dwi"]: report["layout"] for report in of_source})
    return problems + duplicates({report["dwi"]: report["sha256"] for report in reports})


def duplicates(contents: dict[str, str]) -> list[str]:
    """Problems with series that have the same content, from the checksum of each."""
    problems, seen = [], {}
    for path, content in contents.items():
        other = seen.setdefault(content, path)
        if other != path:
            problems.append(
                f"{path}: the same file as {other}; copy the right scan, or tell the two platforms "
                "apart"
            )
    return problems


def validate_scan(scan: FoundScan, convention: str = "fsl") -> tuple[ValidScan | None, list[str]]:
    """Check one scan, whatever the run makes of it.

    Parameters
    ----------
    scan : FoundScan
    convention : str
        Of the bvec table, unless a table in world axes lies beside it.

    Returns
    -------
    valid : ValidScan or None
        None if there are problems.
    problems : list of str
        See `validate_dataset`.
    """
    problems: list[str] = []
    warnings: list[str] = []

    def attempt(check: Callable[..., Any], *of: Any) -> Any:
        try:
            return check(*of)
        except InputError as error:
            problems.append(str(error))
            return None

    sidecar = attempt(_read_sidecar, scan.sidecar) if scan.sidecar else {}
    series = attempt(_read, Path(scan.dwi), 4)
    mask = attempt(_read_mask, Path(scan.mask)) if scan.mask else None
    affine = np.eye(4) if series is None else series[1]
    if scan.b_table and series is not None:
        told = attempt(find_convention, scan.bval, scan.bvec, scan.b_table, affine)
        convention = told or convention
    gradients = attempt(read_gradients, scan.bval, scan.bvec, affine, convention)
    if gradients is not None:
        problems += _bval_problems(scan, gradients[0])
    if series is not None and mask is not None:
        problems += _mask_problems(scan, series, mask)
    if problems or series is None or gradients is None:
        return None, list(dict.fromkeys(problems))  # both readers of a table may name its fault

    warnings += _without_orientation(scan)
    dwi, (bvals, directions) = series[0], gradients
    if dwi.shape[3] != len(bvals):
        return None, [
            f"{scan.bval}: {len(bvals)} b-values for the {dwi.shape[3]} volumes of "
            f"{Path(scan.dwi).name}; copy the table that belongs to the scan"
        ]
    if mask is None:
        mean = dwi.mean(axis=-1)
        brain = mean >= mean.mean()
    else:
        brain = mask[0] > 0
        signal = has_signal(dwi, bvals < B0_THRESHOLD)
        problems += _without_signal(scan, brain, signal, warnings)
        warnings += _darker_than_outside(scan, dwi, brain)
        brain &= signal
    problems += _signal_problems(scan, dwi, brain, bvals)
    problems += _direction_problems(scan, dwi, brain, affine, gradients, convention)
    if problems:
        return None, problems
    clean = brain.astype(np.uint8) if mask else None
    return ValidScan(bvals, directions, affine, convention, clean, sidecar, warnings), []


def check_description(root: Path) -> list[str]:
    """Problems of the data set's description."""
    try:
        _check_description(root)
    except InputError as error:
        return [str(error)]
    return []


def _check_description(root: Path) -> None:
    path = root / "dataset_description.json"
    if not path.exists():
        raise InputError(f"{path}: no such file; BIDS wants one, with Name and BIDSVersion")
    description = read_json(path)
    missing = {"Name", "BIDSVersion"} - set(description if isinstance(description, dict) else [])
    if missing:
        raise InputError(f"{path}: says nothing of {' and '.join(sorted(missing))}; add it")


def _read_sidecar(path: str) -> dict[str, Any]:
    sidecar = read_json(path)
    if not isinstance(sidecar, dict):
        raise InputError(f"{path}: holds no JSON object; rewrite it")
    for key in ("EchoTime", "PartialFourier"):
        value = sidecar.get(key, 1)
        if not isinstance(value, int | float):
            raise InputError(f"{path}: {key} is {json.dumps(value)}, no number; correct it")
    echo_time = sidecar.get("EchoTime", 1)
    if not 0.01 <= echo_time <= 1:
        raise InputError(f"{path}: EchoTime is {echo_time:g}; BIDS wants seconds: correct it")
    return sidecar


def _read_mask(path: Path) -> tuple[np.ndarray, np.ndarray]:
    values, affine = _read(path, 3)
    return as_mask(values, path), affine


def _read(path: Path, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and affine of an image that must have this number of `dimensions`."""
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty; copy it again")
    if path.suffix == ".gz":
        _check_gzip(path)
    image = load_image(path)
    header, shape = image.header, shape_of(image)
    kind = header.get_data_dtype()
    if kind.kind not in "iuf":
        raise InputError(f"{path}: its values are {kind}, not real numbers; convert it again")
    if 0 in shape:
        raise InputError(f"{path}: has no voxels {shape}; copy or convert it again")
    if len(shape) != dimensions:
        raise InputError(
            f"{path}: has {len(shape)} dimensions {shape}, not {dimensions}; "
            f"{'give the whole series' if dimensions == 4 else 'give one mask for all volumes'}"
        )
    _check_geometry(path, image)
    # nibabel does not keep the scale factor, and ignores an infinite one.
    with image.file_map["image"].get_prepare_fileobj() as stream:
        slope = type(header).from_fileobj(stream, check=False)["scl_slope"]
    if np.isinf(slope):
        raise InputError(f"{path}: its scale factor is {slope}; convert it again")
    try:
        data = values_of(image).reshape(shape)
    except (OSError, OverflowError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: is shorter than its header says ({reason}); copy it again"
        ) from None
    if not np.isfinite(data).all():
        where = np.argwhere(~np.isfinite(data))[0].tolist()
        raise InputError(
            f"{path}: holds NaN or infinite values, first at voxel {where}; repair or leave out "
            "this scan"
        )
    return data, image.affine


def _check_gzip(path: Path) -> None:
    """Read a compressed file to its end, where gzip stores the checksum."""
    try:
        with gzip.open(path) as stream:
            while stream.read(1 << 24):
                pass
    except gzip.BadGzipFile as error:
        raise InputError(f"{path}: is no intact gzip file ({error}); copy it again") from None
    except EOFError:
        raise InputError(f"{path}: ends too early; copy it again") from None
    except zlib.error as error:
        raise InputError(f"{path}: cannot be decompressed ({error}); copy it again") from None


def _check_geometry(path: Path, image: nib.Nifti1Image) -> None:
    affine = image.affine
    if not np.isfinite(affine).all():
        raise InputError(f"{path}: its affine holds NaN or infinite values; correct it")
    sizes = nib.affines.voxel_sizes(affine)
    if abs(np.linalg.det(affine[:3, :3])) <= 1e-3 * np.prod(sizes):
        raise InputError(f"{path}: its affine has no volume; correct it")
    if sizes.min() < SMALLEST_VOXEL or sizes.max() > LARGEST_VOXEL:
        shown = " x ".join(f"{size:.3g}" for size in sizes)
        raise InputError(
            f"{path}: its voxels are {shown} mm; NIfTI affines are in millimetres: correct it"
        )
    axes = affine[:3, :3] / sizes
    if np.abs(axes.T @ axes - np.eye(3)).max() > LARGEST_SHEAR:
        raise InputError(
            f"{path}: its affine shears, which gradients along its axes cannot follow; resample it "
            "to axes at right angles"
        )
    sform, sform_code = image.get_sform(coded=True)
    try:
        qform, qform_code = image.get_qform(coded=True)
    except ValueError as error:
        raise InputError(
            f"{path}: the quaternion of its qform is no rotation ({error}); correct it"
        ) from None
    if sform_code and qform_code and are_apart(sform, qform, image.shape):
        raise InputError(
            f"{path}: sform and qform place it differently, and programs disagree on which to "
            "trust; make them equal"
        )


def are_apart(affine: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether two affines place any voxel of an image more than a tenth of a voxel apart.

    They may differ by what the rounding of a quaternion turns, too.
    """
    corners = np.array(list(itertools.product(*((0, n - 1) for n in shape[:3]))))
    places = nib.affines.apply_affine(affine, corners)
    apart = np.linalg.norm(places - nib.affines.apply_affine(other, corners), axis=1)
    turned = QUATERNION_ROUNDING * np.linalg.norm(places - places[0], axis=1)
    return bool((apart > 0.1 * nib.affines.voxel_sizes(affine).min() + turned).any())


def _bval_problems(scan: FoundScan, bvals: np.ndarray) -> Iterator[str]:
    if bvals.min() < 0:
        yield f"{scan.bval}: holds a b-value of {bvals.min():g}; b is never negative: correct it"
    if bvals.max() < B0_THRESHOLD:
        yield f"{scan.bval}: its largest b-value is {bvals.max():g}; give them in s/mm2"
    elif not (bvals < B0_THRESHOLD).any():
        yield f"{scan.bval}: no volume with b below {B0_THRESHOLD:g}; add the b=0 volumes"


def gradient_problems(
    config: dict[str, Any],
    platform: str,
    files: dict[str, Any],
    bvals: np.ndarray,
    directions: np.ndarray,
) -> Iterator[str]:
    """Problems of a scan's gradients with the shell and order that the run asks for.

    Parameters
    ----------
    config : dict
        See `validate_dataset`.
    platform : str
    files : dict
        Names of the tables ``bval`` and ``bvec``, for messages.
    bvals, directions : ndarray, shapes (n,) and (n, 3)
        See `ValidScan`.
    """
    settings = config["spherical_harmonics"]
    shell = config["platforms"][platform].get("shell", settings["shell"])
    yield from shell_problems(shell, settings["order"], files, bvals, directions)


def shell_problems(
    shell: float,
    order: int,
    files: dict[str, Any],
    bvals: np.ndarray,
    directions: np.ndarray,
    advice: str = "",
) -> Iterator[str]:
    """Problems of a scan's gradients with a shell (s/mm2) and an order of spherical harmonics.

    The other parameters are those of `gradient_problems`; `advice` tells what to do, if it is not
    to change the configuration of a run.
    """
    try:
        chosen = volumes_of_shell(bvals, shell, files["bval"], advice)
    except InputError as error:
        yield str(error)
        return
    needed = len(coefficient_orders(order))
    distinct = _distinct(directions[chosen])
    if distinct < needed:
        yield (
            f"{files['bvec']}: {distinct} distinct directions at b={shell:g}, order {order} needs "
            f"{needed}; {advice or 'lower spherical_harmonics.order or leave out this scan'}"
        )
        return
    condition = np.linalg.cond(harmonics(directions[chosen], order))
    if condition > LARGEST_CONDITION:
        yield (
            f"{files['bvec']}: its directions at b={shell:g} leave part of the sphere out "
            f"(condition {condition:.0f}); check the table, or "
            f"{advice or 'lower spherical_harmonics.order'}"
        )


def _distinct(directions: np.ndarray) -> int:
    """Number of directions; copies and opposites within 1 degree count once."""
    same = np.abs(directions @ directions.T) > np.cos(np.radians(1))
    return int((np.triu(same, 1).sum(axis=0) == 0).sum())


def _mask_problems(
    scan: FoundScan,
    series: tuple[np.ndarray, np.ndarray],
    mask: tuple[np.ndarray, np.ndarray],
) -> Iterator[str]:
    (dwi, affine), (brain, mask_affine) = series, mask
    if brain.shape != dwi.shape[:3]:
        yield (
            f"{scan.mask}: shape {brain.shape} differs from the scan's {dwi.shape[:3]}; "
            "resample the mask to the scan"
        )
        return
    if are_apart(affine, mask_affine, brain.shape):
        yield f"{scan.mask}: its affine differs from the scan's; make them equal"
    if not brain.any():
        yield f"{scan.mask}: the brain mask is empty; make a new one"
    elif brain.all():
        yield f"{scan.mask}: the brain mask is full, as if everything were brain; make a new one"


def _without_signal(
    scan: FoundScan, brain: np.ndarray, signal: np.ndarray, warnings: list[str]
) -> Iterator[str]:
    """Refuse a mask of which too much has no signal; warn about less."""
    share = (brain & ~signal).sum() / brain.sum()
    finding = f"{scan.mask}: {share:.1%} of the brain have no signal in {Path(scan.dwi).name}"
    if share > LARGEST_EMPTY_SHARE:
        yield f"{finding}; make a mask that ends where the scan does, or copy the scan again"
    elif share:
        warnings.append(f"{finding}; they are not scored")


def _without_orientation(scan: FoundScan) -> Iterator[str]:
    header = load_image(scan.dwi).header
    if not header["sform_code"] and not header["qform_code"]:
        yield (
            f"{scan.dwi}: its header says nothing about orientation (both codes are 0), so left "
            "and right may be exchanged"
        )


def _darker_than_outside(scan: FoundScan, dwi: np.ndarray, brain: np.ndarray) -> Iterator[str]:
    """A mask of white matter alone leaves the brighter fluid outside."""
    if dwi[..., 0][brain].mean() <= dwi[..., 0][~brain].mean():
        yield f"{scan.mask}: the scan is brighter outside it than inside; is it inverted?"


def _direction_problems(
    scan: FoundScan,
    dwi: np.ndarray,
    brain: np.ndarray,
    affine: np.ndarray,
    gradients: tuple[np.ndarray, np.ndarray],
    convention: str,
) -> Iterator[str]:
    field = orientation_field(dwi, brain, *gradients)
    if field is None:
        return
    reading = misread_by_itself(field, brain, affine, axes_of_bvec(affine, convention))
    if reading is None:
        return
    change = name_of(reading)
    other = next(name for name in CONVENTIONS if name != convention)
    causes = {
        "x reversed": f"if the tables mean other axes, read them as {other} "
        "(dataset.bvec_convention, or --convention of scripts/harmonize.py); else left and right "
        "are exchanged in the table or the image: correct it"
    }
    yield (
        f"{scan.bvec}: fibres continue better with {change}; "
        f"{causes.get(change, 'correct the table')}"
    )


def _signal_problems(
    scan: FoundScan, dwi: np.ndarray, brain: np.ndarray, bvals: np.ndarray
) -> Iterator[str]:
    inside = dwi[brain]
    if not inside.size:
        return
    constant = np.flatnonzero(np.ptp(inside, axis=0) == 0)
    if len(constant):
        yield (
            f"{scan.dwi}: volume {constant[0]} has the same value all over the brain; leave it out "
            "or copy the scan again"
        )
        return
    empty = _empty_slices(dwi, brain)
    if len(empty):
        z, volume = empty[0]
        yield f"{scan.dwi}: slice {z} of volume {volume} is empty; leave out the volume"
    if (inside < 0).mean() > NEGATIVE_SHARE:
        yield (
            f"{scan.dwi}: {(inside < 0).mean():.1%} of the brain's values are negative; magnitude "
            "images have none: export them again"
        )
    # At less, a drift of the scanner may outweigh what diffusion takes.
    weighted, unweighted = bvals >= DARKER_FROM, bvals < B0_THRESHOLD
    if weighted.any() and unweighted.any():
        means = inside.mean(axis=0)
        brightest = means[weighted].max()
        if brightest >= means[unweighted].min():
            yield (
                f"{scan.bval}: a volume at b={bvals[weighted][means[weighted].argmax()]:g} is as "
                "bright as one at b=0; are the volumes in the table's order?"
            )


def _empty_slices(dwi: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Slices (z, volume) in which the brain is all zero."""
    filled = np.einsum("xyzv,xyz->zv", np.abs(dwi), brain) > 0
    return np.argwhere(~filled & brain.any(axis=(0, 1))[:, None])
