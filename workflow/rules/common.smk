# What the rules share: the environment of the jobs, the plan of the run, and wildcard constraints.
import gc
import json
import os
import sys
from pathlib import Path
from shlex import quote

ROOT = Path(str(workflow.current_basedir)).parents[1]
if not (ROOT / "scripts").is_dir():
    sys.exit(
        f"error: {ROOT}: the workflow needs its scripts/ beside its Snakefile; clone the repository "
        "and give its Snakefile's path to 'module'"
    )
sys.path.insert(0, str(ROOT / "scripts"))

from snakemake.exceptions import WorkflowError

from harmonization.files import InputError
from harmonization.plan.configuration import with_origin, with_own_platforms
from harmonization.plan.ending import end_run
from harmonization.plan.failures import failures
from harmonization.plan.machine import unused_gpus
from harmonization.plan.paths import BidsScan, expand_models
from harmonization.plan.plan import SELECTIONS, Plan
from harmonization.plan.presentation import Presentation
from harmonization.plan.resources import needs
from harmonization.plan.scheduler import cancel_timers

# Python would look for garbage among thousands of jobs, over and over: a sixth of a dry run's time.
gc.set_threshold(100_000, 50, 100)

# One pinned environment runs everything, so jobs use the Python that runs Snakemake. They find the
# commands as modules from any working directory, and nothing in that directory can replace them.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]),
    PYTHONPATH=str(ROOT / "scripts"),
    PYTHONSAFEPATH="1",
    MPLBACKEND="Agg",  # a notebook's own would ask for a window
    ITABLES_CONFIG="",  # a user's own would change the page
)
# Compiled code is kept where Snakemake keeps its own state, as scripts/ and the home may be read-only.
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(".snakemake/numba").resolve()))

# What the command line gives; a workflow that uses this one as a module gives it all.
given = (
    config
    if workflow.modifier.skip_configfile
    else workflow.config_settings.overwrite_config
)

try:
    PLAN = Plan(with_own_platforms(config, given), ROOT)
except InputError as error:
    # Snakemake would put the line of this file before it, and its own after it.
    sys.exit(
        "\n".join(
            f"error: {line}" for line in with_origin(str(error), given).splitlines()
        )
    )

for line in PLAN.notes():
    print(line, file=sys.stderr)

config.update(PLAN.config)
P = PLAN.paths
SCANS = PLAN.scans
SOURCE, TARGETS, METHODS = PLAN.source, PLAN.targets, PLAN.methods


def one_of(names):
    """Constraint of a wildcard to names; it fits nothing if there are none."""
    return "|".join(names) or "(?!)"


def as_json(settings):
    """Settings as a command's argument, sorted: their order means nothing, so it re-runs nothing."""
    return json.dumps(settings, sort_keys=True)


def as_options(*mappings):
    """Named values, or lists of them, as options of a command: `dwi` becomes --dwi."""
    words = {
        name: [value] if isinstance(value, str) else value
        for values in mappings
        for name, value in values.items()
    }
    return " ".join(
        f"--{name.replace('_', '-')} {' '.join(map(quote, listed))}"
        for name, listed in words.items()
    )


def platform_of(wildcards):
    """Platform of a scan whose file name says its session and acquisition."""
    try:
        return SCANS.platform_named(wildcards.session, wildcards.acquisition)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def gpus(trained):
    """GPUs that a job asks for: on this machine only if --resources gpu=N lends N of them."""
    elsewhere = workflow.remote_exec or not workflow.local_exec
    return int(trained and (elsewhere or "gpu" in workflow.global_resources))


def predictions(seeds):
    """Predictions of every target by these seeds, removed after their scoring if a run says so."""
    files = expand(P.prediction, seed=seeds, target=TARGETS, allow_missing=True)
    return files if config["keep_predictions"] else temp(files)


def of_platform(pattern, wildcards):
    """File of a scan, whose name says its platform, for a job whose wildcards say its session."""
    return pattern.format(subject=wildcards.subject, platform=platform_of(wildcards))


def to_tune(method):
    """A method that `make tune` names, if it is one of the run and trained."""
    if method in METHODS and METHODS[method].is_trained:
        return method
    known = "is not trained" if method in METHODS else "is no method of this run"
    sys.exit(f"error: {method} {known}; tune one that is trained")


wildcard_constraints:
    subject="[A-Za-z0-9]+",
    session="[A-Za-z0-9]+",
    acquisition="[A-Za-z0-9]+",
    run="[0-9]+",
    scan="scan|rescan|truth|denoised",
    platform="|".join(SCANS.platforms),
    target="|".join([*TARGETS, "all"]),
    fold="[0-9]+",
    seed="[0-9]+",
    selection="|".join(SELECTIONS),
