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
        csv=P.table.format(table="claims", format="csv"),
        tex=P.table.format(table="claims", format="tex"),
        html=report(
            P.table.format(table="claims", format="html"),
            caption="../report/claims.rst",
            category="Claims",
        ),
    log:
        P.log("judge_claims", P.table.format(table="claims", format="csv")),
    benchmark:
        P.benchmark("judge_claims", P.table.format(table="claims", format="csv"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("judge_claims"),
        claims=lambda w: json.dumps(PLAN.claims),
        methods=lambda w: json.dumps(REPORT.table_rows()),
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
        csv=P.table.format(table="comparisons", format="csv"),
        tex=P.table.format(table="comparisons", format="tex"),
        html=report(
            P.table.format(table="comparisons", format="html"),
            caption="../report/comparisons.rst",
            category="Tables",
        ),
        ablations_csv=P.table.format(table="ablations", format="csv"),
        ablations_tex=P.table.format(table="ablations", format="tex"),
        ablations_html=report(
            P.table.format(table="ablations", format="html"),
            caption="../report/ablations.rst",
            category="Tables",
        ),
    log:
        P.log("compare_methods", P.table.format(table="comparisons", format="csv")),
    benchmark:
        P.benchmark(
            "compare_methods", P.table.format(table="comparisons", format="csv")
        )
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=60),
    params:
        version=PLAN.version("compare_methods"),
        methods=lambda w: json.dumps(REPORT.table_rows()),
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
        " --ablations {output.ablations_csv:q} {output.ablations_tex:q} {output.ablations_html:q}"
        " &> {log:q}"


rule tabulate_settings:
    output:
        csv=P.table.format(table="settings", format="csv"),
        tex=P.table.format(table="settings", format="tex"),
        html=report(
            P.table.format(table="settings", format="html"),
            caption="../report/settings.rst",
            category="Methods",
        ),
    log:
        P.log("tabulate_settings", P.table.format(table="settings", format="csv")),
    benchmark:
        P.benchmark("tabulate_settings", P.table.format(table="settings", format="csv"))
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
        csv=P.table.format(table="patch_mse", format="csv"),
        tex=P.table.format(table="patch_mse", format="tex"),
        html=report(
            P.table.format(table="patch_mse", format="html"),
            caption="../report/patch_mse.rst",
            category="Tables",
        ),
    log:
        P.log("make_table", P.table.format(table="patch_mse", format="csv")),
    benchmark:
        P.benchmark("make_table", P.table.format(table="patch_mse", format="csv"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("make_table"),
        # In the order of the methods, which becomes the order of the table's rows.
        methods=lambda w: json.dumps(REPORT.table_rows()),
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
        csv=P.table.format(table="regions", format="csv"),
        html=report(
            P.table.format(table="regions", format="html"),
            caption="../report/regions.rst",
            category="Tables",
        ),
    log:
        P.log("tabulate_regions", P.table.format(table="regions", format="csv")),
    benchmark:
        P.benchmark("tabulate_regions", P.table.format(table="regions", format="csv"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_regions"),
        methods=lambda w: json.dumps(REPORT.table_rows()),
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
        csv=P.table.format(table="features", format="csv"),
        html=report(
            P.table.format(table="features", format="html"),
            caption="../report/features.rst",
            category="Tables",
        ),
    log:
        P.log("tabulate_features", P.table.format(table="features", format="csv")),
    benchmark:
        P.benchmark("tabulate_features", P.table.format(table="features", format="csv"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_features"),
        methods=lambda w: json.dumps(REPORT.table_rows()),
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
        csv=P.table.format(table="preservation", format="csv"),
        html=report(
            P.table.format(table="preservation", format="html"),
            caption="../report/preservation.rst",
            category="Tables",
        ),
    log:
        P.log(
            "tabulate_preservation", P.table.format(table="preservation", format="csv")
        ),
    benchmark:
        P.benchmark(
            "tabulate_preservation", P.table.format(table="preservation", format="csv")
        )
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_preservation"),
        methods=lambda w: json.dumps(REPORT.table_rows()),
        targets=TARGETS,
    message:
        "Make the table of preservation"
    shell:
        "python -m tabulate_preservation --metrics {input:q} --methods {params.methods:q}"
        " --targets {params.targets} --csv {output.csv:q} --html {output.html:q} &> {log:q}"


rule describe_methods:
    output:
        csv=P.table.format(table="about", format="csv"),
        html=report(
            P.table.format(table="about", format="html"),
            caption="../report/about.rst",
            category="Methods",
        ),
        bib=report(P.references, caption="../report/about.rst", category="Methods"),
    log:
        P.log("describe_methods", P.table.format(table="about", format="csv")),
    benchmark:
        P.benchmark("describe_methods", P.table.format(table="about", format="csv"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=2, minutes=10),
    params:
        version=PLAN.version("describe_methods"),
        # In the order of the methods.
        methods=lambda w: json.dumps(REPORT.described()),
        # BibTeX is full of braces, in which Snakemake would look for wildcards.
        references=lambda w: as_json(REPORT.references()),
    message:
        "Describe the methods"
    shell:
        "python -m describe_methods --methods {params.methods:q} --references {params.references:q}"
        " --csv {output.csv:q} --html {output.html:q} --bib {output.bib:q} &> {log:q}"


rule tabulate_methods:
    input:
        expand_models(P.card, MODELS, PLAN.test_subjects()),
    output:
        csv=P.table.format(table="methods", format="csv"),
        tex=P.table.format(table="methods", format="tex"),
        html=report(
            P.table.format(table="methods", format="html"),
            caption="../report/methods.rst",
            category="Tables",
        ),
    log:
        P.log("tabulate_methods", P.table.format(table="methods", format="csv")),
    benchmark:
        P.benchmark("tabulate_methods", P.table.format(table="methods", format="csv"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_methods"),
        folders=lambda w: P.model,
        models=json.dumps(MODELS),
        folds=json.dumps(PLAN.test_subjects()),
        methods=lambda w: json.dumps(REPORT.table_rows()),
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
        csv=P.table.format(table="runtime", format="csv"),
        tex=P.table.format(table="runtime", format="tex"),
        html=report(
            P.table.format(table="runtime", format="html"),
            caption="../report/runtime.rst",
            category="Tables",
        ),
    log:
        P.log("tabulate_runtime", P.table.format(table="runtime", format="csv")),
    benchmark:
        P.benchmark("tabulate_runtime", P.table.format(table="runtime", format="csv"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_runtime"),
        benchmarks=lambda w: P.fit_benchmark,
        models=json.dumps(MODELS),
        folds=json.dumps(PLAN.test_subjects()),
        methods=lambda w: json.dumps(REPORT.table_rows()),
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
        csv=P.table.format(table="registration", format="csv"),
        html=report(
            P.table.format(table="registration", format="html"),
            caption="../report/registration.rst",
            category="Registration",
        ),
    log:
        P.log(
            "tabulate_registrations",
            P.table.format(table="registration", format="csv"),
        ),
    benchmark:
        P.benchmark(
            "tabulate_registrations",
            P.table.format(table="registration", format="csv"),
        )
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_registrations"),
        of_scans=as_options(
            dict(
                zip(
                    ("subjects", "platforms", "scans"),
                    zip(*PLAN.registered_scans()),
                )
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
        pdf=P.figure.format(figure="registration_{subject}", format="pdf"),
        png=report(
            P.figure.format(figure="registration_{subject}", format="png"),
            caption="../report/registration.rst",
            category="Registration",
            labels={"subject": "{subject}"},
        ),
    log:
        P.log(
            "plot_registration",
            P.figure.format(figure="registration_{subject}", format="png"),
        ),
    benchmark:
        P.benchmark(
            "plot_registration",
            P.figure.format(figure="registration_{subject}", format="png"),
        )
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
        pdf=P.figure.format(figure="platforms", format="pdf"),
        png=report(
            P.figure.format(figure="platforms", format="png"),
            caption="../report/platforms.rst",
            category="Figures",
        ),
    log:
        P.log("plot_platforms", P.figure.format(figure="platforms", format="png")),
    benchmark:
        P.benchmark("plot_platforms", P.figure.format(figure="platforms", format="png"))
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
        pdf=P.figure.format(figure="patches", format="pdf"),
        png=report(
            P.figure.format(figure="patches", format="png"),
            caption="../report/patches.rst",
            category="Figures",
        ),
    log:
        P.log("plot_patches", P.figure.format(figure="patches", format="png")),
    benchmark:
        P.benchmark("plot_patches", P.figure.format(figure="patches", format="png"))
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
        pdf=P.figure.format(figure="improvements", format="pdf"),
        png=report(
            P.figure.format(figure="improvements", format="png"),
            caption="../report/improvements.rst",
            category="Figures",
        ),
    log:
        P.log("plot_improvements", P.figure.format(figure="improvements", format="png")),
    benchmark:
        P.benchmark(
            "plot_improvements", P.figure.format(figure="improvements", format="png")
        )
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_improvements"),
        # In the order of the methods.
        methods=lambda w: json.dumps(REPORT.table_rows()),
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
        pdf=P.figure.format(figure="regions", format="pdf"),
        png=report(
            P.figure.format(figure="regions", format="png"),
            caption="../report/regions_figure.rst",
            category="Figures",
        ),
    log:
        P.log("plot_regions", P.figure.format(figure="regions", format="png")),
    benchmark:
        P.benchmark("plot_regions", P.figure.format(figure="regions", format="png"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_regions"),
        # In the order of the methods.
        methods=lambda w: json.dumps(REPORT.table_rows()),
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
        pdf=P.figure.format(figure="cost", format="pdf"),
        png=report(
            P.figure.format(figure="cost", format="png"),
            caption="../report/cost.rst",
            category="Figures",
        ),
    log:
        P.log("plot_cost", P.figure.format(figure="cost", format="png")),
    benchmark:
        P.benchmark("plot_cost", P.figure.format(figure="cost", format="png"))
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_cost"),
        benchmarks=lambda w: P.fit_benchmark,
        fits=lambda w: json.dumps(PLAN.needed_models()),
        folds=lambda w: json.dumps(PLAN.test_subjects()),
        methods=lambda w: json.dumps(REPORT.table_rows()),
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
        pdf=P.figure.format(figure="branches", format="pdf"),
        png=report(
            P.figure.format(figure="branches", format="png"),
            caption="../report/branches.rst",
            category="Figures",
        ),
    log:
        P.log("plot_branches", P.figure.format(figure="branches", format="png")),
    benchmark:
        P.benchmark("plot_branches", P.figure.format(figure="branches", format="png"))
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
        pdf=P.figure.format(figure="learning_curves", format="pdf"),
        png=report(
            P.figure.format(figure="learning_curves", format="png"),
            caption="../report/learning_curves.rst",
            category="Figures",
        ),
    log:
        P.log(
            "plot_learning_curves",
            P.figure.format(figure="learning_curves", format="png"),
        ),
    benchmark:
        P.benchmark(
            "plot_learning_curves",
            P.figure.format(figure="learning_curves", format="png"),
        )
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
        labels=lambda w: json.dumps(REPORT.labels(TRAINED)),
        targets=TARGETS,
    message:
        "Draw the learning curves"
    shell:
        "python -m plot_learning_curves --folders {params.folders:q}"
        " --models {params.models:q} --linear {params.linear:q} --folds {params.folds:q}"
        " --labels {params.labels:q} --targets {params.targets} --output {output:q} &> {log:q}"


rule plot_architecture:
    output:
        pdf=P.figure.format(figure="architecture", format="pdf"),
        png=report(
            P.figure.format(figure="architecture", format="png"),
            caption="../report/architecture.rst",
            category="Methods",
        ),
    log:
        P.log("plot_architecture", P.figure.format(figure="architecture", format="png")),
    benchmark:
        P.benchmark(
            "plot_architecture", P.figure.format(figure="architecture", format="png")
        )
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
        pdf=P.figure.format(figure="errors_{target}", format="pdf"),
        png=report(
            P.figure.format(figure="errors_{target}", format="png"),
            caption="../report/errors.rst",
            category="Figures",
            labels={"target": "{target}"},
        ),
    log:
        P.log("plot_errors", P.figure.format(figure="errors_{target}", format="png")),
    benchmark:
        P.benchmark(
            "plot_errors", P.figure.format(figure="errors_{target}", format="png")
        )
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
        pdf=P.figure.format(figure="glyphs_{target}", format="pdf"),
        png=report(
            P.figure.format(figure="glyphs_{target}", format="png"),
            caption="../report/glyphs.rst",
            category="Figures",
            labels={"target": "{target}"},
        ),
    log:
        P.log("plot_glyphs", P.figure.format(figure="glyphs_{target}", format="png")),
    benchmark:
        P.benchmark(
            "plot_glyphs", P.figure.format(figure="glyphs_{target}", format="png")
        )
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
        csv=P.table.format(table="limited_data", format="csv"),
        html=report(
            P.table.format(table="limited_data", format="html"),
            caption="../report/limited_data.rst",
            category="Tables",
        ),
    log:
        P.log(
            "tabulate_limited_data", P.table.format(table="limited_data", format="csv")
        ),
    benchmark:
        P.benchmark(
            "tabulate_limited_data", P.table.format(table="limited_data", format="csv")
        )
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("tabulate_limited_data"),
        # In the order of the methods; the first is what all are compared with.
        methods=lambda w: json.dumps(REPORT.table_rows()),
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
        pdf=P.figure.format(figure="limited_data", format="pdf"),
        png=report(
            P.figure.format(figure="limited_data", format="png"),
            caption="../report/limited_data.rst",
            category="Figures",
        ),
    log:
        P.log("plot_limited_data", P.figure.format(figure="limited_data", format="png")),
    benchmark:
        P.benchmark(
            "plot_limited_data", P.figure.format(figure="limited_data", format="png")
        )
    conda:
        "../../envs/environment.yaml"
    resources:
        **needs(gigabytes=4, minutes=20),
    params:
        version=PLAN.version("plot_limited_data"),
        methods=lambda w: json.dumps(REPORT.table_rows()),
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
