"""The command `fit`, killed, stopped or without space on its disk."""

import errno
import functools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import FIT_SETTINGS, ROOT, write_fold

from harmonization.files import sha256

SCALES = {"a": 1}
PHASES = [
    {"steps": 60, "learning_rate": 1e-3, "warm_up": 20},
    {"steps": 60, "learning_rate": 3e-4},
]
TRAINING = {"batch_size": 4, "validate_every": 20, "phases": PHASES}
# A line for each step: as nobody reads them, the pipe is full long before the training ends.
TALKATIVE = {
    "training": TRAINING | {"validate_every": 1, "phases": [PHASES[0], PHASES[1] | {"steps": 140}]},
    "width": 8,
}
PIPE = 4096  # bytes, for about 50 lines
MADE = "weights.safetensors", "card.json", "history.csv"
KILLS = 20


@pytest.fixture(scope="module")
def fold(tmp_path_factory):
    rng = np.random.default_rng(7)
    scans = {}
    for subject in "xyz":
        source = rng.standard_normal((14, 14, 14, 6))
        images = {"source": source, "a": 2 * source + 0.1 * source**2}
        scans[subject] = {p: (image, np.ones(image.shape[:3])) for p, image in images.items()}
    return write_fold(tmp_path_factory.mktemp("fold"), scans, SCALES)


@pytest.fixture(scope="module")
def start_in(fold):
    """Start the command for a model of this name in a folder; gives the process."""

    def run(output, name, every="0.02", training=TRAINING, width=100, prefix=()):
        settings = FIT_SETTINGS | {"plugin": "espcn", "training": training}
        settings["settings"] = {"width": width}
        options = {
            "method": "espcn",
            "settings": json.dumps(settings),
            "manifest": fold,
            "target": "a",
            "fold": 0,
            "seed": 0,
            "seeded-as": "espcn",
            "output": output / f"models/{name}",
            "checkpoints": output / f"checkpoints/{name}/a/b",
            "checkpoint-every": every,
        }
        words = [str(word) for option, value in options.items() for word in (f"--{option}", value)]
        return subprocess.Popen(
            [*prefix, sys.executable, ROOT / "scripts/fit.py", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pipesize=PIPE,
        )

    return run


@pytest.fixture
def start(start_in, tmp_path):
    return functools.partial(start_in, tmp_path)


@pytest.fixture(scope="module")
def undisturbed(start_in, tmp_path_factory):
    """Digests of a talkative training that nothing has stopped."""
    output = tmp_path_factory.mktemp("undisturbed")
    finished(start_in(output, "undisturbed", **TALKATIVE))
    return digests(output / "models/undisturbed")


def finished(process):
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return said


def digests(folder):
    return [sha256(folder / name) for name in MADE]


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_bytes(start, tmp_path):
    process = start("undisturbed")
    began = time.monotonic()
    process.stdout.readline()
    first_line = time.monotonic()
    finished(process)
    ended = time.monotonic()
    expected = digests(tmp_path / "models/undisturbed")
    random = np.random.default_rng(3)
    resumed = 0
    for number in range(KILLS):
        process = start(str(number))
        if number % 2:  # half of them while it trains, the others at any time
            process.stdout.readline()
            time.sleep(random.uniform(0, ended - first_line))
        else:
            time.sleep(random.uniform(0, ended - began))
        process.kill()
        process.communicate()
        resumed += "go on after step" in finished(start(str(number)))
        assert digests(tmp_path / f"models/{number}") == expected, number
    assert resumed >= KILLS / 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_one_line_and_a_checkpoint(start, tmp_path, undisturbed, number):
    process = start("stopped", every="1000", **TALKATIVE)
    said = [process.stdout.readline()]
    assert said[0].startswith("espcn a fold 0 seed 0: step 1/200")
    process.send_signal(number)
    said += process.communicate()[0].splitlines()
    assert process.returncode == 1
    assert said[-1].startswith("error: ")
    assert "run it again to go on from there" in said[-1]
    assert not any("Traceback" in line for line in said)
    assert not (tmp_path / "models").exists()
    said = finished(start("stopped", every="1000", **TALKATIVE))
    assert "go on after step" in said
    assert digests(tmp_path / "models/stopped") == undisturbed


@pytest.fixture
def full_disk(tmp_path):
    """A folder with too little space for the weights, a prefix of commands, and what is then said.

    Root mounts a disk of 48 kB. Others limit the size of files, which ends in the same place.
    """
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        yield folder, ("bash", "-c", 'ulimit -f 48; exec "$@"', "--"), os.strerror(errno.EFBIG)
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", folder], check=True)
    yield folder, (), os.strerror(errno.ENOSPC)
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_gives_one_line_and_no_broken_file(start_in, full_disk):
    folder, prefix, reason = full_disk
    short = TRAINING | {"phases": [{"steps": 4, "learning_rate": 1e-3}]}
    process = start_in(folder, "full", every="0", training=short, prefix=prefix)
    said = process.communicate()[0].splitlines()
    assert process.returncode == 1
    assert said[-1].startswith("error: ")
    assert said[-1].endswith(f"{reason}: '{folder / 'models/full/weights.safetensors'}'")
    assert sum(line.startswith("error: ") for line in said) == 1
    assert sum("no checkpoint could be written" in line for line in said) == 5
    assert not any("Traceback" in line for line in said)
    left = [path for path in folder.rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["history.csv"]
