"""Deeper IQT (DIQT): ESPCN with reversible residual blocks."""

import torch
from torch import Tensor, nn

from harmonization.files import InputError
from harmonization.learning.layers import Upscale
from harmonization.learning.network import Network, SingleTask, Task, is_of_own_target
from harmonization.networks.espcn import Espcn
from harmonization.settings import Count


class ReversibleBlock(nn.Module):
    """Reversible residual block on two halves of the channels (Blumberg 2018).

    y1 = x1 + F(x2), y2 = x2 + G(y1). The last convolutions of F and G start at zero, so the block
    starts as the identity (our choice, see `Diqt`).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.halves = (channels + 1) // 2, channels // 2
        first, second = self.halves
        self.f, self.g = self._half(second, first), self._half(first, second)

    @staticmethod
    def _half(before: int, width: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for channels, kernel in ((before, 1), (width, 3), (width, 1)):
            conv = nn.Conv3d(channels, width, kernel, padding=kernel // 2)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
            layers += [nn.BatchNorm3d(channels), nn.ReLU(), conv]
        nn.init.zeros_(conv.weight)
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = x.split(self.halves, dim=1)
        y1 = x1 + self.f(x2)
        return torch.cat([y1, x2 + self.g(y1)], dim=1)


class Diqt(SingleTask):
    """Deeper IQT, ESPCN-RN-N: N reversible blocks before each convolution (Blumberg 2018).

    Our choice: the blocks start as the identity, and the convolutions may start from a trained
    ESPCN; training then starts at ESPCN's error. The blocks are padded with zeros.

    Parameters
    ----------
    blocks
        Reversible blocks before each convolution.
    width
        Channels of the last features; the first convolution has half as many.
    linear_path
        Whether the network corrects a fitted linear map, as that ESPCN does (our choice).
    """

    def __init__(
        self,
        task: Task,
        components: dict[str, Network] | None = None,
        *,
        blocks: Count,
        width: Count = 100,
        linear_path: bool = False,
    ) -> None:
        super().__init__(task, components, linear_path=linear_path)
        if width < 2:
            raise InputError("width: reversible blocks halve the channels; give at least 2")
        self.feature_channels = width
        half = max(width // 2, 2)

        def stack(channels: int) -> list[nn.Module]:
            return [ReversibleBlock(channels) for _ in range(blocks)]

        self.features = nn.Sequential(
            *stack(task.channels),
            nn.Conv3d(task.channels, half, 3),
            nn.ReLU(),
            *stack(half),
            nn.Conv3d(half, width, 1),
            nn.ReLU(),
            *stack(width),
        )
        self.output = Upscale(width, task.channels, task.r)

    def initialise_from(self, components: dict[str, Network]) -> None:
        """Copy the convolutions of a trained ESPCN of the same width, its linear path included."""
        if not components and self.linear is None:
            return
        espcn = next(iter(components.values()), None)
        alone = is_of_own_target(self.task, components)
        own, trained = convolutions(self), convolutions(espcn)
        shapes = [[conv.weight.shape for conv in of_each] for of_each in (own, trained)]
        if not (alone and isinstance(espcn, Espcn)) or shapes[0] != shapes[1]:
            raise InputError(
                "builds_on: takes one model, an espcn of its own target and width, with a linear "
                "path if this has one"
            )
        for conv, start in zip(own, trained, strict=True):
            conv.load_state_dict(start.state_dict())


def convolutions(network: Network | None) -> list[nn.Conv3d]:
    """Convolutions of a network outside its reversible blocks."""
    blocks = [m for m in network.modules() if isinstance(m, ReversibleBlock)] if network else []
    inside = {m for block in blocks for m in block.modules()}
    found = network.modules() if network else []
    return [m for m in found if isinstance(m, nn.Conv3d) and m not in inside]
