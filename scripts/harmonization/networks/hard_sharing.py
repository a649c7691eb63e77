"""Multi-task network with hard parameter sharing."""

from torch import Tensor, nn

from harmonization.learning.layers import Upscale
from harmonization.learning.network import AuxiliaryLosses, Network, Predictions, Task
from harmonization.networks.diqt import Diqt
from harmonization.networks.espcn import Espcn
from harmonization.settings import Count, Natural


class HardSharing(Network):
    """Trunk of ESPCN or DIQT, shared by all targets, with a head for each (Caruana 1997).

    Parameters
    ----------
    width
        Channels of the last features.
    blocks
        Reversible blocks before each convolution of the trunk, as in DIQT.
    """

    def __init__(
        self,
        task: Task,
        components: dict[str, Network] | None = None,
        *,
        width: Count = 100,
        blocks: Natural = 0,
    ) -> None:
        super().__init__(task, components)
        one = Task(task.channels, {"trunk": 1}, "trunk", task.seed)
        single = Diqt(one, blocks=blocks, width=width) if blocks else Espcn(one, width=width)
        self.trunk = single.features
        self.heads = nn.ModuleDict(
            {target: Upscale(width, task.channels, r) for target, r in task.scales.items()}
        )

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        shared = self.trunk(x)
        return {target: head(shared) for target, head in self.heads.items()}, []

    def predict(self, x: Tensor, target: str) -> Tensor:
        return self.heads[target](self.trunk(x))
