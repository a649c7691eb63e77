"""The training loop: repeatable, honest about what it selected, and stopped by bad numbers."""

import math

import pytest
import torch
from conftest import make_patch_data

from harmonization.files import InputError
from harmonization.models import choose_precision
from harmonization.networks import Espcn, HardSharing, MultiStage
from harmonization.training import (
    Progress,
    Training,
    batches,
    branch_shares,
    copy_state,
    freeze,
    train,
    validate,
)

SETTINGS = {
    "batch_size": 4,
    "validate_every": 5,
    "phases": [{"steps": 15, "learning_rate": 3e-3}],
}


def quietly(_line):
    pass


def run(seed, network=None, settings=SETTINGS, data=None):
    torch.manual_seed(seed)
    network = network or Espcn(3, "a", 1)
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
    network = Espcn(3, "a", 1)
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


def test_frozen_parts_stay_and_the_next_phase_moves_them():
    scales = {"a": 1, "b": 2}
    singles = {p: Espcn(3, p, r) for p, r in scales.items()}
    network = MultiStage("a", singles, channels=3, r=1, width=8, first_stage_weight=1.0)
    data = make_patch_data(scales=scales)
    before = copy_state(network.singles)
    frozen = {"steps": 5, "learning_rate": 1e-2, "frozen": ["singles"]}
    train(network, data, data, {**SETTINGS, "phases": [frozen]}, 0, report=quietly)
    assert all(torch.equal(before[k], v) for k, v in network.singles.state_dict().items())
    train(
        network,
        data,
        data,
        {**SETTINGS, "phases": [{"steps": 5, "learning_rate": 1e-3}]},
        0,
        report=quietly,
    )
    assert not all(torch.equal(before[k], v) for k, v in network.singles.state_dict().items())


def test_branch_shares_tell_how_much_each_platform_gives():
    scales = {"a": 1, "b": 2}
    singles = {p: Espcn(3, p, r) for p, r in scales.items()}
    network = MultiStage("a", singles, channels=3, r=1, width=8, first_stage_weight=1.0)
    data = make_patch_data(scales=scales)
    assert branch_shares(network, data) == {"a": 1.0, "b": 0.0}
    with torch.no_grad():
        # Constant outputs: 4 of its own and 3 of the other make 7.
        for conv, value in (
            (network.singles["a"].output.conv, 2),
            (network.branches["b"][-1].conv, 3),
        ):
            conv.weight.zero_()
            conv.bias.fill_(value)
        network.weights["a"].fill_(2)
    assert branch_shares(network, data) == pytest.approx({"a": 4 / 7, "b": 3 / 7})


def test_freezing_is_undone():
    network = HardSharing(3, {"a": 1})
    freeze(network, ["trunk"])
    assert not any(p.requires_grad for p in network.trunk.parameters())
    assert not network.trunk.training
    assert network.heads.training
    freeze(network, [])
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("kind", ["single", "msp"])
def test_bfloat16_learns_what_float32_learns(kind):
    scales = {"a": 1, "b": 2}
    data = make_patch_data(scales=scales)
    errors = {}
    for precision in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        singles = {p: Espcn(3, p, r) for p, r in scales.items()}
        network = singles["a"]
        if kind == "msp":
            network = MultiStage("a", singles, channels=3, r=1, width=8, first_stage_weight=1.0)
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


@pytest.mark.parametrize(
    ("errors", "converged"), [([1.0, 0.5, 0.499, 0.498], True), ([1.0, 0.8, 0.6, 0.4], False)]
)
def test_converged_means_that_the_last_fifth_gained_little(errors, converged):
    history = [Progress(s, 1, 0.1, e, e) for s, e in zip((0, 50, 80, 100), errors, strict=True)]
    assert Training(history, history[-1]).converged is converged
