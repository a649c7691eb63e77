"""Cost of a whole run, from rates measured here: core-hours, or GPU-hours, of every method.

    python benchmarks/cost.py [--run config/phantom.yaml config/paper.yaml] [--gpus 1]

Trainings cost nearly all of a run, and a method's steps are known before it starts: this measures a
training step of every network that a run trains, in the run's precision and batch size, frozen as
in each phase, and multiplies by steps and models. Not counted: validation, which takes a few
percent, and scans and predictions (see `preprocessing.py` and `prediction.py`).
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import yaml
from common import (
    PRECISIONS,
    ROOT,
    Case,
    fused_adam,
    make_model,
    noise,
    parser,
    print_machine,
    print_row,
    rates,
)

from harmonization.learning.devices import choose_device, choose_precision
from harmonization.learning.training import batches, training_step
from harmonization.plan.configuration import merge
from harmonization.plan.plan import ModelKey, Plan

RUNS = (ROOT / "config/phantom.yaml", ROOT / "config/paper.yaml")


def main() -> None:
    options = parser(__doc__, seconds=5.0)
    options.add_argument("--run", type=Path, nargs="+", default=RUNS, help="its configuration")
    options.add_argument("--precision", choices=list(PRECISIONS), help="instead of the run's")
    options.add_argument("--gpus", type=int, default=0, help="0 computes on the CPU")
    args = options.parse_args()
    device = choose_device(args.gpus)
    torch.set_num_threads(1)
    for run in args.run:
        plan = plan_of(run)
        precision = choose_precision(args.precision or plan.config["precision"], device)
        print_machine(device, f"{run.name}: {precision}")
        print_costs(plan, device, precision, args.seconds)


def plan_of(run: Path) -> Plan:
    """Plan of a run; its scans need not be there."""
    embedded = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    # The plan of a data set on disk would look for its scans, which change no training.
    config = merge(embedded, yaml.safe_load(run.read_text()))
    return Plan(merge(config, {"dataset": {"kind": "phantom", "root": None}}), ROOT)


def print_costs(plan: Plan, device: str, precision: torch.dtype, seconds: float) -> None:
    """Print the cost of each method, and of all."""
    unit = "GPU-hours" if device == "cuda" else "core-hours"
    print_row("method", "models", "steps each", "ms a step", unit)
    models: dict[str, list[ModelKey]] = defaultdict(list)
    for key in plan.trained_models():
        models[key.method].append(key)
    total = 0.0
    depends = [name for name in models if depends_on_fits(plan, name)]
    for method, keys in models.items():
        if method in depends:
            continue
        phases = plan.methods[method].training["phases"]
        # Models of one target cost the same whatever their fold and seed.
        by_target = {key.target: key for key in keys}
        hours = steps_of_all = 0.0
        for target, key in by_target.items():
            number = sum(other.target == target for other in keys)
            for phase in phases:
                step = seconds_of_step(plan, key, phase, device, precision, seconds)
                hours += number * phase["steps"] * step / 3600
                steps_of_all += number * phase["steps"]
        total += hours
        each = sum(phase["steps"] for phase in phases)
        print_row(method, len(keys), each, f"{hours * 3.6e6 / steps_of_all:.1f}", f"{hours:.1f}")
    print_row("all", "", "", "", f"{total:.1f}")
    if depends:
        print("Not in this table, as their size or length follows from fitted models:")
        print(", ".join(depends))


def depends_on_fits(plan: Plan, method: str) -> bool:
    """Whether fitted models decide what a method's training costs."""
    found = plan.methods[method]
    return found.matches is not None or any(c.alternatives for c in found.builds_on)


def seconds_of_step(
    plan: Plan,
    key: ModelKey,
    phase: dict[str, Any],
    device: str,
    precision: torch.dtype,
    seconds: float,
) -> float:
    """Seconds of a training step of a model in a phase of its training."""
    target = key.target if key.target in plan.targets else plan.targets[0]
    case = Case(key.method, key, target, tuple(phase.get("frozen", [])))
    model = make_model(plan, case, device)
    data = noise(model.task.scales, device)
    batch = plan.methods[key.method].training["batch_size"]
    order, adam = batches(len(data), batch, seed=0), fused_adam(model.network)

    def step() -> float:
        training_step(model.network, data, next(order), adam, 0, precision)
        return 1.0

    found = rates({"step": step}, device, seconds)["step"]
    return 1 / sorted(found)[len(found) // 2]


if __name__ == "__main__":
    main()
