# Reads: the phantom's parameters. Writes: bids/, a BIDS derivative with all scans of all subjects,
# phantom/atlas.npz, from which all subjects are made, phantom/noise/, the level of noise in the scans,
# and expected/, the images of targets averaged over further draws of their noise.

noise_free = BidsScan(P.bids, "{subject}", "{session}", "{acquisition}", truth=True)
repeat = BidsScan(P.bids, "{subject}", "{session}", "{acquisition}", run="2")


rule build_atlas:
    input:
        parameters=SCANS.phantom_parameters,
    output:
        P.atlas,
    log:
        P.log("build_atlas", P.atlas),
    benchmark:
        P.benchmark("build_atlas", P.atlas)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=2, minutes=10),
    params:
        version=PLAN.version("build_atlas"),
    message:
        "Make the atlas of the phantom"
    shell:
        "python -m build_atlas --parameters {input.parameters:q} --output {output:q} &> {log:q}"


rule describe_dataset:
    input:
        parameters=SCANS.phantom_parameters,
    output:
        description=P.dataset_description,
        participants=P.participants,
        tissues=P.labels.format(kind="tissue"),
        regions=P.labels.format(kind="region"),
    log:
        P.log("describe_dataset", P.dataset_description),
    benchmark:
        P.benchmark("describe_dataset", P.dataset_description)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=1, minutes=5),
    params:
        version=PLAN.version("describe_dataset"),
        seed=config["dataset"]["seed"],
        subjects=SCANS.subjects,
    message:
        "Describe the data set"
    shell:
        "python -m describe_dataset --parameters {input.parameters:q} --seed {params.seed}"
        " --subjects {params.subjects} --description {output.description:q}"
        " --participants {output.participants:q} --tissues {output.tissues:q}"
        " --regions {output.regions:q} &> {log:q}"


rule simulate:
    input:
        parameters=SCANS.phantom_parameters,
        atlas=P.atlas,
    output:
        **first.series,
        **first.labels,
        **{f"truth_{role}": file for role, file in noise_free.series.items()},
        noise_level=P.noise_level,
    log:
        P.log("simulate", first.dwi),
    benchmark:
        P.benchmark("simulate", first.dwi)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("simulate"),
        seed=config["dataset"]["seed"],
        effects=config["dataset"]["effects"],
        platform=platform_of,
        scan="scan",
        shells=config["dataset"]["shells"],
        slab=lambda w: SCANS.slab_options(platform_of(w)),
        files=lambda w, output: as_options(output),
    message:
        "Scan {wildcards.subject} on {params.platform}"
    shell:
        "python -m simulate --parameters {input.parameters:q} --atlas {input.atlas:q}"
        " --effects {params.effects} --seed {params.seed} --subject {wildcards.subject}"
        " --platform {params.platform} --scan {params.scan} --shells {params.shells}"
        " {params.slab} {params.files} &> {log:q}"


use rule simulate as simulate_rescan with:
    output:
        **repeat.series,
        **repeat.labels,
    log:
        P.log("simulate_rescan", repeat.dwi),
    benchmark:
        P.benchmark("simulate_rescan", repeat.dwi)
    params:
        scan="rescan",
    message:
        "Scan {wildcards.subject} on {params.platform} again"


# What a target is expected to be, noise included: a prediction is compared with it.
rule redraw_noise:
    input:
        unpack(lambda w: SCANS.scan_to_redraw(w.subject, w.platform)),
    output:
        expected=P.expected,
        variance=P.expected_variance,
    log:
        P.log("redraw_noise", P.expected),
    benchmark:
        P.benchmark("redraw_noise", P.expected)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=30),
    params:
        version=PLAN.version("redraw_noise"),
        seed=config["dataset"]["seed"],
        scale=lambda w: PLAN.scales[w.platform],
        interpolation=config["registration"]["interpolation"],
        settings=lambda w: as_json(SCANS.sh_settings(w.platform)),
        denoise=lambda w: "--denoise" if SCANS.is_denoised(w.platform) else "",
        files=lambda w, input, output: as_options(input, output),
    message:
        "Average {wildcards.platform} of {wildcards.subject} over its noise"
    shell:
        "python -m redraw_noise --seed {params.seed} --subject {wildcards.subject}"
        " --platform {wildcards.platform} --scale {params.scale}"
        " --interpolation {params.interpolation} --settings {params.settings:q} {params.denoise}"
        " {params.files} &> {log:q}"


# Not part of a run: `snakemake check_phantom` measures the first subject on all platforms.
rule check_phantom:
    input:
        parameters=SCANS.phantom_parameters,
        atlas=P.atlas,
    output:
        table=P.table.format(table="phantom_checks", format="csv"),
        anisotropy=P.figure.format(figure="phantom_anisotropy", format="png"),
        detail=P.figure.format(figure="phantom_detail", format="png"),
        fods=P.figure.format(figure="phantom_fods", format="png"),
        scanners=P.figure.format(figure="phantom_scanners", format="png"),
        checks=P.figure.format(figure="phantom_checks", format="png"),
    log:
        P.log("check_phantom", P.table.format(table="phantom_checks", format="csv")),
    benchmark:
        P.benchmark(
            "check_phantom", P.table.format(table="phantom_checks", format="csv")
        )
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=8, minutes=60),
    params:
        version=PLAN.version("check_phantom"),
        seed=config["dataset"]["seed"],
        subject=SCANS.subjects[0],
        source=SOURCE,
        shell=config["spherical_harmonics"]["shell"],
        slab=SCANS.slab_options(SOURCE),
        response=as_json(config["spherical_harmonics"]["response"]),
        files=lambda w, output: as_options(output),
    message:
        "Measure {params.subject} on all platforms"
    shell:
        "python -m check_phantom --parameters {input.parameters:q} --atlas {input.atlas:q}"
        " --seed {params.seed} --subject {params.subject} --source {params.source}"
        " --shell {params.shell} {params.slab} --response {params.response:q}"
        " {params.files} &> {log:q}"
