# Reads: the phantom's parameters. Writes: bids/, a BIDS derivative with every scan of everybody, and
# phantom/atlas.npz, which all people are made from.

first = Scan(P.bids, "{subject}", "{session}", "{acquisition}")
noise_free = Scan(P.bids, "{subject}", "{session}", "{acquisition}", truth=True)
repeat = Scan(P.bids, "{subject}", "{session}", "{acquisition}", run="2")


rule atlas:
    input:
        parameters=PHANTOM,
    output:
        P.atlas,
    log:
        P.log(P.atlas),
    benchmark:
        P.benchmark(P.atlas)
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("build_atlas"),
    message:
        "Make the atlas of the phantom"
    shell:
        "python -m build_atlas --parameters {input.parameters} --output {output} &> {log}"


rule describe_dataset:
    input:
        parameters=PHANTOM,
    output:
        description=P.dataset_description,
        participants=P.participants,
        tissues=P.labels.format(kind="tissue"),
        regions=P.labels.format(kind="region"),
    log:
        P.log(P.dataset_description),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("describe_dataset"),
        seed=config["dataset"]["seed"],
        subjects=SUBJECTS,
    message:
        "Describe the data set"
    shell:
        "python -m describe_dataset --parameters {input.parameters} --seed {params.seed}"
        " --subjects {params.subjects} --description {output.description}"
        " --participants {output.participants} --tissues {output.tissues}"
        " --regions {output.regions} &> {log}"


rule simulate:
    input:
        parameters=PHANTOM,
        atlas=P.atlas,
    output:
        **first.series,
        **first.labels,
        **{f"truth_{role}": file for role, file in noise_free.series.items()},
    log:
        P.log(first.dwi),
    benchmark:
        P.benchmark(first.dwi)
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("simulate"),
        seed=config["dataset"]["seed"],
        effects=config["dataset"]["effects"],
        platform=platform_of,
        scan="scan",
        shells=config["dataset"]["shells"],
        slab=slab,
        files=lambda w, output: options(output),
    message:
        "Scan {wildcards.subject} on {params.platform}"
    shell:
        "python -m simulate --parameters {input.parameters} --atlas {input.atlas}"
        " --effects {params.effects} --seed {params.seed} --subject {wildcards.subject}"
        " --platform {params.platform} --scan {params.scan} --shells {params.shells}"
        " {params.slab} {params.files} &> {log}"


use rule simulate as simulate_rescan with:
    output:
        **repeat.series,
        **repeat.labels,
    log:
        P.log(repeat.dwi),
    benchmark:
        P.benchmark(repeat.dwi)
    params:
        version=version("simulate"),
        seed=config["dataset"]["seed"],
        effects=config["dataset"]["effects"],
        platform=platform_of,
        scan="rescan",
        shells=config["dataset"]["shells"],
        slab=slab,
        files=lambda w, output: options(output),
    message:
        "Scan {wildcards.subject} on {params.platform} again"


# Not part of a run: `snakemake check_phantom` measures the first person on all platforms.
rule check_phantom:
    input:
        parameters=PHANTOM,
        atlas=P.atlas,
    output:
        table=P.table.format(table="phantom_checks", format="csv"),
        anisotropy=P.figure.format(figure="phantom_anisotropy", format="png"),
        fods=P.figure.format(figure="phantom_fods", format="png"),
        scanners=P.figure.format(figure="phantom_scanners", format="png"),
        checks=P.figure.format(figure="phantom_checks", format="png"),
    log:
        P.log(P.table.format(table="phantom_checks", format="csv")),
    benchmark:
        P.benchmark(P.table.format(table="phantom_checks", format="csv"))
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("check_phantom"),
        seed=config["dataset"]["seed"],
        subject=SUBJECTS[0],
        source=SOURCE,
        shell=config["spherical_harmonics"]["shell"],
        slab=source_slab(),
        response=as_json(config["spherical_harmonics"]["response"]),
        files=lambda w, output: options(output),
    message:
        "Measure {params.subject} on all platforms"
    shell:
        "python -m check_phantom --parameters {input.parameters} --atlas {input.atlas}"
        " --seed {params.seed} --subject {params.subject} --source {params.source}"
        " --shell {params.shell} {params.slab} --response {params.response:q}"
        " {params.files} &> {log}"
