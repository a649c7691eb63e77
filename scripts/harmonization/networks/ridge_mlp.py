"""A linear map of the neighbourhood, corrected voxel by voxel."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from harmonization.files import InputError
from harmonization.learning.lattice import BORDER
from harmonization.learning.layers import crop, pixel_shuffle, pixel_unshuffle
from harmonization.learning.network import (
    AuxiliaryLosses,
    FeatureNetwork,
    Network,
    Predictions,
    Task,
    is_of_own_target,
)
from harmonization.settings import Count, Natural


class RidgeMlp(FeatureNetwork):
    """Multi-layer perceptron that corrects a fitted linear map (our choice).

    In each source voxel it sees the coefficients of the source and the r^3 predictions of its
    component, and adds to these. Its last layer starts at zero, so it starts as its component.
    With `context`, it also sees features of the 5^3 neighbourhood, which two convolutions learn.

    Parameters
    ----------
    widths
        Channels of the hidden layers.
    context
        Number of features of the neighbourhood.
    """

    feature_border = 0

    def __init__(
        self,
        task: Task,
        components: dict[str, Network] | None = None,
        *,
        widths: list[Count],
        context: Natural = 0,
    ) -> None:
        super().__init__(task, components)
        if not is_of_own_target(task, self.components):
            raise InputError("builds_on: takes one model, that of its own target")
        (self.linear,) = self.components.values()
        outputs = task.channels * task.r**3
        self.context = None
        if context:
            self.context = nn.Sequential(
                nn.Conv3d(task.channels, context, 3),
                nn.GELU(),
                nn.Conv3d(context, context, 3),
                nn.GELU(),
            )
        layers: list[nn.Module] = []
        for before, after in pairwise([task.channels + outputs + context, *widths]):
            layers += [nn.Conv3d(before, after, 1), nn.GELU()]
        last = nn.Conv3d(widths[-1], outputs, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.correction = nn.Sequential(*layers, last)
        self.feature_channels = widths[-1]

    def features(self, x: Tensor) -> Tensor:
        return self._features(x, self._linear(x))

    def from_features(self, x: Tensor, features: Tensor) -> Tensor:
        return self._corrected(self._linear(x), features)

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        linear = self._linear(x)  # once, as features and output both need it
        return {self.task.target: self._corrected(linear, self._features(x, linear))}, []

    def _linear(self, x: Tensor) -> Tensor:
        return self.linear(x)[self.task.target]

    def _features(self, x: Tensor, linear: Tensor) -> Tensor:
        known = [crop(x, BORDER), pixel_unshuffle(linear, self.task.r)]
        if self.context is not None:
            known.append(self.context(x))
        return self.correction[:-1](torch.cat(known, dim=1))

    def _corrected(self, linear: Tensor, features: Tensor) -> Tensor:
        return linear + pixel_shuffle(self.correction[-1](features), self.task.r)
