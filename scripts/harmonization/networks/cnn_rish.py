"""RISH features, harmonised by a convolutional network."""

import numpy as np
import torch
from torch import Tensor, nn

from harmonization.images.coefficients import Statistics, mean_and_scale
from harmonization.learning.layers import Upscale, sizes_of_orders, upsample
from harmonization.learning.network import AuxiliaryLosses, Network, Predictions, Task
from harmonization.settings import Count

FLOOR = 1e-3  # of an order's mean energy; below it is noise, whose logarithm would be extreme


class CnnRish(Network):
    """A network rescales each order of the source by the square root of a ratio of RISH features.

    The idea is of Cetin Karayumak 2018; layers and loss are our choice. From the maps of the
    source's energy in each order the network predicts the logarithm of how many times as much the
    target has, and all coefficients of an order are rescaled alike, in raw units. Its last layer
    starts at zero, so the network starts as the source itself.

    Parameters
    ----------
    width
        Channels of the hidden layers.
    """

    def __init__(
        self, task: Task, components: dict[str, Network] | None = None, *, width: Count
    ) -> None:
        super().__init__(task, components)
        self.sizes = sizes_of_orders(task.channels)
        orders = len(self.sizes)
        for name in ("source", "target"):
            self.register_buffer(f"{name}_mean", torch.zeros(task.channels))
            self.register_buffer(f"{name}_scale", torch.ones(()))
        self.register_buffer("mean_energy", torch.tensor(self.sizes, dtype=torch.float32))
        last = Upscale(width, orders, task.r)
        nn.init.zeros_(last.conv.weight)
        nn.init.zeros_(last.conv.bias)
        self.log_ratio = nn.Sequential(
            nn.Conv3d(orders, width, 3), nn.GELU(), nn.Conv3d(width, width, 1), nn.GELU(), last
        )

    def know_units(self, source: Statistics, targets: dict[str, Statistics]) -> None:
        for name, statistics in (("source", source), ("target", targets[self.task.target])):
            mean, scale = mean_and_scale(statistics)
            self.get_buffer(f"{name}_mean").copy_(torch.from_numpy(mean))
            self.get_buffer(f"{name}_scale").fill_(scale.item())
        squares = np.square(source["mean"]) + np.square(source["std"])
        energy = [order.sum() for order in np.split(squares, np.cumsum(self.sizes)[:-1])]
        self.mean_energy.copy_(torch.tensor(energy))

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        shape = (1, -1, 1, 1, 1)
        raw = x * self.source_scale + self.source_mean.view(shape)
        orders = raw.split(self.sizes, dim=1)
        energy = torch.cat([c.square().sum(dim=1, keepdim=True) for c in orders], dim=1)
        features = torch.log(energy / self.mean_energy.view(shape) + FLOOR)
        # The ratio is computed in float32 whatever the precision of the convolutions.
        gain = torch.exp(self.log_ratio(features).float() / 2)
        gains = [
            of_order.expand(-1, size, -1, -1, -1)
            for of_order, size in zip(gain.split(1, dim=1), self.sizes, strict=True)
        ]
        rescaled = upsample(raw, self.task.r) * torch.cat(gains, dim=1)
        y = (rescaled - self.target_mean.view(shape)) / self.target_scale
        return {self.task.target: y}, []
