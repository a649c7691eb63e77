# Is the ranking of methods that of one phantom? Each seed of the phantom has a run of its own; then the runs are
# compared.
#
#   snakemake --snakefile workflow/phantoms.smk --cores 2
#   snakemake --snakefile workflow/phantoms.smk --cores 2 --config phantoms='[7, 8]'    # others
#
# Reads: tables/comparisons.csv and tables/claims.csv of runs on several phantoms.
# Writes: results/phantoms/{ranking,declared}.csv and results/phantoms/ranking.{pdf,png}.
import sys
from pathlib import Path

ROOT = Path(workflow.basedir).parent
sys.path.insert(0, str(ROOT / "scripts"))

from harmonization.plan.paths import RunPaths
from harmonization.plan.resources import needs
from harmonization.plan.version import code_version


configfile: f"{ROOT}/config/config.yaml"
configfile: f"{ROOT}/config/phantoms.yaml"


SEEDS = config.pop("phantoms", [2019, 2020, 2021])
if not isinstance(SEEDS, list) or not SEEDS or len(set(map(str, SEEDS))) < len(SEEDS):
    sys.exit(
        f"error: phantoms: {SEEDS}: give a list of different seeds, such as [7, 8]"
    )
RUNS = {f"seed_{seed}": {"dataset": {"seed": seed}} for seed in SEEDS}
P = RunPaths("results")
COMPARED = f"{P.results}/phantoms"


include: "rules/runs.smk"


rule all:
    default_target: True
    input:
        CONFIGS,
        f"{COMPARED}/ranking.csv",


def tables(name):
    """A table of every run."""
    return [
        paths.table.format(table=name, format="csv") for paths in RUN_PATHS.values()
    ]


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
        phantoms=SEEDS,
    message:
        "Compare the phantoms"
    shell:
        "CONSOLE=/dev/fd/3 python -m compare_phantoms --phantoms {params.phantoms}"
        " --comparisons {input.comparisons:q} --claims {input.claims:q}"
        " --ranking {output.ranking:q} --declared {output.declared:q} --figure {output.figure:q} 3>&1 &> {log:q}"
