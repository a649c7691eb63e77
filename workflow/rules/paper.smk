# Reads: metrics.csv, models/, sh/ and the slices in evaluation/. Writes: tables/ and figures/, and
# config.yaml, the configuration that all of it was made with.

# Everything is shown for the test subject of the first fold.
SHOWN_FOLD = 0
SHOWN_SUBJECT = parts(SHOWN_FOLD)["test"][0]


rule write_config:
    output:
        P.config,
    log:
        P.log(P.config),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("write_config"),
        config=as_json({**config, "method_settings": METHODS}),
    message:
        "Write the configuration of the run"
    shell:
        "python -m write_config --config {params.config:q} --output {output} &> {log}"


rule patch_mse_table:
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
        P.log(P.table.format(table="patch_mse", format="csv")),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("make_table"),
        # In the order of the methods, which is that of the table's rows.
        labels=json.dumps({name: METHODS[name]["label"] for name in config["methods"]}),
        targets=TARGETS,
    message:
        "Make the table of patch MSE"
    shell:
        "python -m make_table --metrics {input} --labels {params.labels:q}"
        " --targets {params.targets} --csv {output.csv} --tex {output.tex} --html {output.html} &> {log}"


rule registration_table:
    input:
        of_registered(P.quality),
    output:
        csv=P.table.format(table="registration", format="csv"),
        html=report(
            P.table.format(table="registration", format="html"),
            caption="../report/registration.rst",
            category="Registration",
        ),
    log:
        P.log(P.table.format(table="registration", format="csv")),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("tabulate_registrations"),
        of_scans=options(
            dict(
                zip(
                    ("subjects", "platforms", "scans"),
                    map(" ".join, zip(*registered())),
                )
            )
        ),
    message:
        "Make the table of registrations"
    shell:
        "python -m tabulate_registrations --qualities {input} {params.of_scans}"
        " --csv {output.csv} --html {output.html} &> {log}"


rule registration_figure:
    input:
        fixed=lambda w: scan_of(w.subject, SOURCE).dwi,
        fixed_bval=lambda w: scan_of(w.subject, SOURCE).bval,
        dwi=lambda w: [scan_of(*s).dwi for s in registered() if s[0] == w.subject],
        bval=lambda w: [scan_of(*s).bval for s in registered() if s[0] == w.subject],
        transforms=lambda w: of_registered(P.transform, w.subject),
        qualities=lambda w: of_registered(P.quality, w.subject),
    output:
        pdf=P.figure.format(figure="registration_{subject}", format="pdf"),
        png=report(
            P.figure.format(figure="registration_{subject}", format="png"),
            caption="../report/registration.rst",
            category="Registration",
            labels={"subject": "{subject}"},
        ),
    log:
        P.log(P.figure.format(figure="registration_{subject}", format="png")),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("plot_registration"),
        labels=lambda w: [
            f"{platform} ({scan})" if scan == "rescan" else platform
            for subject, platform, scan in registered()
            if subject == w.subject
        ],
        title=lambda w: f"{SOURCE} of subject {w.subject} in red, the others in cyan",
    message:
        "Draw the registrations of {wildcards.subject}"
    shell:
        "python -m plot_registration --fixed {input.fixed} {input.fixed_bval}"
        " --labels {params.labels:q} --dwi {input.dwi} --bval {input.bval}"
        " --transforms {input.transforms} --qualities {input.qualities}"
        " --title {params.title:q} --output {output} &> {log}"


rule platforms_figure:
    input:
        dwi=[scan_of(SHOWN_SUBJECT, platform).dwi for platform in [SOURCE, *TARGETS]],
        bval=[scan_of(SHOWN_SUBJECT, platform).bval for platform in [SOURCE, *TARGETS]],
        sh=expand(P.sh, scan="scan", subject=SHOWN_SUBJECT, platform=[SOURCE, *TARGETS]),
    output:
        pdf=P.figure.format(figure="platforms", format="pdf"),
        png=report(
            P.figure.format(figure="platforms", format="png"),
            caption="../report/platforms.rst",
            category="Figures",
        ),
    log:
        P.log(P.figure.format(figure="platforms", format="png")),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("plot_platforms"),
        platforms=[SOURCE, *TARGETS],
        subject=SHOWN_SUBJECT,
    message:
        "Draw all platforms of {SHOWN_SUBJECT}"
    shell:
        "python -m plot_platforms --platforms {params.platforms} --dwi {input.dwi}"
        " --bval {input.bval} --sh {input.sh} --subject {params.subject} --output {output} &> {log}"


rule learning_curves_figure:
    input:
        [
            file
            for name in TRAINED
            for fold in FOLDS
            for file in models(name, fold, P.history)
        ],
    output:
        pdf=P.figure.format(figure="learning_curves", format="pdf"),
        png=report(
            P.figure.format(figure="learning_curves", format="png"),
            caption="../report/learning_curves.rst",
            category="Figures",
        ),
    log:
        P.log(P.figure.format(figure="learning_curves", format="png")),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("plot_learning_curves"),
        models=lambda w, input: [str(Path(file).parent) for file in input],
    message:
        "Draw the learning curves"
    shell:
        "python -m plot_learning_curves --models {params.models}"
        " --output {output} &> {log}"


rule errors_figure:
    input:
        lambda w: predicted(
            P.slice, targets=[w.target], folds=[SHOWN_FOLD], limit_seeds=1
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
        P.log(P.figure.format(figure="errors_{target}", format="png")),
    conda:
        "../../envs/environment.yaml"
    params:
        version=version("plot_errors"),
        labels=[METHODS[name]["label"] for name in config["methods"]],
        title=lambda w: f"{w.target} of subject {SHOWN_SUBJECT}",
    message:
        "Draw the errors on {wildcards.target}"
    shell:
        "python -m plot_errors --labels {params.labels:q} --slices {input}"
        " --title {params.title:q} --output {output} &> {log}"
