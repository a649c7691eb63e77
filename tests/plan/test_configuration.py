"""The configuration: mistakes are refused, and every key is documented."""

import itertools
import re
from importlib import import_module

import pytest
import yaml
from conftest import EMBEDDED, ROOT

from document_configuration import documented
from harmonization.files import InputError
from harmonization.learning.network import FeatureNetwork
from harmonization.plan.configuration import check_run, merge, with_origin, with_own_platforms
from harmonization.plan.folds import parts_of_fold, read_limits
from harmonization.plan.methods import FAMILIES, choose_methods, method_files, read_methods
from harmonization.plan.plugins import class_name, module_of

NO_RUNS = {"config", "travelling_heads", "claims", "known_settings"}
RUNS = sorted({p.stem for p in (ROOT / "config").glob("*.yaml")} - NO_RUNS)
EXAMPLES = re.findall(r"```yaml\n(run: .*?)```", (ROOT / "docs/data.md").read_text(), re.DOTALL)
METHODS = sorted(method_files(ROOT / "config/methods"))


def read_run(config):
    check_run(config, ROOT)
    names, _ = choose_methods(config, ROOT)
    return read_methods(config | {"methods": names}, ROOT)


@pytest.mark.parametrize("run", RUNS)
def test_the_configurations_in_the_repository_are_valid(run):
    config = merge(EMBEDDED, yaml.safe_load((ROOT / f"config/{run}.yaml").read_text()))
    if run == "paper":
        with pytest.raises(InputError, match=r"dataset.root: kind \w+ needs the data set's folder"):
            read_run(config)
        config = merge(config, {"dataset": {"root": "somewhere"}})
    assert set(config["methods"]) - set(FAMILIES) <= set(read_run(config))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_data_sets_are_valid(example):
    given = yaml.safe_load(example)
    config = with_own_platforms(merge(EMBEDDED, given), given)
    assert set(given["methods"]) <= set(read_run(config))


@pytest.mark.parametrize("run", RUNS)
def test_an_msp_builds_on_networks_with_features_alone(run):
    """Whichever of its alternatives has the lowest error on validation."""
    config = merge(EMBEDDED, yaml.safe_load((ROOT / f"config/{run}.yaml").read_text()))
    if run == "paper":
        config = merge(config, {"dataset": {"root": "somewhere"}})
    methods = read_run(config)
    for method in methods.values():
        for component in method.builds_on if method.plugin == "multi_stage" else ():
            for name in component.methods:
                plugin = methods[name].plugin
                module = import_module(module_of(methods[name].wing, plugin))
                assert issubclass(getattr(module, class_name(plugin)), FeatureNetwork), name


def test_what_changes_the_short_and_full_phases_changes_those_between_them_too():
    """Phases that are left out would be those of the method from which the rest is inherited."""
    for name, file in method_files(ROOT / "config/methods").items():
        own = yaml.safe_load(file.read_text())
        changed = {k for k, v in own.get("training", {}).items() if "phases" in v}
        both = {"short", "full"} <= changed
        assert not both or ("small" in changed) == ("small" in read_trainings(name)), name


def read_trainings(name):
    """Lengths of training that a method has, its own and inherited ones."""
    own = yaml.safe_load(method_files(ROOT / "config/methods")[name].read_text())
    inherited = read_trainings(own["like"]) if "like" in own else {}
    return {**inherited, **own.get("training", {})}


@pytest.mark.parametrize("length", ["short", "full"])
def test_every_method_is_valid_and_says_where_it_comes_from(length):
    methods = read_methods(EMBEDDED | {"methods": METHODS, "training": length}, ROOT)
    assert set(methods) == set(METHODS)
    for method in methods.values():
        assert len(method.citation) > 20
        assert method.training is None or method.training["phases"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": {"sede": 3}}, "unknown key 'sede' at dataset; did you mean 'seed'?"),
        ({"sources": "ge_st"}, "unknown key 'sources' at top level; did you mean 'source'?"),
        ({"xyz": 1}, "unknown key 'xyz' at top level; valid are: cross_validation, dataset"),
        (
            {"dataset": {"slab": {"center": 20, "thickness": 20}}},
            "unknown key 'center' at dataset.slab; did you mean 'centre'?",
        ),
        (
            {"platforms": {"Prisma 3T": {"scale": 1}}},
            "platforms: 'Prisma 3T': give letters, digits, _ and -, but no word of the tables",
        ),
        *(
            (
                {"platforms": {name: {"scale": 1}}},
                f"platforms: '{name}': give letters, digits, _ and -, but no word of the tables",
            )
            for name in ("all", "family", "next", "old_sd")
        ),
        ({1: 2}, "unknown key '1' at top level; valid are:"),
        ({"dataset": {"slab": {True: 5}}}, "unknown key 'True' at dataset.slab"),
        ({"overrides": {3: {}}}, "overrides: method '3' is not used"),
        (
            {"overrides": {"espcn": {"network": {3: 4}}}},
            "method espcn: unknown key '3' in network; valid are",
        ),
        (
            {"methods": ["gain"], "overrides": {"gain": {3: 1, "a": 1}}},
            "overrides.gain.3: a baseline with rules of its own has settings only",
        ),
        ({"methods": "espcn"}, "methods: 'espcn' is no list; give a list: [espcn]"),
        ({"methods": {"espcn": 1}}, "methods: {'espcn': 1} is no list; give a list"),
        ({"run": "my run"}, "run: 'my run': give letters, digits, _ and - only"),
        (
            {"dataset": {"subjects": ["sub-A", "B", "C"]}},
            "dataset.subjects.0: 'sub-A': give letters and digits only, without `sub-`",
        ),
        (
            {"platforms": {"ge_st": {"session": "ses-ge"}}},
            "platforms.ge_st.session: 'ses-ge': give letters and digits only, without `ses-`",
        ),
        ({"dataset": {"subjects": ["A", "B"]}}, "['A', 'B'] are 2; give at least 3"),
        ({"source": ["ge_st"]}, "source: is ['ge_st']; give one text"),
        ({"dataset": {"slab": {"centre": float("nan")}}}, "dataset.slab.centre: is nan; give a"),
        ({"spherical_harmonics": {"regularisation": float("inf")}}, "is inf; give a finite number"),
        ({"platforms": {"ge_st": {"shell": 3000}}}, "platforms.ge_st.shell: a phantom has the"),
        (
            {"overrides": {"ridge": {"solve": {"penalties": []}}}},
            "method ridge: solve.penalties: [] are 0; give at least 1",
        ),
        (
            {"methods": ["moments"], "overrides": {"moments": {"classical": {"degrees": [5]}}}},
            "degrees.0: 5 is not one of [1, 2]",
        ),
        ({"overrides": {"espcn": None}}, "overrides.espcn: None is not of type 'object'"),
        (
            {"methods": ["gain"], "overrides": {"gain": {"settings": None}}},
            "overrides.gain.settings: None are no keys with values",
        ),
        ({"platforms": {"ge_st": {"sesion": "x"}}}, "did you mean 'session'?"),
        ({"dataset": {"subjects": "four"}}, "dataset.subjects: 'four' is not of type 'integer'"),
        (
            {"platforms": {"mean": {"session": "a", "acquisition": "b", "scale": 1}}},
            "platforms: 'mean': give letters",
        ),
        (
            {"platforms": {"ge_st": {"run": "1"}}},
            "platforms.ge_st.run: kind phantom names scans by session and acquisition alone",
        ),
        (
            {"platforms": {"ge_st": {"crop": 2}}},
            "platforms.ge_st.crop: a phantom is scanned at any",
        ),
        ({"source": "ge-st"}, "source: no platform 'ge-st'; did you mean 'ge_st'?"),
        ({"targets": ["prisma_sst"]}, "targets: no platform 'prisma_sst'; did you mean"),
        ({"targets": ["ge_st"]}, "targets: 'ge_st' is the source already"),
        ({"methods": ["espn"]}, "no file config/methods/<family>/espn.yaml; did you mean 'espcn'?"),
        ({"cross_validation": {"folds": 5}}, "5 folds need as many subjects, not 4"),
        ({"cross_validation": {"validation_subjects": 3}}, "nobody of 4 subjects is left"),
        (
            {"limited_data": {"subjects": [1, 3], "patches": [8], "draws": 1}},
            "limited_data.subjects: 3 are too many; 2 of 4 subjects are left to train on",
        ),
        ({"limited_data": {"subjects": [1], "patches": [8]}}, "limited_data"),
        ({"spherical_harmonics": {"shell": 3000}}, "3000 is not among dataset.shells [1200]"),
        (
            {"overrides": {"espcn": {"trainin": {}}}},
            "method espcn: unknown key 'trainin' at top level; did you mean 'training'?",
        ),
        (
            {"overrides": {"espcn": {"like": "ridge"}}},
            "overrides.espcn.like: belongs in a method's",
        ),
        ({"overrides": {"esp": {}}}, "overrides: method 'esp' is not used; did you mean 'espcn'?"),
        (
            {"overrides": {"msp_espcn": {"network": {"widht": 3}}}},
            "method msp_espcn: unknown key 'widht' in network; did you mean 'width'?",
        ),
        (
            {"overrides": {"espcn": {"training": {"short": {"batch": 3}}}}},
            "unknown key 'batch' at training.short; did you mean 'batch_size'?",
        ),
        (
            {"overrides": {"espcn": {"network": {"name": "espcnn"}}}},
            "no network 'espcnn'; did you mean 'espcn'?",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_key_and_what_was_meant(changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_run(merge(EMBEDDED, changes))


def test_every_pattern_is_explained():
    def patterns(schema):
        for key, value in schema.items():
            if key == "pattern":
                yield schema
            elif isinstance(value, dict):
                yield from patterns(value)
            elif isinstance(value, list):
                yield from itertools.chain(*(patterns(v) for v in value if isinstance(v, dict)))

    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    assert len(explained := list(patterns(schema))) > 10
    assert all("allowed" in found for found in explained)


def test_numbers_within_words_are_numbers_where_the_schema_wants_them():
    words = {
        # YAML reads 1e3 as a word, and a number with a point is whole for a schema.
        "dataset": {
            "seed": "7",
            "shells": ["1.2e3", 3000.0],
            "slab": {"centre": "1.5"},
            "subjects": 4.0,
        },
        "overrides": {"espcn": {"training": {"short": {"phases": [{"learning_rate": "5e-4"}]}}}},
        "platforms": {"ge_st": {"session": "01"}},
    }
    words["overrides"]["espcn"]["training"]["short"]["phases"][0]["steps"] = "3"
    words["overrides"]["espcn"]["network"] = {"width": "1e2"}
    config = check_run(merge(EMBEDDED, words), ROOT)
    assert config["dataset"]["seed"] == 7
    assert config["dataset"]["shells"] == [1200, 3000]
    assert isinstance(config["dataset"]["subjects"], int)
    assert config["dataset"]["slab"] == {"centre": 1.5, "thickness": 28.8}
    assert config["platforms"]["ge_st"]["session"] == "01"
    phases = read_methods(config, ROOT)["espcn"].training["phases"]
    assert phases == [{"steps": 3, "learning_rate": 5e-4}]
    whole = [*config["dataset"]["shells"], read_methods(config, ROOT)["espcn"].settings["width"]]
    assert [type(number) for number in whole] == [int] * 3
    with pytest.raises(InputError, match=r"dataset\.seed: 'seven' is not of type 'integer'"):
        check_run(merge(EMBEDDED, {"dataset": {"seed": "seven"}}), ROOT)


def test_all_mistakes_are_told_at_once():
    config = merge(EMBEDDED, {"sources": 1, "dataset": {"sede": 1}})
    with pytest.raises(InputError) as refused:
        check_run(config, ROOT)
    assert len(str(refused.value).splitlines()) == 2


def test_components_are_read_without_being_asked_for():
    methods = read_methods(EMBEDDED | {"methods": ["msp_diqt"]}, ROOT)
    assert set(methods) == {"msp_diqt", "diqt_rn4", "espcn"}


def test_overrides_change_one_value_and_leave_the_rest():
    changes = {"espcn": {"training": {"short": {"batch_size": 2}}}}
    plain = read_methods(EMBEDDED, ROOT)["espcn"].training
    changed = read_methods(EMBEDDED | {"overrides": changes}, ROOT)["espcn"].training
    assert changed == plain | {"batch_size": 2}


def test_the_readme_explains_every_key():
    readme = (ROOT / "config/README.md").read_text()
    assert documented(readme) == readme, "run: python scripts/document_configuration.py"
    for key in ("dataset.slab.centre", "cross_validation.folds", "training.full.phases.frozen"):
        assert f"| `{key}` |" in readme


def test_every_leaf_of_the_configuration_has_a_description():
    readme = (ROOT / "config/README.md").read_text()

    def leaves(settings, prefix=""):
        for key, value in settings.items():
            if isinstance(value, dict) and value:
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}"

    for leaf in leaves(EMBEDDED):
        key = re.sub(r"^platforms\.\w+", "platforms.<name>", leaf)
        assert f"| `{key}` |" in readme, key


def test_folds_hold_every_subject_once_and_every_subject_is_tested():
    subjects = ["a", "b", "c", "d", "e"]
    tested = []
    for fold in range(5):
        parts = parts_of_fold(subjects, fold, validation_subjects=2)
        assert sorted(itertools.chain(*parts.values())) == subjects
        assert (len(parts["train"]), len(parts["validation"]), len(parts["test"])) == (2, 2, 1)
        tested += parts["test"]
    assert tested == subjects


def test_within_a_draw_fewer_subjects_are_among_the_more():
    study = {"subjects": [1, 2, 4], "patches": [8, None], "draws": 2}
    people = list("abcdef")
    limits = read_limits(study, people)
    assert len(limits) == 3 * 2 * 2
    chosen = {(limit.subjects, limit.draw): limit.choose(people) for limit in limits}
    assert chosen[1, 0] == ["a"]
    assert chosen[1, 1] == ["d"]
    for draw in (0, 1):
        assert set(chosen[1, draw]) < set(chosen[2, draw]) < set(chosen[4, draw])
    assert all(len(found) == number for (number, _), found in chosen.items())
    assert read_limits(None, people) == []


def test_draws_that_would_learn_from_the_same_data_are_one():
    people = list("abcdef")
    (limit,) = read_limits({"subjects": [6], "patches": [None], "draws": 4}, people)
    assert limit.choose(people) == people
    assert len(read_limits({"subjects": [1], "patches": [None], "draws": 8}, people)) == 6
    # The patches are drawn anew, also those of the same subjects.
    assert len(read_limits({"subjects": [6], "patches": [8], "draws": 4}, people)) == 4


# --- A run of one's own


def own_run(**changes):
    return merge(merge(EMBEDDED, {"dataset": {"kind": "bids", "root": "study"}}), changes)


def test_platforms_of_ones_own_replace_the_phantoms():
    mine = {"ge_st": {"session": "mri1", "scale": 1}, "new": {"session": "mri2", "scale": 1}}
    config = own_run(platforms=mine, source="ge_st", targets=["new"])
    assert set(config["platforms"]) > set(mine)  # as Snakemake merges them
    own = with_own_platforms(config, {"platforms": mine})
    assert own["platforms"] == mine
    with pytest.raises(InputError, match=r"no platform 'old'; valid are: ge_st, new$"):
        check_run(own | {"targets": ["old"]}, ROOT)


def test_platforms_stay_where_a_run_gives_none_or_simulates_them():
    config = own_run()
    assert with_own_platforms(config, {"dataset": {"kind": "bids"}}) == config
    finer = {"platforms": {"connectom_sa": {"scale": 1}}}
    phantom = merge(EMBEDDED, finer)
    assert with_own_platforms(phantom, finer) == phantom
    assert with_own_platforms({"dataset": None}, finer) == {"dataset": None}


@pytest.mark.parametrize("key", ["methods", "targets"])
def test_an_error_of_what_the_user_did_not_give_says_where_it_is_from(key):
    mine = {"old": {"session": "mri1", "scale": 1}, "new": {"session": "mri2", "scale": 1}}
    given = {"platforms": mine, "source": "old", "targets": ["new"]}
    given = {name: value for name, value in given.items() if name != key}
    config = with_own_platforms(own_run(run="mine", **given), given)
    with pytest.raises(InputError) as error:
        read_run(config)
    said = str(error.value)
    assert said.startswith(f"configuration: {key}: ")
    assert with_origin(said, given) == (
        f"{said} (from config/config.yaml; give `{key}` of your own)"
    )
    assert with_origin(said, given | {key: []}) == said


def test_labels_that_yaml_reads_as_numbers_are_labels():
    text = "dataset: {subjects: [1, 20200101, A]}\nplatforms: {7: {session: 3, run: 1, scale: 1}}"
    config = own_run(**yaml.safe_load(text), source=7, targets=["prisma_st"])
    checked = check_run(config, ROOT)
    assert checked["dataset"]["subjects"] == ["1", "20200101", "A"]
    assert checked["platforms"]["7"] == {"session": "3", "run": "1", "scale": 1}
    assert checked["source"] == "7"


@pytest.mark.parametrize(
    ("label", "read"), [("no", "False"), ("1e3", "'1e3'"), ("1.0e+3", "1000.0"), ("null", "None")]
)
def test_labels_that_yaml_reads_as_something_else_are_told(label, read):
    subjects = yaml.safe_load(f"[A, {label}, C]")
    config = own_run(dataset={"kind": "bids", "root": "x", "subjects": subjects})
    if read == "'1e3'":
        assert check_run(config, ROOT)["dataset"]["subjects"][1] == "1e3"
        return
    with pytest.raises(InputError) as error:
        check_run(config, ROOT)
    advice = "give one, in quotes" if label == "null" else "put it in quotes"
    assert str(error.value) == (
        f"configuration: dataset.subjects.1: YAML reads {read}, not text; {advice}"
    )
