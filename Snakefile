# Multi-Stage Prediction Networks for Data Harmonization (MICCAI 2019), from scans to tables.
#
#   snakemake --cores 2                                       the embedded run
#   snakemake --configfile config/phantom.yaml --cores N      the full synthetic run
#
# config/README.md explains every key.
from snakemake.utils import min_version

min_version("9.0")


configfile: f"{workflow.basedir}/config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/preprocess.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/paper.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        P.config,
        P.dataset_description if SIMULATED else P.validation,
        fitted_models(),
        P.metrics,
        expand(P.table, table="patch_mse", format=["csv", "tex", "html"]),
        expand(P.table, table="registration", format=["csv", "html"]),
        expand(
            P.figure,
            figure=[
                "platforms",
                *(["learning_curves"] if TRAINED else []),
                *expand("errors_{t}", t=TARGETS),
                *expand("registration_{s}", s=SUBJECTS),
            ],
            format=["pdf", "png"],
        ),


onsuccess:
    print(f"Tables:  {P.results}/tables\nFigures: {P.results}/figures")
