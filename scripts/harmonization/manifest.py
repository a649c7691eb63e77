"""The manifest of a fold: what a method may learn from, and nothing of the test subject."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from harmonization.files import InputError, sha256
from harmonization.images import read_image
from harmonization.lattice import Lattice


def make_manifest(
    folder: Path,
    parts: dict[str, list[str]],
    images: dict[str, dict[str, dict[str, Path]]],
    source: str,
    scales: dict[str, int],
    lattice: Lattice,
    conventions: dict[str, Any],
) -> dict[str, Any]:
    """Describe a fold.

    Parameters
    ----------
    folder : Path
        Where the manifest will lie; file names in it are relative to this folder.
    parts : dict
        Subjects of ``train``, ``validation`` and ``test``.
    images : dict
        By subject of train and validation and by platform: paths of ``sh`` and ``mask``.
    source : str
        Platform that is the input.
    scales : dict of str to int
        r of each target platform.
    lattice : Lattice
    conventions : dict
        How the spherical harmonics were made.

    Returns
    -------
    dict
        Ready for JSON. The normalisation is that of the training subjects' brains.
    """
    files = {
        subject: {
            platform: {
                role: {"path": os.path.relpath(path, folder), "sha256": sha256(path)}
                for role, path in roles.items()
            }
            for platform, roles in images[subject].items()
        }
        for subject in parts["train"] + parts["validation"]
    }
    return {
        **parts,
        "source": source,
        "scales": scales,
        "lattice": {"core": lattice.core, "minimum_inside": lattice.minimum_inside},
        "spherical_harmonics": conventions,
        "normalisation": {
            platform: normalisation([images[s][platform] for s in parts["train"]])
            for platform in [source, *scales]
        },
        "files": files,
    }


def normalisation(images: list[dict[str, Path]]) -> dict[str, list[float]]:
    """Mean and standard deviation of every coefficient over the brains in `images`.

    Raises
    ------
    InputError
        If a coefficient is constant, so that it cannot be normalised.
    """
    voxels = []
    for roles in images:
        coefficients, _ = read_image(roles["sh"])
        mask, _ = read_image(roles["mask"])
        voxels.append(coefficients[mask > 0])
    values = np.concatenate(voxels)
    mean, std = values.mean(axis=0, dtype=float), values.std(axis=0, dtype=float)
    if not (std > 0).all():
        channel = int(np.argmin(std))
        raise InputError(
            f"{images[0]['sh']}: coefficient {channel} is constant over the training subjects; "
            "look at the scans and the shell"
        )
    return {"mean": mean.tolist(), "std": std.tolist()}
