"""A folder of compiled models that two processes, a full disk or a crash cannot spoil.

An entry is one file: the SHA-256 of the blob, then the blob. It is written aside and renamed into place, so a reader
meets a whole entry or none; whatever does not match its digest is ignored. Writing is a favor: when it fails the
model runs all the same.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..system.files import read_bounded

_log = logging.getLogger(__name__)

_DIGEST_BYTES = 32
_KEEP_BYTES = 1 << 30
_ABANDONED_AFTER_S = 3600
CACHE_VARIABLE = "SHITU_EDGE_CACHE"


def user_cache() -> Path | None:
    """Return the user's cache folder for compiled models, None if `$SHITU_EDGE_CACHE` is empty or there is no home."""
    variable = os.environ.get(CACHE_VARIABLE)
    if variable is not None:
        return Path(variable) if variable else None
    return home_cache()


def home_cache() -> Path | None:
    """Return the cache folder in the user's home, None for a user who has none."""
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
    """Compiled models by a text key, at most 1 GiB of them; the longest unused go first."""

    folder: Path

    def read(self, key: str) -> bytes | None:
        """Return the blob of a key, None when there is none that is whole."""
        path = self._path(key)
        try:
            content = read_bounded(path, _DIGEST_BYTES + _KEEP_BYTES)
        except OSError:
            return None
        with suppress(OSError):  # somebody else's file: read only, its age is theirs to keep
            os.utime(path)
        digest, blob = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(blob).digest() != digest:
            _log.warning("%s is damaged and ignored", path)
            return None
        return blob

    def write(self, key: str, blob: bytes | memoryview) -> None:
        """Keep a blob. A folder that cannot be written or a full disk is logged and changes nothing."""
        temporary = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(memoryview(blob).nbytes)
            with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".partial", delete=False) as stream:
                temporary = stream.name
                stream.write(hashlib.sha256(blob).digest())
                stream.write(blob)
            os.replace(temporary, self._path(key))
        except OSError as error:
            _log.warning("compiled model not cached in %s: %s", self.folder, error.strerror or error)
            if temporary:
                with suppress(OSError):
                    os.unlink(temporary)

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.blob"

    def _make_room(self, size: int) -> None:
        for changed, _, partial in self._files("*.partial"):  # left by a process that was killed while writing
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
            with suppress(FileNotFoundError):  # another process renames and removes too
                facts = path.stat()
                files.append((facts.st_mtime, facts.st_size, path))
        return sorted(files)
