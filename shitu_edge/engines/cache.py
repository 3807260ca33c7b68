"""A cache folder of compiled models, safe from concurrent processes, full disks and crashes.

An entry is one file: the SHA-256 of the blob, then the blob. It is written to a temporary file and renamed, and ignored
if its digest does not match. If writing fails, the model runs without.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..system.files import aside, read_bounded

_log = logging.getLogger(__name__)

_DIGEST_BYTES = 32
_KEEP_BYTES = 1 << 30
_ABANDONED_AFTER_S = 3600
CACHE_VARIABLE = "SHITU_EDGE_CACHE"


def user_cache() -> Path | None:
    """Return the cache folder for compiled models; None if `$SHITU_EDGE_CACHE` is empty or there is no home folder."""
    variable = os.environ.get(CACHE_VARIABLE)
    if variable is not None:
        return Path(variable) if variable else None
    return home_cache()


def home_cache() -> Path | None:
    """Return the cache folder in the user's home, None without a home."""
    try:
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home directory
        return None
    return base / "shitu-edge"


@dataclass(frozen=True, slots=True)
class BlobCache:
    """Compiled models by a text key, at most 1 GiB; the longest unused are deleted first."""

    folder: Path

    def read(self, key: str) -> bytes | None:
        """Return the blob of a key, None if it is missing or damaged."""
        path = self._path(key)
        try:
            content = read_bounded(path, _DIGEST_BYTES + _KEEP_BYTES)
        except OSError:
            return None
        with suppress(OSError):  # another user's file
            os.utime(path)
        digest, blob = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(blob).digest() != digest:
            _log.warning("%s is damaged and ignored", path)
            return None
        return blob

    def write(self, key: str, blob: bytes | memoryview) -> None:
        """Store a blob; a failure is only logged."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(memoryview(blob).nbytes)
            with aside(self._path(key)) as temporary:
                with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
                    stream.write(hashlib.sha256(blob).digest())
                    stream.write(blob)
                os.replace(temporary, self._path(key))
        except OSError as error:
            _log.warning("compiled model not cached in %s: %s", self.folder, error.strerror or error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.blob"

    def _make_room(self, size: int) -> None:
        for changed, _, partial in self._files("*.partial"):  # of a process killed while writing
            if time.time() - changed > _ABANDONED_AFTER_S:
                partial.unlink(missing_ok=True)
        entries = self._files("*.blob")
        total = size + sum(entry[1] for entry in entries)
        for _, used, path in entries:
            if total <= _KEEP_BYTES:
                return
            path.unlink(missing_ok=True)
            total -= used

    def _files(self, pattern: str) -> list[tuple[float, int, Path]]:
        """Return time of last use, size and path, the longest unused first."""
        files = []
        for path in self.folder.glob(pattern):
            with suppress(FileNotFoundError):  # other processes rename and delete too
                facts = path.stat()
                files.append((facts.st_mtime, facts.st_size, path))
        return sorted(files)
