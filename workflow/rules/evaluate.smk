# Reads: predictions/ and the measured targets in sh/. Writes: evaluation/, the scores and the slice
# of each prediction; metrics.csv, all scores.


rule evaluate:
    input:
        unpack(references),
        prediction=P.prediction,
        measured=P.sh.format(scan="scan", subject="{subject}", platform="{target}"),
        mask=brains_to_score,
        manifest=P.manifest,
    output:
        scores=P.scores,
        slice=P.slice,
    log:
        P.log(P.scores),
    benchmark:
        P.benchmark(P.scores)
    wildcard_constraints:
        method="|".join(METHODS),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("evaluate"),
        family=lambda w: METHODS[w.method]["family"],
        references=lambda w: options(references(w)),
    message:
        "Score {wildcards.method} on {wildcards.target} of {wildcards.subject}"
    shell:
        "python -m evaluate --method {wildcards.method} --family {params.family}"
        " --target {wildcards.target} --fold {wildcards.fold} --seed {wildcards.seed}"
        " --subject {wildcards.subject} --prediction {input.prediction}"
        " --measured {input.measured} --mask {input.mask} {params.references}"
        " --manifest {input.manifest} --output {output.scores}"
        " --slice {output.slice} &> {log}"


rule collect:
    input:
        predicted(P.scores),
    output:
        P.metrics,
    log:
        P.log(P.metrics),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("collect"),
    message:
        "Join all scores"
    shell:
        "python -m collect {input} --output {output} &> {log}"
