# Reads: raw scans. Writes: validation_raw.txt, once nothing is wrong with them; bids/, a BIDS
# derivative of the scans that the run uses. Each step in preprocessing/ can be switched off, and
# motion/ records how the head moved.

first = BidsScan(P.bids, "{subject}", "{session}", "{acquisition}")


use rule validate_dataset as validate_dataset_raw with:
    input:
        lambda w: PLAN.raw_scans_to_validate(),
    output:
        P.raw_validation,
    log:
        P.log("validate_dataset_raw", P.raw_validation),
    benchmark:
        P.benchmark("validate_dataset_raw", P.raw_validation)
    params:
        version=PLAN.version("validate_dataset"),
        root=PLAN.data,
        config=as_json(PLAN.validation_settings(raw=True)),


rule denoise:
    input:
        ancient(P.raw_validation),
        dwi=lambda w: PLAN.before_step("denoising", w.subject, w.platform),
        bval=lambda w: PLAN.found(w.subject, w.platform).get("bval", []),
    output:
        temp(P.step("denoising")),
    log:
        P.log("denoise", P.step("denoising")),
    benchmark:
        P.benchmark("denoise", P.step("denoising"))
    conda:
        "../../envs/environment.yaml"
    params:
        version=PLAN.version("denoise"),
    message:
        "Denoise {wildcards.platform} of {wildcards.subject}"
    shell:
        "python -m denoise --dwi {input.dwi} --bval {input.bval} --output {output} &> {log}"


rule remove_ringing:
    input:
        ancient(P.raw_validation),
        dwi=lambda w: PLAN.before_step("ringing", w.subject, w.platform),
        sidecar=lambda w: PLAN.found(w.subject, w.platform).get("sidecar", []),
    output:
        temp(P.step("ringing")),
    log:
        P.log("remove_ringing", P.step("ringing")),
    benchmark:
        P.benchmark("remove_ringing", P.step("ringing"))
    conda:
        "../../envs/environment.yaml"
    params:
        version=PLAN.version("remove_ringing"),
        sidecar=lambda w, input: f"--sidecar {input.sidecar}" if input.sidecar else "",
    message:
        "Remove the ringing from {wildcards.platform} of {wildcards.subject}"
    shell:
        "python -m remove_ringing --dwi {input.dwi} {params.sidecar} --output {output} &> {log}"


rule correct_motion:
    input:
        ancient(P.raw_validation),
        dwi=lambda w: PLAN.before_step("motion", w.subject, w.platform),
        bval=lambda w: PLAN.found(w.subject, w.platform).get("bval", []),
        bvec=lambda w: PLAN.found(w.subject, w.platform).get("bvec", []),
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
    params:
        version=PLAN.version("correct_motion"),
    message:
        "Correct {wildcards.platform} of {wildcards.subject} for motion"
    shell:
        "python -m correct_motion --dwi {input.dwi} --bval {input.bval} --bvec {input.bvec}"
        " --output {output.dwi} --rotated-bval {output.bval} --rotated-bvec {output.bvec}"
        " --motion {output.motion} &> {log}"


rule make_mask:
    input:
        ancient(P.raw_validation),
        dwi=lambda w: PLAN.before_step(None, w.subject, platform_of(w)),
        bval=lambda w: PLAN.found(w.subject, platform_of(w)).get("bval", []),
        given=lambda w: PLAN.found(w.subject, platform_of(w)).get("mask", []),
    output:
        first.mask,
    log:
        P.log("make_mask", first.mask),
    benchmark:
        P.benchmark("make_mask", first.mask)
    conda:
        "../../envs/environment.yaml"
    params:
        version=PLAN.version("make_mask"),
        given=lambda w, input: f"--given {input.given}" if input.given else "",
    message:
        "Find the brain of {wildcards.subject} in {wildcards.session}"
    shell:
        "python -m make_mask --dwi {input.dwi} --bval {input.bval} {params.given}"
        " --output {output} &> {log}"


rule write_scan:
    input:
        ancient(P.raw_validation),
        dwi=lambda w: PLAN.before_step(None, w.subject, platform_of(w)),
        bval=lambda w: PLAN.gradients("bval", w.subject, platform_of(w)),
        bvec=lambda w: PLAN.gradients("bvec", w.subject, platform_of(w)),
        sidecar=lambda w: PLAN.found(w.subject, platform_of(w)).get("sidecar", []),
    output:
        **first.series,
    log:
        P.log("write_scan", first.dwi),
    benchmark:
        P.benchmark("write_scan", first.dwi)
    conda:
        "../../envs/environment.yaml"
    params:
        version=PLAN.version("write_scan"),
        sidecar=lambda w, input: (
            f"--from-sidecar {input.sidecar}" if input.sidecar else ""
        ),
        steps=PLAN.steps,
        files=lambda w, output: as_options(output),
    message:
        "Write {wildcards.session} of {wildcards.subject} as BIDS"
    shell:
        "python -m write_scan --from-dwi {input.dwi} --from-bval {input.bval}"
        " --from-bvec {input.bvec} {params.sidecar} --steps {params.steps} {params.files} &> {log}"
