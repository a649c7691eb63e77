# Reads: the manifest of a fold, and through it the images of its training and validation subjects.
# Writes: models/, the weights, card and history of every method's models; predictions/ of the test
# subjects.


rule fit:
    input:
        manifest=lambda w: P.manifest.format(
            fold=w.fold, selection=PLAN.selection(w.method)
        ),
        components=lambda w: PLAN.model_files(
            P.weights, PLAN.components(w.method, w.target, w.fold, w.seed)
        ),
        matches=lambda w: PLAN.model_files(
            P.card, PLAN.matched(w.method, w.target, w.fold, w.seed)
        ),
        template=lambda w: PLAN.template(w.method, w.fold),
    output:
        weights=P.weights,
        card=P.card,
        history=P.history,
    log:
        P.log("fit", P.model),
    benchmark:
        P.benchmark("fit", P.model)
    wildcard_constraints:
        method=one_of(name for name, method in METHODS.items() if method.is_trained),
    # Fits are long and start first; short jobs then fill the gaps between them.
    priority: 1
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=16, minutes=90),
        gpu=lambda w: gpus(METHODS[w.method].is_trained),
    params:
        version=lambda w: PLAN.version("fit", w.method),
        settings=lambda w: as_json(PLAN.fit_settings(w.method)),
        components=lambda w: PLAN.model_files(
            P.model, PLAN.components(w.method, w.target, w.fold, w.seed)
        ),
        matches=lambda w: PLAN.model_files(
            P.model, PLAN.matched(w.method, w.target, w.fold, w.seed)
        ),
        template=lambda w: " ".join(PLAN.template(w.method, w.fold)),
        seeded_as=lambda w: METHODS[w.method].seeded_as,
        # Only trainings have another.
        precision=lambda w: (
            config["precision"] if METHODS[w.method].is_trained else "float32"
        ),
        folder=subpath(output.weights, parent=True),
        # No output, for Snakemake removes the outputs of a job that failed.
        checkpoints=P.checkpoints,
    message:
        "Fit {wildcards.method} to {wildcards.target}, fold {wildcards.fold}, seed {wildcards.seed}"
    shell:
        "CONSOLE=/dev/fd/3 python -m fit --method {wildcards.method} --settings {params.settings:q}"
        " --manifest {input.manifest:q} --target {wildcards.target} --fold {wildcards.fold}"
        " --seed {wildcards.seed} --seeded-as {params.seeded_as} --components {params.components}"
        " --matches {params.matches}"
        " --template {params.template}"
        " --precision {params.precision} --gpus {resources.gpu}"
        " --output {params.folder:q} --checkpoints {params.checkpoints:q}"
        " --version {params.version} 3>&1 &> {log:q}"


# Without training, on the CPU; a method that learns nothing gets a card, too, and predicts like others.
use rule fit as fit_once with:
    wildcard_constraints:
        method=one_of(
            name
            for name, method in METHODS.items()
            if method.is_model and not method.is_trained
        ),


# Nothing asks for it but `make tune`, on the tuning cohort.
rule tune:
    input:
        manifest=lambda w: P.manifest.format(
            fold=0, selection=PLAN.selection(to_tune(w.method))
        ),
        components=lambda w: PLAN.model_files(
            P.weights, PLAN.components(w.method, PLAN.first_target(w.method), 0, 0)
        ),
        matches=lambda w: PLAN.model_files(
            P.card, PLAN.matched(w.method, PLAN.first_target(w.method), 0, 0)
        ),
    output:
        P.tuning,
    log:
        P.log("tune", P.tuning),
    benchmark:
        P.benchmark("tune", P.tuning)
    wildcard_constraints:
        method="[a-z0-9_]+",
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=8, minutes=120),
        gpu=lambda w: gpus(True),
    params:
        version=lambda w: PLAN.version("tune", w.method),
        settings=lambda w: as_json(PLAN.fit_settings(w.method)),
        target=lambda w: PLAN.first_target(w.method),
        components=lambda w: PLAN.model_files(
            P.model, PLAN.components(w.method, PLAN.first_target(w.method), 0, 0)
        ),
        matches=lambda w: PLAN.model_files(
            P.model, PLAN.matched(w.method, PLAN.first_target(w.method), 0, 0)
        ),
        seeded_as=lambda w: METHODS[w.method].seeded_as,
        precision=config["precision"],
    message:
        "Tune {wildcards.method}"
    shell:
        "CONSOLE=/dev/fd/3 python -m tune --method {wildcards.method} --settings {params.settings:q}"
        " --manifest {input.manifest:q} --target {params.target} --seeded-as {params.seeded_as}"
        " --components {params.components} --matches {params.matches}"
        " --precision {params.precision} --gpus {resources.gpu}"
        " --output {output:q} 3>&1 &> {log:q}"


# All targets and seeds in one job, and on the CPU: starting a job takes longer than a prediction.
rule predict:
    input:
        weights=lambda w: PLAN.models_of(P.weights, w.method, w.fold),
        cards=lambda w: PLAN.models_of(P.card, w.method, w.fold),
        source=lambda w: P.sh.format(
            scan=METHODS[w.method].reads, subject=w.subject, platform=SOURCE
        ),
        mask=P.sh_mask.format(scan="scan", subject="{subject}", platform=SOURCE),
    output:
        predictions(range(config["cross_validation"]["seeds"])),
    log:
        P.log("predict", P.predictions),
    benchmark:
        P.benchmark("predict", P.predictions)
    wildcard_constraints:
        method=one_of(name for name, method in METHODS.items() if method.is_trained),
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=6, minutes=30),
    params:
        version=lambda w: PLAN.version("predict", w.method),
        folders=lambda w: PLAN.models_of(P.model, w.method, w.fold),
        targets=lambda w: TARGETS * len(PLAN.seeds(w.method)),
    message:
        "Predict {wildcards.subject} by {wildcards.method}, fold {wildcards.fold}"
    shell:
        "python -m predict --source {input.source:q} --mask {input.mask:q}"
        " --target {params.targets} --model {params.folders} --output {output:q} &> {log:q}"


# Without training there is nothing random, so there is one seed.
use rule predict as predict_once with:
    output:
        predictions([0]),
    log:
        P.log("predict_once", P.predictions),
    benchmark:
        P.benchmark("predict_once", P.predictions)
    wildcard_constraints:
        method=one_of(
            name
            for name, method in METHODS.items()
            if method.is_model and not method.is_trained
        ),


# A control that is itself a scan.
rule copy_scan:
    input:
        lambda w: P.sh.format(
            scan=METHODS[w.method].scan, subject=w.subject, platform=w.target
        ),
    output:
        P.prediction if config["keep_predictions"] else temp(P.prediction),
    log:
        P.log("copy_scan", P.prediction),
    benchmark:
        P.benchmark("copy_scan", P.prediction)
    wildcard_constraints:
        method=one_of(name for name, method in METHODS.items() if method.scan),
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=1, minutes=5),
    message:
        "Take the {wildcards.method} of {wildcards.target} of {wildcards.subject}"
    shell:
        "cp {input:q} {output:q} &> {log:q}"
