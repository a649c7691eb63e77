"""Baselines with rules of their own: a folder `workflow/baselines/<name>/`, in any language."""

import hashlib
import re
from pathlib import Path

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from harmonization.files import InputError
from harmonization.plan.schemas import Settings, check, check_settings, leaves, read_yaml

DESCRIPTION, RULES = "baseline.yaml", "Snakefile"
WORDS = ("label", "summary", "citation", "hardware")  # of a description, which change no number
NAME = "[a-z][a-z0-9_]*"  # of a method


def find_baselines(root: Path) -> dict[str, Path]:
    """Folders of all baselines with rules of their own, by name.

    Raises
    ------
    InputError
        If a name would not work in rules and on command lines.
    """
    folders = [path.parent for path in root.glob(f"workflow/baselines/*/{RULES}")]
    for folder in folders:
        if not re.fullmatch(NAME, folder.name):
            raise InputError(f"{folder}: rename it; small letters, digits and _ make a name")
    return {folder.name: folder for folder in folders}


def read_baseline(folder: Path, root: Path, overrides: Settings) -> Settings:
    """Read the description of a baseline.

    Parameters
    ----------
    folder, root : Path
        Its folder, and the root of the repository.
    overrides : dict
        What a run changes of it: ``settings`` only.

    Returns
    -------
    dict
        The description, with values in place of the schemas of its settings.

    Raises
    ------
    InputError
        If the description does not fit its schema, or the overrides do not fit the description.
    """
    path = folder / DESCRIPTION
    content = read_yaml(path, "is missing; write it as docs/adding-a-baseline.md says")
    found = check(content or {}, root / "workflow/schemas/baseline.schema.yaml", str(path))
    if other := set(overrides) - {"settings"}:
        raise InputError(
            f"configuration: overrides.{folder.name}.{min(map(str, other))}: a baseline with rules "
            "of its own has settings only"
        )
    schemas = found.get("settings", {})
    for key, wanted in schemas.items():
        _check_schema(wanted, f"{path}: settings.{key}")
    defaults = {key: schema["default"] for key, schema in schemas.items()}
    schema = {"type": "object", "additionalProperties": False, "properties": schemas}
    given = overrides.get("settings", {})
    if not isinstance(given, dict):
        raise InputError(
            f"configuration: overrides.{folder.name}.settings: {given!r} are no keys with values"
        )
    values = defaults | given
    return found | {"settings": check_settings(values, schema, f"method {folder.name}", "settings")}


def _check_schema(schema: Settings, name: str) -> None:
    """Refuse what is no JSON schema, or refers to another."""
    try:
        Draft202012Validator.check_schema(schema, Draft202012Validator.FORMAT_CHECKER)
    except SchemaError as error:
        where = ".".join([name, *map(str, error.absolute_path)])
        raise InputError(f"{where}: {error.message}; give a JSON schema") from None
    if any("$ref" in where for where, _ in leaves(schema)):
        raise InputError(f"{name}: $ref: there is nothing to refer to; write the schema itself")


def baseline_version(folder: Path) -> str:
    """Hash of all that a baseline's folder holds, so that a change of it runs it again.

    What its description only says of it does not count.
    """
    content = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not path.is_file() or any(p.startswith(".") or p == "__pycache__" for p in parts):
            continue
        holds = path.read_bytes()
        if parts == (DESCRIPTION,):
            said = read_yaml(path, "is missing")
            holds = repr([item for item in said.items() if item[0] not in WORDS]).encode()
        content.update(f"{path.relative_to(folder)}\n".encode() + holds)
    return content.hexdigest()[:16]
