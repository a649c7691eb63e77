"""Settings that users write, checked against schemas."""

import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from harmonization.files import InputError, read_text

Settings = dict[str, Any]


def read_yaml(path: Path, if_missing: str = "is missing") -> Any:
    """Read a YAML file that a user may have written; see `read_text`.

    Raises
    ------
    InputError
        If it cannot be read, or is not valid YAML.
    """
    try:
        return yaml.safe_load(read_text(path, if_missing))
    except (yaml.YAMLError, ValueError) as error:  # such as a date in month 13
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None


def check(settings: Settings, schema_file: Path, name: str) -> Settings:
    """Refuse settings that do not fit the schema in a YAML file; see `check_settings`."""
    return check_settings(settings, _read_schema(schema_file), name)


@cache
def _read_schema(path: Path) -> Settings:
    return read_yaml(path)


def check_settings(settings: Settings, schema: Settings, name: str, part: str = "") -> Settings:
    """Refuse settings that do not fit a schema.

    Parameters
    ----------
    settings, schema : dict
    name : str
        Name of the settings in messages.
    part : str
        Key of all that is named so under which they stand, such as ``network``.

    Returns
    -------
    dict
        The settings, with strings such as '7' or '5e-4' turned into numbers, and numbers into
        labels where the schema wants labels: Snakemake makes strings of all numbers within
        ``--config``, and YAML of some, such as 1e3; YAML makes numbers of labels such as 7. Whole
        numbers are integers where the schema wants these.

    Raises
    ------
    InputError
        One line for each problem: the key, what is wrong, and the nearest valid key for a typo.
    """
    settings = _typed(settings, schema, schema)
    validator = Draft202012Validator(schema)
    problems = [
        f"{name}: {problem}"
        for error in validator.iter_errors(settings)
        for problem in _describe(error, part)
    ]
    # No bound of a schema refuses these.
    problems += [
        f"{name}: {'.'.join(where)}: is {value}; give a finite number"
        for where, value in leaves(settings, (part,) if part else ())
        if isinstance(value, float) and not math.isfinite(value)
    ]
    if problems:
        raise InputError("\n".join(sorted(problems)))
    return settings


def resolved(schema: Settings, root: Settings) -> Settings:
    """Part of the schema `root`, with the definition that it refers to merged in."""
    if "$ref" not in schema:
        return schema
    *_, section, name = schema["$ref"].split("/")
    return {**root[section][name], **schema}


def leaves(settings: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value in nested settings, and the keys that lead to it."""
    if isinstance(settings, dict | list):
        items = settings.items() if isinstance(settings, dict) else enumerate(settings)
        for key, value in items:
            yield from leaves(value, (*where, str(key)))
    else:
        yield where, settings


def _typed(value: Any, schema: Any, root: Settings) -> Any:
    """Parse strings as JSON wherever the schema does not want a string."""
    if not isinstance(schema, dict):
        return value
    schema = resolved(schema, root)
    if isinstance(value, dict):
        known = dict(schema.get("properties", {}))
        for alternative in schema.get("oneOf", []):
            known |= alternative.get("properties", {})
        other = schema.get("additionalProperties")
        named = schema.get("propertyNames", {}).get("type") == "string"
        return {
            str(key) if named else key: _typed(item, known.get(key, other), root)
            for key, item in value.items()
        }
    if isinstance(value, list):
        lists = [part for part in (schema, *schema.get("oneOf", [])) if "items" in part]
        return [_typed(item, lists[0]["items"] if lists else None, root) for item in value]
    if type(value) is int and schema.get("type") == "string":
        return str(value)
    if isinstance(value, str) and schema.get("type") != "string":
        with suppress(json.JSONDecodeError):
            value = json.loads(value)
    if isinstance(value, float) and value.is_integer() and _wants_integer(schema, root):
        return int(value)
    return value


def _wants_integer(schema: Settings, root: Settings) -> bool:
    """Whether a schema takes integers, and no other numbers."""
    parts = [schema, *schema.get("oneOf", []), *schema.get("anyOf", [])]
    types = [resolved(part, root).get("type", []) for part in parts]
    wanted = {kind for found in types for kind in ([found] if isinstance(found, str) else found)}
    return "integer" in wanted and "number" not in wanted


def _describe(error: ValidationError, part: str) -> Iterator[str]:
    where = ".".join([part] * bool(part) + [*map(str, error.absolute_path)]) or "top level"
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        place = f"in {part}" if where == part else f"at {where}"
        for key in set(error.instance) - set(known):
            yield f"unknown key '{key}' {place}{suggest(key, known)}"
    elif error.validator == "pattern" and "allowed" in error.schema:
        yield f"{where}: '{error.instance}': give {error.schema['allowed']}{_without_entity(error)}"
    elif error.validator == "minItems":
        least = error.validator_value
        yield f"{where}: {error.instance!r} are {len(error.instance)}; give at least {least}"
    elif error.validator == "type" and error.validator_value == "array":
        listed = f": [{error.instance}]" if isinstance(error.instance, str | float | int) else ""
        yield f"{where}: {error.instance!r} is no list; give a list{listed}"
    elif error.validator in ("oneOf", "anyOf") and error.context:
        # The user meant the alternative that no type or name rules out.
        alternatives: dict[int, list[ValidationError]] = {}
        for nested in error.context:
            alternatives.setdefault(nested.schema_path[0], []).append(nested)
        for nested in min(alternatives.values(), key=lambda e: (_ruled_out(e), len(e))):
            yield from _describe(nested, part)
    elif error.validator == "type" and error.validator_value == "string":
        if error.instance is None:
            yield f"{where}: YAML reads None, not text; give one, in quotes"
        elif isinstance(error.instance, list | dict):
            yield f"{where}: is {error.instance!r}; give one text"
        else:
            yield f"{where}: YAML reads {error.instance!r}, not text; put it in quotes"
    else:
        yield f"{where}: {error.message}"


def _without_entity(error: ValidationError) -> str:
    """Advice for a label with its entity, such as ``sub-A``, where the label alone is allowed."""
    entity = re.match("[a-z]+-", error.instance)
    label_alone = entity and re.search(error.validator_value, error.instance[entity.end() :])
    return f", without `{entity[0]}`" if entity and label_alone else ""


def _ruled_out(errors: list[ValidationError]) -> bool:
    return any(
        error.validator in ("const", "enum")
        or (error.validator == "type" and not error.relative_path)
        for error in errors
    )


def suggest(word: Any, known: list[str]) -> str:
    """Suggest the nearest valid word, or else list all valid words."""
    close = get_close_matches(str(word), known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; valid are: {', '.join(sorted(known))}"
