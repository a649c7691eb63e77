"""Linear maps fitted in closed form: the classical rivals that need no iteration."""

from collections.abc import Iterator

import torch
from torch import Tensor

from harmonization.lattice import BORDER
from harmonization.networks import (
    ChannelAffine,
    LinearPatch,
    Network,
    crop,
    pixel_unshuffle,
    upsample,
)
from harmonization.patches import PatchData
from harmonization.training import copy_state, validate

BATCH = 16


def fit(
    network: Network, training: PatchData, validation: PatchData, penalties: list[float]
) -> float:
    """Fit a linear `network` in place; give the penalty that was best on validation."""
    match network:
        case ChannelAffine():
            return fit_channel_affine(network, training)
        case LinearPatch():
            return fit_linear_patch(network, training, validation, penalties)
    raise TypeError(f"{type(network).__name__} has no closed form")


def fit_channel_affine(network: ChannelAffine, training: PatchData) -> float:
    """Regress each coefficient on itself."""
    sums = torch.zeros(5, network.scale.numel(), dtype=torch.float64)
    for windows, target, mask in _batches(training, network.target):
        x = upsample(windows, network.r).double() * mask
        y = target.double() * mask
        terms = [mask.expand_as(x), x, y, x * x, x * y]
        sums += torch.stack([t.sum(dim=(0, 2, 3, 4)) for t in terms])
    n, x, y, xx, xy = sums
    scale = (xy / n - x * y / n**2) / (xx / n - (x / n) ** 2)
    with torch.no_grad():
        network.scale.copy_(scale)
        network.offset.copy_(y / n - scale * x / n)
    return 0.0


def fit_linear_patch(
    network: LinearPatch, training: PatchData, validation: PatchData, penalties: list[float]
) -> float:
    """Ridge regression of the r^3 split voxels on the 3^3 neighbourhood.

    The penalty is given per voxel, for normalised features, and the bias is free of it.
    """
    convolution = network.output.conv
    r, (outputs, *kernel) = network.output.r, convolution.weight.shape
    features = kernel[0] * 27
    gram = torch.zeros(features + 1, features + 1, dtype=torch.float64)
    cross = torch.zeros(features + 1, outputs, dtype=torch.float64)
    voxels = 0
    for windows, target, mask in _batches(training, network.target):
        x = crop(windows, BORDER - 1).unfold(2, 3, 1).unfold(3, 3, 1).unfold(4, 3, 1)
        x = x.permute(0, 2, 3, 4, 1, 5, 6, 7).reshape(-1, features)
        y = pixel_unshuffle(target, r).permute(0, 2, 3, 4, 1).reshape(-1, outputs)
        # A source voxel is used where all of its split voxels are in the mask.
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
        trials.append((validate(network, validation), penalty, copy_state(network)))
    _, penalty, state = min(trials, key=lambda trial: trial[0])
    network.load_state_dict(state)
    return penalty


def _batches(data: PatchData, platform: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Windows, cores and masks of one platform, in order."""
    for chosen in torch.arange(len(data)).split(BATCH):
        windows, cores = data.batch(chosen)
        yield windows, *cores[platform]
