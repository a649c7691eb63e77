# How much of each scanner effect of the phantom does a linear map undo? Each effect has a run of its
# own; then the runs are compared. Half an hour on two cores.
#
#   snakemake --snakefile workflow/effects.smk --cores 2
#
# Reads: metrics.csv of runs that differ in their effects. Writes: results/effects.csv.
import sys
from pathlib import Path

ROOT = Path(workflow.basedir).parent
sys.path.insert(0, str(ROOT / "scripts"))

from harmonization.plan.methods import FAMILIES
from harmonization.plan.paths import RunPaths
from harmonization.plan.resources import needs
from harmonization.plan.version import code_version


configfile: f"{ROOT}/config/config.yaml"
configfile: f"{ROOT}/config/effects.yaml"


if families := [name for name in config["methods"] if name in FAMILIES]:
    sys.exit(
        f"error: methods: {', '.join(families)}: name single methods, whose effects are compared"
    )
EFFECTS = config["dataset"]["effects"]
STUDIES = {"none": [], **{effect: [effect] for effect in EFFECTS}, "all": EFFECTS}
RUNS = {study: {"dataset": {"effects": effects}} for study, effects in STUDIES.items()}
P = RunPaths("results")
TABLE = f"{P.results}/effects.csv"


include: "rules/runs.smk"


rule all:
    default_target: True
    input:
        CONFIGS,
        TABLE,


rule compare_effects:
    input:
        [paths.metrics for paths in RUN_PATHS.values()],
    output:
        TABLE,
    log:
        P.log("compare_effects", TABLE),
    benchmark:
        P.benchmark("compare_effects", TABLE)
    conda:
        "../envs/environment.yaml"
    resources:
        **needs(gigabytes=2, minutes=10),
    params:
        version=code_version(ROOT / "scripts", "compare_effects"),
        effects=list(RUNS),
        methods=config["methods"],
    message:
        "Compare the effects of the scanners"
    shell:
        "CONSOLE=/dev/fd/3 python -m compare_effects --effects {params.effects} --methods {params.methods}"
        " --metrics {input:q} --output {output:q} 3>&1 &> {log:q}"
