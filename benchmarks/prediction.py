"""Prediction of a whole brain by every network: time, growth with the brain, and memory.

    python benchmarks/prediction.py [--gpus 1] [--methods espcn msp_espcn]

The brain is an ellipsoid of 140 x 170 x 130 mm at 2.4 mm, filled with noise. Each network predicts
it, and one of half the volume, in a process of its own with one thread, as the command `predict`
does. Columns:

seconds    for the whole brain; the goal is less than 60
voxels/s   voxels of the target in the brain
growth     exponent of the time's growth with the volume: 1 is in proportion
peak MB    largest memory of the process, torch and the image itself included
of all     for a network that predicts all targets: time of this target alone, relative to all
"""

import math
import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import torch
from common import (
    CHANNELS,
    Case,
    add_methods,
    cases_of,
    make_model,
    network_cases,
    noise,
    parser,
    plan_of_all_methods,
    print_machine,
    print_row,
    rates,
    ratio,
    specification,
)

from harmonization.learning.devices import choose_device
from harmonization.learning.lattice import Lattice
from harmonization.learning.models import Card, NetworkModel
from harmonization.plan.plan import Plan

BRAIN = (140.0, 170.0, 130.0)  # mm
VOXEL = 2.4  # mm
GOAL = 60.0  # seconds


@dataclass(frozen=True)
class Prediction:
    """Prediction of a whole brain; see the module's docstring."""

    seconds: float
    voxels: int
    growth: float
    peak: float
    of_all: float | None


def main() -> None:
    cases = network_cases(plan_of_all_methods())
    options = parser(__doc__, seconds=2.0)
    add_methods(options, cases)
    options.add_argument("--size", type=float, default=1.0, help="of the brain's edges, of normal")
    options.add_argument("--gpus", type=int, default=0, help="0 computes on the CPU")
    args = options.parse_args()
    device = choose_device(args.gpus)
    print_machine(device, "float32")
    print_predictions(cases_of(args.methods, cases), device, args.size, args.seconds)


def print_predictions(cases: list[Case], device: str, size: float, seconds: float) -> None:
    """Measure each network, and print its row."""
    print_row("network", "seconds", "voxels/s", "growth", "peak MB", "of all")
    slow = []
    # One task for each process: its peak of memory is that of one network.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for case in cases:
            found = pool.submit(measure, case, device, size, seconds).result()
            print_row(
                case.name,
                f"{found.seconds:.1f}",
                f"{found.voxels / found.seconds:.0f}",
                f"{found.growth:.2f}",
                f"{found.peak:.0f}",
                "" if found.of_all is None else f"{found.of_all:.2f}",
            )
            if found.seconds > GOAL:
                slow.append(case.name)
    print(f"a brain in {GOAL:.0f} s: {'no: ' + '; '.join(slow) if slow else 'all'}")


def measure(case: Case, gpu: str, size: float, seconds: float) -> Prediction:
    """Predict half a brain and a whole one."""
    device = choose_device(int(gpu == "cuda"))
    plan = plan_of_all_methods()
    model = make_model(plan, case, device)
    model.network.eval()
    card = plain_card(plan, case)
    times, voxels = [], []
    for edge in (size / 4, size * 0.5 ** (1 / 3), size):  # the first is a warm-up
        source, mask = brain(edge)
        started = time.perf_counter()
        model.apply(source, mask, card, case.target)
        times.append(time.perf_counter() - started)
        voxels.append(int(mask.sum()) * plan.scales[case.target] ** 3)
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    return Prediction(
        seconds=times[-1],
        voxels=voxels[-1],
        growth=math.log(times[-1] / times[-2]) / math.log(voxels[-1] / voxels[-2]),
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
        of_all=one_of_all(model, case.target, device, seconds),
    )


def brain(size: float) -> tuple[np.ndarray, np.ndarray]:
    """Source image of noise, (x, y, z, c), and its mask, (x, y, z): an ellipsoid with a margin.

    Parameters
    ----------
    size : float
        Of the brain's edges, relative to `BRAIN`.
    """
    radii = np.array(BRAIN) * size / VOXEL / 2
    shape = np.ceil(2 * radii).astype(int) + 4
    centred = [np.arange(n) - (n - 1) / 2 for n in shape]
    grid = np.meshgrid(*centred, indexing="ij")
    mask = sum((axis / radius) ** 2 for axis, radius in zip(grid, radii, strict=True)) <= 1
    source = np.random.default_rng(0).standard_normal((*shape, CHANNELS), dtype=np.float32)
    return source, mask.astype(np.uint8)


def plain_card(plan: Plan, case: Case) -> Card:
    """Card of an unfitted model whose images need no normalisation."""
    statistics = {"mean": [0.0] * CHANNELS, "std": [1.0] * CHANNELS}
    return Card(
        method=case.key.method,
        target=case.key.target,
        fold=0,
        seed=0,
        specification=specification(plan, case.key),
        settings={},
        parameters=0,
        path_parameters=0,
        trainings={},
        outcome={},
        source=plan.source,
        input={"voxel_size": [VOXEL] * 3, "axes": "RAS", "denoised": False, "noise_free": False},
        lattice=asdict(Lattice()),
        spherical_harmonics={},
        normalisation={"input": statistics, "outputs": {case.target: statistics}},
        manifest_sha256="",
        versions={},
    )


@torch.no_grad()
def one_of_all(model: NetworkModel, target: str, device: str, seconds: float) -> float | None:
    """Time of predicting one target, relative to all; None if the network has only one."""
    network = model.network
    if network.task.target is not None:
        return None
    windows, _ = noise(network.task.scales, device, cores=3).batch(torch.arange(27))

    def alone() -> float:
        network.predict(windows, target)
        return 1

    def together() -> float:
        network(windows)
        return 1

    found = rates({"alone": alone, "together": together}, device, seconds)
    return ratio(found["together"], found["alone"])


if __name__ == "__main__":
    main()
