"""The configuration of a run, checked before anything starts."""

import re
from pathlib import Path

from harmonization.files import InputError
from harmonization.plan.schemas import Settings, check, read_yaml, suggest
from harmonization.plan.sources import (
    FURTHER_ENTITIES,
    NAMED_AS_BIDS,
    SOURCES,
    platforms_as_bids,
)

EMBEDDED = "embedded"  # name of the run of config/config.yaml


def read_run(path: Path) -> Settings:
    """Read what the file of a run changes in the default configuration; it may be empty.

    Raises
    ------
    InputError
        If it cannot be read, or holds anything but keys with values.
    """
    changes = read_yaml(path) or {}
    if not isinstance(changes, dict):
        raise InputError(f"{path}: holds no keys with values at its top level; see config/README")
    return changes


def check_run(config: Settings, root: Path) -> Settings:
    """Refuse a configuration that does not fit its schema or contradicts itself.

    Parameters
    ----------
    config : dict
        The merged configuration.
    root : Path
        Root of the repository.

    Returns
    -------
    dict
        The checked configuration, see `check`.
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
    if config["platforms"][config["source"]]["scale"] != 1:
        raise InputError(
            f"configuration: platforms.{config['source']}.scale: the source has scale 1; give the "
            "targets theirs"
        )
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
    left = subjects - plan["validation_subjects"] - 1
    limited = config["limited_data"] or {"subjects": [0]}
    if (most := max(limited["subjects"])) > left:
        raise InputError(
            f"configuration: limited_data.subjects: {most} are too many; {left} of {subjects} "
            "subjects are left to train on"
        )
    _check_source(config)
    return config


def _check_source(config: Settings) -> None:
    """Refuse settings that do not suit the kind of data set."""
    dataset = config["dataset"]
    kind, wanted = dataset["kind"], dataset["subjects"]
    source = SOURCES[kind]
    if not source.simulated and dataset["root"] is None:
        raise InputError(f"configuration: dataset.root: kind {kind} needs the data set's folder")
    if kind == "openneuro" and not isinstance(wanted, list):
        raise InputError("configuration: dataset.subjects: openneuro needs a list of labels")
    if kind == "openneuro" and not config["preprocessing"]["mask"]:
        raise InputError(
            "configuration: preprocessing.mask: openneuro has no masks to take instead"
        )
    for name, platform in config["platforms"].items():
        if missing := source.platform_keys - set(platform):
            raise InputError(
                f"configuration: platforms.{name}: kind {kind} needs "
                f"{' and '.join(sorted(missing))}"
            )
        unused = [key for key in FURTHER_ENTITIES if key in platform]
        if source.platform_keys == NAMED_AS_BIDS and unused:
            raise InputError(
                f"configuration: platforms.{name}.{unused[0]}: kind {kind} names scans by session "
                "and acquisition alone; leave it out"
            )
        if source.is_raw and "description" in platform:
            raise InputError(
                f"configuration: platforms.{name}.description: kind {kind} reads scans that are "
                "not preprocessed; leave it out, or give dataset.kind: bids"
            )
        if source.simulated and "shell" in platform:
            raise InputError(
                f"configuration: platforms.{name}.shell: a phantom has the same shells on all "
                "platforms; change spherical_harmonics.shell"
            )
        if source.simulated and "crop" in platform:
            raise InputError(
                f"configuration: platforms.{name}.crop: a phantom is scanned at any resolution; "
                "change its voxel in dataset.parameters"
            )
    if source.is_raw:
        platforms_as_bids(config["platforms"])
    if not source.simulated:
        return
    if isinstance(wanted, list):
        raise InputError("configuration: dataset.subjects: a phantom needs a number")
    if config["spherical_harmonics"]["shell"] not in dataset["shells"]:
        raise InputError(
            f"configuration: spherical_harmonics.shell: {config['spherical_harmonics']['shell']} "
            f"is not among dataset.shells {dataset['shells']}"
        )


def check_place(config: Settings) -> None:
    """Refuse a run that would write into the phantom's results, or simulate in place of reading.

    Parameters
    ----------
    config : dict
        The configuration, see `check_run`.
    """
    simulated = SOURCES[config["dataset"]["kind"]].simulated
    if not simulated and config["run"] == EMBEDDED:
        raise InputError(
            f"configuration: run: results/{EMBEDDED} is the phantom's; give `run` a name of its own"
        )
    if simulated and config["dataset"]["root"] is not None:
        raise InputError(
            "configuration: dataset.root: a phantom reads no folder; give dataset.kind: bids, raw, "
            "openneuro or mushac, or leave root out"
        )


def with_own_platforms(config: Settings, given: Settings) -> Settings:
    """Platforms that a run of one's own gives, in place of the phantom's.

    Snakemake merges configurations key by key, which would leave platforms that do not exist, and
    keys of the phantom's in those of the same name.

    Parameters
    ----------
    config : dict
        The merged configuration, unchecked.
    given : dict
        What the user gives besides config/config.yaml.
    """
    dataset, platforms = config.get("dataset"), given.get("platforms")
    phantom = not isinstance(dataset, dict) or dataset.get("kind") == "phantom"
    return config if phantom or not platforms else {**config, "platforms": platforms}


def with_origin(message: str, given: Settings) -> str:
    """Add to errors of methods, source and targets that the user did not give where they are from.

    Parameters
    ----------
    message : str
        Errors of a configuration, a line each.
    given : dict
        What the user gives besides config/config.yaml.
    """

    def origin(line: str) -> str:
        key = re.match("configuration: (methods|source|targets):", line)
        if key is None or key[1] in given:
            return ""
        return f" (from config/config.yaml; give `{key[1]}` of your own)"

    return "\n".join(line + origin(line) for line in message.splitlines())


def merge(settings: Settings, changes: Settings) -> Settings:
    """Copy `settings` and apply `changes`, merging dictionaries key by key."""
    merged = dict(settings)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged
