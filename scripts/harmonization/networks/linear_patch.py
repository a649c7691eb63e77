"""A linear map of the neighbourhood (IQT-GL)."""

from typing import Any, Literal

import torch
from torch import Tensor

from harmonization.learning.lattice import BORDER
from harmonization.learning.layers import Upscale, copy_state, crop, pixel_unshuffle
from harmonization.learning.network import AuxiliaryLosses, Network, Predictions, Task
from harmonization.learning.patches import PatchData
from harmonization.learning.training import validate
from harmonization.settings import NonNegative


class LinearPatch(Network):
    """A linear map of each voxel's neighbourhood, IQT's global linear model (Alexander 2014).

    Parameters
    ----------
    edge
        Edge of the neighbourhood, in voxels.
    """

    def __init__(
        self,
        task: Task,
        components: dict[str, Network] | None = None,
        *,
        edge: Literal[3, 5] = 3,
    ) -> None:
        super().__init__(task, components)
        self.edge = edge
        self.linear = Upscale(task.channels, task.channels, task.r, edge)

    def _seen(self, x: Tensor) -> Tensor:
        """The core of a window, and around it what the map sees."""
        unseen = BORDER - self.edge // 2
        return crop(x, unseen) if unseen else x

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        return {self.task.target: self.linear(self._seen(x))}, []

    def solve(
        self, training: PatchData, validation: PatchData, *, penalties: list[NonNegative]
    ) -> dict[str, Any]:
        """Ridge regression of the r^3 split voxels on the neighbourhood.

        Parameters
        ----------
        penalties
            Ridge penalties to try on the validation subjects, per voxel and for normalised
            coefficients; the bias is not penalised.
        """
        convolution, r = self.linear.conv, self.task.r
        outputs, *kernel = convolution.weight.shape
        features = kernel[0] * self.edge**3
        gram = torch.zeros(features + 1, features + 1, dtype=torch.float64)
        cross = torch.zeros(features + 1, outputs, dtype=torch.float64)
        voxels = 0
        for windows, cores in training.batches():
            target, mask = cores[self.task.target]
            x = self._seen(windows)
            for axis in (2, 3, 4):
                x = x.unfold(axis, self.edge, 1)
            x = x.permute(0, 2, 3, 4, 1, 5, 6, 7).reshape(-1, features)
            y = pixel_unshuffle(target, r).permute(0, 2, 3, 4, 1).reshape(-1, outputs)
            # A source voxel is used if all of its split voxels are in the mask.
            whole = pixel_unshuffle(mask, r).amin(dim=1).flatten() > 0
            x = torch.cat([x[whole], torch.ones(int(whole.sum()), 1)], dim=1).double()
            gram += x.T @ x
            cross += x.T @ y[whole].double()
            voxels += len(x)

        penalised = torch.ones(features + 1, dtype=torch.float64)
        penalised[-1] = 0
        trials = []
        for penalty in penalties:
            solution = torch.linalg.solve(gram + penalty * voxels * penalised.diag(), cross)
            with torch.no_grad():
                convolution.weight.copy_(solution[:-1].T.reshape(outputs, *kernel))
                convolution.bias.copy_(solution[-1])
            trials.append((validate(self, validation), penalty, copy_state(self)))
        error, penalty, state = min(trials, key=lambda trial: trial[0])
        self.load_state_dict(state)
        return {"penalty": penalty, "validation_mse": error}
