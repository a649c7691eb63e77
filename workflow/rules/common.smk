# What every rule needs: the checked configuration, paths, and which jobs there are.
import json
import os
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
SCRIPTS = ROOT / "scripts"
sys.path.insert(0, str(SCRIPTS))

from snakemake.exceptions import WorkflowError

from harmonization.configuration import check_run, code_version, read_methods
from harmonization.files import InputError
from harmonization.folds import parts_of_fold
from harmonization.paths import RunPaths, Scan

# One pinned environment runs everything: a command finds the Python that runs Snakemake.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

try:
    check_run(config, ROOT)
    METHODS = read_methods(config, ROOT)
except InputError as error:
    raise WorkflowError(str(error)) from None

P = RunPaths(f"results/{config['run']}")
PLATFORMS = config["platforms"]
SOURCE, TARGETS = config["source"], config["targets"]
SCALES = {target: PLATFORMS[target]["scale"] for target in TARGETS}
SUBJECTS = [f"{number:02d}" for number in range(1, config["dataset"]["subjects"] + 1)]
FOLDS = range(config["cross_validation"]["folds"])

MODELLED = [name for name, method in METHODS.items() if "network" in method]
TRAINED = [name for name in MODELLED if "training" in METHODS[name]]
SCANNED = [name for name, method in METHODS.items() if "scan" in method]


wildcard_constraints:
    subject="[A-Za-z0-9]+",
    session="[A-Za-z0-9]+",
    acquisition="[A-Za-z0-9]+",
    run="[0-9]+",
    scan="scan|rescan|truth",
    platform="|".join(PLATFORMS),
    target="|".join([*TARGETS, "all"]),
    fold="[0-9]+",
    seed="[0-9]+",


def as_json(settings):
    """Settings as a command's argument."""
    return json.dumps(settings, sort_keys=True)


def version(command):
    """What a command does, as a parameter of its rule: a change of code is a change of results."""
    return code_version(SCRIPTS / command)


def scan_of(subject, platform, scan="scan"):
    """Files of a subject's scan on a platform."""
    return Scan(
        P.bids,
        subject,
        PLATFORMS[platform]["session"],
        PLATFORMS[platform]["acquisition"],
        run="2" if scan == "rescan" else "1",
        truth=scan == "truth",
    )


def platform_of(wildcards):
    """Platform whose scans have the session and acquisition of a file name."""
    for name, platform in PLATFORMS.items():
        if (platform["session"], platform["acquisition"]) == (
            wildcards.session,
            wildcards.acquisition,
        ):
            return name
    raise WorkflowError(
        f"no platform in the configuration has session {wildcards.session} and acquisition "
        f"{wildcards.acquisition}"
    )


def parts(fold):
    """Subjects of each part of a fold."""
    return parts_of_fold(
        SUBJECTS, int(fold), config["cross_validation"]["validation_subjects"]
    )


def seeds(method):
    """A method without randomness has seed 0 only."""
    return range(config["cross_validation"]["seeds"]) if method in TRAINED else [0]


def model_target(method, target):
    """A multi-task method has one model for all targets."""
    return "all" if METHODS[method]["family"] == "multi_task" else target


def models(method, fold, pattern):
    """Files of a method's models of a fold, all targets and seeds."""
    targets = dict.fromkeys(model_target(method, target) for target in TARGETS)
    return expand(pattern, method=method, target=targets, fold=fold, seed=seeds(method))


def fitted_models():
    """Weights of every model: a deleted one is made anew."""
    return [
        file
        for name in MODELLED
        for fold in FOLDS
        for file in models(name, fold, P.weights)
    ]


def predicted(pattern, methods=None, targets=TARGETS, folds=FOLDS, limit_seeds=None):
    """Files of the test predictions, in the order of the tables."""
    return [
        file
        for method in methods or config["methods"]
        for target in targets
        for fold in folds
        for file in expand(
            pattern,
            method=method,
            target=target,
            fold=fold,
            seed=seeds(method)[:limit_seeds],
            subject=parts(fold)["test"],
        )
    ]
