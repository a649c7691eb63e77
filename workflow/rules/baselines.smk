# Baselines with rules of their own, each a module from its folder in workflow/baselines/. They read
# what `fit` and `predict` read, and write what `predict` writes; their rules are named after them.
for name in PLAN.baselines:
    BASELINE = f"{name}_"

    module:
        name: BASELINE
        snakefile:
            str(PLAN.baselines[name] / "Snakefile")
        config:
            PLAN.baseline_config(name)

    use rule * from BASELINE as BASELINE*
