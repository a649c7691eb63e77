"""Resolve requirements.in into exact pins: requirements.txt for pip, environment.yaml for conda.

Both files come from one resolution, so they cannot differ. Run by ``make lock``, with the Python
that users shall have at least.
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOTE = "# Made by `make lock` from requirements.in; do not edit.\n"
OLDEST_PYTHON = "3.11"


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


def environment(pins: list[str]) -> str:
    """Text of environment.yaml: Python from conda, every package by the same pins from pip."""
    head = "name: msp-harmonization\nchannels:\n  - conda-forge\ndependencies:\n"
    lines = "".join(f"    - {pin}\n" for pin in pins)
    return f"{NOTE}{head}  - python={OLDEST_PYTHON}\n  - pip\n  - pip:\n{lines}"


def main() -> None:
    pins = resolve(HERE / "requirements.in")
    (HERE / "requirements.txt").write_text(requirements(pins))
    (HERE / "environment.yaml").write_text(environment(pins))
    print(f"{len(pins)} packages pinned")


if __name__ == "__main__":
    main()
