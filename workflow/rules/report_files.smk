# Files of tables and figures, and how Snakemake's report shows them, for the rules in report.smk.


def csv_of(table):
    """A table's file for machines, which stands for all of them in the names of logs."""
    return P.table.format(table=table, format="csv")


def png_of(figure):
    """A figure's file for screens, which stands for all of them in the names of logs."""
    return P.figure.format(figure=figure, format="png")


def table(name, *formats, category="Tables"):
    """Files of a table, by format; Snakemake's report shows the HTML, under the caption of that name."""
    files = {end: P.table.format(table=name, format=end) for end in formats}
    shown = report(files["html"], caption=f"../report/{name}.rst", category=category)
    return files | {"html": shown}


def figure(name, caption=None, category="Figures", labels=None):
    """Files of a figure, by format; Snakemake's report shows the PNG."""
    shown = report(
        png_of(name),
        caption=f"../report/{caption or name}.rst",
        category=category,
        labels=labels,
    )
    return {"pdf": P.figure.format(figure=name, format="pdf"), "png": shown}


def methods_shown(wildcards):
    """The methods for a command, in the order of rows, columns and panels."""
    return json.dumps(REPORT.table_rows())
