"""Named values that belong to a gallery and to its revisions."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shitu_edge.errors import DamagedError, GalleryError
from shitu_edge.gallery import Gallery, GraphParameters
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.store import schema
from shitu_edge.gallery.store.schema import MOST_SETTINGS, MOST_VALUE

from .rows import create, new_items, run_python, unit_rows

VALUE = bytes(range(256)) * 300


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed gallery of three items without settings."""
    file = tmp_path / "shop.gallery"
    with create(file) as gallery:
        gallery.add(new_items(unit_rows(3)))
    return file


def _set(gallery: Gallery, **settings: bytes | None) -> int:
    """Set some settings in one change; return the revision after it."""
    with gallery.change() as change:
        for name, value in settings.items():
            change.set(name, value)
    return change.revision


def _format(path: Path) -> tuple[int, int]:
    """A file's format, and how many tables of settings it has."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT count(*) FROM sqlite_master WHERE name = 'settings'"
        return connection.execute("PRAGMA user_version").fetchone()[0], connection.execute(query).fetchone()[0]


def _rows(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT name, value, set_in, replaced_in FROM settings ORDER BY 1, 3").fetchall()


# -- values and revisions


def test_a_gallery_has_no_settings_at_first(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery, gallery.change() as change:
        assert gallery.settings() == change.settings() == {}
        change.set("target", None)
        change.roll_back(2)
        assert change.settings() == {}
    assert change.revision == 2
    assert _format(path) == (2, 0)


def test_settings_are_set_replaced_and_removed(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery, Gallery.open(path, background=False) as other:
        assert _set(gallery, target=b"0.9", look_alikes=VALUE, empty=b"") == 3
        assert [*other.settings().items()] == [("empty", b""), ("look_alikes", VALUE), ("target", b"0.9")]
        assert _set(other, target=b"0.95", empty=None) == 4
        assert gallery.settings() == {"look_alikes": VALUE, "target": b"0.95"}
        assert (gallery.revision, len(gallery)) == (4, 3)
    with Gallery.open(path, background=False) as gallery:
        assert gallery.settings() == {"look_alikes": VALUE, "target": b"0.95"}
    assert _rows(path) == [
        ("empty", b"", 3, 4),
        ("look_alikes", VALUE, 3, None),
        ("target", b"0.9", 3, 4),
        ("target", b"0.95", 4, None),
    ]
    assert verify(path).faults == ()


def test_a_revision_of_settings_counts_no_items(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        _set(gallery, target=b"1")
        with gallery.change(note="both") as change:
            change.set("target", b"2")
            change.remove([1])
        counts = [(line.id, line.added, line.removed) for line in gallery.history.log()]
        assert counts == [(4, 0, 1), (3, 0, 0), (2, 3, 0), (1, 0, 0)]


def test_the_value_that_is_there_is_no_change(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        _set(gallery, target=b"1")
        assert _set(gallery, target=b"1", other=None) == 3
        with gallery.change() as change:
            for value in (b"2", None, b"3", b"1"):
                change.set("target", value)
                assert change.settings() == ({} if value is None else {"target": value})
        assert (change.revision, gallery.revision) == (3, 3)


def test_the_last_of_several_values_counts(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        _set(gallery, target=b"1", gone=b"1")
        with gallery.change() as change:
            change.set("target", None)
            change.set("target", b"2")
            change.set("new", b"1")
            change.set("new", None)
            change.set("gone", b"2")
            change.set("gone", None)
        assert gallery.settings() == {"target": b"2"}
    assert _rows(path) == [("gone", b"1", 3, 4), ("target", b"1", 3, 4), ("target", b"2", 4, None)]


def test_a_change_that_fails_sets_nothing(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        with suppress(ZeroDivisionError), gallery.change() as change:
            change.set("target", b"1")
            raise ZeroDivisionError
        assert gallery.settings() == {}
    assert _format(path) == (2, 0)


def test_a_change_that_has_ended_sets_nothing(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        with gallery.change() as change:
            change.set("target", b"1")
        with pytest.raises(GalleryError, match="the change has ended"):
            change.set("target", b"2")
        with pytest.raises(GalleryError, match="the change has ended"):
            change.settings()
        assert gallery.settings() == {"target": b"1"}


def test_content_checksums_cover_settings(path: Path) -> None:
    """The same settings have the same checksum, by whatever way; and the history hash covers it."""
    with Gallery.open(path, background=False) as gallery:
        _set(gallery, target=b"1", other=b"2")
        _set(gallery, target=b"2")
        _set(gallery, target=b"1")
        first, other, again, before = [int.from_bytes(bytes.fromhex(line.digest), "little") for line in (
            gallery.history.log()[2], gallery.history.log()[1], gallery.history.log()[0], gallery.history.log()[3]
        )]  # fmt: skip
        hashes = [gallery.history.hash(revision) for revision in range(1, 6)]
    assert first == again != other
    parts = [("target", b"1"), ("other", b"2")]
    heads = [b"setting\xff" + struct.pack("<qq", len(name), len(value)) + name.encode() for name, value in parts]
    sums = [hashlib.sha256(head + value).digest() for head, (_, value) in zip(heads, parts, strict=True)]
    assert first == (before + sum(int.from_bytes(digest, "little") for digest in sums)) % (1 << 256)
    assert len({*hashes}) == 5


def test_no_setting_has_the_digest_of_an_item() -> None:
    """Its first eight bytes are an id's that no item has."""
    assert int.from_bytes(schema._IS_SETTING, "little", signed=True) < 0
    assert schema.setting_digest("a", b"bc") != schema.setting_digest("ab", b"c")


def test_rolling_back_restores_settings(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        _set(gallery, target=b"1", gone=b"1")
        _set(gallery, target=b"2", gone=None, new=b"1")
        assert gallery.history.rollback(3) == 5
        assert gallery.settings() == {"gone": b"1", "target": b"1"}
        assert gallery.history.log()[0].digest == gallery.history.log()[2].digest
        assert gallery.history.rollback(3) == 5, "nothing differs"
        assert gallery.history.rollback(2) == 6
        assert gallery.settings() == {}
        assert [match[0].item_id for match in gallery.search(unit_rows(3), 1)] == [1, 2, 3]
        with gallery.change() as change:
            change.set("target", b"9")
            change.set("newer", b"9")
            change.roll_back(4)
            assert change.settings() == {"new": b"1", "target": b"2"}
            change.set("target", b"3")
        assert gallery.settings() == {"new": b"1", "target": b"3"}
    assert verify(path).faults == ()


def test_differences_name_settings(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        _set(gallery, target=b"1", other=b"1")
        _set(gallery, target=b"2")
        _set(gallery, target=b"1", other=None)
        diffs = {(base, head): gallery.history.diff(base, head).settings for base in (2, 3, 4) for head in (3, 4, 5)}
    assert diffs == {
        (2, 3): ("other", "target"), (2, 4): ("other", "target"), (2, 5): ("target",),
        (3, 3): (), (3, 4): ("target",), (3, 5): ("other",),
        (4, 3): ("target",), (4, 4): (), (4, 5): ("other", "target"),
    }  # fmt: skip


def test_pruning_forgets_replaced_settings(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        _set(gallery, target=VALUE, gone=VALUE)
        _set(gallery, target=b"2", gone=None)
        _set(gallery, target=b"3")
        assert gallery.history.prune(1) == (0, 0)
        assert [row[:1] + row[2:] for row in _rows(path)] == [("target", 4, 5), ("target", 5, None)]
        assert gallery.history.rollback(4) == 6
        assert gallery.settings() == {"target": b"2"}
        gallery.history.prune(0)
        with pytest.raises(GalleryError, match="older ones were pruned"):
            gallery.history.rollback(5)
    assert len(_rows(path)) == 1
    assert verify(path).faults == ()


def test_copies_have_the_settings(path: Path, tmp_path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        _set(gallery, target=VALUE)
        gallery.copy(tmp_path / "copy")
    with Gallery.open(tmp_path / "copy", background=False) as copied:
        assert copied.settings() == {"target": VALUE}
        assert _set(copied, target=None) == 4
    assert verify(tmp_path / "copy").faults == ()


def test_a_running_reader_moves_on_without_another_index(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery, Gallery.open(path, background=False) as other:
        gallery.index.rebuild(GraphParameters(m=8, ef_construction=60, ef=60))
        gallery.add(new_items(unit_rows(1, seed=3), "late"))
        other.search(unit_rows(1))
        other._live.upkeep.wait()
        before = other._live.view()
        assert before.graph is not None
        _set(gallery, target=b"1")
        after = other._live.view()
        assert (before.revision, after.revision) == (3, 4)
        assert after.graph is before.graph
        assert after.exact is before.exact
        assert other.search_with_revision(unit_rows(1), 1)[0] == other.revision == 4


# -- limits


@pytest.mark.parametrize("name", ["", "x" * 65, "Target", "a b", "a\n", "a.b", "é", "\x1b", 7, None, b"target"])
def test_names_that_are_refused(path: Path, name: Any) -> None:
    with Gallery.open(path, background=False) as gallery, gallery.change() as change:
        with pytest.raises(GalleryError, match=r"expected a setting's name of at most 64 .*, found [^\n]*$"):
            change.set(name, b"")
        assert change.settings() == {}


@pytest.mark.parametrize(
    ("value", "found"), [("1", "as bytes, found '1'"), (7, "as bytes"), (bytes(MOST_VALUE + 1), "at most 786432 bytes")]
)
def test_values_that_are_refused(path: Path, value: Any, found: str) -> None:
    with Gallery.open(path, background=False) as gallery, gallery.change() as change:
        with pytest.raises(GalleryError, match=rf"^expected a setting's value .*{found}[^\n]*$"):
            change.set("target", value)
        assert change.settings() == {}


def test_the_largest_settings_that_are_taken(path: Path) -> None:
    names = [f"{number:064}" for number in range(MOST_SETTINGS)]
    with Gallery.open(path, background=False) as gallery:
        with gallery.change() as change:
            for name in names:
                change.set(name, b"")
            change.set(names[0], bytes(MOST_VALUE))
            with pytest.raises(GalleryError, match="at most 64 settings; remove one before more is added"):
                change.set("more", b"")
        assert len(gallery.settings()) == MOST_SETTINGS
        with gallery.change() as change:
            with pytest.raises(GalleryError, match="at most 64 settings"):
                change.set("more", b"")
            change.set(names[1], b"replaced")
            change.set(names[2], None)
            change.set("more", b"")
        assert len(gallery.settings()) == MOST_SETTINGS
        assert gallery.settings()[names[0]] == bytes(MOST_VALUE)
        gallery.history.rollback(3)
    assert verify(path).faults == ()


# -- formats


def test_the_format_changes_with_the_first_setting(path: Path) -> None:
    assert _format(path) == (2, 0)
    with Gallery.open(path, background=False) as gallery:
        _set(gallery, target=b"1")
        assert _format(path) == (3, 1)
        _set(gallery, target=None)
        gallery.history.prune(0)
        assert gallery.settings() == {}
    assert _format(path) == (3, 1)
    assert verify(path).faults == ()


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["PRAGMA user_version = 3"], "the table settings is missing"),
        (schema.SETTINGS[:-1], "the table 'settings' does not belong to a gallery"),
        ([*schema.SETTINGS, "PRAGMA user_version = 2"], "the table 'settings' does not belong to a gallery"),
        ([*schema.SETTINGS, "DROP INDEX settings_by_start"], "the index settings_by_start is missing"),
        (["PRAGMA user_version = 5"], "expected gallery format 2 to 4, found 5; update shitu-edge"),
        (["PRAGMA user_version = -1"], "expected gallery format 2 to 4, found -1; build it again"),
    ],
)
def test_a_format_that_the_tables_are_not_of_is_refused(path: Path, statements: list[str], message: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    with pytest.raises(GalleryError, match=message):
        Gallery.open(path)


_OTHER = """
import sys
from shitu_edge.gallery import Gallery, NewGalleryItem
import numpy as np

with Gallery.open(sys.argv[1], background=False) as gallery:
    with gallery.change() as change:
        change.set("target", b"by another")
        change.add(NewGalleryItem("late", "", np.eye(16, dtype=np.float32)[0]))
"""


def _by_a_process(path: Path) -> None:
    run_python(_OTHER, path)


def _by_an_opening(path: Path) -> None:
    with Gallery.open(path, background=False) as other, other.change() as change:
        change.set("target", b"by another")
        change.add(new_items(np.eye(1, 16, dtype=np.float32), "late")[0])


@pytest.mark.parametrize("upgrade", [_by_a_process, _by_an_opening])
def test_a_gallery_that_is_open_copes_with_the_other_format(path: Path, upgrade: Callable[[Path], None]) -> None:
    """Its long-lived connection, a snapshot that was begun before, and all that is begun later."""
    with Gallery.open(path, background=False) as gallery:
        assert len(gallery.search(unit_rows(1), 10)[0]) == 3
        with gallery._store.snapshot() as snapshot:
            upgrade(path)
            assert _format(path) == (3, 1)
            assert (snapshot.revision, snapshot.settings(), len(snapshot.items())) == (2, {}, 3)
            assert list(snapshot.faults()) == []
        assert len(gallery.search(unit_rows(1), 10)[0]) == 4
        assert (gallery.revision, gallery.settings()) == (3, {"target": b"by another"})
        assert gallery._store.index() is None
        assert _set(gallery, target=b"mine") == 4
        gallery.index.rebuild(GraphParameters(m=8, ef_construction=60, ef=60))
        assert gallery.info().search == "graph"
        assert gallery.history.rollback(2) == 5
        assert gallery.settings() == {}
    assert verify(path).faults == ()


def test_an_image_is_read_again_in_the_other_format(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the file may only be read."""
    with monkeypatch.context() as patch:
        patch.setattr("shitu_edge.gallery.store.store.open_live", lambda _: None)
        with Gallery.open(path, background=False) as gallery:
            assert gallery.settings() == {}
            _by_a_process(path)
            assert (gallery.revision, gallery.settings()) == (3, {"target": b"by another"})


def test_several_may_set_the_first_setting_while_others_read(tmp_path: Path) -> None:
    """A reader that saw the new number and the old tables, or the reverse, would call the gallery damaged."""
    for number in range(20):
        path = tmp_path / f"{number}"
        create(path).close()
        begun, written = threading.Barrier(5), threading.Event()
        with ThreadPoolExecutor(5) as workers:
            readers = [workers.submit(_read_until, path, begun, written) for _ in range(2)]
            writers = [workers.submit(_set_first, path, begun, name) for name in ("a", "b", "c")]
            wait(writers)
            written.set()
        assert [reader.result() for reader in readers] == [["a", "b", "c"]] * 2
        assert sorted(writer.result() for writer in writers) == [2, 3, 4]
        assert verify(path).faults == ()
        assert _format(path) == (3, 1)


def _set_first(path: Path, begun: threading.Barrier, name: str) -> int:
    with Gallery.open(path, background=False) as gallery:
        begun.wait(60)
        return _set(gallery, **{name: b"1"})


def _read_until(path: Path, begun: threading.Barrier, written: threading.Event) -> list[str]:
    with Gallery.open(path, background=False) as gallery:
        begun.wait(60)
        while not written.is_set():
            gallery.settings()
        return [*gallery.settings()]


# -- damage


def test_a_damaged_value_can_be_set_again(path: Path) -> None:
    """Though the stored digest is already that of the value."""
    with Gallery.open(path, background=False) as gallery:
        _set(gallery, target=b"1")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE settings SET value = x'00'")
        with pytest.raises(DamagedError, match="setting target: checksum mismatch: it was altered"):
            gallery.settings()
        assert verify(path).faults == ("setting target: checksum mismatch: it was altered",)
        assert _set(gallery, target=b"1") == 4
        assert gallery.settings() == {"target": b"1"}
        gallery.history.prune(0)
    assert verify(path).faults == ()
