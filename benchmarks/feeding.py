"""Speed of cutting patches: ours against a torch DataLoader, TorchIO and MONAI.

    python benchmarks/feeding.py

All give batches of windows (11^3 voxels, 28 coefficients), and of the cores (7^3) and masks of one
target, from the same volumes in memory. Ours keep the channels last, as the networks want them; the
others take them and give them first. Ours and the DataLoader draw patches at random; TorchIO
shuffles those of a grid, and MONAI visits its grid in order. Nothing is augmented.
"""

import functools
import importlib.util
import itertools
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from common import noise, parser, print_machine, print_row, rates, ratio
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from harmonization.learning.devices import choose_device
from harmonization.learning.lattice import BORDER
from harmonization.learning.patches import PatchData
from harmonization.learning.training import batches

TARGET = "target"
MISSING = "not installed: pip install -r benchmarks/requirements.txt"

Batch = tuple[Tensor, Tensor, Tensor]  # windows, cores of the target, masks


def main() -> None:
    options = parser(__doc__, seconds=5.0)
    options.add_argument("--batch", type=int, default=4, help="patches in a batch")
    options.add_argument(
        "--cores", type=int, default=9, help="edge of the volumes, cores of 7 voxels"
    )
    args = options.parse_args()
    device = choose_device(0)
    print_machine(device, f"float32, batches of {args.batch}")
    data = noise({TARGET: 1}, cores=args.cores)
    feeders: dict[str, Iterator[Batch]] = {
        name: feed(data, args.batch)
        for name, (feed, library) in FEEDERS.items()
        if importlib.util.find_spec(library)
    }
    works = {name: lambda f=feeder: len(next(f)[0]) for name, feeder in feeders.items()}
    found = rates(works, device, args.seconds)
    print_row("feeder", "patches/s", "of ours")
    for name in FEEDERS:
        if name in found:
            relative = ratio(found[name], found[OURS])
            print_row(name, f"{statistics.median(found[name]):.0f}", f"{relative:.2f}")
        else:
            print_row(name, MISSING)


def ours(data: PatchData, batch: int) -> Iterator[Batch]:
    """Index the volumes once for each batch, as the project trains."""
    for chosen in batches(len(data), batch, seed=0):
        windows, cores = data.batch(chosen)
        yield windows, *cores[TARGET]


class Patches(Dataset):
    """Patches one by one, as a torch data set."""

    def __init__(self, data: PatchData) -> None:
        self.volumes = channels_first(data)
        self.corners = (data.patches[:, 1:] * data.lattice.core).tolist()
        self.window, self.core = data.lattice.window, data.lattice.core

    def __len__(self) -> int:
        return len(self.corners)

    def __getitem__(self, index: int) -> Batch:
        corner = self.corners[index]
        source, target, mask = self.volumes.values()
        window = (slice(None), *(slice(x, x + self.window) for x in corner))
        core = (slice(None), *(slice(x + BORDER, x + BORDER + self.core) for x in corner))
        return source[window], target[core], mask[core]


def data_loader(data: PatchData, batch: int, workers: int = 0) -> Iterator[Batch]:
    """Cut each patch by itself and stack them, perhaps in other processes."""
    options = {"num_workers": workers, "persistent_workers": workers > 0}
    return endless(DataLoader(Patches(data), batch, shuffle=True, drop_last=True, **options))


def torchio_queue(data: PatchData, batch: int) -> Iterator[Batch]:
    """Fill TorchIO's queue with all patches of a grid, and shuffle it."""
    import torchio

    images = {n: torchio.ScalarImage(tensor=v) for n, v in channels_first(data).items()}
    subject = torchio.Subject(images)
    sampler = torchio.GridSampler(subject, data.lattice.window, 2 * BORDER)
    queue = torchio.Queue(torchio.SubjectsDataset([subject]), len(sampler), len(sampler), sampler)
    loader = torchio.SubjectsLoader(queue, batch_size=batch, drop_last=True)
    for patches in endless(loader):
        yield in_parts({name: patches[name][torchio.DATA] for name in images})


def monai_grid(data: PatchData, batch: int) -> Iterator[Batch]:
    """Iterate over the patches of a grid by MONAI's GridPatchDataset."""
    from monai.data import DataLoader as Loader
    from monai.data import GridPatchDataset, iter_patch

    size, overlap = (0, *[data.lattice.window] * 3), 2 * BORDER / data.lattice.window

    def patches(volumes: dict[str, Tensor]) -> Iterator[tuple[dict[str, Tensor]]]:
        cuts = (
            iter_patch(v, size, overlap=overlap, copy_back=False, mode=None)
            for v in volumes.values()
        )
        for cut in zip(*cuts, strict=True):
            yield ({name: patch for name, (patch, _) in zip(volumes, cut, strict=True)},)

    grid = GridPatchDataset([channels_first(data)], patches, with_coordinates=False)
    for batch_of_patches in endless(Loader(grid, batch_size=batch, drop_last=True)):
        yield in_parts(batch_of_patches)


def channels_first(data: PatchData) -> dict[str, Tensor]:
    """Volumes (c, x, y, z) on the grid of the padded source, as other libraries want them."""
    border = (0, 0, *[BORDER] * 6)
    inner = {"target": data.targets[TARGET], "mask": data.masks[TARGET]}
    padded = {n: torch.nn.functional.pad(v, border) for n, v in inner.items()}
    volumes = {"source": data.source, **padded}
    return {n: v[0].permute(3, 0, 1, 2).contiguous() for n, v in volumes.items()}


def in_parts(patches: dict[str, Tensor]) -> Batch:
    """Windows, and the cores of target and mask, of patches that all have a window's size."""
    inner = (..., *[slice(BORDER, -BORDER)] * 3)
    return patches["source"], patches["target"][inner], patches["mask"][inner]


def endless(loader: DataLoader) -> Iterator[Any]:
    """Go through a loader again and again."""
    return itertools.chain.from_iterable(itertools.repeat(loader))


OURS = "PatchData.batch"
# Each with the library that it needs.
FEEDERS: dict[str, tuple[Callable[[PatchData, int], Iterator[Batch]], str]] = {
    OURS: (ours, "torch"),
    "DataLoader": (data_loader, "torch"),
    "DataLoader, 2 workers": (functools.partial(data_loader, workers=2), "torch"),
    "TorchIO Queue of a GridSampler": (torchio_queue, "torchio"),
    "MONAI GridPatchDataset": (monai_grid, "monai"),
}

if __name__ == "__main__":
    main()
