"""Fit and predict: one command each for networks, closed forms and rivals that are no networks."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import FIT_SETTINGS, write_fold
from safetensors.torch import load_file

from harmonization.files import read_json, sha256
from harmonization.images.nifti import read_image
from harmonization.learning.models import Card, load_model

TRAINING = {
    "batch_size": 4,
    "validate_every": 2,
    "phases": [{"steps": 4, "learning_rate": 1e-3}],
}
MSP = {"width": 8, "first_stage_weight": 1.0}
SCALES = {"a": 1, "b": 2}
FROZEN = {"steps": 1, "learning_rate": 1e-3, "frozen": ["features", "output"]}


@pytest.fixture
def fold(tmp_path, rng):
    scans = {}
    for subject in "xyz":
        source = rng.standard_normal((14, 7, 7, 6))
        fine = source.repeat(2, 0).repeat(2, 1).repeat(2, 2)
        images = {"source": source, "a": 2 * source + 0.1, "b": fine}
        scans[subject] = {p: (image, np.ones(image.shape[:3])) for p, image in images.items()}
    return write_fold(tmp_path, scans, SCALES)


@pytest.fixture
def fit(command, fold, tmp_path):
    """Run the command `fit`; gives the folder of the model."""

    def run(
        method,
        plugin,
        target="a",
        seed=0,
        components=(),
        matches=(),
        by=None,
        wing="networks",
        refused="",
        seeded_as=None,
        number=0,
        **settings,
    ):
        folder = tmp_path / f"models/{method}-{target}-{seed}"
        given = FIT_SETTINGS | {"wing": wing, "plugin": plugin, "matches": by}
        options = {
            "method": method,
            "settings": json.dumps(given | settings),
            "manifest": fold,
            "target": target,
            "fold": number,
            "seed": seed,
            "seeded-as": seeded_as or method,
            "output": folder,
            "components": list(components) or None,
            "matches": list(matches) or None,
        }
        said = command("fit", options)
        if refused:
            assert (said[0], len(said[1].splitlines())) == (1, 1)
            assert refused in said[1]
        else:
            assert said == (0, "")
        return folder

    return run


def test_a_network_is_trained(fit):
    folder = fit("espcn", "espcn", training=TRAINING)
    card = Card.read(folder)
    assert card.specification.task.scales == {"a": 1}
    assert {"best_step", "validation_mse", "dead_units", "precision"} <= set(card.outcome)
    assert pd.read_csv(folder / "history.csv")["step"].tolist() == [0, 2, 4]


def test_learned_weights_of_losses_are_in_the_card_and_not_in_the_model(fit):
    plain = fit("plain", "hard_sharing", target="all", training=TRAINING)
    training = TRAINING | {"weighting": "uncertainty"}
    folder = fit("weighted", "hard_sharing", target="all", training=training)
    card = Card.read(folder)
    assert card.settings["training"]["weighting"] == "uncertainty"
    assert card.outcome["weights"].keys() == SCALES.keys()
    assert card.parameters == Card.read(plain).parameters
    values, plain_values = (load_file(f / "weights.safetensors") for f in (folder, plain))
    assert values.keys() == plain_values.keys()


def test_a_closed_form_is_solved_and_has_an_empty_history(fit):
    folder = fit("ridge", "linear_patch", solve={"penalties": [1e-6, 1e-3]})
    assert Card.read(folder).outcome["penalty"] in (1e-6, 1e-3)
    history = pd.read_csv(folder / "history.csv")
    assert history.empty
    assert "validation_mse" in history


def test_a_rival_that_is_no_network_is_fitted(fit):
    folder = fit("smoothed", "smoothed", wing="classical", settings={"widths": [0.0, 1.0]})
    card = Card.read(folder)
    assert card.outcome["width"] == 0
    assert card.parameters == 13
    np.testing.assert_allclose(load_file(folder / "weights.safetensors")["scale"], 2, rtol=1e-4)


def test_nothing_builds_on_what_keeps_the_units_of_the_source(fit):
    component = fit("identity", "identity")
    message = "method mean: builds_on: identity predicts in the source's units"
    fit("mean", "ensemble", components=[component], refused=message)


def test_nothing_to_learn_is_a_model_too(fit):
    folder = fit("identity", "identity")
    assert (Card.read(folder).parameters, Card.read(folder).outcome) == (0, {})


def test_the_unharmonised_source_is_predicted_in_its_own_units(command, fit, fold, tmp_path):
    """Though the target's are others."""
    source, mask = (fold.parent / f"z_source_{role}.nii" for role in ("sh", "mask"))
    options = {"model": fit("identity", "identity"), "source": source, "mask": mask, "target": "a"}
    assert command("predict", options | {"output": tmp_path / "prediction.nii"}) == (0, "")
    image, _ = read_image(tmp_path / "prediction.nii")
    np.testing.assert_allclose(image, read_image(source)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("plugin", "wing", "settings", "target"),
    [
        ("identity", "networks", {}, "b"),
        ("linear_patch", "networks", {"solve": {"penalties": [1e-6]}}, "b"),
        ("smoothed", "classical", {"settings": {"widths": [0.5]}}, "b"),
        ("hard_sharing", "networks", {"training": TRAINING}, "all"),
    ],
)
def test_one_command_predicts_by_all(command, fit, fold, tmp_path, plugin, wing, settings, target):
    folder = fit("method", plugin, target=target, wing=wing, **settings)
    options = {
        "model": folder,
        "source": fold.parent / "z_source_sh.nii",
        "mask": fold.parent / "z_source_mask.nii",
        "target": "b",
        "output": tmp_path / "prediction.nii",
    }
    assert command("predict", options) == (0, "")
    image, affine = read_image(tmp_path / "prediction.nii")
    assert image.shape == (28, 14, 14, 6)
    assert np.abs(image).max() > 0
    np.testing.assert_allclose(affine[:3, 3], -0.25)


def test_two_components_of_one_target_both_arrive(fit):
    """Two seeds of the target's own network: the first is refined, the second is a branch."""
    first, second = (fit("espcn", "espcn", seed=seed, training=TRAINING) for seed in (0, 1))
    still = {**TRAINING, "phases": [{"steps": 2, "learning_rate": 1e-30}]}
    folder = fit(
        "msp_self", "multi_stage", components=[first, second], settings=MSP, training=still
    )
    card = Card.read(folder)
    assert list(card.specification.components) == ["espcn-a-0", "espcn-a-1"]
    weights = load_file(folder / "weights.safetensors")
    for component in (first, second):
        name = Card.read(component).name
        for key, value in load_file(component / "weights.safetensors").items():
            assert torch.allclose(weights[f"first_stage.{name}.{key}"], value, atol=1e-6)
    assert list(card.outcome["contributions"]) == ["espcn-a-0", "espcn-a-1"]


def test_every_seed_target_and_fold_draws_other_random_numbers(fit):
    """Trainings that move nothing tell where they started."""
    still = {**TRAINING, "phases": [{"steps": 1, "learning_rate": 1e-30}]}
    folders = [
        fit("one", "espcn", training=still),
        fit("one", "espcn", seed=1, training=still),
        fit("one", "espcn", target="b", training=still),
        fit("other_fold", "espcn", number=1, seeded_as="one", training=still),
    ]
    starts = [load_file(f / "weights.safetensors")["features.0.weight"] for f in folders]
    for one, other in itertools.combinations(starts, 2):
        assert not torch.allclose(one, other)


def test_components_that_do_not_fit_are_one_line(fit):
    ridge = fit("ridge", "linear_patch", solve={"penalties": [1e-3]})
    message = "error: method msp: builds_on: takes networks with features"
    folder = fit("msp", "multi_stage", components=[ridge], settings=MSP, refused=message)
    assert not folder.exists()


def test_a_model_reads_the_scans_of_its_components_targets(fit):
    components = [fit("espcn", "espcn", target=target, training=TRAINING) for target in SCALES]
    folder = fit("msp", "multi_stage", components=components, settings=MSP, training=TRAINING)
    assert Card.read(folder).specification.task.scales == SCALES
    assert Card.read(folder).normalisation["outputs"].keys() == {"a"}
    model, _ = load_model(folder)
    assert model.network.own == "espcn-a-0"


def test_a_card_of_another_version_is_refused(command, fit, fold, tmp_path):
    folder = fit("identity", "identity")
    card = read_json(folder / "card.json")
    del card["lattice"]
    (folder / "card.json").write_text(json.dumps(card))
    options = {"model": folder, "source": fold, "mask": fold, "target": "a"}
    status, error = command("predict", options | {"output": tmp_path / "prediction.nii"})
    assert (status, len(error.splitlines())) == (1, 1)
    assert "card.json: is no card of this version" in error


def test_a_network_is_widened_to_the_size_of_another(fit):
    small, other = (fit("espcn", "espcn", target=t, training=TRAINING) for t in SCALES)
    msp = fit("msp", "multi_stage", components=[small, other], settings=MSP, training=TRAINING)
    wide = fit("wide", "espcn", matches=[msp], by="width", training=TRAINING)
    cards = [Card.read(folder) for folder in (msp, wide)]
    assert cards[1].path_parameters == pytest.approx(cards[0].path_parameters, rel=0.02)
    assert cards[1].specification.settings["width"] > 100
    assert cards[0].path_parameters < cards[0].parameters


def multiply_adds(folder):
    """Of all trainings of a model."""
    return sum(Card.read(folder).trainings.values())


def test_a_twin_draws_the_random_numbers_of_the_other(fit):
    one, other, twin = (
        fit(name, "espcn", training=TRAINING, seeded_as=seeded_as)
        for name, seeded_as in (("one", None), ("other", None), ("twin", "one"))
    )
    weights = [sha256(folder / "weights.safetensors") for folder in (one, other, twin)]
    assert weights[2] == weights[0] != weights[1]


def test_a_training_is_lengthened_to_the_computation_of_another(fit):
    components = [fit("espcn", "espcn", target=t, training=TRAINING) for t in SCALES]
    msp = fit("msp", "multi_stage", components=components, settings=MSP, training=TRAINING)
    long = fit("long", "espcn", matches=[msp], by="steps", training=TRAINING)
    wanted, found, one = (multiply_adds(folder) for folder in (msp, long, components[0]))
    # A step is the least that a training can differ by.
    assert found == pytest.approx(wanted, abs=one / 4)
    assert Card.read(long).settings["training"]["phases"][0]["steps"] > 4
    components = sum(map(multiply_adds, components))
    assert wanted > components > 0


def test_components_that_two_models_share_are_matched_once(fit):
    components = [fit("espcn", "espcn", target=t, training=TRAINING) for t in SCALES]
    shared = {"components": components, "settings": MSP, "training": TRAINING}
    msps = [fit("msp", "multi_stage", target=t, **shared) for t in SCALES]
    of_all = {"target": "all", "matches": msps, "by": "steps", "training": TRAINING}
    long = fit("long", "hard_sharing", **of_all)
    wanted = {name: n for folder in msps for name, n in Card.read(folder).trainings.items()}
    assert len(wanted) == 4
    steps = Card.read(long).settings["training"]["phases"][0]["steps"]
    assert multiply_adds(long) == pytest.approx(sum(wanted.values()), rel=0.5 / steps)


def test_what_starts_at_random_has_the_computation_of_the_components_to_spend(fit):
    components = [fit("espcn", "espcn", target=t, training=TRAINING) for t in SCALES]
    shared = {"components": components, "training": TRAINING}
    msp = fit("msp", "multi_stage", settings=MSP, **shared)
    random = fit(
        *("random", "multi_stage"),
        settings=MSP | {"start": "random"},
        matches=[msp],
        by="steps",
        **shared,
    )
    steps = Card.read(random).settings["training"]["phases"][0]["steps"]
    assert steps > 4
    assert multiply_adds(random) == pytest.approx(multiply_adds(msp), rel=0.5 / steps)


def test_the_better_of_two_alternatives_is_built_on(fit):
    good = fit("good", "espcn", training=TRAINING)
    bad = fit("bad", "espcn", training={**TRAINING, "phases": [{"steps": 1, "learning_rate": 1}]})
    for order in ([good, bad], [bad, good]):
        folder = fit(
            *("best", "multi_stage"),
            components=order,
            settings=MSP,
            training=TRAINING,
            alternatives=[["good", "bad"]],
        )
        assert list(Card.read(folder).specification.components) == ["good-a-0"]
        # What was trained to be left out was trained all the same.
        assert multiply_adds(folder) > multiply_adds(good) + multiply_adds(bad)


def test_a_training_that_two_components_inherit_counts_once(fit):
    start = fit("start", "espcn", training=TRAINING)
    further = fit("further", "diqt", components=[start], settings={"blocks": 1}, training=TRAINING)
    shared = {"components": [start, further], "settings": MSP, "training": TRAINING}
    best = Card.read(fit("best", "multi_stage", **shared, alternatives=[["start", "further"]]))
    assert list(best.trainings) == ["start-a-0", "further-a-0", "best-a-0"]
    components = [multiply_adds(folder) for folder in (start, further)]
    assert sum(best.trainings.values()) == components[1] + best.trainings["best-a-0"]
    assert components[1] > components[0] > 0


def test_a_component_is_as_wide_as_the_network_of_all_targets_needs(fit):
    singles = [fit("espcn", "espcn", target=t, training=TRAINING) for t in SCALES]
    msps = [
        fit("msp", "multi_stage", target=t, components=c, settings=MSP, training=TRAINING)
        for t, c in zip(SCALES, (singles, singles[::-1]), strict=True)
    ]
    stitch = {"wing": "networks", "plugin": "cross_stitch", "settings": {"own": 0.9}}
    wide = [
        fit("wide", "espcn", t, matches=msps, by="width", within=stitch, training=TRAINING)
        for t in SCALES
    ]
    whole = fit(
        *("stitched", "cross_stitch", "all"),
        components=wide,
        settings={"own": 0.9},
        training=TRAINING,
    )
    wanted = sum(Card.read(folder).path_parameters for folder in msps)
    assert Card.read(whole).path_parameters == pytest.approx(wanted, rel=0.02)
    widths = {Card.read(folder).specification.settings["width"] for folder in wide}
    assert len(widths) == 1


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, "method idle: network: nothing fits the"),
        (
            {"training": TRAINING | {"phases": [FROZEN]}},
            "training.phases: nothing of Espcn is left to train with features, output frozen",
        ),
    ],
    ids=["no training", "all frozen"],
)
def test_a_network_that_learns_nothing_is_refused(fit, settings, refused):
    assert not fit("idle", "espcn", refused=refused, **settings).exists()


def test_a_mean_of_networks_needs_no_fit(fit):
    members = [fit("espcn", "espcn", seed=seed, training=TRAINING) for seed in (0, 1)]
    folder = fit("mean", "ensemble", components=members)
    assert load_file(folder / "weights.safetensors")["weights"].tolist() == [0.5, 0.5]


def test_a_scan_that_is_denoised_or_without_noise_is_told_by_the_card(fit):
    """Also of a method that is not fitted, whose manifest is that of the run's scans."""
    told = {"denoised": True, "noise_free": False}
    assert Card.read(fit("denoised", "identity", input=told)).input.items() >= told.items()


@pytest.fixture
def tune(command, fold, tmp_path):
    def run(training, matches=None, others=None):
        settings = FIT_SETTINGS | {"plugin": "espcn", "training": training, "matches": matches}
        options = {"method": "espcn", "settings": json.dumps(settings), "manifest": fold}
        options |= {"seeded-as": "espcn", "matches": others}
        return command("tune", options | {"target": "a", "output": tmp_path / "tuning.json"})

    return run


def test_six_settings_are_tried_and_the_best_is_trained_for_twice_the_steps(
    command, tune, tmp_path
):
    assert tune(TRAINING) == (0, "")
    found = read_json(tmp_path / "tuning.json")
    tried = [(row["rate"], row["weight_decay"]) for row in found["tried"]]
    assert tried == [(rate, decay) for rate in (0.333, 1, 3) for decay in (0, 1)]
    errors = [row["validation_mse"] for row in found["tried"]]
    assert len(set(errors)) == 6
    assert "step 8/8" in command.said
    assert f"twice the steps: {found['doubling']:+.1%}" in command.said


def test_the_steps_of_a_training_that_equals_another_are_doubled_too(fit, command, tune):
    phases = [{"steps": 12, "learning_rate": 1e-3}]
    long = fit("long", "espcn", training=TRAINING | {"phases": phases})
    assert tune(TRAINING, matches="steps", others=[long]) == (0, "")
    lengths = re.findall(r"step \d+/(\d+)", command.said)
    assert list(dict.fromkeys(lengths)) == ["12", "24"]


def with_rate(rate):
    return {**TRAINING, "phases": [{"steps": 4, "learning_rate": rate}]}


def test_a_setting_that_diverges_leaves_the_others(command, tune, tmp_path):
    assert tune(with_rate(1e4)) == (0, "")
    errors = [row["validation_mse"] for row in read_json(tmp_path / "tuning.json")["tried"]]
    assert errors[0] is not None
    assert errors[-1] is None
    assert "3.00 x rate, decay 1.0: diverged" in command.said


def test_a_method_of_which_every_setting_diverges_is_not_tuned(tune, tmp_path):
    code, said = tune(with_rate(1e6))
    assert (code, said) == (
        1,
        "error: espcn: all six trainings diverged; lower its learning rates\n",
    )
    assert not (tmp_path / "tuning.json").exists()
