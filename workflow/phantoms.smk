# Is the ranking of methods that of one phantom? Each seed of the phantom has a run of its own; then the runs are
# compared.
#
#   snakemake --snakefile workflow/phantoms.smk --cores 2
#   snakemake --snakefile workflow/phantoms.smk --cores 2 --config phantoms='[7, 8]'    # others
#
# Reads: tables/comparisons.csv and tables/claims.csv of runs on several phantoms.
# Writes: results/phantoms/{ranking,declared}.csv and results/phantoms/ranking.{pdf,png}.
import atexit
import sys
from pathlib import Path

ROOT = Path(workflow.basedir).parent
sys.path.insert(0, str(ROOT / "scripts"))

from snakemake.exceptions import WorkflowError

from harmonization.plan.configuration import merge
from harmonization.plan.failures import failures
from harmonization.plan.paths import RunPaths
from harmonization.plan.resources import needs
from harmonization.plan.scheduler import cancel_timers
from harmonization.plan.version import code_version


configfile: f"{ROOT}/config/config.yaml"
configfile: f"{ROOT}/config/phantoms.yaml"


SEEDS = config.pop("phantoms", [2019, 2020, 2021])
if not isinstance(SEEDS, list) or not SEEDS:
    raise WorkflowError(f"phantoms: {SEEDS}: give a list of seeds, such as [7, 8]")
RUNS = {seed: f"{config['run']}_{seed}" for seed in SEEDS}
P = RunPaths("results")
COMPARED = f"{P.results}/phantoms"


def tables(name):
    """A table of every run."""
    return [
        RunPaths(f"results/{run}").table.format(table=name, format="csv")
        for run in RUNS.values()
    ]


rule all:
    default_target: True
    input:
        f"{COMPARED}/ranking.csv",


for seed, run in RUNS.items():
    name_ = f"seed_{seed}"  # snakefmt wants names that end in _
    alias_ = f"{name_}_"

    module:
        name: name_
        snakefile:
            "../Snakefile"
        config:
            merge(config, {"run": run, "dataset": {"seed": seed}})

    use rule * from name_ exclude all as alias_*


rule compare_phantoms:
    input:
        comparisons=tables("comparisons"),
        claims=tables("claims"),
    output:
        ranking=f"{COMPARED}/ranking.csv",
        declared=f"{COMPARED}/declared.csv",
        figure=multiext(f"{COMPARED}/ranking", ".pdf", ".png"),
    log:
        P.log("compare_phantoms", COMPARED),
    benchmark:
        P.benchmark("compare_phantoms", COMPARED)
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(gigabytes=2, minutes=10),
    params:
        version=code_version(ROOT / "scripts", "compare_phantoms"),
        phantoms=list(RUNS),
    message:
        "Compare the phantoms"
    shell:
        "CONSOLE=/dev/fd/3 python -m compare_phantoms --phantoms {params.phantoms}"
        " --comparisons {input.comparisons:q} --claims {input.claims:q}"
        " --ranking {output.ranking:q} --declared {output.declared:q} --figure {output.figure:q} 3>&1 &> {log:q}"


onerror:
    atexit.register(print, failures(log), file=sys.stderr)
    cancel_timers()


onsuccess:
    cancel_timers()
