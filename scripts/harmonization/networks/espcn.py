"""ESPCN, also known as IQT-CNN."""

from torch import nn

from harmonization.learning.layers import Upscale
from harmonization.learning.network import Network, SingleTask, Task
from harmonization.settings import Count


class Espcn(SingleTask):
    """Three convolutions and a pixel shuffle: ESPCN / IQT-CNN (Tanno 2017).

    Parameters
    ----------
    width
        Channels of the last features; the first convolution has half as many.
    linear_path
        Whether the network corrects a fitted linear map of the 3^3 neighbourhood (our choice).
    """

    def __init__(
        self,
        task: Task,
        components: dict[str, Network] | None = None,
        *,
        width: Count = 100,
        linear_path: bool = False,
    ) -> None:
        super().__init__(task, components, linear_path=linear_path)
        self.feature_channels = width
        self.features = nn.Sequential(
            nn.Conv3d(task.channels, max(width // 2, 1), 3),
            nn.ReLU(),
            nn.Conv3d(max(width // 2, 1), width, 1),
            nn.ReLU(),
        )
        self.output = Upscale(width, task.channels, task.r)
