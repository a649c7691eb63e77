# Reads: metrics.csv, models/, sh/ and the slices in evaluation/. Writes: tables/ and figures/,
# config.yaml, the configuration that made all of this, and index.html, a page that shows all of it.
# Parameters with the texts of methods are functions, as Snakemake takes braces in a text for wildcards.

# The figures of platforms and errors show the test subject of the first fold.
SHOWN_FOLD = 0
SHOWN_SUBJECT = PLAN.parts(SHOWN_FOLD)["test"][0]
REPORT = Presentation(PLAN)
MODELS = PLAN.seeds_of(PLAN.models())
SCORED = PLAN.seeds_of(PLAN.scored_models())
TRAINED = PLAN.seeds_of(PLAN.trained_models())
BRANCHED = PLAN.seeds_of(REPORT.branched_models())
LINEAR = PLAN.seeds_of(REPORT.linear_models())


rule write_config:
    output:
        P.config,
    log:
        P.log("write_config", P.config),
    benchmark:
        P.benchmark("write_config", P.config)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=1, minutes=5),
    params:
        version=PLAN.version("write_config"),
        config=lambda w: as_json(
            {**config, "method_settings": REPORT.method_settings()}
        ),
    message:
        "Write the configuration of the run"
    shell:
        "python -m write_config --config {params.config:q} --output {output:q} &> {log:q}"


# The claims first, as the report shows them.
rule judge_claims:
    input:
        expand_models(P.card, SCORED, PLAN.test_subjects()),
        metrics=P.metrics,
    output:
        **table("claims", "csv", "tex", "html", category="Claims"),
    log:
        P.log("judge_claims", csv_of("claims")),
    benchmark:
        P.benchmark("judge_claims", csv_of("claims"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("judge_claims"),
        claims=lambda w: json.dumps(PLAN.claims),
        methods=methods_shown,
        targets=TARGETS,
        folders=lambda w: P.model,
        models=json.dumps(SCORED),
        folds=json.dumps(PLAN.test_subjects()),
        data=REPORT.data_in_words(),
    message:
        "Judge the claims"
    shell:
        "python -m judge_claims --claims {params.claims:q} --metrics {input.metrics:q}"
        " --methods {params.methods:q} --targets {params.targets} --folders {params.folders:q}"
        " --models {params.models:q} --folds {params.folds:q} --data {params.data:q}"
        " --csv {output.csv:q} --tex {output.tex:q} --html {output.html:q} &> {log:q}"


rule compare_methods:
    input:
        expand_models(P.card, SCORED, PLAN.test_subjects()),
        metrics=P.metrics,
    output:
        **table("comparisons", "csv", "tex", "html"),
        ablations=list(table("ablations", "csv", "tex", "html").values()),
    log:
        P.log("compare_methods", csv_of("comparisons")),
    benchmark:
        P.benchmark("compare_methods", csv_of("comparisons"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=60),
    params:
        version=PLAN.version("compare_methods"),
        methods=methods_shown,
        targets=TARGETS,
        reference=REPORT.reference(),
        folders=lambda w: P.model,
        models=json.dumps(SCORED),
        folds=json.dumps(PLAN.test_subjects()),
    message:
        "Compare the methods"
    shell:
        "python -m compare_methods --metrics {input.metrics:q} --methods {params.methods:q}"
        " --targets {params.targets} --reference {params.reference} --folders {params.folders:q}"
        " --models {params.models:q} --folds {params.folds:q}"
        " --csv {output.csv:q} --tex {output.tex:q} --html {output.html:q}"
        " --ablations {output.ablations:q} &> {log:q}"


rule tabulate_settings:
    output:
        **table("settings", "csv", "tex", "html", category="Methods"),
    log:
        P.log("tabulate_settings", csv_of("settings")),
    benchmark:
        P.benchmark("tabulate_settings", csv_of("settings"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=2, minutes=10),
    params:
        version=PLAN.version("tabulate_settings"),
        settings=lambda w: json.dumps(REPORT.known_settings()),
    message:
        "Make the table of settings"
    shell:
        "python -m tabulate_settings --settings {params.settings:q}"
        " --csv {output.csv:q} --tex {output.tex:q} --html {output.html:q} &> {log:q}"


rule make_table:
    input:
        P.metrics,
    output:
        **table("patch_mse", "csv", "tex", "html"),
    log:
        P.log("make_table", csv_of("patch_mse")),
    benchmark:
        P.benchmark("make_table", csv_of("patch_mse"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("make_table"),
        methods=methods_shown,
        targets=TARGETS,
        subjects=PLAN.tested(),
        task=as_options({"task": REPORT.task()} if REPORT.task() else {}),
    message:
        "Make the table of patch MSE"
    shell:
        "python -m make_table --metrics {input:q} --methods {params.methods:q}"
        " --targets {params.targets} --subjects {params.subjects} {params.task}"
        " --csv {output.csv:q} --tex {output.tex:q} --html {output.html:q} &> {log:q}"


rule tabulate_regions:
    input:
        P.metrics,
    output:
        **table("regions", "csv", "html"),
    log:
        P.log("tabulate_regions", csv_of("regions")),
    benchmark:
        P.benchmark("tabulate_regions", csv_of("regions"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_regions"),
        methods=methods_shown,
        targets=TARGETS,
    message:
        "Make the table of regions"
    shell:
        "python -m tabulate_regions --metrics {input:q} --methods {params.methods:q}"
        " --targets {params.targets} --csv {output.csv:q} --html {output.html:q} &> {log:q}"


rule tabulate_features:
    input:
        P.metrics,
    output:
        **table("features", "csv", "html"),
    log:
        P.log("tabulate_features", csv_of("features")),
    benchmark:
        P.benchmark("tabulate_features", csv_of("features"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_features"),
        methods=methods_shown,
        targets=TARGETS,
    message:
        "Make the table of features"
    shell:
        "python -m tabulate_features --metrics {input:q} --methods {params.methods:q}"
        " --targets {params.targets} --csv {output.csv:q} --html {output.html:q} &> {log:q}"


rule tabulate_preservation:
    input:
        P.metrics,
    output:
        **table("preservation", "csv", "html"),
    log:
        P.log("tabulate_preservation", csv_of("preservation")),
    benchmark:
        P.benchmark("tabulate_preservation", csv_of("preservation"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_preservation"),
        methods=methods_shown,
        targets=TARGETS,
    message:
        "Make the table of preservation"
    shell:
        "python -m tabulate_preservation --metrics {input:q} --methods {params.methods:q}"
        " --targets {params.targets} --csv {output.csv:q} --html {output.html:q} &> {log:q}"


rule describe_methods:
    output:
        **table("about", "csv", "html", category="Methods"),
        bib=report(P.references, caption="../report/about.rst", category="Methods"),
    log:
        P.log("describe_methods", csv_of("about")),
    benchmark:
        P.benchmark("describe_methods", csv_of("about"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=2, minutes=10),
    params:
        version=PLAN.version("describe_methods"),
        # In the order of the methods.
        methods=lambda w: json.dumps(REPORT.described()),
        # BibTeX is full of braces, in which Snakemake would look for wildcards.
        references=lambda w: as_json(REPORT.bibliography()),
    message:
        "Describe the methods"
    shell:
        "python -m describe_methods --methods {params.methods:q} --references {params.references:q}"
        " --csv {output.csv:q} --html {output.html:q} --bib {output.bib:q} &> {log:q}"


rule tabulate_methods:
    input:
        expand_models(P.card, MODELS, PLAN.test_subjects()),
    output:
        **table("methods", "csv", "tex", "html"),
    log:
        P.log("tabulate_methods", csv_of("methods")),
    benchmark:
        P.benchmark("tabulate_methods", csv_of("methods"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_methods"),
        folders=lambda w: P.model,
        models=json.dumps(MODELS),
        folds=json.dumps(PLAN.test_subjects()),
        methods=methods_shown,
    message:
        "Make the table of methods"
    shell:
        "python -m tabulate_methods --folders {params.folders:q} --models {params.models:q}"
        " --folds {params.folds:q} --methods {params.methods:q}"
        " --csv {output.csv:q} --tex {output.tex:q} --html {output.html:q} &> {log:q}"


# Apart from the table of methods, as seconds and memory differ from run to run.
rule tabulate_runtime:
    input:
        expand_models(P.card, MODELS, PLAN.test_subjects()),
    output:
        **table("runtime", "csv", "tex", "html"),
    log:
        P.log("tabulate_runtime", csv_of("runtime")),
    benchmark:
        P.benchmark("tabulate_runtime", csv_of("runtime"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_runtime"),
        benchmarks=lambda w: P.fit_benchmark,
        models=json.dumps(MODELS),
        folds=json.dumps(PLAN.test_subjects()),
        methods=methods_shown,
    message:
        "Make the table of training times"
    shell:
        "python -m tabulate_runtime --benchmarks {params.benchmarks:q} --models {params.models:q}"
        " --folds {params.folds:q} --methods {params.methods:q}"
        " --csv {output.csv:q} --tex {output.tex:q} --html {output.html:q} &> {log:q}"


rule tabulate_registrations:
    input:
        PLAN.of_registered(P.quality),
    output:
        **table("registration", "csv", "html", category="Registration"),
    log:
        P.log("tabulate_registrations", csv_of("registration")),
    benchmark:
        P.benchmark("tabulate_registrations", csv_of("registration"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_registrations"),
        of_scans=as_options(
            dict(
                zip(("subjects", "platforms", "scans"), zip(*PLAN.registered_scans()))
            )
        ),
    message:
        "Make the table of registrations"
    shell:
        "python -m tabulate_registrations --qualities {input:q} {params.of_scans}"
        " --csv {output.csv:q} --html {output.html:q} &> {log:q}"


rule plot_registration:
    input:
        fixed=lambda w: SCANS.scan(w.subject, SOURCE).dwi,
        fixed_bval=lambda w: SCANS.scan(w.subject, SOURCE).bval,
        dwi=lambda w: [SCANS.scan(*s).dwi for s in PLAN.registered_scans(w.subject)],
        bval=lambda w: [SCANS.scan(*s).bval for s in PLAN.registered_scans(w.subject)],
        transforms=lambda w: PLAN.of_registered(P.transform, w.subject),
        qualities=lambda w: PLAN.of_registered(P.quality, w.subject),
    output:
        **figure(
            "registration_{subject}",
            caption="registration",
            category="Registration",
            labels={"subject": "{subject}"},
        ),
    log:
        P.log("plot_registration", png_of("registration_{subject}")),
    benchmark:
        P.benchmark("plot_registration", png_of("registration_{subject}"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_registration"),
        labels=lambda w: [
            f"{platform} ({scan})" if scan == "rescan" else platform
            for _, platform, scan in PLAN.registered_scans(w.subject)
        ],
        title=lambda w: f"{SOURCE} of subject {w.subject} in red, the others in cyan",
    message:
        "Draw the registrations of {wildcards.subject}"
    shell:
        "python -m plot_registration --fixed {input.fixed:q} {input.fixed_bval:q}"
        " --labels {params.labels:q} --dwi {input.dwi:q} --bval {input.bval:q}"
        " --transforms {input.transforms:q} --qualities {input.qualities:q}"
        " --title {params.title:q} --output {output:q} &> {log:q}"


rule plot_platforms:
    input:
        dwi=[
            SCANS.scan(SHOWN_SUBJECT, platform).dwi
            for platform in SCANS.used_platforms
        ],
        bval=[
            SCANS.scan(SHOWN_SUBJECT, platform).bval
            for platform in SCANS.used_platforms
        ],
        sh=expand(
            P.sh, scan="scan", subject=SHOWN_SUBJECT, platform=SCANS.used_platforms
        ),
    output:
        **figure("platforms"),
    log:
        P.log("plot_platforms", png_of("platforms")),
    benchmark:
        P.benchmark("plot_platforms", png_of("platforms"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_platforms"),
        platforms=SCANS.used_platforms,
        subject=SHOWN_SUBJECT,
    message:
        "Draw all platforms of {params.subject}"
    shell:
        "python -m plot_platforms --platforms {params.platforms} --dwi {input.dwi:q}"
        " --bval {input.bval:q} --sh {input.sh:q} --subject {params.subject} --output {output:q} &> {log:q}"


rule plot_patches:
    input:
        manifest=P.manifest.format(fold=SHOWN_FOLD, selection=""),
        images=expand(
            [P.sh, P.sh_mask],
            scan="scan",
            subject=PLAN.parts(SHOWN_FOLD)["train"][0],
            platform=SCANS.used_platforms,
        ),
    output:
        **figure("patches"),
    log:
        P.log("plot_patches", png_of("patches")),
    benchmark:
        P.benchmark("plot_patches", png_of("patches"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_patches"),
        targets=TARGETS,
        subject=PLAN.parts(SHOWN_FOLD)["train"][0],
    message:
        "Draw the patches of {params.subject}"
    shell:
        "python -m plot_patches --manifest {input.manifest:q} --subject {params.subject}"
        " --targets {params.targets} --output {output:q} &> {log:q}"


rule plot_improvements:
    input:
        P.metrics,
    output:
        **figure("improvements"),
    log:
        P.log("plot_improvements", png_of("improvements")),
    benchmark:
        P.benchmark("plot_improvements", png_of("improvements"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_improvements"),
        methods=methods_shown,
        targets=TARGETS,
        reference=REPORT.reference(),
    message:
        "Draw the improvements in each test subject"
    shell:
        "python -m plot_improvements --metrics {input:q} --methods {params.methods:q}"
        " --targets {params.targets} --reference {params.reference} --output {output:q} &> {log:q}"


rule plot_regions:
    input:
        P.metrics,
    output:
        **figure("regions", caption="regions_figure"),
    log:
        P.log("plot_regions", png_of("regions")),
    benchmark:
        P.benchmark("plot_regions", png_of("regions"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_regions"),
        methods=methods_shown,
        targets=TARGETS,
        reference=REPORT.reference(),
    message:
        "Draw the errors by region"
    shell:
        "python -m plot_regions --metrics {input:q} --methods {params.methods:q}"
        " --targets {params.targets} --reference {params.reference} --output {output:q} &> {log:q}"


rule plot_cost:
    input:
        expand_models(P.card, MODELS, PLAN.test_subjects()),
        metrics=P.metrics,
    output:
        **figure("cost"),
    log:
        P.log("plot_cost", png_of("cost")),
    benchmark:
        P.benchmark("plot_cost", png_of("cost"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_cost"),
        benchmarks=lambda w: P.fit_benchmark,
        fits=lambda w: json.dumps(PLAN.needed_models()),
        folds=lambda w: json.dumps(PLAN.test_subjects()),
        methods=methods_shown,
        targets=TARGETS,
    message:
        "Draw error against computation"
    shell:
        "python -m plot_cost --metrics {input.metrics:q} --benchmarks {params.benchmarks:q}"
        " --fits {params.fits:q} --folds {params.folds:q} --methods {params.methods:q}"
        " --targets {params.targets} --output {output:q} &> {log:q}"


rule plot_branches:
    input:
        expand_models(P.card, BRANCHED, PLAN.test_subjects()),
    output:
        **figure("branches"),
    log:
        P.log("plot_branches", png_of("branches")),
    benchmark:
        P.benchmark("plot_branches", png_of("branches"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_branches"),
        folders=lambda w: P.model,
        models=lambda w: json.dumps(BRANCHED),
        folds=lambda w: json.dumps(PLAN.test_subjects()),
        labels=lambda w: json.dumps(REPORT.labels(BRANCHED)),
        targets=TARGETS,
    message:
        "Draw what branches contribute"
    shell:
        "python -m plot_branches --folders {params.folders:q} --models {params.models:q}"
        " --folds {params.folds:q} --labels {params.labels:q} --targets {params.targets}"
        " --output {output:q} &> {log:q}"


rule plot_learning_curves:
    input:
        expand_models(P.history, TRAINED, PLAN.test_subjects()),
        expand_models(P.card, TRAINED, PLAN.test_subjects()),
        expand_models(P.card, LINEAR, PLAN.test_subjects()),
    output:
        **figure("learning_curves"),
    log:
        P.log("plot_learning_curves", png_of("learning_curves")),
    benchmark:
        P.benchmark("plot_learning_curves", png_of("learning_curves"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_learning_curves"),
        folders=lambda w: P.model,
        models=lambda w: json.dumps(TRAINED),
        linear=lambda w: json.dumps(LINEAR),
        folds=lambda w: json.dumps(PLAN.test_subjects()),
        labels=lambda w: json.dumps(REPORT.labels({**TRAINED, **LINEAR})),
        targets=TARGETS,
    message:
        "Draw the learning curves"
    shell:
        "python -m plot_learning_curves --folders {params.folders:q}"
        " --models {params.models:q} --linear {params.linear:q} --folds {params.folds:q}"
        " --labels {params.labels:q} --targets {params.targets} --output {output:q} &> {log:q}"


rule plot_architecture:
    output:
        **figure("architecture", category="Methods"),
    log:
        P.log("plot_architecture", png_of("architecture")),
    benchmark:
        P.benchmark("plot_architecture", png_of("architecture"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        # As functions, as only this job needs the networks that a run may lack.
        version=lambda w: REPORT.architecture_version(),
        networks=lambda w: json.dumps(REPORT.architectures()),
        core=config["patches"]["core"],
    message:
        "Draw the architectures"
    shell:
        "python -m plot_architecture --networks {params.networks:q} --core {params.core}"
        " --output {output:q} &> {log:q}"


rule plot_errors:
    input:
        lambda w: PLAN.predictions(
            P.slice, targets=[w.target], folds=[SHOWN_FOLD], all_seeds=False
        ),
    output:
        **figure("errors_{target}", caption="errors", labels={"target": "{target}"}),
    log:
        P.log("plot_errors", png_of("errors_{target}")),
    benchmark:
        P.benchmark("plot_errors", png_of("errors_{target}"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_errors"),
        labels=lambda w: [METHODS[name].label for name in config["methods"]],
        reference=lambda w: METHODS[REPORT.reference()].label,
        title=lambda w: f"{w.target} of subject {SHOWN_SUBJECT}",
    message:
        "Draw the errors on {wildcards.target}"
    shell:
        "python -m plot_errors --labels {params.labels:q} --slices {input:q}"
        " --reference {params.reference:q} --title {params.title:q} --output {output:q} &> {log:q}"


rule plot_glyphs:
    input:
        lambda w: PLAN.predictions(
            P.slice, targets=[w.target], folds=[SHOWN_FOLD], all_seeds=False
        ),
    output:
        **figure("glyphs_{target}", caption="glyphs", labels={"target": "{target}"}),
    log:
        P.log("plot_glyphs", png_of("glyphs_{target}")),
    benchmark:
        P.benchmark("plot_glyphs", png_of("glyphs_{target}"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_glyphs"),
        labels=lambda w: [METHODS[name].label for name in config["methods"]],
        reference=lambda w: METHODS[REPORT.reference()].label,
        rivals=lambda w: [METHODS[name].label for name in REPORT.rivals()],
        title=lambda w: f"{w.target} of subject {SHOWN_SUBJECT}",
    message:
        "Draw the glyphs on {wildcards.target}"
    shell:
        "python -m plot_glyphs --labels {params.labels:q} --slices {input:q}"
        " --reference {params.reference:q} --rivals {params.rivals:q} --title {params.title:q}"
        " --output {output:q} &> {log:q}"


# --- A study of limited data


rule tabulate_limited_data:
    input:
        P.metrics,
    output:
        **table("limited_data", "csv", "html"),
    log:
        P.log("tabulate_limited_data", csv_of("limited_data")),
    benchmark:
        P.benchmark("tabulate_limited_data", csv_of("limited_data"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_limited_data"),
        # In the order of the methods; the first is what all are compared with.
        methods=methods_shown,
        targets=TARGETS,
        folds=lambda w: json.dumps(PLAN.limited_folds()),
    message:
        "Make the table of limited data"
    shell:
        "python -m tabulate_limited_data --metrics {input:q} --methods {params.methods:q}"
        " --targets {params.targets} --folds {params.folds:q}"
        " --csv {output.csv:q} --html {output.html:q} &> {log:q}"


rule plot_limited_data:
    input:
        P.metrics,
    output:
        **figure("limited_data"),
    log:
        P.log("plot_limited_data", png_of("limited_data")),
    benchmark:
        P.benchmark("plot_limited_data", png_of("limited_data"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_limited_data"),
        methods=methods_shown,
        targets=TARGETS,
        folds=lambda w: json.dumps(PLAN.limited_folds()),
    message:
        "Draw the errors over the amount of training data"
    shell:
        "python -m plot_limited_data --metrics {input:q} --methods {params.methods:q}"
        " --targets {params.targets} --folds {params.folds:q} --output {output:q} &> {log:q}"


# --- All of it on one page


rule make_page:
    input:
        config=P.config,
        # As a function, as the Snakefile names what a run shows after it reads this file.
        tables=lambda w: [path for path in SHOWN if path.endswith(".csv")],
        figures=lambda w: [path for path in SHOWN if path.endswith(".png")],
    output:
        P.page,
    log:
        P.log("make_page", P.page),
    benchmark:
        P.benchmark("make_page", P.page)
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("make_page"),
        # The texts, and not their files, which lie elsewhere in another clone.
        captions=lambda w: as_json(REPORT.captions()),
    message:
        "Make the page of the run"
    shell:
        "python -m make_page --config {input.config:q} --captions {params.captions:q}"
        " --tables {input.tables:q} --figures {input.figures:q} --output {output:q} &> {log:q}"
