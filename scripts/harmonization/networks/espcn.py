"""ESPCN, also known as IQT-CNN."""

from torch import nn

from harmonization.learning.layers import Upscale
from harmonization.learning.network import Network, SingleTask, Task


class Espcn(SingleTask):
    """Three convolutions and a pixel shuffle: ESPCN / IQT-CNN (Tanno 2017)."""

    feature_channels = 100

    def __init__(self, task: Task, components: dict[str, Network] | None = None) -> None:
        super().__init__(task, components)
        self.features = nn.Sequential(
            nn.Conv3d(task.channels, 50, 3),
            nn.ReLU(),
            nn.Conv3d(50, self.feature_channels, 1),
            nn.ReLU(),
        )
        self.output = Upscale(self.feature_channels, task.channels, task.r)
