"""One environment: all its files hold the same exact pins, and it is the one that runs here."""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

import lock

PINS = [
    line
    for line in (ROOT / "envs/requirements.txt").read_text().splitlines()
    if not line.startswith("#")
]


def test_pip_and_conda_have_the_same_pins():
    assert (ROOT / "envs/requirements.txt").read_text() == lock.requirements(PINS)
    assert (ROOT / "envs/environment.yaml").read_text() == lock.environment(PINS)
    assert (ROOT / "envs/flirt.yaml").read_text() == lock.flirt_environment(PINS)
    conda = yaml.safe_load((ROOT / "envs/environment.yaml").read_text())
    assert conda["dependencies"][-1]["pip"] == PINS
    flirt = yaml.safe_load((ROOT / "envs/flirt.yaml").read_text())
    assert flirt["dependencies"] == ["python=3.11", "fsl-flirt", *conda["dependencies"][1:]]


def test_every_package_is_pinned_exactly_and_by_its_public_version():
    for pin in PINS:
        assert re.fullmatch(r"[a-z0-9._-]+==[0-9][0-9A-Za-z.]*", pin), pin
    assert "torch==2.13.0" in PINS


def test_what_is_asked_for_is_pinned():
    names = {pin.split("==")[0] for pin in PINS}
    asked = (ROOT / "envs/requirements.in").read_text().splitlines()
    for line in asked:
        if line and not line.startswith("#"):
            assert re.split(r"[\[=]", line)[0] in names


def test_the_installed_packages_are_the_pinned_ones():
    for pin in PINS:
        name, version = pin.split("==")
        assert importlib.metadata.version(name).split("+")[0] == version, name


def setup(python, tmp_path, **environment):
    (tmp_path / "envs").mkdir()
    for name in ("setup.sh", "requirements.txt"):
        (tmp_path / "envs" / name).write_bytes((ROOT / "envs" / name).read_bytes())
    return subprocess.run(
        ["sh", "envs/setup.sh", str(python)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_no_python_gives_one_line(tmp_path):
    result = setup("no-such-python", tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        "error: no-such-python not found: install Python 3.11 or newer, or name it: "
        "make PYTHON=/path/to/python3\n"
    )


def test_an_old_python_gives_one_line(tmp_path):
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.1" && exit\nexit 1\n')
    old.chmod(0o755)
    result = setup(old, tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("error: Python 3.8.1 is too old: Python 3.11 or newer")
    assert len(result.stderr.splitlines()) == 1


def test_no_network_gives_one_line(tmp_path):
    result = setup(
        sys.executable,
        tmp_path,
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL="http://127.0.0.1:9/simple",
        PIP_EXTRA_INDEX_URL="",
        PIP_FIND_LINKS="",
        PIP_NO_CACHE_DIR="1",
        PIP_RETRIES="0",
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: cannot install the packages (no network?)")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / ".venv/installed").exists()


def test_make_gives_snakemake_a_cache_where_the_home_cannot_be_written_to(tmp_path):
    show = ["make", "--no-print-directory", "--eval", "show:;@echo $$XDG_CACHE_HOME", "show"]
    for home, cache in (("/proc/none", f"{ROOT}/.cache"), (str(tmp_path), "")):
        environment = {k: v for k, v in os.environ.items() if k != "XDG_CACHE_HOME"}
        said = subprocess.run(
            show,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env=environment | {"HOME": home},
        )
        assert said.stdout.strip() == cache


@pytest.mark.parametrize("package", ["snakemake", "torch"])
def test_packages_are_compiled(package):
    """Otherwise each of thousands of jobs compiles them again, which doubles its start."""
    source = importlib.util.find_spec(package).origin
    assert Path(importlib.util.cache_from_source(source)).exists()
