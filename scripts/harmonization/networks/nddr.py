"""Multi-task network of single-task networks that exchange features: NDDR."""

import torch
from torch import Tensor, nn

from harmonization.learning.network import Network, Task
from harmonization.networks.cross_stitch import CrossStitch, start_of_mixing
from harmonization.settings import Share


class Nddr(CrossStitch):
    """Networks of all targets that reduce their joint features (NDDR-CNN, Gao 2019).

    Like cross-stitch, but every channel of a network may draw on all channels of all networks. Our
    choice: no normalisation after the mixing.

    Parameters
    ----------
    own
        Weight of a network's own features at the start; the others share the rest.
    """

    def __init__(
        self, task: Task, components: dict[str, Network] | None = None, *, own: Share
    ) -> None:
        super().__init__(task, components, own=own)

    def mixer(self, channels: int, own: float) -> nn.Module:
        return JointMixer(len(self.networks), channels, own)


class JointMixer(nn.Module):
    """A 1^3 convolution of the features of all networks for each network."""

    def __init__(self, networks: int, channels: int, own: float) -> None:
        super().__init__()
        self.reductions = nn.ModuleList()
        for row in start_of_mixing(networks, own):
            reduction = nn.Conv3d(networks * channels, channels, 1)
            start = torch.cat([weight * torch.eye(channels) for weight in row], dim=1)
            with torch.no_grad():
                reduction.weight.copy_(start[..., None, None, None])
                reduction.bias.zero_()
            self.reductions.append(reduction)

    def forward(self, states: list[Tensor]) -> list[Tensor]:
        """Mix features (n, c, x, y, z), one tensor for each network."""
        joint = torch.cat(states, dim=1)
        return [reduction(joint) for reduction in self.reductions]
