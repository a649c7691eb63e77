# Reads: what makes or imports the data set (phantom.smk, mushac.smk), or a data set of the user's.
# Writes: bids/; and validation.txt, once nothing is wrong with scans that were not simulated.

if KIND != "bids":

    include: f"{KIND}.smk"


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
        config=as_json(
            {
                key: config[key]
                for key in (
                    "dataset",
                    "platforms",
                    "source",
                    "targets",
                    "spherical_harmonics",
                    "cross_validation",
                )
            }
        ),
    message:
        "Look for what is wrong with {params.root}"
    shell:
        "python -m validate_dataset {params.root} --config {params.config:q}"
        " --output {output} &> {log}"
