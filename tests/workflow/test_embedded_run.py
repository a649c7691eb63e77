"""What the README says about the embedded run, on two of its targets, one of each resolution."""

import json

import pandas as pd
import pytest
from conftest import ROOT, snakemake

from harmonization.files import read_json

TARGETS = ["prisma_st", "connectom_sa"]
TRAINED = ["Ridge + MLP", "ESPCN", "MTL, hard sharing", "MSP (ESPCN)"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded")
    change = f"targets={json.dumps(TARGETS)}"
    result = snakemake(folder, "--config", change, config=ROOT / "config/config.yaml")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder / "results/embedded"


@pytest.fixture
def table(results):
    table = pd.read_csv(results / "tables/patch_mse.csv").set_index("method")
    return table[TARGETS]


def test_controls_bound_every_target(table):
    assert (table.idxmax() == "Noise").all()
    # Not the lowest by necessity: a method may learn how noise biases what is measured.
    assert (table.loc["Truth"] < table.loc["Identity"]).all()


@pytest.mark.parametrize("method", TRAINED)
def test_every_trained_method_beats_the_source_itself(table, method):
    assert (table.loc[method] < table.loc["Identity"]).all()


def test_no_branch_of_an_msp_is_dead(results):
    """Dead branches once said that MSP gains nothing."""
    cards = [read_json(card)["outcome"] for card in results.rglob("models/msp_*/**/card.json")]
    assert len(cards) == len(TARGETS)
    for outcome in cards:
        dead = {name: d for name, d in outcome["dead_units"].items() if "branches" in name}
        assert len(dead) == 2
        assert max(dead.values()) <= 0.1
        assert min(outcome["contributions"].values()) >= 0.005
