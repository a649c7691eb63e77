"""Multi-task network of single-task networks that exchange features: cross-stitch."""

import copy

import torch
from torch import Tensor, nn

from harmonization.files import InputError
from harmonization.learning.layers import ACTIVATIONS
from harmonization.learning.network import (
    AuxiliaryLosses,
    Network,
    Predictions,
    SingleTask,
    Task,
    of_each_target,
)
from harmonization.settings import Share

EDGES = (5, 5, 5)  # of a patch that every stage takes


class CrossStitch(Network):
    """Networks of all targets that mix their features channel by channel (Misra 2016).

    After each stage, which ends in an activation, every network goes on with a weighted sum of its
    own features and those of the others; the weights are learned.

    Parameters
    ----------
    own
        Weight of a network's own features at the start; the others share the rest.
    """

    def __init__(
        self, task: Task, components: dict[str, Network] | None = None, *, own: Share
    ) -> None:
        super().__init__(task, components)
        networks = of_each_target(task, components)
        if not all(isinstance(network, SingleTask) for network in networks.values()):
            raise InputError("builds_on: takes networks with features, such as espcn")
        self.networks = nn.ModuleDict(networks)
        self.stages = {target: stages(n) for target, n in networks.items()}
        channels = [channels_of(found, task.channels) for found in self.stages.values()]
        if any(other != channels[0] for other in channels):
            raise InputError(
                "builds_on: takes networks of one architecture and width, whose features are mixed "
                f"stage by stage; these have {' and '.join(map(str, channels))} features"
            )
        self.mixing = nn.ModuleList(self.mixer(number, own) for number in channels[0])

    def mixer(self, channels: int, own: float) -> nn.Module:
        """What mixes the features (n, `channels`, x, y, z) of all networks after a stage."""
        return ChannelMixer(len(self.networks), channels, own)

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Last features of every network, by target."""
        states = [x] * len(self.networks)
        of_all = zip(*self.stages.values(), strict=True)
        for of_each, mixer in zip(of_all, self.mixing, strict=True):
            states = mixer([stage(s) for stage, s in zip(of_each, states, strict=True)])
        return dict(zip(self.networks, states, strict=True))

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        features = self.features(x)
        networks = self.networks.items()
        return {target: n.from_features(x, features[target]) for target, n in networks}, []

    def predict(self, x: Tensor, target: str) -> Tensor:
        return self.networks[target].from_features(x, self.features(x)[target])


class ChannelMixer(nn.Module):
    """Weighted sums of the features of all networks, with a weight for each channel."""

    def __init__(self, networks: int, channels: int, own: float) -> None:
        super().__init__()
        weights = start_of_mixing(networks, own)[..., None].repeat(1, 1, channels)
        self.weights = nn.Parameter(weights)

    def forward(self, states: list[Tensor]) -> list[Tensor]:
        """Mix features (n, c, x, y, z), one tensor for each network."""
        weights = self.weights[..., None, None, None]
        return [sum(w * s for w, s in zip(row, states, strict=True)) for row in weights]


def start_of_mixing(networks: int, own: float) -> Tensor:
    """Weights (`networks`, `networks`) of the features of one network in those of another.

    Without others, a network keeps its features as they are.
    """
    if networks == 1:
        return torch.ones(1, 1)
    return torch.full((networks, networks), (1 - own) / (networks - 1)).fill_diagonal_(own)


def stages(network: SingleTask) -> list[nn.Sequential]:
    """Layers of a network's features in groups that end in an activation; the last may not."""
    groups: list[list[nn.Module]] = [[]]
    for layer in network.features:
        groups[-1].append(layer)
        if isinstance(layer, ACTIVATIONS):
            groups.append([])
    return [nn.Sequential(*group) for group in groups if group]


@torch.no_grad()
def channels_of(found: list[nn.Sequential], channels: int) -> list[int]:
    """Number of channels after each stage, of which the first takes `channels`."""
    numbers = []
    device = next(nn.ModuleList(found).parameters()).device
    for stage in copy.deepcopy(found):  # it is run, and nothing in it may change
        x = torch.zeros(1, channels, *EDGES, device=device)
        channels = stage.eval()(x).shape[1]
        numbers.append(channels)
    return numbers
