"""Multi-task network in two stages: cascade."""

import torch
from torch import Tensor, nn

from harmonization.learning.layers import pixel_shuffle, pixel_unshuffle
from harmonization.learning.network import (
    AuxiliaryLosses,
    Network,
    Predictions,
    Task,
    of_each_target,
)
from harmonization.settings import Count, NonNegative


class Cascade(Network):
    """Predictions of all targets feed a second stage that corrects each of them (our choice).

    In each source voxel the second stage sees the predictions of the first for all targets, those
    of a finer target as further channels. Its last layers start at zero, so the network starts as
    its components. Unlike the MSP, it passes on predictions and no features.

    Parameters
    ----------
    width
        Channels of the second stage.
    first_stage_weight
        Weight of each component's first-stage error in the loss.
    """

    def __init__(
        self,
        task: Task,
        components: dict[str, Network] | None = None,
        *,
        width: Count,
        first_stage_weight: NonNegative,
    ) -> None:
        super().__init__(task, components)
        self.first_stage_weight = first_stage_weight
        networks = of_each_target(task, components)
        self.first_stage = nn.ModuleDict(networks)
        sizes = {target: task.channels * n.task.r**3 for target, n in networks.items()}
        self.trunk = nn.Sequential(
            nn.Conv3d(sum(sizes.values()), width, 1),
            nn.GELU(),
            nn.Conv3d(width, width, 1),
            nn.GELU(),
        )
        self.heads = nn.ModuleDict({t: nn.Conv3d(width, size, 1) for t, size in sizes.items()})
        for head in self.heads.values():
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        first, features = self._first(x)
        predictions = {target: self._second(first, features, target) for target in first}
        losses = [(target, y, self.first_stage_weight) for target, y in first.items()]
        return predictions, losses

    def predict(self, x: Tensor, target: str) -> Tensor:
        first, features = self._first(x)
        return self._second(first, features, target)

    def _first(self, x: Tensor) -> tuple[Predictions, Tensor]:
        """Predictions of the first stage, and what the second makes of all of them."""
        first = {target: n(x)[target] for target, n in self.first_stage.items()}
        scales = self.task.scales
        joint = [pixel_unshuffle(prediction, scales[t]) for t, prediction in first.items()]
        return first, self.trunk(torch.cat(joint, dim=1))

    def _second(self, first: Predictions, features: Tensor, target: str) -> Tensor:
        correction = self.heads[target](features)
        return first[target] + pixel_shuffle(correction, self.task.scales[target])
