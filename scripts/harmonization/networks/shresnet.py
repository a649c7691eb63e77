"""SHResNet: residual blocks with a unit for each order."""

from typing import Literal

import torch
from torch import Tensor, nn

from harmonization.learning.layers import Upscale, sizes_of_orders
from harmonization.learning.network import Network, SingleTask, Task
from harmonization.settings import Count


class OrderBlock(nn.Module):
    """A unit for each order, whose outputs are joined; minus the block's input (Koppers 2018)."""

    def __init__(self, sizes: list[int], width: int, unit_input: str) -> None:
        super().__init__()
        self.sizes = sizes
        self.own = unit_input == "own"
        channels = sum(sizes)
        self.units = nn.ModuleList(
            nn.Sequential(
                nn.Conv3d(size if self.own else channels, width, 3, padding=1),
                nn.ReLU(),
                nn.Conv3d(width, width, 3, padding=1),
                nn.ReLU(),
                nn.Conv3d(width, size, 3, padding=1),
            )
            for size in sizes
        )

    def forward(self, x: Tensor) -> Tensor:
        inputs = x.split(self.sizes, dim=1) if self.own else [x] * len(self.sizes)
        units = [unit(given) for unit, given in zip(self.units, inputs, strict=True)]
        return torch.cat(units, dim=1) - x


class OrderBlocks(nn.Module):
    """Blocks between two convolutions, minus the output of the first of these."""

    def __init__(self, channels: int, blocks: int, width: int, unit_input: str) -> None:
        super().__init__()
        sizes = sizes_of_orders(channels)
        self.first = nn.Conv3d(channels, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(OrderBlock(sizes, width, unit_input) for _ in range(blocks)))
        self.last = nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        return self.last(self.blocks(first)) - first


class Shresnet(SingleTask):
    """Residual blocks with a unit of three convolutions for each order: SHResNet (Koppers 2018).

    Our choice: all convolutions but the last two are padded; these leave the core of the window.

    Parameters
    ----------
    blocks
        Number of residual blocks.
    width
        Channels of the hidden convolutions.
    unit_input
        What a unit takes of its block's input: `all` coefficients, or its `own` order's.
    """

    def __init__(
        self,
        task: Task,
        components: dict[str, Network] | None = None,
        *,
        blocks: Count,
        width: Count,
        unit_input: Literal["all", "own"],
    ) -> None:
        super().__init__(task, components)
        self.feature_channels = width
        self.features = nn.Sequential(
            OrderBlocks(task.channels, blocks, width, unit_input),
            nn.Conv3d(task.channels, width, 3, padding=1),
            nn.ReLU(),
            # Without padding: the same as to crop what a padded one makes, but cheaper.
            nn.Conv3d(width, width, 3),
            nn.ReLU(),
        )
        self.output = Upscale(width, task.channels, task.r)
