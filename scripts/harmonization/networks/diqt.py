"""Deeper IQT (DIQT): ESPCN with reversible residual blocks."""

import torch
from torch import Tensor, nn

from harmonization.files import InputError
from harmonization.learning.layers import Upscale
from harmonization.learning.network import Network, SingleTask, Task
from harmonization.networks.espcn import Espcn
from harmonization.settings import Count


class ReversibleBlock(nn.Module):
    """Reversible residual block on two halves of the channels (Blumberg 2018).

    y1 = x1 + F(x2), y2 = x2 + G(y1). The last convolutions of F and G start at zero, so the block
    starts as the identity (our choice, see `Diqt`).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.f, self.g = self._half(channels // 2), self._half(channels // 2)

    @staticmethod
    def _half(width: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for kernel in (1, 3, 1):
            conv = nn.Conv3d(width, width, kernel, padding=kernel // 2)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
            layers += [nn.BatchNorm3d(width), nn.ReLU(), conv]
        nn.init.zeros_(conv.weight)
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = x.chunk(2, dim=1)
        y1 = x1 + self.f(x2)
        return torch.cat([y1, x2 + self.g(y1)], dim=1)


class Diqt(SingleTask):
    """Deeper IQT, ESPCN-RN-N: N reversible blocks before each convolution (Blumberg 2018).

    Our choice: the blocks start as the identity, and the convolutions may start from a trained
    ESPCN; training then starts at ESPCN's error.

    Parameters
    ----------
    blocks
        Reversible blocks before each convolution.
    """

    feature_channels = 100

    def __init__(
        self, task: Task, components: dict[str, Network] | None = None, *, blocks: Count
    ) -> None:
        super().__init__(task, components)

        def stack(width: int) -> list[nn.Module]:
            return [ReversibleBlock(width) for _ in range(blocks)]

        self.features = nn.Sequential(
            *stack(task.channels),
            nn.Conv3d(task.channels, 50, 3),
            nn.ReLU(),
            *stack(50),
            nn.Conv3d(50, self.feature_channels, 1),
            nn.ReLU(),
            *stack(self.feature_channels),
        )
        self.output = Upscale(self.feature_channels, task.channels, task.r)

    def initialise_from(self, components: dict[str, Network]) -> None:
        """Copy the convolutions of a trained ESPCN."""
        if not components:
            return
        if len(components) != 1 or not isinstance(espcn := next(iter(components.values())), Espcn):
            raise InputError("builds_on: takes one model, an espcn of its own target")
        trained = [m for m in espcn.modules() if isinstance(m, nn.Conv3d)]
        own = [m for m in self.features if isinstance(m, nn.Conv3d)] + [self.output.conv]
        for conv, start in zip(own, trained, strict=True):
            conv.load_state_dict(start.state_dict())
