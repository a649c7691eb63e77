"""The manifest of a fold: what a method may learn from, and nothing of the test subject."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harmonization.files import InputError, read_json, sha256
from harmonization.images import read_image
from harmonization.patches import Lattice, PatchData, pad_source, pad_target, stack_padded


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
        If a coefficient is constant, so that it cannot be standardised.
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


def standardise(image: np.ndarray, statistics: dict[str, list[float]]) -> np.ndarray:
    """Subtract the mean and divide by the standard deviation, coefficient by coefficient."""
    mean, std = (np.array(statistics[k], dtype=np.float32) for k in ("mean", "std"))
    return (image - mean) / std


def raw(image: np.ndarray, statistics: dict[str, list[float]]) -> np.ndarray:
    """Undo `standardise`."""
    mean, std = (np.array(statistics[k], dtype=np.float32) for k in ("mean", "std"))
    return image * std + mean


def read_part(path: Path, part: str, targets: list[str], device: str = "cpu") -> PatchData:
    """Read all patches of one part of a fold.

    Parameters
    ----------
    path : Path
        The manifest.
    part : {'train', 'validation'}
    targets : list of str
        Platforms to learn.
    device : str
        Where the volumes are kept.

    Raises
    ------
    InputError
        If a file has changed since the manifest was written, or no patch is left.
    """
    manifest = read_json(path)
    lattice, subjects = Lattice(**manifest["lattice"]), manifest[part]
    if leaked := set(subjects) & set(manifest["test"]):
        raise InputError(f"{path}: test subject {min(leaked)} is also in {part}; make it anew")
    scales = {t: manifest["scales"][t] for t in targets}

    def images(role: str, platform: str) -> list[np.ndarray]:
        return [
            _read_listed(path, manifest["files"][subject][platform][role]) for subject in subjects
        ]

    def standardised(platform: str) -> list[np.ndarray]:
        statistics = manifest["normalisation"][platform]
        return [standardise(image, statistics) for image in images("sh", platform)]

    masks = {t: images("mask", t) for t in targets}
    counted = [
        np.all([lattice.counted(masks[t][s], scales[t]) for t in targets], axis=0)
        for s in range(len(subjects))
    ]
    patches = np.concatenate(
        [np.insert(np.argwhere(cores), 0, s, axis=1) for s, cores in enumerate(counted)]
    )
    if not len(patches):
        raise InputError(
            f"{path}: no patch of the {part} subjects lies in the brain; check masks and "
            "registration"
        )
    return PatchData(
        source=stack_padded(
            [pad_source(image, lattice) for image in standardised(manifest["source"])], device
        ),
        targets={
            t: stack_padded([pad_target(i, lattice, scales[t]) for i in standardised(t)], device)
            for t in targets
        },
        masks={
            t: stack_padded(
                [pad_target(m[..., None] > 0, lattice, scales[t]) for m in masks[t]], device
            )
            for t in targets
        },
        scales=scales,
        patches=torch.from_numpy(patches).to(device),
        lattice=lattice,
    )


def _read_listed(manifest: Path, entry: dict[str, str]) -> np.ndarray:
    path = manifest.parent / entry["path"]
    data, _ = read_image(path)
    if sha256(path) != entry["sha256"]:
        raise InputError(
            f"{path}: has changed since {manifest} was written; delete the manifest and run again"
        )
    return data
