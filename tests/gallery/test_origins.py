"""How items were made, and their pictures, apart from all that is read without being asked for them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shitu_edge.errors import DamagedError, GalleryError
from shitu_edge.gallery import Gallery, GraphParameters, NewGalleryItem, Origin
from shitu_edge.gallery.care.repair import repair
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.store import origins as origins_module
from shitu_edge.gallery.store import schema
from shitu_edge.gallery.store.schema import MOST_FACTS, MOST_PICTURE, PAGE_BYTES
from shitu_edge.gallery.store.structure import bounded

from .damage import make_with_settings
from .rows import create, new_items, relabel, run_python, unit_rows

JPEG, WEBP = b"\xff\xd8\xff\xe0 a picture", b"RIFF\x10\0\0\0WEBP a picture"
MARK = b"a page of a picture of a product" * 512
WHOLE = Origin(None, "whole", "")
SMALL = Origin((0.5, 0.0, 10.0, 20.25), "detected", "a" * 64, JPEG, (1.0, 2.0, 3.0, 4.0))
LARGE = Origin((0.0, 0.0, 3.0, 4.0), "box", "0123456789abcdef" * 4, WEBP + MARK * 4)
MADE = (None, WHOLE, SMALL, LARGE)
NO_BOXES = (
    *((), (1, 2, 3), (1, 2, 3, 4, 5), ((0, 0, 1, 1),), "abcd", ("0", "0", "1", "1"), 7, True, (0, 0, True, None)),
    *((0, 0, 0, 1), (0, 0, 1, 0), (2, 0, 1, 1), (0, 0, 1, float("nan")), (0, 0, float("inf"), 1), (0, 0, 1, 10**400)),
)


def _items(*made: Origin | None, seed: int = 1) -> list[NewGalleryItem]:
    """Return an item per origin."""
    items = new_items(unit_rows(len(made), seed=seed), "made")
    return [replace(item, origin=origin) for item, origin in zip(items, made, strict=True)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed gallery of items 1 to 3 without origins."""
    file = tmp_path / "shop.gallery"
    with create(file) as gallery:
        gallery.add(new_items(unit_rows(3)))
    return file


@pytest.fixture
def made(path: Path) -> Path:
    """The same with the items 4 to 7 of `MADE` in revision 3."""
    with Gallery.open(path, background=False) as gallery:
        gallery.add(_items(*MADE))
    return path


def _format(path: Path) -> tuple[int, set[str]]:
    """A file's format, and which tables of later formats it has."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT name FROM sqlite_master WHERE name IN ('settings', 'origins')"
        names = {name for (name,) in connection.execute(query)}
        return connection.execute("PRAGMA user_version").fetchone()[0], names


def _rows(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT item, facts, digest, picture_bytes, picture FROM origins ORDER BY item"
        return connection.execute(query).fetchall()


# -- items and revisions


def test_items_have_no_origins_unless_given(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        assert gallery.origins([1, 2, 3, 99, -1]) == gallery.origins([]) == {}
        assert gallery.info().pictures == 0
        gallery.add(_items(None))
        gallery.history.prune(0)
    assert _format(path) == (2, set())


def test_origins_are_stored_as_given(made: Path) -> None:
    with Gallery.open(made, background=False) as gallery:
        expected = {5: WHOLE, 6: SMALL, 7: LARGE}
        assert gallery.origins(range(1, 9)) == expected
        assert [*gallery.origins([7, 5, 7])] == [5, 7]
        assert gallery.origins(np.array([6], np.uint8)) == {6: SMALL}  # type: ignore[arg-type]
        assert gallery.info().pictures == 2
        assert gallery.history.log()[0].added == 4
    with Gallery.open(made, background=False) as gallery:
        assert gallery.origins(range(1, 9)) == expected
    facts = {
        "box_xyxy": [0.5, 0.0, 10.0, 20.25], "crop": "detected", "source_sha256": "a" * 64,
        "product_xyxy": [1.0, 2.0, 3.0, 4.0],
    }  # fmt: skip
    item, text, digest, size, picture = _rows(made)[1]
    assert (item, text, size, picture) == (6, json.dumps(facts, separators=(",", ":")), len(JPEG), JPEG)
    head = b"origin\0\xff" + struct.pack("<qqq", 6, len(text), len(JPEG)) + text.encode()
    assert digest == hashlib.sha256(head + JPEG).digest()
    assert verify(made).faults == ()


def test_boxes_become_numbers_of_python(path: Path) -> None:
    given = Origin((0, 1, np.float32(2.5), 3), "box", "", JPEG, np.array([0, 0, 7, 7]))  # type: ignore[arg-type]
    with Gallery.open(path, background=False) as gallery:
        [item] = gallery.add(_items(given))
        found = gallery.origins([item])[item]
    assert found == Origin((0.0, 1.0, 2.5, 3.0), "box", "", JPEG, (0.0, 0.0, 7.0, 7.0))
    assert {type(side) for side in (*(found.box_xyxy or ()), *(found.product_xyxy or ()))} == {float}


def test_an_origin_goes_with_its_item(made: Path) -> None:
    """And the checksums of contents that are the same are the same."""
    with Gallery.open(made, background=False) as gallery:
        gallery.rename("made 2", "tea")
        gallery.remove([6, 7])
        assert gallery.info().pictures == 0
        assert gallery.origins([5, 6, 7]) == {5: WHOLE, 6: SMALL, 7: LARGE}, "until they are pruned"
        assert gallery.history.rollback(4) == 6
        assert gallery.info().pictures == 2
        gallery.rename("tea", "made 2")
        log = {line.id: line for line in gallery.history.log()}
        assert log[4].digest == log[6].digest
        assert log[3].digest == log[7].digest
        assert [(log[number].added, log[number].removed) for number in (4, 5, 6, 7)] == [(1, 1), (0, 2), (2, 0), (1, 1)]
    assert len(_rows(made)) == 3
    assert verify(made).faults == ()


def test_content_checksums_cover_origins(path: Path) -> None:
    """The sum over items and origins, as if the origin were another entry."""
    with Gallery.open(path, background=False) as gallery:
        gallery.add(_items(SMALL))
        before, after = (int.from_bytes(bytes.fromhex(line.digest), "little") for line in gallery.history.log()[1::-1])
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT digest FROM entries WHERE item = 4 UNION ALL SELECT digest FROM origins"
        digests = [int.from_bytes(digest, "little") for (digest,) in connection.execute(query)]
    assert len(digests) == 2
    assert after == (before + sum(digests)) % (1 << 256)


def test_no_origin_has_the_digest_of_an_item_or_setting() -> None:
    """Its first eight bytes are an id's that no item has."""
    assert int.from_bytes(schema._IS_ORIGIN, "little", signed=True) < 0
    assert schema._IS_ORIGIN != schema._IS_SETTING
    assert schema.origin_digest(1, "{}", b"ab") != schema.origin_digest(1, "{}a", b"b")
    assert schema.origin_digest(1, "{}", b"") != schema.origin_digest(2, "{}", b"")


def test_what_one_change_adds_and_removes_leaves_nothing(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        with gallery.change() as change:
            kept, gone, renamed = (change.add(item) for item in _items(SMALL, LARGE, WHOLE))
            change.remove([gone])
            change.relabel([renamed], "tea")
        assert gallery.origins(range(9)) == {kept: SMALL, renamed: WHOLE}
        with suppress(ZeroDivisionError), gallery.change() as change:
            change.add(_items(LARGE)[0])
            raise ZeroDivisionError
        assert len(_rows(path)) == 2
        with gallery.change() as change:
            change.remove([kept])
            change.roll_back(3)
        log = gallery.history.log()
        assert (log[0].added, log[0].removed, log[0].digest) == (1, 1, log[1].digest)
        assert gallery.info().pictures == 1
    assert verify(path).faults == ()


def test_a_change_that_fails_makes_no_table(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        with suppress(ZeroDivisionError), gallery.change() as change:
            change.add(_items(LARGE)[0])
            raise ZeroDivisionError
        assert gallery.origins([4]) == {}
    assert _format(path) == (2, set())


def test_pruning_forgets_origins_with_embeddings(made: Path) -> None:
    with Gallery.open(made, background=False) as gallery:
        gallery.remove([5, 7])
        relabel(gallery, [6], "tea")
        size = gallery.info().bytes
        assert gallery.history.prune(1) == (2, 2)
        assert gallery.origins(range(9)) == {6: SMALL}
        assert gallery.info().bytes <= size - len(LARGE.picture) // PAGE_BYTES * PAGE_BYTES
        gallery.history.prune(0)
    assert [row[0] for row in _rows(made)] == [6]
    assert verify(made).faults == ()


def test_copies_have_the_origins(made: Path, tmp_path: Path) -> None:
    with Gallery.open(made, background=False) as gallery:
        gallery.copy(tmp_path / "copy")
    with Gallery.open(tmp_path / "copy", background=False) as copied:
        assert copied.origins(range(9)) == {5: WHOLE, 6: SMALL, 7: LARGE}
        assert copied.add(_items(SMALL)) == [8]
    assert verify(tmp_path / "copy").faults == ()


# -- values that are refused


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: box}, f"{name} as four finite numbers, left < right and top < bottom")
          for name in ("box_xyxy", "product_xyxy")
          for box in NO_BOXES),
        *(({"crop": crop}, "crop as one of 'whole', 'box', 'detected'") for crop in ("", "Whole", None, 7, ["box"])),
        *(({"source_sha256": digest}, "source_sha256 as 64 hexadecimal digits or none")
          for digest in ("a", "A" * 64, "g" * 64, "a" * 65, "a" * 64 + "\n", None, 7, b"a" * 64)),
        *(({"picture": picture}, "picture as bytes") for picture in (None, "abc", 7, bytearray(JPEG))),
        *(({"picture": picture}, "picture as a JPEG or WebP file")
          for picture in (b"GIF89a", b"\xff\xd8", b"\x89PNG", b"RIFF", b"RIFF....WAVE", b" " + JPEG)),
        ({"picture": JPEG + bytes(MOST_PICTURE)}, f"at most {MOST_PICTURE} bytes, found {MOST_PICTURE + len(JPEG)}"),
        ({"picture": b""}, "picture with its product_xyxy, found no picture"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_values_that_are_refused(path: Path, changes: dict[str, Any], message: str) -> None:
    with Gallery.open(path, background=False) as gallery, gallery.change() as change:
        with pytest.raises(GalleryError) as refusal:
            change.add(replace(_items(None)[0], origin=replace(SMALL, **changes)))
        assert message in str(refusal.value)
        assert str(refusal.value).startswith("expected an origin's ")
        assert "\n" not in str(refusal.value)
    assert _format(path) == (2, set())


@pytest.mark.parametrize("origin", ["whole", {}, 7, SMALL.picture])
def test_what_is_no_origin(path: Path, origin: Any) -> None:
    with Gallery.open(path, background=False) as gallery, pytest.raises(GalleryError, match="expected Origin, found"):
        gallery.add([replace(_items(None)[0], origin=origin)])


@pytest.mark.parametrize("ids", [None, 7, "abc", [1.0], [True], ["1"], [[1]], [1 << 64]])
def test_ids_that_are_none(made: Path, ids: Any) -> None:
    with Gallery.open(made, background=False) as gallery, pytest.raises(GalleryError, match="expected ids in a list"):
        gallery.origins(ids)


def test_the_largest_values_that_are_taken(path: Path) -> None:
    most = (-1.7976931348623157e308, -1.2345678901234567e-300, 1.2345678901234567e-300, 1.7976931348623157e308)
    largest = Origin(most, "detected", "f" * 64, JPEG + bytes(MOST_PICTURE - len(JPEG)), most)
    with Gallery.open(path, background=False) as gallery:
        [item] = gallery.add(_items(largest))
        assert gallery.origins([item]) == {item: largest}
    assert len(_rows(path)[0][1]) <= MOST_FACTS
    assert verify(path).faults == ()


# -- formats


def test_the_format_changes_with_the_first_origin(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        gallery.add(_items(WHOLE))
        assert _format(path) == (4, {"settings", "origins"})
        with gallery.change() as change:
            change.set("target", b"1")
        gallery.remove([4])
        gallery.history.prune(0)
        assert (gallery.settings(), gallery.origins([4])) == ({"target": b"1"}, {})
    assert _format(path) == (4, {"settings", "origins"})
    assert verify(path).faults == ()


def test_a_gallery_with_settings_gets_origins(tmp_path: Path) -> None:
    path = make_with_settings(tmp_path / "shop")
    with Gallery.open(path, background=False) as gallery:
        settings = gallery.settings()
        assert (_format(path), gallery.origins(range(20)), gallery.info().pictures) == ((3, {"settings"}), {}, 0)
        [item] = gallery.add(_items(LARGE))
        assert (gallery.settings(), gallery.origins([item])) == (settings, {item: LARGE})
        assert gallery.history.rollback(6) == 10
        assert (gallery.settings(), gallery.info().pictures) == ({}, 0)
    assert _format(path) == (4, {"settings", "origins"})
    assert verify(path).faults == ()


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["PRAGMA user_version = 4"], "the table origins is missing"),
        ([*schema.SETTINGS, "PRAGMA user_version = 4"], "the table origins is missing"),
        ([*schema.SETTINGS, *schema.ORIGINS[:-1]], "the table 'origins' does not belong to a gallery"),
        ([*schema.ORIGINS], "the table settings is missing"),
        ([*schema.SETTINGS, *schema.ORIGINS, "DROP INDEX origins_by_picture_bytes"], "picture_bytes is missing"),
        ([*schema.SETTINGS, *schema.ORIGINS, "PRAGMA user_version = 2"], "does not belong to a gallery"),
    ],
)
def test_a_format_that_the_tables_are_not_of_is_refused(path: Path, statements: list[str], message: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    with pytest.raises(DamagedError, match=message):
        Gallery.open(path)


_OTHER = """
import sys
from shitu_edge.gallery import Gallery, NewGalleryItem, Origin
import numpy as np

with Gallery.open(sys.argv[1], background=False) as gallery:
    row = np.eye(16, dtype=np.float32)[0]
    gallery.add([NewGalleryItem("late", "", row, Origin(None, "whole", "", b"\\xff\\xd8\\xff"))])
"""


def _by_a_process(path: Path) -> None:
    run_python(_OTHER, path)


def _by_an_opening(path: Path) -> None:
    with Gallery.open(path, background=False) as other:
        row = np.eye(16, dtype=np.float32)[0]
        other.add([NewGalleryItem("late", "", row, Origin(None, "whole", "", b"\xff\xd8\xff"))])


@pytest.mark.parametrize("upgrade", [_by_a_process, _by_an_opening])
def test_a_gallery_that_is_open_copes_with_the_other_format(path: Path, upgrade: Callable[[Path], None]) -> None:
    """Its long-lived connection, a snapshot that was begun before, and all that is begun later."""
    with Gallery.open(path, background=False) as gallery:
        assert len(gallery.search(unit_rows(1), 10)[0]) == 3
        with gallery._store.snapshot() as snapshot:
            upgrade(path)
            assert _format(path)[0] == 4
            ids = np.arange(9)
            assert (snapshot.revision, snapshot.origins(ids), snapshot.pictures()) == (2, {}, 0)
            assert list(snapshot.faults()) == []
        assert len(gallery.search(unit_rows(1), 10)[0]) == 4
        assert (gallery.revision, [*gallery.origins([4])], gallery.info().pictures) == (3, [4], 1)
        gallery.index.rebuild(GraphParameters(m=8, ef_construction=60, ef=60))
        assert gallery.add(_items(LARGE)) == [5]
        assert gallery.history.rollback(2) == 5
        assert gallery.info().pictures == 0
    assert verify(path).faults == ()


def test_an_image_is_read_again_in_the_other_format(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the file may only be read."""
    with monkeypatch.context() as patch:
        patch.setattr("shitu_edge.gallery.store.store.open_live", lambda _: None)
        with Gallery.open(path, background=False) as gallery:
            assert gallery.origins([4]) == {}
            _by_a_process(path)
            assert (gallery.revision, [*gallery.origins([4])]) == (3, [4])


def test_several_may_add_the_first_origin_while_others_read(tmp_path: Path) -> None:
    """A reader that saw the new number and the old tables, or the reverse, would call the gallery damaged."""
    for number in range(10):
        path = tmp_path / f"{number}"
        create(path).close()
        begun, written = threading.Barrier(5), threading.Event()
        with ThreadPoolExecutor(5) as workers:
            readers = [workers.submit(_read_until, path, begun, written) for _ in range(2)]
            writers = [workers.submit(_add_first, path, begun, seed) for seed in range(3)]
            wait(writers)
            written.set()
        assert [reader.result() for reader in readers] == [{1, 2, 3}] * 2
        assert sorted(item for writer in writers for item in writer.result()) == [1, 2, 3]
        assert verify(path).faults == ()
        assert _format(path)[0] == 4


def _add_first(path: Path, begun: threading.Barrier, seed: int) -> list[int]:
    with Gallery.open(path, background=False) as gallery:
        begun.wait(60)
        if seed == 0:
            with gallery.change() as change:
                change.set("target", b"1")
        return gallery.add(_items(SMALL, seed=seed))


def _read_until(path: Path, begun: threading.Barrier, written: threading.Event) -> set[int]:
    with Gallery.open(path, background=False) as gallery:
        begun.wait(60)
        while not written.is_set():
            gallery.origins([1, 2, 3])
        return {*gallery.origins([1, 2, 3])}


# -- apart from the rest


def _overwrite(path: Path) -> int:
    """Overwrite every page of the table and its index, and of a picture; return how many."""
    data = bytearray(path.read_bytes())
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name LIKE 'origins%'"
        pages = {number for (number,) in connection.execute(query)}
    pages |= {place // PAGE_BYTES + 1 for place in range(len(data)) if data.startswith(MARK[:300], place)}
    for page in pages:
        data[(page - 1) * PAGE_BYTES : page * PAGE_BYTES] = b"\xa5" * PAGE_BYTES
    path.write_bytes(data)
    return len(pages)


@pytest.mark.parametrize("how", ["shared", "image"])
def test_what_asks_for_no_origin_reads_no_page_of_them(
    made: Path, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening, searching, listing and the past, with nothing but rubbish where the origins were."""
    with Gallery.open(made, background=False) as gallery:
        expected = _asked(gallery)
    assert _overwrite(made) >= 2 + len(LARGE.picture) // PAGE_BYTES
    if how == "image":
        monkeypatch.setattr("shitu_edge.gallery.store.store.open_live", lambda _: None)
    with Gallery.open(made, background=False) as gallery:
        assert _asked(gallery) == expected
        gallery.copy(tmp_path / "copy")
        for asked in (lambda: gallery.origins([6]), gallery.info, lambda: gallery.history.record(2, 3)):
            with pytest.raises(DamagedError, match=r"^\S*shop\.gallery: is damaged: [^\n]*$"):
                asked()
    assert repair(made).rescue.kept == 7
    with Gallery.open(made, background=False) as gallery:
        assert (gallery.label_counts(), gallery.origins(range(9))) == (expected[3], {})


def _asked(gallery: Gallery) -> Any:
    """All that needs no origin."""
    history = gallery.history
    return (
        gallery.search(unit_rows(2, seed=5), 9), gallery.items(), gallery.items("made 2"), gallery.label_counts(),
        gallery.embeddings(range(1, 8)).tobytes(), gallery.settings(), len(gallery), gallery.revision,
        history.log(), history.diff(1, 3), history.hash(3), gallery.index.parameters,
    )  # fmt: skip


def test_pictures_are_counted_without_reading_them(made: Path) -> None:
    with closing(sqlite3.connect(made)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {origins_module._WITH_PICTURE}")]
    reads = [step for step in plan if "origins" in step]
    assert len(reads) == 1
    assert "USING COVERING INDEX origins_by_picture_bytes" in reads[0]


def test_many_origins_are_read_some_at_a_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gallery.open(path, background=False) as gallery:
        ids = gallery.add(_items(*[SMALL, None, WHOLE] * 60))
        most = 0

        def counted(connection: Any, query: str, values: Any) -> list[tuple[Any, ...]]:
            nonlocal most
            found = bounded(connection, query, values)
            most = max(most, len(found))
            return found

        monkeypatch.setattr(origins_module, "bounded", counted)
        found = gallery.origins(ids[::-1])
    assert found == {item: (SMALL, None, WHOLE)[place % 3] for place, item in enumerate(ids) if place % 3 != 1}
    assert 0 < most <= 50


# -- damage


def test_a_damaged_origin_is_not_handed_out(made: Path) -> None:
    with Gallery.open(made, background=False) as gallery:
        with closing(sqlite3.connect(made)) as connection, connection:
            connection.execute("UPDATE origins SET facts = replace(facts, 'detected', 'box') WHERE item = 6")
        with pytest.raises(DamagedError, match="item 6: its origin: checksum mismatch: it was altered"):
            gallery.origins([5, 6, 7])
        assert gallery.origins([5, 7]) == {5: WHOLE, 7: LARGE}
        assert verify(made).faults == ("item 6: its origin: checksum mismatch: it was altered",)
        gallery.remove([6])
        gallery.history.prune(0)
    assert verify(made).faults == ()


def test_facts_that_nobody_could_store_are_refused_though_their_checksum_fits(made: Path) -> None:
    for facts in (
        '{"box_xyxy":[3,0,1,1],"crop":"whole","source_sha256":"","product_xyxy":null}',
        '{"box_xyxy":[NaN,0,1,1],"crop":"whole","source_sha256":"","product_xyxy":null}',
        '{"box_xyxy":null,"crop":"other","source_sha256":"","product_xyxy":null}',
        '{"box_xyxy":null,"crop":"whole","source_sha256":"\\n","product_xyxy":null}',
        '{"box_xyxy":null,"crop":"whole","source_sha256":"","product_xyxy":null,"more":1}',
        "[" * MOST_FACTS, "null", "",
    ):  # fmt: skip
        with closing(sqlite3.connect(made)) as connection, connection:
            values = facts, schema.origin_digest(6, facts, JPEG)
            connection.execute("UPDATE origins SET facts = ?, digest = ? WHERE item = 6", values)
        with Gallery.open(made, background=False) as gallery:
            with pytest.raises(DamagedError, match=r"item 6: its origin is invalid: [^\n]*$"):
                gallery.origins([6])
            assert "item 6: its origin is invalid" in verify(made).faults[0]


def test_a_limit_keeps_further_pictures_out(path: Path, tmp_path: Path) -> None:
    """Items are added all the same, in one change or several, and copies keep the limit."""
    picture = replace(SMALL, picture=JPEG + bytes(1000 - len(JPEG)))
    with Gallery.open(path, background=False) as gallery:
        gallery.limit_pictures(2500)
        gallery.add(_items(picture, picture, picture))
        gallery.add(_items(picture, None, seed=2))
        found = gallery.origins(range(1, 9))
        assert [len(one.picture) for one in found.values()] == [1000, 1000, 0, 0]
        assert found[6].box_xyxy == picture.box_xyxy
        gallery.remove([4])
        gallery.history.prune(keep=0)
        [number] = gallery.add(_items(picture, seed=3))
        assert gallery.origins([number])[number].picture
        gallery.copy(tmp_path / "copy.gallery")
    with Gallery.open(tmp_path / "copy.gallery", background=False) as copy:
        [number] = copy.add(_items(picture, seed=4))
        assert not copy.origins([number])[number].picture
        copy.limit_pictures(None)
        [number] = copy.add(_items(picture, seed=5))
        assert copy.origins([number])[number].picture
        with pytest.raises(GalleryError, match="bytes"):
            copy.limit_pictures(-1)


def test_a_limit_that_is_no_number_is_one_line(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        with gallery.change() as change:
            change.set("pictures/most_bytes", b"many")
        with pytest.raises(GalleryError, match="unexpected content"):
            gallery.add(_items(SMALL))
        gallery.limit_pictures(None)
        assert gallery.add(_items(SMALL))
