"""The Multi-Stage Prediction network (MSP)."""

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from harmonization.files import InputError
from harmonization.learning.layers import Upscale, pixel_unshuffle
from harmonization.learning.network import (
    AuxiliaryLosses,
    FeatureNetwork,
    Network,
    Predictions,
    Task,
)
from harmonization.learning.patches import PatchData
from harmonization.settings import Count, NonNegative


class MultiStage(Network):
    """Multi-Stage Prediction network for one target (Blumberg 2019).

    The last features of the other components pass through additional networks, the branches. Their
    outputs are combined linearly with the first-stage prediction of the target's own network, which
    is the first component of that target. A branch ends in a convolution that starts at zero, and
    all weights of the combination start at one, so the network starts as the target's own network.
    Our choice of GELU keeps the branches alive: with ReLU, most of their units died in the first
    steps, and the branches with them.

    Parameters
    ----------
    width
        Channels of the additional networks.
    first_stage_weight
        Weight of each component's first-stage error in the loss.
    weights
        One weight of the combination for each `branch`, or for each of its channels (`channel`).
    branches_read
        What the branches read of a component: its last `features`, or its `predictions`.
    start
        Whether the components start as `trained`, or `random`, as an ablation.
    """

    def __init__(
        self,
        task: Task,
        components: dict[str, Network] | None = None,
        *,
        width: Count,
        first_stage_weight: NonNegative,
        weights: Literal["branch", "channel"] = "branch",
        branches_read: Literal["features", "predictions"] = "features",
        start: Literal["trained", "random"] = "trained",
    ) -> None:
        super().__init__(task, components)
        self.first_stage_weight = first_stage_weight
        self.branches_read, self.inherits = branches_read, start == "trained"
        self.first_stage = nn.ModuleDict(self.components)
        own = [n for n, network in self.components.items() if network.task.target == task.target]
        networks = self.components.values()
        if not own or not all(isinstance(network, FeatureNetwork) for network in networks):
            raise InputError(
                "builds_on: takes networks with features, such as espcn, one of them of its target"
            )
        self.own = own[0]
        self.branches = nn.ModuleDict(
            {
                name: self._branch(component, width)
                for name, component in self.first_stage.items()
                if name != self.own
            }
        )
        shape = (1, task.channels, 1, 1, 1) if weights == "channel" else ()
        self.weights = nn.ParameterDict(
            {name: nn.Parameter(torch.ones(shape)) for name in self.first_stage}
        )

    def _branch(self, component: FeatureNetwork, width: int) -> nn.Sequential:
        of_prediction = component.task.channels * component.task.r**3
        before = component.feature_channels if self.branches_read == "features" else of_prediction
        last = Upscale(width, self.task.channels, self.task.r)
        nn.init.zeros_(last.conv.weight)
        nn.init.zeros_(last.conv.bias)
        return nn.Sequential(
            nn.Conv3d(before, width, 3, padding=1),
            nn.GELU(),
            nn.Conv3d(width, width, 1),
            nn.GELU(),
            last,
        )

    def initialise_from(self, components: dict[str, Network]) -> None:
        if self.inherits:
            super().initialise_from(components)

    def contributions(
        self, x: Tensor, predicted: Iterable[str]
    ) -> tuple[Predictions, dict[str, Tensor]]:
        """First-stage predictions of `predicted`, and what each component adds to the second stage.

        The target's own network must be among them: its prediction is its contribution.
        """
        features = {name: n.features(x) for name, n in self.first_stage.items()}
        needed = predicted if self.branches_read == "features" else self.first_stage
        first = {n: self.first_stage[n].from_features(x, features[n]) for n in needed}
        # In float32: bfloat16 has no weight between 0.996 and 1, and training moves them by less.
        second = {self.own: self.weights[self.own] * first[self.own].float()}
        for name, branch in self.branches.items():
            known = self._known(name, features, first)
            second[name] = self.weights[name] * branch(known).float()
        return first, second

    def _known(self, name: str, features: Predictions, first: Predictions) -> Tensor:
        """What a branch reads, on the source's grid, with the border that it consumes."""
        component = self.first_stage[name]
        if self.branches_read == "features":
            known, border = features[name], component.feature_border
        else:
            known, border = pixel_unshuffle(first[name], component.task.r), 0
        # Beyond that, a branch sees zeros, inside a patch as at its edge.
        return known if border else functional.pad(known, 6 * (1,))

    def forward(self, x: Tensor) -> Predictions:
        _, second = self.contributions(x, [self.own])
        return {self.task.target: sum(second.values())}

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        # The first-stage error of a frozen network is constant: computing it only costs time.
        learning = [
            name
            for name, component in self.first_stage.items()
            if any(parameter.requires_grad for parameter in component.parameters())
        ]
        first, second = self.contributions(x, dict.fromkeys([self.own, *learning]))
        losses = [
            (self.first_stage[name].task.target, first[name], self.first_stage_weight)
            for name in learning
        ]
        return {self.task.target: sum(second.values())}, losses

    @torch.no_grad()
    def report(self, validation: PatchData) -> dict[str, Any]:
        """Root mean square of each contribution to the second stage, relative to the whole.

        A branch's weight alone says nothing, as it trades off against the scale of its network.
        """
        self.eval()
        power: dict[str, float] = {}
        for windows, _ in validation.batches():
            _, second = self.contributions(windows, [self.own])
            for name, values in {**second, "": sum(second.values())}.items():
                power[name] = power.get(name, 0.0) + values.square().sum().item()
        whole = power.pop("")
        return {"contributions": {n: math.sqrt(value / whole) for n, value in power.items()}}
