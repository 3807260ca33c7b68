from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.store import Store
from shitu_edge.gallery.store import connection as connection_module
from shitu_edge.gallery.store import drives as drives_module
from shitu_edge.gallery.store import snapshot as snapshot_module
from shitu_edge.gallery.store import store as store_module
from shitu_edge.gallery.store.schema import LOG_BYTES, SCHEMA
from shitu_edge.gallery.store.structure import Guarded

from .rows import create, new_items, run_python, unit_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed gallery of three items."""
    file = tmp_path / "shop.gallery"
    with create(file) as gallery:
        gallery.add(new_items(unit_rows(3)))
    return file


def _alter(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def _refusal(path: Path) -> str:
    """What opening says, which is one line that begins with the file's name."""
    with pytest.raises(GalleryError) as refusal:
        Gallery.open(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    leftovers = [file.name for file in path.parent.iterdir() if file.name.endswith(("-wal", "-shm"))]
    assert leftovers == [], "the refused file is still open"
    return message


def test_a_gallery_is_a_sqlite_file_that_others_can_read(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        items = connection.execute(
            "SELECT id, label, vector, added_in, removed_in FROM entries JOIN embeddings ON item = id"
        ).fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert [(item[0], item[1], item[3], item[4]) for item in items] == [
        (i + 1, f"label {i}", 2, None) for i in range(3)
    ]
    found = np.array([np.frombuffer(item[2], "<f4") for item in items])
    np.testing.assert_array_equal(found, unit_rows(3))


def test_names_that_an_address_would_take_specially(tmp_path: Path) -> None:
    path = tmp_path / "50% off? 牛奶 #1.gallery"
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(1)))
    assert path.is_file()
    with Gallery.open(path) as gallery:
        assert len(gallery) == 1


def test_missing_file(tmp_path: Path) -> None:
    assert "No such file or directory; create it with `shitu-edge gallery build`" in _refusal(tmp_path / "none.gallery")
    assert list(tmp_path.iterdir()) == []


def test_folder(tmp_path: Path) -> None:
    assert "cannot be opened" in _refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"SQLite", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(content)
    assert "is not a gallery" in _refusal(path)


def test_sqlite_header_before_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "rubbish"
    path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 20)
    assert "is not a gallery: not a SQLite file" in _refusal(path)


def test_sqlite_file_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    _alter(path, "CREATE TABLE notes (text TEXT)")
    assert "is a SQLite file but not a gallery" in _refusal(path)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("PRAGMA user_version = 1", "expected gallery format 2 to 4, found 1; build it again"),
        ("DROP TABLE meta", "the table meta is missing"),
        ("DROP TABLE entries", "the table entries is missing"),
        ("DELETE FROM meta WHERE key = 'fingerprint'", "is damaged: its metadata is unusable: 'fingerprint'"),
        ("UPDATE meta SET value = 'many' WHERE key = 'dim'", "is damaged: its metadata is unusable"),
        ("UPDATE meta SET value = '0' WHERE key = 'dim'", "is damaged: its metadata is unusable"),
        ("UPDATE meta SET value = '15' WHERE key = 'dim'", "is damaged: an embedding does not have 15 numbers"),
        ("UPDATE embeddings SET vector = x'00' WHERE id = 2", "is damaged: an embedding does not have 16 numbers"),
        ("UPDATE embeddings SET vector = x'' WHERE id = 2", "is damaged: an embedding does not have 16 numbers"),
        ("UPDATE embeddings SET vector = zeroblob(64) WHERE id = 2", "is damaged: an embedding is not a unit vector"),
        ("UPDATE entries SET label = CAST(x'ff' AS TEXT) WHERE item = 2", "is damaged: Could not decode to UTF-8"),
    ],
)
def test_damaged_gallery(path: Path, statement: str, message: str) -> None:
    _alter(path, statement)
    assert message in _refusal(path)


@pytest.mark.parametrize("number", [0.5, 2.0, float("nan"), float("inf")])
def test_stored_embedding_that_is_no_unit_row(path: Path, number: float) -> None:
    row = unit_rows(1)[0]
    row[3] = number
    _alter(path, "UPDATE embeddings SET vector = ? WHERE id = 3", row.tobytes())
    assert "is damaged: an embedding is not a unit vector" in _refusal(path)


def test_overwritten_page(path: Path) -> None:
    with create(path.with_name("large")) as gallery:
        gallery.add(new_items(unit_rows(200)))
    large = path.with_name("large")
    content = bytearray(large.read_bytes())
    content[4096 * 8 : 4096 * 12] = bytes(range(256)) * 64
    large.write_bytes(content)
    assert "malformed" in _refusal(large) or "damaged" in _refusal(large)


def test_damage_done_while_open_is_named_too(path: Path) -> None:
    with Gallery.open(path) as gallery:
        _alter(path, "INSERT INTO revisions VALUES (3, '', '', '', 0, 0, x'00', x'00')")
        _alter(path, "INSERT INTO embeddings VALUES (4, x'00')")
        _alter(path, "INSERT INTO entries VALUES (4, 'tea', '', x'00', 3, NULL)")
        with pytest.raises(GalleryError, match=r"shop\.gallery: is damaged: an embedding"):
            gallery.search(unit_rows(1))


def test_creating_over_something(path: Path, tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"shop\.gallery: already exists"):
        create(path)
    with pytest.raises(GalleryError, match="already exists"):
        create(tmp_path)
    with pytest.raises(GalleryError, match="there is no folder"):
        create(tmp_path / "none" / "shop.gallery")
    with pytest.raises(GalleryError, match="dimension of at least 1, found 0"):
        create(tmp_path / "flat.gallery", dim=0)
    with Gallery.open(path) as gallery:
        assert len(gallery) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["shop.gallery"]


def test_a_file_that_another_makes_at_the_same_time_is_not_deleted(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It appears after any check that comes before making it."""
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    with pytest.raises(GalleryError, match=r"shop\.gallery: already exists"):
        create(path)
    monkeypatch.undo()
    with Gallery.open(path) as gallery:
        assert len(gallery) == 3


def test_a_creation_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SCHEMA", SCHEMA.replace("TABLE graph", "TABEL graph"))
    with pytest.raises(GalleryError, match="syntax error"):
        create(tmp_path / "shop.gallery")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="cannot be created: File name too long"):
        create(tmp_path / ("x" * 300))
    assert "cannot be opened: File name too long" in _refusal(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("query", "values", "index"),
    [
        (snapshot_module._GONE_SINCE, (7, 7), "entries_by_removal"),
        (snapshot_module._COME_SINCE, (7,), "entries_by_addition"),
    ],
)
def test_what_is_read_after_each_commit_takes_no_look_at_all_items(
    path: Path, query: str, values: tuple[int, ...], index: str
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    assert plan[0].startswith("SEARCH")
    assert not any(step.startswith("SCAN") for step in plan)
    assert index in plan[0]


def test_long_reads_keep_nobody_waiting(path: Path) -> None:
    """Embeddings are read beside the connection that searches need."""
    store = Store.open(path)
    found: list[int] = []

    def read() -> None:
        with store.snapshot() as snapshot:
            found.append(len(snapshot.embeddings(np.array([1, 2, 3]))))

    reader = threading.Thread(target=read, daemon=True)
    with closing(store), store._lock:
        reader.start()
        reader.join(60)
        assert found == [3]


_FULL_DISK = """
import json, resource, sys
from pathlib import Path
import numpy as np
from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, NewGalleryItem

rows = np.eye(16, dtype=np.float32)
with Gallery.open(sys.argv[1]) as gallery:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limit[1]))
    try:
        gallery.add(NewGalleryItem("x" * 100, "", rows[i % 16]) for i in range(2000))
        error = None
    except GalleryError as failure:
        error = str(failure)
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    during = len(gallery)
    print(json.dumps({"error": error, "during": during, "then": gallery.add([NewGalleryItem("tea", "", rows[0])])}))
"""


def test_full_disk_commits_nothing_and_spoils_nothing(path: Path) -> None:
    pytest.importorskip("resource", reason="file size limits are POSIX")
    answer = json.loads(run_python(_FULL_DISK, path))
    assert answer["error"].startswith(f"{path}: ")
    assert "rollback" not in answer["error"]
    assert (answer["during"], answer["then"]) == (3, [4])
    with Gallery.open(path) as gallery:
        assert [item.label for item in gallery.items()] == ["label 0", "label 1", "label 2", "tea"]


def test_an_aborted_transaction_is_reported_by_its_cause(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite ends a transaction by itself on some errors; there is nothing to roll back then."""

    def connect(path: Path) -> Guarded:
        connection = connection_module.connect(path)
        connection.execute("PRAGMA max_page_count = 20")
        return connection

    with Gallery.open(path) as gallery:
        with monkeypatch.context() as patch:
            patch.setattr(store_module, "connect", connect)
            with pytest.raises(GalleryError, match=r"shop\.gallery: the disk is full$"):
                gallery.add(new_items(unit_rows(3000)))
        assert (len(gallery), gallery.revision) == (3, 2)
        assert gallery.add(new_items(unit_rows(1))) == [4]


def test_a_change_that_sqlite_ended_takes_nothing_more(path: Path) -> None:
    """Without its transaction, each further statement would be committed for itself."""

    def change_and_go_on(gallery: Gallery) -> None:
        with gallery.change() as change:
            change._connection.execute("PRAGMA max_page_count = 20")
            with suppress(sqlite3.OperationalError):
                for item in new_items(unit_rows(3000)):
                    change.add(item)
            change.add(new_items(unit_rows(1))[0])

    with Gallery.open(path) as gallery:
        with pytest.raises(GalleryError, match="the change has ended"):
            change_and_go_on(gallery)
        assert (len(gallery), gallery.revision) == (3, 2)


def test_a_writer_that_does_not_end_is_no_hindrance_to_searches(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "BUSY_TIMEOUT_S", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer, Gallery.open(path) as gallery:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM entries")
        assert len(gallery.search(unit_rows(1), 10)[0]) == 3
        with Gallery.open(path) as other:
            assert len(other) == 3
        with pytest.raises(GalleryError, match="is locked: another process"):
            gallery.add(new_items(unit_rows(1)))
        writer.execute("ROLLBACK")
        assert gallery.add(new_items(unit_rows(1))) == [4]


def test_a_locked_file_is_not_read_past_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken for a read-only one, it would be read without its log."""
    monkeypatch.setattr(connection_module, "BUSY_TIMEOUT_S", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as owner:
        owner.execute("PRAGMA locking_mode = EXCLUSIVE")
        owner.execute("UPDATE entries SET label = 'new'")
        with pytest.raises(GalleryError, match=r"shop\.gallery: is locked: another process"):
            Gallery.open(path)


@pytest.fixture
def _permissions_hold(tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.touch(mode=0)
    readable = os.access(probe, os.R_OK)
    probe.unlink()
    if readable:
        pytest.skip("permission bits do not hold here: for root, or on Windows")


def _set_mode(path: Path, file_mode: int, folder_mode: int) -> None:
    path.chmod(file_mode)
    path.parent.chmod(folder_mode)


@pytest.fixture
def read_only(path: Path) -> Iterator[Callable[[bool], None]]:
    """Makes the gallery's file read-only, and its folder where asked."""

    def protect(folder: bool) -> None:
        _set_mode(path, 0o444, 0o555 if folder else 0o755)

    yield protect
    _set_mode(path, 0o644, 0o755)


@pytest.mark.usefixtures("_permissions_hold")
@pytest.mark.parametrize("folder", [False, True], ids=["file", "file and folder"])
def test_what_may_not_be_written_can_be_searched(path: Path, read_only: Callable[[bool], None], folder: bool) -> None:
    read_only(folder)
    with Gallery.open(path) as gallery:
        assert [matches[0].label for matches in gallery.search(unit_rows(3), 1)] == ["label 0", "label 1", "label 2"]
        with pytest.raises(GalleryError, match="is read-only here, so it cannot be changed"):
            gallery.add([NewGalleryItem("tea", "", unit_rows(1)[0])])
        assert len(gallery) == 3


@pytest.mark.usefixtures("_permissions_hold")
def test_a_log_in_a_read_only_folder_is_not_passed_over(path: Path, read_only: Callable[[bool], None]) -> None:
    path.with_name(f"{path.name}-wal").write_bytes(b"log")
    path.with_name(f"{path.name}-wal").chmod(0)
    read_only(True)
    with pytest.raises(GalleryError, match=r"shop\.gallery-wal: cannot be read: Permission denied"):
        Gallery.open(path)


def test_the_log_stays_small_and_what_grows_beside_a_snapshot_is_folded_in(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    rows = unit_rows(2)
    with Gallery.open(path, background=False) as gallery, Gallery.open(path, background=False) as idle:
        for number in range(60):
            gallery.add(new_items(rows, f"a {number}"))
        assert log.stat().st_size < 1.5 * LOG_BYTES
        with idle._store.snapshot() as snapshot:
            for number in range(120):
                gallery.add(new_items(rows, f"b {number}"))
            assert log.stat().st_size > 2.5 * LOG_BYTES
            assert len(snapshot.items()) == 3 + 120
        assert log.stat().st_size == 0
        assert len(idle) == len(gallery) == 3 + 120 + 240


@pytest.mark.skipif(not hasattr(os, "major"), reason="devices are told by their numbers")
def test_a_network_drive_is_warned_of_once(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    device = path.stat().st_dev
    lines = [
        "22 1 0:5 / /proc rw,nosuid - proc proc rw",
        f"36 22 {os.major(device)}:{os.minor(device)} / /a\\040b rw,noatime shared:1 master:2 - nfs4 server:/export rw",
        "37 22 0:99 / /mnt rw - ext4 /dev/sda1 rw",
        "odd",
    ]
    mounts = tmp_path / "mountinfo"
    mounts.write_text("\n".join(lines))
    monkeypatch.setattr(drives_module, "_MOUNTS", mounts)
    drives_module._kind_of.cache_clear()
    drives_module._warn.cache_clear()
    for _ in range(3):
        Gallery.open(path).close()
    assert caplog.text.count(f"{tmp_path}: is on a network drive (nfs4)") == 1
    mounts.write_text("\n".join(lines).replace("nfs4", "xfs"))
    drives_module._kind_of.cache_clear()
    caplog.clear()
    Gallery.open(path).close()
    assert caplog.text == ""
    drives_module._kind_of.cache_clear()


_NO_FILES_LEFT = """
import resource, sys
from pathlib import Path
from shitu_edge.errors import GalleryError
from shitu_edge.gallery.store import Store

opened = Store.open(Path(sys.argv[1]))
limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), limit[1]))
files = []
try:
    while True:
        files.append(open(sys.argv[1]))
except OSError:
    files.pop().close()  # for the file, but not for its log
try:
    Store.open(Path(sys.argv[1]))
    print("opened")
except GalleryError as error:
    print(error)
"""


def test_too_many_open_files_are_no_reason_to_pass_over_the_log(path: Path) -> None:
    pytest.importorskip("resource", reason="limits of open files are POSIX")
    assert run_python(_NO_FILES_LEFT, path, 40) == f"{path}-wal: cannot be read: Too many open files\n"


@pytest.mark.usefixtures("_permissions_hold")
def test_file_that_may_not_be_read(path: Path) -> None:
    path.chmod(0)
    assert "Permission denied" in _refusal(path)


@pytest.mark.usefixtures("_permissions_hold")
def test_creating_where_nothing_may_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    with pytest.raises(GalleryError, match="cannot be created: Permission denied"):
        create(folder / "shop.gallery")
