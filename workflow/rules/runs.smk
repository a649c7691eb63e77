# Several runs of this workflow in one DAG, for a workflow that compares them: it sets RUNS, the names of the runs and
# what each of them changes in the configuration.
import atexit
import sys

from harmonization.plan.configuration import merge
from harmonization.plan.ending import end_run
from harmonization.plan.failures import failures
from harmonization.plan.scheduler import cancel_timers

RUN_PATHS = {name: RunPaths(f"results/{config['run']}_{name}") for name in RUNS}
# What a call ends with, beside the comparison: they tell that a run is whole, and its provenance goes with them.
CONFIGS = [paths.config for paths in RUN_PATHS.values()]

for run, changes in RUNS.items():
    alias_ = f"{run}_"  # snakefmt wants a name that ends in _

    module:
        name: run
        snakefile:
            "../../Snakefile"
        config:
            merge(config, {"run": f"{config['run']}_{run}"} | changes)

    use rule * from run exclude all as alias_*


onerror:
    atexit.register(print, failures(log), file=sys.stderr)
    cancel_timers()


onsuccess:
    cancel_timers()
    for paths in RUN_PATHS.values():
        end_run(paths, ROOT)
