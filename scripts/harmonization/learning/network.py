"""The interface of every network: from windows of the source to cores of the targets.

A network knows only tensors. Its input is windows (n, c, w, w, w) of the source: w = core + 4 are
the voxels along an edge of a patch with its border. Its output for a target with r voxels along
each edge of a source voxel is (n, c, core r, core r, core r). Both hold normalised coefficients.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from harmonization.files import InputError
from harmonization.images.coefficients import Statistics
from harmonization.learning.lattice import BORDER
from harmonization.learning.layers import Upscale, crop
from harmonization.learning.patches import PatchData

Predictions = dict[str, Tensor]
AuxiliaryLosses = list[tuple[str, Tensor, float]]


@dataclass(frozen=True)
class Task:
    """What a model has to predict.

    Parameters
    ----------
    channels : int
        Coefficients of the source and of every target.
    scales : dict of str to int
        r of every target whose scans the model reads: the targets that it predicts, and those of
        its components.
    target : str or None
        The target to predict; None means all of `scales`.
    seed : int
        Seed of everything random in the model.
    """

    channels: int
    scales: dict[str, int]
    target: str | None
    seed: int

    def __post_init__(self) -> None:
        # Networks keep parts by the name of their target, as attributes of a torch module.
        if taken := [name for name in self.scales if hasattr(nn.ModuleDict(), name)]:
            raise InputError(f"platforms.{taken[0]}: torch uses this name itself; rename it")

    @property
    def r(self) -> int:
        """Scale of the target.

        Raises
        ------
        InputError
            If the task is all targets, and the network made for one.
        """
        if self.target is None:
            raise InputError("fits: this network predicts one target; give fits: each")
        return self.scales[self.target]


class Network(nn.Module, ABC):
    """What training and prediction expect of a network.

    Parameters
    ----------
    task : Task
    components : dict of str to Network, optional
        Networks that it builds on, by name and in the order of the method's file.
    """

    keeps_units = False  # True if the output is in the units of the source
    inherits = True  # False if it takes nothing but their architecture from its components
    needs_fit = True  # False if its own parameters predict something before any fit

    def __init__(self, task: Task, components: dict[str, "Network"] | None = None) -> None:
        super().__init__()
        self.task = task
        self.components = dict(components or {})  # a part of the network only where it keeps them

    def forward(self, x: Tensor) -> Predictions:
        """Predictions by platform."""
        predictions, _ = self.training_outputs(x)
        return predictions

    def predict(self, x: Tensor, target: str) -> Tensor:
        """Prediction of one target alone; networks that can leave out the others do so."""
        return self(x)[target]

    @abstractmethod
    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        """Predictions, and auxiliary losses: (platform, another prediction of it, weight)."""

    def initialise_from(self, components: dict[str, "Network"]) -> None:
        """Start from fitted networks; by default, each gives its values to its own component.

        Raises
        ------
        InputError
            If the network keeps no such component.
        """
        parts = set(self.modules())
        for name, fitted in components.items():
            if self.components[name] not in parts:
                raise InputError(f"builds_on: {type(self).__name__} builds on no model like {name}")
            self.components[name].load_state_dict(fitted.state_dict())

    def know_units(self, source: Statistics, targets: dict[str, Statistics]) -> None:
        """Learn how images are normalised, before the fit; by default, a network need not know.

        What a network keeps of it belongs in its buffers, which are saved with its weights.

        Parameters
        ----------
        source : dict
            Mean and standard deviation of every coefficient of the source, raw.
        targets : dict of dict
            The same of every target in `Task.scales`.
        """

    def solve(
        self,
        training: PatchData,  # noqa: ARG002
        validation: PatchData,  # noqa: ARG002
        **settings: Any,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Fit in closed form, in place; return what the model's card reports."""
        raise TypeError(f"{type(self).__name__} has no fit in closed form")

    def report(self, validation: PatchData) -> dict[str, Any]:  # noqa: ARG002
        """What the card of a trained model reports besides its errors."""
        return {}


def is_of_own_target(task: Task, components: dict[str, Network]) -> bool:
    """Whether there is one component, and it predicts the network's own target."""
    return [network.task.target for network in components.values()] == [task.target]


def of_each_target(task: Task, components: dict[str, Network] | None) -> dict[str, Network]:
    """The component of each target, for a network that builds on one for each.

    Raises
    ------
    InputError
        If a target has none or several.
    """
    targets = [network.task.target for network in (components or {}).values()]
    if sorted(map(str, targets)) != sorted(task.scales):
        raise InputError(
            "builds_on: takes one model for each target; give one method that fits each, with "
            "target: all"
        )
    return dict(zip(targets, components.values(), strict=True))


class FeatureNetwork(Network):
    """A network for one target in two parts: the last features, and the prediction from them.

    `features` gives the last features of windows, which another network may read or mix.
    """

    feature_channels: int
    feature_border = 1  # voxels of the source around a core for which there are features, too
    features: Callable[[Tensor], Tensor]

    @abstractmethod
    def from_features(self, x: Tensor, features: Tensor) -> Tensor:
        """Prediction from windows and their last features, which another network may have mixed."""

    def training_outputs(self, x: Tensor) -> tuple[Predictions, AuxiliaryLosses]:
        return {self.task.target: self.from_features(x, self.features(x))}, []


class SingleTask(FeatureNetwork):
    """A network whose output is one layer after its features.

    Most of the map between platforms is linear. With a linear path, the output is added to a linear
    map of the 3^3 neighbourhood. It starts as the fitted map of the component, and its output at
    zero, so that the training does not have to find that map.

    Parameters
    ----------
    task : Task
    components : dict of str to Network, optional
    linear_path : bool
    """

    features: nn.Module
    output: Upscale

    def __init__(
        self,
        task: Task,
        components: dict[str, Network] | None = None,
        *,
        linear_path: bool = False,
    ) -> None:
        super().__init__(task, components)
        self.linear = Upscale(task.channels, task.channels, task.r) if linear_path else None

    def from_features(self, x: Tensor, features: Tensor) -> Tensor:
        output = self.output(features)
        return output if self.linear is None else output + self.linear(crop(x, BORDER - 1))

    def initialise_from(self, components: dict[str, Network]) -> None:
        if self.linear is None:
            super().initialise_from(components)
            return
        shape = self.linear.conv.weight.shape
        fitted = [getattr(network, "linear", None) for network in components.values()]
        alike = [isinstance(f, Upscale) and f.conv.weight.shape == shape for f in fitted]
        if not (is_of_own_target(self.task, components) and all(alike)):
            raise InputError(
                "builds_on: a linear path takes one model that has one of the same size, such as "
                "ridge, of its own target"
            )
        self.linear.load_state_dict(fitted[0].state_dict())
        nn.init.zeros_(self.output.conv.weight)
        nn.init.zeros_(self.output.conv.bias)
