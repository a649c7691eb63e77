"""The figure of networks: its text and its arrows come from the networks."""

import json

import matplotlib.pyplot as plt
import pytest
import torch
from conftest import EMBEDDED, ROOT

from harmonization.learning.layers import count_parameters
from harmonization.learning.models import Specification, build
from harmonization.learning.network import Task
from harmonization.networks.espcn import Espcn
from harmonization.plan.configuration import merge
from harmonization.plan.plan import Plan
from harmonization.plan.presentation import Presentation
from harmonization.report.architecture import (
    arrange,
    columns_of,
    draw_architectures,
    rows_of,
)
from harmonization.report.style import MM, PRINT
from harmonization.report.tracing import trace


def networks_of(**changes):
    """Networks that the embedded run's figure shows, by label."""
    specifications = Presentation(Plan(merge(EMBEDDED, changes), ROOT)).architectures()
    return {
        label: build(Specification.from_json(json.loads(json.dumps(content)))).network
        for label, content in specifications.items()
    }


@pytest.fixture(scope="module")
def networks():
    return networks_of()


def texts_of(networks):
    figure = draw_architectures(networks, 11)
    texts = [text.get_text() for text in figure.findobj(plt.Text)]
    plt.close(figure)
    return texts


def test_steps_of_espcn_by_hand():
    source, first, second, output, prediction = trace(Espcn(Task(28, {"a": 2}, "a", 0)), 11)
    assert source.lines[1] == "28 × 11³"
    assert first.lines == ["Conv3d", "3³, 28 → 50", "ReLU", "37,850"]
    assert second.lines == ["Conv3d", "1³, 50 → 100", "ReLU", "5,100"]
    assert output.lines == ["Upscale, r = 2", "3³, 100 → 224", "605,024"]
    assert prediction.lines == ["prediction of", "a", "28 × 14³"]
    assert [s.feeds_on for s in (first, second, output, prediction)] == [[0], [1], [2], [3]]


def test_another_width_changes_the_drawn_text():
    before = texts_of(networks_of())
    after = texts_of(networks_of(overrides={"espcn": {"network": {"width": 6}}}))
    assert any("3³, 28 → 50" in text for text in before)
    assert not any("3³, 28 → 3\n" in text for text in before)
    # The shared trunk of the other network keeps its own width.
    assert sum("3³, 28 → 50" in text for text in after) == 1
    assert any("3³, 28 → 3\n" in text for text in after)
    changed = [text for text in after if text.startswith("ESPCN: ")]
    assert changed == [
        f"ESPCN: Espcn, {28 * 27 * 3 + 3 + 3 * 6 + 6 + 6 * 27 * 28 + 28:,} parameters"
    ]


def test_every_parameter_is_drawn_once(networks):
    for network in networks.values():
        drawn = [
            int(step.lines[-1].replace(",", ""))
            for step in trace(network, 11)
            if step.lines[-1].replace(",", "").isdigit()
        ]
        assert sum(drawn) == count_parameters(network)


def test_the_second_stage_adds_branches_that_read_features(networks):
    steps = trace(networks["MSP (ESPCN)"], 11)
    named = {step.name: step for step in steps if step.kind == "module"}
    other = "espcn-connectom_sa-0"
    (read,) = named[f"branches.{other}.0"].feeds_on
    assert steps[read].name == f"first_stage.{other}.features.2"
    (total,) = [step for step in steps if step.lines == ["+"]]
    products = [steps[n] for n in total.feeds_on]
    assert [p.name for p in products] == [
        f"weights.espcn-{t}-0" for t in ("prisma_st", "connectom_st", "connectom_sa")
    ]
    sources = [steps[n].name for p in products for n in p.feeds_on]
    assert sources[0] == "first_stage.espcn-prisma_st-0.output"
    assert sources[1:] == [f"branches.espcn-{t}-0.4" for t in ("connectom_st", "connectom_sa")]
    assert [s.notes for s in steps if s.notes] == [
        [f"{t}: loss × 1"] for t in ("prisma_st", "connectom_st", "connectom_sa")
    ]
    assert [s.lines[1] for s in steps if s.kind == "output"] == ["prisma_st"]


def test_cross_stitch_mixes_the_features_of_all(networks):
    steps = trace(networks["MTL, cross-stitch"], 11)
    mixers = [step for step in steps if step.lines[0] == "ChannelMixer"]
    assert [len(mixer.feeds_on) for mixer in mixers] == [3, 3]
    assert [mixer.lines[-1] for mixer in mixers] == ["450", "900"]


def test_a_branch_lies_below_what_it_reads(networks):
    network = networks["MSP (ESPCN)"]
    rows = rows_of(network, trace(network, 11))
    for target in ("connectom_st", "connectom_sa"):
        assert rows[f"branches.espcn-{target}-0"] == rows[f"first_stage.espcn-{target}-0"] + 1


@pytest.mark.parametrize("targets", [1, 2, 3])
def test_boxes_are_apart_and_arrows_go_right(targets):
    changes = {"targets": EMBEDDED["targets"][:targets]}
    if targets == 1:  # nothing builds on networks of others then
        changes["methods"] = [name for name in EMBEDDED["methods"] if name != "msp_espcn"]
    for network in networks_of(**changes).values():
        steps = trace(network, 11)
        columns = columns_of(steps)
        assert all(columns[n] < c for s, c in zip(steps, columns, strict=True) for n in s.feeds_on)
        placed = arrange(network, steps)
        for number, one in enumerate(placed):
            for other in placed[:number]:
                apart = (
                    abs(one.x - other.x) >= (one.width + other.width) / 2
                    or abs(one.y - other.y) >= (one.height + other.height) / 2
                )
                assert apart, f"{one.step} covers {other.step}"


def test_the_figure_fits_a_page_and_text_its_boxes(networks):
    figure = draw_architectures(networks, 11)
    width, height = figure.get_size_inches() / MM
    assert width == pytest.approx(PRINT)
    assert height <= 257
    figure.draw_without_rendering()
    texts = [t for t in figure.findobj(plt.Text) if t.get_text()]
    assert min(t.get_fontsize() for t in texts) >= 6
    boxes = [p.get_window_extent() for p in figure.axes[0].patches]
    for text in texts:
        extent = text.get_window_extent()
        assert figure.bbox.x0 <= extent.x0 < extent.x1 <= figure.bbox.x1
        for box in boxes:
            inside = box.x0 <= extent.x0 and extent.x1 <= box.x1
            assert inside or not box.overlaps(extent), text.get_text()
        if "→" in text.get_text():
            assert any(
                b.x0 <= extent.x0 and extent.x1 <= b.x1 and b.y0 <= extent.y0 and extent.y1 <= b.y1
                for b in boxes
            ), text.get_text()
    plt.close(figure)


def test_tracing_leaves_the_network_as_it_was(networks):
    network = networks["MTL, hard sharing"]
    x = torch.randn(1, 28, 11, 11, 11)
    before = network(x)["prisma_st"]
    assert trace(network, 11) == trace(network, 11)
    assert torch.equal(network(x)["prisma_st"], before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
