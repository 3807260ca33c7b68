"""Files from the network that a broken connection, a changed file or a full disk cannot spoil.

What has been loaded lies beside the target as `.partial`, and as `.partial.json` what it is a part of: the next try, or
the next run, goes on from there. The target appears by a rename, when all of it is there and is what was expected.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage, HTTPResponse, InvalidURL, responses
from io import FileIO
from pathlib import Path
from typing import IO, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from shitu_edge.digest import file_sha256

from .errors import ExportError

Report = Callable[[int, int | None], None]

_log = logging.getLogger(__name__)

_SCHEMES = ("http", "https", "file")
_MAX_BYTES = 4 << 30
_AT_ONCE = 1 << 18
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0
_PASSING = (408, 429)  # with the 5xx: answers that may be another one later
_WHOLE = (None, 200, 203)  # None is a file: URL
_CONTENT_RANGE = re.compile(r"bytes (?P<start>\d{1,18})-\d{1,18}/(?P<total>\d{1,18}|\*)")
_VALIDATOR = re.compile(r'"[\x21\x23-\x7e]{1,200}"|\w{3}, [\w :]{10,40}')  # a strong ETag or a date
_ELSEWHERE = "try another server (--mirror) or a folder that holds the file (--from-dir)"


@dataclass(frozen=True, slots=True)
class Download:
    """A file that has been loaded whole: where from, where it is, its size in bytes and SHA-256 in hexadecimal."""

    url: str
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Wanted:
    url: str
    sha256: str | None
    size: int | None
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a partial file is a part of; the validator is the server's ETag or the date of the last change."""

    url: str
    validator: str | None
    sha256: str | None


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
    size: int | None = None,
    report: Report | None = None,
    retries: int = 4,
    timeout_s: float = 30,
    limit_bytes: int = _MAX_BYTES,
    sleep: Callable[[float], None] = time.sleep,
) -> Download:
    """Load a file; go on with what an earlier try or run has left; leave a target with the right digest alone.

    Args:
        url: http, https or file; proxies are those of the environment.
        target: where the file goes; an existing file is replaced when the new one is complete.
        sha256: what the digest has to be, in hexadecimal.
        size: how many bytes it has to be.
        report: called with the bytes loaded so far and of all, None while that is not known.
        retries: how many tries may follow the first.
        timeout_s: how long a server may say nothing.
        limit_bytes: a larger file is refused.
        sleep: waits between tries, for so many seconds.

    Raises:
        ExportError: the file is not there, is not what was expected or cannot be written, or the last try failed. What
            has been loaded is kept where a later run can go on with it.
    """
    _check_url(url)
    wanted = _Wanted(url, sha256.lower() if sha256 else None, size, limit_bytes)
    if os.path.isdir(target):
        raise ExportError(f"{target} is a folder, expected the name of a file")
    if wanted.sha256 and _has_digest(target, wanted.sha256):
        return Download(url, target, target.stat().st_size, wanted.sha256)
    with _partial_of(target, wanted) as partial:
        if partial.sha256 != wanted.sha256:  # else an earlier run was stopped just before the rename
            _load_patiently(wanted, partial, timeout_s, report, retries, sleep)
        partial.finish(target)
        return Download(url, target, partial.size, partial.sha256)


def _check_url(url: str) -> None:
    shown = re.sub(r"//[^/]*@", "//…@", url)
    try:
        parts = urlsplit(url)
        _ = parts.port  # refuses what is no number
    except ValueError as error:
        raise ExportError(f"{shown!r} is not a URL: {error}") from error
    if not re.fullmatch(r"[\x21-\x7e]+", url):
        raise ExportError(
            f"{shown!r} is not a URL: blanks, control characters and letters beyond ASCII are to be quoted"
        )
    if parts.scheme not in _SCHEMES:
        raise ExportError(f"{shown}: expected a URL of {', '.join(_SCHEMES)}, got {parts.scheme or 'none'}")
    if parts.scheme != "file" and not parts.hostname:
        raise ExportError(f"{shown}: the URL names no server")
    if "@" in parts.netloc:
        raise ExportError(f"{shown}: a user name in the URL is not supported")


def _has_digest(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and file_sha256(path) == sha256
    except OSError:  # it will be replaced, or the reason why not will be told
        return False


def _load_patiently(
    wanted: _Wanted,
    partial: _Partial,
    timeout_s: float,
    report: Report | None,
    retries: int,
    sleep: Callable[[float], None],
) -> None:
    wait_s = _FIRST_WAIT_S
    for tries_left in range(max(retries, 0), -1, -1):
        try:
            _load(wanted, partial, timeout_s, report)
        except _Broken as broken:
            if not tries_left:
                tried = f", tried {retries + 1} times" if retries > 0 else ""
                raise ExportError(f"{wanted.url}: {broken}{tried}; {partial.advice}") from broken
            now_s = min(max(wait_s, broken.wait_s), _LONGEST_WAIT_S)
            _log.warning("%s: %s; next try in %.1f s", wanted.url, broken, now_s)
            sleep(now_s)
            wait_s *= 2
        else:
            return


def _load(wanted: _Wanted, partial: _Partial, timeout_s: float, report: Report | None) -> None:
    """Add to the partial file until it is whole."""
    with _answer(wanted.url, partial, timeout_s) as response:
        announced = _total(response, partial.size)
        if announced is not None:
            partial.check_size(announced)
        total = wanted.size if announced is None else announced
        partial.check_room(total)
        if not partial.size:
            partial.begin(_Origin(wanted.url, _validator(response.headers), wanted.sha256))
        if report:
            report(partial.size, total)
        while chunk := _read(response, _AT_ONCE if announced is None else min(_AT_ONCE, announced - partial.size)):
            partial.append(chunk, total)
            if report:
                report(partial.size, total)
        if total is not None and partial.size < total:
            raise _Broken(f"the connection ended at {_amount(partial.size)} of {_amount(total)}")


def _answer(url: str, partial: _Partial, timeout_s: float) -> HTTPResponse:
    """Return an answer whose body belongs at the end of the partial file, which is emptied when it cannot go on."""
    if partial.size and partial.resumable:
        response = _open(url, timeout_s, partial.range_headers(url))
        if response is not None and partial.goes_on_in(response, url):
            return response
        partial.empty()
        if response is not None and response.status in _WHOLE:
            return response
        if response is not None:
            response.close()
    elif partial.size:
        partial.empty()
    whole = _open(url, timeout_s, {})
    assert whole is not None  # no range was asked for
    return whole


def _open(url: str, timeout_s: float, ranges: dict[str, str]) -> HTTPResponse | None:
    """Return the answer; None when the range that was asked for does not exist."""
    request = Request(url, headers={"User-Agent": "shitu-edge-export", **ranges})
    try:
        response: HTTPResponse = build_opener(_Redirects).open(request, timeout=timeout_s)
    except HTTPError as error:
        with closing(error):
            if error.code == 416 and ranges:
                return None
            raise _status_error(url, error.code, error.headers) from error
    except (InvalidURL, ValueError) as error:
        raise ExportError(f"{url}: the server sends on to something that is not a URL; {_ELSEWHERE}") from error
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
        if url[:5].lower() == "file:":
            raise ExportError(f"{url} cannot be read: {_why(cause)}; {_ELSEWHERE}") from error
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise ExportError(f"{url}: its certificate is refused: {cause.verify_message}; {_ELSEWHERE}") from error
        raise _Broken(_why(cause)) from error
    if response.status in _WHOLE or (response.status == 206 and ranges):
        return response
    with response:
        raise _status_error(url, response.status, response.headers)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects to http and https only, and 308 also on Python 3.10."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise HTTPError(newurl, code, msg, headers, fp)
        request = super().redirect_request(req, fp, 307 if code == 308 else code, msg, headers, newurl)
        fp.close()  # the body, of any length, would be read into memory
        return request

    http_error_308 = HTTPRedirectHandler.http_error_302


def _status_error(url: str, status: int, headers: Message) -> Exception:
    answer = f"the server answers {status} {responses.get(status, '')}".rstrip()
    if status in _PASSING or status >= 500:
        return _Broken(answer, _retry_after_s(headers))
    return ExportError(f"{url}: {answer}; {_ELSEWHERE}")


def _retry_after_s(headers: Message) -> float:
    """Return the seconds of `Retry-After`, a number or a date; 0 where there is none."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        return float(value)
    try:
        return (parsedate_to_datetime(value) - datetime.now(timezone.utc)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # TypeError: a date without a zone
        return 0.0


def _read(response: HTTPResponse, at_most: int) -> bytes:
    try:
        return response.read1(at_most)
    except (OSError, HTTPException) as error:
        raise _Broken(_why(error)) from error


def _why(error: object) -> str:
    """Return a reason in one line that cannot command a terminal, whatever the server wrote."""
    if isinstance(error, TimeoutError):
        return "the server says nothing (timed out)"
    if isinstance(error, OSError):
        return _why(error.strerror or str(error) or type(error).__name__)
    if isinstance(error, HTTPException):
        return f"the connection broke or the server speaks no HTTP ({type(error).__name__})"
    return "".join(letter if letter.isprintable() else "?" for letter in str(error)[:200])


def _validator(headers: Message) -> str | None:
    """Return what tells this version of the file from another one: a strong ETag, else the date of the last change."""
    for name in ("ETag", "Last-Modified"):
        value = headers.get(name, "")
        if _VALIDATOR.fullmatch(value):
            return value
    return None


def _total(response: HTTPResponse, loaded: int) -> int | None:
    """Return how many bytes the whole file has by the answer's headers."""
    ranged = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status == 206 and ranged and ranged["total"] != "*":
        return int(ranged["total"])
    length = response.headers.get("Content-Length", "")
    return loaded + int(length) if re.fullmatch(r"\d{1,18}", length) else None


class _Partial:
    """The part of a file that has been loaded, its digest, and what is known of where it came from."""

    def __init__(self, path: Path, stream: FileIO, wanted: _Wanted) -> None:
        self._path = path
        self._origin_path = path.with_name(path.name + ".json")
        self._stream = stream
        self._wanted = wanted
        self._settled = False
        self._digest = hashlib.sha256()
        self.size = 0
        with _writing(path):
            self._origin = self._read_origin()
            self._take_up()

    @property
    def sha256(self) -> str:
        """The digest of what has been loaded, in hexadecimal."""
        return self._digest.hexdigest()

    @property
    def resumable(self) -> bool:
        """Whether it can be told, by the digest or by the server, that what is loaded next belongs to the same file."""
        origin, wanted = self._origin, self._wanted
        if wanted.sha256:
            return origin is None or origin.sha256 == wanted.sha256
        return origin is not None and (origin.url, origin.sha256) == (wanted.url, None) and origin.validator is not None

    @property
    def advice(self) -> str:
        """How much has been loaded and what can be done now."""
        if self.size and self.resumable:
            return f"{_amount(self.size)} have been loaded, run the command again to go on from there"
        return f"nothing has been loaded, run the command again later or {_ELSEWHERE}"

    def range_headers(self, url: str) -> dict[str, str]:
        """Return the headers that ask for the rest."""
        headers = {"Range": f"bytes={self.size}-"}
        validator = self._validator_of(url)
        return {**headers, "If-Range": validator} if validator else headers

    def goes_on_in(self, response: HTTPResponse, url: str) -> bool:
        """Return whether an answer is the rest, and of the same version: some servers do not know `If-Range`."""
        ranged = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status != 206 or not ranged or int(ranged["start"]) != self.size:
            return False
        if ranged["total"] != "*" and int(ranged["total"]) <= self.size:
            return False
        before, now = self._validator_of(url), _validator(response.headers)
        return before is None or now is None or before == now

    def begin(self, origin: _Origin) -> None:
        """Note what the bytes to come are a part of."""
        self._origin = origin
        with _writing(self._origin_path):
            self._origin_path.write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def append(self, chunk: bytes, total: int | None) -> None:
        """Write what comes next; the total is for the message when there is no room."""
        self.check_size(self.size + len(chunk), at_least=True)
        rest = memoryview(chunk)
        while rest:
            with _writing(self._path, None if total is None else total - self.size):
                written = self._stream.write(rest)
            self._digest.update(rest[:written])
            self.size += written
            rest = rest[written:]

    def check_size(self, size: int, at_least: bool = False) -> None:
        """Refuse a file of so many bytes, or of so many and perhaps more, when that is not what was expected."""
        wanted = self._wanted
        if wanted.size is not None and (size > wanted.size if at_least else size != wanted.size):
            self.refuse("size", wanted.size, f"{size} or more" if at_least else size)
        if size > wanted.limit_bytes:
            self.discard()
            raise ExportError(f"{wanted.url}: larger than the limit of {_amount(wanted.limit_bytes)}; {_ELSEWHERE}")

    def check_room(self, total: int | None) -> None:
        """Refuse at once what would fill the disk for all others before it fails."""
        missing = 0 if total is None else total - self.size
        with _writing(self._path):
            free = shutil.disk_usage(self._path.parent).free
        if missing > free:
            raise _no_room(self._path, missing)

    def empty(self) -> None:
        """Forget what has been loaded."""
        with _writing(self._path):
            self._stream.truncate(0)
        self._digest = hashlib.sha256()
        self.size = 0

    def finish(self, target: Path) -> None:
        """Put the file into its place when it is what was expected, else remove it."""
        self.check_size(self.size)
        if self._wanted.sha256 not in (None, self.sha256):
            self.refuse("SHA-256", self._wanted.sha256, self.sha256)
        with _writing(target):
            os.fsync(self._stream.fileno())
            self._origin_path.unlink(missing_ok=True)
            os.replace(self._path, target)
        self._settled = True

    def refuse(self, what: str, expected: object, found: object) -> NoReturn:
        """Remove what is not what was expected, and say so."""
        self.discard()
        raise ExportError(f"{self._wanted.url}: wrong {what}: expected {expected}, found {found}; {_ELSEWHERE}")

    def discard(self) -> None:
        """Leave nothing."""
        self._settled = True
        for path in (self._path, self._origin_path):
            with suppress(OSError):
                path.unlink()

    def discard_useless(self) -> None:
        """Leave nothing that a later run cannot go on with."""
        if not self._settled and not (self.size and self.resumable):
            self.discard()

    def _validator_of(self, url: str) -> str | None:
        return self._origin.validator if self._origin and self._origin.url == url else None

    def _read_origin(self) -> _Origin | None:
        try:
            origin = _Origin(**json.loads(self._origin_path.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return None
        known = all(value is None or isinstance(value, str) for value in asdict(origin).values())
        return origin if known and (origin.validator is None or _VALIDATOR.fullmatch(origin.validator)) else None

    def _take_up(self) -> None:
        """Digest what an earlier run has left, if it can be gone on with."""
        wanted = self._wanted
        longest = wanted.limit_bytes if wanted.size is None else wanted.size
        if not self.resumable or os.fstat(self._stream.fileno()).st_size > longest:
            return self.empty()
        self._stream.seek(0)
        while chunk := self._stream.read(_AT_ONCE):
            self._digest.update(chunk)
            self.size += len(chunk)
        return None


@contextmanager
def _partial_of(target: Path, wanted: _Wanted) -> Iterator[_Partial]:
    """Lend the partial file of a target to this process alone."""
    path = target.with_name(target.name + ".partial")
    with _writing(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = FileIO(path, "a+")
    with stream:
        _lock(stream, path)
        partial = _Partial(path, stream, wanted)
        try:
            yield partial
        finally:
            partial.discard_useless()


def _lock(stream: FileIO, path: Path) -> None:
    try:
        with suppress(FileNotFoundError):
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(stream.fileno()), path.stat()):  # else the other one has just renamed it
                return
    except BlockingIOError:
        pass
    except OSError:  # a file system without locks
        return
    raise ExportError(f"{path} is being written by another process; run the command again when that has ended")


@contextmanager
def _writing(path: Path, missing: int | None = None) -> Iterator[None]:
    """Turn what can go wrong with a disk into one line; `missing` bytes were still to be written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise _no_room(path, missing) from error
        raise ExportError(f"{path} cannot be written: {error.strerror or error}") from error


def _no_room(path: Path, missing: int | None) -> ExportError:
    needed = "more room" if missing is None else _amount(missing)
    return ExportError(f"{path.parent}: the disk is full, {needed} needed; make room and run the command again")


def _amount(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{size} bytes"
