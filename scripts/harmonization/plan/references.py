"""Publications that methods go back to, as BibTeX."""

import re
from pathlib import Path

from harmonization.files import InputError, read_text
from harmonization.plan.schemas import suggest

# An entry starts at the start of a line and ends with a brace that has a line of its own.
ENTRY = re.compile(r"^@\w+\{([^,\s]+),\n.*?^\}$", flags=re.MULTILINE | re.DOTALL)


def read_references(path: Path) -> dict[str, str]:
    """Entries of a BibTeX file, by key."""
    return {found[1]: found[0] for found in ENTRY.finditer(read_text(path))}


def check_references(name: str, keys: tuple[str, ...], files: list[Path]) -> None:
    """Refuse keys of a method that no file has.

    Raises
    ------
    InputError
        Names the method, the key and the nearest one.
    """
    known = [key for file in files for key in read_references(file)]
    for key in keys:
        if key not in known:
            where = " or ".join(map(str, files))
            raise InputError(
                f"method {name}: references: {where} has no entry '{key}'{suggest(key, known)}"
            )
