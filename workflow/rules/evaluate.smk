# Reads: predictions/ and the measured targets in sh/. Writes: evaluation/, the scores and one slice
# of each prediction; metrics.csv, all scores.


rule evaluate:
    input:
        unpack(lambda w: PLAN.references(w.subject, w.target)),
        prediction=P.prediction,
        measured=P.sh.format(scan="scan", subject="{subject}", platform="{target}"),
        mask=lambda w: PLAN.masks_to_score(w.method, w.subject, w.target),
        manifest=P.manifest.format(fold="{fold}", selection=""),
        scoring=P.scoring,
    output:
        scores=P.scores,
        slice=P.slice,
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
        references=lambda w: as_options(PLAN.references(w.subject, w.target)),
    message:
        "Score {wildcards.method} on {wildcards.target} of {wildcards.subject}"
    shell:
        "python -m evaluate --method {wildcards.method} --family {params.family}"
        " --target {wildcards.target} --fold {wildcards.fold} --seed {wildcards.seed}"
        " --subject {wildcards.subject} --prediction {input.prediction:q}"
        " --measured {input.measured:q} --mask {input.mask:q} {params.references}"
        " --manifest {input.manifest:q} --scoring {input.scoring:q} --output {output.scores:q}"
        " --slice {output.slice:q} &> {log:q}"


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
