"""SHResNet: its size, its two readings and what a block computes."""

import pytest
import torch
from torch import nn

from harmonization.files import InputError
from harmonization.learning.layers import count_parameters, sizes_of_orders
from harmonization.learning.network import Task
from harmonization.networks.multi_stage import MultiStage
from harmonization.networks.shresnet import OrderBlock, Shresnet


def shresnet(r=1, channels=6, **settings):
    options = {"blocks": 2, "width": 8, "unit_input": "all"} | settings
    return Shresnet(Task(channels, {"t": r}, "t", 0), **options)


# By hand, 27 weights for each pair of channels: a unit has 28 or 2l + 1 to 100, 100 to 100, and
# 100 to 2l + 1; two convolutions of 28 to 28, then 28 to 100, 100 to 100 and 100 to 28 r^3.
SIZES = (1, 5, 9, 13)
REST = 2 * (27 * 28 * 28 + 28) + (27 * 28 * 100 + 100) + (27 * 100 * 100 + 100)


@pytest.mark.parametrize("r", [1, 2])
@pytest.mark.parametrize(("unit_input", "taken"), [("all", (28,) * 4), ("own", SIZES)])
def test_number_of_parameters(unit_input, taken, r):
    block = sum(
        27 * (n * 100 + 100 * 100 + 100 * size) + 100 + 100 + size
        for n, size in zip(taken, SIZES, strict=True)
    )
    wanted = 2 * block + REST + 28 * r**3 * (27 * 100 + 1)
    network = shresnet(r, 28, width=100, unit_input=unit_input)
    assert count_parameters(network) == wanted
    if r == 1:
        assert wanted == {"all": 3_381_476, "own": 2_927_876}[unit_input]


def test_orders_of_every_even_basis():
    assert [sizes_of_orders(n) for n in (1, 6, 15, 28)] == [
        [1],
        [1, 5],
        [1, 5, 9],
        [1, 5, 9, 13],
    ]


@pytest.mark.parametrize("channels", [2, 3, 4, 10, 21, 27, 29])
def test_what_is_no_basis_of_even_orders_is_told(channels):
    """3, 10 and 21 are bases up to an odd order."""
    with pytest.raises(InputError, match=f"network: channels: {channels} are no .*; give") as error:
        shresnet(channels=channels)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(("unit_input", "moved"), [("all", [0, 1]), ("own", [1])])
def test_a_unit_takes_all_orders_or_its_own(unit_input, moved):
    """A change in order 2 reaches order 0 only if units take all coefficients."""
    block = OrderBlock([1, 5], 8, unit_input)
    x = torch.randn(1, 6, 5, 5, 5)
    before = block(x) + x
    x[:, 3] += 1
    change = (block(x) + x - before).abs().sum(dim=(0, 2, 3, 4)).split([1, 5])
    assert [i for i, order in enumerate(change) if order.max() > 0] == moved


def silence(block):
    """Let the units of a block be zero."""
    for unit in block.units:
        nn.init.zeros_(unit[-1].weight)
        nn.init.zeros_(unit[-1].bias)


def test_inputs_are_subtracted_and_no_sign_is_lost():
    """Silent units turn the sign of a block's input; two blocks turn it twice."""
    network = shresnet()
    trunk = network.features[0]
    for block in trunk.blocks:
        silence(block)
    x = torch.randn(2, 6, 11, 11, 11)
    first = trunk.first(x)
    assert torch.equal(trunk.blocks[0](first), -first)
    assert torch.equal(trunk(x), trunk.last(first) - first)
    prediction = network(x)["t"]
    assert prediction.min() < 0 < prediction.max()


def test_the_unpadded_convolution_crops_what_a_padded_one_makes():
    network = shresnet().eval()
    x = torch.randn(1, 6, 11, 11, 11)
    wanted = network.features(x)
    assert wanted.shape == (1, 8, 9, 9, 9)
    network.features[3].padding = (1, 1, 1)
    torch.testing.assert_close(network.features(x)[:, :, 1:-1, 1:-1, 1:-1], wanted)


def test_the_msp_builds_on_it():
    scales = {"a": 1, "b": 2}
    settings = {"blocks": 1, "width": 8, "unit_input": "own"}
    singles = {t: Shresnet(Task(6, {t: r}, t, 0), **settings) for t, r in scales.items()}
    network = MultiStage(Task(6, scales, "b", 0), singles, width=8, first_stage_weight=1.0)
    x = torch.randn(1, 6, 11, 11, 11)
    assert torch.equal(network(x)["b"], singles["b"](x)["b"])
