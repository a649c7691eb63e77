"""The page of a run: every table, sortable, and every figure in one file that needs no network."""

import html
import json
import re
from base64 import b64encode
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
from docutils.core import publish_parts
from itables import options
from itables.javascript import get_itables_extension_arguments
from jinja2 import Template

from harmonization.files import InputError
from harmonization.report.tables import as_text

# In this order; a table that is not listed comes after these.
TITLES = {
    "claims": "Claims",
    "patch_mse": "Patch MSE × 1000",
    "comparisons": "Comparisons",
    "ablations": "Ablations",
    "limited_data": "Limited data, patch MSE × 1000",
    "regions": "Regions, errors × 1000",
    "features": "Features",
    "preservation": "Preservation",
    "methods": "Methods",
    "runtime": "Runtime",
    "registration": "Registration",
    "settings": "Settings",
    "about": "About the methods",
}
# The rest of these columns is in the CSV.
HIDDEN = {
    "claims": ["method", "against", "metric", "declared", "p"],
    "comparisons": ["role", "metric", "target"],
    "ablations": ["role", "metric", "target"],
    "regions": ["metric"],
}
FIRST = {"claims": ["claim", "statement", "verdict"]}
COUNTS = ["n", "voxels"]
# Never numbers, though a subject may be called 1001 or 01.
LABELS = ["subject", "platform", "scan", "target", "method", "against"]
UNITS = {"shift": "mm", "rotation": "degrees", "peak_memory": "MiB"}
UNITS |= dict.fromkeys(("change", "low", "high", "lowest", "highest"), "%")
UNITS |= dict.fromkeys(("sd_subjects", "sd_seeds"), "%")
FORMATS = dict.fromkeys(("change", "low", "high", "lowest", "highest"), "{:+.1f}")
FORMATS |= dict.fromkeys(("sd_subjects", "sd_seeds"), "{:.1f}")
FORMATS |= dict.fromkeys(("dead_units", "smallest_branch", "stretch"), "{:.1%}")
SENTENCE = re.compile(r"(?<=\.)\s+(?=[A-Z*])")
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"

STYLE = """
:root { color-scheme: light; --line: #d4d8dd; --soft: #5b6570; --accent: #0b5cad; }
body { margin: 0 auto; max-width: 1500px; padding: 1.5rem 2rem 4rem; color: #1c2229;
       font: 15px/1.5 system-ui, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .3rem; padding-top: .7rem;
     border-top: 1px solid var(--line); }
h3 { font-size: .95rem; margin: .5rem 0 .2rem; overflow-wrap: anywhere; }
p { margin: .3rem 0; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin-top: 1rem; }
.text { max-width: 62rem; }
.caption { color: var(--soft); max-width: 62rem; }
summary { cursor: pointer; color: var(--accent); }
.dt-container { margin-top: .6rem; font-size: 13px; }
div.dt-container div.dt-layout-row { margin: .4rem 0; }
div.dt-layout-table > div { max-height: 34rem; }
div.dt-container div.dt-search { text-align: left; }
table.dataTable { margin: 0; width: auto; font-variant-numeric: tabular-nums; }
table.dataTable > thead > tr > th { position: sticky; top: 0; z-index: 1; background: #f3f5f7;
                                    white-space: nowrap; vertical-align: bottom; }
table.dataTable > tbody > tr > td { vertical-align: top; white-space: nowrap; }
table.dataTable > tbody > tr > td.long { white-space: normal; min-width: 15rem; max-width: 30rem; }
.grid { display: grid; gap: 1.4rem; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr));
        margin-top: .8rem; }
figure { margin: 0; }
figure button { display: block; width: 100%; height: 190px; padding: 6px; background: #fff;
                border: 1px solid var(--line); border-radius: 4px; cursor: zoom-in; }
figure button:hover, figure button:focus-visible { border-color: var(--accent); }
figure img { width: 100%; height: 100%; object-fit: contain; }
figure p { font-size: 13px; line-height: 1.4; }
figure details { display: none; }
dialog { width: min(95vw, 1500px); max-height: 94vh; box-sizing: border-box; padding: 1rem 1.4rem;
         border: 1px solid var(--line); border-radius: 6px; }
dialog::backdrop { background: rgb(0 0 0 / 60%); }
dialog img { display: block; max-width: 100%; margin: 0 auto; }
dialog form { float: right; }
dialog summary { display: none; }
"""
SCRIPT = """
for (const [name, settings] of Object.entries(tables))
    new ITable(document.getElementById(name), settings);
const dialog = document.querySelector("dialog");
for (const figure of document.querySelectorAll("figure")) {
    const image = figure.querySelector("img");
    figure.querySelector("button").addEventListener("click", () => {
        const enlarged = dialog.querySelector("img");
        enlarged.src = image.src;
        enlarged.alt = image.alt;
        const caption = dialog.querySelector("div");
        caption.innerHTML = figure.querySelector("figcaption").innerHTML;
        caption.querySelectorAll("details").forEach(more => { more.open = true; });
        dialog.showModal();
        dialog.scrollTop = 0;
    });
}
dialog.addEventListener("click", event => { if (event.target === dialog) dialog.close(); });
"""
# Browsers ask for an icon, unless there is an empty one.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Run {{ run }}</title>
<link rel="icon" href="data:,">
{% for style in styles %}<style>{{ style }}</style>
{% endfor %}</head>
<body>
<h1>Run {{ run }}</h1>
<div class="text">{{ introduction }}<p>{{ how_to_read }}</p></div>
<noscript><p><b>The tables of this page need JavaScript; tables/*.html do not.</b></p></noscript>
<nav>{% for name, title in titles.items() %}<a href="#{{ name }}_table">{{ title }}</a>
{% endfor %}<a href="#figures">Figures</a></nav>
{{ sections | join("\n") }}
<h2 id="figures">Figures</h2>
<div class="grid">{{ cards | join("\n") }}</div>
<dialog><form method="dialog"><button>Close (Esc)</button></form>
<img alt=""><div class="caption"></div></dialog>
<script type="module">
import { ITable } from "data:text/javascript;charset=utf-8;base64,{{ library }}";
const tables = {{ settings }};
{{ script }}</script>
</body>
</html>
"""
HOW_TO_READ = (
    "Tables come first, with verdicts on claims, if there are any, at the top; then figures. Of "
    "two errors the lower is better; look at the number of subjects (n) before you trust a "
    "difference. Click on the head of a column to sort by it, type in the box above a table to "
    "keep the rows that have your words, click on a figure to enlarge it. The folders "
    "<i>tables</i> and <i>figures</i> beside this page have the same as CSV and PDF, and every "
    "digit."
)


def make_page(
    config: dict[str, Any], captions: dict[str, str], tables: list[Path], figures: list[Path]
) -> str:
    """Everything that a run shows, as HTML that loads nothing else.

    Parameters
    ----------
    config : dict
        The configuration of the run.
    captions : dict of str to str
        reStructuredText by name, as in `workflow/report`; ``workflow`` introduces the run.
    tables, figures : list of Path
        CSV and PNG files. Tables come in the order of `TITLES`, figures in the given one.

    Raises
    ------
    InputError
        If a file has no caption, or is not what its name says.
    """
    places = {name: place for place, name in enumerate(TITLES)}
    tables = sorted(tables, key=lambda path: places.get(path.stem, len(places)))
    shown = {path.stem: for_reading(path.stem, read_table(path), config) for path in tables}
    settings = {name: table_settings(table) for name, table in shown.items() if len(table)}
    of_figures = captions | {
        name.removesuffix("_figure"): text
        for name, text in captions.items()
        if name.endswith("_figure")
    }
    bundle = Path(options.dt_bundle)
    return Template(PAGE).render(
        run=html.escape(config["run"]),
        introduction=_html_of(_filled(captions["workflow"], "", config)),
        how_to_read=HOW_TO_READ,
        titles={path.stem: _title(path.stem) for path in tables},
        sections=[table_section(p, captions, config, p.stem in settings) for p in tables],
        cards=[figure_card(path, of_figures, config) for path in figures],
        styles=[bundle.with_suffix(".css").read_text(encoding="utf-8"), STYLE],
        library=b64encode(bundle.read_bytes()).decode(),
        settings=json.dumps(settings, sort_keys=True),
        script=SCRIPT,
    )


def read_table(path: Path) -> pd.DataFrame:
    """A table of a run; what looks like a number is one, but for labels of subjects and others.

    Raises
    ------
    InputError
        If the file is not a CSV table.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: is not a CSV table ({str(error).strip()}); delete it, and run again"
        ) from None
    for name in table.columns.difference(LABELS, sort=False):
        known = table[name] != ""
        numbers = pd.to_numeric(table[name].where(known), errors="coerce")
        if known.any() and numbers[known].notna().all():
            table[name] = numbers
    return table


def for_reading(name: str, table: pd.DataFrame, config: dict[str, Any]) -> pd.DataFrame:
    """The rows and columns that a page shows of a table, as text.

    Parameters
    ----------
    name : str
        Of the table, without suffix.
    table : DataFrame
        As from `read_table`.
    config : dict
        Of the run; its targets keep their names.
    """
    if name in ("comparisons", "ablations"):
        table = changes(table)
    if name == "regions":
        table = table[
            table["metric"] == ("excess" if (table["metric"] == "excess").any() else "mse")
        ]
    numbers = table.select_dtypes("number").columns
    if name in ("patch_mse", "regions"):
        table = table.assign(**{c: 1000 * table[c] for c in numbers if c not in COUNTS})
    if name == "limited_data":
        table = table.assign(patch_mse=1000 * table["patch_mse"])
    empty = [c for c in table if (table[c].isna() | (table[c] == "")).all()] if len(table) else []
    table = table.drop(columns=[*HIDDEN.get(name, []), *empty], errors="ignore")
    table = table[[*FIRST.get(name, []), *table.columns.drop(FIRST.get(name, []))]]
    formats = {c: format_of(c, table[c]) if c in numbers else "{}" for c in table}
    heads = [head(c, config["targets"], c in numbers) for c in table]
    return as_text(table, formats).set_axis(heads, axis="columns")


def changes(table: pd.DataFrame) -> pd.DataFrame:
    """Changes of patch MSE: a row for each method and reference, a column for each target."""
    rows = table[table["metric"] == "patch_mse"]
    keys = ["against", "method", "family"]
    whole = rows[rows["target"] == "mean"]
    for target in rows["target"].unique():
        if target != "mean":
            of_target = rows[rows["target"] == target].set_index(keys)["change"]
            whole = whole.join(of_target.rename(f"{target}_change"), on=keys)
    return whole


def format_of(name: str, values: pd.Series) -> str:
    """How to write a column of numbers: all with the same number of digits after the point."""
    if _measure(name) in FORMATS:
        return FORMATS[_measure(name)]
    values = values.dropna()
    largest = values.abs().max() if len(values) else 0
    if 0 < largest < 1e-3 or largest >= 1e9:
        return "{:.2e}"
    if (values % 1 == 0).all():
        return "{:,.0f}"
    return "{:,.1f}" if largest >= 100 else "{:.3f}"


def head(column: str, targets: list[str], has_unit: bool) -> str:
    """Head of a column: its name in words, but for names of targets, and its unit, if known."""
    named = [t for t in targets if column == t or column.startswith(f"{t}_")]
    target = max(named, key=len, default="")
    words = target + column.removeprefix(target).replace("_", " ")
    unit = UNITS.get(_measure(column)) if has_unit else None
    return f"{words} ({unit})" if unit else words


def _measure(column: str) -> str:
    return "change" if column.endswith("_change") else column


def table_settings(table: pd.DataFrame) -> dict[str, Any]:
    """Settings of a table for `ITable`: all rows on one page, and a box to search in."""
    long = [i for i, name in enumerate(table) if table[name].str.len().max() > 40]
    settings, _ = get_itables_extension_arguments(
        table,
        layout=dict.fromkeys(("topEnd", "bottomStart", "bottomEnd")) | {"topStart": "search"},
        paging=False,
        showIndex=False,
        text_in_header_can_be_selected=False,
        allow_html=False,  # nor can a label end the script that holds the table
        columnDefs=[{"targets": long, "className": "long"}],
        maxBytes=0,
        maxColumns=0,
    )
    return settings


def table_section(
    path: Path, captions: dict[str, str], config: dict[str, Any], has_rows: bool
) -> str:
    """A table's title, its caption and where it will stand."""
    table = f'<table id="{path.stem}" class="display compact"></table>'
    return (
        f'<section><h2 id="{path.stem}_table">{_title(path.stem)}</h2>'
        f'<div class="caption">{caption_of(path, captions, config)}</div>'
        f"{table if has_rows else '<p>This run has none.</p>'}</section>"
    )


def figure_card(path: Path, captions: dict[str, str], config: dict[str, Any]) -> str:
    """A figure, small, with its name and its caption.

    Raises
    ------
    InputError
        If the file is not a whole PNG image.
    """
    content = path.read_bytes()
    if not (content.startswith(PNG_START) and content.endswith(PNG_END)):
        raise InputError(f"{path}: is not a whole PNG image; delete it, and run again")
    name, image = html.escape(path.stem), b64encode(content).decode()
    return (
        f'<figure id="figure_{name}"><button type="button" title="Enlarge">'
        f'<img alt="{name}" loading="lazy" src="data:image/png;base64,{image}">'
        f"</button><figcaption><h3>{name}</h3>{caption_of(path, captions, config)}</figcaption>"
        "</figure>"
    )


def caption_of(path: Path, captions: dict[str, str], config: dict[str, Any]) -> str:
    """The first sentence of a file's caption as HTML, and the others folded.

    A caption belongs to all files whose name goes on after its own, such as ``errors_<target>``.

    Raises
    ------
    InputError
        If there is none.
    """
    name = path.stem
    fitting = [known for known in captions if name == known or name.startswith(f"{known}_")]
    if not fitting:
        raise InputError(f"{path}: has no caption; write workflow/report/{name}.rst")
    known = max(fitting, key=len)
    text = _filled(captions[known], name.removeprefix(known).removeprefix("_"), config)
    first, *more = SENTENCE.split(text.strip(), maxsplit=1)
    folded = f"<details><summary>More</summary>{_html_of(more[0])}</details>" if more else ""
    return _html_of(first) + folded


def _filled(text: str, wildcard: str, config: dict[str, Any]) -> str:
    """A caption with what Snakemake fills in; a file has one wildcard at most."""
    wildcards = defaultdict(lambda: wildcard)
    return Template(text).render(snakemake={"wildcards": wildcards, "config": config})


def _html_of(text: str) -> str:
    settings = {"file_insertion_enabled": False, "raw_enabled": False, "report_level": 5}
    return publish_parts(text, writer="html5", settings_overrides=settings)["body"]


def _title(name: str) -> str:
    return html.escape(TITLES.get(name, name.replace("_", " ").capitalize()))
