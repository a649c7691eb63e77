"""Multi-task network with hard parameter sharing."""

from torch import Tensor, nn

from harmonization.learning.layers import Upscale
from harmonization.learning.network import AuxiliaryLosses, Network, Predictions, Task
from harmonization.networks.espcn import Espcn


class HardSharing(Network):
    """ESPCN's trunk, shared by all targets, with a head for each (Caruana 1997)."""

    def __init__(self, task: Task, components: dict[str, Network] | None = None) -> None:
        super().__init__(task, components)
        espcn = Espcn(Task(task.channels, {"trunk": 1}, "trunk", task.seed))
        self.trunk = espcn.features
        self.heads = nn.ModuleDict(
            {
                target: Upscale(espcn.feature_channels, task.channels, r)
                for target, r in task.scales.items()
            }
        )

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        shared = self.trunk(x)
        return {target: head(shared) for target, head in self.heads.items()}, []

    def predict(self, x: Tensor, target: str) -> Tensor:
        return self.heads[target](self.trunk(x))
