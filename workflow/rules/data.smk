# Reads: what makes or imports the data set (phantom.smk, mushac.smk, raw.smk after openneuro.smk), or a
# data set of the user's. Writes: bids/; and validation.txt, once nothing is wrong with scans that were
# not simulated.

# Of imported data sets: their name, and what is done to them.
IMPORTS = {
    "mushac": (
        "Cross-scanner diffusion MRI database (Tax 2019), imported",
        "Renamed; volumes of other echo or repetition times were dropped",
    ),
    "openneuro": (
        "OpenNeuro {accession} {version}, preprocessed".format(
            **config["dataset"]["openneuro"]
        ),
        ", ".join(STEPS) or "Renamed",
    ),
    "raw": ("Raw data set, preprocessed", ", ".join(STEPS) or "Renamed"),
}


rule validate_dataset:
    input:
        scans_to_validate,
    output:
        P.validation,
    log:
        P.log(P.validation),
    benchmark:
        P.benchmark(P.validation)
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("validate_dataset"),
        root=DATA if KIND == "bids" else P.bids,
        config=lambda w: validation_settings(PLATFORMS, "bids" if IS_RAW else KIND),
    message:
        "Look for what is wrong with {params.root}"
    shell:
        "python -m validate_dataset {params.root} --config {params.config:q}"
        " --output {output} &> {log}"


if KIND == "openneuro":

    include: "openneuro.smk"


if IS_RAW:

    include: "raw.smk"

elif KIND != "bids":

    include: f"{KIND}.smk"


if KIND in IMPORTS:

    rule describe_import:
        output:
            P.dataset_description,
        log:
            P.log(P.dataset_description),
        conda:
            "../../envs/environment.yaml"
        params:
            version=version("describe_import"),
            name=IMPORTS[KIND][0],
            changes=IMPORTS[KIND][1],
        message:
            "Describe the imported data set"
        shell:
            "python -m describe_import --name {params.name:q} --changes {params.changes:q}"
            " --output {output} &> {log}"
