# Reads: raw scans. Writes: validation_raw.txt, once nothing is wrong with them; bids/, a BIDS derivative
# of the scans that the run uses. Each of the steps in preprocessing/ can be switched off, and motion/
# keeps how the head moved.

first = Scan(P.bids, "{subject}", "{session}", "{acquisition}")


use rule validate_dataset as validate_raw with:
    input:
        raw_scans_to_validate,
    output:
        P.raw_validation,
    log:
        P.log(P.raw_validation),
    benchmark:
        P.benchmark(P.raw_validation)
    params:
        version=version("validate_dataset"),
        root=DATA,
        config=validation_settings(RAW_PLATFORMS, KIND),


rule denoise:
    input:
        ancient(P.raw_validation),
        dwi=before("denoising"),
        bval=raw_file("bval"),
    output:
        temp(P.step("denoising")),
    log:
        P.log(P.step("denoising")),
    benchmark:
        P.benchmark(P.step("denoising"))
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("denoise"),
    message:
        "Denoise {wildcards.platform} of {wildcards.subject}"
    shell:
        "python -m denoise --dwi {input.dwi} --bval {input.bval} --output {output} &> {log}"


rule remove_ringing:
    input:
        ancient(P.raw_validation),
        dwi=before("ringing"),
        sidecar=raw_file("sidecar"),
    output:
        temp(P.step("ringing")),
    log:
        P.log(P.step("ringing")),
    benchmark:
        P.benchmark(P.step("ringing"))
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("remove_ringing"),
        sidecar=lambda w, input: f"--sidecar {input.sidecar}" if input.sidecar else "",
    message:
        "Remove the ringing from {wildcards.platform} of {wildcards.subject}"
    shell:
        "python -m remove_ringing --dwi {input.dwi} {params.sidecar} --output {output} &> {log}"


rule correct_motion:
    input:
        ancient(P.raw_validation),
        dwi=before("motion"),
        bval=raw_file("bval"),
        bvec=raw_file("bvec"),
    output:
        dwi=temp(P.step("motion")),
        bval=temp(P.step("motion", "bval")),
        bvec=temp(P.step("motion", "bvec")),
        motion=P.step("motion", "tsv"),
    log:
        P.log(P.step("motion")),
    benchmark:
        P.benchmark(P.step("motion"))
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("correct_motion"),
    message:
        "Correct {wildcards.platform} of {wildcards.subject} for motion"
    shell:
        "python -m correct_motion --dwi {input.dwi} --bval {input.bval} --bvec {input.bvec}"
        " --output {output.dwi} --rotated-bval {output.bval} --rotated-bvec {output.bvec}"
        " --motion {output.motion} &> {log}"


rule make_mask:
    input:
        ancient(P.raw_validation),
        dwi=before(None),
        bval=raw_file("bval"),
        given=given_mask,
    output:
        first.mask,
    log:
        P.log(first.mask),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("make_mask"),
        given=lambda w, input: f"--given {input.given}" if input.given else "",
    message:
        "Find the brain of {wildcards.subject} in {wildcards.session}"
    shell:
        "python -m make_mask --dwi {input.dwi} --bval {input.bval} {params.given}"
        " --output {output} &> {log}"


rule write_scan:
    input:
        ancient(P.raw_validation),
        dwi=before(None),
        bval=gradients("bval"),
        bvec=gradients("bvec"),
        sidecar=raw_file("sidecar"),
    output:
        **first.series,
    log:
        P.log(first.dwi),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("write_scan"),
        sidecar=lambda w, input: (
            f"--from-sidecar {input.sidecar}" if input.sidecar else ""
        ),
        steps=STEPS,
        files=lambda w, output: options(output),
    message:
        "Write {wildcards.session} of {wildcards.subject} as BIDS"
    shell:
        "python -m write_scan --from-dwi {input.dwi} --from-bval {input.bval}"
        " --from-bvec {input.bvec} {params.sidecar} --steps {params.steps} {params.files} &> {log}"
