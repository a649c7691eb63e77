# Reads: bids/. Writes: cropped/, scans of lower resolution; registration/, the transform of each target scan to its subject's source and how
# well it fits; sh/, spherical harmonics of every scan on the source grid; splits/, the manifest of each fold.


# Only for platforms that are to have a lower resolution than their scans.
rule crop_kspace:
    input:
        validated(),
        dwi=lambda w: original_scan(w.subject, w.platform).dwi,
        mask=lambda w: original_scan(w.subject, w.platform).mask,
    output:
        dwi=P.cropped,
        mask=P.cropped_mask,
    log:
        P.log(P.cropped),
    benchmark:
        P.benchmark(P.cropped)
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("crop_kspace"),
        factor=lambda w: PLATFORMS[w.platform]["crop"],
    message:
        "Lower the resolution of {wildcards.platform} of {wildcards.subject}"
    shell:
        "python -m crop_kspace --dwi {input.dwi} --mask {input.mask} --factor {params.factor}"
        " --cropped-dwi {output.dwi} --cropped-mask {output.mask} &> {log}"


rule register:
    input:
        validated(),
        fixed=lambda w: scan_of(w.subject, SOURCE).dwi,
        fixed_bval=lambda w: scan_of(w.subject, SOURCE).bval,
        moving=lambda w: scan_of(w.subject, w.platform, w.scan).dwi,
        moving_bval=lambda w: scan_of(w.subject, w.platform, w.scan).bval,
    output:
        transform=P.transform,
        quality=P.quality,
    log:
        P.log(P.transform),
    benchmark:
        P.benchmark(P.transform)
    conda:
        "../../envs/flirt.yaml" if PROGRAM == "flirt" else "../../envs/environment.yaml"
    params:
        version=version("register"),
        program=PROGRAM,
        model=config["registration"]["model"],
        accept=(
            "--accept-implausible"
            if config["registration"]["accept_implausible"]
            else ""
        ),
    message:
        "Register {wildcards.platform} of {wildcards.subject} to {SOURCE}"
    shell:
        "python -m register --fixed {input.fixed} {input.fixed_bval}"
        " --moving {input.moving} {input.moving_bval} --program {params.program}"
        " --model {params.model} {params.accept} --transform {output.transform}"
        " --quality {output.quality} &> {log}"


rule spherical_harmonics:
    input:
        validated(),
        unpack(scan_to_fit),
    output:
        sh=P.sh,
        mask=P.sh_mask,
        sidecar=P.sh_sidecar,
    log:
        P.log(P.sh),
    benchmark:
        P.benchmark(P.sh)
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("fit_sh"),
        scale=lambda w: SCALES.get(w.platform, 1),
        transform=lambda w, input: (
            f"--transform {input.transform}" if "transform" in input.keys() else ""
        ),
        interpolation=config["registration"]["interpolation"],
        settings=lambda w: as_json(sh_settings(w)),
    message:
        "Fit spherical harmonics to {wildcards.platform} of {wildcards.subject} ({wildcards.scan})"
    shell:
        "python -m fit_sh --dwi {input.dwi} --bval {input.bval} --bvec {input.bvec}"
        " --mask {input.mask} --grid {input.grid} {params.transform} --scale {params.scale}"
        " --interpolation {params.interpolation} --settings {params.settings:q}"
        " --sh {output.sh} --sh-mask {output.mask} --sh-sidecar {output.sidecar} &> {log}"


rule split:
    input:
        learners,
    output:
        P.manifest,
    log:
        P.log(P.manifest),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("split"),
        parts=lambda w: as_json(parts(w.fold)),
        scales=as_json(SCALES),
        lattice=as_json(config["patches"]),
        source=SOURCE,
        results=subpath(output[0], ancestor=2),
    message:
        "Write the manifest of fold {wildcards.fold}"
    shell:
        "python -m split --results {params.results} --parts {params.parts:q}"
        " --source {params.source} --scales {params.scales:q} --lattice {params.lattice:q}"
        " --output {output} &> {log}"
