# Reads: the phantom's parameters. Writes: bids/, a BIDS derivative with every scan of everybody.

simulated = Scan(P.bids, "{subject}", "{session}", "{acquisition}", run="{run}")
noise_free = Scan(P.bids, "{subject}", "{session}", "{acquisition}", truth=True)


def slab(wildcards):
    """Slab to scan. A target's reaches further, so that it covers the source's wherever that lies."""
    if config["dataset"]["slab"] is None:
        return ""
    centre, thickness = (
        config["dataset"]["slab"][key] for key in ("centre", "thickness")
    )
    reach = "--overhang" if platform_of(wildcards) != SOURCE else ""
    return f"--slab {centre} {thickness} {reach}"


rule describe_dataset:
    output:
        P.dataset_description,
    log:
        P.log(P.dataset_description),
    conda:
        "../../envs/environment.yaml"
    params:
        seed=config["dataset"]["seed"],
        version=version("describe_dataset.py"),
    message:
        "Describe the data set"
    shell:
        "python {SCRIPTS}/describe_dataset.py --seed {params.seed} --output {output} &> {log}"


rule simulate:
    input:
        parameters=ROOT / config["dataset"]["parameters"],
    output:
        **simulated.series,
        mask=simulated.mask,
        tissue=simulated.tissue,
    log:
        P.log(simulated.dwi),
    benchmark:
        P.benchmark(simulated.dwi)
    conda:
        "../../envs/environment.yaml"
    params:
        seed=config["dataset"]["seed"],
        platform=platform_of,
        scan=lambda wildcards: "rescan" if wildcards.run == "2" else "scan",
        shells=config["dataset"]["shells"],
        slab=slab,
        version=version("simulate.py"),
    message:
        "Scan {wildcards.subject} on {params.platform}, run {wildcards.run}"
    shell:
        "python {SCRIPTS}/simulate.py --parameters {input.parameters} --seed {params.seed}"
        " --subject {wildcards.subject} --platform {params.platform} --scan {params.scan}"
        " --shells {params.shells} {params.slab} --dwi {output.dwi} --bval {output.bval}"
        " --bvec {output.bvec} --sidecar {output.sidecar} --mask {output.mask}"
        " --tissue {output.tissue} &> {log}"


rule simulate_truth:
    input:
        parameters=ROOT / config["dataset"]["parameters"],
    output:
        **noise_free.series,
    log:
        P.log(noise_free.dwi),
    benchmark:
        P.benchmark(noise_free.dwi)
    conda:
        "../../envs/environment.yaml"
    params:
        seed=config["dataset"]["seed"],
        platform=platform_of,
        shells=config["dataset"]["shells"],
        slab=slab,
        version=version("simulate.py"),
    message:
        "Scan {wildcards.subject} on {params.platform} without noise"
    shell:
        "python {SCRIPTS}/simulate.py --parameters {input.parameters} --seed {params.seed}"
        " --subject {wildcards.subject} --platform {params.platform} --scan truth"
        " --shells {params.shells} {params.slab} --dwi {output.dwi} --bval {output.bval}"
        " --bvec {output.bvec} --sidecar {output.sidecar} &> {log}"
