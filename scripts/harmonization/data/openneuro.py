"""Download files of one version of an OpenNeuro data set, each complete and checked.

OpenNeuro keeps each version as a tag of a Git repository. It holds small files themselves and, in
place of large ones, links whose names give size and checksum of the content (git-annex keys). The
content itself lies in a public bucket.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from harmonization.files import InputError

AT_ONCE = 4  # files
WAITS = (1, 2, 4, 8)  # seconds before each further attempt
TIMEOUTS = 10, 60  # seconds to connect, and to wait for the next bytes
CHUNK = 1 << 16  # bytes; the most that a cut connection loses
LARGEST_LINK = 1 << 20  # bytes; gradient tables and sidecars are far smaller
REPORT_EVERY = 10  # seconds
ANNEX_KEY = re.compile(rb"(?:\S*/)?(SHA256|MD5)E?-s(\d+)--([0-9a-f]+)(?:\.\S+)?\s*")
GZIP = b"\x1f\x8b"


class InterruptionError(Exception):
    """A failure that another attempt may overcome."""


@dataclass(frozen=True)
class Content:
    """Size and checksum that a file must have."""

    size: int
    algorithm: str
    digest: str


def content_of(path: str, entry: bytes) -> Content:
    """Content of a file from its entry in the Git repository: a link to it, or the file itself.

    Raises
    ------
    InputError
        If the entry is neither, for example if a login page answers instead of the server.
    """
    if key := ANNEX_KEY.fullmatch(entry):
        algorithm, size, digest = key.groups()
        return Content(int(size), algorithm.decode().lower(), digest.decode())
    if path.endswith(".gz") and not entry.startswith(GZIP):
        raise InputError(
            f"{path}: the mirror has neither a link nor the file, but {entry[:40]!r}; open "
            "dataset.openneuro.mirror in a browser"
        )
    return Content(len(entry), "sha256", hashlib.sha256(entry).hexdigest())


def download(
    paths: list[str],
    root: Path,
    mirror: str,
    bucket: str,
    report: Callable[[str], None],
) -> None:
    """Get files of one version of a data set, and move all of them into place or none.

    An interrupted download leaves its bytes in ``<root>/.partial``, under the file's name and
    checksum; the next call continues it.

    Parameters
    ----------
    paths : list of str
        Paths within the data set.
    root : Path
        Folder to put the data set in.
    mirror : str
        URL of the version in the Git repository.
    bucket : str
        URL of the data set in the bucket.
    report : callable
        Called with each line of progress.

    Raises
    ------
    InputError
        If a server cannot be reached, keeps failing, or has no such file, or if its file is not of
        this version.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(_get, path, root, mirror, bucket, report) for path in paths]
        try:
            arrived = [job.result() for job in jobs]
        except InputError:
            pool.shutdown(cancel_futures=True)
            raise
    for path, partial in zip(paths, arrived, strict=True):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        partial.replace(root / path)


def _get(path: str, root: Path, mirror: str, bucket: str, report: Callable[[str], None]) -> Path:
    """Download one file completely, and return its temporary path."""
    content = content_of(path, _persistently(f"{mirror}/{path}", _read_entry))
    # The name is needed as well: several files may have the same content.
    partial = root / ".partial" / f"{Path(path).name}.{content.digest[:16]}"
    partial.parent.mkdir(parents=True, exist_ok=True)

    def continue_download(url: str) -> None:
        _continue(url, partial, content, report)

    _persistently(f"{bucket}/{path}", continue_download)
    report(f"{path}: whole, {content.size} bytes, {content.algorithm} as expected")
    return partial


def _persistently(url: str, attempt: Callable[[str], bytes | None]) -> bytes | None:
    """Make an attempt, and repeat it after each of `WAITS` as long as it is interrupted."""
    for wait in WAITS:
        with suppress(InterruptionError):
            return attempt(url)
        time.sleep(wait)
    try:
        return attempt(url)
    except InterruptionError as interruption:
        raise InputError(
            f"{url}: {interruption}, {len(WAITS) + 1} times; is {urlsplit(url).netloc} reachable "
            "from here? Run again to resume, or get the files by other means "
            "and set dataset.kind to raw"
        ) from None


@contextmanager
def _answer(url: str, headers: dict[str, str]) -> Iterator[requests.Response]:
    """Answer of a server; refuse one that another attempt cannot change."""
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUTS) as response:
            if response.status_code in (401, 403, 404, 410):
                raise InputError(
                    f"{url}: the server has no such file (status {response.status_code}); check "
                    "dataset.subjects, dataset.openneuro and the platform's session"
                )
            if response.status_code == 416:
                raise InputError(
                    f"{url}: the server's file is shorter than that of this version; is "
                    "dataset.openneuro.version the one that the bucket holds?"
                )
            if response.status_code not in (200, 206):
                raise InterruptionError(f"the server failed (status {response.status_code})")
            yield response
    except requests.RequestException as error:
        reason = re.sub(r"<[^<>]* object at 0x[0-9a-f]+>:? ?", "", str(error))
        raise InterruptionError(f"the connection failed ({' '.join(reason.split())})") from None


def _read_entry(url: str) -> bytes:
    with _answer(url, {}) as response:
        entry = bytearray()
        for chunk in response.iter_content(CHUNK):
            entry += chunk
            if len(entry) > LARGEST_LINK:
                raise InputError(
                    f"{url}: is larger than {LARGEST_LINK} bytes and not a link to an annexed "
                    "file; check dataset.openneuro.mirror"
                )
    return bytes(entry)


def _continue(url: str, partial: Path, content: Content, report: Callable[[str], None]) -> None:
    """Download the missing part of a file, and check the complete file."""
    there = partial.stat().st_size if partial.exists() else 0
    if there < content.size or there == 0:
        # Compression in transit would change what a byte range means.
        headers = {"Accept-Encoding": "identity"}
        if there:
            headers["Range"] = f"bytes={there}-"
        with _answer(url, headers) as response:
            continued = response.status_code == 206
            with partial.open("ab" if continued else "wb") as stream:
                _copy(response, stream, content.size, url, report)
    size = partial.stat().st_size
    if size < content.size:
        raise InterruptionError(f"the connection ended after {size} of {content.size} bytes")
    with partial.open("rb") as stream:
        digest = hashlib.file_digest(stream, content.algorithm).hexdigest()
    if size > content.size or digest != content.digest:
        partial.unlink()
        if there:
            raise InterruptionError("the earlier part did not belong to this file")
        raise InputError(
            f"{url}: what came has {content.algorithm} {digest[:12]}, this version's file has "
            f"{content.digest[:12]} and {content.size} bytes; is dataset.openneuro.version the one "
            "that the bucket holds?"
        )


def _copy(
    response: requests.Response, stream, size: int, url: str, report: Callable[[str], None]
) -> None:
    """Write the response to `stream`, and stop once it holds more than `size` bytes."""
    name = Path(urlsplit(url).path).name
    started, begun = time.monotonic(), stream.tell()
    reported = started
    for chunk in response.iter_content(CHUNK):
        stream.write(chunk)
        now, there = time.monotonic(), stream.tell()
        if there > size:
            return
        if now - reported >= REPORT_EVERY:
            reported = now
            rate = (there - begun) / (now - started)
            report(
                f"{name}: {there / 1e6:.0f} of {size / 1e6:.0f} MB, {rate / 1e6:.1f} MB/s, "
                f"{(size - there) / max(rate, 1):.0f} s left"
            )
