"""What killed makers of files leave is dropped, and what is being made is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shitu_edge.system.unfinished import _started, unfinished

_MAKER = """
import os, signal, sys, time
from pathlib import Path
from shitu_edge.gallery import Gallery, GraphParameters
from shitu_edge.gallery.store.store import _created, _new_file
from shitu_edge.system.unfinished import unfinished
from tests.gallery.rows import create, new_items, unit_rows

with unfinished(Path(sys.argv[1])) as partial:
    gallery = create(partial)
    gallery.add(new_items(unit_rows(9)))
    gallery.index.rebuild(GraphParameters(m=8, ef_construction=20, ef=20))
    gallery.add(new_items(unit_rows(1)))
    with _new_file(partial.with_name(partial.name + ".0123456789abcdef.hnsw")) as nested:
        connection = _created(nested)
        connection.executescript("BEGIN; CREATE TABLE t (a); PRAGMA cache_spill = 1; PRAGMA cache_size = 1")
        connection.execute("INSERT INTO t VALUES (zeroblob(1000000))")
        print("made", flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.gallery"


def _maker(path: Path) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    maker = subprocess.Popen(
        [sys.executable, "-c", _MAKER, str(path)], stdin=pipe, stdout=pipe, text=True, cwd=Path(__file__).parents[2]
    )
    assert maker.stdout
    assert maker.stdout.readline().strip() == "made"
    return maker


def _names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def _grow_old(path: Path) -> None:
    for file in path.parent.iterdir():
        os.utime(file, (time.time() - 90_000, time.time() - 90_000))


def test_all_that_a_killed_maker_left_is_dropped_when_it_is_old(path: Path) -> None:
    with _maker(path) as maker:
        maker.send_signal(signal.SIGKILL)
    left = _names(path)
    assert len(left) == 6, "the gallery, its log and index, its graph; and what was made beside it, with its journal"
    assert any(name.endswith("-journal") for name in left)
    with unfinished(path):
        assert _names(path) == left, "it may belong to a container whose processes cannot be seen"
    _grow_old(path)
    with unfinished(path):
        assert _names(path) == []


@pytest.mark.skipif(_started(os.getpid()) is None, reason="whether a process is running is read in /proc")
def test_what_is_being_made_is_not_dropped_when_the_clock_jumps(path: Path) -> None:
    with _maker(path) as maker:
        _grow_old(path)
        made = _names(path)
        with unfinished(path):
            assert _names(path) == made
        maker.communicate("\n")
    assert _names(path) == []


def test_names_that_are_others_are_left(path: Path) -> None:
    others = (
        *("shop.gallery", "shop.gallery-wal", "shop.gallery.0123456789abcdef.hnsw", "shop.gallery.0123.partial.txt"),
        *(
            "shop.gallery.bak.0123.partial",
            "another.gallery.0123.partial",
            "shop.galleryx.0123.partial",
            "0123.partial",
        ),
    )
    ours = ("shop.gallery.0123.partial", "shop.gallery.0123456789abcdef.hnsw.0123.partial")
    for name in (*others, *ours):
        path.with_name(name).touch()
    _grow_old(path)
    with unfinished(path):
        assert _names(path) == sorted(others)


def test_another_process_of_the_same_number_is_not_the_maker(path: Path) -> None:
    """As process 1 of another container, or the next one that gets a number."""
    left = path.with_name(f"shop.gallery.{os.getpid():x}-{1:x}-0123.partial")
    left.touch()
    _grow_old(path)
    with unfinished(path):
        assert not left.exists()
