"""What a network does with a window, step by step, found by running it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from harmonization.learning.layers import ACTIVATIONS, count_parameters
from harmonization.learning.network import Network

# Modules that only hold others; all other modules are steps.
CONTAINERS = (Network, nn.Sequential, nn.ModuleDict, nn.ModuleList, nn.ParameterDict)


@dataclass
class Step:
    """One step of a network: a module, or a sum or product of what modules gave.

    Parameters
    ----------
    name : str
        Path of the module or parameter in the network, such as ``features.0``.
    lines : list of str
        What it is: class, channels, size, number of parameters.
    feeds_on : list of int
        Numbers of the steps whose output it takes; the window is step 0.
    kind : {'window', 'module', 'operation', 'output'}
    notes : list of str
        What else its output serves: the auxiliary losses that read it.
    """

    name: str
    lines: list[str]
    feeds_on: list[int]
    kind: str = "module"
    notes: list[str] = field(default_factory=list)


def trace(network: Network, window: int) -> list[Step]:
    """Run the training outputs of a network on a window of zeros, and note every step.

    Parameters
    ----------
    network : Network
    window : int
        Edge of the window, source voxels.

    Returns
    -------
    list of Step
        In the order in which they run; the predictions come last.
    """
    tracer = _Tracer(network)
    x = torch.zeros(1, network.task.channels, window, window, window)
    tracer.add(Step("window", ["source", size_of(x)], [], "window"), x)
    hooks = [hook for name, m in _steps(network) for hook in tracer.watch(name, m)]
    try:
        with torch.no_grad(), tracer:
            predictions, auxiliary = network.training_outputs(x)
    finally:
        for hook in hooks:
            hook.remove()
    for target, prediction in predictions.items():
        lines = ["prediction of", target, size_of(prediction)]
        tracer.add(Step(target, lines, sorted(tracer.origins(prediction)), "output"), [])
    for target, prediction, weight in auxiliary:
        for number in tracer.origins(prediction):
            tracer.steps[number].notes.append(f"{target}: loss × {weight:g}")
    return tracer.steps


def size_of(x: Tensor) -> str:
    """Channels and edge of a tensor (n, c, x, y, z), as text."""
    return f"{x.shape[1]} × {x.shape[2]}³"


def text_of(module: nn.Module) -> list[str]:
    """Class, channels, kernel and number of parameters of a module."""
    lines = [type(module).__name__ + (f", r = {module.r}" if hasattr(module, "r") else "")]
    convolution = next((m for m in module.modules() if isinstance(m, nn.Conv3d)), None)
    if convolution:
        channels = f"{convolution.in_channels} → {convolution.out_channels}"
        lines.append(f"{convolution.kernel_size[0]}³, {channels}")
    if size := count_parameters(module):
        lines.append(f"{size:,}")
    return lines


def _steps(network: Network) -> Iterable[tuple[str, nn.Module]]:
    """Modules that are steps, and no module within another."""
    found: list[str] = []
    for name, module in network.named_modules():
        within = any(name.startswith(f"{outer}.") for outer in found)
        if not within and not isinstance(module, CONTAINERS):
            found.append(name)
            yield name, module


class _Tracer(TorchFunctionMode):
    """Knows of every tensor from which steps it comes.

    A function of tensors from several steps, or of a parameter that no step holds, is itself a
    step; any other function only passes on where its tensors come from.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.inside = 0
        self.known: dict[int, tuple[Tensor, frozenset[int]]] = {}
        self.parameters = {id(p): (name, p) for name, p in network.named_parameters()}

    def add(self, step: Step, outputs: Any) -> None:
        """Note a step and that its outputs come from it."""
        self.steps.append(step)
        for tensor in _tensors(outputs):
            self.known[id(tensor)] = tensor, frozenset([len(self.steps) - 1])

    def origins(self, values: Any) -> frozenset[int]:
        """Numbers of the steps from which tensors come."""
        found = (self.known[id(t)][1] for t in _tensors(values) if id(t) in self.known)
        return frozenset().union(*found)

    def watch(self, name: str, module: nn.Module) -> list[Any]:
        """Note a module as a step whenever it runs."""

        def before(*_: Any) -> None:
            self.inside += 1

        def after(_: nn.Module, inputs: tuple, outputs: Any) -> None:
            self.inside -= 1
            came_from = self.origins(inputs)
            last = self.steps[max(came_from)]
            # An activation belongs to the layer before it.
            if isinstance(module, ACTIVATIONS) and len(came_from) == 1 and last.kind == "module":
                last.lines.insert(-1, type(module).__name__)
                self.known |= {id(t): (t, came_from) for t in _tensors(outputs)}
                return
            step = Step(name, text_of(module), sorted(came_from))
            self.add(step, outputs)

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if self.inside or not isinstance(result, Tensor):
            return result
        came_from = self.origins(args)
        held = [self.parameters[id(t)] for t in _tensors(args) if id(t) in self.parameters]
        if held and came_from:
            name, parameter = held[0]
            self.add(
                Step(name, ["×", f"{parameter.numel():,}"], sorted(came_from), "operation"), result
            )
        elif len(came_from) > 1:
            self._combine(function, came_from, result)
        elif came_from:
            self.known[id(result)] = result, came_from
        return result

    def _combine(self, function: Callable, came_from: frozenset[int], result: Tensor) -> None:
        """Note a sum or the like; a sum that goes on with a sum is one step."""
        sign = {"add": "+", "mul": "×"}.get(function.__name__.strip("_"), function.__name__)
        last = len(self.steps) - 1
        if last in came_from and self.steps[last].lines == [sign]:
            step = self.steps[last]
            step.feeds_on = sorted({*step.feeds_on, *came_from} - {last})
            self.known[id(result)] = result, frozenset([last])
            return
        self.add(Step("", [sign], sorted(came_from), "operation"), result)


def _tensors(values: Any) -> list[Tensor]:
    """Tensors in a tensor, or in lists and tuples of them."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, (list, tuple)):
        return [t for v in values for t in _tensors(v)]
    return []
