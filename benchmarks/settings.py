"""Where the defaults of training come from: speed of ESPCN's step by batch, precision and more.

    python benchmarks/settings.py

Each row is the bare training step (see `training.py`) on one ready batch, and the ratio to the
default: batches of 4, bfloat16 where the processor has it, channels last, one thread. All rows take
turns. The last rows share two cores in two ways: two trainings of one thread each, or one of two
threads. Run this on an idle machine with at least two cores.
"""

import dataclasses
import itertools
import statistics
from collections.abc import Callable

import torch
from common import (
    PRECISIONS,
    Work,
    bare_step,
    fused_adam,
    make_model,
    network_cases,
    noise,
    number_of_rounds,
    parser,
    plan_of_all_methods,
    print_machine,
    print_row,
    rate,
    rates,
    ratio,
    side_by_side,
)

from harmonization.learning.devices import choose_device, choose_precision

LAYOUTS = {"first": torch.contiguous_format, "last": torch.channels_last_3d}


@dataclasses.dataclass(frozen=True)
class Setting:
    """How to train: patches in a batch, precision, memory layout of the channels, and threads."""

    batch: int
    precision: str
    channels: str
    threads: int


def main() -> None:
    args = parser(__doc__, seconds=2.0).parse_args()
    device = choose_device(0)
    quick = choose_precision("bfloat16", device)
    default = Setting(4, str(quick).removeprefix("torch."), "last", 1)
    settings = list(
        itertools.starmap(Setting, itertools.product((4, 12, 32), PRECISIONS, LAYOUTS, (1, 2)))
    )
    print_machine(device, "ESPCN, r=1")
    found = rates({setting: training(setting) for setting in settings}, device, args.seconds)
    print_row("batch", "precision", "channels", "threads", "patches/s", "of default")
    for setting, speeds in found.items():
        batch, *others = dataclasses.astuple(setting)
        relative = ratio(speeds, found[default])
        print_row(batch, *others, f"{statistics.median(speeds):.0f}", f"{relative:.2f}")

    first, second = side_by_side(2, share, default, args.seconds)
    together = [a + b for a, b in zip(first.together, second.together, strict=True)]
    in_turn = [a + b for a, b in zip(first.alone, second.alone, strict=True)]
    print_row("two trainings of one thread", f"{statistics.median(together):.0f} patches/s")
    print_row("one training of two threads", f"{statistics.median(in_turn):.0f} patches/s")
    print_row("ratio", f"{ratio(together, in_turn):.2f}")


def training(setting: Setting) -> Work:
    """Training steps of ESPCN with these settings; the work is patches."""
    plan = plan_of_all_methods()
    case = next(case for case in network_cases(plan) if case.key.method == "espcn")
    layout, precision = LAYOUTS[setting.channels], PRECISIONS[setting.precision]
    model = make_model(plan, case)
    network = model.network.to(memory_format=layout)
    data = noise(model.task.scales, cores=4)
    windows, cores = data.batch(torch.arange(setting.batch))
    windows = windows.contiguous(memory_format=layout)
    cores = {
        target: tuple(volume.contiguous(memory_format=layout) for volume in pair)
        for target, pair in cores.items()
    }
    adam = fused_adam(network)

    def step() -> float:
        torch.set_num_threads(setting.threads)
        bare_step(network, windows, cores, adam, precision)
        return setting.batch

    return step


@dataclasses.dataclass
class Shared:
    """Patches per second of one of two processes, in each round; 0 while the other is alone."""

    together: list[float] = dataclasses.field(default_factory=list)
    alone: list[float] = dataclasses.field(default_factory=list)


def share(wait: Callable[[], int], setting: Setting, seconds: float) -> Shared:
    """Train with one thread beside the other process, then with two threads while it waits."""
    one, two = training(setting), training(dataclasses.replace(setting, threads=2))
    for step in (one, two):
        step()
    found = Shared()
    rounds = number_of_rounds(seconds)
    for _ in range(rounds):
        wait()
        found.together.append(rate(one, "cpu", seconds / rounds))
        found.alone.append(rate(two, "cpu", seconds / rounds) if wait() == 0 else 0.0)
    return found


if __name__ == "__main__":
    main()
