# Reads: bids/, or the user's own data set, or denoised/. Writes: cropped/, scans at a lower resolution;
# registration/, the transform of each target scan to its subject's source and how well it fits; sh/,
# spherical harmonics of every scan on the source's grid.


# Only for platforms that use a lower resolution than their scans have.
rule crop_kspace:
    input:
        dwi=lambda w: SCANS.full_scan(w.subject, w.platform, w.scan).dwi,
        mask=lambda w: SCANS.full_scan(w.subject, w.platform, w.scan).mask,
        report=lambda w: SCANS.report(w.subject, w.platform),
    output:
        dwi=P.cropped,
        mask=P.cropped_mask,
    log:
        P.log("crop_kspace", P.cropped),
    benchmark:
        P.benchmark("crop_kspace", P.cropped)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("crop_kspace"),
        factor=lambda w: SCANS.platforms[w.platform]["crop"],
    message:
        "Lower the resolution of {wildcards.platform} of {wildcards.subject}"
    shell:
        "python -m crop_kspace --dwi {input.dwi:q} --mask {input.mask:q} --factor {params.factor}"
        " --cropped-dwi {output.dwi:q} --cropped-mask {output.mask:q} &> {log:q}"


rule register:
    input:
        fixed=lambda w: SCANS.to_register(w.subject, SOURCE, "scan"),
        moving=lambda w: SCANS.to_register(w.subject, w.platform, w.scan),
        reports=lambda w: [
            *SCANS.report(w.subject, SOURCE),
            *SCANS.report(w.subject, w.platform),
        ],
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
    resources:
        **needs(gigabytes=4, minutes=30),
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
        "python -m register --fixed {input.fixed:q} --moving {input.moving:q} --program {params.program}"
        " --model {params.model} {params.accept} --transform {output.transform:q}"
        " --quality {output.quality:q} &> {log:q}"


rule fit_sh:
    input:
        unpack(lambda w: SCANS.scan_to_fit(w.subject, w.platform, w.scan)),
        report=lambda w: SCANS.report(w.subject, w.platform),
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
    resources:
        **needs(gigabytes=6, minutes=30),
    params:
        version=PLAN.version("fit_sh"),
        scale=lambda w: PLAN.scales.get(w.platform, 1),
        transform=lambda w, input: (
            f"--transform {quote(input.transform)}"
            if "transform" in input.keys()
            else ""
        ),
        interpolation=config["registration"]["interpolation"],
        settings=lambda w: as_json(SCANS.sh_settings(w.platform)),
    message:
        "Fit spherical harmonics to {wildcards.platform} of {wildcards.subject} ({wildcards.scan})"
    shell:
        "python -m fit_sh --dwi {input.dwi:q} --bval {input.bval:q} --bvec {input.bvec:q}"
        " --mask {input.mask:q} --grid {input.grid:q} {params.transform} --scale {params.scale}"
        " --interpolation {params.interpolation} --settings {params.settings:q}"
        " --sh {output.sh:q} --sh-mask {output.mask:q} --sh-sidecar {output.sidecar:q} &> {log:q}"
