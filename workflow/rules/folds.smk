# Reads: sh/. Writes: splits/, the manifest of each fold, from which methods learn, and the patches
# that count of its test subject, which only the evaluation reads; template/, a common space of a
# fold's training subjects.


# A control that selects on its test subject gets a manifest of its own, which says so in its name;
# so does what reads denoised sources.
rule split:
    input:
        lambda w: PLAN.training_images(w.fold, *SELECTIONS[w.selection]),
    output:
        P.manifest,
    log:
        P.log("split", P.manifest),
    benchmark:
        P.benchmark("split", P.manifest)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=8, minutes=20),
    params:
        version=PLAN.version("split"),
        parts=lambda w: as_json(PLAN.parts(w.fold, SELECTIONS[w.selection][0])),
        reads=lambda w: SELECTIONS[w.selection][1],
        denoised=lambda w: (
            "--denoised" if SCANS.reads_denoised(SELECTIONS[w.selection][1]) else ""
        ),
        scales=as_json(PLAN.scales),
        lattice=as_json(config["patches"]),
        limit=lambda w: as_options(PLAN.patches_to_draw(w.fold)),
        source=SOURCE,
        results=subpath(output[0], ancestor=2),
    message:
        "Write the manifest of fold {wildcards.fold}{wildcards.selection}"
    shell:
        "python -m split --results {params.results:q} --parts {params.parts:q}"
        " --source {params.source} --reads {params.reads} {params.denoised} {params.limit}"
        " --scales {params.scales:q} --lattice {params.lattice:q} --output {output:q} &> {log:q}"


# Before any fit: a subject without patches to score stops the run.
rule split_scoring:
    input:
        # Their checksums are written, so that evaluations follow them.
        references=lambda w: PLAN.test_references(w.fold),
        masks=lambda w: PLAN.test_masks(w.fold),
    output:
        P.scoring,
    log:
        P.log("split_scoring", P.scoring),
    benchmark:
        P.benchmark("split_scoring", P.scoring)
    priority: 2
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=2, minutes=10),
    params:
        version=PLAN.version("split_scoring"),
        subjects=lambda w: PLAN.parts(w.fold)["test"],
        targets=TARGETS,
        scales=as_json(PLAN.scales),
        lattice=as_json(config["patches"]),
    message:
        "Count the patches to score in fold {wildcards.fold}"
    shell:
        "python -m split_scoring --subjects {params.subjects} --targets {params.targets}"
        " --masks {input.masks:q} --references {input.references:q} --scales {params.scales:q}"
        " --lattice {params.lattice:q} --output {output:q} &> {log:q}"


# A common space for the methods that need one, from the sources of the training subjects.
rule build_template:
    input:
        P.manifest,
    output:
        P.template,
    log:
        P.log("build_template", P.template),
    benchmark:
        P.benchmark("build_template", P.template)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=8, minutes=120),
    params:
        version=PLAN.version("build_template"),
    message:
        "Build the template of fold {wildcards.fold}{wildcards.selection}"
    shell:
        "python -m build_template --manifest {input:q} --output {output:q} &> {log:q}"


rule warp_to_template:
    input:
        manifest=P.manifest,
        template=P.template,
    output:
        to_head=P.to_head,
        to_template=P.to_template,
    log:
        P.log("warp_to_template", P.to_head),
    benchmark:
        P.benchmark("warp_to_template", P.to_head)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=8, minutes=60),
    params:
        version=PLAN.version("warp_to_template"),
    message:
        "Warp {wildcards.subject} to the template of fold {wildcards.fold}{wildcards.selection}"
    shell:
        "python -m warp_to_template --manifest {input.manifest:q} --subject {wildcards.subject}"
        " --template {input.template:q} --to-head {output.to_head:q}"
        " --to-template {output.to_template:q} &> {log:q}"
