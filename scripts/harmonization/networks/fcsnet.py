"""FCSNet: a wide network with dropout."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from harmonization.learning.lattice import BORDER
from harmonization.learning.layers import crop, pixel_shuffle
from harmonization.learning.network import AuxiliaryLosses, Network, Predictions, Task
from harmonization.settings import Count, Share


class Fcsnet(Network):
    """Four wide convolutions with dropout, joined by the voxel itself (FCSNet in Tax 2019).

    Our choice: convolutions are padded, and the core of the window is kept.

    Parameters
    ----------
    widths
        Channels of the 3^3 convolutions.
    dropout
        Share of the channels that are left out in a step, after each convolution.
    """

    def __init__(
        self,
        task: Task,
        components: dict[str, Network] | None = None,
        *,
        widths: list[Count],
        dropout: Share,
    ) -> None:
        super().__init__(task, components)
        layers: list[nn.Module] = []
        for before, after in pairwise([task.channels, *widths]):
            conv = nn.Conv3d(before, after, 3, padding=1)
            layers += [conv, nn.ReLU(), nn.Dropout3d(dropout)]
        self.features = nn.Sequential(*layers)
        self.output = nn.Conv3d(widths[-1] + task.channels, task.channels * task.r**3, 1)

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        joint = torch.cat([crop(self.features(x), BORDER), crop(x, BORDER)], dim=1)
        return {self.task.target: pixel_shuffle(self.output(joint), self.task.r)}, []
