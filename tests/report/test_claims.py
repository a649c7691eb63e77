"""Verdicts on claims, from scores made so that the verdict is known."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from test_comparison import SUBJECTS, card, metrics

from harmonization.files import InputError, write_json
from harmonization.plan.claims import read_claims
from harmonization.report.claims import (
    ABSENT,
    BY_DESIGN,
    NOT_EXCLUDED,
    NOT_SUPPORTED,
    SUPPORTED,
    UNDECIDABLE,
    UNTESTED,
    claims_table,
)

METHODS = {
    name: {"label": name.upper(), "family": family, "role": role, "selects_on": "validation"}
    for name, family, role in (
        ("msp", "msp", "rival"),
        ("one", "single_task", "rival"),
        ("two", "single_task", "ablation"),
    )
}
PLAIN = {"id": "C", "statement": "S.", "method": "msp", "against": "one"}
BELOW = PLAIN | {"below": 0}
RNG = np.random.default_rng(0)
NOISE = RNG.uniform(-0.005, 0.005, len(SUBJECTS))


def judged(claims, gain, subjects=6, more=(), validation=()):
    """Verdicts if the MSP's error is lower than that of `one` by a share, give or take."""
    reference = np.linspace(1, 2, subjects)
    scores = metrics(
        [
            ("msp", "0", "t", reference * (1 - gain + NOISE[:subjects])),
            ("one", "0", "t", reference),
            ("two", "0", "t", reference / 2),
        ]
    )
    errors = pd.DataFrame(
        [(str(f), "t", m, e) for f in range(subjects) for m, e in validation],
        columns=["fold", "target", "method", "error"],
    ).pivot_table("error", index=["fold", "target"], columns="method")
    scores = pd.concat([scores, *more])
    return claims_table(claims, scores, errors, METHODS)


@pytest.mark.parametrize(
    ("claim", "gain", "wanted"),
    [
        (BELOW, 0.05, SUPPORTED),
        (BELOW, -0.05, NOT_SUPPORTED),
        (BELOW, 0.0, NOT_SUPPORTED),
        (PLAIN | {"contains": -20}, 0.20, NOT_EXCLUDED),
        (PLAIN | {"contains": -20}, 0.05, NOT_SUPPORTED),
    ],
)
def test_a_verdict_follows_from_the_interval(claim, gain, wanted):
    row = judged([claim], gain).iloc[0]
    assert row["verdict"] == wanted
    assert row["change"] == pytest.approx(-100 * gain, abs=0.5)
    assert row["low"] < row["change"] < row["high"]


def test_what_is_declared_must_pass_its_test_after_holm():
    """One of seven subjects may lose; of two such tests that is one too many."""
    declared = BELOW | {"declared": True}
    alone = judged([declared], 0.05).iloc[0]
    assert (alone["p_holm"], alone["verdict"]) == (2 / 2**6, SUPPORTED)
    reference = np.linspace(1, 2, 7)
    changed = np.array([0.09, 0.08, 0.07, 0.06, 0.05, 0.04, -0.01])
    for sign, side in ((-1, "below"), (1, "above")):
        scores = metrics(
            [("msp", "0", "t", reference * (1 + sign * changed)), ("one", "0", "t", reference)]
        )
        both = claims_table([declared, declared | {"id": "D"}], scores, pd.DataFrame(), METHODS)
        assert both["p_holm"].tolist() == [2 * 4 / 2**7] * 2
        assert both["verdict"].tolist() == [NOT_SUPPORTED] * 2
        assert both["reason"].iloc[0] == f"The interval lies {side} 0, but p is 0.0625 (Holm)."


@pytest.mark.parametrize("subjects", [6, 7, 8])
def test_tests_that_no_result_could_pass_decide_nothing(subjects):
    declared = [BELOW | {"declared": True, "id": name} for name in "ABCDE"]
    row = judged(declared, 0.05, subjects).iloc[0]
    assert row["p_holm"] == 5 * 2 / 2**subjects
    assert row["verdict"] == (SUPPORTED if subjects == 8 else UNDECIDABLE)
    assert subjects == 8 or row["reason"] == f"{subjects} subjects; 5 declared tests need 8."
    opposite = judged(declared, -0.05, subjects).iloc[0]
    assert opposite["verdict"] == (NOT_SUPPORTED if subjects == 8 else UNDECIDABLE)
    assert ("the opposite holds" in opposite["reason"]) == (subjects == 8)


def test_a_test_is_against_the_threshold_of_its_claim():
    reference = np.linspace(1, 2, 8)
    gains = np.array([0.09, 0.091, 0.092, 0.093, 0.094, 0.095, 0.096, 0.03])
    scores = metrics([("msp", "0", "t", reference * (1 - gains)), ("one", "0", "t", reference)])
    found = claims_table([BELOW, PLAIN | {"below": -5}], scores, pd.DataFrame(), METHODS)
    assert found["p"].tolist() == [2 / 2**8, 4 / 2**8]


def test_five_subjects_decide_nothing():
    row = judged([BELOW], 0.05, subjects=5).iloc[0]
    assert row["verdict"] == UNDECIDABLE
    assert row["reason"].startswith("5 subject(s)")


def test_noise_may_leave_too_little_room():
    """Excess 0.1 of an error of 1 to 2: nobody can gain 20 %."""
    excess = metrics([(m, "0", "t", [0.1] * 6) for m in METHODS], "excess")
    row = judged([PLAIN | {"contains": -20}], 0.05, more=[excess]).iloc[0]
    assert row["verdict"] == UNDECIDABLE
    assert "noise leaves -7 %" in row["reason"]  # 0.1 of 1.5 on average
    on_excess = judged([PLAIN | {"contains": 0, "metric": "excess"}], 0.05, more=[excess]).iloc[0]
    assert (on_excess["change"], on_excess["verdict"]) == (0, UNDECIDABLE)


def test_the_room_that_noise_leaves_is_that_of_the_method_that_is_chosen():
    """However much there is to gain on another candidate."""
    excess = metrics([(m, "0", "t", [1.4 if m == "two" else 0.1] * 6) for m in METHODS], "excess")
    claim = PLAIN | {"contains": -20, "against": {"best_of": ["one", "two"]}}
    row = judged([claim], 0.05, more=[excess], validation=[("one", 1.0), ("two", 2.0)]).iloc[0]
    assert row["verdict"] == UNDECIDABLE
    assert "noise leaves -7 %" in row["reason"]


def test_nothing_is_relative_to_an_excess_below_0():
    excess = metrics([(m, "0", "t", [0.1] * 5 + [-0.1]) for m in METHODS], "excess")
    claim = BELOW | {"metric": "excess", "declared": True}
    row = judged([claim], 0.05, more=[excess]).iloc[0]
    assert row["verdict"] == UNDECIDABLE
    assert row["reason"] == "In a subject excess of ONE is not above 0."


def test_the_best_of_several_is_the_best_on_validation():
    claim = BELOW | {"against": {"best_of": ["one", "two"]}}
    first = judged([claim], 0.05, validation=[("one", 1.0), ("two", 2.0)]).iloc[0]
    second = judged([claim], 0.05, validation=[("one", 2.0), ("two", 1.0)]).iloc[0]
    assert (first["verdict"], second["verdict"]) == (SUPPORTED, NOT_SUPPORTED)
    assert first["against"] == "best on validation of ONE, TWO"


def test_a_family_stands_for_its_rivals():
    claim = BELOW | {"against": {"best_of": ["single_task"]}}
    row = judged([claim], 0.05, validation=[("one", 2.0), ("two", 1.0)]).iloc[0]
    assert row["against"] == "best on validation of ONE"


def test_what_the_run_lacks_is_said():
    absent = BELOW | {"against": "three"}
    nothing = BELOW | {"against": {"best_of": ["multi_task"]}}
    excess = BELOW | {"metric": "excess"}
    designed = {"id": "W", "statement": "S.", "answer": "By design. So it is."}
    untested = designed | {"answer": "Not tested. Nobody did."}
    table = judged([absent, nothing, excess, designed, untested], 0.05)
    assert table["verdict"].tolist() == [ABSENT, ABSENT, ABSENT, BY_DESIGN, UNTESTED]
    assert table["reason"].tolist() == [
        "The run has no three.",
        "The run has no method to compare it with.",
        "Only a phantom has excess.",
        "So it is.",
        "Nobody did.",
    ]


def test_the_command_writes_all_forms(command, tmp_path):
    for fold in range(6):
        write_json(tmp_path / f"msp/t/fold-{fold}_seed-0/card.json", card("msp", "t", fold, 1.0))
    scores = metrics([("msp", "0", "t", [1.0, 2, 3, 4, 5, 6]), ("one", "0", "t", [7.0] * 6)])
    scores.to_csv(tmp_path / "metrics.csv", index=False)
    options = {
        "claims": json.dumps([BELOW | {"statement": "Below by 5 % & more_or_less."}]),
        "metrics": tmp_path / "metrics.csv",
        "methods": json.dumps({name: METHODS[name] for name in ("msp", "one")}),
        "targets": ["t"],
        "folders": str(tmp_path / "{method}/{target}/fold-{fold}_seed-{seed}"),
        "models": json.dumps({"msp": {"t": [0]}}),
        "folds": json.dumps({str(f): [s] for f, s in enumerate(SUBJECTS[:6])}),
        "data": "a test",
        **{kind: tmp_path / f"claims.{kind}" for kind in ("csv", "tex", "html")},
    }
    assert command("judge_claims", options) == (0, "")
    row = pd.read_csv(options["csv"]).iloc[0]
    assert (row["wins"], row["n"], row["verdict"]) == (6, 6, SUPPORTED)
    printed = options["tex"].read_text().replace("\\allowbreak ", "")
    assert "Below by 5 \\% \\& more\\_or\\_less." in printed
    assert "6/6" in options["html"].read_text()


SCHEMA = ROOT / "workflow/schemas/claims.schema.yaml"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "mpsespcn"}, "claim C: no method 'mpsespcn'; did you mean 'espcn'"),
        ({"against": {"best_of": ["single_tsk"]}}, "did you mean 'single_task'"),
        ({"belov": 0}, "unknown key 'belov'"),
        ({"method": "single_task"}, "'single_task' is a family; name a method, or give against"),
        ({"against": "single_task"}, "give against: {best_of: .single_task.}"),
        ({"below": "low"}, "is not of type 'number'"),
    ],
)
def test_a_wrong_claim_is_refused(tmp_path, change, message):
    path = tmp_path / "claims.yaml"
    claim = BELOW | {"method": "espcn", "against": "ridge"} | change
    path.write_text(yaml.safe_dump([claim]))
    with pytest.raises(InputError, match=message):
        read_claims(path, SCHEMA, ["espcn", "ridge"], ["single_task"])


def test_two_claims_of_one_id_are_refused(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump([BELOW, BELOW]))
    with pytest.raises(InputError, match="two claims have the id 'C'"):
        read_claims(path, SCHEMA, ["msp", "one"], [])


def test_five_comparisons_are_declared():
    claims = yaml.safe_load((ROOT / "config/claims.yaml").read_text())
    declared = [claim["id"] for claim in claims if claim.get("declared")]
    assert declared == ["C1", "C2", "Mechanism", "Computation", "Simple rival"]
