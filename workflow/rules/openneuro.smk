# Reads: OpenNeuro. Writes: the raw data set in dataset.root, limited to the scans of the run.

openneuro = config["dataset"]["openneuro"]
downloaded = "sub-{subject}/ses-{session}/dwi/sub-{subject}_ses-{session}{entities}_dwi"


rule download:
    output:
        [
            f"{SCANS.data}/{downloaded}.{end}"
            for end in ("nii.gz", "bval", "bvec", "json")
        ],
    log:
        P.log("download", f"{P.results}/sub-{{subject}}_ses-{{session}}{{entities}}"),
    benchmark:
        P.benchmark(
            "download", f"{P.results}/sub-{{subject}}_ses-{{session}}{{entities}}"
        )
    wildcard_constraints:
        entities="(_[a-z]+-[A-Za-z0-9+]+)*",
    # Cluster nodes rarely reach the internet.
    localrule: True
    conda:
        "../../envs/environment.yaml"
    # No code version: checksums decide what is right, and nobody wants to download it again.
    resources:
        **needs(gigabytes=1, minutes=60),
    params:
        root=SCANS.data,
        paths=lambda w, output: [
            str(Path(file).relative_to(SCANS.data)) for file in output
        ],
        mirror="{mirror}/{accession}/{version}".format(**openneuro),
        bucket="{bucket}/{accession}".format(**openneuro),
    message:
        "Download {wildcards.session} of {wildcards.subject}"
    shell:
        "CONSOLE=/dev/fd/3 python -m download --paths {params.paths} --root {params.root:q}"
        " --mirror {params.mirror:q} --bucket {params.bucket:q} 3>&1 &> {log:q}"


use rule download as download_description with:
    output:
        f"{SCANS.data}/{Path(P.dataset_description).name}",
    log:
        P.log("download_description", f"{P.results}/dataset_description"),
    benchmark:
        P.benchmark("download_description", f"{P.results}/dataset_description")
    message:
        "Download the description of the data set"
