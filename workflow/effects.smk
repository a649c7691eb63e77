# How much of each scanner effect of the phantom does a linear map undo? A run of its own for each
# effect, then a comparison; half an hour on two cores.
#
#   snakemake --snakefile workflow/effects.smk --cores 2
#
# Reads: metrics.csv of runs that differ in their effects. Writes: results/effects.csv.
import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir).parent / "scripts"))

from harmonization.plan.configuration import merge
from harmonization.plan.paths import RunPaths
from harmonization.plan.version import code_version


configfile: f"{workflow.basedir}/../config/config.yaml"


EFFECTS = config["dataset"]["effects"]
STUDIES = {"none": [], **{effect: [effect] for effect in EFFECTS}, "all": EFFECTS}
P = RunPaths("results")
TABLE = f"{P.results}/effects.csv"
METHODS = ["identity", "affine", "ridge"]
# A thin slab, and all targets on the source's grid: it is the effects that are to differ.
CHANGES = {
    "dataset": {"slab": {"centre": 20.0, "thickness": 16.8}},
    "platforms": {"connectom_sa": {"scale": 1}},
    "methods": METHODS,
}


rule all:
    default_target: True
    input:
        TABLE,


for study, effects in STUDIES.items():
    alias_ = f"{study}_"  # snakefmt wants a name that ends in _
    of_study = {"run": f"effect_{study}", "dataset": {"effects": effects}}

    module:
        name: study
        snakefile:
            "../Snakefile"
        config:
            merge(merge(config, CHANGES), of_study)

    use rule * from study exclude all as alias_*


rule compare_effects:
    input:
        [RunPaths(f"results/effect_{study}").metrics for study in STUDIES],
    output:
        TABLE,
    log:
        P.log("compare_effects", TABLE),
    benchmark:
        P.benchmark("compare_effects", TABLE)
    conda:
        "../envs/environment.yaml"
    params:
        version=code_version(
            Path(workflow.basedir).parent / "scripts", "compare_effects"
        ),
        effects=list(STUDIES),
        methods=METHODS,
    message:
        "Compare the effects of the scanners"
    shell:
        "python -m compare_effects --effects {params.effects} --methods {params.methods}"
        " --metrics {input} --output {output} 2>&1 | tee {log}"
