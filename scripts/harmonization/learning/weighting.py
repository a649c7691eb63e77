"""Loss weighting: how a network of several outputs learns from the losses of all of them.

A weighting knows losses and parameters, not networks, so any weighting goes with any network.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# Gradients of the losses with respect to one parameter; None where a loss does not depend on it.
Gradients = tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Losses:
    """Losses on a batch of patches.

    Parameters
    ----------
    errors : dict of str to Tensor
        Mean patch MSE of each prediction, by platform.
    auxiliary : list of (str, Tensor)
        The network's auxiliary losses, by platform and times their weights.
    """

    errors: dict[str, Tensor]
    auxiliary: list[tuple[str, Tensor]]

    def total(self) -> Tensor:
        """Sum of all losses."""
        total = sum(self.errors.values())
        for _, loss in self.auxiliary:
            total = total + loss
        return total

    def by_platform(self) -> dict[str, Tensor]:
        """One loss for each platform, to which auxiliary losses are added: they are of its scan."""
        losses = dict(self.errors)
        for platform, loss in self.auxiliary:
            losses[platform] = losses[platform] + loss if platform in losses else loss
        return losses


class Weighting(ABC):
    """What makes one gradient of several losses.

    Parameters
    ----------
    platforms : sequence of str
        Platforms that the network predicts.
    device : torch.device
        Device of the losses.
    """

    apart = False  # True if each platform's loss goes back through the network on its own

    def __init__(self, platforms: Sequence[str], device: torch.device) -> None:
        self.platforms, self.device = list(platforms), device

    def groups(self, rate: float) -> list[dict[str, Any]]:  # noqa: ARG002
        """Parameter groups of its own for the optimiser of a network that learns at `rate`."""
        return []

    @abstractmethod
    def backward(self, losses: Losses, parameters: list[nn.Parameter]) -> None:
        """Set the gradients of the network's learning `parameters`, and of its own."""

    def report(self) -> dict[str, Any]:
        """What the card of a trained model reports."""
        return {}

    def state(self) -> dict[str, Any]:
        """Tensors and numbers with which `restore` goes on."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Go on from a state, before the optimiser is made."""


class Sum(Weighting):
    """All losses count alike."""

    def backward(self, losses: Losses, parameters: list[nn.Parameter]) -> None:  # noqa: ARG002
        losses.total().backward()


class Uncertainty(Weighting):
    """Each loss counts by the noise that the model learns to expect in it (Kendall, CVPR 2018).

    The loss is the sum of exp(-s) L + s over the platforms, twice that of the paper for regression,
    which is the same to Adam. The learned s is best at log L, where each loss counts by 1 / L. It
    starts at the log of its first loss, so that no platform leads because of where s starts.
    """

    # Adam moves a value by its rate in a step at most. At the network's own rate, s would fall
    # behind the losses, all platforms' alike, and weigh like `sum`.
    SPEED = 20
    LEAST = 1e-6  # a prediction that starts perfect must not weigh infinitely much

    def __init__(self, platforms: Sequence[str], device: torch.device) -> None:
        super().__init__(platforms, device)
        self.s = nn.Parameter(torch.zeros(len(self.platforms), device=device))
        self.started = False

    def groups(self, rate: float) -> list[dict[str, Any]]:
        return [{"params": [self.s], "lr": self.SPEED * rate, "weight_decay": 0.0}]

    def backward(self, losses: Losses, parameters: list[nn.Parameter]) -> None:  # noqa: ARG002
        found = losses.by_platform()
        values = torch.stack([found[platform] for platform in self.platforms])
        if not self.started:
            self.s.data.copy_(values.detach().clamp_min(self.LEAST).log())
            self.started = True
        (torch.exp(-self.s) * values + self.s).sum().backward()

    def report(self) -> dict[str, Any]:
        """Weight exp(-s) of each platform's loss after the last step."""
        return {"weights": dict(zip(self.platforms, torch.exp(-self.s).tolist(), strict=True))}

    def state(self) -> dict[str, Any]:
        return {"s": self.s, "started": self.started}

    def restore(self, state: dict[str, Any]) -> None:
        self.s.data.copy_(state["s"])
        self.started = state["started"]


class Upgrad(Weighting):
    """No platform's gradient works against another's (UPGrad; Quinton & Rey 2024, by torchjd).

    Each gradient is projected to where it harms no other loss, and the projections are summed, so
    gradients that agree are summed as they are. Only gradients of parameters that several losses
    share can conflict; a parameter of one loss alone follows that loss.
    """

    apart = True

    def __init__(self, platforms: Sequence[str], device: torch.device) -> None:
        super().__init__(platforms, device)
        # Half a second to import, which other trainings need not spend.
        from torchjd.aggregation import UPGradWeighting
        from torchjd.linalg import QuadprogProjector

        # By default, torchjd projects nothing where gradients are below 0.01, as ours may be.
        self.weigh = UPGradWeighting(projector=QuadprogProjector(norm_eps=1e-30))
        self.steps = self.conflicts = 0
        self.weights = dict.fromkeys(self.platforms, 0.0)

    def backward(self, losses: Losses, parameters: list[nn.Parameter]) -> None:
        learning = {p: loss for p, loss in losses.by_platform().items() if loss.requires_grad}
        rows = [
            torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            for loss in learning.values()
        ]
        columns = list(zip(*rows, strict=True))
        products = gramian([c for c in columns if is_shared(c)], len(rows), self.device)
        # torchjd gives the mean of the projections.
        weights = (len(rows) * self.weigh(products)).tolist()
        for parameter, column in zip(parameters, columns, strict=True):
            combine(parameter, column, weights if is_shared(column) else [1.0] * len(rows))
        self.steps += 1
        self.conflicts += bool((products < 0).any())
        for platform, weight in zip(learning, weights, strict=True):
            self.weights[platform] += weight

    def report(self) -> dict[str, Any]:
        """Mean weight of each platform's gradient, and the share of steps with a conflict."""
        steps = max(self.steps, 1)
        means = {platform: weight / steps for platform, weight in self.weights.items()}
        return {"weights": means, "conflicts": self.conflicts / steps}

    def state(self) -> dict[str, Any]:
        return {"steps": self.steps, "conflicts": self.conflicts, "weights": self.weights}

    def restore(self, state: dict[str, Any]) -> None:
        self.steps, self.conflicts = state["steps"], state["conflicts"]
        self.weights = state["weights"]


def is_shared(gradients: Gradients) -> bool:
    """Whether several losses depend on a parameter."""
    return sum(gradient is not None for gradient in gradients) > 1


def gramian(columns: list[Gradients], losses: int, device: torch.device) -> Tensor:
    """Scalar products of the gradients of all pairs of losses.

    Parameters
    ----------
    columns : list of tuple
        Gradients with respect to each parameter.
    losses : int
    device : torch.device
        Device of the gradients.

    Returns
    -------
    Tensor of float64, shape (losses, losses)
        On the CPU, where weights are found: one transfer for all parameters.
    """
    products = torch.zeros(losses, losses, dtype=torch.float64, device=device)
    for gradients in columns:
        nothing = torch.zeros_like(next(g for g in gradients if g is not None))
        rows = torch.stack([nothing if g is None else g for g in gradients]).double()
        rows = rows.reshape(losses, -1)  # a parameter may be a single number
        products += rows @ rows.T
    return products.cpu()


def combine(parameter: nn.Parameter, gradients: Gradients, weights: list[float]) -> None:
    """Make the weighted sum of gradients that of a parameter; leave one without gradients alone."""
    known = [(w, g) for w, g in zip(weights, gradients, strict=True) if g is not None]
    if known:
        # In the memory layout of the parameter, as the fused optimiser expects.
        parameter.grad = torch.zeros_like(parameter)
        for weight, gradient in known:
            parameter.grad.add_(gradient, alpha=weight)


WEIGHTINGS: dict[str, type[Weighting]] = {
    "sum": Sum,
    "uncertainty": Uncertainty,
    "upgrad": Upgrad,
}
