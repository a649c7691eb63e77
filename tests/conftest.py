"""Fixtures shared by the tests."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from harmonization.lattice import Lattice
from harmonization.patches import PatchData
from harmonization.phantom.atlas import Atlas, build_atlas
from harmonization.phantom.parameters import read_parameters

ROOT = Path(__file__).parent.parent


def snakemake(
    folder: Path, *arguments: str, config: Path = ROOT / "tests/tiny.yaml"
) -> subprocess.CompletedProcess:
    """Run the workflow in `folder`, as a user would."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(config), "--cores", "2"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def atlas(tmp_path_factory):
    """The phantom's atlas as its users read it."""
    path = tmp_path_factory.mktemp("atlas") / "atlas.npz"
    build_atlas(read_parameters(ROOT / "config/travelling_heads.yaml")["bundles"]).save(path)
    return Atlas.load(path)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def make_patch_data(
    subjects: int = 1,
    cores: int = 2,
    channels: int = 3,
    scales: dict[str, int] | None = None,
    seed: int = 0,
) -> PatchData:
    """Random source and smooth function of it as target, in the layout of `read_part`."""
    scales = scales or {"a": 1, "b": 1, "c": 2}
    generator = torch.Generator().manual_seed(seed)
    n = 7 * cores
    source = torch.randn(subjects, n + 4, n + 4, n + 4, channels, generator=generator)
    inner = source[:, 2:-2, 2:-2, 2:-2]
    mean = torch.tanh(inner + inner.roll(1, dims=1))
    targets, masks = {}, {}
    for i, (platform, r) in enumerate(scales.items()):
        fine = mean.repeat_interleave(r, 1).repeat_interleave(r, 2).repeat_interleave(r, 3)
        targets[platform] = fine * (1 + 0.1 * i)
        masks[platform] = torch.ones(*fine.shape[:-1], 1)
    grid = torch.cartesian_prod(torch.arange(subjects), *[torch.arange(cores)] * 3)
    return PatchData(source, targets, masks, scales, grid, Lattice())
