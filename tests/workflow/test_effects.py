"""The comparison of scanner effects: a run for each, all in one DAG."""

import re

from conftest import EMBEDDED, ROOT, snakemake

STUDIES = ["none", *EMBEDDED["dataset"]["effects"], "all"]


def effects(folder, *arguments):
    """Run workflow/effects.smk in `folder`; gives what Snakemake said."""
    result = snakemake(folder, *arguments, snakefile=ROOT / "workflow/effects.smk", config=None)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


def test_every_effect_has_its_run(tmp_path):
    said = effects(tmp_path, "--dry-run", "--quiet", "rules", "--workflow-profile", "none")
    fits = {s: re.search(rf"^{s}_fit_once +(\d+)$", said, flags=re.MULTILINE)[1] for s in STUDIES}
    assert fits == dict.fromkeys(STUDIES, "9")  # identity, affine and ridge on three targets
    assert re.search(r"^compare_effects +1$", said, flags=re.MULTILINE)


def test_a_family_is_refused_before_anything_starts(tmp_path):
    options = ("--dry-run", "--config", "methods=[single_task]")
    snakefile = ROOT / "workflow/effects.smk"
    result = snakemake(tmp_path, *options, snakefile=snakefile, config=None)
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: methods: single_task: name single methods")
