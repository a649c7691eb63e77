"""Ensemble: predictions of several networks of one target, averaged."""

from typing import Any

import torch
from torch import Tensor, nn

from harmonization.files import InputError
from harmonization.learning.network import AuxiliaryLosses, Network, Predictions, Task
from harmonization.learning.patches import PatchData


class Ensemble(Network):
    """Weighted mean of the predictions of its components, which it leaves as they are.

    The components are models of its own target. Without a fit, all weights are equal.
    """

    needs_fit = False

    def __init__(self, task: Task, components: dict[str, Network] | None = None) -> None:
        super().__init__(task, components)
        targets = {network.task.target for network in self.components.values()}
        if targets != {task.target}:
            raise InputError("builds_on: takes models of its own target; give target: own")
        self.members = nn.ModuleDict(self.components)
        self.weights = nn.Parameter(torch.full((len(self.members),), 1 / len(self.members)))

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        members = self._members(x)
        return {
            self.task.target: sum(w * y for w, y in zip(self.weights, members, strict=True))
        }, []

    def solve(self, training: PatchData, validation: PatchData) -> dict[str, Any]:  # noqa: ARG002
        """Weights of least squared error on the validation subjects.

        On the training subjects, a member's error says more of how long it was trained.
        """
        count = len(self.members)
        gram = torch.zeros(count, count, dtype=torch.float64)
        cross = torch.zeros(count, dtype=torch.float64)
        with torch.no_grad():
            for windows, cores in validation.batches():
                target, mask = cores[self.task.target]
                inside = mask.expand_as(target) > 0
                y = torch.stack([member[inside] for member in self._members(windows)]).double()
                gram += y @ y.T
                cross += y @ target[inside].double()
            found = torch.linalg.lstsq(gram, cross[:, None], driver="gelsd")
            self.weights.copy_(found.solution[:, 0])
        return {"weights": dict(zip(self.members, self.weights.tolist(), strict=True))}

    def _members(self, x: Tensor) -> list[Tensor]:
        return [network(x)[self.task.target] for network in self.members.values()]
