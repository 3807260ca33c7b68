"""Files from the network: written aside, checked and renamed into place, so that half of one is never found."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, InvalidURL, responses
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from shitu_edge.system.digest import file_sha256
from shitu_edge.system.files import open_aside

from .errors import ExportError
from .progress import Report

_log = logging.getLogger(__name__)

_AT_ONCE = 1 << 18
_WAITS_S = (0.5, 1.0, 2.0, 4.0)
_PASSING = (408, 429)  # with the 5xx: answers that may be another one later
_ELSEWHERE = "try another server (--mirror) or a folder that holds the file (--from-dir)"


@dataclass(frozen=True, slots=True)
class Download:
    """A file that has been loaded whole: its address, its place, its size in bytes and SHA-256 in hexadecimal."""

    url: str
    path: Path
    size: int
    sha256: str


class _Broken(Exception):
    """A try failed and another may do better."""


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    report: Report = lambda done, total: None,
    max_bytes: int = 1 << 30,
    timeout_s: float = 30,
    sleep: Callable[[float], None] = time.sleep,
) -> Download:
    """Load a file, in up to five tries; leave a target with the right digest alone.

    Args:
        url: http or https; proxies are those of the environment.
        target: where the file goes; an existing file is replaced when the new one is complete.
        sha256: expected digest in hexadecimal.
        report: called with the bytes loaded so far and of all, None while that is not known.
        max_bytes: a larger file is refused.
        timeout_s: how long a server may say nothing.
        sleep: waits between tries, for so many seconds.

    Raises:
        ExportError: the file is not there, is not what was expected or cannot be written, or the last try failed.
    """
    if not url.isprintable() or not re.match("https?:", url):
        raise ExportError(f"{url!r}: expected a URL of http or https")
    sha256 = sha256.lower() if sha256 else None
    if sha256 and target.is_file() and file_sha256(target) == sha256:
        return Download(url, target, target.stat().st_size, sha256)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open_aside(target) as stream:
            _load_patiently(url, stream, report, max_bytes, timeout_s, sleep)
            size = stream.tell()
            stream.flush()
            found = file_sha256(Path(stream.name))
            if sha256 not in (None, found):
                raise ExportError(
                    f"{url}: wrong SHA-256: expected {sha256}, found {found}; pass that as --detector-sha256 or "
                    f"--extractor-sha256 if you trust it, or {_ELSEWHERE}"
                )
    except OSError as error:
        raise ExportError(f"{target} cannot be written: {error.strerror or error}") from error
    return Download(url, target, size, found)


def _load_patiently(
    url: str, stream: BinaryIO, report: Report, max_bytes: int, timeout_s: float, sleep: Callable[[float], None]
) -> None:
    """Load all of a file; a server that names its version is asked for the rest after a broken connection."""
    version: str | None = None
    for wait_s in (*_WAITS_S, None):
        try:
            with _open(url, stream.tell(), version, timeout_s) as response:
                version = _go_on(stream, response, version)
                total = None if response.length is None else stream.tell() + response.length
                report(stream.tell(), total)
                while chunk := _read(response):
                    if max(total or 0, stream.tell() + len(chunk)) > max_bytes:
                        raise ExportError(f"{url}: larger than the limit of {max_bytes} bytes; {_ELSEWHERE}")
                    stream.write(chunk)
                    report(stream.tell(), total)
            if total is None or stream.tell() == total:
                return
            raise _Broken(f"the connection ended at {stream.tell()} of {total} bytes")
        except _Broken as broken:
            if wait_s is None:
                raise ExportError(f"{url}: {broken}, tried {len(_WAITS_S) + 1} times; {_ELSEWHERE}") from broken
            _log.warning("%s: %s; next try in %.1f s", url, broken, wait_s)
            sleep(wait_s)


def _open(url: str, start: int, version: str | None, timeout_s: float) -> HTTPResponse:
    headers = {"User-Agent": "shitu-edge-export"}
    if start and version:
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    try:
        response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=timeout_s)
        return response
    except HTTPError as error:
        error.close()
        answer = f"the server answers {error.code} {responses.get(error.code, '')}".rstrip()
        if error.code in _PASSING or error.code >= 500:
            raise _Broken(answer) from error
        raise ExportError(f"{url}: {answer}; {_ELSEWHERE}") from error
    except (InvalidURL, ValueError) as error:  # also that of a redirect
        raise ExportError(f"{url!r} leads to something that is not a URL: {_why(error)}") from error
    except (OSError, HTTPException) as error:
        raise _Broken(_why(error)) from error


def _go_on(stream: BinaryIO, response: HTTPResponse, version: str | None) -> str | None:
    """Return the version of the file that arrives, by its strong ETag; start over unless it is the rest of the same."""
    etag = response.headers.get("ETag", "")
    rest = response.headers.get("Content-Range", "").startswith(f"bytes {stream.tell()}-")
    if response.status != 206 or not rest or etag != version:
        stream.seek(0)
        stream.truncate()
    if response.status == 206 and not stream.tell():
        raise _Broken("the server answers with a part of another version")
    return etag if etag.startswith('"') else None


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(_AT_ONCE)
    except (OSError, HTTPException) as error:
        raise _Broken(_why(error)) from error


def _why(error: BaseException | str) -> str:
    """Return a reason in one line without control characters, whatever the server wrote."""
    error = error.reason if isinstance(error, URLError) else error
    if isinstance(error, TimeoutError):
        return "the server says nothing (timed out)"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in reason[:200])
