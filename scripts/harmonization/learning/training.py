"""The training loop: it knows networks and patches, not methods."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from harmonization.files import InputError
from harmonization.learning.layers import ACTIVATIONS, copy_state
from harmonization.learning.network import Network
from harmonization.learning.patches import Cores, PatchData, patch_mse
from harmonization.learning.weighting import WEIGHTINGS, Losses, Weighting


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

    Raises
    ------
    InputError
        If the loss is not finite; the message names the patches of that batch.
    """
    order = batches(len(training), settings["batch_size"], seed)
    phases = settings["phases"]
    total = sum(phase["steps"] for phase in phases)
    best = Progress(0, 0, 0.0, math.nan, validate(network, validation, precision))
    history, weights = [best], copy_state(network)
    kind = WEIGHTINGS[settings.get("weighting", "sum")]
    weighting = kind(list(network.task.scales), training.source.device)
    started, step = time.monotonic(), 0
    for number, phase in enumerate(phases, start=1):
        network.load_state_dict(weights)
        freeze(network, phase.get("frozen", []))
        adam = torch.optim.AdamW(
            [{"params": learning(network)}, *weighting.groups(phase["learning_rate"])],
            lr=phase["learning_rate"],
            weight_decay=settings.get("weight_decay", 0.0),
            fused=True,
        )
        rates = schedule(adam, phase["steps"], phase.get("warm_up", 0))
        errors = []
        for step_of_phase in range(1, phase["steps"] + 1):
            step += 1
            chosen = next(order)
            errors.append(
                training_step(network, training, chosen, adam, step, precision, weighting)
            )
            rate = rates.get_last_lr()[0]
            rates.step()
            if step_of_phase % settings["validate_every"] and step_of_phase != phase["steps"]:
                continue
            mean_error = sum(errors) / len(errors)
            error = validate(network, validation, precision)
            row = Progress(step, number, rate, mean_error, error)
            # validate() left all parts in evaluation mode, where only the frozen ones belong.
            freeze(network, phase.get("frozen", []))
            history.append(row)
            errors.clear()
            if row.validation_mse < best.validation_mse:
                best, weights = row, copy_state(network)
            left = (time.monotonic() - started) / step * (total - step)
            report(
                f"step {step}/{total}  training {row.training_mse:.4f}  "
                f"validation {row.validation_mse:.4f}  {left:.0f} s left"
            )
    network.load_state_dict(weights)
    network.eval()
    return Training(history, best, weighting.report())


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
        raise InputError(
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


def training_loss(
    network: Network, windows: Tensor, cores: Cores, precision: torch.dtype = torch.float32
) -> tuple[Tensor, list[Tensor]]:
    """Loss on a batch of patches if all count alike, and the mean patch MSE of each prediction.

    The parameters are those of `batch_losses`.
    """
    losses = batch_losses(network, windows, cores, precision)
    return losses.total(), list(losses.errors.values())


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
    """Put a network into training mode, except for its `frozen` parts."""
    network.train()
    network.requires_grad_(True)
    for name in frozen:
        network.get_submodule(name).eval().requires_grad_(False)


def batches(number: int, size: int, seed: int) -> Iterator[Tensor]:
    """Yield batches of patch indices endlessly: a new order in each epoch, no incomplete batch."""
    generator = torch.Generator().manual_seed(seed)
    size = min(size, number)
    while True:
        shuffled = torch.randperm(number, generator=generator)
        yield from shuffled[: number // size * size].split(size)
