"""The manifest of a fold: what a method may learn from, and nothing about the test subject."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from harmonization.files import InputError, read_json, sha256
from harmonization.images.grids import layout, other_layouts
from harmonization.images.nifti import read_image, read_mask
from harmonization.learning.lattice import Lattice
from harmonization.seeds import generator_of


class Fold:
    """Images of a fold's training and validation subjects, as its manifest lists them.

    Parameters
    ----------
    path : Path
        The manifest.

    Raises
    ------
    InputError
        If the test subject is also in another part.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest = read_json(path)
        self.source: str = self._manifest["source"]
        self.input: dict[str, Any] = self._manifest["input"]
        self.scales: dict[str, int] = self._manifest["scales"]
        self.lattice = Lattice(**self._manifest["lattice"])
        self.normalisation: dict[str, Any] = self._manifest["normalisation"]
        self.spherical_harmonics: dict[str, Any] = self._manifest["spherical_harmonics"]
        for part in ("train", "validation"):
            if leaked := set(self.subjects(part)) & set(self._manifest["test"]):
                raise InputError(
                    f"{path}: test subject {min(leaked)} is also in {part}; delete the manifest "
                    "and run again"
                )

    @property
    def channels(self) -> int:
        """Number of coefficients."""
        return len(self.normalisation[self.source]["mean"])

    def subjects(self, part: str) -> list[str]:
        """Subjects of ``train`` or ``validation``."""
        return self._manifest[part]

    def patches(self, subject: str) -> np.ndarray:
        """A subject's cores that count, (n, 3); they are the same for every method."""
        return np.array(self._manifest["patches"][subject], dtype=np.int64).reshape(-1, 3)

    def image(self, subject: str, platform: str) -> np.ndarray:
        """Coefficients (x, y, z, c) of a subject's scan, raw.

        Raises
        ------
        InputError
            If the file has changed since the manifest was written.
        """
        return self._read(subject, platform, "sh")

    def mask(self, subject: str, platform: str) -> np.ndarray:
        """Brain mask (x, y, z) of a subject's scan; raises like `image`."""
        return self._read(subject, platform, "mask")

    def _read(self, subject: str, platform: str, role: str) -> np.ndarray:
        entry = self._manifest["files"][subject][platform][role]
        path = self.path.parent / entry["path"]
        data, _ = read_image(path)
        if sha256(path) != entry["sha256"]:
            raise InputError(
                f"{path}: has changed since {self.path} was written; delete the manifest and run "
                "again"
            )
        return data


def make_manifest(
    folder: Path,
    parts: dict[str, list[str]],
    images: dict[str, dict[str, dict[str, Path]]],
    source: str,
    scales: dict[str, int],
    lattice: Lattice,
    conventions: dict[str, Any],
    denoised: bool = False,
    limit: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Describe a fold.

    Parameters
    ----------
    folder : Path
        Folder of the manifest; file names in the manifest are relative to it.
    parts : dict
        Subjects of ``train``, ``validation`` and ``test``.
    images : dict
        Paths of ``sh`` and ``mask``, by training or validation subject and by platform.
    source : str
        The source platform.
    scales : dict of str to int
        r of each target platform.
    lattice : Lattice
    conventions : dict
        How the source's spherical harmonics were made, and the shell of each target.
    denoised : bool
        Whether the sources were denoised after all other preprocessing.
    limit : tuple of int, optional
        Number of patches of each training subject, and of their draw, see `draw_patches`; all
        patches if there is none.

    Returns
    -------
    dict
        Ready for JSON. The normalisation comes from the training subjects' brains; ``patches`` are
        the cores that count in each training and validation subject. ``input`` is what a new scan
        must be like: its `layout`, and whether it is denoised.

    Raises
    ------
    InputError
        If sources are stored in different ways, or a training subject has too few patches.
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
    patches = {
        subject: counted_patches(
            {target: images[subject][target]["mask"] for target in scales}, scales, lattice
        )
        for subject in files
    }
    if limit:
        patches |= {s: draw_patches(patches[s], *limit, s) for s in parts["train"]}
    return {
        **parts,
        "source": source,
        "input": {**common_layout([images[s][source]["sh"] for s in files]), "denoised": denoised},
        "scales": scales,
        "lattice": {"core": lattice.core, "minimum_inside": lattice.minimum_inside},
        "spherical_harmonics": conventions,
        "normalisation": {
            platform: normalisation([images[s][platform] for s in parts["train"]])
            for platform in [source, *scales]
        },
        "patches": patches,
        "files": files,
    }


def common_layout(paths: list[Path]) -> dict[str, Any]:
    """How all of these images are stored, see `layout`; raises like `make_manifest`."""
    layouts = {str(path): layout(read_image(path)[1]) for path in paths}
    if problems := other_layouts(layouts):
        raise InputError(problems[0])
    return layouts[str(paths[0])]


def counted_patches(
    masks: dict[str, Path], scales: dict[str, int], lattice: Lattice
) -> list[list[int]]:
    """Cores of a subject that count, from its masks by target; see `Lattice.counted`.

    Raises
    ------
    InputError
        If none counts.
    """
    images = {target: read_mask(path)[0] for target, path in masks.items()}
    counted = lattice.counted(list(images.values()), [scales[target] for target in images])
    if not len(counted):
        raise InputError(
            f"{next(iter(masks.values()))}: no patch of this subject has "
            f"{lattice.minimum_inside:.0%} of its core in the brain on every target; check masks "
            "and registration"
        )
    return counted.tolist()


def draw_patches(patches: list[list[int]], number: int, draw: int, subject: str) -> list[list[int]]:
    """Some of a subject's patches at random; within a draw, fewer are always among the more.

    Raises
    ------
    InputError
        If the subject has less.
    """
    if number > len(patches):
        raise InputError(
            f"subject {subject} has {len(patches)} patches, and limited_data.patches asks for "
            f"{number}; ask for less, or for all (null)"
        )
    order = generator_of("limited data", subject, draw).permutation(len(patches))
    return [patches[place] for place in sorted(order[:number])]


def normalisation(images: list[dict[str, Path]]) -> dict[str, list[float]]:
    """Mean and standard deviation of every coefficient over the brains in `images`.

    Raises
    ------
    InputError
        If a coefficient is constant and so cannot be normalised.
    """
    voxels = []
    for roles in images:
        coefficients, _ = read_image(roles["sh"])
        mask, _ = read_mask(roles["mask"])
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
