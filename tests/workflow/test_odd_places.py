"""The workflow where users put it: odd names, odd environments, a kill, a module of another."""

import os
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml
from conftest import OWN, ROOT, copy_workflow, snakemake, write_study

from harmonization.plan.configuration import merge
from harmonization.plan.failures import failures

QUICK = {
    "spherical_harmonics": {"representation": "signal", "order": 4},
    "methods": ["identity", "affine"],
    "overrides": {},
}


@pytest.fixture
def odd(run, tmp_path):
    """Data and results below a folder with blanks, brackets and a quote; a subject called NA."""
    folder = tmp_path / "Dropbox (MIT)" / "it's mine"
    write_study(run[0], folder / "my study")
    for path in sorted((folder / "my study").rglob("*sub-02*"), reverse=True):
        path.rename(path.with_name(path.name.replace("sub-02", "sub-NA")))
    changes = {
        "dataset": {"root": "my study", "subjects": ["01", "NA", "03"]},
        "cross_validation": {"folds": 3},
    }
    config = folder / "my run.yaml"
    config.write_text(yaml.safe_dump(merge(OWN | QUICK, changes)))
    return folder, config


@pytest.mark.slow
def test_odd_names_a_notebooks_backend_and_a_kill_change_nothing(odd, monkeypatch):
    folder, config = odd
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", str(config), "--directory", str(folder), "--cores", "2"]
    with (folder / "killed.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        made = folder / "results/own/registration"
        limit = time.monotonic() + 120
        while not made.exists() and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    # After a kill, the message says what to type; then the same command goes on.
    again = snakemake(folder, config=config)
    if again.returncode:
        assert "--unlock" in again.stdout + again.stderr
        assert snakemake(folder, "--unlock", config=config).returncode == 0
        again = snakemake(folder, config=config)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]

    # Nobody is left out, whatever their name.
    metrics = (folder / "results/own/metrics.csv").read_text().splitlines()
    of_na = [row for row in metrics if ",NA,brain,patch_mse," in row]
    assert len(of_na) == 2
    table = pd.read_csv(folder / "results/own/tables/patch_mse.csv").set_index("method")
    assert (table["n"] == 3).all()
    scores = pd.read_csv(folder / "results/own/metrics.csv", keep_default_na=False)
    patch_mse = scores[(scores["metric"] == "patch_mse") & (scores["method"] == "identity")]
    assert table.loc["Identity", "prisma_st"] == pytest.approx(patch_mse["value"].mean())
    assert (folder / "results/own/figures/registration_NA.png").stat().st_size > 20_000


def test_the_repository_may_lie_anywhere_too(run, tmp_path):
    clone = copy_workflow(tmp_path / "Dropbox (MIT)" / "it's a clone")
    write_study(run[0], clone / "study")
    config = clone / "run.yaml"
    config.write_text(yaml.safe_dump(OWN | QUICK))
    image = "results/own/sh/scan/sub-01_platform-ge_st.nii"
    result = snakemake(clone, "--", image, config=config, root=clone)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert (clone / image).exists()


def test_every_path_in_a_rule_is_quoted():
    for path in (ROOT / "workflow").rglob("*.smk"):
        for shell in re.findall(r"    shell:\n((?: {8}.*\n)+)", path.read_text()):
            unquoted = re.findall(r"\{((?:input|output|log)[\w.]*)\}", shell)
            assert not unquoted, f"{path}: {unquoted}"


def test_no_rule_hides_a_change_of_its_input():
    """Where an input is `ancient`, Snakemake does not check the jobs that come after it."""
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        assert "ancient(" not in path.read_text(), path


OTHER_WORKFLOW = """
configfile: "config/config.yaml"


module msp:
    snakefile: "{root}/Snakefile"
    config: config


use rule * from msp as msp_*


rule summary:
    default_target: True
    input:
        rules.msp_all.input,
    output:
        "summary.txt",
    shell:
        "wc -l {{input}} > {{output}}"
"""


def test_another_workflow_uses_this_one_and_overrides_its_configuration(tmp_path):
    """As the workflow catalogue deploys it: a Snakefile and a copy of the configuration."""
    (tmp_path / "workflow").mkdir()
    (tmp_path / "config").mkdir()
    (tmp_path / "workflow/Snakefile").write_text(OTHER_WORKFLOW.format(root=ROOT))
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    changes = {"run": "deployed", "targets": ["prisma_st"], "methods": ["identity", "ridge"]}
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump({**settings, **changes}))
    options = {"config": None, "snakefile": tmp_path / "workflow/Snakefile"}
    result = snakemake(tmp_path, "--dry-run", "--workflow-profile", "none", **options)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said[-3000:]
    assert re.search(r"^msp_fit_once +2$", said, flags=re.MULTILINE)
    assert re.search(r"^msp_register +4$", said, flags=re.MULTILINE)
    result = snakemake(tmp_path, "--", "results/deployed/config.yaml", **options)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert "run: deployed" in (tmp_path / "results/deployed/config.yaml").read_text()


# --- Why a run failed


def test_the_error_of_every_failed_job_comes_with_its_log(tmp_path):
    logs = {
        "a": "started\nerror: a.nii: is empty; copy it again\n",
        "b": "Traceback\nKeyError: 3\n",
    }
    for name, text in logs.items():
        (tmp_path / name).write_text(text)
    said = "".join(
        f"Error in rule fit:\n    log: {tmp_path / name} (check log file(s) for error details)\n"
        for name in ("a", "b", "c", "a")
    )
    (tmp_path / "snakemake.log").write_text(said)
    assert failures([str(tmp_path / "snakemake.log")]).splitlines() == [
        "error: a.nii: is empty; copy it again",
        f"  Log: {tmp_path / 'a'}",
        "KeyError: 3",
        f"  Log: {tmp_path / 'b'}",
        "error: the job ended without a word; was it killed, or short of memory?",
        f"  Log: {tmp_path / 'c'}",
    ]
    assert failures([str(tmp_path / "nowhere")]) == ""
