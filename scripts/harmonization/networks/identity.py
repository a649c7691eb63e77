"""The unharmonised source as a prediction."""

from torch import Tensor

from harmonization.learning.layers import upsample
from harmonization.learning.network import AuxiliaryLosses, Network, Predictions


class Identity(Network):
    """The source itself: interpolated trilinearly, coefficients unchanged."""

    keeps_units = True
    needs_fit = False

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        return {self.task.target: upsample(x, self.task.r)}, []
