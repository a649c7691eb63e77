"""Methods as files: families, inheritance and components."""

import re
import shutil

import pytest
import yaml
from conftest import EMBEDDED, ROOT

from harmonization.files import InputError
from harmonization.plan.configuration import merge
from harmonization.plan.methods import (
    Component,
    choose_methods,
    method_files,
    modules_of,
    read_methods,
)
from harmonization.plan.plan import Plan
from harmonization.plan.presentation import Presentation

TRAINED = {"batch_size": 4, "validate_every": 1, "phases": [{"steps": 1, "learning_rate": 1e-3}]}


@pytest.fixture
def root(tmp_path):
    """A repository's configuration and schemas, to which tests add methods."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    for name in ("schemas", "baselines"):
        shutil.copytree(ROOT / f"workflow/{name}", tmp_path / f"workflow/{name}")
    return tmp_path


def add(root, name, family="single_task", **settings):
    path = root / f"config/methods/{family}/{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(settings))


def read(root, *methods, **changes):
    return read_methods(merge(EMBEDDED, {"methods": list(methods), **changes}), root)


def planned(root, *methods, **changes):
    return Plan(merge(EMBEDDED, {"methods": list(methods), **changes}), root).methods


def test_the_folder_is_the_family():
    methods = read_methods(EMBEDDED, ROOT)
    assert methods["espcn"].family == "single_task"
    assert methods["truth"].family == "control"
    assert [methods[name].role for name in ("espcn", "ridge", "truth")] == [
        *("rival", "rival", "control")
    ]


def test_a_variant_gives_only_what_differs(root):
    add(
        *(root, "wide", "msp"),
        like="msp_espcn",
        label="W",
        role="ablation",
        network={"width": 7},
    )
    add(root, "wider", "msp", like="wide", network={"width": 9})
    methods = read(root, "msp_espcn", "wider")
    wider, base = methods["wider"], methods["msp_espcn"]
    assert wider.settings == {**base.settings, "width": 9}
    assert (wider.label, wider.role) == ("W", "ablation")
    assert (wider.training, wider.builds_on) == (base.training, base.builds_on)


def test_components_have_targets_and_seeds(root):
    builds_on = [
        {"method": "espcn", "target": "own"},
        {"method": "espcn", "target": "own", "seed": "others"},
        {"method": "espcn", "target": "connectom_sa", "seed": 1},
    ]
    add(root, "msp_self", "msp", like="msp_espcn", builds_on=builds_on)
    method = read(root, "msp_self", cross_validation={"seeds": 3})["msp_self"]
    assert method.builds_on == (
        Component("espcn", "own", "same"),
        Component("espcn", "own", "others"),
        Component("espcn", "connectom_sa", 1),
    )


def test_modules_are_those_of_the_method_and_its_components():
    methods = read_methods(EMBEDDED | {"methods": ["msp_diqt", "truth"]}, ROOT)
    assert modules_of(methods["msp_diqt"], methods) == [
        *("harmonization.networks.diqt", "harmonization.networks.espcn"),
        "harmonization.networks.multi_stage",
    ]
    assert modules_of(methods["truth"], methods) == []


def test_a_weighting_belongs_to_the_training():
    methods = read(ROOT, "mtl_hard", "mtl_hard_upgrad")
    base, weighted = methods["mtl_hard"], methods["mtl_hard_upgrad"]
    assert "weighting" not in base.training
    assert weighted.fit_settings["training"] == {**base.training, "weighting": "upgrad"}


PLAIN = {"label": "L", "citation": "C"}
NETWORK = {**PLAIN, "network": {"name": "espcn"}}


def test_full_trainings_have_the_weight_decay_of_small_ones():
    """So no method alone has it in runs at full size."""
    for path in method_files(ROOT / "config/methods").values():
        training = yaml.safe_load(path.read_text()).get("training", {})
        if {"short", "full"} <= training.keys():
            small = training.get("small", training["short"])
            assert training["full"].get("weight_decay") == small.get("weight_decay"), path


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**PLAIN}, "give one of network, classical and scan"),
        ({**NETWORK, "scan": "truth"}, "give one of network, classical and scan"),
        ({"network": {"name": "espcn"}, "label": "L"}, "'citation' is a required property"),
        ({"like": "espn"}, "method m: like: no file config/methods/<family>/espn.yaml; did you"),
        ({"like": "m"}, "like: inherits from itself"),
        ({**PLAIN, "network": {"name": "espn"}}, "there is no network 'espn'; did you mean"),
        ({**NETWORK}, "method m: network: nothing fits espcn; give training, or needs_fit = False"),
        (
            {**PLAIN, "network": {"name": "linear_patch", "edge": 3}},
            "method m: network: nothing fits linear_patch; give training or solve, or needs_fit",
        ),
        ({**NETWORK, "solve": {}}, "solve: espcn has no fit in closed form"),
        ({"like": "ridge", "solve": {"penalty": 1}}, "method m: unknown key 'penalty' in solve"),
        ({"like": "ridge", "training": {"full": "x"}}, "training.full: 'x' is not of type"),
        (
            {"like": "espcn", "solve": {"penalties": [1.0]}, "network": {"name": "linear_patch"}},
            "give training or solve, not both",
        ),
        (
            {**NETWORK, "builds_on": [{"method": "espcn", "target": "prisma"}]},
            "builds_on: no target 'prisma'; did you mean 'prisma_st'?",
        ),
        (
            {**NETWORK, "builds_on": [{"method": "truth", "target": "own"}]},
            "builds_on: truth is a scan; name a method that fits a model",
        ),
        (
            {**NETWORK, "builds_on": [{"method": "denoised", "target": "own"}]},
            "builds_on: denoised reads 'denoised' and m 'scan'; let both read the same",
        ),
        (
            {**NETWORK, "builds_on": [{"method": "gain", "target": "own"}]},
            "builds_on: gain has rules of its own; name a method that fits a model",
        ),
        (
            {
                **NETWORK,
                "training": {
                    name: {
                        "batch_size": 1,
                        "validate_every": 1,
                        "phases": [{"steps": 5, "warm_up": 5, "learning_rate": 1}],
                    }
                    for name in ("short", "full")
                },
            },
            "phases: a warm_up of 5 steps leaves none of 5; give fewer",
        ),
        ({"like": "ridge", "reads": "truth"}, "leave out reads or solve"),
        ({"like": "espcn", "reads": "truth"}, "leave out reads or training"),
        ({"like": "moments", "reads": "truth"}, "leave out reads or classical"),
        (
            {"like": "msp_espcn", "reads": "denoised"},
            "builds_on: espcn reads 'scan' and m 'denoised'; let both read the same",
        ),
        (
            {**NETWORK, "builds_on": [{"method": "smoothed", "target": "own"}]},
            "builds_on: smoothed is no network; a network builds on networks",
        ),
        (
            {**NETWORK, "builds_on": [{"method": "m", "target": "own"}]},
            "builds_on: m builds on m; break the circle",
        ),
        (
            {**NETWORK, "builds_on": [{"method": "mtl_hard", "target": "own"}]},
            "a model of all targets has no 'own'; give target: all",
        ),
        (
            {**NETWORK, "builds_on": [{"method": "espcn", "target": "own", "or": ["espn"]}]},
            "method m: builds_on: no file config/methods/<family>/espn.yaml; did you mean 'espcn'?",
        ),
        (
            {**NETWORK, "builds_on": [{"method": "espcn", "target": "own", "or": ["ridge"]}]},
            "builds_on: of espcn and ridge some are trained and have seeds, others not",
        ),
        (
            {"like": "espcn", "reads": "denoised", "matches": {"method": "espcn", "by": "width"}},
            "matches: espcn reads 'scan' and m 'denoised'; let both read the same",
        ),
        (
            {"like": "espcn", "matches": {"method": "ridge", "by": "width"}},
            "matches: ridge is not trained; only trainings can be matched",
        ),
        (
            {"like": "ridge", "matches": {"method": "espcn", "by": "width"}},
            "matches: m is not trained; only trainings can be matched",
        ),
        (
            {"like": "espcn", "matches": {"method": "msp_espcn", "by": "widht"}},
            "matches: no setting 'widht' to solve for; did you mean 'width'?",
        ),
        (
            {"like": "espcn", "matches": {"method": "msp_espcn", "by": "linear_path"}},
            "matches: no setting 'linear_path' to solve for",
        ),
        (
            {"like": "espcn", "matches": {"method": "m", "by": "steps"}},
            "matches: m needs m; break the circle",
        ),
        (
            {
                "like": "espcn",
                "matches": {"method": "msp_espcn", "by": "width", "within": "mtl_nddr"},
            },
            "within: mtl_nddr must fit all, and build on m for all targets",
        ),
        ({"like": "espcn", "selects_on": "test"}, "selects_on: test shows a method its test sub"),
        (
            {**NETWORK, "builds_on": [{"method": "espcn", "target": "own", "seed": "x"}]},
            "'x' is not one of",
        ),
        ({**NETWORK, "training": {"full": {}}}, "is a required property"),
        ({"like": "mtl_hard", "weighting": "equal"}, "weighting: 'equal' is not one of"),
        ({**NETWORK, "fits": "all", "weighting": "sum"}, "m: weighting: there is no training"),
        ({**PLAIN, "scan": "truth", "weighting": "sum"}, "m: weighting: there is no training"),
        ({"like": "ridge", "fits": "all", "weighting": "sum"}, "weighting: there is no training"),
        ({"like": "espcn", "weighting": "upgrad"}, "weighting: a model of one target has nothing"),
    ],
)
def test_a_mistake_is_refused_with_its_key_and_what_was_meant(root, settings, message):
    add(root, "m", **settings)
    with pytest.raises(InputError, match=message):
        read(root, "m")


def test_an_unknown_reference_is_refused(root):
    add(root, "m", like="espcn", references=["tano2017"])
    with pytest.raises(InputError, match=r"references\.bib has no entry 'tano2017'; did you mean"):
        Plan(merge(EMBEDDED, {"methods": ["m"]}), root)


def test_a_baseline_may_bring_its_references(root):
    folder = root / "workflow/baselines/gain"
    with (folder / "baseline.yaml").open("a") as stream:
        stream.write("references: [me2026, ye2013]\n")
    config = merge(EMBEDDED, {"methods": ["gain"]})
    with pytest.raises(InputError, match="has no entry 'me2026'"):
        Plan(config, root)
    (folder / "references.bib").write_text("@misc{me2026,\n  title = {Gain},\n}\n")
    assert Presentation(Plan(config, root)).described()["gain"]["references"] == "me2026 ye2013"


def test_a_baseline_and_a_method_of_the_same_name_are_refused(root):
    add(root, "gain", like="espcn")
    with pytest.raises(InputError, match="has the same name; rename one"):
        read(root, "gain")


def test_a_file_in_no_family_and_one_of_the_same_name_are_refused(root):
    stray = root / "config/methods/stray.yaml"
    stray.write_text("label: L\n")
    with pytest.raises(InputError, match=r"stray\.yaml: lies in no family's folder"):
        read(root, "espcn")
    stray.unlink()
    add(root, "espcn", "msp", like="msp_espcn")
    with pytest.raises(InputError, match="has the same name; rename one"):
        read(root, "espcn")


@pytest.mark.parametrize("name", ["my method", "my;method", "my.method", "My", "-x", "msp"])
def test_a_name_that_rules_cannot_have_is_refused(root, name):
    add(root, name, like="espcn")
    with pytest.raises(InputError, match=r"\.yaml: rename it; small letters, digits and _ make"):
        read(root, "espcn")


def test_a_baseline_without_rules_is_named(root):
    (root / "workflow/baselines/gain/Snakefile").unlink()
    with pytest.raises(
        InputError, match=r"methods: .*/workflow/baselines/gain: has no Snakefile; "
    ):
        read(root, "gain")


@pytest.mark.parametrize("name", ["b x", "b-x"])
def test_a_name_of_a_baseline_that_rules_cannot_have_is_refused(root, name):
    folder = root / "workflow/baselines"
    (folder / "gain").rename(folder / name)
    with pytest.raises(InputError, match=f"baselines/{name}: rename it; small letters"):
        read(root, "espcn")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("type: strng", "gain/baseline.yaml: settings.smoothing"),
        ("type: number, minimum: a", "settings.smoothing.minimum: 'a' is not of type 'number'"),
        ("type: string, pattern: '['", "settings.smoothing.pattern: '[' is not a 'regex'"),
        ("type: number, $ref: '#/nope/x'", "there is nothing to refer to"),
    ],
)
def test_a_setting_of_a_baseline_whose_schema_is_none_is_refused(root, schema, message):
    path = root / "workflow/baselines/gain/baseline.yaml"
    before, _ = path.read_text().split("  smoothing:\n")
    path.write_text(f"{before}  smoothing: {{description: d, default: 1, {schema}}}\n")
    with pytest.raises(InputError, match=re.escape(message)):
        read(root, "gain")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "not valid YAML"),
        (b"label: 2019-13-45", "m.yaml: not valid YAML (month must be in 1..12"),
        (b"- a", "holds no keys"),
        (b"like: [espcn]", "m.yaml: like: ['espcn'] is no name of a method"),
        ("label: Müller".encode("latin-1"), "m.yaml: is no text in UTF-8; save it as such"),
    ],
)
def test_a_broken_file_is_refused(root, content, message):
    (root / "config/methods/msp/m.yaml").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(message)):
        read(root, "m")


def test_of_alternatives_the_one_that_was_meant_is_explained():
    change = {"iqt_forest": {"classical": {"penalties": []}}}
    with pytest.raises(InputError, match=r"classical.penalties: \[\] are 0; give at least 1"):
        read_methods(EMBEDDED | {"methods": ["iqt_forest"], "overrides": change}, ROOT)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("truth", {"reads": "denoised"}, "method truth: reads: is for models, not for a scan"),
        ("truth", {"matches": {"method": "espcn", "by": "width"}}, "truth: matches: is for models"),
        ("moments", {"training": {"full": TRAINED}}, "method moments: training: is for networks"),
        (
            "moments",
            {"builds_on": [{"method": "ridge", "target": "own"}]},
            "method moments: builds_on: is for networks",
        ),
    ],
)
def test_a_key_that_a_method_would_ignore_is_refused(name, change, message):
    with pytest.raises(InputError, match=message):
        read_methods(EMBEDDED | {"methods": [name], "overrides": {name: change}}, ROOT)


def test_what_compares_people_in_a_template_says_so_in_its_class():
    methods = read_methods(EMBEDDED | {"methods": ["linear_rish", "combat", "moments"]}, ROOT)
    assert [m.needs_template for m in methods.values()] == [True, True, False]


def test_a_family_stands_for_its_methods_rivals_first():
    names, left_out = choose_methods(EMBEDDED | {"methods": ["espcn", "msp", "espcn"]}, ROOT)
    files = {n for n, f in method_files(ROOT / "config/methods").items() if f.parent.name == "msp"}
    assert (names[0], set(names[1:]), left_out) == ("espcn", files, {})
    roles = [read_methods(EMBEDDED | {"methods": names}, ROOT)[name].role for name in names]
    assert roles == sorted(roles, key=["rival", "ablation"].index)


def test_a_family_leaves_out_what_the_data_cannot_give_and_names_it():
    measured = {"dataset": EMBEDDED["dataset"] | {"kind": "mushac"}, "methods": ["control"]}
    names, left_out = choose_methods(EMBEDDED | measured, ROOT)
    assert {"truth", "rescan", "noise_free"} == set(left_out)
    assert "identity" in names
    assert "denoised" in names
    _, left_out = choose_methods(EMBEDDED | measured | {"denoising": "both"}, ROOT)
    assert set(left_out) == {"truth", "rescan", "noise_free", "denoised"}
    with pytest.raises(
        InputError, match="methods: truth: only a phantom has this scan; leave it out"
    ):
        read_methods(EMBEDDED | measured | {"methods": ["truth"]}, ROOT)


LONELY = ["msp_espcn", "msp_self", "msp_mixed", "msp_one_auxiliary", "msp_best", "ensemble_mean"]
LONELY += ["mtl_cascade", "mtl_cross_stitch"]


@pytest.mark.parametrize("name", LONELY)
def test_what_builds_on_others_needs_two_targets(name):
    said = f"configuration: methods: {name}: needs at least two targets, as it builds on networks"
    with pytest.raises(InputError, match=said):
        planned(ROOT, "espcn", name, targets=["prisma_st"])
    assert name in planned(ROOT, "espcn", name, targets=["prisma_st", "connectom_st"])


def test_what_needs_a_method_of_two_targets_needs_two_itself():
    with pytest.raises(InputError, match="espcn_long: msp_espcn, which it needs, needs at least"):
        planned(ROOT, "espcn_long", targets=["prisma_st"])


def test_a_run_of_one_target_may_have_all_others(root):
    alone = ["espcn", "mtl_hard", "msp_no_auxiliary", "ridge_mlp", "gain"]
    assert set(alone) < set(planned(root, *alone, targets=["prisma_st"]))
    own = {"method": "espcn", "target": "own"}
    for builds_on in (
        [own, {**own, "seed": 1}],
        [own, {"method": "diqt_rn4", "target": "all"}],
        [{"method": "mtl_hard", "target": "all"}, own],
    ):
        overrides = {"msp_espcn": {"builds_on": builds_on, "fits": "each"}}
        if builds_on[0] != own:
            overrides["msp_espcn"]["fits"] = "all"
            builds_on[1] = {**own, "target": "all"}
        planned(root, "msp_espcn", targets=["prisma_st"], overrides=overrides)


def test_a_family_leaves_out_what_one_target_cannot_give():
    config = merge(EMBEDDED, {"targets": ["prisma_st"], "methods": ["ensemble", "single_task"]})
    names, left_out = choose_methods(config, ROOT)
    assert {"ensemble_mean", "ensemble_weighted", "espcn_long", "espcn_wide"} <= set(left_out)
    assert set(left_out.values()) == {"it needs at least two targets"}
    assert "espcn" in names
    assert set(names) <= set(read_methods(config | {"methods": names}, ROOT))
    names, _ = choose_methods(config | {"methods": ["ensemble"]}, ROOT)
    with pytest.raises(InputError, match="methods: none of these families suits the run; add an"):
        read_methods(config | {"methods": names}, ROOT)


def test_a_family_never_brings_what_selects_on_test_nor_a_baseline(root):
    families = sorted({path.parent.name for path in method_files(root / "config/methods").values()})
    names, left_out = choose_methods(EMBEDDED | {"methods": families}, root)
    assert not {"msp_selected_on_test", "gain"} & {*names, *left_out}
    names, _ = choose_methods(EMBEDDED | {"methods": ["control", "msp_selected_on_test"]}, root)
    assert names[-1] == "msp_selected_on_test"


def test_all_methods_without_settings_of_the_training_are_named_at_once(root):
    for name in ("one", "two"):
        add(root, name, **PLAIN, network={"name": "espcn"}, training={"full": TRAINED})
    add(root, "top", "msp", like="msp_espcn", builds_on=[{"method": "two", "target": "all"}])
    with pytest.raises(InputError) as refused:
        read(root, "one", "espcn", "top")
    assert str(refused.value) == (
        "configuration: training: no 'short' settings have one, two; add them to the file of each "
        "in config/methods or under `overrides`, or choose another training"
    )
    overrides = {name: {"training": {"short": TRAINED}} for name in ("one", "two")}
    overrides["two"]["network"] = {"width": 3}
    assert "top" in read(root, "one", "top", overrides=overrides)


def test_two_files_with_the_same_fit_are_refused(root):
    add(root, "again", like="espcn", label="Again")
    said = r"again: is fitted exactly like espcn with training: \w+; change a setting"
    with pytest.raises(InputError, match=said):
        read(root, "espcn", "again")
    assert list(read(root, "again")) == ["again"]


def test_only_one_control_is_shown_its_test_subject():
    methods = read_methods(
        EMBEDDED | {"methods": sorted(method_files(ROOT / "config/methods"))}, ROOT
    )
    leaking = [name for name, method in methods.items() if method.selects_on == "test"]
    assert leaking == ["msp_selected_on_test"]
    assert methods["msp_selected_on_test"].role == "control"
