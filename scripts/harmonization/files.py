"""Read and write files: write completely or not at all, and name bad files in errors."""

import csv
import hashlib
import io
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from glob import escape
from pathlib import Path
from typing import Any

STARTED = "Started"  # how the log of a job begins


class InputError(Exception):
    """Bad input from the user; the message names it and says what to do."""


def run_command(main: Callable[[], None]) -> None:
    """Run a command's `main`; bad input ends it with one line and exit status 1.

    The log of an attempt that does not succeed is kept, see `keep_log`.
    """
    kept = keep_log()
    try:
        main()
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    if kept:
        kept.unlink(missing_ok=True)


def keep_log() -> Path | None:
    """Give the log of this attempt a second name, ``<name>.attempt-<n>.log``.

    Snakemake removes the log of a job before it tries again. The second name is there from the
    start, because nothing can be done once the job is killed.

    Returns
    -------
    Path or None
        The second name, to be removed by an attempt that succeeds; None if errors go elsewhere, or
        the system does not tell where (only Linux does).
    """
    try:
        log = Path("/proc/self/fd/2").readlink()
        if log.suffix != ".log" or "logs" not in log.parts:
            return None
        number = 1 + len(list(log.parent.glob(f"{escape(log.stem)}.attempt-*.log")))
        kept = log.with_name(f"{log.stem}.attempt-{number}.log")
        kept.hardlink_to(log)
    except OSError:
        return None
    job = f", Slurm job {os.environ['SLURM_JOB_ID']}" if "SLURM_JOB_ID" in os.environ else ""
    at = datetime.now().astimezone().isoformat(timespec="seconds")
    print(f"{STARTED} {at} on {platform.node()}{job}", file=sys.stderr, flush=True)
    return kept


def tell(line: str) -> None:
    """Print a line of progress to the log, and to the console if the rule says where it is.

    A rule says so in the variable ``CONSOLE``. Lines are written at once, so that those of jobs
    that run side by side do not mix; a console that is gone ends nothing.
    """
    print(line, flush=True)
    if console := os.environ.get("CONSOLE"):
        with suppress(OSError), Path(console).open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")


def read_text(path: Path, if_missing: str = "is missing") -> str:
    """Read a text file that a user may have written.

    Parameters
    ----------
    path : Path
    if_missing : str
        What to say if there is no such file.

    Raises
    ------
    InputError
        If it is missing, cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: {if_missing}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no text in UTF-8; save it as such") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a file ({error.strerror})") from None


@contextmanager
def blamed_on(path: str | Path) -> Iterator[None]:
    """Prefix errors with the file's name, for code that knows only images, not their files."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and move it to `path` once everything is written.

    The temporary name keeps the suffix, from which nibabel and matplotlib choose the format.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        # What a full disk says names no file.
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, and move it to `path` once everything is written.

    Raises
    ------
    InputError
        If there is anything at `path` but an empty folder, or a file system is mounted there.
    """
    path = Path(path).resolve()
    if path.is_mount():
        raise InputError(f"{path}: a file system is mounted there; give a new folder in it")
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: is there already and not empty; give a new folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".partial-{os.getpid()}-{path.name}")
    temporary.mkdir()
    try:
        yield temporary
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path`, completely or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: str | Path, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows, the first of them names, completely or not at all."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON; refuse NaN, which JSON lacks."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; a byte order mark in front is skipped.

    Raises
    ------
    InputError
        If the file is not UTF-8, not JSON, or holds NaN or Infinity, which JSON lacks.
    """

    def refuse(constant: str) -> None:
        raise InputError(f"{path}: holds {constant}, which JSON lacks; leave the entry out")

    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"), parse_constant=refuse)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not valid JSON ({error}); rewrite it") from None


def unfetched(path: str | Path) -> bool:
    """Whether DataLad or git-annex manages a file whose content is not on this machine."""
    path = Path(path)
    if not path.exists():
        return path.is_symlink()
    with path.open("rb") as stream:
        return stream.read(15) == b"/annex/objects/"


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
