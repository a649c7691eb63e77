"""Plan of a whole run: jobs, allocations on a cluster, and core-hours or GPU-hours by method.

    python benchmarks/cost.py [--run config/phantom.yaml config/paper.yaml] [--gpus 1]
    python benchmarks/cost.py --rates benchmarks/h100.csv    # GPU-hours without a GPU

Trainings cost nearly all of a run, and a method's steps are known before it starts: this measures
a training step of every network that a run trains, in the run's precision and batch size, frozen
as in each phase, and multiplies by steps and models. `--rates` takes rates from a file instead:
patches/s of a method's largest network, which gives upper limits. Jobs are those of a dry run, and
allocations follow from the groups in `profiles/slurm`. Not counted: validation, which takes a few
percent, and scans and predictions (see `preprocessing.py` and `prediction.py`).
"""

import csv
import math
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
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

from harmonization.files import InputError, run_command
from harmonization.learning.devices import choose_device, choose_precision
from harmonization.learning.training import batches, training_step
from harmonization.plan.configuration import merge, read_run
from harmonization.plan.plan import ModelKey, Plan
from harmonization.plan.schemas import read_yaml

Phase = dict[str, Any]  # of a training, as in a method's file
SecondsOfStep = Callable[[ModelKey, Phase], float | None]  # None if it is not known
RUNS = (ROOT / "config/phantom.yaml", ROOT / "config/paper.yaml")


def main() -> None:
    options = parser(__doc__, seconds=5.0)
    options.add_argument("--run", type=Path, nargs="+", default=RUNS, help="its configuration")
    options.add_argument("--precision", choices=list(PRECISIONS), help="instead of the run's")
    options.add_argument("--gpus", type=int, default=0, help="0 computes on the CPU")
    options.add_argument("--rates", type=Path, help="table of method and patches/s on a GPU")
    args = options.parse_args()
    device = choose_device(args.gpus)
    torch.set_num_threads(1)
    rows = read_rates(args.rates) if args.rates else {}
    for run in args.run:
        plan = plan_of(run)
        print_jobs(plan, run)
        if args.rates:
            print(f"{run.name}: rates of {args.rates.name}")
            print_costs(plan, "GPU-hours", given_seconds(plan, rows))
            continue
        precision = choose_precision(args.precision or plan.config["precision"], device)
        print_machine(device, f"{run.name}: {precision}")

        def measured(
            key: ModelKey, phase: Phase, plan: Plan = plan, precision: torch.dtype = precision
        ) -> float:
            return seconds_of_step(plan, key, phase, device, precision, args.seconds)

        print_costs(plan, "GPU-hours" if device == "cuda" else "core-hours", measured)


def plan_of(run: Path) -> Plan:
    """Plan of a run; its scans need not be there."""
    embedded = read_yaml(ROOT / "config/config.yaml")
    # The plan of a data set on disk would look for its scans, which change no training.
    config = merge(embedded, read_run(run))
    return Plan(merge(config, {"dataset": {"kind": "phantom", "root": None}}), ROOT)


def print_jobs(plan: Plan, run: Path) -> None:
    """Print how many jobs of each rule there are, and in how many allocations they share."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1"]
    command += ["--configfile", run.resolve(), "--directory", ROOT, "--workflow-profile", "none"]
    command += ["--scheduler", "greedy", "--dry-run", "--quiet", "rules"]
    dry = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    table = dry.stderr.partition("Job stats:")[2] + dry.stdout.partition("Job stats:")[2]
    jobs = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, flags=re.MULTILINE)}
    total = jobs.pop("total")
    profile = read_yaml(ROOT / "profiles/slurm/config.yaml")
    groups = dict(pair.split("=") for pair in profile["groups"])
    sizes = {name: int(n) for name, n in (p.split("=") for p in profile["group-components"])}
    of_group: dict[str, int] = defaultdict(int)
    for rule, number in jobs.items():
        of_group[groups.get(rule, "others")] += number
    # What a group would be cut into if each part had an allocation of its own.
    models: dict[str, int] = defaultdict(int)
    for key in plan.models():
        models[key.method] += 1
    parts = {"images": len(plan.subjects), "tables": 1, "scores": jobs["evaluate"]}
    parts["templates"] = jobs.get("build_template", 0)
    print_row("jobs that share", "jobs", "allocations")
    of_all = 0
    for group, number in of_group.items():
        size = sizes.get(group, 1)
        if group == "fit_{method}":
            allocations = sum(math.ceil(n / size) for n in models.values())
        else:
            allocations = math.ceil(parts.get(group, number) / size)
        of_all += allocations
        print_row(group, number, allocations)
    print_row("all jobs", total, of_all)


def read_rates(path: Path) -> dict[str, float]:
    """Read patches/s by method from a table."""
    with path.open(encoding="utf-8") as stream:
        try:
            return {r["method"]: float(r["patches_per_second"]) for r in csv.DictReader(stream)}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: {error}; give columns method and patches_per_second"
            ) from error


def given_seconds(plan: Plan, patches_per_second: dict[str, float]) -> SecondsOfStep:
    """Seconds of a step at given rates; methods without a rate are not known."""

    def seconds(key: ModelKey, _phase: Phase) -> float | None:
        if key.method not in patches_per_second:
            return None
        return plan.methods[key.method].training["batch_size"] / patches_per_second[key.method]

    return seconds


def print_costs(plan: Plan, unit: str, seconds_of: SecondsOfStep) -> None:
    """Print the cost of each method, and of all."""
    print_row("method", "models", "steps each", "ms a step", unit)
    models: dict[str, list[ModelKey]] = defaultdict(list)
    for key in plan.trained_models():
        models[key.method].append(key)
    total = 0.0
    depends = [name for name in models if depends_on_fits(plan, name)]
    unknown = []
    for method, keys in models.items():
        if method in depends:
            continue
        phases = plan.methods[method].training["phases"]
        # Models of one target cost the same whatever their fold and seed.
        by_target = {key.target: key for key in keys}
        if seconds_of(keys[0], phases[0]) is None:
            unknown.append(method)
            continue
        hours = steps_of_all = 0.0
        for target, key in by_target.items():
            number = sum(other.target == target for other in keys)
            for phase in phases:
                hours += number * phase["steps"] * seconds_of(key, phase) / 3600
                steps_of_all += number * phase["steps"]
        total += hours
        each = sum(phase["steps"] for phase in phases)
        print_row(method, len(keys), each, f"{hours * 3.6e6 / steps_of_all:.1f}", f"{hours:.1f}")
    print_row("all", "", "", "", f"{total:.1f}")
    if unknown:
        print("Not in this table, as their rates are not known:")
        print(", ".join(unknown))
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
    run_command(main)
