"""Why jobs failed, from their logs: the one line that the user of a failed run needs."""

import re
from collections.abc import Iterable
from pathlib import Path

from harmonization.files import STARTED

# What Snakemake writes about a job that failed.
FAILED_JOB = re.compile(r"^ +log: (.+?) \(check log file", flags=re.MULTILINE)


def failures(snakemake_logs: Iterable[str]) -> str:
    """Say why each failed job failed, and where its log is.

    Parameters
    ----------
    snakemake_logs : iterable of str
        Snakemake's own logs of the run.

    Returns
    -------
    str
        Two lines for each failed job; empty if no job wrote a log.
    """
    texts = [_text(Path(path)) for path in snakemake_logs]
    logs = dict.fromkeys(found for text in texts for found in FAILED_JOB.findall(text))
    return "\n".join(f"{_reason(Path(log))}\n  Log: {log}" for log in logs)


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


def _reason(log: Path) -> str:
    """The last error in a log, or else its last line."""
    lines = [line for line in _text(log).splitlines() if line.strip()]
    if all(line.startswith(STARTED) for line in lines):
        return "error: the job ended without a word; was it killed, or short of memory?"
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines)[-1]
