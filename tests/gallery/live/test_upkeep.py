"""How the process that builds a gallery's graph ends: with its gallery, with its parent, stopped or killed."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, GraphParameters
from shitu_edge.gallery.live import live as live_module
from shitu_edge.gallery.live.sole import sole_builder
from tests.gallery.rows import clustered_rows, create, new_items, unit_rows

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")

DIM, COUNT = 128, 12_000
_ROOT = Path(__file__).parents[3]
SLOW = GraphParameters(m=16, ef_construction=1000)


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "GRAPH_FROM", 50)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery whose graph of 60 items takes half a minute to be built anew for all of them."""
    path = tmp_path_factory.mktemp("shop") / "shop.gallery"
    rows = clustered_rows(COUNT, DIM)
    with create(path, DIM) as gallery:
        gallery.add(new_items(rows[:60]))
        gallery.index.rebuild(SLOW)
        gallery.add(new_items(rows[60:]))
    return path


@pytest.fixture
def path(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built.parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / built.name


def _until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_alive(process: int) -> bool:
    """Whether there is such a process, and it has not just to be waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _begin(gallery: Gallery) -> int:
    """Make a change that calls for a build; return the number of the process when it is at work."""
    with gallery.change():
        pass
    upkeep = gallery._live.upkeep
    _until(lambda: upkeep._process)
    assert upkeep._process
    _until(lambda: _is_being_built(gallery.path))
    return upkeep._process.pid


def _is_being_built(path: Path) -> bool:
    """Whether a process holds the builder's lock; to try for it would be to take it from one that begins."""
    try:
        inode = path.with_name(f"{path.name}.building").stat().st_ino
    except FileNotFoundError:
        return False
    return any(f":{inode} " in line for line in Path("/proc/locks").read_text().splitlines())


def _leftovers(path: Path) -> list[str]:
    return sorted(file.name[len(path.name) :] for file in path.parent.glob(f"{path.name}?*"))


@pytest.mark.parametrize("state", ["at work", "stopped"])
def test_closing_takes_no_longer_than_it_promises(path: Path, state: str, caplog: pytest.LogCaptureFixture) -> None:
    """Two seconds; a stopped process does not end when it is asked to, like one that waits for a dead disk."""
    with caplog.at_level(logging.WARNING):
        gallery = Gallery.open(path)
        process = _begin(gallery)
        if state == "stopped":
            os.kill(process, signal.SIGSTOP)
        begun = time.monotonic()
        gallery.close()
        took_s = time.monotonic() - begun
    assert took_s < 10
    assert not _is_alive(process)
    assert "shitu-gallery" not in {thread.name for thread in threading.enumerate()}
    assert caplog.messages == []
    if state == "at work":
        assert [name[-5:] for name in _leftovers(path)] == [".hnsw"]


def test_killed_parents_leave_no_builds(path: Path) -> None:
    builds = []
    for _ in range(5):
        with _parent(path) as (parent, build):
            assert _is_alive(build)
            parent.kill()
            builds.append(build)
    time.sleep(5)
    assert [build for build in builds if _is_alive(build)] == []
    with Gallery.open(path) as gallery:
        _begin(gallery)  # nothing that they have left is in the way


def test_killed_parent_leaves_no_build_to_a_process_that_it_has_forked(path: Path) -> None:
    """The fork has the other end of the build's input."""
    with _parent(path, "fork") as (parent, build):
        parent.kill()
        _until(lambda: not _is_alive(build), seconds=15)


_PARENT = """
import os, sys, time
from pathlib import Path
from shitu_edge.gallery import Gallery
from shitu_edge.gallery.live import live
from tests.gallery.live.test_upkeep import _begin

live.GRAPH_FROM = 50
gallery = Gallery.open(sys.argv[1])
build = _begin(gallery)
if sys.argv[2] == "fork" and os.fork() == 0:
    os.close(0), os.close(1), os.close(2)
    time.sleep(30)
    os._exit(0)
print(build, flush=True)
time.sleep(600)
"""


@contextmanager
def _parent(path: Path, kind: str = "alone") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a process that has a gallery open whose graph is being built; yield it and the number of its build."""
    command = [sys.executable, "-W", "ignore", "-c", _PARENT, str(path), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as parent:
        try:
            assert parent.stdout
            yield parent, int(parent.stdout.readline())
        finally:
            parent.kill()


def test_one_gallery_has_one_build(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), Gallery.open(path) as one, Gallery.open(path) as other:
        first = _begin(one)
        with other.change():
            pass
        _until(lambda: other._live.upkeep._process)
        other._live.upkeep.wait()
        assert _is_alive(first)
        assert one._live.upkeep._process
        assert _is_being_built(path)
    assert caplog.messages == []


def test_build_in_this_process_is_the_only_one_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an application that is no Python to be called with a module."""
    with Gallery.open(path) as one:
        _begin(one)
        monkeypatch.setattr(sys, "frozen", True, raising=False)
        with Gallery.open(path) as other:
            with other.change():
                pass
            other._live.upkeep.wait()
            assert other.info().pending == COUNT - 60


def test_sole_builder_keeps_others_out_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "shop.gallery"
    for _ in range(2):
        with sole_builder(path) as one, sole_builder(path) as other:
            assert (one, other) == (True, False)
        assert list(tmp_path.iterdir()) == []


def test_sole_builder_is_not_kept_out_by_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "shop.gallery"
    script = f"""
import os, signal
from pathlib import Path
from shitu_edge.gallery.live.sole import sole_builder
with sole_builder(Path({str(path)!r})) as alone:
    assert alone
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [file.name for file in tmp_path.iterdir()] == ["shop.gallery.building"]
    with sole_builder(path) as alone:
        assert alone


def test_sole_builder_that_waited_for_a_deleted_file_is_not_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opened the file just before its holder deleted it; a third one would lock a new file."""
    path, open_file = tmp_path / "shop.gallery", os.open

    def open_and_be_overtaken(*arguments: object) -> int:
        descriptor = open_file(*arguments)  # type: ignore[arg-type]
        path.with_name("shop.gallery.building").unlink()
        return descriptor

    monkeypatch.setattr(os, "open", open_and_be_overtaken)
    with sole_builder(path) as alone:
        assert not alone


def test_sole_builder_names_why_there_can_be_no_lock(tmp_path: Path) -> None:
    (tmp_path / "shop.gallery.building").mkdir()
    with (
        pytest.raises(GalleryError, match="the index cannot be written: Is a directory"),
        sole_builder(tmp_path / "shop.gallery"),
    ):
        pass


def test_failed_build_is_one_line_whatever_was_said_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The building process warns first that the gallery has no index."""
    path = tmp_path / "shop.gallery"
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(20_000)))
    (tmp_path / "hnswlib.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{_ROOT}")
    with Gallery.open(path) as gallery:
        caplog.clear()
        with gallery.change():
            pass
        gallery._live.upkeep.wait()
    [message] = caplog.messages
    assert message.startswith("index not built: large galleries need hnswlib (not here)")
    assert "\n" not in message
