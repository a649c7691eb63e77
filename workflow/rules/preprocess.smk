# Reads: bids/. Writes: registration/, the transform of each target scan to its subject's source;
# sh/, spherical harmonics of every scan on the source grid; splits/, the manifest of each fold.


def scan_to_fit(wildcards):
    """A scan, the source's brain mask that defines the grid, and the way from there to the scan."""
    scan = scan_of(wildcards.subject, wildcards.platform, wildcards.scan)
    files = {role: scan.series[role] for role in ("dwi", "bval", "bvec")}
    files |= {"mask": scan.mask, "grid": scan_of(wildcards.subject, SOURCE).mask}
    if wildcards.platform != SOURCE:
        # The truth lies where the first scan lies, so it takes its transform, errors included.
        registered = "rescan" if wildcards.scan == "rescan" else "scan"
        files["transform"] = P.transform.format(
            scan=registered, subject=wildcards.subject, platform=wildcards.platform
        )
    return files


def learners(wildcards):
    """Images of the training and validation subjects of a fold: the test subject's are not among them."""
    subjects = parts(wildcards.fold)["train"] + parts(wildcards.fold)["validation"]
    return expand(
        [P.sh, P.sh_mask, P.sh_sidecar],
        scan="scan",
        subject=subjects,
        platform=[SOURCE, *TARGETS],
    )


rule register:
    input:
        fixed=lambda w: scan_of(w.subject, SOURCE).dwi,
        fixed_bval=lambda w: scan_of(w.subject, SOURCE).bval,
        moving=lambda w: scan_of(w.subject, w.platform, w.scan).dwi,
        moving_bval=lambda w: scan_of(w.subject, w.platform, w.scan).bval,
    output:
        P.transform,
    log:
        P.log(P.transform),
    benchmark:
        P.benchmark(P.transform)
    conda:
        "../../envs/environment.yaml"
    params:
        model=config["registration"]["model"],
        version=version("register.py"),
    message:
        "Register {wildcards.platform} of {wildcards.subject} to {SOURCE}"
    shell:
        "python {SCRIPTS}/register.py --fixed {input.fixed} {input.fixed_bval}"
        " --moving {input.moving} {input.moving_bval} --model {params.model}"
        " --output {output} &> {log}"


rule spherical_harmonics:
    input:
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
        scale=lambda w: SCALES.get(w.platform, 1),
        transform=lambda w, input: (
            f"--transform {input.transform}" if "transform" in input.keys() else ""
        ),
        interpolation=config["registration"]["interpolation"],
        settings=as_json(config["spherical_harmonics"]),
        version=version("fit_sh.py"),
    message:
        "Fit spherical harmonics to {wildcards.platform} of {wildcards.subject} ({wildcards.scan})"
    shell:
        "python {SCRIPTS}/fit_sh.py --dwi {input.dwi} --bval {input.bval} --bvec {input.bvec}"
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
        parts=lambda w: as_json(parts(w.fold)),
        scales=as_json(SCALES),
        lattice=as_json(config["patches"]),
        results=P.results,
        version=version("split.py"),
    message:
        "Write the manifest of fold {wildcards.fold}"
    shell:
        "python {SCRIPTS}/split.py --results {params.results} --parts {params.parts:q}"
        " --source {SOURCE} --scales {params.scales:q} --lattice {params.lattice:q}"
        " --output {output} &> {log}"
