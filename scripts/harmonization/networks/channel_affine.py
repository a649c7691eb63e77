"""A scale and an offset for each coefficient."""

from typing import Any

import torch
from torch import Tensor, nn

from harmonization.learning.layers import upsample
from harmonization.learning.network import AuxiliaryLosses, Network, Predictions, Task
from harmonization.learning.patches import PatchData


class ChannelAffine(Network):
    """A scale and an offset for each coefficient of the upsampled source."""

    def __init__(self, task: Task, components: dict[str, Network] | None = None) -> None:
        super().__init__(task, components)
        self.scale = nn.Parameter(torch.ones(task.channels))
        self.offset = nn.Parameter(torch.zeros(task.channels))

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        shape = (1, -1, 1, 1, 1)
        y = upsample(x, self.task.r) * self.scale.view(shape) + self.offset.view(shape)
        return {self.task.target: y}, []

    def solve(self, training: PatchData, validation: PatchData) -> dict[str, Any]:  # noqa: ARG002
        """Regress each coefficient of the target on the source's, by least squares."""
        sums = torch.zeros(5, self.scale.numel(), dtype=torch.float64)
        for windows, cores in training.batches():
            target, mask = cores[self.task.target]
            x = upsample(windows, self.task.r).double() * mask
            y = target.double() * mask
            terms = [mask.expand_as(x), x, y, x * x, x * y]
            sums += torch.stack([t.sum(dim=(0, 2, 3, 4)) for t in terms])
        n, x, y, xx, xy = sums
        scale = (xy / n - x * y / n**2) / (xx / n - (x / n) ** 2)
        with torch.no_grad():
            self.scale.copy_(scale)
            self.offset.copy_(y / n - scale * x / n)
        return {}
