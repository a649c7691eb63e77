"""What the report says of the paper: claims to judge, and known settings; checked beforehand."""

from pathlib import Path
from typing import Any

from harmonization.files import InputError
from harmonization.plan.schemas import Settings, check, read_yaml, suggest

Rows = list[dict[str, Any]]


def read_claims(path: Path, schema: Path, methods: list[str], families: list[str]) -> Rows:
    """Read claims.

    Parameters
    ----------
    path, schema : Path
    methods, families : list of str
        Those that there are; a family may stand where the best of several is meant.

    Raises
    ------
    InputError
        If a claim does not fit the schema, has the id of another, or names a method that there is
        not.
    """
    claims = _read(path, schema)
    for claim in (claim for claim in claims if "method" in claim):
        against = claim["against"]
        one = [claim["method"], *([against] if isinstance(against, str) else [])]
        several = [] if isinstance(against, str) else against["best_of"]
        for name in one + several:
            if name in one and name in families:
                raise InputError(
                    f"{path}: claim {claim['id']}: '{name}' is a family; name a method, or give "
                    f"against: {{best_of: [{name}]}}"
                )
            if name not in (known := [*methods, *families]):
                raise InputError(
                    f"{path}: claim {claim['id']}: no method '{name}'{suggest(name, known)}"
                )
    ids = [claim["id"] for claim in claims]
    for claim_id in ids:
        if ids.count(claim_id) > 1:
            raise InputError(f"{path}: two claims have the id '{claim_id}'; rename one")
    return claims


def read_settings(path: Path, schema: Path, config: Settings) -> Rows:
    """Read what is known of the paper's settings, with the values of a run in place of its keys.

    Parameters
    ----------
    path, schema : Path
    config : dict
        The run's configuration.
    """
    return [row | {"ours": _value(row["ours"], config)} for row in _read(path, schema)]


def _read(path: Path, schema: Path) -> Rows:
    return check(read_yaml(path), schema, str(path))


def _value(key: str, config: Settings) -> str:
    """Value of a key such as ``patches.core``, or the text itself if it is none."""
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return "not in this run" if key.startswith("methods.") else key
        value = value[part]
    return _as_text(value)


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_as_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(map(_as_text, value))
    return str(value)
