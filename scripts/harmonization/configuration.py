"""The configuration of a run: checked before anything starts.

Read by the Snakefile, so it imports nothing heavy.
"""

import ast
import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from harmonization.files import InputError

Settings = dict[str, Any]

# Kinds of data sets with scans that are not preprocessed yet.
RAW = ("raw", "openneuro")
# What platforms must say of themselves, by the kind of data set.
NEEDED = {
    "phantom": {"session", "acquisition"},
    "mushac": {"session", "acquisition"},
    "raw": {"session"},
    "openneuro": {"session"},
}


def check(settings: Settings, schema_file: Path, name: str) -> Settings:
    """Refuse settings that do not fit a schema.

    Parameters
    ----------
    settings : dict
    schema_file : Path
        YAML file.
    name : str
        What to call the settings in a message.

    Returns
    -------
    dict
        The settings, with numbers in the place of words such as '7' or '5e-4': all that Snakemake
        makes of numbers within ``--config``, and YAML of some.

    Raises
    ------
    InputError
        One line for each problem: the key, what is wrong, and the nearest valid key for a typo.
    """
    schema = yaml.safe_load(schema_file.read_text())
    settings = _typed(settings, schema, schema)
    validator = Draft202012Validator(schema)
    problems = [
        f"{name}: {problem}"
        for error in validator.iter_errors(settings)
        for problem in _describe(error)
    ]
    if problems:
        raise InputError("\n".join(sorted(problems)))
    return settings


def resolved(schema: Settings, root: Settings) -> Settings:
    """A part of the schema `root` with what it refers to put in."""
    if "$ref" not in schema:
        return schema
    *_, section, name = schema["$ref"].split("/")
    return {**root[section][name], **schema}


def _typed(value: Any, schema: Any, root: Settings) -> Any:
    """Read words as JSON wherever the schema wants no word."""
    if not isinstance(schema, dict):
        return value
    schema = resolved(schema, root)
    if isinstance(value, dict):
        known = dict(schema.get("properties", {}))
        for alternative in schema.get("oneOf", []):
            known |= alternative.get("properties", {})
        other = schema.get("additionalProperties")
        return {key: _typed(item, known.get(key, other), root) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item, schema.get("items"), root) for item in value]
    if isinstance(value, str) and schema.get("type") != "string":
        with suppress(json.JSONDecodeError):
            return json.loads(value)
    return value


def _describe(error: ValidationError) -> Iterator[str]:
    where = ".".join(map(str, error.absolute_path)) or "top level"
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        for key in set(error.instance) - set(known):
            yield f"unknown key '{key}' at {where}{suggest(key, known)}"
    elif error.validator == "oneOf" and error.context:
        # What the user meant is the alternative that no type or name rules out.
        alternatives: dict[int, list[ValidationError]] = {}
        for nested in error.context:
            alternatives.setdefault(nested.schema_path[0], []).append(nested)
        for nested in min(alternatives.values(), key=lambda e: (_ruled_out(e), len(e))):
            yield from _describe(nested)
    else:
        yield f"{where}: {error.message}"


def _ruled_out(errors: list[ValidationError]) -> bool:
    return any(error.validator in ("type", "const", "enum") for error in errors)


def suggest(word: str, known: list[str]) -> str:
    """The nearest valid word, or all of them."""
    close = get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; valid are: {', '.join(sorted(known))}"


def check_run(config: Settings, root: Path) -> Settings:
    """Refuse a configuration that does not fit its schema or contradicts itself.

    Parameters
    ----------
    config : dict
        The merged configuration.
    root : Path
        Of the repository.

    Returns
    -------
    dict
        The configuration, see `check`.
    """
    config = check(config, root / "workflow/schemas/config.schema.yaml", "configuration")
    platforms = list(config["platforms"])
    for key, names in (("source", [config["source"]]), ("targets", config["targets"])):
        for name in names:
            if name not in platforms:
                raise InputError(
                    f"configuration: {key}: no platform '{name}'{suggest(name, platforms)}"
                )
    if config["source"] in config["targets"]:
        raise InputError(f"configuration: targets: '{config['source']}' is the source already")
    wanted, plan = config["dataset"]["subjects"], config["cross_validation"]
    subjects = len(wanted) if isinstance(wanted, list) else wanted
    if plan["folds"] > subjects:
        raise InputError(
            f"configuration: cross_validation.folds: {plan['folds']} folds need as many subjects, "
            f"not {subjects}"
        )
    if subjects < plan["validation_subjects"] + 2:
        raise InputError(
            f"configuration: cross_validation.validation_subjects: nobody of {subjects} subjects "
            "is left to train on"
        )
    kind = config["dataset"]["kind"]
    if kind != "phantom" and config["dataset"]["root"] is None:
        raise InputError(f"configuration: dataset.root: kind {kind} needs the data set's folder")
    if kind == "openneuro" and not isinstance(wanted, list):
        raise InputError("configuration: dataset.subjects: of openneuro, list their labels")
    if kind == "openneuro" and not config["preprocessing"]["mask"]:
        raise InputError(
            "configuration: preprocessing.mask: openneuro has no masks to take instead"
        )
    for name, platform in config["platforms"].items():
        if missing := NEEDED.get(kind, set()) - set(platform):
            raise InputError(
                f"configuration: platforms.{name}: kind {kind} needs "
                f"{' and '.join(sorted(missing))}"
            )
        if kind == "phantom" and "crop" in platform:
            raise InputError(
                f"configuration: platforms.{name}.crop: a phantom is scanned at any resolution; "
                "change its voxel_size in dataset.parameters"
            )
    if kind in RAW:
        written_platforms(config["platforms"])
    if kind != "phantom":
        return config
    if isinstance(wanted, list):
        raise InputError("configuration: dataset.subjects: of a phantom, give a number")
    if config["spherical_harmonics"]["shell"] not in config["dataset"]["shells"]:
        raise InputError(
            f"configuration: spherical_harmonics.shell: {config['spherical_harmonics']['shell']} "
            f"is not among dataset.shells {config['dataset']['shells']}"
        )
    return config


def written_platforms(platforms: Settings) -> Settings:
    """Platforms of raw scans as they are in the derivative: named by BIDS entity ``acq``.

    Raises
    ------
    InputError
        If two would have the same name.
    """
    written: Settings = {}
    taken: dict[tuple[str, str], str] = {}
    for name, platform in platforms.items():
        label = "".join(filter(str.isalnum, name))
        other = taken.setdefault((platform["session"], label), name)
        if other != name:
            raise InputError(
                f"configuration: platforms.{name}: differs from '{other}' of the same session in "
                "no letter or digit; rename it"
            )
        of_raw = ("direction", "run", "description")
        kept = {key: value for key, value in platform.items() if key not in of_raw}
        written[name] = {**kept, "acquisition": label}
    return written


def read_methods(config: Settings, root: Path) -> dict[str, Settings]:
    """Settings of the methods to compare and of those they build on, overrides applied.

    Parameters
    ----------
    config : dict
        The merged configuration.
    root : Path
        Of the repository.

    Returns
    -------
    dict of str to dict
        By method: components first where they are not among the configured ones.
    """
    methods: dict[str, Settings] = {}
    waiting = list(config["methods"])
    while waiting:
        name = waiting.pop(0)
        if name in methods:
            continue
        settings = merge(_read_method(name, root), config["overrides"].get(name, {}))
        settings = check(settings, root / "workflow/schemas/method.schema.yaml", f"method {name}")
        if "scan" in settings and config["dataset"]["kind"] != "phantom":
            raise InputError(
                f"configuration: methods: '{name}' is a scan that only a phantom has; leave it out"
            )
        methods[name] = _with_training(name, settings, config["training"])
        if "builds_on" in settings:
            waiting.append(settings["builds_on"]["method"])
    for name in config["overrides"]:
        if name not in methods:
            raise InputError(
                f"configuration: overrides: method '{name}' is not used"
                f"{suggest(name, list(methods))}"
            )
    return methods


def _read_method(name: str, root: Path) -> Settings:
    folder = root / "config/methods"
    path = folder / f"{name}.yaml"
    if not path.exists():
        known = [p.stem for p in folder.glob("*.yaml")]
        raise InputError(
            f"configuration: methods: no file config/methods/{name}.yaml{suggest(name, known)}"
        )
    return yaml.safe_load(path.read_text())


def _with_training(name: str, settings: Settings, length: str) -> Settings:
    """Put the training settings of one `length` in the place of all."""
    if "training" not in settings:
        return settings
    if length not in settings["training"]:
        raise InputError(
            f"configuration: training: method {name} has no '{length}' settings; add them to "
            f"config/methods/{name}.yaml"
        )
    return {**settings, "training": settings["training"][length]}


def merge(settings: Settings, changes: Settings) -> Settings:
    """Copy of `settings` with `changes` put in, dictionaries key by key."""
    merged = dict(settings)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def code_version(script: Path) -> str:
    """Hash of a command and of every module of the library that it imports, directly or not.

    Snakemake sees a rule's own code, but not what a command imports; with this as a parameter of
    the rule, editing a network trains it anew and editing a figure only draws it anew. Comments,
    docstrings and layout do not count.
    """
    library = script.parent
    seen: dict[Path, str] = {}
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        tree = ast.parse(path.read_text())
        nodes = list(ast.walk(tree))
        for node in nodes:
            _drop_docstring(node)
        seen[path] = ast.dump(tree)
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harmonization"):
                modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                files = (library / f"{m.replace('.', '/')}.py" for m in modules)
                waiting += [f for f in files if f.exists()]
    content = "".join(seen[path] for path in sorted(seen))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _drop_docstring(node: ast.AST) -> None:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
        del node.body[0]
