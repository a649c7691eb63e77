# Reads: sh/. Writes: splits/, the manifest of each fold.


rule split:
    input:
        lambda w: PLAN.training_images(w.fold),
    output:
        P.manifest,
    log:
        P.log("split", P.manifest),
    benchmark:
        P.benchmark("split", P.manifest)
    conda:
        "../../envs/environment.yaml"
    params:
        version=PLAN.version("split"),
        parts=lambda w: as_json(PLAN.parts(w.fold)),
        scales=as_json(PLAN.scales),
        lattice=as_json(config["patches"]),
        source=SOURCE,
        results=subpath(output[0], ancestor=2),
    message:
        "Write the manifest of fold {wildcards.fold}"
    shell:
        "python -m split --results {params.results} --parts {params.parts:q}"
        " --source {params.source} --scales {params.scales:q} --lattice {params.lattice:q}"
        " --output {output} &> {log}"
