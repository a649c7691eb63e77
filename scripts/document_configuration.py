"""Write the tables in config/README.md from the schemas and the code of the plug-ins."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harmonization.files import read_text, run_command, write_text
from harmonization.plan.methods import FAMILIES, WINGS, method_files, read_methods
from harmonization.plan.plugins import plugin_names, read_plugin
from harmonization.plan.schemas import read_yaml, resolved

ROOT = Path(__file__).parent.parent
START, END = "<!-- keys of {name} -->\n", "<!-- end of {name} -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", type=Path, default=ROOT / "config/README.md")
    args = parser.parse_args()
    write_text(args.readme, documented(read_text(args.readme)))


def documented(text: str) -> str:
    """Text of the README with new tables."""
    for name in ("config", "method", "baseline"):
        schema = read_yaml(ROOT / f"workflow/schemas/{name}.schema.yaml")
        rows = [(f"`{key}`", meaning) for key, meaning in keys(schema, schema)]
        text = with_table(text, name, [("key", "meaning"), *rows])
    text = with_table(text, "family", [("method", "family", "role", "what it is"), *method_rows()])
    return with_table(text, "plugin", [("key", "name", "setting", "meaning"), *plugin_rows()])


def with_table(text: str, name: str, rows: list[tuple[str, ...]]) -> str:
    """The text with new rows in one of its tables."""
    start, end = START.format(name=name), END.format(name=name)
    before, rest = text.split(start)
    _, after = rest.split(end)
    lines = [rows[0], ("---",) * len(rows[0]), *rows[1:]]
    return before + start + "".join(f"| {' | '.join(line)} |\n" for line in lines) + end + after


def method_rows() -> Iterator[tuple[str, ...]]:
    """Every method, family by family."""
    config = read_yaml(ROOT / "config/config.yaml")
    names = sorted(method_files(ROOT / "config/methods"))
    methods = read_methods(config | {"methods": names, "training": "full"}, ROOT)
    for method in sorted(methods.values(), key=lambda m: FAMILIES.index(m.family)):
        yield f"`{method.name}`", method.family, method.role, f"{method.label}. {method.citation}"


def plugin_rows() -> Iterator[tuple[str, ...]]:
    """Every plug-in, followed by its settings and those of its fit in closed form."""
    for key, wing in WINGS.items():
        for name in plugin_names(wing):
            plugin = read_plugin(wing, name)
            yield f"`{key}`", f"`{name}`", "", plugin.summary
            for setting, entry in plugin.settings["properties"].items():
                yield "", "", f"`{key}.{setting}`", entry["description"]
            for setting, entry in (plugin.solve or {}).get("properties", {}).items():
                yield "", "", f"`solve.{setting}`", entry["description"]


def keys(schema: dict[str, Any], root: dict[str, Any], prefix: str = "") -> Iterator[tuple]:
    """Every key of a schema, with dots between levels, and its description."""
    schema = resolved(schema, root)
    for name, raw in schema.get("properties", {}).items():
        entry = resolved(raw, root)
        if description := entry.get("description"):
            yield f"{prefix}{name}", description
        yield from keys(entry, root, f"{prefix}{name}.")
    named = schema.get("additionalProperties")
    if isinstance(named, dict):
        yield from keys(named, root, f"{prefix}<name>.")
    if isinstance(schema.get("items"), dict):
        yield from keys(schema["items"], root, prefix)
    for alternative in schema.get("oneOf", []):
        yield from keys(alternative, root, prefix)


if __name__ == "__main__":
    run_command(main)
