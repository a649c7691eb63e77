"""Loss weighting: by hand on losses of two numbers, and any weighting with any network."""

import math

import pytest
import torch
import yaml
from conftest import ROOT, make_patch_data

from harmonization.learning.layers import copy_state
from harmonization.learning.network import Task
from harmonization.learning.patches import patch_mse
from harmonization.learning.training import batches, freeze, schedule, train
from harmonization.learning.weighting import WEIGHTINGS, Losses, Uncertainty, Upgrad
from harmonization.networks.cascade import Cascade
from harmonization.networks.espcn import Espcn
from harmonization.networks.hard_sharing import HardSharing

SCALES = {"a": 1, "b": 1, "c": 2}
PHASE = {"steps": 12, "learning_rate": 3e-3}
SETTINGS = {"batch_size": 4, "validate_every": 6, "phases": [PHASE]}
CPU = torch.device("cpu")


def hard_sharing():
    return HardSharing(Task(3, SCALES, None, 0))


def cascade():
    singles = {f"single-{t}": Espcn(Task(3, {t: r}, t, 0)) for t, r in SCALES.items()}
    return Cascade(Task(3, SCALES, None, 0), singles, width=8, first_stage_weight=0.7)


NETWORKS = {"hard_sharing": hard_sharing, "cascade": cascade}


def run(kind, weighting=None, precision=torch.float32, settings=SETTINGS):
    torch.manual_seed(0)
    network = NETWORKS[kind]()
    data, validation = (make_patch_data(scales=SCALES, seed=seed) for seed in (0, 9))
    given = settings if weighting is None else settings | {"weighting": weighting}
    return network, train(network, data, validation, given, 0, precision, report=lambda _line: None)


def linear(*slopes):
    """A parameter at zero, and losses with these slopes in it."""
    parameter = torch.nn.Parameter(torch.zeros(len(slopes[0])))
    errors = {name: torch.tensor(s) @ parameter for name, s in zip("abc", slopes, strict=False)}
    return parameter, Losses(errors, [])


def gradient(weighting, *slopes):
    """What a weighting makes of losses with these slopes."""
    parameter, losses = linear(*slopes)
    WEIGHTINGS[weighting](list(losses.errors), CPU).backward(losses, [parameter])
    return parameter.grad


def test_the_schema_lists_all_weightings():
    schema = yaml.safe_load((ROOT / "workflow/schemas/method.schema.yaml").read_text())
    assert schema["properties"]["weighting"]["enum"] == list(WEIGHTINGS)


def test_auxiliary_losses_are_added_to_those_of_their_platform():
    one, two, four = (torch.tensor(value) for value in (1.0, 2.0, 4.0))
    losses = Losses({"a": one, "b": two}, [("b", four), ("c", one)])
    assert losses.total() == 8
    assert losses.by_platform() == {"a": 1, "b": 6, "c": 1}


# --- Sum


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_sum_is_the_plain_step_to_the_bit_and_the_default(kind):
    whole = SETTINGS | {"validate_every": PHASE["steps"]}
    (network, result), (named, _) = run(kind, settings=whole), run(kind, "sum", settings=whole)
    assert result.best.step == PHASE["steps"]
    assert result.weighting == {}
    torch.manual_seed(0)
    plain, data = NETWORKS[kind](), make_patch_data(scales=SCALES)
    order = batches(len(data), SETTINGS["batch_size"], 0)
    adam = torch.optim.Adam(plain.parameters(), lr=PHASE["learning_rate"], fused=True)
    rates = schedule(adam, PHASE["steps"], 0)
    freeze(plain, [])
    for _ in range(PHASE["steps"]):
        windows, cores = data.batch(next(order))
        predictions, auxiliary = plain.training_outputs(windows)
        loss = sum(patch_mse(y, *cores[t]).mean() for t, y in predictions.items())
        for target, y, weight in auxiliary:
            loss = loss + weight * patch_mse(y, *cores[target]).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        rates.step()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, network.state_dict()[name])
        assert torch.equal(value, named.state_dict()[name])


# --- Uncertainty


def test_uncertainty_by_hand():
    """The loss is exp(-s) L + s, and s starts at log L, where it has no slope."""
    parameter = torch.nn.Parameter(torch.tensor([0.2, 0.5]))
    weighting = Uncertainty("ab", CPU)

    def step():
        parameter.grad = weighting.s.grad = None
        losses = Losses({"a": parameter[0] * 1, "b": parameter[1] * 3}, [])
        weighting.backward(losses, [parameter])

    step()
    assert weighting.s.tolist() == pytest.approx([math.log(0.2), math.log(1.5)])
    assert weighting.report() == {"weights": pytest.approx({"a": 1 / 0.2, "b": 1 / 1.5})}
    assert parameter.grad.tolist() == pytest.approx([1 / 0.2, 3 / 1.5])
    assert weighting.s.grad.tolist() == pytest.approx([0, 0], abs=1e-6)
    with torch.no_grad():
        weighting.s.copy_(torch.tensor([math.log(2), 0]))
    step()
    assert parameter.grad.tolist() == pytest.approx([1 / 2, 3])
    assert weighting.s.grad.tolist() == pytest.approx([1 - 0.2 / 2, 1 - 1.5])


def test_uncertainty_finds_the_log_of_losses_that_fell():
    weighting, levels = Uncertainty("ab", CPU), {"a": 0.2, "b": 0.3}
    weighting.backward(Losses(dict.fromkeys("ab", torch.tensor(1.0)), []), [])
    adam = torch.optim.Adam(weighting.groups(1e-3), fused=True)
    for _ in range(400):
        adam.zero_grad()
        weighting.backward(Losses({t: torch.tensor(v) for t, v in levels.items()}, []), [])
        adam.step()
    assert weighting.s.tolist() == pytest.approx([math.log(v) for v in levels.values()], abs=1e-2)


def test_a_prediction_that_starts_perfect_does_not_weigh_infinitely():
    weighting = Uncertainty("ab", CPU)
    weighting.backward(Losses({"a": torch.tensor(0.0), "b": torch.tensor(0.3)}, []), [])
    assert torch.isfinite(weighting.s).all()
    assert torch.isfinite(weighting.s.grad).all()


# --- UPGrad


@pytest.mark.parametrize("size", [1.0, 1e-4])
def test_upgrad_harms_no_loss_where_the_sum_does(size):
    """By hand: each gradient without its part along the other, (0.2, 0.4) and (0, 1).

    The library adds a ten-thousandth to the diagonal of the scalar products.
    """
    slopes = [[size, 0.0], [-2 * size, size]]
    plain, found = (gradient(name, *slopes) for name in ("sum", "upgrad"))
    changes = [
        [-sum(s * g for s, g in zip(slope, d.tolist(), strict=True)) for slope in slopes]
        for d in (plain, found)
    ]
    assert max(changes[0]) > 0
    assert max(changes[1]) < 0
    assert (found / size).tolist() == pytest.approx([0.2, 1.4], rel=1e-2)


def test_upgrad_sums_gradients_that_agree():
    slopes = [[1.0, 0.0, 2.0], [0.5, 1.0, 0.0], [0.0, 3.0, 1.0]]
    torch.testing.assert_close(gradient("upgrad", *slopes), gradient("sum", *slopes))


def test_what_belongs_to_one_loss_follows_it_alone():
    """A shared parameter on which two losses disagree, a head of each, and one that is not used."""
    shared, left, right, unused = parameters = [
        torch.nn.Parameter(torch.zeros(())) for _ in range(4)
    ]
    losses = Losses({"a": 2 * shared + 5 * left, "b": -shared + 7 * right}, [])
    weighting = Upgrad("ab", CPU)
    weighting.backward(losses, parameters)
    assert (left.grad, right.grad, unused.grad) == (5, 7, None)
    assert abs(shared.grad) < 0.01
    assert weighting.report()["conflicts"] == 1


def test_upgrad_leaves_out_what_is_frozen():
    network, data = hard_sharing(), make_patch_data(scales=SCALES)
    before = copy_state(network)
    frozen = {**PHASE, "frozen": ["trunk", "heads.a"]}
    settings = SETTINGS | {"phases": [frozen], "weighting": "upgrad"}
    result = train(network, data, data, settings, 0, report=lambda _line: None)
    assert result.weighting == {"weights": {"a": 0, "b": 1, "c": 1}, "conflicts": 0}
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith(("heads.b", "heads.c")))


def test_no_gradient_at_all_is_no_error():
    assert gradient("upgrad", [0.0, 0.0], [0.0, 0.0]).tolist() == [0, 0]


# --- Any weighting, any network


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_every_weighting_trains_every_network_and_repeats(weighting, kind, precision):
    (first, result), (second, again) = (run(kind, weighting, precision) for _ in range(2))
    assert result.best.validation_mse < 0.9 * result.history[0].validation_mse
    assert result.weighting == again.weighting
    if weighting != "sum":
        assert list(result.weighting["weights"]) == list(SCALES)
        assert all(weight > 0 for weight in result.weighting["weights"].values())
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert {p.dtype for p in first.parameters()} == {torch.float32}


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_weighting_goes_on_in_the_next_phase(weighting):
    """Three looks at the next phase, as one may be worse by chance."""
    phases = [{**PHASE, "frozen": ["first_stage"]}, {"steps": 12, "learning_rate": 1e-3}]
    settings = SETTINGS | {"phases": phases, "validate_every": 4}
    _, result = run("cascade", weighting, settings=settings)
    assert [row.phase for row in result.history] == [0, 1, 1, 1, 2, 2, 2]
    assert result.best.phase == 2
