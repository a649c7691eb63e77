"""Scans in the released tree of the cross-scanner database (Tax 2019; Ning 2020).

``<subject>/<scanner>/<protocol>/{dwi.nii.gz, dwi.bval, dwi.bvec, dwi.TE, dwi.TR, mask.nii.gz}``,
where the names of scanners and protocols may be in upper or lower case. The Snakefile loads this
module, so it imports nothing heavy.
"""

from pathlib import Path
from typing import Any

from harmonization.files import InputError

TABLES = {"bval": ".bval", "bvec": ".bvec", "echo_times": ".TE", "repetition_times": ".TR"}


def released_scan(root: Path, subject: str, name: str, platform: dict[str, Any]) -> dict[str, str]:
    """Files of one scan by role: ``dwi``, ``mask`` and those of `TABLES`.

    Parameters
    ----------
    root : Path
        Root of the tree.
    subject : str
    name : str
        Name of the platform, for messages.
    platform : dict
        Its ``session`` is the scanner, its ``acquisition`` the protocol.

    Raises
    ------
    InputError
        If the scan or one of its files is missing.
    """
    folder = root / subject
    for part in (platform["session"], platform["acquisition"]):
        folders = (path for path in sorted(folder.iterdir()) if path.is_dir())
        found = [path for path in folders if path.name.lower() == part.lower()]
        if not found:
            raise InputError(
                f"{folder}/{part}: no such folder, platform {name} of subject {subject} is "
                "missing; add it or leave the subject out (dataset.subjects)"
            )
        folder = found[0]
    files = {"dwi": _image(folder, "dwi"), "mask": _image(folder, "mask")}
    for role, end in TABLES.items():
        path = folder / f"dwi{end}"
        if not path.exists():
            raise InputError(f"{path}: no such file; copy it again")
        files[role] = str(path)
    return files


def _image(folder: Path, name: str) -> str:
    candidates = [folder / f"{name}{end}" for end in (".nii.gz", ".nii")]
    found = [path for path in candidates if path.exists()]
    if len(found) != 1:
        raise InputError(
            f"{candidates[0]}: {'no such file, nor .nii; copy it again' if not found else ''}"
            f"{'.nii lies beside it; keep one' if found else ''}"
        )
    return str(found[0])
