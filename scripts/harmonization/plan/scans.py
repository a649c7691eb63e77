"""Scans in a BIDS data set, found by the entities in their names and never guessed.

The Snakefile loads this module, so it imports nothing heavy.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmonization.files import InputError, read_json, unfetched

# Keys of a platform in the configuration, and the BIDS entities that they select.
ENTITIES = {
    "session": "ses",
    "acquisition": "acq",
    "direction": "dir",
    "run": "run",
    "description": "desc",
}
# The order of entities in the name of a file.
ORDER = ("ses", "acq", "ce", "rec", "dir", "run", "echo", "part", "chunk", "space", "res", "desc")
IMAGES = (".nii.gz", ".nii")
# Tools whose bvec tables refer to the voxel axes as they are, which FSL's convention reverses.
ALONG_IMAGE_AXES = ("qsiprep", "qsirecon")

QUOTED = " (YAML reads 01 as a number: put labels in quotes)"


@dataclass(frozen=True)
class FoundScan:
    """Files of one scan; a raw scan has no mask, the sidecar and the `b_table` are optional.

    The `b_table` (``.b``, as MRtrix and QSIPrep write it) holds the gradients in world axes.
    """

    dwi: str
    bval: str
    bvec: str
    mask: str | None = None
    sidecar: str | None = None
    b_table: str | None = None


def bvec_convention(declared: str, root: Path) -> str:
    """Convention of a data set's bvec tables: the declared one or, if ``auto``, its maker's.

    Parameters
    ----------
    declared : {'auto', 'fsl', 'image'}
    root : Path
        Root of the data set, whose description may name what generated it.

    Returns
    -------
    {'fsl', 'image'}
    """
    if declared != "auto":
        return declared
    try:
        makers = read_json(root / "dataset_description.json")["GeneratedBy"]
        names = " ".join(str(maker["Name"]).lower() for maker in makers)
    except (InputError, OSError, LookupError, TypeError):
        return "fsl"
    return "image" if any(tool in names for tool in ALONG_IMAGE_AXES) else "fsl"


def choose_subjects(root: Path, wanted: int | list[str], prefix: str = "sub-") -> list[str]:
    """Labels of the subjects to use: those listed in `wanted`, or the first `wanted` ones.

    Parameters
    ----------
    root : Path
        Root of the data set. Each subject has a folder in it, named `prefix` and label.
    wanted : int or list of str
    prefix : str

    Raises
    ------
    InputError
        If the folder does not exist, lacks a listed subject or holds too few subjects.
    """
    subjects = labels_of_subjects(root, prefix)
    if isinstance(wanted, int):
        if wanted > len(subjects):
            raise InputError(
                f"{root}: holds {len(subjects)} subjects, dataset.subjects asks for {wanted}"
            )
        return subjects[:wanted]
    if unknown := [subject for subject in wanted if subject not in subjects]:
        quoted = QUOTED if any(label.startswith("0") for label in subjects) else ""
        raise InputError(
            f"{root}/{prefix}{unknown[0]}: no such folder; copy it or change dataset.subjects"
            f"{quoted}"
        )
    return wanted


def labels_of_subjects(root: Path, prefix: str = "sub-") -> list[str]:
    """Labels of all subjects of a data set, sorted; see `choose_subjects`.

    Raises
    ------
    InputError
        If the folder does not exist, or holds no subject.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; change dataset.root")
    labels = (p.name.removeprefix(prefix) for p in root.glob(f"{prefix}*") if p.is_dir())
    # BIDS labels are letters of ASCII and digits only, so this skips hidden folders and the like.
    subjects = sorted(label for label in labels if label.isascii() and label.isalnum())
    if not subjects:
        raise InputError(f"{root}: no folder {prefix}<label> in it; give the data set's root")
    return subjects


def refuse_shared_scans(platforms: dict[str, Any], series: dict[str, str]) -> None:
    """Refuse two platforms with the same shell of the same scan at the same resolution.

    Parameters
    ----------
    platforms : dict
        Configuration of the platforms.
    series : dict of str to str
        Series of one subject on each platform.

    Raises
    ------
    InputError
        If two platforms have the same series, and neither crop nor shell tells them apart.
    """
    taken: dict[tuple[Any, ...], str] = {}
    for name, file in series.items():
        used = file, platforms[name].get("crop", 1), platforms[name].get("shell")
        other = taken.setdefault(used, name)
        if other != name:
            raise InputError(
                f"configuration: platforms.{name}: its scan is that of '{other}', {file}; tell "
                "them apart by session, acquisition or another entity"
            )


def find_scan(root: Path, subject: str, name: str, platform: dict[str, Any]) -> FoundScan:
    """Find the scan of a subject on a platform.

    Parameters
    ----------
    root : Path
        Root of the data set.
    subject : str
        Label of the subject.
    name : str
        Name of the platform, for messages.
    platform : dict
        Configuration of the platform: the values of `ENTITIES` that its files have, and of others
        under ``entities``. An entity that is left out may have any value, as long as only one scan
        fits.

    Raises
    ------
    InputError
        If no scan or more than one fits, or the scan lacks gradient tables or a brain mask.
    """
    scan, files = _find_series(root, subject, name, platform)
    alike = _without_description(scan)
    masks = [p for p in _with_suffix(files, "mask") if _without_description(p) == alike]
    if not masks:
        raise InputError(f"{scan}: has no brain mask (..._desc-brain_mask.nii.gz); make one")
    if len(masks) > 1:
        raise InputError(f"{masks[0]}: {masks[1].name} is a mask of the same scan; keep one")
    return _fetched(FoundScan(**_with_companions(scan), mask=str(masks[0])))


def find_raw_scan(root: Path, subject: str, name: str, platform: dict[str, Any]) -> FoundScan:
    """Find a scan that is not preprocessed yet and needs no mask; see `find_scan`."""
    scan, _ = _find_series(root, subject, name, platform)
    return _fetched(FoundScan(**_with_companions(scan)))


def raw_scan(subject: str, platform: dict[str, Any]) -> dict[str, str]:
    """Paths that a scan must have within a raw data set, by role; the files need not exist."""
    labels = [f"{entity}-{value}" for entity, value in _wanted(platform).items()]
    stem = "_".join([f"sub-{subject}", *labels])
    folder = f"sub-{subject}/ses-{platform['session']}/dwi"
    ends = {"dwi": "nii.gz", "bval": "bval", "bvec": "bvec", "sidecar": "json"}
    return {role: f"{folder}/{stem}_dwi.{end}" for role, end in ends.items()}


def _find_series(
    root: Path, subject: str, name: str, platform: dict[str, Any]
) -> tuple[Path, list[Path]]:
    """The one series that fits, and all files in the subject's ``dwi`` folders."""
    wanted = _wanted(platform)
    folder = root / f"sub-{subject}"
    # Unlike rglob, these patterns follow links to folders.
    inside = (path for pattern in ("dwi/*", "ses-*/dwi/*") for path in folder.glob(pattern))
    files = sorted(path for path in inside if path.is_file() or path.is_symlink())
    asked = " ".join(f"{entity}-{value}" for entity, value in wanted.items()) or "any entities"
    all_scans = _with_suffix(files, "dwi")
    scans = [p for p in all_scans if wanted.items() <= entities_of(p).items()]
    if not scans:
        labels = {pair for path in all_scans for pair in entities_of(path).items()}
        numbers = [
            entity for entity, value in wanted.items() if re.fullmatch("0|[1-9][0-9]*", value)
        ]
        zeros = any(entity in numbers and label.startswith("0") for entity, label in labels)
        raise InputError(
            f"{folder}: no scan on platform {name} ({asked}); add it, leave the subject out "
            f"(dataset.subjects) or change platforms.{name}{QUOTED if zeros else ''}"
        )
    if len(scans) > 1:
        raise InputError(
            f"{scans[0]}: platform {name} ({asked}) fits {scans[1].name} as well; name more "
            f"entities under platforms.{name}"
        )
    return scans[0], files


def _wanted(platform: dict[str, Any]) -> dict[str, str]:
    """Entities that a platform's files have, in the order of their names."""
    named = {ENTITIES[key]: platform[key] for key in ENTITIES if key in platform}
    named |= platform.get("entities", {})
    return dict(sorted(named.items(), key=lambda item: ORDER.index(item[0])))


def _with_companions(scan: Path) -> dict[str, str | None]:
    return {
        "dwi": str(scan),
        **{kind: _companion(scan, kind) for kind in ("bval", "bvec")},
        **optional_companions(scan),
    }


def optional_companions(scan: Path) -> dict[str, str]:
    """Files beside a series that it need not have, by role: its sidecar and its `b_table`."""
    optional = {"sidecar": ".json", "b_table": ".b"}
    beside = {role: scan.with_name(_stem(scan) + end) for role, end in optional.items()}
    return {role: str(path) for role, path in beside.items() if _present(path)}


def _present(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _fetched(scan: FoundScan) -> FoundScan:
    """Refuse a scan whose content is elsewhere."""
    for path in vars(scan).values():
        if path and unfetched(path):
            raise InputError(f"{path}: a link without content; fetch it with 'datalad get'")
    return scan


def entities_of(path: Path) -> dict[str, str]:
    """BIDS entities in the name of a file: ``ses``, ``acq`` and so on."""
    parts = (part.split("-", 1) for part in _stem(path).split("_"))
    return {part[0]: part[1] for part in parts if len(part) == 2}


def _without_description(path: Path) -> dict[str, str]:
    return {entity: value for entity, value in entities_of(path).items() if entity != "desc"}


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


def _with_suffix(files: list[Path], suffix: str) -> list[Path]:
    return [p for p in files if p.name.endswith(tuple(f"_{suffix}{end}" for end in IMAGES))]


def _companion(scan: Path, kind: str) -> str:
    """Gradient table of a scan: ``.bval`` or, from some tools, ``.bvals``."""
    candidates = [scan.with_name(f"{_stem(scan)}.{end}") for end in (kind, f"{kind}s")]
    found = [p for p in candidates if _present(p)]
    if not found:
        raise InputError(f"{candidates[0]}: no such file, nor .{kind}s; copy it beside the scan")
    if len(found) > 1:
        raise InputError(f"{found[0]}: {found[1].name} lies beside it; keep the right one")
    return str(found[0])
