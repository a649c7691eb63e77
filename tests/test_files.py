"""Commands, their logs and the console."""

import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

COMMAND = """
import os, sys
from harmonization.files import InputError, run_command, tell
def main():
    tell(sys.argv[1])
    if sys.argv[1] == "refused":
        raise InputError("a.nii: is empty")
    if sys.argv[1] == "broken":
        raise KeyError(3)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), 9)
run_command(main)
"""


@pytest.fixture
def attempt(tmp_path):
    """Run a command as a rule does; gives its exit status and what the console shows."""
    logs = tmp_path / "logs/fit"
    logs.mkdir(parents=True)

    def run(word, log="a [1].log"):
        (logs / log).unlink(missing_ok=True)  # as Snakemake does before each attempt
        shell = f"CONSOLE=/dev/fd/3 {sys.executable} -c '{COMMAND}' {word} 3>&1 &> '{logs / log}'"
        paths = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "SLURM_JOB_ID": "7"}
        result = subprocess.run(
            ["bash", "-c", shell], capture_output=True, text=True, check=False, env=paths
        )
        assert "error" not in result.stderr
        return result.returncode, result.stdout

    return run


def test_the_log_of_every_attempt_that_failed_is_kept(attempt, tmp_path):
    logs = tmp_path / "logs/fit"
    assert attempt("broken") == (1, "broken\n")
    assert attempt("refused") == (1, "refused\n")
    assert attempt("killed") == (137, "killed\n")
    assert attempt("fine") == (0, "fine\n")
    kept = [logs / f"a [1].attempt-{n}.log" for n in (1, 2, 3)]
    assert sorted(logs.iterdir()) == sorted([*kept, logs / "a [1].log"])
    started = r"Started \d{4}-\d\d-\d\dT[\d:+-]+ on \S+, Slurm job 7\n"
    for path, end in zip(
        kept, ("KeyError: 3\n", "error: a.nii: is empty\n", "killed\n"), strict=True
    ):
        text = path.read_text()
        assert re.match(started, text)
        assert text.endswith(end)
    assert re.fullmatch(started + "fine\n", (logs / "a [1].log").read_text())


def test_no_log_is_kept_that_is_not_a_rules(attempt, tmp_path):
    assert attempt("broken", "messages.txt")[0] == 1
    assert [path.name for path in (tmp_path / "logs/fit").iterdir()] == ["messages.txt"]


def test_a_console_that_is_gone_ends_nothing():
    paths = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "CONSOLE": "/nowhere/console"}
    command = [sys.executable, "-c", COMMAND, "fine"]
    assert subprocess.check_output(command, text=True, env=paths) == "fine\n"


def test_cleaning_keeps_downloads_and_what_snakemake_knows_of_them(tmp_path):
    """Also where `results` is a link, as on clusters."""
    (tmp_path / "results").symlink_to(tmp_path / "scratch")
    for file in ("scratch/downloads/scan", "scratch/run/table", ".snakemake/metadata/scan"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    (tmp_path / ".snakemake/locks").mkdir()
    done = subprocess.run(["make", "-f", ROOT / "Makefile", "clean"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"scratch/downloads/scan", ".snakemake/metadata/scan"}
    assert [path.name for path in (tmp_path / ".snakemake").iterdir()] == ["metadata"]
