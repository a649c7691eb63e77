"""Resolve requirements.in into exact pins: requirements.txt for pip, two environments for conda.

All files come from one resolution, so they cannot differ. ``make lock`` runs it; use the oldest
Python that is supported.
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOTE = "# Made by `make lock` from requirements.in; do not edit.\n"
OLDEST_PYTHON = "3.11"
CONDA_FORGE = ("conda-forge",)
# FLIRT comes from FSL's own channel.
FSL = ("https://fsl.fmrib.ox.ac.uk/fsldownloads/fslconda/public/", *CONDA_FORGE)


def resolve(source: Path) -> list[str]:
    """Exact pins of everything that `source` needs, without local version suffixes."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    result = subprocess.run(
        [*command, "--report", "-", "-r", str(source)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        sys.exit(f"error: pip cannot resolve {source}:\n{result.stderr}")
    packages = [item["metadata"] for item in json.loads(result.stdout)["install"]]
    return sorted(f"{p['name'].lower()}=={p['version'].split('+')[0]}" for p in packages)


def requirements(pins: list[str]) -> str:
    """Text of requirements.txt."""
    return NOTE + "".join(f"{pin}\n" for pin in pins)


def environment(
    pins: list[str],
    name: str = "msp-harmonization",
    channels: tuple[str, ...] = CONDA_FORGE,
    more: tuple[str, ...] = (),
) -> str:
    """Text of a conda environment: Python and `more` from conda, all other `pins` from pip."""
    lines = [f"name: {name}", "channels:", *(f"  - {channel}" for channel in channels)]
    lines += ["dependencies:", f"  - python={OLDEST_PYTHON}", *(f"  - {p}" for p in more)]
    lines += ["  - pip", "  - pip:", *(f"    - {pin}" for pin in pins)]
    return NOTE + "\n".join(lines) + "\n"


def flirt_environment(pins: list[str]) -> str:
    """Text of flirt.yaml: the environment with FSL's FLIRT, for registration only."""
    return environment(pins, "msp-harmonization-flirt", FSL, ("fsl-flirt",))


def main() -> None:
    pins = resolve(HERE / "requirements.in")
    (HERE / "requirements.txt").write_text(requirements(pins), encoding="utf-8")
    (HERE / "environment.yaml").write_text(environment(pins), encoding="utf-8")
    (HERE / "flirt.yaml").write_text(flirt_environment(pins), encoding="utf-8")
    print(f"{len(pins)} packages pinned")


if __name__ == "__main__":
    main()
