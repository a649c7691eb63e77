"""Fitted models on disk, and their application to a whole image."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from harmonization.coefficients import normalise, raw
from harmonization.files import InputError, read_json, whole_file, write_json
from harmonization.lattice import Lattice, pad_source
from harmonization.networks import Network, build
from harmonization.patches import gather

BATCH = 32


def save_model(folder: Path, network: Network, card: dict[str, Any]) -> None:
    """Write ``weights.safetensors`` and ``card.json``."""
    weights = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
    with whole_file(folder / "weights.safetensors") as temporary:
        save_file(weights, temporary)
    write_json(folder / "card.json", card)


def load_model(folder: Path, device: str = "cpu") -> tuple[Network, dict[str, Any]]:
    """Read a model.

    Returns
    -------
    network : Network
        In evaluation mode.
    card : dict

    Raises
    ------
    InputError
        If the weights are damaged or do not fit the card.
    """
    card = read_json(folder / "card.json")
    network = build(card["specification"])
    path = folder / "weights.safetensors"
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise InputError(
            f"{path}: does not fit its card ({error}); train this model anew"
        ) from None
    return to_device(network, device).eval(), card


def to_device(network: Network, device: str) -> Network:
    """Move a network; channels come last in memory, as `gather` delivers them."""
    return network.to(device).to(memory_format=torch.channels_last_3d)


def choose_device(gpus: int) -> str:
    """The GPU, if this job was given one and there is one; else the CPU.

    A job on the CPU uses one thread: sums are the same whatever else runs, and jobs side by side
    use the machine better than threads do. On a GPU, algorithms that differ from run to run are
    refused.
    """
    torch.set_num_threads(1)
    if not gpus or not torch.cuda.is_available():
        return "cpu"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic so
    torch.use_deterministic_algorithms(True)
    return "cuda"


def choose_precision(wanted: str, device: str) -> torch.dtype:
    """Type to train in: `wanted`, or float32 where bfloat16 would be slow."""
    if device == "cuda":
        quick = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        processor = torch.cpu.get_capabilities()
        quick = processor.get("avx512_bf16", False) or processor.get("amx_bf16", False)
    return torch.bfloat16 if wanted == "bfloat16" and quick else torch.float32


def versions() -> dict[str, str]:
    """Versions of what the numbers of a model depend on."""
    packages = ("torch", "numpy", "dipy", "nibabel")
    return {"python": platform.python_version()} | {
        p: importlib.metadata.version(p) for p in packages
    }


@torch.no_grad()
def predict(
    network: Network,
    card: dict[str, Any],
    source: np.ndarray,
    mask: np.ndarray,
    device: str = "cpu",
) -> dict[str, np.ndarray]:
    """Apply a network to a whole source image, core by core.

    Parameters
    ----------
    network, card
        As `load_model` gives them.
    source : ndarray, shape (x, y, z, c)
        Raw coefficients.
    mask : ndarray, shape (x, y, z)
        Brain of the source.
    device : str

    Returns
    -------
    dict of str to ndarray, shape (x r, y r, z r, c)
        By platform, raw coefficients; 0 outside the mask.
    """
    lattice, statistics = Lattice(**card["lattice"]), card["normalisation"]
    padded = pad_source(normalise(source, statistics["input"]), lattice)
    volumes = torch.from_numpy(padded).to(device)[None]
    cores = np.argwhere(lattice.touched(mask))
    patches = torch.from_numpy(np.insert(cores, 0, 0, axis=1)).to(device)
    images: dict[str, np.ndarray] = {}
    for some in patches.split(BATCH):
        windows = gather(volumes, some, lattice.core, lattice.window)
        for target, prediction in network(windows).items():
            r = card["specification"]["scales"][target]
            edge = lattice.core * r
            if target not in images:
                shape = [n * edge for n in lattice.shape(source.shape)]
                images[target] = np.zeros((*shape, source.shape[-1]), dtype=np.float32)
            for core, values in zip(some[:, 1:] * edge, prediction.cpu().numpy(), strict=True):
                x, y, z = core.tolist()
                images[target][x : x + edge, y : y + edge, z : z + edge] = values.transpose(
                    1, 2, 3, 0
                )
    for target, image in images.items():
        r = card["specification"]["scales"][target]
        fine_mask = np.kron(mask > 0, np.ones((r, r, r), dtype=bool))
        x, y, z = fine_mask.shape
        image = raw(image[:x, :y, :z], statistics["outputs"][target])
        images[target] = np.where(fine_mask[..., None], image, np.float32(0))
    return images
