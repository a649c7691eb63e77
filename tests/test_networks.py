"""The networks: sizes that are published, starts that are exact."""

import copy

import pytest
import torch
from conftest import make_patch_data

from harmonization.networks import (
    ChannelAffine,
    Diqt,
    Espcn,
    HardSharing,
    Identity,
    LinearPatch,
    MultiStage,
    Noise,
    build,
    count_parameters,
    pixel_shuffle,
    pixel_unshuffle,
    upsample,
)
from harmonization.patches import patch_mse

SCALES = {"a": 1, "b": 1, "c": 2}


def single_networks(channels=4, kind=Espcn, **settings):
    return {p: kind(channels, p, r, **settings).eval() for p, r in SCALES.items()}


def msp(target, singles, **settings):
    options = {"channels": 4, "r": SCALES[target], "width": 8, "first_stage_weight": 1.0} | settings
    network = MultiStage(target, copy.deepcopy(singles), **options)
    network.adopt(singles)
    return network.eval()


@pytest.mark.parametrize(
    ("network", "published"),
    [
        (Espcn(28, "t", 1), 118_578),
        (Espcn(28, "t", 2), 647_974),
        (Diqt(28, "t", 1, blocks=4), 895_458),
        (Diqt(28, "t", 2, blocks=4), 1_424_854),
    ],
    ids=["espcn r=1", "espcn r=2", "diqt r=1", "diqt r=2"],
)
def test_numbers_of_parameters(network, published):
    assert count_parameters(network) == published


@pytest.mark.parametrize(
    "network",
    [
        Espcn(4, "t", 2),
        Diqt(4, "t", 2, blocks=1),
        HardSharing(4, {"t": 2, "u": 1}),
        Identity("t", 2),
        ChannelAffine(4, "t", 2),
        LinearPatch(4, "t", 2),
        Noise("t", 2, seed=1),
    ],
    ids=lambda n: type(n).__name__,
)
def test_every_network_maps_a_window_to_its_core(network):
    predictions = network.eval()(torch.randn(3, 4, 11, 11, 11))
    assert predictions["t"].shape == (3, 4, 14, 14, 14)
    if "u" in predictions:
        assert predictions["u"].shape == (3, 4, 7, 7, 7)


@pytest.mark.parametrize("target", list(SCALES))
@pytest.mark.parametrize(
    ("kind", "settings"), [(Espcn, {}), (Diqt, {"blocks": 1})], ids=["espcn", "diqt"]
)
def test_msp_starts_as_its_single_network_bit_for_bit(target, kind, settings):
    singles = single_networks(kind=kind, **settings)
    x = torch.randn(2, 4, 11, 11, 11)
    with torch.no_grad():
        assert torch.equal(msp(target, singles)(x)[target], singles[target](x)[target])


def test_msp_learns_at_once_through_the_additional_networks():
    network = msp("a", single_networks())
    data = make_patch_data(channels=4)
    windows, cores = data.batch(torch.arange(4))
    predictions, _ = network.training_pass(windows)
    patch_mse(predictions["a"], *cores["a"]).mean().backward()
    for branch in network.branches.values():
        assert branch[-1].conv.weight.grad.abs().max() > 0


def test_msp_asks_for_the_first_stage_of_every_platform():
    network = msp("b", single_networks(), first_stage_weight=0.5)
    predictions, terms = network.training_pass(torch.randn(1, 4, 11, 11, 11))
    assert list(predictions) == ["b"]
    assert [(platform, weight) for platform, _, weight in terms] == [(p, 0.5) for p in SCALES]
    assert terms[2][1].shape[-1] == 14


def test_msp_asks_for_nothing_of_frozen_networks_and_predicts_the_same():
    network = msp("b", single_networks())
    x = torch.randn(1, 4, 11, 11, 11)
    free, _ = network.training_pass(x)
    network.singles.requires_grad_(False)
    frozen, terms = network.training_pass(x)
    assert terms == []
    assert torch.equal(frozen["b"], free["b"])
    assert torch.equal(network(x)["b"], free["b"])


def test_diqt_starts_as_the_espcn_it_adopts():
    espcn = Espcn(4, "t", 2).eval()
    diqt = Diqt(4, "t", 2, blocks=2)
    diqt.adopt({"t": espcn})
    x = torch.randn(2, 4, 11, 11, 11)
    with torch.no_grad():
        assert torch.equal(diqt.eval()(x)["t"], espcn(x)["t"])


def test_pixel_shuffle_keeps_space_and_is_undone():
    x = torch.randn(2, 3 * 8, 4, 5, 6)
    shuffled = pixel_shuffle(x, 2)
    assert shuffled.shape == (2, 3, 8, 10, 12)
    assert torch.equal(pixel_unshuffle(shuffled, 2), x)
    # The r^3 values of a channel become the r^3 parts of its voxel.
    assert torch.equal(shuffled[0, 1, 2:4, 4:6, 6:8].flatten(), x[0, 8:16, 1, 2, 3])


def test_identity_interpolates_at_the_centres_of_the_split():
    ramp = torch.arange(11.0).view(1, 1, 11, 1, 1).expand(1, 1, 11, 11, 11)
    fine = upsample(ramp, 2)[0, 0, :, 0, 0]
    # Core voxel 2 splits at 1.75 and 2.25.
    torch.testing.assert_close(fine, torch.arange(14) / 2 + 1.75)
    assert torch.equal(upsample(ramp, 1), ramp[:, :, 2:-2, 2:-2, 2:-2])


def test_noise_repeats_with_its_seed():
    x = torch.zeros(1, 4, 11, 11, 11)
    first, again, other = (Noise("t", 1, seed)(x)["t"] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_specification_rebuilds_the_same_structure():
    component = {
        p: {"network": {"name": "espcn"}, "target": p, "channels": 4, "scales": {p: r}}
        for p, r in SCALES.items()
    }
    network = build(
        {
            "network": {"name": "multi_stage", "width": 8, "first_stage_weight": 1.0},
            "target": "c",
            "channels": 4,
            "scales": SCALES,
            "components": component,
        }
    )
    expected = msp("c", single_networks())
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (network, expected)]
    assert shapes[0] == shapes[1]
