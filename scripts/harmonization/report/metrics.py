"""The table of all scores, read so that no label and no score is lost."""

from pathlib import Path

import numpy as np
import pandas as pd

from harmonization.files import InputError


def read_text(path: str | Path) -> pd.DataFrame:
    """Read a table as text: a subject may be called NA, and a digit may not change.

    Raises
    ------
    InputError
        If it is no table, or a value in it is no number.
    """
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is no table of scores ({error}); delete it, run again") from None
    if "value" not in rows.columns:
        raise InputError(f"{path}: has no column 'value'; delete it, run again")
    values = pd.to_numeric(rows["value"], errors="coerce")
    for row in rows[~np.isfinite(values)].to_dict("records"):
        named = ", ".join(f"{key} {value}" for key, value in row.items() if key != "value")
        raise InputError(
            f"{path}: the score is '{row['value']}', no number ({named}); look at the prediction"
        )
    return rows


def read_metrics(path: str | Path) -> pd.DataFrame:
    """Read all scores, with ``value`` as float and every label as text; see `read_text`."""
    rows = read_text(path)
    return rows.assign(value=rows["value"].astype(float))


def refuse_missing(
    metrics: pd.DataFrame,
    path: str | Path,
    methods: list[str],
    targets: list[str],
    subjects: list[str],
) -> None:
    """Refuse scores in which a test subject is left out.

    Parameters
    ----------
    metrics : DataFrame
    path : path
        For the message.
    methods, targets, subjects : list of str
        Every method must have scores on every target of every one of these subjects.

    Raises
    ------
    InputError
        Names the first that is missing.
    """
    there = set(metrics[["method", "target", "subject"]].itertuples(index=False, name=None))
    for method in methods:
        for target in targets:
            for subject in subjects:
                if (method, target, subject) not in there:
                    raise InputError(
                        f"{path}: no score of {method} on {target} for subject {subject}; delete "
                        "the file and run again"
                    )
