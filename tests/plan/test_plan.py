"""The plan of a run, without Snakemake: its folds, models, predictions and scores."""

import pytest
from conftest import EMBEDDED
from plans import plan, run

from harmonization.files import InputError
from harmonization.plan.plan import SELECTIONS, ModelKey

TARGETS = ["prisma_st", "connectom_sa"]

LIMITED = {"subjects": [1, 2], "patches": [8, None], "draws": 2}


def test_models_are_one_a_target_or_one_for_all():
    keys = plan(methods=["espcn", "mtl_hard"]).models()
    assert keys == [
        ModelKey("espcn", "prisma_st", 0, 0),
        ModelKey("espcn", "connectom_sa", 0, 0),
        ModelKey("mtl_hard", "all", 0, 0),
    ]


def test_only_what_is_trained_has_several_seeds():
    made = plan(methods=["ridge", "espcn"], cross_validation={"seeds": 2})
    assert (made.seeds("ridge"), made.seeds("espcn")) == ([0], [0, 1])
    assert [key.method for key in made.trained_models()] == ["espcn"] * 4


def test_seeds_that_others_build_on_are_not_scored():
    made = plan(methods=["espcn", "msp_self"])
    assert {key.seed for key in made.models() if key.method == "espcn"} == {0, 1}
    assert {key.seed for key in made.scored_models()} == {0}


@pytest.mark.parametrize(
    ("target", "seed", "expected"),
    [
        ("own", "same", [("prisma_st", 1)]),
        ("others", "same", [("connectom_sa", 1)]),
        ("all", "same", [("prisma_st", 1), ("connectom_sa", 1)]),
        ("connectom_sa", "same", [("connectom_sa", 1)]),
        ("next", "same", [("connectom_sa", 1)]),
        ("own", "others", [("prisma_st", 2)]),
        ("own", "all", [("prisma_st", 1), ("prisma_st", 2)]),
        ("own", 5, [("prisma_st", 5)]),
    ],
)
def test_components_by_target_and_seed(target, seed, expected):
    builds_on = [{"method": "espcn", "target": target, "seed": seed}]
    made = plan(cross_validation={"seeds": 3}, overrides={"msp_espcn": {"builds_on": builds_on}})
    keys = made.components("msp_espcn", "prisma_st", "0", "1")
    assert keys == [ModelKey("espcn", t, 0, s) for t, s in expected]


def test_two_components_of_one_target_both_arrive():
    builds_on = [
        {"method": "espcn", "target": "own"},
        {"method": "espcn", "target": "own", "seed": "others"},
        {"method": "ridge", "target": "own"},
    ]
    made = plan(cross_validation={"seeds": 3}, overrides={"msp_espcn": {"builds_on": builds_on}})
    files = made.model_files(made.paths.model, made.components("msp_espcn", "prisma_st", "0", "0"))
    assert files == [
        *(f"results/tiny/models/espcn/prisma_st/fold-0_seed-{seed}" for seed in (0, 1)),
        "results/tiny/models/ridge/prisma_st/fold-0_seed-0",
    ]


def test_the_msp_of_one_platform_has_as_many_branches_even_in_a_run_of_one_seed():
    made = plan(methods=["msp_espcn", "msp_self"], targets=[*TARGETS, "connectom_st"])
    msp, own = (made.components(m, "prisma_st", 0, 0) for m in ("msp_espcn", "msp_self"))
    assert len(msp) == len(own) == 3
    assert {(key.method, key.target) for key in own} == {("espcn", "prisma_st")}
    assert [key.seed for key in own] == [0, 1, 2]
    # Seeds that only this method needs are models of the run, but nothing predicts with them.
    assert ModelKey("espcn", "prisma_st", 0, 2) in made.models()
    assert made.seeds("espcn") == [0]


def test_what_is_made_equal_waits_for_the_other():
    made = plan(methods=["espcn_long", "mtl_hard_matched"])
    assert made.matched("espcn_long", "prisma_st", 0, 0) == [
        ModelKey("msp_espcn", "prisma_st", 0, 0)
    ]
    assert made.matched("mtl_hard_matched", "all", 0, 0) == [
        ModelKey("msp_espcn", target, 0, 0) for target in TARGETS
    ]
    assert made.components("espcn_long", "prisma_st", 0, 0) == []


def test_a_component_sized_for_another_method_waits_for_the_models_of_all_targets():
    made = plan(methods=["mtl_cross_stitch_matched"])
    assert made.matched("espcn_stitched", "prisma_st", 0, 0) == [
        ModelKey("msp_espcn", target, 0, 0) for target in TARGETS
    ]
    assert made.fit_settings("espcn_stitched")["within"]["plugin"] == "cross_stitch"
    assert made.version("fit", "espcn_stitched") != made.version("fit", "espcn")


def test_alternatives_are_all_fitted():
    made = plan(methods=["msp_best"])
    keys = made.components("msp_best", "prisma_st", 0, 0)
    assert [(key.method, key.target) for key in keys] == [
        (method, target) for method in ("espcn", "diqt_rn4") for target in TARGETS
    ]


def test_only_what_selects_on_test_learns_from_a_manifest_with_the_test_subject():
    made = plan(methods=["msp_best", "msp_selected_on_test"])
    assert made.selection("msp_best") == ""
    assert made.selection("msp_selected_on_test") == "_selects-on-test"
    assert SELECTIONS["_selects-on-test"] == ("test", "scan")
    assert made.parts(0, "test") == {"test": [], "validation": ["01"], "train": ["03"]}
    assert made.parts(0) == {"test": ["01"], "validation": ["02"], "train": ["03"]}


def test_what_is_fitted_to_denoised_sources_learns_from_a_manifest_of_them():
    made = plan(methods=["linear_rish_denoised", "linear_rish", "denoised"])
    ends = [made.selection(name) for name in made.methods]
    assert ends == ["_denoised", "", ""]  # a control that fits nothing needs no manifest of its own
    images = made.training_images(0, *SELECTIONS["_denoised"])
    assert {path.split("/")[-2] for path in images if made.source in path} == {"denoised"}
    assert {path.split("/")[-2] for path in images if made.source not in path} == {"scan"}
    assert "_denoised/" in made.template("linear_rish_denoised", 0)[0]


def test_a_method_can_select_on_test_and_read_denoised_sources():
    overrides = {
        name: {"reads": "denoised"} for name in ("msp_selected_on_test", "espcn", "diqt_rn4")
    }
    made = plan(methods=["msp_selected_on_test"], overrides=overrides)
    assert made.selection("msp_selected_on_test") == "_denoised_selects-on-test"


def test_a_component_for_all_targets_is_one_model():
    builds_on = [{"method": "mtl_hard", "target": "all"}]
    made = plan(overrides={"msp_espcn": {"builds_on": builds_on}})
    assert made.components("msp_espcn", "prisma_st", "0", "0") == [
        ModelKey("mtl_hard", "all", 0, 0)
    ]


def test_predictions_come_in_the_order_of_the_tables():
    made = plan(methods=["ridge", "espcn"], cross_validation={"seeds": 2})
    files = made.predictions("{method} {target} {seed} {subject}")
    assert files == [
        *("ridge prisma_st 0 01", "ridge connectom_sa 0 01"),
        *("espcn prisma_st 0 01", "espcn prisma_st 1 01"),
        *("espcn connectom_sa 0 01", "espcn connectom_sa 1 01"),
    ]
    shown = made.predictions("{method} {seed}", targets=["prisma_st"], folds=[0], all_seeds=False)
    assert shown == ["ridge 0", "espcn 0"]


def test_the_models_of_predictions_are_in_the_order_of_the_predictions():
    made = plan(cross_validation={"seeds": 2})
    for method, targets in (("espcn", TARGETS), ("mtl_hard", ["all"] * len(TARGETS))):
        found = made.models_of("{method}/{target}/{fold}/{seed}", method, "0")
        assert found == [f"{method}/{target}/0/{seed}" for seed in (0, 1) for target in targets]
        predicted = made.predictions_of(method, "0", "01")
        named = [f"fold-0_seed-{s}/sub-01_platform-{t}.nii" for s in (0, 1) for t in TARGETS]
        assert [path.partition(f"predictions/{method}/")[2] for path in predicted] == named
    assert len(made.predictions_of("ridge", "0", "01")) == len(TARGETS)


def test_a_fold_learns_from_all_subjects_but_the_test_subject():
    made = plan()
    assert made.parts(0) == {"test": ["01"], "validation": ["02"], "train": ["03"]}
    images = made.training_images("0")
    assert len(images) == 2 * 3 * 3
    assert not [file for file in images if "sub-01" in file]


def test_a_study_of_limited_data_tests_one_subject_and_draws_from_its_training_subjects():
    full = run("phantom")
    made = run("phantom", limited_data=LIMITED, methods=["espcn"])
    assert made.tested() == full.parts(0)["test"]
    assert len(made.folds) == 2 * 2 * 2
    whole = full.parts(0)
    for fold, of_table in made.limited_folds().items():
        parts = made.parts(fold)
        assert (parts["test"], parts["validation"]) == (whole["test"], whole["validation"])
        assert set(parts["train"]) < set(whole["train"])
        assert len(parts["train"]) == int(of_table["subjects"])
    assert made.patches_to_draw(0) == {"patches": "8", "draw": "0"}
    assert made.limited_folds()["3"] == {"subjects": "1", "patches": "all", "draw": "1"}
    assert made.patches_to_draw(3) == {}
    assert full.patches_to_draw(0) == {}


def test_rescans_are_registered_for_test_subjects_only_and_only_if_scored():
    made = plan()
    assert [s for s in made.registered_scans() if s[2] == "rescan"] == [
        ("01", target, "rescan") for target in TARGETS
    ]
    without = plan(methods=["identity"])
    assert len(without.registered_scans()) == 3 * 2
    assert {subject for subject, _, _ in without.registered_scans("02")} == {"02"}


def test_a_control_that_is_a_scan_is_scored_where_both_reach():
    made = plan()
    assert "own_mask" not in made.to_score("espcn", "01")
    files = made.to_score("rescan", "01")
    masks = "results/{}/sh/{}/sub-01_platform-{}_mask.nii"
    for role, scan in (("mask", "scan"), ("own_mask", "rescan")):
        assert files[role] == [masks.format(made.config["run"], scan, t) for t in TARGETS]


def test_a_method_that_is_left_out_is_named_though_it_was_named_singly():
    made = plan(methods=["identity", "denoised"], denoising="source")
    assert list(made.methods) == ["identity"]
    assert made.notes() == ["denoised is left out: this run denoises the source for all methods."]


def test_a_run_of_the_denoised_source_alone_must_not_denoise_it():
    with pytest.raises(InputError, match="methods: none is left, as the run denoises its source"):
        plan(denoising="both", methods=["denoised"])


def test_two_methods_of_one_label_are_refused():
    """In tables and figures, one would take the place of the other."""
    overrides = {"ridge": {"label": "Affine"}}
    with pytest.raises(InputError, match="'affine' and 'ridge' are both labelled 'Affine'; give"):
        plan(methods=["affine", "ridge"], overrides=overrides)
    with pytest.raises(InputError, match="method ridge: label: tables have a column 'n' already"):
        plan(methods=["affine", "ridge"], overrides={"ridge": {"label": "n"}})


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("open_sr", {"dataset": {"subjects": 12}}, "dataset.subjects: openneuro needs a list"),
        ("open_sr", {"preprocessing": {"mask": False}}, "openneuro has no masks to take instead"),
        ("open_sr", {"preprocessing": {"gibbs": False}}, "unknown key 'gibbs' at preprocessing"),
        ("open_sr", {"dataset": {"openneuro": {"bucket": "ftp://x"}}}, "dataset.openneuro.bucket"),
        ("open_sr", {"dataset": {"kind": "raw", "root": "nowhere"}}, "nowhere: no such folder"),
        (
            "open_sr",
            {"dataset": {"kind": "phantom", "subjects": 12}},
            "platforms.trio: kind phantom needs acquisition",
        ),
        (
            "phantom",
            {"dataset": {"root": "/data/x"}},
            "dataset.root: a phantom reads no folder; give dataset.kind: bids, raw, openneuro or",
        ),
        (
            "open",
            {"platforms": {"trio": {"description": "preproc"}}},
            "platforms.trio.description: kind openneuro reads scans that are not preproc",
        ),
        (
            "open",
            {"platforms": {"trio": {"scale": 2}}},
            "platforms.trio.scale: the source has scale 1; give the targets theirs",
        ),
        ("open", {"methods": ["truth"]}, "methods: truth: only a phantom has this scan"),
        ("open", {"methods": ["noise_free"]}, "noise_free: only a phantom has this scan"),
        ("open", {"denoising": "all"}, "denoising: 'all' is not one of"),
        ("open", {"preprocessing": {"denoising": True}}, "unknown key 'denoising' at preproc"),
        (
            "phantom",
            {"limited_data": LIMITED, "methods": ["espcn", "linear_rish"]},
            "'linear_rish' learns from whole images, so limited_data cannot limit it",
        ),
        (
            "phantom",
            {"targets": ["new"], "platforms": {"new": {"scale": 1}}},
            "platforms.new: kind",
        ),
        (
            "phantom",
            {
                "targets": ["new"],
                "platforms": {"new": EMBEDDED["platforms"]["ge_st"]},
                "methods": ["identity"],
            },
            "the phantom has no platform 'new'",
        ),
    ],
)
def test_a_run_that_cannot_be_is_refused(name, changes, message):
    with pytest.raises(InputError, match=message):
        run(name, **changes)


def test_what_a_prediction_needs_are_its_model_and_all_below():
    needed = plan(
        methods=["truth", "ridge", "ridge_mlp", "mtl_cross_stitch"], cross_validation={"seeds": 2}
    ).needed_models()
    assert list(needed) == ["ridge", "ridge_mlp", "mtl_cross_stitch"]
    assert needed["ridge_mlp"]["connectom_sa"] == {
        "ridge_mlp": {"connectom_sa": [0]},
        "ridge": {"connectom_sa": [0]},
    }
    assert needed["mtl_cross_stitch"]["prisma_st"] == {
        "mtl_cross_stitch": {"all": [0]},
        "espcn": {"prisma_st": [0], "connectom_sa": [0]},
    }
