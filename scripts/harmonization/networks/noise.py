"""White noise as a prediction."""

import torch
from torch import Tensor

from harmonization.learning.layers import upsample
from harmonization.learning.network import AuxiliaryLosses, Network, Predictions, Task


class Noise(Network):
    """White noise with the target's means and mean variance; it learns nothing else."""

    needs_fit = False

    def __init__(self, task: Task, components: dict[str, Network] | None = None) -> None:
        super().__init__(task, components)
        self.generator = torch.Generator().manual_seed(task.seed)

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        shape = upsample(x, self.task.r).shape
        noise = torch.randn(shape, generator=self.generator).to(x.device)
        return {self.task.target: noise}, []
