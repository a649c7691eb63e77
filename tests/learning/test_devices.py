"""Each process on a GPU has it for itself, until it dies."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

from harmonization.learning.devices import choose_device

# A process that gets one of two fake GPUs, says which, and keeps it until its input ends.
JOB = """
import sys, tempfile, types, torch
from harmonization.learning import devices
tempfile.tempdir = sys.argv[1]
visible = sys.argv[2:]
torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: len(visible)
torch.cuda.get_device_properties = lambda i: types.SimpleNamespace(uuid=visible[i])
chosen = []
torch.cuda.set_device = chosen.append
for _ in range(2):  # asked twice, it keeps what it has
    assert devices.choose_device(1) == "cuda"
assert torch.are_deterministic_algorithms_enabled()
assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
print("has", *{visible[i] for i in chosen}, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Start a job that sees these GPUs; gives the process."""
    started = []

    def run(*visible):
        process = subprocess.Popen(
            [sys.executable, "-c", JOB, tmp_path, *visible],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def said(process):
    return process.stdout.readline().rstrip()


def test_each_job_gets_a_gpu_and_the_last_waits_for_one(start):
    first, second = start("a", "b"), start("a", "b")
    assert {said(first), said(second)} == {"has a", "has b"}
    third = start("a", "b")
    assert said(third) == "all 2 GPUs are in use; wait for one"
    first.kill()
    first.wait()
    assert said(third) in ("has a", "has b")


def test_a_job_that_sees_one_gpu_of_many_gets_that_one(start):
    """Slurm shows each job its own GPU, always as number 0."""
    first, second = start("a"), start("b")
    assert [said(first), said(second)] == ["has a", "has b"]


def test_without_a_gpu_lent_it_is_the_cpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert choose_device(0) == "cpu"
