"""Checks that a device trains right; `gpu.py` runs them.

Each check trains a network for a few steps on noise, twice, and compares:

CPU         the device with the CPU, in float32 and without dropout, for which the devices draw
            other numbers
bfloat16    with float32, on the device
same seed   the same training twice, in both precisions: all bits agree
CUDA graph  steps recorded once and replayed with ordinary steps, in both precisions: all bits agree

Of the first two, the tables show the largest difference of a loss, relative to the loss, and the
root mean square difference of the weights, relative to how far they moved.
"""

import math
from dataclasses import dataclass

import torch
from common import PRECISIONS, Case, bare_step, fused_adam, make_model, noise, print_row
from torch import Tensor, nn

from harmonization.learning.network import Network
from harmonization.learning.patches import PatchData
from harmonization.learning.training import batches
from harmonization.plan.plan import Plan

# Largest differences of losses and of weights. On a CPU, another memory layout makes up to 6e-6 and
# 0.03: Adam turns the rounding of a gradient near zero into a step. An H100 makes up to 7e-5 and
# 0.03. bfloat16 makes up to 1e-3 and 0.4 there, and 1e-4 and 0.2 on a CPU.
OF_DEVICE = (2e-4, 0.1)
OF_PRECISION = (1e-3, 0.5)
BATCH = 4
RATE, DECAY = 1e-3, 0.99
WARM_UP = 3  # steps before a CUDA graph is recorded
NEEDS_GPU = "needs a GPU"


class Trainer:
    """Training of a network step by step, perhaps from a CUDA graph.

    A graph reads from where it read when it was recorded. So the indices of the patches and the
    learning rate are tensors that stay in place.

    Parameters
    ----------
    network : Network
        On the device of the data.
    data : PatchData
    precision : torch.dtype
    batch : int
        Patches in a step.
    """

    def __init__(
        self, network: Network, data: PatchData, precision: torch.dtype, batch: int
    ) -> None:
        device = data.source.device
        self.network, self.data, self.precision = network, data, precision
        self.order = batches(len(data), batch, seed=0)
        self.chosen = torch.zeros(min(batch, len(data)), dtype=torch.int64, device=device)
        self.rate = torch.tensor(RATE, device=device)
        self.adam = fused_adam(network, lr=self.rate, capturable=device.type == "cuda")
        self.graph: torch.cuda.CUDAGraph | None = None

    def _take(self) -> Tensor:
        batch = self.data.batch(self.chosen)
        return bare_step(self.network, *batch, self.adam, self.precision)

    def step(self) -> Tensor:
        """Take a step on the next patches; return its loss, which the next step may overwrite."""
        self.chosen.copy_(next(self.order))
        self.rate.mul_(DECAY)
        if self.graph is None:
            self.loss = self._take()
        else:
            self.graph.replay()
        return self.loss

    def record(self) -> list[Tensor]:
        """Take a few steps and return their losses; replay all later steps from a CUDA graph."""
        stream = torch.cuda.Stream()  # a graph must not be recorded on the default stream
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            losses = [self.step() for _ in range(WARM_UP)]
        torch.cuda.current_stream().wait_stream(stream)
        # The gradients that the graph writes must lie in its own memory.
        self.adam.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.loss = self._take()
        self.graph = graph
        return losses


@dataclass(frozen=True)
class Trained:
    """Outcome of a short training.

    Parameters
    ----------
    losses : Tensor
        Of each step.
    state : dict of str to Tensor
        The network at the end, running statistics included.
    start, weights : Tensor
        All weights in a row, before and after.
    """

    losses: Tensor
    state: dict[str, Tensor]
    start: Tensor
    weights: Tensor


class Trial:
    """Short trainings of one network from the same start, on the same patches.

    Parameters
    ----------
    plan : Plan
    case : Case
    steps : int
        Of each training.
    """

    def __init__(self, plan: Plan, case: Case, steps: int) -> None:
        self.plan, self.case, self.steps = plan, case, steps

    def train(
        self, device: str, precision: torch.dtype, in_graph: bool = False, dropout: bool = True
    ) -> Trained:
        """Train; perhaps replay all but the first steps from a CUDA graph."""
        network = make_model(self.plan, self.case, device).network
        if not dropout:
            for layer in network.modules():
                if isinstance(layer, nn.Dropout3d):
                    layer.p = 0.0
        data = noise(network.task.scales, device, cores=2)
        trainer = Trainer(network, data, precision, BATCH)
        start = weights_of(network)
        losses = trainer.record() if in_graph else []
        while len(losses) < self.steps:
            losses.append(trainer.step().clone())
        state = {name: value.cpu() for name, value in network.state_dict().items()}
        return Trained(torch.stack(losses).cpu().double(), state, start, weights_of(network))


def weights_of(network: Network) -> Tensor:
    """Copy of all weights in a row."""
    weights = [p.detach().flatten() for p in network.parameters()]
    return torch.cat(weights).cpu().double()


def differences(a: Trained, b: Trained) -> tuple[float, float]:
    """Largest difference of the losses, and difference of the weights; see the module."""
    of_losses = ((a.losses - b.losses) / b.losses).abs().max()
    of_weights = (a.weights - b.weights).norm() / (b.weights - b.start).norm()
    return of_losses.item(), of_weights.item()


def same_bits(a: Trained, b: Trained) -> bool:
    """Whether two trainings agree in every bit."""
    same = (torch.equal(value, b.state[name]) for name, value in a.state.items())
    return torch.equal(a.losses, b.losses) and all(same)


def check_trainings(plan: Plan, cases: list[Case], device: str, steps: int) -> list[str]:
    """Compare with the CPU, bfloat16 with float32, and each training with itself.

    Returns
    -------
    list of str
        What failed.
    """
    print(f"limits: CPU {OF_DEVICE}, bfloat16 {OF_PRECISION}; losses and weights; same seed: equal")
    print_row("network", "CPU: loss", "weights", "bf16: loss", "weights", "same seed")
    failed = []
    for case in cases:
        trial = Trial(plan, case, steps)
        full, brief = (trial.train(device, precision) for precision in PRECISIONS.values())
        repeated = all(
            same_bits(trial.train(device, precision), first)
            for precision, first in zip(PRECISIONS.values(), (full, brief), strict=True)
        )
        of_device = differences(
            *(trial.train(place, torch.float32, dropout=False) for place in (device, "cpu"))
        )
        of_precision = differences(brief, full)
        cells = [f"{difference:.1e}" for difference in (*of_device, *of_precision)]
        print_row(case.name, *cells, "equal" if repeated else "DIFFERENT")
        passed = {
            "CPU": within(of_device, OF_DEVICE),
            "bfloat16": within(of_precision, OF_PRECISION),
            "same seed": repeated,
        }
        failed += [f"{check} of {case.name}" for check, good in passed.items() if not good]
    return failed


def within(found: tuple[float, float], limits: tuple[float, float]) -> bool:
    """Whether differences are within their limits, and finite."""
    return all(
        math.isfinite(value) and value <= limit for value, limit in zip(found, limits, strict=True)
    )


def check_graphs(plan: Plan, cases: list[Case], device: str, steps: int) -> list[str]:
    """Compare training in a CUDA graph with training without; return what failed."""
    print_row("network", *PRECISIONS)
    if device == "cpu":
        print_row("all networks", *[NEEDS_GPU] * len(PRECISIONS))
        return []
    failed = []
    for case in cases:
        trial = Trial(plan, case, steps)
        found = [graph_against_steps(trial, device, way) for way in PRECISIONS.values()]
        print_row(case.name, *found)
        if set(found) != {"equal"}:
            failed.append(f"CUDA graph of {case.name}")
    return failed


def graph_against_steps(trial: Trial, device: str, precision: torch.dtype) -> str:
    """Whether a training from a CUDA graph equals one without, or why there is none."""
    try:
        replayed = trial.train(device, precision, in_graph=True)
    except RuntimeError as error:  # of an operation that a graph cannot hold
        return f"none: {str(error).splitlines()[0]}"
    return "equal" if same_bits(replayed, trial.train(device, precision)) else "DIFFERENT"
