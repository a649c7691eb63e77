"""What the benchmarks share: the project's networks, data of noise, timing and tables."""

import argparse
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from harmonization.learning.lattice import Lattice
from harmonization.learning.models import NetworkModel, Specification, build
from harmonization.learning.network import Network
from harmonization.learning.patches import Cores, PatchData
from harmonization.learning.training import batch_losses, freeze
from harmonization.plan.configuration import merge
from harmonization.plan.methods import method_files, read_methods
from harmonization.plan.plan import ModelKey, Plan

CHANNELS = 28
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# What is compared takes turns, so that a busy moment of the machine meets all alike.
ROUNDS = 5
SHORTEST_ROUND = 0.1  # seconds


# --- Networks


def plan_of_all_methods() -> Plan:
    """Plan of the embedded run with every method of `config/methods` but ablations.

    An ablation varies a method, and costs about what that costs.
    """
    embedded = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    names = sorted(method_files(ROOT / "config/methods"))
    methods = read_methods(merge(embedded, {"methods": names}), ROOT)
    chosen = [
        name
        for name in names
        if methods[name].role != "ablation" and methods[name].selects_on != "test"
    ]
    return Plan(merge(embedded, {"methods": chosen}), ROOT)


@dataclass(frozen=True)
class Case:
    """A network to measure.

    Parameters
    ----------
    name : str
        What the tables show.
    key : ModelKey
    target : str
        A target that the network predicts.
    frozen : tuple of str
        Parts that do not learn.
    """

    name: str
    key: ModelKey
    target: str
    frozen: tuple[str, ...] = ()


def network_cases(plan: Plan) -> list[Case]:
    """Every network that is fitted, with one target of each resolution.

    A method with a weighting of the losses is left out, as its network is that of another.
    """
    target_of_scale = {plan.scales[target]: target for target in reversed(plan.targets)}
    return [
        Case(f"{name}, r={r}", ModelKey(name, plan.model_target(name, target), 0, 0), target)
        for name, method in plan.methods.items()
        if method.wing == "networks" and (method.is_trained or method.solve is not None)
        if "weighting" not in (method.training or {})
        for r, target in sorted(target_of_scale.items())
    ]


def training_cases(plan: Plan) -> list[Case]:
    """Every network that is trained, frozen as in each phase of its training."""
    cases: dict[tuple[ModelKey, tuple[str, ...]], Case] = {}
    for case in network_cases(plan):
        method = plan.methods[case.key.method]
        phases = [tuple(p.get("frozen", [])) for p in (method.training or {}).get("phases", [])]
        for frozen in phases:
            name = case.key.method if method.fits == "all" else case.name
            name += f", {' and '.join(frozen)} frozen" if frozen else ""
            cases.setdefault((case.key, frozen), Case(name, case.key, case.target, frozen))
    return list(cases.values())


def cases_of(methods: list[str] | None, cases: list[Case]) -> list[Case]:
    """Those of some methods; all if None."""
    return [case for case in cases if methods is None or case.key.method in methods]


def specification(plan: Plan, key: ModelKey) -> Specification:
    """Specification of a model, components included, as the plan of a run describes it."""
    return Specification.from_json(plan.specification(key))


def make_model(plan: Plan, case: Case, device: str = "cpu") -> NetworkModel:
    """Model of a case with random weights, the same at each call, in training mode."""
    torch.manual_seed(0)
    model = build(specification(plan, case.key), device)
    freeze(model.network, list(case.frozen))
    return model


# --- Data


def noise(scales: dict[str, int], device: str = "cpu", cores: int = 6) -> PatchData:
    """Patches of noise from one subject, whose volumes are too large for a processor's caches.

    Parameters
    ----------
    scales : dict of str to int
        r of each target.
    device : str
    cores : int
        Cores along each edge of the subject.
    """
    generator, lattice = torch.Generator().manual_seed(0), Lattice()
    edge = cores * lattice.core

    def volume(size: int) -> torch.Tensor:
        return torch.randn(1, size, size, size, CHANNELS, generator=generator).to(device)

    grid = torch.cartesian_prod(torch.arange(1), *[torch.arange(cores)] * 3)
    return PatchData(
        source=volume(edge + lattice.window - lattice.core),
        targets={target: volume(edge * r) for target, r in scales.items()},
        masks={
            target: torch.ones(1, *[edge * r] * 3, 1, device=device) for target, r in scales.items()
        },
        scales=scales,
        patches=grid.to(device),
        lattice=lattice,
    )


# --- Steps


def fused_adam(network: Network, **options: Any) -> torch.optim.Adam:
    """Adam as the project trains with; a small rate, as noise teaches nothing."""
    learning = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.Adam(learning, **({"lr": 1e-5, "fused": True} | options))


def bare_step(
    network: Network,
    windows: torch.Tensor,
    cores: Cores,
    adam: torch.optim.Adam,
    precision: torch.dtype,
) -> torch.Tensor:
    """Take the least step that trains on a ready batch; return its loss, unread."""
    loss = batch_losses(network, windows, cores, precision).total()
    adam.zero_grad(set_to_none=True)
    loss.backward()
    adam.step()
    return loss.detach()


# --- Timing

Work = Callable[[], float]  # does some work; returns how much, such as a number of patches


def rates(works: dict[str, Work], device: str, seconds: float) -> dict[str, list[float]]:
    """Work per second of each of `works`, which take turns, in each of several rounds.

    Each work gets `seconds` in all, after a warm-up.
    """
    rounds = number_of_rounds(seconds)
    for work in works.values():
        work()
        work()
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(rate(work, device, seconds / rounds))
    return found


def number_of_rounds(seconds: float) -> int:
    """Rounds in so many seconds: fewer where they would be too short to tell anything."""
    return min(max(int(seconds / SHORTEST_ROUND), 1), ROUNDS)


def rate(work: Work, device: str, seconds: float) -> float:
    """Work per second, over at least `seconds`."""
    finish(device)
    done, started = 0.0, time.perf_counter()
    while True:
        done += work()
        if time.perf_counter() - started >= seconds:
            break
    finish(device)
    return done / (time.perf_counter() - started)


def finish(device: str) -> None:
    """Wait until the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def ratio(of: list[float], to: list[float]) -> float:
    """Median over the rounds of the ratio of two rates."""
    return statistics.median(a / b for a, b in zip(of, to, strict=True))


def peak_works(device: str, precision: torch.dtype) -> dict[str, Work]:
    """What a device does best: a product of large matrices, and a wide convolution.

    Libraries differ in how well they know a processor, so the faster of the two is its peak. The
    work is GFLOP.
    """
    size, batch, width = (8192, 64, 256) if device == "cuda" else (1024, 2, 128)
    kind = {"device": device, "dtype": precision}
    a, b = torch.randn(2, size, size, **kind)
    x, weights = (
        torch.randn(n, width, *[edge] * 3, **kind).to(memory_format=torch.channels_last_3d)
        for n, edge in ((batch, 12), (width, 3))
    )

    @torch.no_grad()
    def multiply() -> float:
        torch.mm(a, b)
        return 2 * size**3 / 1e9

    @torch.no_grad()
    def convolve() -> float:
        torch.conv3d(x, weights)
        return 2 * batch * 10**3 * width**2 * 27 / 1e9

    return {"matrices": multiply, "convolution": convolve}


def side_by_side(processes: int, measure: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Run `measure` in so many processes at once; return what each of them returned.

    The first of its arguments is a function that waits until all processes have called it, and
    returns another number to each, from 0.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, _keep_barrier, (barrier,)) as pool:
        # A process waits for the others, so each of them takes one task.
        tasks = [pool.submit(measure, _wait, *arguments) for _ in range(processes)]
        return [task.result() for task in tasks]


def _keep_barrier(barrier: Any) -> None:
    global _barrier
    _barrier = barrier


def _wait() -> int:
    return _barrier.wait(timeout=120)


# --- Output


def parser(description: str, seconds: float) -> argparse.ArgumentParser:
    """Parser of a benchmark's command line with the option that all have."""
    made = argparse.ArgumentParser(description=description.splitlines()[0])
    made.add_argument("--seconds", type=float, default=seconds, help="for each measurement")
    return made


def add_methods(options: argparse.ArgumentParser, cases: list[Case]) -> None:
    """Let a benchmark measure the networks of some methods only; see `cases_of`."""
    names = sorted({case.key.method for case in cases})
    explanation = "whose networks are measured, instead of all"
    options.add_argument("--methods", nargs="+", choices=names, metavar="METHOD", help=explanation)


def print_machine(device: str, precision: str) -> None:
    """First line of every benchmark: what the numbers depend on."""
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    threads = torch.get_num_threads()
    print(
        f"{name}; {threads} thread{'s' * (threads > 1)}; torch {torch.__version__}; {precision}",
        flush=True,
    )


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def print_row(name: str, *cells: object) -> None:
    """Print one row of a table at once, so that a long benchmark shows where it is."""
    print(f"{name:38}" + "".join(f" {cell:>12}" for cell in cells), flush=True)
