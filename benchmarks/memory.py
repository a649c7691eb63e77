"""Memory of all volumes of a run, which lie on the device that trains.

    python benchmarks/memory.py [--gpus 1] [--subjects 10]

By default the run is the paper's: ten subjects and the embedded run's targets. Each source image is
a whole field of view of 230 x 230 x 144 mm at 2.4 mm, our guess. On a GPU, the last row is the most
that a training step on all targets takes, volumes included.
"""

import argparse

import torch
from common import (
    CHANNELS,
    fused_adam,
    make_model,
    plan_of_all_methods,
    print_machine,
    print_row,
    training_cases,
)

from harmonization.learning.devices import choose_device
from harmonization.learning.lattice import Lattice
from harmonization.learning.patches import PatchData
from harmonization.learning.training import batches, training_step
from harmonization.plan.plan import Plan

IMAGE = (96, 96, 60)  # voxels of the source
SUBJECTS = 10
BATCH = 12
GB = 1e9


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--gpus", type=int, default=0, help="0 computes on the CPU")
    options.add_argument("--subjects", type=int, default=SUBJECTS)
    args = options.parse_args()
    device = choose_device(args.gpus)
    print_machine(device, "float32")
    print_memory(plan_of_all_methods(), device, args.subjects)


def print_memory(plan: Plan, device: str, subjects: int) -> None:
    """Print the size of all volumes by platform, and what a training takes with them on a GPU."""
    planned = volumes(plan.scales, subjects, "meta")
    sizes = {
        f"source, {subjects} subjects": planned.source.nbytes,
        **{
            f"{target}, r={r}": planned.targets[target].nbytes + planned.masks[target].nbytes
            for target, r in plan.scales.items()
        },
    }
    needed = sum(sizes.values())
    print_row("images and masks", "GB")
    for name, size in (sizes | {"all": needed}).items():
        print_row(name, f"{size / GB:.2f}")
    if device == "cpu":
        print_row("peak of a training step", "needs a GPU")
        return
    free, _ = torch.cuda.mem_get_info()
    print_row("free on the GPU", f"{free / GB:.2f}")
    if needed < free:
        print_row("peak of a training step", f"{peak_of_step(plan, device, subjects) / GB:.2f}")
    else:
        print_row("peak of a training step", "does not fit")


def peak_of_step(plan: Plan, device: str, subjects: int) -> int:
    """Most bytes on the GPU while a network of all targets takes a step on all volumes."""
    torch.cuda.reset_peak_memory_stats()
    case = next(c for c in training_cases(plan) if plan.methods[c.key.method].fits == "all")
    network = make_model(plan, case, device).network
    data = volumes(plan.scales, subjects, device)
    chosen = next(batches(len(data), BATCH, seed=0))
    training_step(network, data, chosen, fused_adam(network), step=0)
    return torch.cuda.max_memory_allocated()


def volumes(scales: dict[str, int], subjects: int, device: str) -> PatchData:
    """Volumes of zeros with every core in the masks; they take no memory on the device "meta"."""
    lattice = Lattice()
    counts = lattice.shape(IMAGE)

    def filled(value: float, r: int, channels: int, margin: int = 0) -> torch.Tensor:
        edges = [n * lattice.core * r + margin for n in counts]
        return torch.full((subjects, *edges, channels), value, device=device)

    return PatchData(
        source=filled(0.0, 1, CHANNELS, lattice.window - lattice.core),
        targets={target: filled(0.0, r, CHANNELS) for target, r in scales.items()},
        masks={target: filled(1.0, r, 1) for target, r in scales.items()},
        scales=scales,
        patches=torch.cartesian_prod(*map(torch.arange, (subjects, *counts))).to(device),
        lattice=lattice,
    )


if __name__ == "__main__":
    main()
