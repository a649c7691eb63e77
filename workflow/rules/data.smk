# Reads: the data set that phantom.smk, mushac.smk, openneuro.smk or preprocess.smk makes, or the
# user's own. Writes: bids/; validated/, the gradients and mask of each scan that was not simulated,
# in one form, once nothing is wrong with it; validation.txt, once nothing is wrong with any; denoised/,
# series with less noise, as long as something reads them.

# A scan that is neither a repeat nor without its noise, for all rules that write bids/.
first = BidsScan(P.bids, "{subject}", "{session}", "{acquisition}")


# All later steps read what this writes, so that a change of a user's file reaches them all. It
# starts first: nothing expensive should precede what may stop the run.
rule validate_scan:
    input:
        unpack(lambda w: SCANS.given_scan(w.subject, w.platform)),
    output:
        **SCANS.validated(),
    log:
        P.log("validate_scan", P.valid("report")),
    benchmark:
        P.benchmark("validate_scan", P.valid("report"))
    priority: 3
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("validate_scan"),
        # A function of the wildcards alone: Snakemake compares no parameter made from inputs.
        contents=lambda w: as_json(
            SCANS.contents_of_scan(w.subject, w.platform)
            if SCANS.kind == "bids"
            else {}
        ),
        convention=SCANS.convention(),
        files=lambda w, input, output: as_options(input, output),
    message:
        "Look for what is wrong with {wildcards.platform} of {wildcards.subject}"
    shell:
        "python -m validate_scan {params.files} --platform {wildcards.platform}"
        " --convention {params.convention} &> {log:q}"


rule validate_dataset:
    input:
        reports=SCANS.reports(),
        description=SCANS.description(),
    output:
        P.validation,
    log:
        P.log("validate_dataset", P.validation),
    benchmark:
        P.benchmark("validate_dataset", P.validation)
    priority: 3
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=1, minutes=10),
    params:
        version=PLAN.version("validate_dataset"),
        contents=as_json(SCANS.contents_of_description()),
        root=P.bids if SCANS.kind == "mushac" else SCANS.data,
        config=as_json(SCANS.validation_settings()),
    message:
        "Look for what is wrong with {params.root}"
    shell:
        "python -m validate_dataset {params.root:q} --config {params.config:q}"
        " --reports {input.reports:q} --output {output:q} &> {log:q}"


# Only for scans that the run denoises, or the source's for the control `denoised`.
rule denoise:
    input:
        dwi=lambda w: SCANS.original_scan(w.subject, w.platform, w.scan).dwi,
        bval=lambda w: SCANS.original_scan(w.subject, w.platform, w.scan).bval,
        report=lambda w: SCANS.report(w.subject, w.platform),
    output:
        temp(P.denoised),
    log:
        P.log("denoise", P.denoised),
    benchmark:
        P.benchmark("denoise", P.denoised)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=6, minutes=60),
    params:
        version=PLAN.version("denoise"),
    message:
        "Denoise {wildcards.platform} of {wildcards.subject}"
    shell:
        "python -m denoise --dwi {input.dwi:q} --bval {input.bval:q} --output {output:q} &> {log:q}"


for rules in SCANS.data_source.rules:

    include: f"{rules}.smk"


if SCANS.data_source.description:

    rule describe_import:
        output:
            P.dataset_description,
        log:
            P.log("describe_import", P.dataset_description),
        benchmark:
            P.benchmark("describe_import", P.dataset_description)
        conda:
            "../../envs/environment.yaml"
        resources:
            **needs(gigabytes=1, minutes=5),
        params:
            version=PLAN.version("describe_import"),
            name=SCANS.data_source.description.format(**config["dataset"]["openneuro"]),
            changes=SCANS.changes,
        message:
            "Describe the imported data set"
        shell:
            "python -m describe_import --name {params.name:q} --changes {params.changes:q}"
            " --output {output:q} &> {log:q}"
