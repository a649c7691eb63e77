# Reads: bids/, or the user's own data set. Writes: cropped/, scans at a lower resolution;
# registration/, the transform of each target scan to its subject's source and how well it fits; sh/,
# spherical harmonics of every scan on the source's grid.

# Nothing expensive starts before validation finds the data set fit for use; a phantom always is.
# Ancient: validating the same scans again re-runs nothing else.
VALIDATED = [] if PLAN.data_source.simulated else [ancient(P.validation)]


# Only for platforms that use a lower resolution than their scans have.
rule crop_kspace:
    input:
        VALIDATED,
        dwi=lambda w: PLAN.original_scan(w.subject, w.platform).dwi,
        mask=lambda w: PLAN.original_scan(w.subject, w.platform).mask,
    output:
        dwi=P.cropped,
        mask=P.cropped_mask,
    log:
        P.log("crop_kspace", P.cropped),
    benchmark:
        P.benchmark("crop_kspace", P.cropped)
    conda:
        "../../envs/environment.yaml"
    params:
        version=PLAN.version("crop_kspace"),
        factor=lambda w: PLAN.platforms[w.platform]["crop"],
    message:
        "Lower the resolution of {wildcards.platform} of {wildcards.subject}"
    shell:
        "python -m crop_kspace --dwi {input.dwi} --mask {input.mask} --factor {params.factor}"
        " --cropped-dwi {output.dwi} --cropped-mask {output.mask} &> {log}"


rule register:
    input:
        VALIDATED,
        fixed=lambda w: PLAN.scan(w.subject, SOURCE).dwi,
        fixed_bval=lambda w: PLAN.scan(w.subject, SOURCE).bval,
        moving=lambda w: PLAN.scan(w.subject, w.platform, w.scan).dwi,
        moving_bval=lambda w: PLAN.scan(w.subject, w.platform, w.scan).bval,
    output:
        transform=P.transform,
        quality=P.quality,
    log:
        P.log("register", P.transform),
    benchmark:
        P.benchmark("register", P.transform)
    conda:
        "../../envs/flirt.yaml"
        if config["registration"]["program"] == "flirt"
        else "../../envs/environment.yaml"
    params:
        version=PLAN.version("register"),
        program=config["registration"]["program"],
        model=config["registration"]["model"],
        accept=(
            "--accept-implausible"
            if config["registration"]["accept_implausible"]
            else ""
        ),
    message:
        "Register {wildcards.platform} of {wildcards.subject} to its source"
    shell:
        "python -m register --fixed {input.fixed} {input.fixed_bval}"
        " --moving {input.moving} {input.moving_bval} --program {params.program}"
        " --model {params.model} {params.accept} --transform {output.transform}"
        " --quality {output.quality} &> {log}"


rule fit_sh:
    input:
        VALIDATED,
        unpack(lambda w: PLAN.scan_to_fit(w.subject, w.platform, w.scan)),
    output:
        sh=P.sh,
        mask=P.sh_mask,
        sidecar=P.sh_sidecar,
    log:
        P.log("fit_sh", P.sh),
    benchmark:
        P.benchmark("fit_sh", P.sh)
    conda:
        "../../envs/environment.yaml"
    params:
        version=PLAN.version("fit_sh"),
        scale=lambda w: PLAN.scales.get(w.platform, 1),
        transform=lambda w, input: (
            f"--transform {input.transform}" if "transform" in input.keys() else ""
        ),
        interpolation=config["registration"]["interpolation"],
        settings=lambda w: as_json(PLAN.sh_settings(w.platform)),
    message:
        "Fit spherical harmonics to {wildcards.platform} of {wildcards.subject} ({wildcards.scan})"
    shell:
        "python -m fit_sh --dwi {input.dwi} --bval {input.bval} --bvec {input.bvec}"
        " --mask {input.mask} --grid {input.grid} {params.transform} --scale {params.scale}"
        " --interpolation {params.interpolation} --settings {params.settings:q}"
        " --sh {output.sh} --sh-mask {output.mask} --sh-sidecar {output.sidecar} &> {log}"
