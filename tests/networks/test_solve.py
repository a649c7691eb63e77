"""Linear methods find the linear map if there is one."""

import copy

import pytest
import torch
from conftest import make_patch_data

from harmonization.learning.layers import upsample
from harmonization.learning.network import Task
from harmonization.learning.training import validate
from harmonization.networks.channel_affine import ChannelAffine
from harmonization.networks.ensemble import Ensemble
from harmonization.networks.linear_patch import LinearPatch

TASK = Task(3, {"c": 2}, "c", 0)


def linear_data(network, seed):
    """Data whose target is what `network` predicts."""
    data = make_patch_data(scales={"c": 2}, seed=seed)
    target = data.targets["c"]
    for subject, *core in data.patches.tolist():
        windows, _ = data.batch(torch.tensor([data.patches.tolist().index([subject, *core])]))
        with torch.no_grad():
            value = network(windows)["c"][0].permute(1, 2, 3, 0)
        x, y, z = (14 * c for c in core)
        target[subject, x : x + 14, y : y + 14, z : z + 14] = value
    return data


def affine():
    network = ChannelAffine(TASK)
    with torch.no_grad():
        network.scale.copy_(torch.tensor([0.5, 1.0, 2.0]))
        network.offset.copy_(torch.tensor([0.1, 0.0, -3.0]))
    return network


def ensemble():
    network = Ensemble(TASK, {name: LinearPatch(TASK) for name in ("one", "other")})
    with torch.no_grad():
        network.weights.copy_(torch.tensor([0.3, 0.7]))
    return network


def test_channel_affine_recovers_scale_and_offset():
    true = affine()
    data = linear_data(true, seed=0)
    found = ChannelAffine(TASK)
    found.solve(data, data)
    torch.testing.assert_close(found.scale, true.scale, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.offset, true.offset, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("edge", [3, 5])
def test_ridge_recovers_a_linear_map_and_chooses_the_penalty_on_validation(edge):
    true = LinearPatch(TASK, edge=edge)
    training, validation = linear_data(true, seed=0), linear_data(true, seed=1)
    found = LinearPatch(TASK, edge=edge)
    report = found.solve(training, validation, penalties=[1.0, 1e-8])
    assert report == {"penalty": 1e-8, "validation_mse": validate(found, validation)}
    torch.testing.assert_close(found.linear.conv.weight, true.linear.conv.weight, atol=1e-4, rtol=0)
    assert validate(found, validation) < 1e-6


# What each fits, with which settings, on which part.
SOLVED = {
    "affine": (affine, ["scale", "offset"], {}, "training"),
    "ridge": (
        lambda: LinearPatch(TASK),
        ["linear.conv.weight", "linear.conv.bias"],
        {"penalties": [1e-8]},
        "training",
    ),
    "ensemble": (ensemble, ["weights"], {}, "validation"),
}


@pytest.mark.parametrize("name", SOLVED)
def test_a_closed_form_ignores_voxels_outside_the_mask_and_the_other_part(name):
    """Its own part is what a network predicts, and the other something else."""
    make, fitted, settings, part = SOLVED[name]
    true = make()
    data = linear_data(true, seed=0)
    data.targets["c"][:, :4] = 1e6
    data.masks["c"][:, :4] = 0
    found = copy.deepcopy(true)
    for parameter in fitted:
        torch.nn.init.zeros_(found.get_parameter(parameter))
    parts = dict.fromkeys(("training", "validation"), make_patch_data(scales={"c": 2}, seed=1))
    found.solve(**parts | {part: data}, **settings)
    for parameter in fitted:
        wanted = true.get_parameter(parameter)
        torch.testing.assert_close(found.get_parameter(parameter), wanted, atol=1e-4, rtol=0)


def test_an_affine_that_need_not_do_anything_is_the_identity():
    network = ChannelAffine(TASK)
    x = torch.randn(2, 3, 11, 11, 11)
    assert torch.equal(network(x)["c"], upsample(x, 2))
