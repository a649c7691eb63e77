"""The training loop: it knows networks and patches, not methods."""

import bisect
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from harmonization.files import InputError
from harmonization.learning.checkpoints import Checkpoints
from harmonization.learning.layers import ACTIVATIONS, copy_state
from harmonization.learning.network import Network
from harmonization.learning.patches import Cores, PatchData, patch_mse
from harmonization.learning.weighting import WEIGHTINGS, Losses, Weighting


class DivergedError(InputError):
    """The loss of a training is not finite."""


@dataclass(frozen=True)
class Progress:
    """One row of a training's history; errors are patch MSE of normalised images."""

    step: int
    phase: int
    learning_rate: float
    training_mse: float  # mean over the steps since the last row; NaN at step 0
    validation_mse: float


@dataclass(frozen=True)
class Training:
    """Outcome of `train`; the network itself holds the best weights."""

    history: list[Progress]
    best: Progress
    weighting: dict[str, Any] = field(default_factory=dict)  # what the weighting reports


def train(
    network: Network,
    training: PatchData,
    validation: PatchData,
    settings: dict[str, Any],
    seed: int,
    precision: torch.dtype = torch.float32,
    report: Callable[[str], None] = print,
    checkpoints: Checkpoints | None = None,
) -> Training:
    """Train with Adam, a warm-up and a cosine decay in each phase; keep the best on validation.

    The losses are the mean patch MSE of each prediction over the batch, and the network's weighted
    auxiliary losses; the weighting makes one gradient of them. The weights before the first step
    compete too, and each phase starts from the best so far; the weighting goes on as it was.

    Parameters
    ----------
    network : Network
        On the same device as the data; changed in place.
    training, validation : PatchData
    settings : dict
        ``batch_size``, ``validate_every`` (steps), ``weight_decay`` (0 if left out),
        ``weighting`` (one of `WEIGHTINGS`, ``sum`` if left out) and ``phases``: a list of
        ``steps``, ``learning_rate`` and, if wanted, ``warm_up`` (steps) and ``frozen`` (names of
        sub-modules).
    seed : int
        Seed of the order of patches.
    precision : torch.dtype
        What the network computes in; weights, loss and optimiser are float32 throughout.
    report : callable
        Receives a line about each validation.
    checkpoints : Checkpoints, optional
        Where the training goes on if it was stopped, and keeps its state. On the CPU it then ends
        with the same bytes as if it had not been stopped.

    Raises
    ------
    DivergedError
        If the loss is not finite; the message names the patches of that batch.
    StoppedError
        If a signal or the end of the job's time stopped it.
    """
    trainer = Trainer(network, training, validation, settings, seed, precision, report)
    state = checkpoints.newest() if checkpoints else None
    if state:
        trainer.restore(state)
    else:
        trainer.begin()
    with checkpoints.watching() if checkpoints else nullcontext():
        while trainer.step < trainer.total:
            trainer.advance()
            if checkpoints:
                checkpoints.keep(trainer.state)
    if checkpoints:
        checkpoints.keep_last(trainer.state)
    return trainer.finish()


class Trainer:
    """A training in progress, one step at a time; the parameters are those of `train`."""

    def __init__(
        self,
        network: Network,
        training: PatchData,
        validation: PatchData,
        settings: dict[str, Any],
        seed: int,
        precision: torch.dtype,
        report: Callable[[str], None],
    ) -> None:
        self.network, self.training, self.validation = network, training, validation
        self.settings, self.precision, self.report = settings, precision, report
        self.order = batches(len(training), settings["batch_size"], seed)
        self.phases = settings["phases"]
        ends = list(itertools.accumulate(phase["steps"] for phase in self.phases))
        self.total, self.ends = ends[-1], ends
        kind = WEIGHTINGS[settings.get("weighting", "sum")]
        self.weighting = kind(list(network.task.scales), training.source.device)
        self.step, self.errors, self.history = 0, [], []
        self.seconds, self.started = 0.0, time.monotonic()

    def begin(self) -> None:
        """Measure the start, which competes."""
        error = validate(self.network, self.validation, self.precision)
        self.history = [Progress(0, 0, 0.0, math.nan, error)]
        self.weights = copy_state(self.network)

    def advance(self) -> None:
        """Take one step, a phase's first from the best weights so far; validate if it is time."""
        if self.step == 0 or self.step in self.ends:
            self.network.load_state_dict(self.weights)
            self.prepare(self.number_of(self.step))
        chosen = next(self.order)
        self.step += 1
        self.errors.append(
            training_step(
                self.network,
                self.training,
                chosen,
                self.adam,
                self.step,
                self.precision,
                self.weighting,
            )
        )
        rate = self.rates.get_last_lr()[0]
        self.rates.step()
        number = self.number_of(self.step - 1)
        step_of_phase = self.step - (self.ends[number] - self.phases[number]["steps"])
        if step_of_phase % self.settings["validate_every"] == 0 or self.step in self.ends:
            self.look(number, rate)

    def look(self, number: int, rate: float) -> None:
        """Validate; keep the weights if they are the best so far."""
        mean_error = sum(self.errors) / len(self.errors)
        error = validate(self.network, self.validation, self.precision)
        row = Progress(self.step, number + 1, rate, mean_error, error)
        # validate() left all parts in evaluation mode, where only the frozen ones belong.
        freeze(self.network, self.phases[number].get("frozen", []))
        if row.validation_mse < self.best.validation_mse:
            self.weights = copy_state(self.network)
        self.history.append(row)
        self.errors.clear()
        left = self.spent() / self.step * (self.total - self.step)
        self.report(
            f"step {self.step}/{self.total}  training {row.training_mse:.4f}  "
            f"validation {row.validation_mse:.4f}  {left:.0f} s left"
        )

    @property
    def best(self) -> Progress:
        """The first of the rows with the lowest error on validation."""
        return min(self.history, key=lambda row: row.validation_mse)

    def number_of(self, step: int) -> int:
        """Number of the phase, from 0, that takes the step after `step`."""
        return bisect.bisect_right(self.ends, step)

    def prepare(self, number: int) -> None:
        """Make the optimiser and the schedule of a phase."""
        phase = self.phases[number]
        freeze(self.network, phase.get("frozen", []))
        rate = phase["learning_rate"]
        self.adam = torch.optim.AdamW(
            [{"params": learning(self.network)}, *self.weighting.groups(rate)],
            lr=rate,
            weight_decay=self.settings.get("weight_decay", 0.0),
            fused=True,
        )
        self.rates = schedule(self.adam, phase["steps"], phase.get("warm_up", 0))

    def finish(self) -> Training:
        """Give the network the best weights."""
        self.network.load_state_dict(self.weights)
        self.network.eval()
        return Training(self.history, self.best, self.weighting.report())

    def spent(self) -> float:
        """Seconds of training, those before an interruption included."""
        return self.seconds + time.monotonic() - self.started

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, after at least one step."""
        device = self.training.source.device
        return {
            "step": self.step,
            "seconds": self.spent(),
            "errors": self.errors,
            "history": [dataclasses.astuple(row) for row in self.history],
            "network": self.network.state_dict(),
            "best": self.weights,
            "adam": self.adam.state_dict(),
            "rates": self.rates.state_dict(),
            "weighting": self.weighting.state(),
            "random": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where a training of the same settings was."""
        self.step, self.seconds, self.errors = state["step"], state["seconds"], state["errors"]
        self.history = [Progress(*row) for row in state["history"]]
        self.weights = state["best"]
        self.network.load_state_dict(state["network"])
        self.weighting.restore(state["weighting"])
        self.prepare(self.number_of(self.step - 1))
        self.adam.load_state_dict(state["adam"])
        for parameter, moments in self.adam.state.items():
            for name in ("exp_avg", "exp_avg_sq"):
                # In the memory layout of the parameter, as the fused optimiser expects.
                moments[name] = torch.empty_like(parameter).copy_(moments[name])
        self.rates.load_state_dict(state["rates"])
        next(itertools.islice(self.order, self.step - 1, None))
        torch.set_rng_state(state["random"])
        if state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"], self.training.source.device)


def schedule(
    optimiser: torch.optim.Optimizer, steps: int, warm_up: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear rise of the learning rate over the first `warm_up` steps, then a cosine decay to 0.

    Adam's first steps are as large as the rate, whatever the gradient. Without a warm-up they push
    units of a layer that starts at zero, or is fed by one, to where they never move again.
    """

    def share(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up))) / 2

    return torch.optim.lr_scheduler.LambdaLR(optimiser, share)


def training_step(
    network: Network,
    data: PatchData,
    chosen: Tensor,
    optimiser: torch.optim.Optimizer,
    step: int,
    precision: torch.dtype = torch.float32,
    weighting: Weighting | None = None,
) -> float:
    """Take one step on the `chosen` patches; return the mean patch MSE of the predictions.

    Without a `weighting`, all losses count alike.
    """
    losses = batch_losses(network, *data.batch(chosen), precision)
    loss = losses.total()
    if not math.isfinite(loss.item()):
        patches = data.patches[chosen.to(data.patches.device)].tolist()
        raise DivergedError(
            f"training: the loss is {loss.item()} at step {step}, patches (subject, core) "
            f"{patches}; lower the learning rate, or look at these scans"
        )
    optimiser.zero_grad(set_to_none=True)
    if weighting is None:
        loss.backward()
    else:
        weighting.backward(losses, learning(network))
    optimiser.step()
    return sum(e.item() for e in losses.errors.values()) / len(losses.errors)


def batch_losses(
    network: Network, windows: Tensor, cores: Cores, precision: torch.dtype = torch.float32
) -> Losses:
    """Losses on a batch of patches.

    Parameters
    ----------
    network : Network
    windows, cores : Tensor and dict
        As `PatchData.batch` returns them.
    precision : torch.dtype
    """
    with computing_in(precision, windows):
        predictions, auxiliary = network.training_outputs(windows)
    return Losses(
        {t: patch_mse(y, *cores[t]).mean() for t, y in predictions.items()},
        [(t, weight * patch_mse(y, *cores[t]).mean()) for t, y, weight in auxiliary],
    )


def learning(network: nn.Module) -> list[nn.Parameter]:
    """Parameters of a network that are not frozen."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


@torch.no_grad()
def dead_units(network: Network, data: PatchData) -> dict[str, float]:
    """Share of the units of each activation that have the same value in all voxels of all patches.

    Parameters
    ----------
    network : Network
        Put into evaluation mode.
    data : PatchData

    Returns
    -------
    dict of str to float
        By name of the activation's module; a dead unit passes nothing on, and no gradient back.
    """
    network.eval()
    lowest: dict[str, Tensor] = {}
    highest: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[..., None]:
        def look(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
            values = output.movedim(1, 0).flatten(1)
            least, most = values.amin(1), values.amax(1)
            lowest[name] = torch.minimum(lowest.get(name, least), least)
            highest[name] = torch.maximum(highest.get(name, most), most)

        return look

    activations = {n: m for n, m in network.named_modules() if isinstance(m, ACTIVATIONS)}
    watched = [module.register_forward_hook(watch(n)) for n, module in activations.items()]
    try:
        for windows, _ in data.batches():
            network(windows)
    finally:
        for handle in watched:
            handle.remove()
    return {n: float((lowest[n] == highest[n]).float().mean()) for n in activations if n in lowest}


@torch.no_grad()
def validate(network: Network, data: PatchData, precision: torch.dtype = torch.float32) -> float:
    """Mean patch MSE over all patches and platforms, with the network in evaluation mode."""
    network.eval()
    total: dict[str, float] = {}
    for windows, cores in data.batches():
        with computing_in(precision, windows):
            predictions = network(windows)
        for platform, prediction in predictions.items():
            error = patch_mse(prediction, *cores[platform]).sum().item()
            total[platform] = total.get(platform, 0.0) + error
    return sum(total.values()) / len(total) / len(data)


def computing_in(precision: torch.dtype, windows: Tensor) -> torch.autocast:
    """Context in which networks compute in `precision` on the device of `windows`."""
    return torch.autocast(windows.device.type, precision, enabled=precision is not torch.float32)


def freeze(network: nn.Module, frozen: list[str]) -> None:
    """Put a network into training mode, except for its `frozen` parts.

    Raises
    ------
    InputError
        If it has no such part, or nothing else that could learn.
    """
    network.train()
    network.requires_grad_(True)
    parts = [name for name, _ in network.named_children()]
    for name in frozen:
        if name not in dict(network.named_modules()):
            raise InputError(
                f"training.phases.frozen: {type(network).__name__} has no part '{name}'; its parts "
                f"are {', '.join(parts)}"
            )
        network.get_submodule(name).eval().requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise InputError(
            f"training.phases: nothing of {type(network).__name__} is left to train"
            + (f" with {', '.join(frozen)} frozen" if frozen else "; leave out training")
        )


def batches(number: int, size: int, seed: int) -> Iterator[Tensor]:
    """Yield batches of patch indices endlessly: a new order in each epoch, no incomplete batch."""
    generator = torch.Generator().manual_seed(seed)
    size = min(size, number)
    while True:
        shuffled = torch.randperm(number, generator=generator)
        yield from shuffled[: number // size * size].split(size)
