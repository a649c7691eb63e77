"""Write ARCHITECTURE.md from the docstrings of the packages and the imports in their code."""

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path

from harmonization.files import run_command, write_text
from harmonization.plan.version import imported_modules

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "scripts/harmonization"
GROUND = "ground"
# From bottom to top: a wing may import wings of lower floors, and itself.
FLOORS = (
    (GROUND,),
    ("plan", "images"),
    ("data", "learning"),
    ("networks", "classical", "report"),
    ("phantom",),
)
HEAD = """# Architecture

Written by `python scripts/document_architecture.py` from the docstrings of the packages and the
imports in their code; a test keeps it true. [CONTRIBUTING.md](CONTRIBUTING.md) has the rules of
the house, and says where to add what.

```
Snakefile, workflow/rules/    which job needs what; knows `plan` only
scripts/<rule>.py             one command for each rule, with its name: parses, reads, calls, writes
scripts/harmonization/        the library, in wings
config/                       runs, and methods by family
```

## Wings

A wing imports from lower floors only; the lowest is last.

| floor | wing | holds | imports |
| --- | --- | --- | --- |
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "ARCHITECTURE.md")
    args = parser.parse_args()
    write_text(args.output, documented())


def documented() -> str:
    """Text of ARCHITECTURE.md."""
    rows = [
        f"| {floor} | [`{wing}`](#{wing}) | {summary(wing)} | {', '.join(imports(wing)) or '–'} |\n"
        for floor, wings in reversed(list(enumerate(FLOORS)))
        for wing in wings
    ]
    sections = [
        f"\n### {wing}\n\n" + "".join(f"- `{p.stem}`: {first_line(p)}\n" for p in modules(wing))
        for wings in reversed(FLOORS)
        for wing in wings
    ]
    return HEAD + "".join(rows) + "\n## Modules\n" + "".join(sections)


def modules(wing: str) -> list[Path]:
    """Modules of a wing; those of the ground lie directly in the library."""
    folder = LIBRARY if wing == GROUND else LIBRARY / wing
    return sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")


def imports(wing: str) -> list[str]:
    """Other wings that the modules of a wing import."""
    return sorted({other for path in modules(wing) for other in wings_of(path)} - {wing})


def wings_of(path: Path) -> Iterator[str]:
    """Wings that a module imports."""
    for name in imported_modules(path):
        parts = name.split(".")[1:]
        if parts:
            yield parts[0] if (LIBRARY / parts[0]).is_dir() else GROUND


def summary(wing: str) -> str:
    """What a wing holds."""
    if wing == GROUND:
        return "What everything stands on: files, seeds, types of settings."
    return first_line(LIBRARY / wing / "__init__.py")


def first_line(path: Path) -> str:
    """First line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


if __name__ == "__main__":
    run_command(main)
