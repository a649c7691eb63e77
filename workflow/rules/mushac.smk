# Reads: the released tree of the cross-scanner database (Tax 2019). Writes: bids/, a BIDS derivative
# with the scans that the run uses; the logs name the volumes that were dropped.


rule import_scan:
    input:
        unpack(lambda w: SCANS.found(w.subject, platform_of(w))),
    output:
        **first.series,
        mask=first.mask,
    log:
        P.log("import_scan", first.dwi),
    benchmark:
        P.benchmark("import_scan", first.dwi)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("import_scan"),
        contents=lambda w: as_json(SCANS.contents_of_scan(w.subject, platform_of(w))),
        convention=SCANS.convention("raw"),
        released=lambda w, input: as_options({f"from_{k}": v for k, v in input.items()}),
        files=lambda w, output: as_options(output),
    message:
        "Import {wildcards.acquisition} of {wildcards.subject} from {wildcards.session}"
    shell:
        "python -m import_scan {params.released} --convention {params.convention}"
        " --scanner {wildcards.session} {params.files} &> {log:q}"
