"""Layers and operations that several networks share."""

from torch import Tensor, nn
from torch.nn import functional

from harmonization.files import InputError
from harmonization.images.coefficients import order_of
from harmonization.learning.lattice import BORDER

ACTIVATIONS = (nn.ReLU, nn.GELU)


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


def upsample(x: Tensor, r: int) -> Tensor:
    """Core of a window, interpolated linearly at the centres of the r^3 split voxels."""
    if r == 1:
        return crop(x, BORDER)
    fine = functional.interpolate(x, scale_factor=r, mode="trilinear", align_corners=False)
    return crop(fine, BORDER * r)


def sizes_of_orders(channels: int) -> list[int]:
    """Number of coefficients of each even order: 28 `channels` are [1, 5, 9, 13].

    Raises
    ------
    InputError
        If no basis of even orders has so many coefficients.
    """
    order = order_of(channels)
    if order % 2 or (order + 1) * (order + 2) // 2 != channels:
        raise InputError(
            f"network: channels: {channels} are no coefficients of all even orders up to some l, "
            "which are 1, 6, 15, 28, ...; give images of such a basis"
        )
    return [2 * n + 1 for n in range(0, order + 1, 2)]


class Upscale(nn.Module):
    """Unpadded convolution to r^3 values for each channel, shuffled into space."""

    def __init__(self, features: int, channels: int, r: int, edge: int = 3) -> None:
        super().__init__()
        self.r = r
        self.conv = nn.Conv3d(features, channels * r**3, edge)

    def forward(self, x: Tensor) -> Tensor:
        return pixel_shuffle(self.conv(x), self.r)


def count_parameters(network: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in network.parameters())


def copy_state(network: nn.Module) -> dict[str, Tensor]:
    """Copy of a network's weights and running statistics."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
