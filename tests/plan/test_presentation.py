"""What tables, figures and the page show of a run's methods, without Snakemake."""

import pytest
from plans import plan

from harmonization.plan.presentation import Presentation


def presentation(**changes):
    return Presentation(plan(**changes))


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        (["identity", "espcn", "msp_espcn"], "msp_espcn"),
        (["identity", "ridge", "espcn"], "espcn"),
        (["ridge", "identity"], "identity"),
        (["ridge", "affine"], "ridge"),
        # Its ESPCNs are models of the run, but not among the methods that are compared.
        (["ridge", "msp_self"], "ridge"),
    ],
)
def test_all_methods_are_compared_with_one_that_the_run_compares(methods, expected):
    assert presentation(methods=methods).reference() == expected


def test_figures_of_branches_and_of_the_linear_map_are_of_the_models_that_have_them():
    made = presentation(methods=["ridge", "espcn", "msp_selected_on_test", "msp_espcn"])
    assert [key.method for key in made.branched_models()] == [
        *["msp_selected_on_test"] * 2,
        *["msp_espcn"] * 2,
    ]
    assert {key.method for key in made.linear_models()} == {"ridge"}
    made = presentation(methods=["identity", "mtl_hard"])
    assert not made.branched_models()
    assert not made.linear_models()


def test_the_task_is_a_control_and_the_same_one_on_the_source_without_noise():
    assert presentation().task() == ["identity", "noise_free"]
    assert presentation(methods=["noise_free", "ridge"]).task() == []


def test_labels_stand_in_the_order_of_the_tables_and_components_come_last():
    made = presentation(methods=["mtl_hard", "msp_espcn"])
    labels = made.labels(["espcn", "msp_espcn", "mtl_hard"])
    assert list(labels) == ["mtl_hard", "msp_espcn", "espcn"]
    assert labels["espcn"] == "ESPCN"


def test_figures_show_the_rivals_of_the_reference():
    methods = ["identity", "espcn", "ridge", "msp_espcn"]
    assert presentation(methods=methods).rivals() == ["espcn", "ridge"]


def test_networks_are_drawn_as_the_run_sets_them_whether_or_not_it_has_them():
    made = presentation(methods=["ridge", "espcn"], overrides={"espcn": {"network": {"width": 6}}})
    found = made.architectures()
    assert [*found] == ["ESPCN", "MTL, hard sharing", "MTL, cross-stitch", "MSP (ESPCN)"]
    assert found["ESPCN"]["settings"]["width"] == 6
    assert found["ESPCN"]["task"]["channels"] == 28
    assert found["MTL, hard sharing"]["task"]["target"] is None
    msp = found["MSP (ESPCN)"]
    assert [c["settings"]["width"] for c in msp["components"].values()] == [6, 6]
    assert msp["task"]["scales"] == {"prisma_st": 1, "connectom_sa": 2}
    assert [*made.plan.methods] == ["ridge", "espcn"]


def test_networks_are_drawn_whatever_else_the_run_overrides():
    """Its figure shows methods that the run does not have, which the rest might not suit."""
    network = {"width": 10}
    overrides = {"espcn": {"reads": "denoised", "label": "Mine", "network": network}}
    made = presentation(methods=["espcn"], overrides=overrides)
    assert made.architectures()["Mine"]["settings"]["width"] == 10
    network["name"] = "espcn"
    made = presentation(methods=["espcn"], overrides=overrides)
    assert made.architectures()["Mine"]["settings"]["width"] == 10


def test_another_network_is_not_drawn_under_the_label_of_the_runs_own():
    other = {"label": "Mine", "network": {"name": "cnn_rish", "width": 64}}
    found = presentation(methods=["espcn"], overrides={"espcn": other}).architectures()
    assert "Mine" not in found
    assert found["ESPCN"]["plugin"] == "espcn"
    other = {"label": "Mine", "builds_on": [{"method": "ridge_cnn", "target": "all"}]}
    found = presentation(methods=["msp_espcn"], overrides={"msp_espcn": other}).architectures()
    assert "Mine" not in found
    components = found["MSP (ESPCN)"]["components"].values()
    assert {component["plugin"] for component in components} == {"espcn"}
