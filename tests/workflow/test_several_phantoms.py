"""The comparison of phantoms: a run for each seed, all in one DAG."""

import re

import pandas as pd
import pytest
import yaml
from conftest import ROOT, snakemake


def phantoms(folder, *arguments, config=None):
    """Run workflow/phantoms.smk in `folder`; gives what Snakemake said."""
    snakefile = ROOT / "workflow/phantoms.smk"
    result = snakemake(folder, *arguments, snakefile=snakefile, config=config)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


def test_every_phantom_has_its_run(tmp_path):
    said = phantoms(tmp_path, "--dry-run", "--quiet", "rules", "--workflow-profile", "none")
    for seed in (2019, 2020, 2021):
        # Four test subjects, and eight people on four platforms.
        assert re.search(rf"^seed_{seed}_split_scoring +4$", said, flags=re.MULTILINE)
        assert re.search(rf"^seed_{seed}_simulate +32$", said, flags=re.MULTILINE)
    assert re.search(r"^compare_phantoms +1$", said, flags=re.MULTILINE)


def test_a_phantom_twice_is_refused(tmp_path):
    snakefile = ROOT / "workflow/phantoms.smk"
    same = ("--dry-run", "--config", "phantoms=[7, 7]")
    result = snakemake(tmp_path, *same, snakefile=snakefile, config=None)
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: phantoms: ['7', '7']: give a list of different seeds")


@pytest.mark.slow
def test_rankings_follow_from_the_scores(tmp_path):
    config = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())
    config |= {"run": "small", "training": "short"}
    # Both of the source's resolution, as finer scans take most of a run's time.
    config["targets"] = ["prisma_st", "connectom_st"]
    config["methods"] = ["identity", "ridge", "espcn", "msp_espcn"]
    del config["overrides"]["mtl_hard"]
    config["phantoms"] = [2020, 2021]
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(config))
    phantoms(tmp_path, config=tmp_path / "small.yaml")
    ranks = pd.read_csv(tmp_path / "results/phantoms/ranking.csv")
    assert len(ranks) == 2 * 3
    labels = {"ridge": "Ridge (IQT-GL)", "espcn": "ESPCN", "msp_espcn": "MSP (ESPCN)"}
    means = []
    for seed, of_phantom in ranks.set_index("method").groupby("phantom"):
        scores = pd.read_csv(tmp_path / f"results/small_seed_{seed}/metrics.csv")
        brain = scores[(scores["metric"] == "patch_mse") & (scores["region"] == "brain")]
        errors = brain.pivot_table("value", index="method", columns="target")
        expected = (100 * errors / errors.loc["msp_espcn"] - 100).mean(axis=1).rename(labels)
        of_phantom = of_phantom["change"]
        assert of_phantom.to_dict() == pytest.approx(expected[of_phantom.index].to_dict(), rel=1e-4)
        means.append(errors.loc["identity"].to_numpy())
    assert (means[0] != means[1]).all()
    declared = pd.read_csv(tmp_path / "results/phantoms/declared.csv")
    assert set(declared["claim"]) == {"C1"}
    assert (tmp_path / "results/phantoms/ranking.pdf").stat().st_size > 5000
