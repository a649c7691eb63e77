"""Sizes and computation, counted by hand, and networks made equal in either."""

import copy

import pytest
import torch

from harmonization.files import InputError
from harmonization.learning.layers import count_parameters
from harmonization.learning.network import Task
from harmonization.learning.sizing import (
    lengthened,
    path_parameters,
    setting_for,
    training_multiply_adds,
)
from harmonization.networks.espcn import Espcn
from harmonization.networks.hard_sharing import HardSharing
from harmonization.networks.identity import Identity
from harmonization.networks.multi_stage import MultiStage

SCALES = {"a": 1, "b": 2}


def espcn(target="a", channels=6, **settings):
    return Espcn(Task(channels, {target: SCALES[target]}, target, 0), **settings)


def msp():
    components = {"a": espcn("a"), "b": espcn("b")}
    return MultiStage(Task(6, SCALES, "a", 0), components, width=8, first_stage_weight=1.0)


def training(*phases, batch_size=2):
    return {"batch_size": batch_size, "validate_every": 5, "phases": list(phases)}


def test_a_first_stage_head_that_feeds_nothing_is_not_on_the_path():
    network = msp()
    head = count_parameters(network.first_stage["b"].output)
    assert path_parameters(network) == count_parameters(network) - head
    assert path_parameters(espcn()) == count_parameters(espcn())
    network.first_stage.requires_grad_(False)
    assert path_parameters(network) == count_parameters(network) - head
    assert not any(p.requires_grad for p in network.first_stage.parameters())


def test_a_network_of_all_targets_has_a_path_to_each():
    network = HardSharing(Task(6, SCALES, None, 0))
    trunk, heads = (count_parameters(part) for part in (network.trunk, network.heads))
    assert path_parameters(network) == 2 * trunk + heads


def test_what_has_no_parameters_has_none_on_the_path():
    assert path_parameters(Identity(Task(6, {"a": 1}, "a", 0))) == 0


def test_multiply_adds_of_espcn_by_hand():
    """By voxel of each output: forward, and back to the weights and, but for the first, inputs."""
    first = 9**3 * 6 * 27 * 50
    rest = 9**3 * 50 * 100 + 7**3 * 100 * 27 * 6
    wanted = 2 * 10 * (2 * first + 3 * rest)
    phase = {"steps": 10, "learning_rate": 1e-3}
    assert training_multiply_adds(espcn(), training(phase), 11) == wanted


def test_what_is_frozen_costs_its_forward_pass_alone():
    free = {"steps": 1, "learning_rate": 1e-3}
    costs = [
        training_multiply_adds(msp(), training(phase), 11)
        for phase in (free, {**free, "frozen": ["first_stage"]})
    ]
    assert costs[1] < 0.6 * costs[0]


def test_losses_that_go_back_apart_cost_a_pass_each():
    """Where the outputs share all but their heads, each head learns by its own loss alone."""
    free = training({"steps": 1, "learning_rate": 1e-3})
    network = HardSharing(Task(6, SCALES, None, 0))
    together, apart = (
        training_multiply_adds(network, {**free, "weighting": name}, 11)
        for name in ("sum", "upgrad")
    )
    # Back to the weights of both convolutions, and to what lies between them.
    trunk = 2 * (9**3 * 6 * 27 * 50 + 2 * 9**3 * 50 * 100)
    assert apart - together == trunk


def test_counting_changes_neither_the_network_nor_the_random_numbers():
    network = msp()
    before, state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    training_multiply_adds(network, training({"steps": 1, "learning_rate": 1e-3}), 11)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[name]) for name, v in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("wanted", [118_578, 200_000, 1_000_000])
def test_widths_are_found_within_two_per_cent(wanted):
    def size(width):
        return path_parameters(espcn(channels=28, width=width))

    assert size(setting_for(wanted, size, "width")) == pytest.approx(wanted, rel=0.02)


def test_what_cannot_be_matched_is_refused():
    with pytest.raises(InputError, match="no width gives the 50 parameters of the other method"):
        setting_for(50, lambda width: 1000 * width, "width")


def test_a_training_of_another_length_can_stop_as_early():
    short = training(
        {"steps": 10, "learning_rate": 1e-3, "warm_up": 2}, {"steps": 4, "learning_rate": 1e-4}
    )
    longer = lengthened(short, 2.5)
    assert [phase["steps"] for phase in longer["phases"]] == [25, 10]
    assert [phase.get("warm_up") for phase in longer["phases"]] == [5, None]
    assert longer["validate_every"] == short["validate_every"]
    assert lengthened(short, 0.5)["validate_every"] < short["validate_every"]
    assert short["phases"][0]["steps"] == 10
    late = training({"steps": 10, "learning_rate": 1e-3, "warm_up": 9})
    assert lengthened(late, 0.4)["phases"][0] == {"steps": 4, "learning_rate": 1e-3, "warm_up": 3}
    with pytest.raises(InputError, match="computes less than the components of this one"):
        lengthened(short, -1)
