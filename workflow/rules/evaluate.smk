# Reads: predictions/ and the measured targets in sh/. Writes: evaluation/, the scores and one slice
# of each prediction; metrics.csv, all scores.


# The scans that it reads are inputs of the fold's scoring: one for thousands of jobs to look at.
rule evaluate:
    input:
        unpack(lambda w: PLAN.own_masks(w.method, w.subject)),
        predictions=lambda w: PLAN.predictions_of(w.method, w.fold, w.subject),
        manifest=P.manifest.format(fold="{fold}", selection=""),
        scoring=P.scoring,
    output:
        scores=P.scores,
        slices=expand(P.slice, target=TARGETS, allow_missing=True),
    log:
        P.log("evaluate", P.scores),
    benchmark:
        P.benchmark("evaluate", P.scores)
    wildcard_constraints:
        method=one_of(METHODS),
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=6, minutes=20),
    params:
        version=PLAN.version("evaluate"),
        family=lambda w: METHODS[w.method].family,
        targets=TARGETS,
        seeds=lambda w: PLAN.seeds(w.method),
        against=lambda w: as_options(PLAN.to_score(w.method, w.subject)),
    message:
        "Score {wildcards.method} on {wildcards.subject}, fold {wildcards.fold}"
    shell:
        "python -m evaluate --method {wildcards.method} --family {params.family}"
        " --fold {wildcards.fold} --seed {params.seeds} --subject {wildcards.subject}"
        " --target {params.targets} --prediction {input.predictions:q} {params.against}"
        " --manifest {input.manifest:q} --scoring {input.scoring:q} --output {output.scores:q}"
        " --slice {output.slices:q} &> {log:q}"


rule collect:
    input:
        PLAN.predictions(P.scores),
    output:
        P.metrics,
    log:
        P.log("collect", P.metrics),
    benchmark:
        P.benchmark("collect", P.metrics)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=2, minutes=10),
    params:
        version=PLAN.version("collect"),
        # As functions, for Snakemake would fill in the wildcards of a text.
        scores=lambda w: P.scores,
        models=json.dumps(PLAN.predicted_models()),
        folds=json.dumps(PLAN.test_subjects()),
    message:
        "Join all scores"
    shell:
        "python -m collect --scores {params.scores:q} --models {params.models:q}"
        " --folds {params.folds:q} --output {output:q} &> {log:q}"
