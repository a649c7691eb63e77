"""What the README says about the embedded run; takes about ten minutes on two cores."""

import pandas as pd
import pytest
from conftest import ROOT, snakemake

from harmonization.files import read_json

TRAINED = ["ESPCN", "MTL, hard sharing", "MSP (ESPCN)"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embedded")
    result = snakemake(folder, config=ROOT / "config/config.yaml")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder / "results/embedded"


@pytest.fixture
def table(results):
    table = pd.read_csv(results / "tables/patch_mse.csv").set_index("method")
    return table[["prisma_st", "connectom_st", "connectom_sa"]]


def test_controls_bound_every_target(table):
    assert (table.idxmax() == "Noise").all()
    # Not the lowest by necessity: a method may learn how noise biases what is measured.
    assert (table.loc["Truth"] < table.loc["Identity"]).all()


@pytest.mark.parametrize("method", TRAINED)
def test_every_trained_method_beats_the_source_itself(table, method):
    assert (table.loc[method] < table.loc["Identity"]).all()


def test_every_training_converged(results):
    outcomes = [read_json(card)["outcome"] for card in results.rglob("models/**/card.json")]
    trained = [outcome["converged"] for outcome in outcomes if "converged" in outcome]
    assert len(outcomes) == 22
    assert len(trained) == 7
    assert all(trained)
