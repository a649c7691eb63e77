"""Check a data set; one report lists all problems, each with its file and what to do."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from dipy.core.sphere import Sphere
from dipy.reconst.shm import real_sh_descoteaux

from harmonization.data.bids import read_gradients
from harmonization.files import InputError, read_json, sha256
from harmonization.images.coefficients import LEGACY, coefficient_orders
from harmonization.images.gradients import B0_THRESHOLD, volumes_of_shell
from harmonization.plan.scans import FoundScan, choose_subjects, find_raw_scan, find_scan
from harmonization.plan.sources import SOURCES

SMALLEST_VOXEL, LARGEST_VOXEL = 0.3, 6.0  # mm
LARGEST_CONDITION = 50.0  # of the harmonics at a shell's directions; 2 if evenly spread
NEGATIVE_SHARE = 1e-3  # of a brain's values that spline interpolation may make negative


def validate_dataset(config: dict[str, Any], root: Path) -> list[str]:
    """Check every scan that a run would use, before or after preprocessing.

    Parameters
    ----------
    config : dict
        The run's ``dataset.kind``, ``dataset.subjects``, ``platforms``, ``source``,
        ``targets``, ``spherical_harmonics``. Scans of kinds ``raw`` and ``openneuro`` are not
        preprocessed yet and need no mask.
    root : Path
        Folder of the data set.

    Returns
    -------
    list of str
        One line for each problem: the file, what is wrong with it and what to do.
    """
    problems = _problems(_check_description, root)
    try:
        subjects = choose_subjects(root, config["dataset"]["subjects"])
    except InputError as error:
        return [*problems, str(error)]
    is_raw = SOURCES[config["dataset"]["kind"]].is_raw
    find = find_raw_scan if is_raw else find_scan
    seen: dict[str, str] = {}
    for subject in subjects:
        for name in [config["source"], *config["targets"]]:
            platform = config["platforms"][name]
            try:
                scan = find(root, subject, name, platform)
            except InputError as error:
                problems.append(str(error))
                continue
            settings = config["spherical_harmonics"]
            shell = platform.get("shell", settings["shell"])
            problems += validate_scan(scan, shell, settings["order"])
            content = sha256(scan.dwi)
            if content in seen:
                problems.append(
                    f"{scan.dwi}: the same file as {seen[content]}; copy the right scan, or tell "
                    "the two platforms apart"
                )
            seen[content] = scan.dwi
    return problems


def validate_scan(scan: FoundScan, shell: float, order: int) -> list[str]:
    """Problems of one scan, see `validate_dataset`."""
    problems = _problems(_check_sidecar, scan.sidecar) if scan.sidecar else []
    images = {}
    for path, dimensions in ((scan.dwi, 4), (scan.mask, 3)):
        try:
            if path:
                images[dimensions] = _read(Path(path), dimensions)
        except InputError as error:
            problems.append(str(error))
    gradients = None
    try:
        affine = images[4][1] if 4 in images else np.eye(4)
        gradients = read_gradients(scan.bval, scan.bvec, affine)
        problems += _gradient_problems(scan, *gradients, shell, order)
    except InputError as error:
        problems.append(str(error))
    if 4 in images and 3 in images:
        problems += _mask_problems(scan, *images[4], *images[3])
    if 4 in images and gradients is not None:
        volumes, entries = images[4][0].shape[3], len(gradients[0])
        if volumes != entries:
            problems.append(
                f"{scan.bval}: {entries} b-values for the {volumes} volumes of "
                f"{Path(scan.dwi).name}; copy the table that belongs to the scan"
            )
        elif not scan.mask:
            dwi = images[4][0]
            problems += _signal_problems(scan, dwi, dwi[..., 0] > dwi[..., 0].mean(), gradients[0])
        elif 3 in images and images[3][0].shape == images[4][0].shape[:3]:
            problems += _signal_problems(scan, images[4][0], images[3][0] > 0, gradients[0])
    return problems


def _problems(check: Callable[[Any], None], of: Any) -> list[str]:
    try:
        check(of)
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


def _check_sidecar(path: str) -> None:
    sidecar = read_json(path)
    if not isinstance(sidecar, dict):
        raise InputError(f"{path}: holds no JSON object; rewrite it")
    echo_time = sidecar.get("EchoTime")
    if echo_time is None:
        return
    if not isinstance(echo_time, int | float):
        raise InputError(f"{path}: EchoTime is {json.dumps(echo_time)}, no number; correct it")
    if not 0.01 <= echo_time <= 1:
        raise InputError(f"{path}: EchoTime is {echo_time:g}; BIDS wants seconds: correct it")


def _read(path: Path, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and affine of an image that must have this number of `dimensions`."""
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty; copy it again")
    if path.suffix == ".gz":
        _check_gzip(path)
    try:
        image = nib.load(path)
    except (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError) as error:
        raise InputError(f"{path}: is no NIfTI image ({error}); convert it again") from None
    header = image.header
    kind = header.get_data_dtype()
    if kind.kind not in "iuf":
        raise InputError(f"{path}: its values are {kind}, not real numbers; convert it again")
    if len(image.shape) != dimensions:
        raise InputError(
            f"{path}: has {len(image.shape)} dimensions {image.shape}, not {dimensions}; "
            f"{'give the whole series' if dimensions == 4 else 'give one mask for all volumes'}"
        )
    _check_geometry(path, image)
    # nibabel does not keep the scale factor, and ignores an infinite one.
    with image.file_map["image"].get_prepare_fileobj() as stream:
        slope = type(header).from_fileobj(stream, check=False)["scl_slope"]
    if np.isinf(slope):
        raise InputError(f"{path}: its scale factor is {slope}; convert it again")
    try:
        data = np.asarray(image.dataobj, dtype=np.float32)
    except (OSError, ValueError) as error:
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
    sform, sform_code = image.get_sform(coded=True)
    qform, qform_code = image.get_qform(coded=True)
    if sform_code and qform_code and not np.allclose(sform, qform, atol=0.1):
        raise InputError(
            f"{path}: sform and qform place it differently, and programs disagree on which to "
            "trust; make them equal"
        )


def _gradient_problems(
    scan: FoundScan, bvals: np.ndarray, directions: np.ndarray, shell: float, order: int
) -> Iterator[str]:
    if bvals.min() < 0:
        yield f"{scan.bval}: holds a b-value of {bvals.min():g}; b is never negative: correct it"
    if 0 < bvals.max() < B0_THRESHOLD:
        yield f"{scan.bval}: its largest b-value is {bvals.max():g}; give them in s/mm2"
        return
    if not (bvals < B0_THRESHOLD).any():
        yield f"{scan.bval}: no volume with b below {B0_THRESHOLD:g}; add the b=0 volumes"
    try:
        chosen = volumes_of_shell(bvals, shell, scan.bval)
    except InputError as error:
        yield str(error)
        return
    needed = len(coefficient_orders(order))
    distinct = _distinct(directions[chosen])
    if distinct < needed:
        yield (
            f"{scan.bvec}: {distinct} distinct directions at b={shell:g}, order {order} needs "
            f"{needed}; lower spherical_harmonics.order or leave out this scan"
        )
        return
    sphere = Sphere(xyz=directions[chosen])
    condition = np.linalg.cond(
        real_sh_descoteaux(order, sphere.theta, sphere.phi, legacy=LEGACY)[0]
    )
    if condition > LARGEST_CONDITION:
        yield (
            f"{scan.bvec}: its directions at b={shell:g} leave part of the sphere out (condition "
            f"{condition:.0f}); check the table, or lower spherical_harmonics.order"
        )


def _distinct(directions: np.ndarray) -> int:
    """Number of directions; copies and opposites within 1 degree count once."""
    same = np.abs(directions @ directions.T) > np.cos(np.radians(1))
    return int((np.triu(same, 1).sum(axis=0) == 0).sum())


def _mask_problems(
    scan: FoundScan,
    dwi: np.ndarray,
    affine: np.ndarray,
    mask: np.ndarray,
    mask_affine: np.ndarray,
) -> Iterator[str]:
    if mask.shape != dwi.shape[:3]:
        yield (
            f"{scan.mask}: shape {mask.shape} differs from the scan's {dwi.shape[:3]}; "
            "resample the mask to the scan"
        )
        return
    if not np.allclose(mask_affine, affine, atol=0.01):
        yield f"{scan.mask}: its affine differs from the scan's; make them equal"
    if len(np.unique(mask)) > 2 or mask.min() < 0:
        yield f"{scan.mask}: holds more than two values; give 0 outside the brain and 1 inside"
    elif not mask.any():
        yield f"{scan.mask}: the brain mask is empty; make a new one"
    elif mask.all():
        yield f"{scan.mask}: the brain mask is full, as if everything were brain; make a new one"
    elif dwi[..., 0][mask > 0].mean() <= dwi[..., 0][mask == 0].mean():
        yield f"{scan.mask}: the scan is brighter outside it than inside; is it inverted?"


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
    weighted = bvals >= B0_THRESHOLD
    if weighted.any() and not weighted.all():
        means = inside.mean(axis=0)
        brightest = means[weighted].max()
        if brightest >= means[~weighted].min():
            yield (
                f"{scan.bval}: a volume at b={bvals[weighted][means[weighted].argmax()]:g} is as "
                "bright as one at b=0; are the volumes in the table's order?"
            )


def _empty_slices(dwi: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Slices (z, volume) in which the brain is all zero."""
    filled = np.einsum("xyzv,xyz->zv", np.abs(dwi), brain) > 0
    return np.argwhere(~filled & brain.any(axis=(0, 1))[:, None])
