# Reads: the phantom's parameters. Writes: bids/, a BIDS derivative with every scan of everybody.

simulated = Scan(P.bids, "{subject}", "{session}", "{acquisition}", run="{run}")
noise_free = Scan(P.bids, "{subject}", "{session}", "{acquisition}", truth=True)


rule describe_dataset:
    output:
        P.dataset_description,
    log:
        P.log(P.dataset_description),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("describe_dataset"),
        seed=config["dataset"]["seed"],
    message:
        "Describe the data set"
    shell:
        "python -m describe_dataset --seed {params.seed} --output {output} &> {log}"


rule simulate:
    input:
        parameters=os.path.relpath(ROOT / config["dataset"]["parameters"]),
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
        version=version("simulate"),
        seed=config["dataset"]["seed"],
        platform=platform_of,
        scan=lambda wildcards: "rescan" if wildcards.run == "2" else "scan",
        shells=config["dataset"]["shells"],
        slab=slab,
    message:
        "Scan {wildcards.subject} on {params.platform}, run {wildcards.run}"
    shell:
        "python -m simulate --parameters {input.parameters} --seed {params.seed}"
        " --subject {wildcards.subject} --platform {params.platform} --scan {params.scan}"
        " --shells {params.shells} {params.slab} --dwi {output.dwi} --bval {output.bval}"
        " --bvec {output.bvec} --sidecar {output.sidecar} --mask {output.mask}"
        " --tissue {output.tissue} &> {log}"


rule simulate_truth:
    input:
        parameters=os.path.relpath(ROOT / config["dataset"]["parameters"]),
    output:
        **noise_free.series,
    log:
        P.log(noise_free.dwi),
    benchmark:
        P.benchmark(noise_free.dwi)
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("simulate"),
        seed=config["dataset"]["seed"],
        platform=platform_of,
        shells=config["dataset"]["shells"],
        slab=slab,
    message:
        "Scan {wildcards.subject} on {params.platform} without noise"
    shell:
        "python -m simulate --parameters {input.parameters} --seed {params.seed}"
        " --subject {wildcards.subject} --platform {params.platform} --scan truth"
        " --shells {params.shells} {params.slab} --dwi {output.dwi} --bval {output.bval}"
        " --bvec {output.bvec} --sidecar {output.sidecar} &> {log}"
