from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shitu_edge.engines import cache as cache_module
from shitu_edge.engines.cache import CACHE_VARIABLE, BlobCache, user_cache


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "cache")


def _files(cache: BlobCache, suffix: str = ".blob") -> list[Path]:
    return sorted(path for path in cache.folder.iterdir() if path.suffix == suffix)


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("blob", [b"", b"x", os.urandom(3000), bytes(range(256)) * 5000])
def test_a_blob_comes_back(cache: BlobCache, blob: bytes) -> None:
    assert cache.read("key") is None
    cache.write("key", blob)
    cache.write("other", memoryview(b"other"))
    assert cache.read("key") == blob
    assert cache.read("other") == b"other"
    assert cache.read("third") is None
    cache.write("key", b"newer")
    assert cache.read("key") == b"newer"
    assert len(list(cache.folder.iterdir())) == 2


@pytest.mark.parametrize("keep", [0, 10, 32, 1031])
def test_a_truncated_entry_is_ignored(cache: BlobCache, caplog: pytest.LogCaptureFixture, keep: int) -> None:
    cache.write("key", bytes(1000))
    [entry] = _files(cache)
    entry.write_bytes(entry.read_bytes()[:keep])
    assert cache.read("key") is None
    assert _warnings(caplog) == [f"{entry} is damaged and ignored"]
    cache.write("key", bytes(1000))
    assert cache.read("key") == bytes(1000)


@pytest.mark.parametrize("position", [0, 31, 32, 500, 1031])
def test_an_altered_entry_is_ignored(cache: BlobCache, position: int) -> None:
    cache.write("key", bytes(1000))
    [entry] = _files(cache)
    content = bytearray(entry.read_bytes())
    content[position] ^= 1
    entry.write_bytes(content)
    assert cache.read("key") is None


def test_a_folder_that_cannot_be_made_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = BlobCache(tmp_path / "file" / "cache")
    cache.write("key", b"blob")
    assert cache.read("key") is None
    assert len(_warnings(caplog)) == 1
    assert "not cached" in _warnings(caplog)[0]


@pytest.mark.skipif(sys.platform == "win32", reason="permission bits")
def test_a_read_only_folder_is_read(cache: BlobCache, caplog: pytest.LogCaptureFixture) -> None:
    cache.write("key", b"blob")
    _files(cache)[0].chmod(0o444)
    cache.folder.chmod(0o555)
    try:
        if os.access(cache.folder, os.W_OK):
            pytest.skip("permission bits do not hold here: for root")
        cache.write("new", b"blob")
        assert cache.read("key") == b"blob"
        assert cache.read("new") is None
        assert len(_warnings(caplog)) == 1
    finally:
        cache.folder.chmod(0o755)


def test_an_entry_whose_time_may_not_be_set_is_read(cache: BlobCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a folder of another user."""
    cache.write("key", b"blob")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    assert cache.read("key") == b"blob"


_FULL_DISK = """
import logging, resource, sys
from pathlib import Path
from shitu_edge.engines.cache import BlobCache

logging.basicConfig(stream=sys.stdout, format="%(message)s")
cache = BlobCache(Path(sys.argv[1]))
cache.write("small", b"small")
cache.write("large", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
cache.write("large", bytes(100_000))
print(cache.read("small"), cache.read("large"), sorted(file.suffix for file in cache.folder.iterdir()))
"""


def test_a_full_disk_is_logged_and_spoils_nothing(cache: BlobCache) -> None:
    pytest.importorskip("resource", reason="file size limits are POSIX")
    command = [sys.executable, "-c", _FULL_DISK, str(cache.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    warning, answer = done.stdout.splitlines()
    assert warning.startswith(f"compiled model not cached in {cache.folder}: ")
    assert answer == "b'small' b'old' ['.blob', '.blob']"


_WRITER = """
import logging, sys
from pathlib import Path
from shitu_edge.engines.cache import BlobCache

logging.basicConfig(stream=sys.stdout, format="%(message)s")
cache, letter = BlobCache(Path(sys.argv[1])), sys.argv[2].encode()
for length in range(200_000, 200_150):
    cache.write("key", letter * length)
"""


def test_two_writers_and_a_reader_of_one_key(cache: BlobCache, caplog: pytest.LogCaptureFixture) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(cache.folder), letter], stdout=subprocess.PIPE, text=True)
        for letter in "ab"
    ]
    seen = set()
    running = True
    while running:
        running = any(writer.poll() is None for writer in writers)
        blob = cache.read("key")
        if blob is not None:
            assert blob == blob[:1] * len(blob)
            assert 200_000 <= len(blob) < 200_150
            seen.add(blob[:1])
    complaints = [writer.communicate()[0] for writer in writers]

    assert seen
    assert seen <= {b"a", b"b"}
    assert complaints == ["", ""]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert not _warnings(caplog)
    final = cache.read("key")
    assert final in {b"a" * 200_149, b"b" * 200_149}
    assert len(list(cache.folder.iterdir())) == 1


def test_the_longest_unused_make_room(cache: BlobCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_KEEP_BYTES", 4000)
    hour_ago = time.time() - 3600
    for i, key in enumerate("abc"):
        before = set(cache.folder.iterdir()) if i else set()
        cache.write(key, bytes(1000))
        [entry] = set(cache.folder.iterdir()) - before
        os.utime(entry, (hour_ago + i, hour_ago + i))
    assert cache.read("a") is not None  # which makes b the longest unused

    cache.write("d", bytes(2900))

    assert {key for key in "abcd" if cache.read(key) is not None} == {"a", "d"}
    assert sum(path.stat().st_size for path in cache.folder.iterdir()) <= 4000 + 32


def test_abandoned_writes_are_removed_and_current_ones_kept(cache: BlobCache) -> None:
    cache.folder.mkdir()
    stale, fresh = cache.folder / "stale.partial", cache.folder / "fresh.partial"
    for path, age in ((stale, 2 * 3600), (fresh, 60)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age, time.time() - age))
    cache.write("key", b"blob")
    assert _files(cache, ".partial") == [fresh]


def test_a_file_that_vanishes_meanwhile_is_no_problem(
    cache: BlobCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another process finishes its write between the listing and the look at the file."""
    glob = Path.glob

    def with_a_ghost(self: Path, pattern: str) -> list[Path]:
        return [*glob(self, pattern), self / pattern.replace("*", "ghost")]

    monkeypatch.setattr(Path, "glob", with_a_ghost)
    cache.write("key", b"blob")
    assert cache.read("key") == b"blob"
    assert not _warnings(caplog)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "mine"))
    assert user_cache() == tmp_path / "mine"
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert user_cache() is None


@pytest.mark.skipif(sys.platform != "linux", reason="the XDG folders")
def test_where_the_cache_is_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert user_cache() == tmp_path / "xdg" / "shitu-edge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache() == tmp_path / "home" / ".cache" / "shitu-edge"
    monkeypatch.setattr(Path, "home", _no_home)
    assert user_cache() is None


def _no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")
