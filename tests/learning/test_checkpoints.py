"""A training that stops and goes on ends as if it had never stopped."""

import math
import os
import signal
from datetime import datetime

import pytest
import torch
from conftest import make_patch_data

from harmonization.files import sha256
from harmonization.learning.checkpoints import (
    SIGNALS,
    Checkpoints,
    StoppedError,
    deadline,
    packed,
    unpacked,
)
from harmonization.learning.network import Task
from harmonization.learning.training import train
from harmonization.networks.espcn import Espcn
from harmonization.networks.fcsnet import Fcsnet
from harmonization.networks.hard_sharing import HardSharing
from harmonization.networks.multi_stage import MultiStage

SCALES = {"a": 1, "b": 2}
PHASES = [
    {"steps": 4, "learning_rate": 3e-3, "warm_up": 2},
    {"steps": 5, "learning_rate": 1e-3},
]
SETTINGS = {"batch_size": 3, "validate_every": 3, "phases": PHASES}


class KilledError(Exception):
    """The process is gone."""


class Dying(Checkpoints):
    """Checkpoints of a process that is killed after a step."""

    dies = 0

    def keep(self, state):
        super().keep(state)
        if state()["step"] == self.dies:
            raise KilledError


def espcn():
    return Espcn(Task(3, {"a": 1}, "a", 0))


def dropout():
    return Fcsnet(Task(3, {"a": 1}, "a", 0), widths=[4, 4, 4, 4], dropout=0.5)


def shared():
    return HardSharing(Task(3, SCALES, None, 0))


def msp():
    singles = {t: Espcn(Task(3, {t: r}, t, 0)) for t, r in SCALES.items()}
    return MultiStage(Task(3, SCALES, "a", 0), singles, width=8, first_stage_weight=1.0)


FROZEN = [PHASES[0] | {"frozen": ["first_stage"]}, PHASES[1]]
KINDS = {
    "plain": (espcn, {"weight_decay": 0.1}),
    # Its best weights are not its last.
    "wild": (espcn, {"phases": [PHASES[0], PHASES[1] | {"learning_rate": 10.0}]}),
    "dropout": (dropout, {}),
    "uncertainty": (shared, {"weighting": "uncertainty"}),
    "upgrad": (shared, {"weighting": "upgrad"}),
    "phases": (msp, {"phases": FROZEN}),
}


def quietly(_line):
    pass


def fitted(make, settings, checkpoints=None):
    """State of a trained network, and the outcome."""
    torch.manual_seed(1)
    network = make().to(memory_format=torch.channels_last_3d)
    scales = network.task.scales
    data, validation = (make_patch_data(scales=scales, seed=seed) for seed in (0, 9))
    outcome = train(network, data, validation, settings, 1, report=quietly, checkpoints=checkpoints)
    return network.state_dict(), outcome


def assert_same(first, second):
    (state, outcome), (other, other_outcome) = first, second
    assert state.keys() == other.keys()
    for name, value in state.items():
        assert torch.equal(value, other[name]), name
    # As text, for the first row holds NaN.
    assert str(outcome.history) == str(other_outcome.history)
    assert outcome.weighting == other_outcome.weighting


@pytest.mark.parametrize("kind", KINDS)
def test_killed_after_any_step_it_ends_the_same(tmp_path, kind):
    make, changes = KINDS[kind]
    settings = {**SETTINGS, **changes}
    undisturbed = fitted(make, settings)
    for step in range(1, 10):
        dying = Dying(tmp_path / str(step), {}, every=0, report=quietly)
        dying.dies = step
        with pytest.raises(KilledError):
            fitted(make, settings, dying)
        torch.manual_seed(99)  # another process has other random numbers
        said = []
        again = Checkpoints(tmp_path / str(step), {}, every=0, report=said.append)
        assert_same(fitted(make, settings, again), undisturbed)
        assert said[0].startswith(f"go on after step {step},")


def test_killed_at_every_step_it_ends_the_same(tmp_path):
    """The state is whole again after it was restored."""
    undisturbed = fitted(msp, {**SETTINGS, "phases": FROZEN})
    for step in range(1, 9):
        dying = Dying(tmp_path, {}, every=0, report=quietly)
        dying.dies = step
        with pytest.raises(KilledError):
            fitted(msp, {**SETTINGS, "phases": FROZEN}, dying)
    last = Checkpoints(tmp_path, {}, every=0, report=quietly)
    assert_same(fitted(msp, {**SETTINGS, "phases": FROZEN}, last), undisturbed)


@pytest.fixture
def interrupted(tmp_path):
    """Folder with the two checkpoints of a training that was killed after step 6."""
    dying = Dying(tmp_path / "training", {"seed": 1}, every=0, report=quietly)
    dying.dies = 6
    with pytest.raises(KilledError):
        fitted(espcn, SETTINGS, dying)
    assert len(list(dying.folder.iterdir())) == 2
    return dying.folder


def of_step(folder, step):
    (path,) = folder.glob(f"step-{step}-*")
    return path


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_checkpoint_is_refused_for_the_one_before(interrupted, damage):
    damage(of_step(interrupted, 6))
    said = []
    again = Checkpoints(interrupted, {"seed": 1}, report=said.append)
    assert_same(fitted(espcn, SETTINGS, again), fitted(espcn, SETTINGS))
    assert "is damaged" in said[0]
    assert str(of_step(interrupted, 6)) in said[0]
    assert said[1].startswith("go on after step 5,")


def test_a_checkpoint_of_another_training_is_refused(interrupted):
    said = []
    again = Checkpoints(interrupted, {"seed": 2}, report=said.append)
    assert again.newest() is None
    assert len(said) == 2
    assert all("is of another training" in line for line in said)


def test_a_file_that_is_no_checkpoint_is_refused(interrupted):
    path = of_step(interrupted, 6)
    path.write_bytes(b"{" * 20)
    path.rename(path.with_name(f"step-6-{sha256(path)}.safetensors"))
    said = []
    state = Checkpoints(interrupted, {"seed": 1}, report=said.append).newest()
    assert state["step"] == 5
    assert "is no checkpoint of this version" in said[0]


def test_a_partial_file_is_no_checkpoint(interrupted):
    path = of_step(interrupted, 6)
    path.rename(path.with_name(f".partial-1-{path.name}"))
    assert Checkpoints(interrupted, {"seed": 1}, report=quietly).newest()["step"] == 5


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_training_with_a_checkpoint(tmp_path, number):
    before = signal.getsignal(number)
    checkpoints = Checkpoints(tmp_path / "a/b/c/d", {}, report=quietly)
    steps = []

    def kill(state):
        steps.append(state()["step"])
        if steps[-1] == 7:
            os.kill(os.getpid(), number)
        Checkpoints.keep(checkpoints, state)

    checkpoints.keep = kill
    with pytest.raises(StoppedError, match="after step 7; run it again"):
        fitted(espcn, SETTINGS, checkpoints)
    assert signal.getsignal(number) is before
    again = Checkpoints(tmp_path / "a/b/c/d", {}, report=quietly)
    assert again.newest()["step"] == 7
    assert_same(fitted(espcn, SETTINGS, again), fitted(espcn, SETTINGS))


def test_a_finished_training_that_is_run_again_takes_no_step(tmp_path):
    said = []
    checkpoints = Checkpoints(tmp_path / "training", {}, report=said.append)
    first = fitted(espcn, SETTINGS, checkpoints)
    checkpoints.keep = None
    assert_same(fitted(espcn, SETTINGS, checkpoints), first)
    assert [line[:16] for line in said] == ["go on after step"]


def test_it_stops_by_itself_before_the_jobs_time_is_over(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_START_TIME", "1000")
    monkeypatch.setenv("SLURM_JOB_END_TIME", "2000")
    checkpoints = Checkpoints(tmp_path / "training", {}, report=quietly)
    with pytest.raises(StoppedError, match="nearly over: stopped after step 1; run it again"):
        fitted(espcn, SETTINGS, checkpoints)
    assert of_step(tmp_path / "training", 1)


@pytest.mark.parametrize(
    ("start", "end", "expected"), [("1000", "2000", 1900), ("0", "86400", 86280)]
)
def test_the_deadline_is_what_slurm_says(start, end, expected):
    slurm = {"SLURM_JOB_ID": "7", "SLURM_JOB_START_TIME": start, "SLURM_JOB_END_TIME": end}
    assert deadline(slurm) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("echo 2026-11-27T10:00:00 2026-11-27T11:00:00", 58 * 60),
        ("echo 2026-11-27T10:00:00 NONE", math.inf),
        ("exit 1", math.inf),
        (None, math.inf),
    ],
    ids=["limit", "no limit", "no controller", "no squeue"],
)
def test_an_older_slurm_is_asked(tmp_path, monkeypatch, said, expected):
    if said:
        (tmp_path / "squeue").write_text(f"#!/bin/sh\n{said}\n")
        (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    start = datetime.fromisoformat("2026-11-27T10:00:00").timestamp()
    assert deadline({"SLURM_JOB_ID": "7"}) - start == expected


def test_without_slurm_there_is_no_deadline():
    assert deadline({}) == math.inf


def test_a_checkpoint_that_cannot_be_written_ends_nothing(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    said = []
    checkpoints = Checkpoints(tmp_path / "file/training", {}, every=0, report=said.append)
    assert_same(fitted(espcn, SETTINGS, checkpoints), fitted(espcn, SETTINGS))
    assert len(said) == 10
    assert "no checkpoint could be written" in said[0]


def test_a_state_is_tensors_and_json():
    state = {"a": [1, 0.1, None, True, "text"], 3: {"b": torch.arange(3.0)}, "c": (float("nan"),)}
    tensors = {}
    values = packed(state, tensors)
    assert list(tensors) == ["0"]
    again = unpacked(values, tensors.__getitem__)
    assert again["a"] == state["a"]
    assert torch.equal(again[3]["b"], state[3]["b"])
    assert str(again["c"]) == "[nan]"
