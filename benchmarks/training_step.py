"""Speed of a training step of every network: patches per second, and the ratio to ESPCN.

    python benchmarks/training_step.py [--gpus 1] [--precision bfloat16]

Compare ratios within one run: absolute times on a shared machine are noise. On a GPU, it first
checks that a step gives the same loss as on the CPU.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from harmonization.learning.devices import choose_device, choose_precision
from harmonization.learning.lattice import Lattice
from harmonization.learning.models import NetworkModel
from harmonization.learning.network import Network, Task
from harmonization.learning.patches import PatchData
from harmonization.learning.training import freeze, training_step
from harmonization.networks.diqt import Diqt
from harmonization.networks.espcn import Espcn
from harmonization.networks.hard_sharing import HardSharing
from harmonization.networks.multi_stage import MultiStage

CHANNELS, CORES = 28, 3
SCALES = {"prisma_st": 1, "connectom_st": 1, "connectom_sa": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpus", type=int, default=0, help="0 computes on the CPU")
    parser.add_argument("--batch", type=int, default=4, help="patches in a step")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each network")
    args = parser.parse_args()
    device = choose_device(args.gpus)
    precision = choose_precision(args.precision, device)
    if device == "cuda":
        difference = loss_difference(args.batch)
        print(f"loss of a step: GPU and CPU differ by {difference:.1e}, relatively")
        if difference > 1e-3:
            sys.exit("error: the GPU gives another loss; do not trust trainings on it")

    where = torch.cuda.get_device_name() if device == "cuda" else "CPU, one thread"
    print(f"{where}; {precision}; batch {args.batch}; torch {torch.__version__}")
    data = random_data(device)
    reference = None
    for name, (make, frozen) in NETWORKS.items():
        torch.manual_seed(0)
        network = NetworkModel(make(), device).network
        freeze(network, frozen)
        speed = patches_per_second(network, data, args.batch, precision, args.seconds)
        reference = reference or speed
        print(f"{name:34} {speed:9.0f} patches/s  {speed / reference:6.2f}", flush=True)


def espcn(target: str) -> Network:
    return Espcn(Task(CHANNELS, {target: SCALES[target]}, target, 0))


def msp() -> Network:
    singles = {target: espcn(target) for target in SCALES}
    task = Task(CHANNELS, SCALES, "prisma_st", 0)
    return MultiStage(task, singles, width=100, first_stage_weight=1.0)


def diqt() -> Network:
    return Diqt(Task(CHANNELS, {"prisma_st": 1}, "prisma_st", 0), blocks=4)


NETWORKS: dict[str, tuple[Callable[[], Network], list[str]]] = {
    "espcn, r=1": (lambda: espcn("prisma_st"), []),
    "espcn, r=2": (lambda: espcn("connectom_sa"), []),
    "diqt_rn4, r=1": (diqt, []),
    "mtl_hard": (lambda: HardSharing(Task(CHANNELS, SCALES, None, 0)), []),
    "msp_espcn, first stage frozen, r=1": (msp, ["first_stage"]),
    "msp_espcn, in unison, r=1": (msp, []),
}


def random_data(device: str) -> PatchData:
    """Patches of noise; a step takes as long as on images."""
    generator = torch.Generator().manual_seed(0)
    lattice = Lattice()
    edge = CORES * lattice.core

    def volumes(size: int, channels: int) -> torch.Tensor:
        return torch.randn(1, size, size, size, channels, generator=generator).to(device)

    cores = torch.cartesian_prod(torch.arange(1), *[torch.arange(CORES)] * 3)
    return PatchData(
        source=volumes(edge + lattice.window - lattice.core, CHANNELS),
        targets={p: volumes(edge * r, CHANNELS) for p, r in SCALES.items()},
        masks={p: torch.ones_like(volumes(edge * r, 1)) for p, r in SCALES.items()},
        scales=SCALES,
        patches=cores.to(device),
        lattice=lattice,
    )


def patches_per_second(
    network: Network, data: PatchData, batch: int, precision: torch.dtype, seconds: float
) -> float:
    """Take steps for so many seconds after a warm-up; return their patches per second."""
    adam = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], fused=True)
    chosen = torch.arange(batch)
    for step in range(3):
        training_step(network, data, chosen, adam, step, precision)
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        # A step reads the loss, so the GPU has finished when it returns.
        training_step(network, data, chosen, adam, steps, precision)
        steps += 1
    return steps * batch / (time.perf_counter() - started)


def loss_difference(batch: int) -> float:
    """Relative difference between the losses after one step on the GPU and on the CPU."""
    losses = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        network = NetworkModel(msp(), device).network
        adam = torch.optim.Adam(network.parameters(), fused=True)
        data, chosen = random_data(device), torch.arange(batch)
        training_step(network, data, chosen, adam, 0)
        losses.append(training_step(network, data, chosen, adam, 1))
    return abs(losses[1] / losses[0] - 1)


if __name__ == "__main__":
    main()
