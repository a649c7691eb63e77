# Reads: raw scans. Writes: bids/, a BIDS derivative of the scans that the run uses; each of the steps in
# preprocessing/ can be switched off, and motion/ keeps how the head moved.

first = Scan(P.bids, "{subject}", "{session}", "{acquisition}")


rule denoise:
    input:
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
