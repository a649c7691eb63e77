"""The training loop: repeatable, honest about what it selected, and stopped by bad numbers."""

import copy
import math

import pytest
import torch
from conftest import make_patch_data

from harmonization.files import InputError
from harmonization.learning.devices import choose_precision
from harmonization.learning.layers import copy_state
from harmonization.learning.models import FitSettings, NetworkModel
from harmonization.learning.network import Task
from harmonization.learning.patches import read_part
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
from harmonization.networks.fcsnet import Fcsnet
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


def test_the_error_on_validation_is_the_mean_over_platforms_of_that_of_patches():
    """By hand, over more patches than one batch, of which each lies in the mask in part."""
    data = make_patch_data(subjects=5, scales=SCALES)
    for mask in data.masks.values():
        mask.copy_(torch.rand(mask.shape) < 0.5)
    network = HardSharing(Task(3, SCALES, None, 0))
    errors = dict.fromkeys(SCALES, 0.0)
    for number in range(len(data)):
        window, cores = data.batch(torch.tensor([number]))
        with torch.no_grad():
            predictions = network(window)
        for platform, (target, mask) in cores.items():
            squared = (predictions[platform] - target).square().mean(dim=1, keepdim=True)
            errors[platform] += squared[mask > 0].mean().item() / len(data)
    assert len(data) == 40
    assert errors["a"] != pytest.approx(errors["b"], rel=0.01)
    assert validate(network, data) == pytest.approx((errors["a"] + errors["b"]) / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "settings"), [(HardSharing, {"blocks": 1}), (Fcsnet, {"widths": [8], "dropout": 0.5})]
)
def test_to_measure_an_error_changes_nothing(kind, settings):
    """A network in training drops channels, and notes the means of what it sees."""
    network, data = kind(Task(3, {"a": 1}, "a", 0), **settings), make_patch_data(scales={"a": 1})
    before, errors = copy_state(network), []
    for _ in range(2):
        network.train()
        errors.append(validate(network, data))
    assert errors[0] == errors[1]
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_network_keeps_the_best_weights_and_the_start_competes():
    wild = {**SETTINGS, "phases": [{"steps": 10, "learning_rate": 10.0}]}
    network, result = run(3, settings=wild)
    assert result.best.step == 0
    validation = make_patch_data(scales={"a": 1}, seed=9)
    assert validate(network, validation) == pytest.approx(result.best.validation_mse)
    assert not network.training


def test_a_phase_starts_from_the_best_weights_of_those_before():
    """The first phase spoils the network, and the second is too gentle to move it."""
    phases = [{"steps": 5, "learning_rate": rate} for rate in (10.0, 1e-30)]
    _, result = run(3, settings={**SETTINGS, "phases": phases})
    start, spoilt, last = (row.validation_mse for row in result.history)
    assert spoilt > 2 * start
    assert last == pytest.approx(start, rel=1e-6)


def test_the_history_tells_the_rate_of_each_step_and_the_error_since_the_last_look():
    """By hand: a batch holds all patches, so a step's error is the one of the look before."""
    phases = [
        {"steps": 4, "learning_rate": 1e-3, "warm_up": 2},
        {"steps": 3, "learning_rate": 1e-4},
    ]
    data, start, rows = make_patch_data(scales={"a": 1}), espcn(), {}
    for every in (1, 3):
        settings = {"batch_size": len(data), "validate_every": every, "phases": phases}
        result = train(copy.deepcopy(start), data, data, settings, 0, report=quietly)
        rows[every] = {row.step: row for row in result.history}
    rates = [row.learning_rate for row in rows[1].values()]
    assert rates == pytest.approx([0, 5e-4, 1e-3, 1e-3, 5e-4, 1e-4, 7.5e-5, 2.5e-5])
    assert [row.phase for row in rows[1].values()] == [0, 1, 1, 1, 1, 2, 2, 2]
    errors = [row.validation_mse for row in rows[1].values()]
    # No step made it worse, so the second phase starts where the first ended.
    assert errors == sorted(errors, reverse=True)
    found = [row.training_mse for row in rows[1].values()]
    assert found[1:] == pytest.approx(errors[:-1], rel=1e-5)
    # Steps between looks count from the start of a phase, whose end is looked at, too.
    expected = {3: sum(errors[:3]) / 3, 4: errors[3], 7: sum(errors[4:7]) / 3}
    since = {step: row.training_mse for step, row in rows[3].items() if step}
    assert since == pytest.approx(expected, rel=1e-5)


def test_networks_train_on_training_subjects_and_select_on_those_of_validation(
    gained_fold, monkeypatch
):
    given = {}

    def spy(network, training, validation, *others):
        given.update(train=training, validation=validation)
        return train(network, training, validation, *others)

    monkeypatch.setattr("harmonization.learning.models.train", spy)
    network = Espcn(Task(6, gained_fold.scales, "t", 0), width=8)
    settings = SETTINGS | {"phases": [{"steps": 1, "learning_rate": 1e-3}]}
    NetworkModel(network).fit(gained_fold, FitSettings(training=settings, report=quietly))
    for part, data in given.items():
        wanted = read_part(gained_fold, part, ["t"])
        assert torch.equal(data.source, wanted.source), part
        assert torch.equal(data.targets["t"], wanted.targets["t"]), part
        assert torch.equal(data.patches, wanted.patches), part


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
    assert errors[torch.bfloat16] == pytest.approx(errors[torch.float32], rel=0.05)


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


def test_patches_come_in_another_order_in_each_epoch_and_for_each_seed():
    epochs = {}
    for seed in (0, 1):
        order = batches(20, 5, seed)
        epochs[seed] = [torch.cat([next(order) for _ in range(4)]).tolist() for _ in range(2)]
    (first, second), (other, _) = epochs.values()
    assert len({tuple(epoch) for epoch in (first, second, other, range(20))}) == 4


def test_the_seed_orders_the_patches_of_a_training():
    """From one start, so that nothing else can make the weights differ."""
    start, data = espcn(), make_patch_data(scales={"a": 1})
    weights = []
    for seed in (0, 0, 1):
        network = copy.deepcopy(start)
        train(network, data, data, SETTINGS, seed, report=quietly)
        weights.append(network.output.conv.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


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


@pytest.mark.parametrize(("killed", "said"), [(3, []), (10, ["25% of the units of features.1"])])
def test_a_training_says_that_units_are_dead(gained_fold, killed, said):
    network = Espcn(Task(6, gained_fold.scales, "t", 0), width=80)
    with torch.no_grad():
        network.features[0].bias[:killed] = -1e3
    settings = SETTINGS | {"phases": [{"steps": 1, "learning_rate": 1e-3}]}
    lines: list[str] = []
    NetworkModel(network).fit(gained_fold, FitSettings(training=settings, report=lines.append))
    assert [line.split(" are dead: ")[0] for line in lines if "dead" in line] == said


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
