"""Images hold what SQLite reads of the same file and log, whatever was done to both."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery
from shitu_edge.gallery.store import image as image_module
from shitu_edge.gallery.store import store
from shitu_edge.gallery.store.connection import refuse_open
from shitu_edge.gallery.store.held import file_id, holding
from shitu_edge.gallery.store.image import open_image, version

from .rows import create, new_items, run_python, unit_rows

Row = tuple[float, bytes]


@contextmanager
def _database(path: Path, chance: random.Random) -> Iterator[sqlite3.Connection]:
    """A file that keeps its log until it is closed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {chance.choice([512, 4096, 16384])}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {chance.choice([0, 5, 50])}")
        connection.execute("PRAGMA cache_size = 5")  # so that changes that are given up are in the log too
        connection.execute("CREATE TABLE row (number, content)")
        yield connection


def _do(connection: sqlite3.Connection, chance: random.Random) -> None:
    insert = "INSERT INTO row VALUES (?, ?)"
    kind = chance.choice(["insert"] * 5 + ["delete", "shrink", "give up", "checkpoint"])
    if kind == "insert":
        connection.execute(insert, (chance.random(), chance.randbytes(chance.randint(0, 40_000))))
    elif kind == "delete":
        connection.execute("DELETE FROM row WHERE rowid % 3 = ?", (chance.randrange(3),))
    elif kind == "shrink":
        connection.executescript("PRAGMA incremental_vacuum")
    elif kind == "give up":
        connection.execute("BEGIN")
        for _ in range(5):
            connection.execute(insert, (chance.random(), chance.randbytes(20_000)))
        connection.execute("ROLLBACK")
    else:
        connection.execute(f"PRAGMA wal_checkpoint({chance.choice(['PASSIVE', 'FULL', 'RESTART', 'TRUNCATE'])})")


def _rows(connection: sqlite3.Connection) -> list[Row]:
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return connection.execute("SELECT * FROM row ORDER BY rowid").fetchall()


def _rows_of_image(path: Path) -> list[Row]:
    with holding(file_id(path)), closing(open_image(path)) as connection:
        return _rows(connection)


@pytest.mark.parametrize("seed", range(20))
def test_an_image_of_a_database_in_use(tmp_path: Path, seed: int) -> None:
    chance, path = random.Random(seed), tmp_path / "database"
    with _database(path, chance) as connection:
        for _ in range(chance.randint(1, 40)):
            _do(connection, chance)
            assert _rows_of_image(path) == _rows(connection)
    assert not path.with_name("database-wal").exists(), "somebody kept it open"
    with closing(sqlite3.connect(path)) as connection:
        assert _rows_of_image(path) == _rows(connection)


def test_a_damaged_log_is_read_as_far_as_sqlite_does(tmp_path: Path) -> None:
    chance, path, copy = random.Random(3), tmp_path / "database", tmp_path / "copy"
    with _database(path, chance) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        for _ in range(30):
            connection.execute("INSERT INTO row VALUES (?, ?)", (chance.random(), chance.randbytes(9000)))
        log = path.with_name("database-wal").read_bytes()
        shutil.copyfile(path, copy)
    lengths = set()
    for number in range(150):
        damaged = bytearray(log)
        if number % 3:
            damaged[chance.randrange(32) if number % 30 == 1 else chance.randrange(len(log))] ^= 1 << chance.randrange(
                8
            )
        else:
            del damaged[chance.randrange(len(log)) :]
        copy.with_name("copy-wal").write_bytes(damaged)
        image = _tables_of_image(copy)
        shutil.copyfile(copy, tmp_path / "other")
        shutil.copyfile(copy.with_name("copy-wal"), tmp_path / "other-wal")
        with closing(sqlite3.connect(tmp_path / "other")) as connection:
            assert image == _tables(connection)
        lengths.add(len(image))
    assert len(lengths) > 15


def _tables(connection: sqlite3.Connection) -> list[Row]:
    """The rows, if there is the table yet."""
    return _rows(connection) if connection.execute("SELECT * FROM sqlite_master").fetchall() else []


def _tables_of_image(path: Path) -> list[Row]:
    with holding(file_id(path)), closing(open_image(path)) as connection:
        return _tables(connection)


def test_an_image_from_a_temporary_file_where_python_takes_none_from_memory(tmp_path: Path) -> None:
    chance, path = random.Random(1), tmp_path / "database"
    with _database(path, chance) as connection:
        for _ in range(20):
            _do(connection, chance)
        with holding(file_id(path)):
            image = image_module.read_image(path)
        image[image_module._MODES] = b"\1\1"
        with closing(image_module._opened_aside(image)) as aside:
            assert _rows(aside) == _rows(connection)


def test_an_image_drops_no_lock(tmp_path: Path) -> None:
    """Closing any descriptor of a file drops what this process has locked of it."""
    path = tmp_path / "shop.gallery"
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(2)))
        with holding(file_id(path)), closing(open_image(path)):
            pass
        script = "import sys; from pathlib import Path\nfrom shitu_edge.errors import GalleryError\n"
        script += "from shitu_edge.gallery.store.connection import refuse_open\n"
        script += "try: refuse_open(Path(sys.argv[1]))\nexcept GalleryError as error: print(error)"
        assert run_python(script, path) == f"{path}: is open in another process; close it there first\n"
    refuse_open(path)


def test_a_version_tells_changes_that_times_do_not(tmp_path: Path) -> None:
    path = tmp_path / "shop.gallery"
    create(path).close()
    assert version(path) != version(path), "just now"
    os.utime(path, ns=(1, time.time_ns() - 60_000_000_000 + 1))
    assert version(path) == version(path)
    os.utime(path, ns=(1, time.time_ns() // 1_000_000_000 * 1_000_000_000 - 1_000_000_000))
    assert version(path) != version(path), "in whole seconds, as some file systems have it"


def test_a_file_that_never_holds_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shop.gallery"
    create(path).close()
    monkeypatch.setattr(image_module, "_WAIT_S", 0.05)
    monkeypatch.setattr(image_module, "_is_same", lambda *_: False)
    with holding(file_id(path)), pytest.raises(GalleryError, match=r"shop\.gallery: changes faster than it can be"):
        open_image(path)


def test_a_file_with_a_rollback_journal_is_not_read_in_the_middle_of_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, chance = tmp_path / "database", random.Random(5)
    monkeypatch.setattr(image_module, "_WAIT_S", 0.05)
    with _database(path, chance) as connection:
        _do(connection, chance)
        connection.execute("PRAGMA journal_mode = DELETE")
        before = _rows(connection)
        connection.execute("BEGIN")
        for _ in range(30):
            connection.execute("INSERT INTO row VALUES (?, ?)", (chance.random(), chance.randbytes(20_000)))
        with pytest.raises(GalleryError, match="changes faster than it can be read"):
            _rows_of_image(path)
        connection.execute("ROLLBACK")
        assert _rows_of_image(path) == before


def test_a_log_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "shop.gallery"
    create(path).close()
    os.mkfifo(path.with_name("shop.gallery-wal"))
    with holding(file_id(path)), pytest.raises(GalleryError, match=r"shop\.gallery-wal: cannot be read: is a pipe"):
        open_image(path)


def test_a_gallery_read_as_an_image_follows_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shop.gallery"
    with create(path) as writer:
        writer.add(new_items(unit_rows(3)))
        with monkeypatch.context() as patch:
            patch.setattr("shitu_edge.gallery.store.store.open_live", lambda _: None)
            reader = Gallery.open(path, background=False)
            with reader:
                for number in range(5):
                    assert len(reader) == 3 + number == len(reader.items())
                    writer.add(new_items(unit_rows(1, seed=number + 1)))
                reader.copy(tmp_path / "copy.gallery")
                assert reader.add(new_items(unit_rows(1, seed=9))) == [9], "writing goes on where it can"
                assert len(reader) == 9
    with Gallery.open(tmp_path / "copy.gallery") as copy:
        assert len(copy) == 8
        copy.add(new_items(unit_rows(1, seed=10)))
    with closing(sqlite3.connect(tmp_path / "copy.gallery")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_log_of_a_linked_gallery_lies_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    path, link = tmp_path / "data" / "shop.gallery", tmp_path / "link.gallery"
    link.symlink_to(path)
    with create(path) as writer:
        writer.history.compact()
        writer.add(new_items(unit_rows(3)))
        monkeypatch.setattr("shitu_edge.gallery.store.store.open_live", lambda _: None)
        with Gallery.open(link, background=False) as reader:
            assert len(reader) == 3
            writer.add(new_items(unit_rows(1)))
            assert len(reader) == 4


def test_a_connection_that_needs_a_right_it_lost_gives_way_to_an_image(tmp_path: Path) -> None:
    """As where a killed writer left a log that only who may write can mend."""

    class Unable:
        closed = False

        def execute(self, *_: object) -> None:
            raise sqlite3.OperationalError("attempt to write a readonly database")

        def close(self) -> None:
            self.closed = True

    path = tmp_path / "shop.gallery"
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(3)))
        store, unable = gallery._store, Unable()
        assert store._live
        store._live.close()
        store._live = unable  # type: ignore[assignment]
        assert len(gallery) == 3
        assert unable.closed
        assert gallery.add(new_items(unit_rows(1))) == [4]
        assert len(gallery) == 4
        assert store._live, "it may be shared again"


@pytest.mark.parametrize("where", ["check_structure", "Snapshot"])
def test_a_log_that_goes_away_as_a_snapshot_begins_gives_way_to_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """A writer closed the gallery in between, and whoever may only read cannot make the log again."""
    real = getattr(store, where)
    failures: list[int] = []

    def once(*arguments: Any) -> Any:
        if not failures:
            failures.append(1)
            raise sqlite3.OperationalError("attempt to write a readonly database")
        return real(*arguments)

    with create(tmp_path / "shop.gallery") as gallery:
        gallery.add(new_items(unit_rows(3)))
        monkeypatch.setattr(store, where, once)
        assert len(gallery.items()) == 3
        assert failures
        assert len(gallery.history.log()) == 2
