"""Speed of a training step of every network, and what bounds it.

    python benchmarks/training.py [--gpus 1] [--precision bfloat16] [--methods espcn msp_espcn]

The networks come from `config/methods`. Columns:

patches/s     the project's step: it gathers patches and reads the loss
bare loop     the same network, loss and optimiser on one ready batch
ratio         of the two; the goal is at least 0.9
GFLOP/step    forward and backward, counted by torch
of peak       share of the rate of arithmetic that this machine reaches at its best: with large
              matrices or a convolution of 128 channels (256 on a GPU), whichever is faster
convolutions  share of the step's time
bound by      arithmetic (at least half of the peak), shape (convolutions too small or too odd for
              that), memory (most of the time is not in convolutions), or launches (a GPU that
              idles most of the time)

Compare what is within one run: absolute times on a shared machine are noise.
"""

import os
import statistics
from dataclasses import dataclass

import torch
from common import (
    PRECISIONS,
    Case,
    Work,
    add_methods,
    bare_step,
    cases_of,
    finish,
    fused_adam,
    make_model,
    noise,
    parser,
    peak_works,
    plan_of_all_methods,
    print_machine,
    print_row,
    rates,
    ratio,
    training_cases,
)
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from harmonization.learning.devices import choose_device, choose_precision
from harmonization.learning.training import batches, training_step
from harmonization.plan.plan import Plan

GOAL = 0.9
COLUMNS = ("patches/s", "bare loop", "ratio", "GFLOP/step", "of peak", "convolutions", "bound by")


@dataclass(frozen=True)
class Speed:
    """Speed of a network's training step; see the module's docstring."""

    patches: float
    bare: float
    ratio: float
    gflop: float
    of_peak: float
    convolutions: float
    busy: float

    @property
    def bound(self) -> str:
        """What bounds the step."""
        if self.busy < 0.5:
            return "launches"
        if self.of_peak >= 0.5:
            return "arithmetic"
        return "shape" if self.convolutions >= 0.5 else "memory"


def main() -> None:
    plan = plan_of_all_methods()
    cases = training_cases(plan)
    options = parser(__doc__, seconds=3.0)
    add_methods(options, cases)
    options.add_argument("--gpus", type=int, default=0, help="0 computes on the CPU")
    options.add_argument("--batch", type=int, default=4, help="patches in a step")
    options.add_argument("--precision", choices=list(PRECISIONS), default="float32")
    args = options.parse_args()
    device = choose_device(args.gpus)
    precision = choose_precision(args.precision, device)
    print_machine(device, f"{precision}, batches of {args.batch}")
    chosen = cases_of(args.methods, cases)
    print_speeds(plan, chosen, device, precision, args.batch, args.seconds)


def print_speeds(
    plan: Plan,
    cases: list[Case],
    device: str,
    precision: torch.dtype,
    batch: int,
    seconds: float,
) -> None:
    """Measure each network, and print its row."""
    print_row("network", *COLUMNS)
    slow = []
    for case in cases:
        speed = measure(plan, case, device, precision, batch, seconds)
        print_row(
            case.name,
            f"{speed.patches:.0f}",
            f"{speed.bare:.0f}",
            f"{speed.ratio:.2f}",
            f"{speed.gflop:.2f}",
            f"{speed.of_peak:.0%}",
            f"{speed.convolutions:.0%}",
            speed.bound,
        )
        if speed.ratio < GOAL:
            slow.append(case.name)
    print(f"ratio at least {GOAL}: {'no: ' + '; '.join(slow) if slow else 'all'}")


def measure(
    plan: Plan, case: Case, device: str, precision: torch.dtype, batch: int, seconds: float
) -> Speed:
    """Measure one network; the project's step, the bare loop and matrices take turns."""
    model = make_model(plan, case, device)
    network = model.network
    data = noise(model.task.scales, device)
    order = batches(len(data), batch, seed=0)
    ready = data.batch(next(order))
    adam, bare_adam = fused_adam(network), fused_adam(network)

    def project() -> float:
        training_step(network, data, next(order), adam, 0, precision)
        return batch

    def bare() -> float:
        bare_step(network, *ready, bare_adam, precision)
        return batch

    peaks = peak_works(device, precision)
    found = rates({"project": project, "bare": bare} | peaks, device, seconds)
    with FlopCounterMode(display=False) as counter:
        bare()
    gflop = counter.get_total_flops() / 1e9
    patches = statistics.median(found["project"])
    convolutions, seconds_busy = kernel_times(bare, device)
    return Speed(
        patches=patches,
        bare=statistics.median(found["bare"]),
        ratio=ratio(found["project"], found["bare"]),
        gflop=gflop,
        of_peak=gflop / batch * min(ratio(found["project"], found[peak]) for peak in peaks),
        convolutions=convolutions,
        busy=seconds_busy * patches / batch,
    )


def kernel_times(step: Work, device: str, steps: int = 3) -> tuple[float, float]:
    """Share of a step's computing time in convolutions, and seconds of computing in a step."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or the profiler talks
    activities = [ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as profiler:
        for _ in range(steps):
            step()
        finish(device)
    times = profiler.key_averages()
    if device == "cuda":
        # Kernels are listed by themselves too; the operations that launched them have names.
        total = sum(t.self_device_time_total for t in times if t.device_type == DeviceType.CUDA)
        inside = sum(
            t.self_device_time_total
            for t in times
            if t.device_type == DeviceType.CPU and "conv" in t.key
        )
    else:
        total = sum(t.self_cpu_time_total for t in times)
        inside = sum(t.self_cpu_time_total for t in times if "conv" in t.key)
    return inside / total, total / 1e6 / steps


if __name__ == "__main__":
    main()
