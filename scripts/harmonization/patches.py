"""Patches as tensors: cut out of whole volumes on their own device."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harmonization.coefficients import normalise
from harmonization.files import InputError, read_json, sha256
from harmonization.images import read_image
from harmonization.lattice import Lattice, pad_source, pad_target


def gather(volumes: Tensor, patches: Tensor, stride: int, size: int) -> Tensor:
    """Cut patches out of volumes on their own device, without a loop.

    Parameters
    ----------
    volumes : Tensor, shape (subjects, x, y, z, c)
    patches : Tensor of int64, shape (n, 4)
        Subject and core (i, j, k) of each patch.
    stride : int
        Voxels from one core to the next.
    size : int
        Edge of the patch, voxels.

    Returns
    -------
    Tensor, shape (n, c, size, size, size)
        In memory format ``channels_last_3d``, for the channel is the last axis of `volumes`.
    """
    _, x, y, z, channels = volumes.shape
    subject, corner = patches[:, 0], patches[:, 1:] * stride
    start = ((subject * x + corner[:, 0]) * y + corner[:, 1]) * z + corner[:, 2]
    edge = torch.arange(size, device=volumes.device)
    offset = (edge[:, None, None] * y + edge[:, None]) * z + edge
    rows = (start[:, None] + offset.ravel()).ravel()
    cut = volumes.reshape(-1, channels)[rows]
    return cut.reshape(-1, size, size, size, channels).permute(0, 4, 1, 2, 3)


def patch_mse(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean-squared error of each patch over its voxels in the mask and all coefficients.

    Parameters
    ----------
    prediction, target : Tensor, shape (n, c, d, d, d)
    mask : Tensor, shape (n, 1, d, d, d)

    Returns
    -------
    Tensor, shape (n,)
    """
    error = ((prediction - target) ** 2).mean(dim=1, keepdim=True) * mask
    return error.flatten(1).sum(dim=1) / mask.flatten(1).sum(dim=1)


@dataclass
class PatchData:
    """All patches of some subjects: whole volumes on one device, and indices into them.

    Parameters
    ----------
    source : Tensor, shape (subjects, x, y, z, c)
        Normalised and padded.
    targets, masks : dict of str to Tensor
        Of each target platform, (subjects, x, y, z, c) and (subjects, x, y, z, 1).
    scales : dict of str to int
        Target voxels along each edge of a source voxel.
    patches : Tensor of int64, shape (n, 4)
        Subject and core of each patch that counts on every target.
    lattice : Lattice
    """

    source: Tensor
    targets: dict[str, Tensor]
    masks: dict[str, Tensor]
    scales: dict[str, int]
    patches: Tensor
    lattice: Lattice

    def __len__(self) -> int:
        return len(self.patches)

    def batch(self, chosen: Tensor) -> tuple[Tensor, dict[str, tuple[Tensor, Tensor]]]:
        """Windows (n, c, 11, 11, 11) of the `chosen` patches; targets and masks by platform."""
        patches, core = self.patches[chosen.to(self.patches.device)], self.lattice.core
        windows = gather(self.source, patches, core, self.lattice.window)
        cores = {}
        for platform, r in self.scales.items():
            cores[platform] = tuple(
                gather(volumes[platform], patches, core * r, core * r)
                for volumes in (self.targets, self.masks)
            )
        return windows, cores


def stack_padded(images: list[np.ndarray], device: str) -> Tensor:
    """Stack images (x, y, z, c) of different sizes into (n, x, y, z, c), filling with zeros."""
    shape = np.max([i.shape for i in images], axis=0)
    stacked = np.zeros((len(images), *shape), dtype=np.float32)
    for place, image in zip(stacked, images, strict=True):
        x, y, z = image.shape[:3]
        place[:x, :y, :z] = image
    return torch.from_numpy(stacked).to(device)


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

    def normalised(platform: str) -> list[np.ndarray]:
        statistics = manifest["normalisation"][platform]
        return [normalise(image, statistics) for image in images("sh", platform)]

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
            [pad_source(image, lattice) for image in normalised(manifest["source"])], device
        ),
        targets={
            t: stack_padded([pad_target(i, lattice, scales[t]) for i in normalised(t)], device)
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
