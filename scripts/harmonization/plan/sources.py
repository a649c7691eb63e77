"""Kinds of data sets, one row for each."""

from dataclasses import dataclass
from typing import Any

from harmonization.files import InputError


@dataclass(frozen=True)
class DataSource:
    """What the workflow needs to know about a kind of data set.

    Parameters
    ----------
    platform_keys : frozenset of str
        Keys that every platform must have in the configuration.
    is_raw : bool
        Whether its scans still need preprocessing.
    simulated : bool
        Whether the workflow makes the scans itself.
    subject_prefix : str
        What precedes a subject's label in the name of its folder.
    rules : tuple of str
        Rule files, besides data.smk, that bring its scans into ``bids/``; none for a data set that
        is read in place.
    description : str
        Name of the imported data set; empty if it is not imported.
    """

    platform_keys: frozenset[str] = frozenset()
    is_raw: bool = False
    simulated: bool = False
    subject_prefix: str = "sub-"
    rules: tuple[str, ...] = ()
    description: str = ""


NAMED_AS_BIDS = frozenset({"session", "acquisition"})
FURTHER_ENTITIES = ("direction", "run", "description", "entities")
SOURCES = {
    "phantom": DataSource(NAMED_AS_BIDS, simulated=True, rules=("phantom",)),
    "bids": DataSource(),
    "raw": DataSource(
        frozenset({"session"}),
        is_raw=True,
        rules=("preprocess",),
        description="Raw data set, preprocessed",
    ),
    "openneuro": DataSource(
        frozenset({"session"}),
        is_raw=True,
        rules=("openneuro", "preprocess"),
        description="OpenNeuro {accession} {version}, preprocessed",
    ),
    "mushac": DataSource(
        NAMED_AS_BIDS,
        subject_prefix="",
        rules=("mushac",),
        description="Cross-scanner diffusion MRI database (Tax 2019), imported",
    ),
}


def platforms_as_bids(platforms: dict[str, Any]) -> dict[str, Any]:
    """Platforms of raw scans as the derivative names them, by the BIDS entity ``acq``.

    Raises
    ------
    InputError
        If two would have the same name.
    """
    as_bids: dict[str, Any] = {}
    taken: dict[tuple[str, str], str] = {}
    for name, platform in platforms.items():
        label = "".join(filter(str.isalnum, name))
        other = taken.setdefault((platform["session"], label), name)
        if other != name:
            raise InputError(
                f"configuration: platforms.{name}: differs from '{other}' of the same session in "
                "no letter or digit; rename it"
            )
        kept = {key: value for key, value in platform.items() if key not in FURTHER_ENTITIES}
        as_bids[name] = {**kept, "acquisition": label}
    return as_bids
