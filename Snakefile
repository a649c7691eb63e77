# Multi-Stage Prediction Networks for Data Harmonization (MICCAI 2019), from scans to tables.
#
#   snakemake --cores 2                                       the embedded run
#   snakemake --configfile config/phantom.yaml --cores N      the full synthetic run
#
# config/README.md explains every key.
import atexit

from snakemake.utils import min_version

min_version("9.0")


configfile: f"{workflow.basedir}/config/config.yaml"


include: "workflow/rules/common.smk"
# Scans are made or imported, and validated.
include: "workflow/rules/data.smk"
# Target scans are registered to their subject's source, and all scans become coefficients.
include: "workflow/rules/images.smk"
# Subjects are split into folds; methods learn from a fold and predict its test subject.
include: "workflow/rules/folds.smk"
include: "workflow/rules/methods.smk"
include: "workflow/rules/baselines.smk"
# Predictions are scored, and scores become the paper's table and figures.
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report_files.smk"
include: "workflow/rules/report.smk"


report: "workflow/report/workflow.rst"


# Figures: scores, platforms, networks, registrations, trainings, branches, errors.
COMPARISON = [
    *expand(
        P.table,
        table=["patch_mse", "claims", "comparisons", "ablations", "settings"],
        format=["csv", "tex", "html"],
    ),
    *expand(
        P.table,
        table=["regions", "features", "preservation", "registration"],
        format=["csv", "html"],
    ),
    *expand(
        P.figure,
        figure=[
            *("improvements", "regions", "cost"),
            *("platforms", "patches", "architecture"),
            *(f"registration_{subject}" for subject in SCANS.subjects),
            *(["learning_curves"] if TRAINED else []),
            *(["branches"] if BRANCHED else []),
            *(
                f"{kind}_{target}"
                for kind in ("errors", "glyphs")
                for target in TARGETS
            ),
        ],
        format=["pdf", "png"],
    ),
]
# Errors averaged over folds that learn from more and from less would say nothing.
LIMITED_DATA = [
    *expand(P.table, table="limited_data", format=["csv", "html"]),
    *expand(P.figure, figure="limited_data", format=["pdf", "png"]),
]
# What the page of the run shows, too.
SHOWN = [
    *(LIMITED_DATA if PLAN.limits else COMPARISON),
    *expand(P.table, table="about", format=["csv", "html"]),
    *expand(P.table, table=["methods", "runtime"], format=["csv", "tex", "html"]),
]


rule all:
    default_target: True
    input:
        # The data set, and the configuration of the run.
        SCANS.data_set(),
        P.config,
        # Every model: a deleted one is fitted again.
        expand_models(P.weights, MODELS, PLAN.test_subjects()),
        PLAN.baseline_files(),
        # The predictions, if they are kept.
        PLAN.predictions(P.prediction) if config["keep_predictions"] else [],
        P.metrics,
        P.references,
        SHOWN,
        P.page,


onstart:
    if hint := unused_gpus(lent=gpus(True)):
        print(hint, file=sys.stderr)


onsuccess:
    cancel_timers()
    end_run(P, ROOT)
    # A call for single files may have made none of them.
    for shown, path in (
        ("Tables: ", f"{P.results}/tables"),
        ("Figures:", f"{P.results}/figures"),
        ("Page:   ", P.page),
    ):
        if os.path.exists(path):
            print(shown, path)


# The very last thing on the console, whatever Snakemake still has to say.
onerror:
    cancel_timers()
    atexit.register(print, failures(log), file=sys.stderr)
