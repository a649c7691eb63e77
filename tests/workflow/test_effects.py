"""The comparison of scanner effects: a run for each, all in one DAG."""

import re

import pytest
from conftest import EMBEDDED, ROOT, snakemake

STUDIES = ["none", *EMBEDDED["dataset"]["effects"], "all"]


def effects(folder, *arguments):
    """Run workflow/effects.smk in `folder`; gives what Snakemake said."""
    result = snakemake(folder, *arguments, snakefile=ROOT / "workflow/effects.smk", config=None)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


def test_every_effect_has_its_run(tmp_path):
    said = effects(tmp_path, "--dry-run", "--quiet", "rules")
    fits = {s: re.search(rf"^{s}_fit +(\d+)$", said, flags=re.MULTILINE)[1] for s in STUDIES}
    assert fits == dict.fromkeys(STUDIES, "9")  # identity, affine and ridge on three targets
    assert re.search(r"^compare_effects +1$", said, flags=re.MULTILINE)


@pytest.mark.slow
def test_noise_is_an_effect_and_nothing_is_none(tmp_path):
    small = "dataset={effects: [noise], subjects: 3, slab: {centre: 20.0, thickness: 12.0}}"
    said = effects(tmp_path, "--config", small, "targets=[prisma_st]")
    table = (tmp_path / "results/effects.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in table[1:]] == [
        [study, "prisma_st"] for study in ("none", "noise", "all")
    ]
    identity = {row.split(",")[0]: float(row.split(",")[2]) for row in table[1:]}
    assert identity["none"] < 0.05 < identity["noise"] == identity["all"]
    assert "prisma_st" in said
