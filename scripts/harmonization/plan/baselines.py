"""Baselines with rules of their own: a folder `workflow/baselines/<name>/`, in any language."""

import hashlib
from pathlib import Path

import yaml

from harmonization.files import InputError
from harmonization.plan.configuration import Settings, check, check_settings

DESCRIPTION, RULES = "baseline.yaml", "Snakefile"


def find_baselines(root: Path) -> dict[str, Path]:
    """Folders of all baselines with rules of their own, by name."""
    return {path.parent.name: path.parent for path in root.glob(f"workflow/baselines/*/{RULES}")}


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
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(
            f"{path}: is missing; write it as docs/adding-a-baseline.md says"
        ) from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    found = check(content or {}, root / "workflow/schemas/baseline.schema.yaml", str(path))
    if other := set(overrides) - {"settings"}:
        raise InputError(
            f"configuration: overrides.{folder.name}.{min(other)}: a baseline with rules of its "
            "own has settings only"
        )
    schemas = found.get("settings", {})
    defaults = {key: schema["default"] for key, schema in schemas.items()}
    schema = {"type": "object", "additionalProperties": False, "properties": schemas}
    given = overrides.get("settings", {})
    if not isinstance(given, dict):
        raise InputError(
            f"configuration: overrides.{folder.name}.settings: {given!r} are no keys with values"
        )
    values = defaults | given
    return found | {"settings": check_settings(values, schema, f"method {folder.name}: settings")}


def baseline_version(folder: Path) -> str:
    """Hash of all that a baseline's folder holds, so that a change of it runs it again."""
    content = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            content.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return content.hexdigest()[:16]
