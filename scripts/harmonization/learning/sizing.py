"""How large a network is, how much its training computes, and networks made equal in either."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from harmonization.files import InputError
from harmonization.learning.network import Network
from harmonization.learning.training import freeze
from harmonization.learning.weighting import WEIGHTINGS, Losses

TOLERANCE = 0.02  # largest difference between numbers of parameters that count as equal
LARGEST = 1 << 14


def path_parameters(network: Network) -> int:
    """Number of parameters on the path to the prediction, summed over the targets.

    A first-stage head that feeds no prediction is not on the path; it only shapes the training.
    """
    network = copy.deepcopy(network)  # some of its parts may be frozen
    task = network.task
    targets = [task.target] if task.target else list(task.scales)
    parameters = list(network.requires_grad_().parameters())
    if not parameters:
        return 0
    # Which parameters are used does not depend on the size of the window.
    window = torch.zeros(1, task.channels, 11, 11, 11, device=parameters[0].device)
    total = 0
    for target in targets:
        predicted = network.predict(window, target).sum()
        gradients = torch.autograd.grad(predicted, parameters, allow_unused=True)
        used = [p for p, g in zip(parameters, gradients, strict=True) if g is not None]
        total += sum(p.numel() for p in used)
    return total


def training_multiply_adds(network: Network, training: dict[str, Any], window: int) -> int:
    """Number of multiplications with an addition in the steps of a training, forward and back.

    Parameters
    ----------
    network : Network
        Left as it is.
    training : dict
        Settings of the training.
    window : int
        Edge of a patch, source voxels.

    Returns
    -------
    int
        Of convolutions and matrix products; validations are not counted.
    """
    network = copy.deepcopy(network)
    apart = WEIGHTINGS[training.get("weighting", "sum")].apart
    total = 0
    with torch.random.fork_rng():  # dropout draws
        for phase in training["phases"]:
            freeze(network, phase.get("frozen", []))
            parameters = [p for p in network.parameters() if p.requires_grad]
            edges = (window,) * 3
            x = torch.zeros(1, network.task.channels, *edges, device=parameters[0].device)
            with FlopCounterMode(display=False) as counter:
                predictions, auxiliary = network.training_outputs(x)
                errors = {target: output.sum() for target, output in predictions.items()}
                losses = Losses(errors, [(name, output.sum()) for name, output, _ in auxiliary])
                for loss in losses.by_platform().values() if apart else [losses.total()]:
                    if loss.requires_grad:
                        torch.autograd.grad(loss, parameters, retain_graph=apart, allow_unused=True)
            total += counter.get_total_flops() // 2 * training["batch_size"] * phase["steps"]
    return total


def setting_for(wanted: int, size: Callable[[int], int], name: str) -> int:
    """Value of a setting with which a network has as many parameters as another.

    Parameters
    ----------
    wanted : int
        Number of parameters.
    size : callable
        Number of parameters by value; it grows with the value.
    name : str
        Name of the setting in messages.

    Raises
    ------
    InputError
        If no value comes within 2 %.
    """
    low, high = 1, 2
    while size(high) < wanted and high < LARGEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < wanted else (low, middle)
    value = min((low, high), key=lambda v: abs(size(v) - wanted))
    if abs(size(value) - wanted) > TOLERANCE * wanted:
        raise InputError(
            f"matches: no {name} gives the {wanted:,} parameters of the other method: {low} gives "
            f"{size(low):,} and {high} gives {size(high):,}; solve for another setting"
        )
    return value


def lengthened(training: dict[str, Any], factor: float) -> dict[str, Any]:
    """A training with `factor` times as many steps in every phase.

    It can stop as early as the other: a longer one is validated at the same intervals.

    Raises
    ------
    InputError
        If that leaves a phase without steps.
    """
    phases = [
        {key: round(v * factor) if key in ("steps", "warm_up") else v for key, v in phase.items()}
        for phase in training["phases"]
    ]
    for phase in phases:  # rounded apart, they may meet
        if "warm_up" in phase:
            phase["warm_up"] = min(phase["warm_up"], max(phase["steps"] - 1, 0))
    if factor <= 0 or any(phase["steps"] < 1 for phase in phases):
        raise InputError(
            "matches: the other method computes less than the components of this one alone; match "
            "a longer one"
        )
    every = max(1, round(training["validate_every"] * min(factor, 1)))
    return {**training, "phases": phases, "validate_every": every}
