# Reads: the data set that phantom.smk, mushac.smk, openneuro.smk or preprocess.smk makes, or the
# user's own. Writes: bids/; and validation.txt, once nothing is wrong with scans that were not
# simulated.


rule validate_dataset:
    input:
        lambda w: PLAN.scans_to_validate(),
    output:
        P.validation,
    log:
        P.log("validate_dataset", P.validation),
    benchmark:
        P.benchmark("validate_dataset", P.validation)
    conda:
        "../../envs/environment.yaml"
    params:
        version=PLAN.version("validate_dataset"),
        root=PLAN.data if PLAN.kind == "bids" else P.bids,
        config=as_json(PLAN.validation_settings(raw=False)),
    message:
        "Look for what is wrong with {params.root}"
    shell:
        "python -m validate_dataset {params.root} --config {params.config:q}"
        " --output {output} &> {log}"


for rules in PLAN.data_source.rules:

    include: f"{rules}.smk"


if PLAN.data_source.description:

    rule describe_import:
        output:
            P.dataset_description,
        log:
            P.log("describe_import", P.dataset_description),
        benchmark:
            P.benchmark("describe_import", P.dataset_description)
        conda:
            "../../envs/environment.yaml"
        params:
            version=PLAN.version("describe_import"),
            name=PLAN.data_source.description.format(**config["dataset"]["openneuro"]),
            changes=PLAN.changes,
        message:
            "Describe the imported data set"
        shell:
            "python -m describe_import --name {params.name:q} --changes {params.changes:q}"
            " --output {output} &> {log}"
