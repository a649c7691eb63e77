"""The networks: from windows (n, c, 11, 11, 11) of the source to cores of each target platform.

A network knows tensors only. Input and output are normalised coefficients; for a platform with
r target voxels along the edge of a source voxel the output is (n, c, 7r, 7r, 7r).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harmonization.lattice import BORDER

Predictions = dict[str, Tensor]
Terms = list[tuple[str, Tensor, float]]


def pixel_shuffle(x: Tensor, r: int) -> Tensor:
    """Move channels into space: (n, c r^3, x, y, z) to (n, c, x r, y r, z r) (Shi 2016, in 3-D)."""
    n, channels, *size = x.shape
    c = channels // r**3
    x = x.reshape(n, c, r, r, r, *size).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return x.reshape(n, c, *(s * r for s in size))


def pixel_unshuffle(x: Tensor, r: int) -> Tensor:
    """Undo `pixel_shuffle`."""
    n, c, *size = x.shape
    a, b, d = (s // r for s in size)
    x = x.reshape(n, c, a, r, b, r, d, r).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return x.reshape(n, c * r**3, a, b, d)


def crop(x: Tensor, margin: int) -> Tensor:
    """Cut `margin` voxels off every side."""
    inner = slice(margin, -margin)
    return x[:, :, inner, inner, inner]


class Upscale(nn.Module):
    """Unpadded 3^3 convolution to r^3 values a channel, shuffled into space."""

    def __init__(self, features: int, channels: int, r: int) -> None:
        super().__init__()
        self.r = r
        self.conv = nn.Conv3d(features, channels * r**3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return pixel_shuffle(self.conv(x), self.r)


class Network(nn.Module, ABC):
    """What the training loop and prediction expect."""

    keeps_units = False  # True where the output is in the units of the source

    def forward(self, x: Tensor) -> Predictions:
        """Predictions by platform."""
        predictions, _ = self.training_pass(x)
        return predictions

    @abstractmethod
    def training_pass(self, x: Tensor) -> tuple[Predictions, Terms]:
        """Predictions, and further terms of the loss: (platform, prediction, weight)."""

    def adopt(self, components: dict[str, "Network"]) -> None:
        """Start from trained networks of the platforms."""
        raise TypeError(f"{type(self).__name__} cannot start from {', '.join(components)}")


class SingleTask(Network):
    """A network of one platform, in two parts: last features, and the output made from them."""

    target: str
    feature_channels: int
    features: nn.Module
    output: nn.Module

    def training_pass(self, x: Tensor) -> tuple[Predictions, Terms]:
        return {self.target: self.output(self.features(x))}, []


class Espcn(SingleTask):
    """ESPCN / IQT-CNN (Tanno 2017)."""

    feature_channels = 100

    def __init__(self, channels: int, target: str, r: int) -> None:
        super().__init__()
        self.target = target
        self.features = nn.Sequential(
            nn.Conv3d(channels, 50, 3), nn.ReLU(), nn.Conv3d(50, 100, 1), nn.ReLU()
        )
        self.output = Upscale(100, channels, r)


class ReversibleBlock(nn.Module):
    """Reversible residual block on two halves of the channels (Blumberg 2018).

    y1 = x1 + F(x2), y2 = x2 + G(y1). The last convolutions of F and G start at zero, so that the
    block starts as the identity: our choice, see `Diqt`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.f, self.g = self._half(channels // 2), self._half(channels // 2)

    @staticmethod
    def _half(width: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for kernel in (1, 3, 1):
            conv = nn.Conv3d(width, width, kernel, padding=kernel // 2)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)
            layers += [nn.BatchNorm3d(width), nn.ReLU(), conv]
        nn.init.zeros_(conv.weight)
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = x.chunk(2, dim=1)
        y1 = x1 + self.f(x2)
        return torch.cat([y1, x2 + self.g(y1)], dim=1)


class Diqt(SingleTask):
    """Deeper IQT, ESPCN-RN-N (Blumberg 2018): N reversible blocks before each convolution.

    Ours: the blocks start as the identity and the convolutions may be adopted from a trained
    ESPCN, so that training starts at ESPCN's error.
    """

    feature_channels = 100

    def __init__(self, channels: int, target: str, r: int, blocks: int) -> None:
        super().__init__()
        self.target = target

        def stack(width: int) -> list[nn.Module]:
            return [ReversibleBlock(width) for _ in range(blocks)]

        self.features = nn.Sequential(
            *stack(channels),
            nn.Conv3d(channels, 50, 3),
            nn.ReLU(),
            *stack(50),
            nn.Conv3d(50, 100, 1),
            nn.ReLU(),
            *stack(100),
        )
        self.output = Upscale(100, channels, r)

    def adopt(self, components: dict[str, Network]) -> None:
        espcn = components[self.target]
        trained = [m for m in espcn.modules() if isinstance(m, nn.Conv3d)]
        own = [m for m in self.features if isinstance(m, nn.Conv3d)] + [self.output.conv]
        for conv, start in zip(own, trained, strict=True):
            conv.load_state_dict(start.state_dict())


class HardSharing(Network):
    """Multi-task network with ESPCN's trunk shared by all platforms and a head for each."""

    def __init__(self, channels: int, scales: dict[str, int]) -> None:
        super().__init__()
        self.trunk = Espcn(channels, "", 1).features
        self.heads = nn.ModuleDict(
            {p: Upscale(Espcn.feature_channels, channels, r) for p, r in scales.items()}
        )

    def training_pass(self, x: Tensor) -> tuple[Predictions, Terms]:
        shared = self.trunk(x)
        return {p: head(shared) for p, head in self.heads.items()}, []


class MultiStage(Network):
    """Multi-Stage Prediction network for one target (Blumberg 2019).

    The last features of the other platforms' networks pass through additional networks, whose
    outputs are combined linearly with the first-stage prediction of the target's own network.
    The additional networks end in a convolution that starts at zero and all weights of the
    combination start at one, so that the whole starts as the target's own network.

    Parameters
    ----------
    target : str
    singles : dict of str to SingleTask
        Networks of all platforms.
    channels : int
        Coefficients.
    r : int
        Scale of the target.
    width : int
        Channels of the additional networks.
    first_stage_weight : float
        Weight, in the loss, of each platform's first-stage error.
    """

    def __init__(
        self,
        target: str,
        singles: dict[str, SingleTask],
        channels: int,
        r: int,
        width: int,
        first_stage_weight: float,
    ) -> None:
        super().__init__()
        self.target, self.first_stage_weight = target, first_stage_weight
        self.singles = nn.ModuleDict(singles)
        self.branches = nn.ModuleDict(
            {
                platform: self._branch(single.feature_channels, width, channels, r)
                for platform, single in singles.items()
                if platform != target
            }
        )
        self.weights = nn.ParameterDict({p: nn.Parameter(torch.ones(())) for p in singles})

    @staticmethod
    def _branch(features: int, width: int, channels: int, r: int) -> nn.Sequential:
        last = Upscale(width, channels, r)
        nn.init.zeros_(last.conv.weight)
        nn.init.zeros_(last.conv.bias)
        return nn.Sequential(
            nn.Conv3d(features, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv3d(width, width, 1),
            nn.ReLU(),
            last,
        )

    def adopt(self, components: dict[str, Network]) -> None:
        for platform, single in self.singles.items():
            single.load_state_dict(components[platform].state_dict())

    def stages(self, x: Tensor, platforms: Iterable[str]) -> tuple[Predictions, Predictions]:
        """First-stage predictions of `platforms`, and each branch's share of the second stage.

        The target must be among the platforms: its first-stage prediction is a share.
        """
        features = {p: single.features(x) for p, single in self.singles.items()}
        first = {p: self.singles[p].output(features[p]) for p in platforms}
        shares = {self.target: self.weights[self.target] * first[self.target]}
        for platform, branch in self.branches.items():
            shares[platform] = self.weights[platform] * branch(features[platform])
        return first, shares

    def forward(self, x: Tensor) -> Predictions:
        _, shares = self.stages(x, [self.target])
        return {self.target: sum(shares.values())}

    def training_pass(self, x: Tensor) -> tuple[Predictions, Terms]:
        # The first-stage error of a frozen network is a constant: it would only cost time.
        learning = [
            platform
            for platform, single in self.singles.items()
            if any(parameter.requires_grad for parameter in single.parameters())
        ]
        first, shares = self.stages(x, dict.fromkeys([self.target, *learning]))
        terms = [(platform, first[platform], self.first_stage_weight) for platform in learning]
        return {self.target: sum(shares.values())}, terms


class Identity(Network):
    """The source itself: trilinear in space, coefficients unchanged."""

    keeps_units = True

    def __init__(self, target: str, r: int) -> None:
        super().__init__()
        self.target, self.r = target, r

    def training_pass(self, x: Tensor) -> tuple[Predictions, Terms]:
        return {self.target: upsample(x, self.r)}, []


class ChannelAffine(Network):
    """A scale and an offset for each coefficient of the upsampled source."""

    def __init__(self, channels: int, target: str, r: int) -> None:
        super().__init__()
        self.target, self.r = target, r
        self.scale = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def training_pass(self, x: Tensor) -> tuple[Predictions, Terms]:
        shape = (1, -1, 1, 1, 1)
        y = upsample(x, self.r) * self.scale.view(shape) + self.offset.view(shape)
        return {self.target: y}, []


class LinearPatch(Network):
    """A linear map of the 3^3 neighbourhood, IQT's global linear model (Alexander 2014)."""

    def __init__(self, channels: int, target: str, r: int) -> None:
        super().__init__()
        self.target = target
        self.output = Upscale(channels, channels, r)

    def training_pass(self, x: Tensor) -> tuple[Predictions, Terms]:
        return {self.target: self.output(crop(x, BORDER - 1))}, []


class Noise(Network):
    """White noise with the target's means and mean variance: it has learned nothing else."""

    def __init__(self, target: str, r: int, seed: int) -> None:
        super().__init__()
        self.target, self.r = target, r
        self.generator = torch.Generator().manual_seed(seed)

    def training_pass(self, x: Tensor) -> tuple[Predictions, Terms]:
        shape = upsample(x, self.r).shape
        return {self.target: torch.randn(shape, generator=self.generator).to(x.device)}, []


def upsample(x: Tensor, r: int) -> Tensor:
    """Core of a window, interpolated linearly at the centres of the r^3 split voxels."""
    if r == 1:
        return crop(x, BORDER)
    fine = functional.interpolate(x, scale_factor=r, mode="trilinear", align_corners=False)
    return crop(fine, BORDER * r)


def build(specification: dict[str, Any]) -> Network:
    """Make an untrained network.

    Parameters
    ----------
    specification : dict
        ``network`` (its ``name`` and settings), ``target`` (a platform or ``all``), ``channels``,
        ``scales`` (r of every target platform), ``seed``, and ``components``: the specifications
        of the networks it is built on, by platform.
    """
    settings = dict(specification["network"])
    name = settings.pop("name")
    target, scales = specification["target"], specification["scales"]
    channels, r = specification["channels"], scales.get(specification["target"])
    match name:
        case "espcn":
            return Espcn(channels, target, r)
        case "diqt":
            return Diqt(channels, target, r, **settings)
        case "hard_sharing":
            return HardSharing(channels, scales)
        case "multi_stage":
            singles = {p: build(spec) for p, spec in specification["components"].items()}
            return MultiStage(target, singles, channels, r, **settings)
        case "identity":
            return Identity(target, r)
        case "channel_affine":
            return ChannelAffine(channels, target, r)
        case "linear_patch":
            return LinearPatch(channels, target, r)
        case "noise":
            return Noise(target, r, specification["seed"])
    raise ValueError(f"unknown network {name!r}")


def count_parameters(network: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in network.parameters())
