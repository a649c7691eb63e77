"""The training loop: repeatable, honest about what it selected, and stopped by bad numbers."""

import math

import pytest
import torch
from conftest import make_patch_data

from harmonization.files import InputError
from harmonization.learning.devices import choose_precision
from harmonization.learning.layers import copy_state
from harmonization.learning.network import Task
from harmonization.learning.training import (
    batch_losses,
    batches,
    dead_units,
    freeze,
    schedule,
    train,
    validate,
)
from harmonization.networks.espcn import Espcn
from harmonization.networks.hard_sharing import HardSharing
from harmonization.networks.multi_stage import MultiStage

SCALES = {"a": 1, "b": 2}
SETTINGS = {
    "batch_size": 4,
    "validate_every": 5,
    "phases": [{"steps": 15, "learning_rate": 3e-3}],
}


def quietly(_line):
    pass


def espcn(target="a"):
    return Espcn(Task(3, {target: SCALES[target]}, target, 0))


def msp():
    singles = {target: espcn(target) for target in SCALES}
    return MultiStage(Task(3, SCALES, "a", 0), singles, width=8, first_stage_weight=1.0)


def run(seed, network=None, settings=SETTINGS, data=None):
    torch.manual_seed(seed)
    network = network or espcn()
    data = data or make_patch_data(scales={"a": 1})
    validation = make_patch_data(scales={"a": 1}, seed=9)
    return network, train(network, data, validation, settings, seed, report=quietly)


def test_the_same_seed_repeats_and_another_differs():
    (first, history), (again, history_again), (other, _) = run(1), run(1), run(2)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert [r.validation_mse for r in history.history] == [
        r.validation_mse for r in history_again.history
    ]
    assert not torch.equal(first.output.conv.weight, other.output.conv.weight)


def test_training_learns_and_reports_every_look():
    lines = []
    torch.manual_seed(0)
    network = espcn()
    data = make_patch_data(scales={"a": 1})
    result = train(network, data, data, SETTINGS, 0, report=lines.append)
    assert [row.step for row in result.history] == [0, 5, 10, 15]
    assert len(lines) == 3
    assert "step 15/15" in lines[-1]
    assert result.best.validation_mse < 0.9 * result.history[0].validation_mse
    assert math.isnan(result.history[0].training_mse)


def test_the_network_keeps_the_best_weights_and_the_start_competes():
    wild = {**SETTINGS, "phases": [{"steps": 10, "learning_rate": 10.0}]}
    network, result = run(3, settings=wild)
    assert result.best.step == 0
    validation = make_patch_data(scales={"a": 1}, seed=9)
    assert validate(network, validation) == pytest.approx(result.best.validation_mse)
    assert not network.training


def test_a_frozen_part_that_there_is_not_is_refused():
    with pytest.raises(InputError, match=r"MultiStage has no part 'first_stag'; its parts are"):
        freeze(msp(), ["first_stag"])


def test_frozen_parts_stay_and_the_next_phase_moves_them():
    network = msp()
    data = make_patch_data(scales=SCALES)
    before = copy_state(network.first_stage)
    frozen = {"steps": 5, "learning_rate": 1e-2, "frozen": ["first_stage"]}
    train(network, data, data, {**SETTINGS, "phases": [frozen]}, 0, report=quietly)
    assert all(torch.equal(before[k], v) for k, v in network.first_stage.state_dict().items())
    train(
        network,
        data,
        data,
        {**SETTINGS, "phases": [{"steps": 5, "learning_rate": 1e-3}]},
        0,
        report=quietly,
    )
    assert not all(torch.equal(before[k], v) for k, v in network.first_stage.state_dict().items())


def test_freezing_is_undone():
    network = HardSharing(Task(3, {"a": 1}, None, 0))
    freeze(network, ["trunk"])
    assert not any(p.requires_grad for p in network.trunk.parameters())
    assert not network.trunk.training
    assert network.heads.training
    freeze(network, [])
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("kind", ["single", "msp"])
def test_bfloat16_learns_what_float32_learns(kind):
    data = make_patch_data(scales=SCALES)
    errors = {}
    for precision in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        network = msp() if kind == "msp" else espcn()
        result = train(network, data, data, SETTINGS, 0, precision, report=quietly)
        errors[precision] = result.best.validation_mse
        assert result.best.validation_mse < 0.9 * result.history[0].validation_mse
        assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert errors[torch.bfloat16] != errors[torch.float32]
    assert errors[torch.bfloat16] == pytest.approx(errors[torch.float32], rel=0.02)


@pytest.mark.parametrize(
    ("wanted", "processor", "chosen"),
    [
        ("bfloat16", {"avx512_bf16": True}, torch.bfloat16),
        ("bfloat16", {"amx_bf16": True}, torch.bfloat16),
        ("bfloat16", {"avx2": True}, torch.float32),
        ("float32", {"avx512_bf16": True}, torch.float32),
    ],
)
def test_bfloat16_needs_a_processor_that_has_it(monkeypatch, wanted, processor, chosen):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    assert choose_precision(wanted, "cpu") is chosen


def test_an_infinite_loss_stops_with_the_patches():
    data = make_patch_data(scales={"a": 1})
    data.targets["a"][0, 0, 0, 0] = math.nan
    with pytest.raises(InputError, match=r"step \d+, patches .*\[0, 0, 0, 0\]"):
        run(0, data=data)


def test_batches_visit_every_patch_once_an_epoch():
    order = batches(10, 5, seed=0)
    epochs = [torch.cat([next(order), next(order)]).sort().values for _ in range(3)]
    for epoch in epochs:
        assert epoch.tolist() == list(range(10))
    assert len(next(batches(3, 12, seed=0))) == 3


def test_the_rate_rises_and_falls():
    """By hand: 4 steps up to the rate, 8 down to 0."""
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=2.0)
    rates, found = schedule(sgd, 12, 4), []
    for _ in range(12):
        found.append(rates.get_last_lr()[0])
        sgd.step()
        rates.step()
    assert found[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])
    assert found[8] == pytest.approx(1.0)
    assert found[4:] == sorted(found[4:], reverse=True)
    assert rates.get_last_lr()[0] == pytest.approx(0)


def test_units_without_variation_are_dead():
    data = make_patch_data(scales={"a": 1})
    network = espcn()
    assert dead_units(network, data) == {"features.1": 0, "features.3": 0}
    with torch.no_grad():
        first = network.features[0]
        first.weight[:10] = 0  # 10 of 50 units say the same everywhere,
        first.bias[10:15] = -1e3  # and 5 say nothing
    assert dead_units(network, data)["features.1"] == pytest.approx(0.3)


def test_the_branches_of_msp_live_and_learn():
    """All units vary and every layer of every branch has a gradient, after a real warm-up."""
    data = make_patch_data(scales=SCALES)
    network = msp()
    phases = [{"steps": 40, "learning_rate": 3e-4, "warm_up": 10, "frozen": ["first_stage"]}]
    settings = {"batch_size": 4, "validate_every": 20, "phases": phases}
    train(network, data, data, settings, 0, report=quietly)
    dead = {name: d for name, d in dead_units(network, data).items() if "branches" in name}
    assert dead
    assert max(dead.values()) <= 0.1
    assert network.report(data)["contributions"]["b"] > 0.005
    batch_losses(network, *data.batch(torch.arange(4))).total().backward()
    for name, parameter in network.branches.named_parameters():
        assert parameter.grad.abs().max() > 0, name
