"""The networks: published sizes and exact starting points."""

import copy
import json
from dataclasses import asdict

import pytest
import torch
from conftest import EMBEDDED, ROOT, make_patch_data

from harmonization.files import InputError
from harmonization.learning.layers import (
    count_parameters,
    pixel_shuffle,
    pixel_unshuffle,
    upsample,
)
from harmonization.learning.models import Specification, build
from harmonization.learning.network import Network, Task
from harmonization.learning.patches import patch_mse
from harmonization.networks.cascade import Cascade
from harmonization.networks.cross_stitch import CrossStitch, channels_of, stages
from harmonization.networks.diqt import Diqt, ReversibleBlock
from harmonization.networks.ensemble import Ensemble
from harmonization.networks.espcn import Espcn
from harmonization.networks.fcsnet import Fcsnet
from harmonization.networks.hard_sharing import HardSharing
from harmonization.networks.linear_patch import LinearPatch
from harmonization.networks.multi_stage import MultiStage
from harmonization.networks.nddr import Nddr
from harmonization.networks.noise import Noise
from harmonization.networks.ridge_mlp import RidgeMlp
from harmonization.networks.shnet import Shnet
from harmonization.plan.configuration import merge
from harmonization.plan.methods import WINGS, Method, method_files, read_methods, with_components
from harmonization.plan.plugins import plugin_names

SCALES = {"a": 1, "b": 1, "c": 2}
METHODS = read_methods(
    merge(EMBEDDED, {"methods": sorted(method_files(ROOT / "config/methods"))}), ROOT
)
NETWORKS = {name: method for name, method in METHODS.items() if method.wing == "networks"}


def task(target="t", r=1, channels=28, seed=0):
    return Task(channels, {target: r}, target, seed)


def single_networks(channels=4, kind=Espcn, **settings):
    return {f"single-{p}": kind(task(p, r, channels), **settings).eval() for p, r in SCALES.items()}


def corrected_ridges(channels=4):
    """Networks with a corrected linear map for every platform, as if they had been trained."""
    networks = {}
    for platform, r in SCALES.items():
        of_platform = task(platform, r, channels)
        ridge = {"ridge": LinearPatch(of_platform)}
        network = RidgeMlp(of_platform, ridge, widths=[8], context=3)
        torch.nn.init.normal_(network.correction[-1].weight, std=0.1)
        networks[f"single-{platform}"] = network.eval()
    return networks


def msp(target, singles, **settings):
    options = {"width": 8, "first_stage_weight": 1.0} | settings
    network = MultiStage(Task(4, SCALES, target, 0), copy.deepcopy(singles), **options)
    network.initialise_from(singles)
    return network.eval()


@pytest.mark.parametrize(
    ("network", "published"),
    [
        (Espcn(task()), 118_578),
        (Espcn(task(r=2)), 647_974),
        (Diqt(task(), blocks=4), 895_458),
        (Diqt(task(r=2), blocks=4), 1_424_854),
        # A block adds as much, whichever it is: half of what four blocks add.
        (Diqt(task(), blocks=2), 118_578 + (895_458 - 118_578) // 2),
        # By hand, as about 3.2 million is all that is known.
        (Fcsnet(task(), widths=[75, 150, 300, 200], dropout=0.5), 3_202_587),
    ],
    ids=["espcn r=1", "espcn r=2", "rn4 r=1", "rn4 r=2", "rn2 r=1", "fcsnet r=1"],
)
def test_numbers_of_parameters(network, published):
    assert count_parameters(network) == published


def specification_of(method: Method, target: str | None, channels: int = 6) -> Specification:
    """Specification of a method's model, components included, as `fit` writes it."""
    components, read = {}, set(SCALES) if target is None else {target}
    for component in method.builds_on:
        other = METHODS[component.method]
        for name in [target] if component.target == "own" else SCALES:
            components[f"{other.name}-{name}-0"] = specification_of(other, name, channels)
            read.add(name)
    scales = {name: r for name, r in SCALES.items() if name in read}
    return Specification(
        method.wing, method.plugin, method.settings, Task(channels, scales, target, 1), components
    )


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("target", SCALES)
def test_every_network_maps_a_window_to_its_core(name, target):
    method = NETWORKS[name]
    model = build(specification_of(method, None if method.fits == "all" else target))
    assert isinstance(model.network, Network)
    with torch.no_grad():
        predictions = model.network(torch.randn(3, 6, 11, 11, 11))
    assert list(predictions) == (list(SCALES) if method.fits == "all" else [target])
    for platform, prediction in predictions.items():
        edge = 7 * SCALES[platform]
        assert prediction.shape == (3, 6, edge, edge, edge)


def test_a_target_that_is_a_word_of_torch_is_refused():
    with pytest.raises(InputError, match=r"platforms.half: torch uses this name itself"):
        Task(6, {"half": 1, "prisma": 1}, None, 0)


@pytest.mark.parametrize("name", [name for name, m in NETWORKS.items() if m.fits == "each"])
def test_a_network_of_one_target_refuses_all(name):
    with pytest.raises(InputError, match=r"fits: each|target: own|of its target"):
        build(specification_of(NETWORKS[name], None)).network(torch.randn(1, 6, 11, 11, 11))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("target", SCALES)
def test_one_target_alone_is_predicted_as_among_all(name, target):
    method = NETWORKS[name]
    x = torch.randn(3, 6, 11, 11, 11)
    outputs = []
    for predict in (lambda network: network.predict(x, target), lambda network: network(x)[target]):
        torch.manual_seed(0)
        model = build(specification_of(method, None if method.fits == "all" else target))
        with torch.no_grad():
            outputs.append(predict(model.network))
    assert torch.equal(*outputs)


@pytest.mark.parametrize("channels", [4, 5])
def test_a_reversible_block_can_be_undone(channels):
    """From its second half back to its first, as in its paper."""
    block = ReversibleBlock(channels).eval()
    for half in (block.f, block.g):
        torch.nn.init.normal_(half[-1].weight)
    x = torch.randn(2, channels, 5, 5, 5)
    with torch.no_grad():
        y1, y2 = block(x).split(block.halves, dim=1)
        x2 = y2 - block.g(y1)
        x1 = y1 - block.f(x2)
        assert not torch.allclose(y2, x2, atol=0.1)
    torch.testing.assert_close(torch.cat([x1, x2], dim=1), x, rtol=1e-4, atol=1e-4)


def test_hard_sharing_computes_no_head_that_is_not_asked_for():
    network = HardSharing(Task(4, SCALES, None, 0)).eval()
    used = []
    for target, head in network.heads.items():
        head.register_forward_hook(lambda *_, target=target: used.append(target))
    network.predict(torch.randn(1, 4, 11, 11, 11), "b")
    assert used == ["b"]


@pytest.mark.parametrize("kind", [CrossStitch, Nddr])
def test_networks_that_mix_nothing_predict_as_before(kind):
    singles = single_networks()
    network = kind(Task(4, SCALES, None, 0), copy.deepcopy(singles), own=1.0)
    network.initialise_from(singles)
    x = torch.randn(2, 4, 11, 11, 11)
    for target, prediction in network(x).items():
        torch.testing.assert_close(prediction, singles[f"single-{target}"](x)[target])


def test_shnet_sees_one_voxel_alone():
    network = Shnet(task(r=2, channels=4), layers=2, width=8).eval()
    x = torch.randn(1, 4, 11, 11, 11)
    before = network(x)["t"]
    x[:, :, 5, 5, 5] += 1
    moved = (network(x)["t"] - before).abs().sum(dim=(0, 1)) > 0
    assert moved.sum() == moved[6:8, 6:8, 6:8].sum() == 8


@pytest.mark.parametrize("kind", [CrossStitch, Nddr])
def test_one_network_alone_keeps_its_features(kind):
    single = {"single-a": Espcn(task("a", 1, 4))}
    network = kind(Task(4, {"a": 1}, None, 0), copy.deepcopy(single), own=0.9)
    network.initialise_from(single)
    x = torch.randn(2, 4, 11, 11, 11)
    torch.testing.assert_close(network.predict(x, "a"), single["single-a"](x)["a"])


@pytest.mark.parametrize("kind", [CrossStitch, Nddr])
def test_blocks_that_halve_their_channels_are_mixed_too(kind):
    singles = {n: Diqt(task(n, 1, 4), blocks=1).eval() for n in ("a", "b")}
    network = kind(ALL, copy.deepcopy(singles), own=1.0).eval()
    x = torch.randn(2, 4, 11, 11, 11)
    torch.testing.assert_close(network.predict(x, "b"), singles["b"](x)["b"])


def test_stages_are_run_where_they_lie():
    """Hooks stay with a copy; this device holds no values, so every processor has it."""
    network, seen = Espcn(task(channels=4)).to("meta"), []
    for layer in network.features:
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].device.type))
    assert channels_of(stages(network), 4) == [50, 100]
    assert set(seen) == {"meta"}


def test_cross_stitch_and_nddr_start_with_the_same_mixture():
    """By hand: nine tenths of one's own features, and a twentieth of each of the others'."""
    singles = single_networks()
    x = torch.randn(2, 4, 11, 11, 11)
    first = {t: singles[f"single-{t}"].features[:2](x) for t in SCALES}
    mixed = {
        t: 0.9 * first[t] + 0.05 * sum(f for other, f in first.items() if other != t)
        for t in SCALES
    }
    second = {t: singles[f"single-{t}"].features[2:](mixed[t]) for t in SCALES}
    last = 0.9 * second["c"] + 0.05 * (second["a"] + second["b"])
    wanted = singles["single-c"].output(last)
    for kind in (CrossStitch, Nddr):
        network = kind(Task(4, SCALES, None, 0), copy.deepcopy(singles), own=0.9)
        network.initialise_from(singles)
        torch.testing.assert_close(network.predict(x, "c"), wanted)


def test_a_cascade_starts_as_its_first_stage_and_sees_all_targets():
    singles = single_networks()
    network = Cascade(
        Task(4, SCALES, None, 0), copy.deepcopy(singles), width=8, first_stage_weight=0.5
    )
    network.initialise_from(singles)
    x = torch.randn(2, 4, 11, 11, 11)
    for target, prediction in network(x).items():
        assert torch.equal(prediction, singles[f"single-{target}"](x)[target])
    _, losses = network.training_outputs(x)
    assert [(target, weight) for target, _, weight in losses] == [(t, 0.5) for t in SCALES]
    with torch.no_grad():
        network.heads["a"].weight.fill_(1)
        before = network.predict(x, "a")
        network.first_stage["c"].output.conv.bias.add_(1)
    assert not torch.equal(network.predict(x, "a"), before)


@pytest.mark.parametrize(("context", "reach"), [(0, 0), (3, 2)])
def test_ridge_mlp_starts_as_ridge_and_learns_at_once(context, reach):
    ridge = LinearPatch(task(r=2, channels=4)).eval()
    components = {"r": copy.deepcopy(ridge)}
    network = RidgeMlp(task(r=2, channels=4), components, widths=[8], context=context)
    network.initialise_from({"r": ridge})
    x = torch.randn(2, 4, 11, 11, 11)
    assert torch.equal(network(x)["t"], ridge(x)["t"])
    network(x)["t"].square().mean().backward()
    assert network.correction[-1].weight.grad.abs().max() > 0
    # It sees a voxel and its context: a change there moves nothing but their r^3 voxels.
    with torch.no_grad():
        network.correction[-1].weight.normal_()
        network.linear.linear.conv.weight.zero_()
        before = network(x)["t"]
        x[:, :, 5, 5, 5] += 1
        moved = (network(x)["t"] - before).abs().sum(dim=(0, 1)) > 0
    near = slice(2 * (3 - reach), 2 * (4 + reach))
    assert moved.sum() == moved[near, near, near].sum() == (2 * (1 + 2 * reach)) ** 3


E = Espcn(task("a", 1, 4))
RIDGE = LinearPatch(task("a", 1, 4))
ALL = Task(4, {"a": 1, "b": 1}, None, 0)
MSP = {"width": 8, "first_stage_weight": 1.0}
MISFITS = {
    "msp on none": (MultiStage, E.task, {}, MSP, "takes networks with features"),
    "msp on ridge": (MultiStage, E.task, {"r": RIDGE}, MSP, "takes networks with features"),
    "ridge_mlp on two": (
        RidgeMlp,
        E.task,
        {"r": RIDGE, "s": E},
        {"widths": [8]},
        "takes one model",
    ),
    "ridge_mlp on another target": (
        RidgeMlp,
        E.task,
        {"r": LinearPatch(task("b", 1, 4))},
        {"widths": [8]},
        "takes one model, that of its own target",
    ),
    "ridge_mlp on none": (RidgeMlp, E.task, {}, {"widths": [8]}, "takes one model"),
    "cascade on one of two": (Cascade, ALL, {"e": E}, MSP, "takes one model for each target"),
    "cross-stitch on two widths": (
        CrossStitch,
        ALL,
        {"e": E, "f": Espcn(task("b", 1, 4), width=8)},
        {"own": 1.0},
        "takes networks of one architecture and width",
    ),
    "nddr on two architectures": (
        Nddr,
        ALL,
        {"e": E, "f": Diqt(task("b", 1, 4), blocks=1)},
        {"own": 1.0},
        "takes networks of one architecture and width",
    ),
    "cross-stitch on two of one": (CrossStitch, ALL, {"e": E, "f": E}, {"own": 1.0}, "for each"),
    "nddr on ridge": (Nddr, Task(4, {"a": 1}, None, 0), {"r": RIDGE}, {"own": 1.0}, "features"),
    "diqt on ridge": (Diqt, E.task, {"r": RIDGE}, {"blocks": 1}, "takes one model, an espcn"),
    "diqt on a wider espcn": (
        Diqt,
        E.task,
        {"e": Espcn(E.task, width=8)},
        {"blocks": 1},
        "takes one model, an espcn of its own target and width",
    ),
    "linear path on none": (Espcn, E.task, {}, {"linear_path": True}, "such as ridge"),
    "linear path on a wider ridge": (
        Espcn,
        E.task,
        {"r": LinearPatch(E.task, edge=5)},
        {"linear_path": True},
        "one of the same size, such as ridge",
    ),
    "linear path on another target": (
        Espcn,
        E.task,
        {"r": LinearPatch(task("b", 1, 4))},
        {"linear_path": True},
        "such as ridge, of its own target",
    ),
    "diqt on an espcn of another target": (
        Diqt,
        E.task,
        {"e": Espcn(task("b", 1, 4))},
        {"blocks": 1},
        "takes one model, an espcn of its own target",
    ),
    "linear path on espcn": (Espcn, E.task, {"e": E}, {"linear_path": True}, "such as ridge"),
    "diqt with a linear path on espcn": (
        Diqt,
        E.task,
        {"e": E},
        {"blocks": 1, "linear_path": True},
        "with a linear path if this has one",
    ),
    "ensemble on none": (Ensemble, E.task, {}, {}, "takes models of its own target"),
    "espcn on espcn": (Espcn, E.task, {"e": E}, {}, "Espcn builds on no model like e"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_a_network_cannot_build_on_is_told(name):
    """Otherwise the fit would end in a traceback."""
    kind, wanted, components, settings, message = MISFITS[name]
    with pytest.raises(InputError, match=f"builds_on: .*{message}"):
        kind(wanted, copy.deepcopy(components), **settings).initialise_from(components)


def test_every_plugin_serves_a_method():
    """A file in a wing that no method uses would never be tested."""
    used = {m.plugin for method in METHODS.values() for m in with_components(method, METHODS)}
    for wing in WINGS.values():
        assert set(plugin_names(wing)) <= used


@pytest.mark.parametrize("target", list(SCALES))
@pytest.mark.parametrize(
    ("kind", "settings"), [(Espcn, {}), (Diqt, {"blocks": 1})], ids=["espcn", "diqt"]
)
def test_msp_starts_as_its_single_network_bit_for_bit(target, kind, settings):
    singles = single_networks(kind=kind, **settings)
    x = torch.randn(2, 4, 11, 11, 11)
    with torch.no_grad():
        assert torch.equal(msp(target, singles)(x)[target], singles[f"single-{target}"](x)[target])


@pytest.mark.parametrize("target", SCALES)
def test_msp_on_corrected_linear_maps_starts_as_its_own_and_reads_all(target):
    """Their features end at the core, so a branch sees nothing beyond it."""
    singles = corrected_ridges()
    network, x = msp(target, singles), torch.randn(2, 4, 11, 11, 11)
    with torch.no_grad():
        before = network(x)[target]
        assert torch.equal(before, singles[f"single-{target}"](x)[target])
        for name, branch in network.branches.items():
            branch[-1].conv.weight.normal_()
            after = network(x)[target]
            assert not torch.equal(after, before), name
            network.first_stage[name].correction[0].bias.add_(1)
            assert not torch.equal(network(x)[target], after), name
            before = network(x)[target]


def test_msp_takes_two_components_of_the_same_target():
    """The first component of the target is refined; the other becomes a branch."""
    singles = {"first": Espcn(task("a", 1, 4)), "second": Espcn(task("a", 1, 4))}
    network = MultiStage(
        Task(4, {"a": 1}, "a", 0), copy.deepcopy(singles), width=8, first_stage_weight=1.0
    )
    network.initialise_from(singles)
    x = torch.randn(1, 4, 11, 11, 11)
    assert list(network.branches) == ["second"]
    assert torch.equal(network(x)["a"], singles["first"](x)["a"])
    assert not torch.equal(network(x)["a"], singles["second"](x)["a"])
    _, losses = network.training_outputs(x)
    assert [platform for platform, _, _ in losses] == ["a", "a"]


def test_msp_learns_at_once_through_the_additional_networks():
    network = msp("a", single_networks())
    data = make_patch_data(channels=4)
    windows, cores = data.batch(torch.arange(4))
    predictions, _ = network.training_outputs(windows)
    patch_mse(predictions["a"], *cores["a"]).mean().backward()
    for branch in network.branches.values():
        assert branch[-1].conv.weight.grad.abs().max() > 0


def test_msp_asks_for_the_first_stage_of_every_platform():
    network = msp("b", single_networks(), first_stage_weight=0.5)
    predictions, losses = network.training_outputs(torch.randn(1, 4, 11, 11, 11))
    assert list(predictions) == ["b"]
    assert [(platform, weight) for platform, _, weight in losses] == [(p, 0.5) for p in SCALES]
    assert losses[2][1].shape[-1] == 14


def test_msp_asks_for_nothing_of_frozen_networks_and_predicts_the_same():
    network = msp("b", single_networks())
    x = torch.randn(1, 4, 11, 11, 11)
    free, _ = network.training_outputs(x)
    network.first_stage.requires_grad_(False)
    frozen, losses = network.training_outputs(x)
    assert losses == []
    assert torch.equal(frozen["b"], free["b"])
    assert torch.equal(network(x)["b"], free["b"])


def test_the_report_of_msp_tells_how_much_each_component_contributes():
    scales = {"a": 1, "b": 2}
    singles = {p: Espcn(task(p, r, 3)) for p, r in scales.items()}
    network = MultiStage(Task(3, scales, "a", 0), singles, width=8, first_stage_weight=1.0)
    data = make_patch_data(scales=scales)
    assert network.report(data) == {"contributions": {"a": 1.0, "b": 0.0}}
    with torch.no_grad():
        # Constant outputs: 4 from its own network and 3 from the other make 7.
        for conv, value in (
            (network.first_stage["a"].output.conv, 2),
            (network.branches["b"][-1].conv, 3),
        ):
            conv.weight.zero_()
            conv.bias.fill_(value)
        network.weights["a"].fill_(2)
    assert network.report(data)["contributions"] == pytest.approx({"a": 4 / 7, "b": 3 / 7})


@pytest.mark.parametrize("r", [1, 2])
def test_a_linear_path_starts_as_the_fitted_map_and_learns_at_once(r):
    ridge = LinearPatch(task(r=r, channels=4)).eval()
    espcn = Espcn(task(r=r, channels=4), linear_path=True)
    espcn.initialise_from({"r": ridge})
    diqt = Diqt(task(r=r, channels=4), blocks=1, linear_path=True)
    diqt.initialise_from({"e": espcn})
    x = torch.randn(2, 4, 11, 11, 11)
    for network in (espcn.eval(), diqt.eval()):
        assert torch.equal(network(x)["t"], ridge(x)["t"])
        network(x)["t"].square().mean().backward()
        assert network.output.conv.weight.grad.abs().max() > 0
    # Convolutions start from the ESPCN's, and so does what it learned of the linear path.
    with torch.no_grad():
        espcn.linear.conv.bias.add_(1)
        espcn.output.conv.weight.normal_()
    diqt.initialise_from({"e": espcn})
    torch.testing.assert_close(diqt.eval()(x)["t"], espcn(x)["t"])


def test_what_mixes_networks_keeps_their_linear_path():
    scales = {"a": 1, "b": 1}
    singles = {t: Espcn(task(t, 1, 4), linear_path=True).eval() for t in scales}
    x = torch.randn(2, 4, 11, 11, 11)
    stitched = CrossStitch(Task(4, scales, None, 0), copy.deepcopy(singles), own=1.0)
    staged = MultiStage(Task(4, scales, "a", 0), copy.deepcopy(singles), **MSP)
    for network in (stitched, staged):
        network.initialise_from(singles)
        torch.testing.assert_close(network.predict(x, "a"), singles["a"](x)["a"])


def test_branches_read_predictions_and_those_of_a_finer_target():
    singles = single_networks()
    network = msp("a", singles, branches_read="predictions")
    x = torch.randn(1, 4, 11, 11, 11)
    assert torch.equal(network(x)["a"], singles["single-a"](x)["a"])
    with torch.no_grad():
        network.branches["single-c"][-1].conv.weight.normal_()
        before = network(x)["a"]
        network.first_stage["single-c"].output.conv.bias.add_(1)
        assert not torch.equal(network(x)["a"], before)
        network.branches["single-c"][-1].conv.weight.zero_()
        assert torch.equal(network(x)["a"], singles["single-a"](x)["a"])


def test_a_weight_for_each_channel_scales_that_channel():
    network = msp("a", single_networks(), weights="channel")
    x = torch.randn(1, 4, 11, 11, 11)
    before = network(x)["a"]
    with torch.no_grad():
        network.weights["single-a"][0, 2] = 3
    scaled = network(x)["a"]
    torch.testing.assert_close(scaled[:, 2], 3 * before[:, 2])
    assert torch.equal(scaled[:, [0, 1, 3]], before[:, [0, 1, 3]])


def test_a_random_start_takes_nothing_from_the_components():
    singles = single_networks()
    network = msp("a", copy.deepcopy(singles), start="random")
    other = Espcn(task("a", 1, 4))
    before = network.first_stage["single-a"].output.conv.weight.clone()
    network.initialise_from({**singles, "single-a": other})
    assert torch.equal(network.first_stage["single-a"].output.conv.weight, before)


def test_an_ensemble_is_the_mean_and_its_weights_are_those_of_least_error():
    members = {name: Espcn(task("a", 1, 3)).eval() for name in "xyz"}
    network = Ensemble(task("a", 1, 3), members)
    data = make_patch_data(scales={"a": 1})
    windows, _ = data.batch(torch.arange(8))
    with torch.no_grad():
        outputs = [member(windows)["a"] for member in members.values()]
        torch.testing.assert_close(network(windows)["a"], sum(outputs) / 3)
        # The target is a known mixture of the members.
        mixed = 0.5 * outputs[0] - 0.25 * outputs[1] + 2 * outputs[2]
        for (_, *core), values in zip(data.patches.tolist(), mixed, strict=True):
            x, y, z = (7 * c for c in core)
            data.targets["a"][0, x : x + 7, y : y + 7, z : z + 7] = values.permute(1, 2, 3, 0)
    found = network.solve(data, data)["weights"]
    assert list(found.values()) == pytest.approx([0.5, -0.25, 2], abs=1e-3)


def test_diqt_starts_as_the_espcn_it_is_initialised_from():
    espcn = Espcn(task(r=2, channels=4)).eval()
    diqt = Diqt(task(r=2, channels=4), blocks=2)
    diqt.initialise_from({"espcn-t-0": espcn})
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
    first, again, other = (Noise(task(seed=seed))(x)["t"] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_specification_rebuilds_the_same_structure():
    first = specification_of(METHODS["msp_diqt"], "c")
    again = Specification.from_json(json.loads(json.dumps(asdict(first))))
    assert again == first
    shapes = [{k: v.shape for k, v in build(s).arrays().items()} for s in (first, again)]
    assert shapes[0] == shapes[1]
