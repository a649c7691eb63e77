# Reads: the manifest of a fold, and through it the images of its training and validation subjects.
# Writes: models/, the weights, card and history of every method's models; predictions/ of the test
# subjects.


rule train:
    input:
        manifest=P.manifest,
        components=components,
    output:
        weights=P.weights,
        card=P.card,
        history=P.history,
    log:
        P.log(P.model),
    benchmark:
        P.benchmark(P.model)
    wildcard_constraints:
        method=one_of(TRAINED),
    # Before anything short, which then fills the gaps between the long ones.
    priority: 1
    conda:
        "../../envs/environment.yaml"
    resources:
        gpu=1,
    params:
        version=version("fit"),
        settings=lambda w: as_json(fitted_settings(w.method)),
        components=component_folders,
        precision=config["precision"],
        folder=subpath(output.weights, parent=True),
    message:
        "Train {wildcards.method} for {wildcards.target}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "python -m fit --method {wildcards.method} --settings {params.settings:q}"
        " --manifest {input.manifest} --target {wildcards.target} --fold {wildcards.fold}"
        " --seed {wildcards.seed} --components {params.components}"
        " --precision {params.precision} --gpus {resources.gpu}"
        " --output {params.folder} 2>&1 | tee {log}"


# Also methods with nothing to learn: they get a card, and predict like the others.
use rule train as fit with:
    output:
        weights=P.weights,
        card=P.card,
    wildcard_constraints:
        method=one_of(name for name in MODELLED if name not in TRAINED),
    resources:
        gpu=0,
    message:
        "Fit {wildcards.method} for {wildcards.target}, fold {wildcards.fold}"


rule predict:
    input:
        weights=model_of(P.weights),
        card=model_of(P.card),
        source=P.sh.format(scan="scan", subject="{subject}", platform=SOURCE),
        mask=P.sh_mask.format(scan="scan", subject="{subject}", platform=SOURCE),
    output:
        P.prediction if config["keep_predictions"] else temp(P.prediction),
    log:
        P.log(P.prediction),
    benchmark:
        P.benchmark(P.prediction)
    wildcard_constraints:
        method=one_of(MODELLED),
    conda:
        "../../envs/environment.yaml"
    resources:
        gpu=1,
    params:
        version=version("predict"),
        folder=subpath(input.weights, parent=True),
    message:
        "Predict {wildcards.target} of {wildcards.subject} by {wildcards.method}"
    shell:
        "python -m predict --model {params.folder} --source {input.source}"
        " --mask {input.mask} --target {wildcards.target} --gpus {resources.gpu}"
        " --output {output} &> {log}"


# A control that is a scan itself.
rule copy_scan:
    input:
        lambda w: P.sh.format(
            scan=METHODS[w.method]["scan"], subject=w.subject, platform=w.target
        ),
    output:
        P.prediction if config["keep_predictions"] else temp(P.prediction),
    log:
        P.log(P.prediction),
    wildcard_constraints:
        method=one_of(SCANNED),
    conda:
        "../../envs/environment.yaml"
    message:
        "Take the {wildcards.method} of {wildcards.target} of {wildcards.subject}"
    shell:
        "cp {input} {output} &> {log}"
