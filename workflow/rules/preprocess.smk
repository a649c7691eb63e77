# Reads: raw scans. Writes: validated/raw/, what the steps read of each scan besides its series; bids/,
# a BIDS derivative of the scans that the run uses. Each step in preprocessing/ can be switched off,
# and motion/ records how the head moved. The validation's report is an input of every step: it holds the
# content of the series, and Snakemake would miss an older one in the place of another.


use rule validate_scan as validate_scan_raw with:
    input:
        unpack(lambda w: SCANS.found(w.subject, w.platform)),
    output:
        **SCANS.validated("raw"),
    log:
        P.log("validate_scan_raw", P.valid("report", "raw")),
    benchmark:
        P.benchmark("validate_scan_raw", P.valid("report", "raw"))
    params:
        contents=lambda w: as_json(SCANS.contents_of_scan(w.subject, w.platform)),
        convention=SCANS.convention("raw"),
    message:
        "Look for what is wrong with the raw {wildcards.platform} of {wildcards.subject}"


use rule denoise as denoise_raw with:
    input:
        dwi=lambda w: SCANS.before_step("denoising", w.subject, w.platform),
        bval=P.valid("bval", "raw"),
        report=P.valid("report", "raw"),
    output:
        temp(P.step("denoising")),
    log:
        P.log("denoise_raw", P.step("denoising")),
    benchmark:
        P.benchmark("denoise_raw", P.step("denoising"))
    message:
        "Denoise the raw {wildcards.platform} of {wildcards.subject}"


rule remove_ringing:
    input:
        dwi=lambda w: SCANS.before_step("ringing", w.subject, w.platform),
        sidecar=P.valid("sidecar", "raw"),
        report=P.valid("report", "raw"),
    output:
        temp(P.step("ringing")),
    log:
        P.log("remove_ringing", P.step("ringing")),
    benchmark:
        P.benchmark("remove_ringing", P.step("ringing"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=60),
    params:
        version=PLAN.version("remove_ringing"),
    message:
        "Remove the ringing from {wildcards.platform} of {wildcards.subject}"
    shell:
        "python -m remove_ringing --dwi {input.dwi:q} --sidecar {input.sidecar:q} --output {output:q} &> {log:q}"


rule correct_motion:
    input:
        dwi=lambda w: SCANS.before_step("motion", w.subject, w.platform),
        bval=P.valid("bval", "raw"),
        bvec=P.valid("bvec", "raw"),
        report=P.valid("report", "raw"),
    output:
        dwi=temp(P.step("motion")),
        bval=temp(P.step("motion", "bval")),
        bvec=temp(P.step("motion", "bvec")),
        motion=P.step("motion", "tsv"),
    log:
        P.log("correct_motion", P.step("motion")),
    benchmark:
        P.benchmark("correct_motion", P.step("motion"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=6, minutes=60),
    params:
        version=PLAN.version("correct_motion"),
    message:
        "Correct {wildcards.platform} of {wildcards.subject} for motion"
    shell:
        "python -m correct_motion --dwi {input.dwi:q} --bval {input.bval:q} --bvec {input.bvec:q}"
        " --output {output.dwi:q} --rotated-bval {output.bval:q} --rotated-bvec {output.bvec:q}"
        " --motion {output.motion:q} &> {log:q}"


rule make_mask:
    input:
        dwi=lambda w: SCANS.before_step(None, w.subject, platform_of(w)),
        bval=lambda w: of_platform(P.valid("bval", "raw"), w),
        given=lambda w: (
            []
            if config["preprocessing"]["mask"]
            else of_platform(P.valid("mask", "raw"), w)
        ),
        report=lambda w: of_platform(P.valid("report", "raw"), w),
    output:
        first.mask,
    log:
        P.log("make_mask", first.mask),
    benchmark:
        P.benchmark("make_mask", first.mask)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("make_mask"),
        given=lambda w, input: f"--given {quote(input.given)}" if input.given else "",
    message:
        "Find the brain of {wildcards.subject} in {wildcards.session}"
    shell:
        "python -m make_mask --dwi {input.dwi:q} --bval {input.bval:q} {params.given}"
        " --output {output:q} &> {log:q}"


rule write_scan:
    input:
        dwi=lambda w: SCANS.before_step(None, w.subject, platform_of(w)),
        bval=lambda w: of_platform(SCANS.gradients("bval"), w),
        bvec=lambda w: of_platform(SCANS.gradients("bvec"), w),
        sidecar=lambda w: of_platform(P.valid("sidecar", "raw"), w),
        report=lambda w: of_platform(P.valid("report", "raw"), w),
    output:
        **first.series,
    log:
        P.log("write_scan", first.dwi),
    benchmark:
        P.benchmark("write_scan", first.dwi)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("write_scan"),
        steps=lambda w: SCANS.steps(platform_of(w)),
        files=lambda w, output: as_options(output),
    message:
        "Write {wildcards.session} of {wildcards.subject} as BIDS"
    shell:
        "python -m write_scan --from-dwi {input.dwi:q} --from-bval {input.bval:q}"
        " --from-bvec {input.bvec:q} --from-sidecar {input.sidecar:q} --steps {params.steps} {params.files} &> {log:q}"
