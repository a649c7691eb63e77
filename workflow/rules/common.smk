# What the rules share: the environment of the jobs, the plan of the run, and wildcard constraints.
import json
import os
import sys
from pathlib import Path

ROOT = Path(str(workflow.current_basedir)).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from snakemake.exceptions import WorkflowError

from harmonization.files import InputError
from harmonization.plan.paths import BidsScan
from harmonization.plan.plan import Plan

# One pinned environment runs everything, so jobs use the Python that runs Snakemake. They find the
# commands as modules from any working directory, and nothing in that directory can replace them.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]),
    PYTHONPATH=str(ROOT / "scripts"),
    PYTHONSAFEPATH="1",
)

try:
    PLAN = Plan(config, ROOT)
except InputError as error:
    raise WorkflowError(str(error)) from None

config.update(PLAN.config)
P = PLAN.paths
SOURCE, TARGETS, METHODS = PLAN.source, PLAN.targets, PLAN.methods


def one_of(names):
    """Constraint of a wildcard to names; it fits nothing if there are none."""
    return "|".join(names) or "(?!)"


def as_json(settings):
    """Settings as a command's argument, sorted: their order means nothing, so it re-runs nothing."""
    return json.dumps(settings, sort_keys=True)


def as_options(files):
    """Named files as options of a command: `dwi` becomes --dwi."""
    return " ".join(
        f"--{role.replace('_', '-')} {file}" for role, file in files.items()
    )


def platform_of(wildcards):
    """Platform of a scan whose file name says its session and acquisition."""
    try:
        return PLAN.platform_named(wildcards.session, wildcards.acquisition)
    except InputError as error:
        raise WorkflowError(str(error)) from None


wildcard_constraints:
    subject="[A-Za-z0-9]+",
    session="[A-Za-z0-9]+",
    acquisition="[A-Za-z0-9]+",
    run="[0-9]+",
    scan="scan|rescan|truth",
    platform="|".join(PLAN.platforms),
    target="|".join([*TARGETS, "all"]),
    fold="[0-9]+",
    seed="[0-9]+",
