"""All that only a GPU can tell, in one run: first right, then fast.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --only "at once" prediction    # the sections with such titles
    python benchmarks/gpu.py --methods espcn msp_espcn      # checks and speeds of their networks
    python benchmarks/gpu.py --smoke    # tries the code on tiny sizes, also without a GPU

The exit status is 1 if a check fails (see `checks.py`) or a section stops with an error; the
others run all the same. The tables of memory, training and prediction are those of `memory.py`,
`training.py` and `prediction.py`. All volumes lie in the GPU's memory. In the tables of patches/s:

step     the project's step: it gathers patches and reads the loss
graph    the same, replayed from a CUDA graph
unread   the same, without reading the loss
at once  several trainings that share the GPU, each in its own process: the sum of their patches/s
(1.50)   relative to the first column
"""

import dataclasses
import itertools
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from statistics import median

import memory
import prediction
import torch
import training
from checks import NEEDS_GPU, Trainer, check_graphs, check_trainings
from common import (
    PRECISIONS,
    Case,
    Work,
    add_methods,
    cases_of,
    fused_adam,
    make_model,
    network_cases,
    noise,
    parser,
    plan_of_all_methods,
    print_machine,
    print_row,
    rate,
    rates,
    ratio,
    side_by_side,
    training_cases,
)

from harmonization.learning.devices import choose_device, choose_precision, make_reproducible
from harmonization.learning.training import batches, training_step
from harmonization.plan.plan import Plan

Section = Callable[[], list[str] | None]  # returns what failed


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much to do.

    Parameters
    ----------
    steps : int
        Of each training in a check.
    batch : int
        Patches in a step, where batches are not compared.
    batches : tuple of int
        Batches to compare.
    trainings : tuple of int
        Numbers of trainings at once.
    brain : float
        Edges of the brain to predict, of normal.
    subjects : int
        Whose volumes are kept in memory.
    """

    steps: int
    batch: int
    batches: tuple[int, ...]
    trainings: tuple[int, ...]
    brain: float
    subjects: int


FULL = Sizes(10, memory.BATCH, (4, 12, 32, 128), (1, 2, 4), 1.0, memory.SUBJECTS)
TINY = Sizes(4, 1, (1, 2), (1, 2), 0.1, 1)


@dataclasses.dataclass(frozen=True)
class Way:
    """How to train, and for how many seconds to measure."""

    device: str
    precision: torch.dtype
    batch: int
    seconds: float


def main() -> None:
    plan = plan_of_all_methods()
    options = parser(__doc__, seconds=0.5)
    add_methods(options, training_cases(plan))
    options.add_argument("--smoke", action="store_true", help="try the code on tiny sizes")
    options.add_argument("--only", nargs="+", default=[""], help="parts of titles", metavar="PART")
    args = options.parse_args()
    device = choose_device(1)
    if device == "cpu" and not args.smoke:
        options.error("torch sees no GPU; --smoke tries the code on the CPU")
    print_machine(device, "tiny sizes" if args.smoke else "full sizes")
    if device == "cpu":
        print("no GPU: the CPU stands in for it, and is compared with itself")
    sizes = TINY if args.smoke else FULL
    made = sections(plan, args.methods, device, sizes, args.seconds, args.smoke)
    chosen = {title: made[title] for title in made if any(part in title for part in args.only)}
    if not chosen:
        options.error(f"--only: no such title; there are: {'; '.join(made)}")
    failed = [failure for title, section in chosen.items() for failure in run(title, section)]
    print(f"\nfailed: {'; '.join(failed) if failed else 'nothing'}")
    sys.exit(bool(failed))


def sections(
    plan: Plan, methods: list[str] | None, device: str, sizes: Sizes, seconds: float, few: bool
) -> dict[str, Section]:
    """All sections by title, of the networks of some methods or of all; checks come first.

    All are checked, or one of each method where `few` are wanted, as in the tables of speeds. The
    two networks that stand for all do so whatever the methods.
    """
    every = training_cases(plan)
    two = [
        next(c for c in one_of_each_method(every) if c.key.method == name)
        for name in ("espcn", "diqt_rn4")
    ]
    checked, predicting = (cases_of(methods, cases) for cases in (every, network_cases(plan)))
    trained = one_of_each_method(checked)
    if few:
        checked, predicting = trained, predicting[:2]
    made: dict[str, Section] = {
        "checks": partial(check_trainings, plan, checked, device, sizes.steps),
        "checks of CUDA graphs": partial(check_graphs, plan, checked, device, sizes.steps),
        "memory": partial(memory.print_memory, plan, device, sizes.subjects),
    }
    precisions = dict.fromkeys(choose_precision(name, device) for name in PRECISIONS)
    ways = [Way(device, precision, sizes.batch, seconds) for precision in precisions]
    for way in ways:
        title = f"{way.precision}, batches of {way.batch}"
        speeds = partial(training.print_speeds, plan, trained, *dataclasses.astuple(way))
        made |= {
            f"training, {title}": speeds,
            f"patches/s in CUDA graphs, {title}": partial(print_graphs, plan, trained, way),
        }
    predict = partial(prediction.print_predictions, predicting, device, sizes.brain, seconds)
    return made | {
        "patches/s by batch": partial(print_batches, plan, two, ways, sizes.batches),
        "patches/s of trainings at once": partial(print_shared, two, ways, sizes.trainings),
        "prediction of a brain": predict,
    }


def one_of_each_method(cases: list[Case]) -> list[Case]:
    """Last case of each method, where most of it learns."""
    return list({case.key.method: case for case in cases}.values())


def run(title: str, section: Section) -> list[str]:
    """Run a section under its title; return what failed."""
    print(f"\n{title}", flush=True)
    started = time.perf_counter()
    try:
        return section() or []
    except Exception:  # what stops a section must not cost the results of the others
        traceback.print_exc(file=sys.stdout)
        return [title]
    finally:
        print(f"{time.perf_counter() - started:.0f} s", flush=True)


def print_graphs(plan: Plan, cases: list[Case], way: Way) -> None:
    """Print the speed of each network with and without a CUDA graph."""
    print_row("network", "step", "graph", "unread")
    for case in cases:
        works = {"step": project_step(plan, case, way)}
        if way.device == "cuda":
            trainer = recorded(plan, case, way)
            works |= {"graph": replay(trainer, read=True), "unread": replay(trainer, read=False)}
        cells = relative_speeds(rates(works, way.device, way.seconds).values())
        print_row(case.name, *cells, *[NEEDS_GPU] * (3 - len(cells)))


def project_step(plan: Plan, case: Case, way: Way) -> Work:
    """The project's training step on noise; the work is patches."""
    network = make_model(plan, case, way.device).network
    data = noise(network.task.scales, way.device)
    order, adam = batches(len(data), way.batch, seed=0), fused_adam(network)

    def step() -> float:
        training_step(network, data, next(order), adam, 0, way.precision)
        return way.batch

    return step


def recorded(plan: Plan, case: Case, way: Way) -> Trainer:
    """Trainer on noise whose step is in a CUDA graph."""
    network = make_model(plan, case, way.device).network
    data = noise(network.task.scales, way.device)
    trainer = Trainer(network, data, way.precision, way.batch)
    trainer.record()
    return trainer


def replay(trainer: Trainer, read: bool) -> Work:
    """Step of a trainer that perhaps reads the loss; the work is patches."""

    def step() -> float:
        loss = trainer.step()
        if read:
            loss.item()
        return len(trainer.chosen)

    return step


def relative_speeds(found: Iterable[list[float]]) -> list[str]:
    """Cells with the median of each speed, and its ratio to the first."""
    first, *others = found
    return [f"{median(speeds):.0f} ({ratio(speeds, first):.2f})" for speeds in (first, *others)]


def print_batches(plan: Plan, cases: list[Case], ways: list[Way], sizes: tuple[int, ...]) -> None:
    """Print the speed of some networks by batch."""
    print_row("network", *sizes)
    for case, way in itertools.product(cases, ways):
        works = {n: project_step(plan, case, dataclasses.replace(way, batch=n)) for n in sizes}
        found = rates(works, way.device, way.seconds)
        print_row(f"{case.name}, {way.precision}", *relative_speeds(found.values()))


def print_shared(cases: list[Case], ways: list[Way], numbers: tuple[int, ...]) -> None:
    """Print the speed of some networks, summed over several trainings at once."""
    pairs = list(itertools.product(cases, ways))
    found = [side_by_side(number, share, pairs) for number in numbers]
    print_row("network", *numbers)
    for index, (case, way) in enumerate(pairs):
        sums = [[sum(speeds[index] for speeds in processes)] for processes in found]
        print_row(f"{case.name}, {way.precision}", *relative_speeds(sums))


def share(wait: Callable[[], int], pairs: list[tuple[Case, Way]]) -> list[float]:
    """Patches per second of each network in turn, while other processes do the same."""
    plan = plan_of_all_methods()
    speeds = []
    for case, way in pairs:
        torch.set_num_threads(1)
        if way.device == "cuda":
            make_reproducible()  # without a lease of the GPU, which this measurement shares
        step = project_step(plan, case, way)
        step()
        step()
        wait()
        speeds.append(rate(step, way.device, way.seconds))
    return speeds


if __name__ == "__main__":
    main()
