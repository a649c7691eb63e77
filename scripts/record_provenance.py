"""Record how the results of a run came about: code, pins, data, machine, time and memory."""

import argparse
import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd

from harmonization.files import read_json, run_command, sha256, write_json

PACKAGES = ("dipy", "matplotlib", "nibabel", "numpy", "pandas", "scipy", "snakemake", "torch")
PINS = "envs/requirements.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder of the run")
    parser.add_argument("--root", type=Path, required=True, help="of the repository")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    record = {
        "code": code_of(args.root),
        "pins": {"file": PINS, "sha256": sha256(args.root / PINS)},
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        "machine": machine(),
        "configuration": {"file": "config.yaml", "sha256": sha256(args.results / "config.yaml")},
        "data": images_of(args.results),
        "rules": cost_of_rules(args.results / "benchmarks"),
    }
    write_json(args.output, record)


def code_of(root: Path) -> dict[str, Any]:
    """Commit of the repository, and whether files differ from it; None where there is no git."""
    program = shutil.which("git")

    def git(*command: str) -> str | None:
        if program is None:
            return None
        whole = [program, "-C", str(root), *command]
        result = subprocess.run(whole, capture_output=True, text=True, check=False)
        return None if result.returncode else result.stdout.strip()

    changes = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if changes is None else bool(changes)}


def machine() -> dict[str, Any]:
    """The machine on which the run ended; jobs of a cluster may have run on others."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
    }


def processor() -> str:
    """Name of the processor; where the system does not tell, its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def images_of(results: Path) -> dict[str, str]:
    """Hashes of all images that methods learned from, by path, as the manifests hold them.

    Manifests of folds that the run no longer scores may name images that have changed since.
    """
    found, metrics = {}, results / "metrics.csv"
    scored = set(pd.read_csv(metrics, dtype=str)["fold"]) if metrics.exists() else {"*"}
    manifests = (path for fold in scored for path in results.glob(f"splits/fold-{fold}[_.]*json"))
    for path in sorted(manifests):
        for platforms in read_json(path).get("files", {}).values():
            for roles in platforms.values():
                for entry in roles.values():
                    image = os.path.relpath(path.parent / entry["path"], results)
                    found[image] = entry["sha256"]
    return found


def cost_of_rules(folder: Path) -> dict[str, dict[str, float]]:
    """Jobs of every rule, their seconds in all, and the peak memory (MiB) of the largest.

    Nothing where a run was moved or restored without its benchmarks.
    """
    rules = {}
    for rule in sorted(path for path in folder.glob("*") if path.is_dir()):
        jobs = [pd.read_csv(file, sep="\t", na_values="-") for file in sorted(rule.rglob("*.tsv"))]
        if jobs:
            table = pd.concat(jobs)
            peak = table["max_rss"].max()
            rules[rule.name] = {
                "jobs": len(jobs),
                "seconds": round(float(table["s"].sum()), 1),
                "peak_memory": None if pd.isna(peak) else float(peak),
            }
    return rules


if __name__ == "__main__":
    run_command(main)
