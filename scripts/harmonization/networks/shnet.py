"""SHNet: each voxel by itself."""

from torch import Tensor, nn

from harmonization.learning.lattice import BORDER
from harmonization.learning.layers import crop, pixel_shuffle
from harmonization.learning.network import AuxiliaryLosses, Network, Predictions, Task
from harmonization.settings import Count


class Shnet(Network):
    """Multi-layer perceptron on the coefficients of a voxel (SHNet in Tax 2019).

    Each hidden layer is batch normalisation, a linear map and ReLU.

    Parameters
    ----------
    layers
        Number of hidden layers.
    width
        Units of a hidden layer.
    """

    def __init__(
        self,
        task: Task,
        components: dict[str, Network] | None = None,
        *,
        layers: Count,
        width: Count,
    ) -> None:
        super().__init__(task, components)
        sizes = [task.channels] + layers * [width]
        hidden: list[nn.Module] = []
        for before in sizes[:-1]:
            hidden += [nn.BatchNorm3d(before), nn.Conv3d(before, width, 1), nn.ReLU()]
        self.voxel = nn.Sequential(*hidden, nn.Conv3d(width, task.channels * task.r**3, 1))

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        prediction = pixel_shuffle(self.voxel(crop(x, BORDER)), self.task.r)
        return {self.task.target: prediction}, []
