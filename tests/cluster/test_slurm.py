"""`snakemake --profile slurm` on a real Slurm, and what a cluster does to its jobs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, snakemake
from node import Node, missing, wait_for

from harmonization.files import sha256

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.usefixtures("node"),
]
TARGETS = "prisma_st", "connectom_sa"
# This Slurm has no accounts, and answers at once.
SITE = ["--slurm-no-account", "--slurm-status-command", "squeue"]
SITE += ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]
MADE = "weights.safetensors", "card.json", "history.csv"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    # Slurm's daemons need a short path without what xdist adds.
    started = Node(tmp_path_factory.mktemp("slurm"))
    try:
        started.start()
        yield started
    finally:
        started.stop()


def on_slurm(folder: Path, config: Path, *options: str) -> subprocess.Popen[str]:
    """Start a run on Slurm; its output is in `said.txt`."""
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--configfile", config]
    command += ["--directory", folder, *SITE, *options]
    with (folder / "said.txt").open("w") as said:
        return subprocess.Popen(
            [*map(str, command)], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, text=True
        )


def assert_finished(process: subprocess.Popen[str], folder: Path) -> None:
    assert process.wait() == 0, (folder / "said.txt").read_text()[-5000:]


def allocations(folder: Path) -> int:
    return (folder / "said.txt").read_text().count("has been submitted")


def test_a_run_on_slurm_gives_the_same_bytes_in_few_allocations(node, own, tmp_path):
    there, here = tmp_path / "results/own", own / "results/own"
    shutil.copytree(own / "study", tmp_path / "study")
    config = yaml.safe_load((own / "run.yaml").read_text())
    config["methods"] += ["diqt_rn4"]  # whose component is another job
    phases = [{"steps": 5, "learning_rate": 1.0e-3}]
    short = {"batch_size": 4, "validate_every": 5, "phases": phases}
    config["overrides"] |= {"diqt_rn4": {"training": {"short": short}}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    assert_finished(on_slurm(tmp_path, tmp_path / "run.yaml"), tmp_path)
    made = [*here.glob("models/**/weights.safetensors"), *here.glob("evaluation/**/*.csv")]
    names = [path.relative_to(here) for path in made]
    assert len(names) == 3 + 3
    assert {n: sha256(there / n) for n in names} == {n: sha256(here / n) for n in names}
    assert len(list(there.glob("models/diqt_rn4/**/weights.safetensors"))) == 1
    jobs = len(list(there.glob("benchmarks/**/*.tsv")))
    assert allocations(tmp_path) < jobs / 3
    fields = "--Format=comment:80,tres-per-job:40"
    asked = node.ask("squeue", "--states=all", "--noheader", fields).splitlines()
    assert {line.split()[1] for line in asked if "_espcn_" in line} == {"gres:gpu:1"}
    assert not (there / "checkpoints").exists()


# --- What happens to jobs; each time the models have the bytes of an undisturbed training


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A configuration whose networks train for long enough to be disturbed."""
    config = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())
    phases = [{"steps": 1500, "learning_rate": 1.0e-3}]
    short = {"batch_size": 4, "validate_every": 100, "phases": phases}
    config["overrides"]["espcn"]["training"]["short"] = short
    path = tmp_path_factory.mktemp("training") / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def model(folder: Path, target: str) -> Path:
    return folder / f"results/tiny/models/espcn/{target}/fold-0_seed-0"


def weights(targets: tuple[str, ...]) -> list[str]:
    """Weights as targets of a run, relative to its folder."""
    return [str(model(Path(), target) / "weights.safetensors") for target in targets]


def digests(folder: Path, targets: tuple[str, ...]) -> dict[str, str]:
    return {f"{t} {name}": sha256(model(folder, t) / name) for t in targets for name in MADE}


@pytest.fixture(scope="module")
def undisturbed(shared, run, training):
    """The tiny run, and in it the two networks, trained without Slurm."""

    def build(folder):
        shutil.copytree(run[0], folder, dirs_exist_ok=True)
        result = snakemake(folder, "--", *weights(TARGETS), config=training)
        assert result.returncode == 0, result.stderr[-3000:]

    return shared("undisturbed", build)


def log_of(folder: Path, target: str, attempt: int | None = None) -> str:
    """Log of a fit, of its last attempt or of one that failed."""
    end = f".attempt-{attempt}.log" if attempt else ".log"
    path = folder / f"results/tiny/logs/fit/models/espcn/{target}/fold-0_seed-0{end}"
    return path.read_text() if path.exists() else ""


def wait_for_step(folder: Path, target: str) -> None:
    wait_for(lambda: "step 300/1500" in log_of(folder, target), seconds=300)


def test_a_training_that_is_out_of_time_goes_on_in_the_next_job(
    node, copied_run, training, undisturbed
):
    slow = TARGETS[1:]
    time = ["--set-resources", "fit:runtime=1 if attempt == 1 else 30"]  # minutes
    process = on_slurm(copied_run, training, *time, "--", *weights(slow))
    begun = "step 100/1500"
    wait_for(lambda: any(begun in log_of(copied_run, slow[0], n) for n in (None, 1)), seconds=300)
    # However fast this machine is, the training lasts longer than its first job's minute.
    node.suspend(seconds=60)
    assert_finished(process, copied_run)
    assert digests(copied_run, slow) == digests(undisturbed, slow)
    assert "the job's time is nearly over: stopped after step" in log_of(copied_run, slow[0], 1)
    assert "go on after step" in log_of(copied_run, slow[0])


def test_a_job_out_of_memory_is_submitted_with_more(copied_run, training, undisturbed):
    one = TARGETS[:1]
    memory = ["--set-resources", "fit:mem_mb=100 if attempt == 1 else 4000"]
    assert_finished(on_slurm(copied_run, training, *memory, "--", *weights(one)), copied_run)
    assert digests(copied_run, one) == digests(undisturbed, one)
    assert allocations(copied_run) == 2


def test_a_preempted_job_goes_on_when_it_is_back(copied_run, training, undisturbed):
    process = on_slurm(copied_run, training, "--", *weights(TARGETS))
    # The two trainings share an allocation; the first has ended when the second is disturbed.
    wait_for(lambda: any("step 300/1500" in log_of(copied_run, t) for t in TARGETS), seconds=300)
    wait_for(lambda: all("step 300/1500" in log_of(copied_run, t) for t in TARGETS), seconds=300)
    urgent = ["sbatch", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=sleep 5"]
    subprocess.run(urgent, check=True, capture_output=True)
    assert_finished(process, copied_run)
    assert digests(copied_run, TARGETS) == digests(undisturbed, TARGETS)
    assert allocations(copied_run) == 1
    logs = [log_of(copied_run, target) for target in TARGETS]
    assert any("go on after step 1500" in log for log in logs)  # nothing is trained twice
    assert all(re.search("go on after step", log) for log in logs)


def test_jobs_of_a_node_that_goes_down_go_on_when_it_is_up(node, copied_run, training, undisturbed):
    one = TARGETS[:1]
    process = on_slurm(copied_run, training, "--", *weights(one))
    wait_for_step(copied_run, one[0])
    node.update("State=DOWN", "Reason=test")
    wait_for(lambda: node.state().startswith("down"))
    node.update("State=RESUME")
    assert_finished(process, copied_run)
    assert digests(copied_run, one) == digests(undisturbed, one)
    assert allocations(copied_run) == 1
