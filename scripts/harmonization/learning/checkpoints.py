"""Checkpoints of a training: it goes on where it was, as if it had never stopped.

A checkpoint is a safetensors file: its tensors, and all numbers as JSON in its header. Nothing is
ever unpickled. Its name holds the step and the hash of its bytes.
"""

import dataclasses
import hashlib
import json
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from harmonization.files import InputError, whole_file

EVERY = 300.0  # seconds of work that a killed training loses at most
NAME = re.compile(r"step-(\d+)-([0-9a-f]{64})\.safetensors")
SIGNALS = {signal.SIGTERM: "asked to stop", signal.SIGINT: "interrupted"}


class StoppedError(InputError):
    """A training stopped before its end, and keeps what it has done."""


@dataclasses.dataclass
class Checkpoints:
    """Checkpoints of one training in a folder of their own.

    Parameters
    ----------
    folder : Path
    definition : dict
        All that defines the training, as JSON: a checkpoint of another training is refused.
    every : float
        Seconds from one checkpoint to the next.
    report : callable
        Receives a line about what was resumed, refused or could not be written.
    """

    folder: Path
    definition: dict[str, Any]
    every: float = EVERY
    report: Callable[[str], None] = print
    reason: str = dataclasses.field(default="", init=False)

    def __post_init__(self) -> None:
        self.last, self.deadline = time.monotonic(), deadline(os.environ)

    @property
    def key(self) -> str:
        """Hash of what defines the training."""
        return hashlib.sha256(json.dumps(self.definition, sort_keys=True).encode()).hexdigest()

    def newest(self) -> dict[str, Any] | None:
        """State of the newest whole checkpoint of this training, or None; others are refused."""
        for path in self._files():
            try:
                state = self._read(path)
            except InputError as error:
                self.report(f"refuse a checkpoint: {error}")
                continue
            self.report(f"go on after step {state['step']}, from {path}")
            return state
        return None

    def keep(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint if it is time; end the training if it must stop.

        Parameters
        ----------
        state : callable
            Gives the state: nested dicts and lists of tensors, numbers and texts, with ``step``.

        Raises
        ------
        StoppedError
            After a signal, or if the end of the job's time is near.
        """
        if time.time() >= self.deadline:
            self.reason = "the job's time is nearly over"
        if not self.reason and time.monotonic() < self.last + self.every:
            return
        now = state()
        failed = self._try_to_write(now)
        self.last = time.monotonic()
        if self.reason:
            saved = failed or "run it again to go on from there"
            raise StoppedError(f"{self.reason}: stopped after step {now['step']}; {saved}")

    def keep_last(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint of the finished training.

        A job of a cluster may fit several models; if one is interrupted, all are fitted again, and
        then this ends the others at once.
        """
        self._try_to_write(state())

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Let a signal end the training after its step, with a checkpoint."""

        def stop(number: int, _frame: Any) -> None:
            self.reason = SIGNALS[signal.Signals(number)]

        before = {number: signal.signal(number, stop) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _files(self) -> list[Path]:
        """Checkpoints, the newest first."""
        found = [path for path in self.folder.glob("step-*") if NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def _try_to_write(self, state: dict[str, Any]) -> str:
        """Write a checkpoint; say so if that fails."""
        try:
            self._write(state)
        except OSError as error:
            failed = f"no checkpoint could be written ({error})"
            self.report(failed)
            return failed
        return ""

    def _write(self, state: dict[str, Any]) -> None:
        tensors: dict[str, Tensor] = {}
        values = json.dumps(packed(state, tensors))
        content = save(tensors, {"key": self.key, "state": values})
        name = f"step-{state['step']}-{hashlib.sha256(content).hexdigest()}.safetensors"
        with whole_file(self.folder / name) as temporary:
            temporary.write_bytes(content)
        for old in self._files()[2:]:
            old.unlink(missing_ok=True)

    def _read(self, path: Path) -> dict[str, Any]:
        if hashlib.sha256(path.read_bytes()).hexdigest() != NAME.fullmatch(path.name)[2]:
            raise InputError(f"{path}: is damaged")
        try:
            with safe_open(path, "pt") as file:
                header = file.metadata()
                if header["key"] != self.key:
                    raise InputError(f"{path}: is of another training")
                return unpacked(json.loads(header["state"]), file.get_tensor)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: is no checkpoint of this version ({error})") from None


def packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A nested state as JSON, whose tensors are put into `tensors` under a number."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, dict):  # as pairs, because the optimiser numbers its parameters
        return {"dict": [[key, packed(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [packed(item, tensors) for item in value]
    return value


def unpacked(value: Any, tensor: Callable[[str], Tensor]) -> Any:
    """Undo `packed`; tuples become lists."""
    if isinstance(value, dict) and "tensor" in value:
        return tensor(value["tensor"])
    if isinstance(value, dict):
        return {key: unpacked(item, tensor) for key, item in value["dict"]}
    if isinstance(value, list):
        return [unpacked(item, tensor) for item in value]
    return value


def deadline(environment: Mapping[str, str]) -> float:
    """Time, in seconds since the epoch, at which a job must stop to save its state.

    Slurm tells when it will kill a job: from version 23.02 in the job's environment, before that
    by ``squeue``. A tenth of the job's time is kept back, two minutes at most. Without Slurm, or
    without a limit, there is no deadline.
    """
    if "SLURM_JOB_ID" not in environment:
        return math.inf
    try:
        start, end = (float(environment[f"SLURM_JOB_{name}_TIME"]) for name in ("START", "END"))
    except KeyError:
        start, end = times_of_job(environment["SLURM_JOB_ID"])
    return end - min(120.0, (end - start) / 10)


def times_of_job(job: str) -> tuple[float, float]:
    """Start and end of a Slurm job as ``squeue`` says; the end is infinite if it cannot say."""
    command = ["squeue", "--noheader", "--job", job, "--format", "%S %e"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        start, end = (datetime.fromisoformat(word).timestamp() for word in said.stdout.split())
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0.0, math.inf
    return start, end
