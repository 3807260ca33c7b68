"""Files from the network that a broken connection, a changed file or a full disk cannot spoil.

What has been loaded stays beside the target (see `partial.py`), and the next try, or the next run, goes on from there.
The target appears by a rename when all of it is there and is what was expected.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse, InvalidURL, responses
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, build_opener

from shitu_edge.digest import file_sha256

from .errors import ExportError
from .partial import ELSEWHERE, Partial

Report = Callable[[int, int | None], None]

_log = logging.getLogger(__name__)

_AT_ONCE = 1 << 18
_TRIES = 5
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0
_PASSING = (408, 416, 429)  # with the 5xx: answers that may be another one later


@dataclass(frozen=True, slots=True)
class Download:
    """A file that has been loaded whole: where from, where it is, its size in bytes and SHA-256 in hexadecimal."""

    url: str
    path: Path
    size: int
    sha256: str


class _Broken(Exception):
    """A try failed and another may do better, not before the seconds that the server asked for."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    report: Report | None = None,
    timeout_s: float = 30,
    sleep: Callable[[float], None] = time.sleep,
) -> Download:
    """Load a file; go on with what an earlier try or run has left; leave a target with the right digest alone.

    Args:
        url: http, https or file; proxies are those of the environment.
        target: where the file goes; an existing file is replaced when the new one is complete.
        sha256: what the digest has to be, in hexadecimal.
        report: called with the bytes loaded so far and of all, None while that is not known.
        timeout_s: how long a server may say nothing.
        sleep: waits between tries, for so many seconds.

    Raises:
        ExportError: the file is not there, is not what was expected or cannot be written, or the last try failed. What
            has been loaded is kept where a later run can go on with it.
    """
    if not url.isprintable() or not re.match("(https?|file):", url):
        raise ExportError(f"{url!r}: expected a URL of http, https or file")
    sha256 = sha256.lower() if sha256 else None
    if sha256 and target.is_file() and file_sha256(target) == sha256:
        return Download(url, target, target.stat().st_size, sha256)
    with closing(Partial(target, url, sha256)) as partial:
        _load_patiently(url, partial, timeout_s, report, sleep)
        return Download(url, target, partial.size, partial.finish())


def _load_patiently(
    url: str, partial: Partial, timeout_s: float, report: Report | None, sleep: Callable[[float], None]
) -> None:
    for number in range(1, _TRIES + 1):
        try:
            _load(url, partial, timeout_s, report)
            break
        except _Broken as broken:
            if number == _TRIES:
                raise ExportError(f"{url}: {broken}, tried {_TRIES} times; {_advice(partial)}") from broken
            wait_s = min(max(_FIRST_WAIT_S * 2 ** (number - 1), broken.wait_s), _LONGEST_WAIT_S)
            _log.warning("%s: %s; next try in %.1f s", url, broken, wait_s)
        sleep(wait_s)


def _advice(partial: Partial) -> str:
    if partial.size and partial.resumable:
        return f"{partial.size} bytes have been loaded, run the command again to go on from there"
    return f"nothing has been loaded, run the command again later or {ELSEWHERE}"


def _load(url: str, partial: Partial, timeout_s: float, report: Report | None) -> None:
    """Add to the partial file until it is whole."""
    with _open(url, partial, timeout_s) as response:
        _prepare(partial, response)
        length = response.headers.get("Content-Length", "")
        total = partial.size + int(length) if re.fullmatch(r"\d{1,18}", length) else None
        partial.check(total or 0)
        if report:
            report(partial.size, total)
        while chunk := _read(response):
            partial.append(chunk)
            if report:
                report(partial.size, total)
    if total is not None and partial.size < total:
        raise _Broken(f"the connection ended at {partial.size} of {total} bytes")


def _open(url: str, partial: Partial, timeout_s: float) -> HTTPResponse:
    headers = {"User-Agent": "shitu-edge-export"}
    if partial.size and partial.resumable:
        headers["Range"] = f"bytes={partial.size}-"
        headers |= {"If-Range": partial.validator} if partial.validator else {}
    try:
        response: HTTPResponse = build_opener().open(Request(url, headers=headers), timeout=timeout_s)
        return response
    except HTTPError as error:
        with closing(error):
            if error.code == 416:  # the file has become shorter
                partial.discard()
            raise _refusal(url, error) from error
    except (InvalidURL, ValueError) as error:  # also that of a redirect
        raise ExportError(f"{url!r} leads to something that is not a URL: {_why(error)}") from error
    except (OSError, HTTPException) as error:
        if url.startswith("file:"):
            raise ExportError(f"{url} cannot be read: {_why(error)}; {ELSEWHERE}") from error
        raise _Broken(_why(error)) from error


def _refusal(url: str, error: HTTPError) -> Exception:
    answer = f"the server answers {error.code} {responses.get(error.code, '')}".rstrip()
    if error.code in _PASSING or error.code >= 500:
        after = error.headers.get("Retry-After", "")
        return _Broken(answer, float(after) if re.fullmatch(r"\d{1,9}", after) else 0.0)
    return ExportError(f"{url}: {answer}; {ELSEWHERE}")


def _prepare(partial: Partial, response: HTTPResponse) -> None:
    """Empty the partial file unless the answer is the rest of it, and of the same version."""
    validator = _validator(response.headers)
    rest = partial.size and response.headers.get("Content-Range", "").startswith(f"bytes {partial.size}-")
    if response.status in (None, 200):  # None is a file: URL
        partial.restart(validator)
    elif not rest or (validator and partial.validator not in (None, validator)):
        partial.discard()
        raise _Broken(f"the server answers {response.status} with something else than the rest of the file")


def _validator(headers: Message) -> str | None:
    """Return what tells this version of the file from another one: a strong ETag, else the date of the last change."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified")


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(_AT_ONCE)
    except (OSError, HTTPException) as error:
        raise _Broken(_why(error)) from error


def _why(error: BaseException | str) -> str:
    """Return a reason in one line without control characters, whatever the server wrote."""
    if isinstance(error, URLError):
        error = error.reason
    if isinstance(error, TimeoutError):
        return "the server says nothing (timed out)"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in reason[:200])
