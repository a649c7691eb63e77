"""Write the tables of keys in config/README.md from the schemas, so that they cannot drift."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from harmonization.configuration import resolved
from harmonization.files import run_command, write_text

ROOT = Path(__file__).parent.parent
START, END = "<!-- keys of {name} -->\n", "<!-- end of {name} -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", type=Path, default=ROOT / "config/README.md")
    args = parser.parse_args()
    write_text(args.readme, documented(args.readme.read_text()))


def documented(text: str) -> str:
    """The text of the README with its tables made anew."""
    for name in ("config", "method"):
        schema = yaml.safe_load((ROOT / f"workflow/schemas/{name}.schema.yaml").read_text())
        start, end = START.format(name=name), END.format(name=name)
        before, rest = text.split(start)
        _, after = rest.split(end)
        rows = "".join(f"| `{key}` | {meaning} |\n" for key, meaning in keys(schema, schema))
        text = f"{before}{start}| key | meaning |\n| --- | --- |\n{rows}{end}{after}"
    return text


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
