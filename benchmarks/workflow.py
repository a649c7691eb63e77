"""What the workflow itself costs: planning, scheduling, and the start of every command.

    python benchmarks/workflow.py

plan        a dry run of the embedded and of the full synthetic run: seconds and jobs
a job       seconds of a job that does nothing but writes its output, log and benchmark file
a command   seconds until a command has imported what it uses, beside bare Python, and how many such
            jobs the embedded run has
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import ROOT, parser, print_machine, print_row

from harmonization.files import write_text

SNAKEMAKE = [sys.executable, "-m", "snakemake"]
RUNS = {"embedded": [], "phantom": ["--configfile", str(ROOT / "config/phantom.yaml")]}
TRIVIAL = """
rule all:
    input: expand("out/{n}", n=range(NUMBER))
rule trivial:
    output: "out/{n}"
    log: "log/{n}"
    benchmark: "benchmark/{n}"
    shell: "touch {output} &> {log}"
"""
FEW, MANY = 10, 60


def main() -> None:
    options = parser(__doc__, seconds=2.0)
    options.add_argument("--commands", nargs="*", help="only these; by default all of a run")
    args = options.parse_args()
    print_machine("cpu", "-")
    jobs = print_plans()
    print_jobs()
    print_commands(args.commands or sorted(jobs), jobs, args.seconds)


def print_plans() -> dict[str, int]:
    """Time the dry runs; return the jobs of the embedded run by rule."""
    print_row("plan", "seconds", "jobs", "ms a job")
    counts: dict[str, dict[str, int]] = {}
    for run, options in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            said = snakemake(folder, "--snakefile", str(ROOT / "Snakefile"), "--dry-run", *options)
            seconds = time.perf_counter() - started
        counts[run] = jobs_of(said)
        number = sum(counts[run].values())
        print_row(run, f"{seconds:.1f}", number, f"{seconds / number * 1e3:.1f}")
    return counts["embedded"]


def jobs_of(said: str) -> dict[str, int]:
    """Number of jobs of each rule in the output of a dry run; without `all`."""
    table = re.search(r"^job +count\n[- ]+\n(.*?)\ntotal ", said, flags=re.DOTALL | re.MULTILINE)
    rows = map(str.split, table[1].splitlines())
    return {rule: int(count) for rule, count in rows if rule != "all"}


def print_jobs() -> None:
    """Time runs of few and of many trivial jobs on one core; their difference is what jobs cost."""
    times = []
    for number in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder:
            write_text(Path(folder) / "Snakefile", TRIVIAL.replace("NUMBER", str(number)))
            started = time.perf_counter()
            snakemake(folder, "--cores", "1")
            times.append(time.perf_counter() - started)
    print_row("a job that does nothing", f"{(times[1] - times[0]) / (MANY - FEW):.3f} s")


def snakemake(folder: str, *arguments: str) -> str:
    """Run Snakemake in a folder with no profile; return what it said."""
    command = [*SNAKEMAKE, *arguments, "--workflow-profile", "none", "--scheduler", "greedy"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def print_commands(commands: list[str], jobs: dict[str, int], seconds: float) -> None:
    """Time the start of commands, each by its least disturbed run."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "scripts")}

    def start(code: str) -> Callable[[], None]:
        call = [sys.executable, "-c", code]
        return lambda: subprocess.run(call, env=environment, check=True)

    print_row("a command", "start, s", "jobs", "together, s")
    bare = fastest(start("pass"), seconds)
    print_row("bare Python", f"{bare:.2f}")
    total = 0.0
    for command in commands:
        if (ROOT / f"scripts/{command}.py").exists():
            found, number = fastest(start(f"import {command}"), seconds), jobs.get(command, 1)
            total += found * number
            print_row(command, f"{found:.2f}", number, f"{found * number:.1f}")
    print_row("all", "", "", f"{total:.1f}")


def fastest(work: Callable[[], None], seconds: float) -> float:
    """Seconds of the fastest run within a time, after one run that fills the caches."""
    work()
    best, until = float("inf"), time.perf_counter() + seconds
    while True:
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
        if time.perf_counter() > until:
            return best


if __name__ == "__main__":
    main()
