"""The benchmarks run and show every row; nothing here depends on how fast the machine is."""

import importlib.util
import subprocess
import sys

import pytest
import torch
import yaml
from conftest import EMBEDDED, ROOT

from harmonization.plan.configuration import merge
from harmonization.plan.methods import method_files, read_methods

BENCHMARKS = ROOT / "benchmarks"
METHODS = read_methods(
    merge(EMBEDDED, {"methods": sorted(method_files(ROOT / "config/methods"))}), ROOT
)
# No ablations: they cost what the others do, and so do other weightings of the same losses.
RIVALS = {
    name: method
    for name, method in METHODS.items()
    if method.role != "ablation"
    and method.selects_on != "test"
    and "weighting" not in (method.training or {})
}
TRAINED = {name for name, method in RIVALS.items() if method.is_trained}
SOLVED = {
    name
    for name, method in RIVALS.items()
    if method.wing == "networks" and method.solve is not None
}
NEEDS_GPU = "needs a GPU"
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def python(*arguments, status=0):
    """Output of Python in the benchmarks' folder, which must end with this exit status."""
    result = subprocess.run(
        [sys.executable, *arguments], cwd=BENCHMARKS, capture_output=True, text=True, check=False
    )
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout + result.stderr


def first_words(output):
    """What stands before the first comma or space of each line."""
    return {line.replace(",", " ").split()[0] for line in output.splitlines() if line.strip()}


def row(output, name):
    """The only row of that name."""
    (found,) = (line for line in output.splitlines() if line.startswith(f"{name} "))
    return found


def test_every_network_would_be_measured():
    code = """
import common
plan = common.plan_of_all_methods()
for kind in ("training", "network"):
    for case in getattr(common, f"{kind}_cases")(plan):
        print(kind, case.key.method, case.name)
"""
    lines = [line.split(maxsplit=2) for line in python("-c", code).splitlines()]
    assert {method for kind, method, _ in lines if kind == "training"} == TRAINED
    assert {method for kind, method, _ in lines if kind == "network"} == TRAINED | SOLVED
    assert ["training", "msp_espcn", "msp_espcn, r=1, first_stage frozen"] in lines


# Networks of each kind: of one target, of all targets, with components, and one whose fit solves.
SOME = {"espcn", "mtl_hard", "msp_espcn"}
SOME_FITTED = SOME | {sorted(SOLVED)[0]}


@pytest.mark.slow
def test_training_measures_the_methods_that_are_asked_for():
    output = python("training.py", "--seconds", "0.01", "--batch", "1", "--methods", *SOME)
    assert first_words(output) & (TRAINED | SOLVED) == SOME


@pytest.mark.slow
def test_prediction_measures_the_methods_that_are_asked_for():
    output = python(
        "prediction.py", "--seconds", "0.01", "--size", "0.2", "--methods", *SOME_FITTED
    )
    assert first_words(output) & (TRAINED | SOLVED) == SOME_FITTED


def test_a_method_without_a_network_to_measure_is_refused():
    assert "invalid choice: 'ridge_of_none'" in python(
        "training.py", "--methods", "ridge_of_none", status=2
    )


@pytest.mark.slow
def test_settings_compares_all_and_shares_two_cores():
    output = python("settings.py", "--seconds", "0.01")
    settings = {tuple(line.split()[:4]) for line in output.splitlines()}
    for batch in ("4", "12", "32"):
        for precision in ("float32", "bfloat16"):
            assert {(batch, precision, "first", "1"), (batch, precision, "last", "2")} <= settings
    assert "patches/s" in row(output, "two trainings of one thread")
    assert "patches/s" in row(output, "one training of two threads")


def test_feeding_says_which_rivals_are_missing():
    output = python("feeding.py", "--seconds", "0.01", "--cores", "3")
    assert row(output, "PatchData.batch").endswith("1.00")
    row(output, "DataLoader, 2 workers")
    rivals = {
        "TorchIO Queue of a GridSampler": "torchio",
        "MONAI GridPatchDataset": "monai",
    }
    for name, library in rivals.items():
        missing = importlib.util.find_spec(library) is None
        assert ("not installed" in row(output, name)) == missing


def test_memory_adds_up():
    output = python("memory.py", "--subjects", "2")
    names = ("source", "prisma_st", "connectom_st", "connectom_sa", "all")
    sizes = [float(line.split()[-1]) for line in output.splitlines() if line.startswith(names)]
    assert len(sizes) == len(names)
    assert sizes[-1] == pytest.approx(sum(sizes[:-1]), abs=0.03)
    assert NEEDS_GPU in row(output, "peak of a training step")


@pytest.mark.slow
@without_gpu
def test_gpu_tries_everything_on_the_cpu():
    output = python("gpu.py", "--smoke", "--seconds", "0.01", "--methods", *SOME)
    assert first_words(output) & TRAINED == SOME | {"diqt_rn4"}
    assert "compared with itself" in output
    assert NEEDS_GPU in row(output, "all networks")
    assert "failed: nothing" in output
    assert "DIFFERENT" not in output


@without_gpu
def test_gpu_refuses_to_measure_without_one():
    assert "sees no GPU" in python("gpu.py", status=2)


def test_gpu_names_its_sections_if_none_is_chosen():
    output = python("gpu.py", "--smoke", "--only", "sleep", status=2)
    assert "no such title; there are: checks; checks of CUDA graphs; memory;" in output


def test_what_fails_is_named_and_gives_the_exit_status():
    code = """
import sys, checks, common, gpu
plan = common.plan_of_all_methods()
case = next(c for c in common.training_cases(plan) if c.key.method == "espcn")
checks.OF_PRECISION = (0.0, 0.0)
gpu.sections = lambda *_: {
    "wrong": lambda: checks.check_trainings(plan, [case], "cpu", 2),
    "broken": lambda: 1 / 0,
    "good": lambda: print("reached"),
}
sys.argv = ["gpu.py", "--smoke"]
gpu.main()
"""
    output = python("-c", code, status=1)
    assert "failed: bfloat16 of espcn, r=1; broken" in output
    assert "reached" in output


@pytest.mark.slow
def test_preprocessing_compares_with_what_others_offer():
    others = {"sampling": "scipy", "deconvolution": "dipy", "ringing": "dipy"}
    output = python("preprocessing.py", "--seconds", "0.01", "--size", "0.2", "--steps", *others)
    for step, library in others.items():
        assert library in row(output, step)


@pytest.mark.slow
def test_workflow_counts_the_jobs_of_the_embedded_run():
    output = python("workflow.py", "--seconds", "0.01", "--commands", "fit", "split")
    assert int(row(output, "phantom").split()[2]) > int(row(output, "embedded").split()[2]) > 100
    assert int(row(output, "fit").split()[2]) > 1


@pytest.mark.slow
def test_cost_lists_every_method_that_a_run_trains():
    run = yaml.safe_load((ROOT / "config/phantom_small.yaml").read_text())
    output = python("cost.py", "--seconds", "0.01", "--run", "../config/phantom_small.yaml")
    jobs, allocations = map(int, row(output, "all jobs").split()[2:])
    assert 8 * run["dataset"]["subjects"] < jobs
    assert allocations < jobs / 4
    trained = TRAINED & set(run["methods"])
    assert "as their size or length follows from fitted models:\nespcn_long\n" in output
    assert first_words(output) >= trained
    table = output.partition("core-hours\n")[2].partition("Not in this table")[0]
    *hours, total = (float(line.split()[-1]) for line in table.splitlines())
    assert total == pytest.approx(sum(hours), abs=0.1 * len(hours))


def test_cost_says_what_is_wrong_with_its_files(tmp_path):
    run, rates = tmp_path / "run.yaml", tmp_path / "rates.csv"
    assert python("cost.py", "--run", run, status=1).strip() == f"error: {run}: is missing"
    run.write_text("- espcn\n")
    assert "holds no keys with values" in python("cost.py", "--run", run, status=1)
    run.write_text("methods: [identity, espnc]\n")
    found = python("cost.py", "--run", run, status=1).splitlines()
    assert len(found) == 1
    assert "did you mean 'espcn'?" in found[0]
    rates.write_text("network,patches_per_second\nespcn,3\n")
    found = python("cost.py", "--rates", rates, status=1).splitlines()
    assert found[-1] == f"error: {rates}: 'method'; give columns method and patches_per_second"


def test_precision_compares_two_runs(tmp_path):
    for name, error in (("first", 1.0), ("second", 1.02)):
        rows = [
            f"espcn,single_task,prisma_st,0,{seed},01,brain,patch_mse,{error + 0.1 * seed}"
            for seed in (0, 1)
        ]
        header = "method,family,target,fold,seed,subject,region,metric,value"
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")
    runs = [tmp_path / "first.csv", tmp_path / "second.csv"]
    output = python("precision.py", *runs, status=1)
    change, seeds = row(output, "espcn").split()[-2:]
    assert (change, seeds) == ("+1.90", "6.73")
    python("precision.py", runs[0], runs[0])
