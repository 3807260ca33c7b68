"""What is left of a damaged gallery, and that nothing is lost on the way."""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from shitu_edge.errors import DamagedError, GalleryError
from shitu_edge.gallery import Gallery
from shitu_edge.gallery.care.repair import Repair, repair
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.protocol import require_extractor
from shitu_edge.gallery.store import Meta
from shitu_edge.gallery.store.schema import PAGE_BYTES
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch
from tests.gallery.damage import (
    DAMAGES,
    ITEMS,
    ORIGIN_DAMAGES,
    ORIGINS,
    PAST_IS_WHOLE,
    REVISION,
    SETTING_DAMAGES,
    Content,
    Damage,
    all_that_counts,
    content,
    flip,
    make,
    make_with_origins,
    make_with_settings,
    origins,
    places,
)
from tests.gallery.rows import DIM, create, new_items, run_python, unit_rows

META = Meta("tiny", "f" * 32, DIM)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "shop")


def _named(done: Repair) -> set[int]:
    """The items that are said to be lost, rather than their origins."""
    return {
        int(found[1]) for line in done.rescue.lost if (found := re.match(r"item (-?\d+)\b(?!: its (pic|ori))", line))
    }


def _without_origin(done: Repair) -> set[int]:
    """The items whose origins are said to be lost."""
    lines = [re.fullmatch(r"item (\d+): its (picture|origin) is lost", line) for line in done.rescue.lost]
    return {int(line[1]) for line in lines if line}


def _check(path: Path, done: Repair, before: Content, damaged: bytes, hit: frozenset[int] = frozenset()) -> Content:
    """Check what holds after every repair, and return what is left."""
    assert verify(path).faults == ()
    after = content(path)
    assert {item: facts for item, facts in after.items() if item in before} == {
        item: facts for item, facts in before.items() if item in after
    }
    assert done.rescue.kept == len(after)
    lost = before.keys() - after.keys()
    assert lost - hit <= _named(done), "who is lost is named"
    assert done.rescue.lost or not done.rescue.complete or not lost, "and that something is, at least"
    assert not _named(done) & after.keys(), "who is named is lost"
    assert not any("\n" in line for line in done.rescue.lost)
    assert done.damaged.read_bytes() == damaged
    with Gallery.open(path, background=False) as gallery:
        assert gallery.add(new_items(unit_rows(1, seed=3)))[0] > 12, "no number is given again"
    assert verify(path).faults == ()
    return after


# -- altered rows


@pytest.mark.parametrize("making", [make, make_with_origins])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_items_whose_rows_are_whole_are_kept(tmp_path: Path, damage: Damage, making: Callable[[Path], Path]) -> None:
    path = making(tmp_path / "shop")
    before, made = content(path), origins(path)
    damage.do(path)
    damaged = path.read_bytes()
    if damage is DAMAGES["no entries"] and making is make_with_origins:
        assert repair(path).rescue.kept == 0, "its setting is kept"
        return
    if damage is DAMAGES["no entries"]:
        with pytest.raises(GalleryError, match=r"nothing in it can be read|tables"):
            repair(path)
        assert path.read_bytes() == damaged
        return
    done = repair(path)
    after = _check(path, done, before, damaged, damage.hit)
    assert before.keys() - damage.hit <= after.keys()
    assert after.keys() - before.keys() <= damage.hit, "and nothing that was removed comes back"
    kept = {item: found for item, found in origins(path).items() if item in before}
    assert kept == {item: found for item, found in made.items() if item in after}
    assert _without_origin(done) == set()
    assert done.damaged == path.with_name("shop.damaged")


@pytest.mark.parametrize("name", PAST_IS_WHOLE)
def test_the_history_is_kept_when_nothing_of_it_is_lost(path: Path, name: str) -> None:
    before = all_that_counts(path)
    DAMAGES[name].do(path)
    assert repair(path).rescue.history
    assert all_that_counts(path) == before
    with Gallery.open(path, background=False) as gallery:
        gallery.history.rollback(3)
        assert gallery.items("tea")[0].id == 2


def test_repairing_what_is_sound_loses_nothing(path: Path) -> None:
    before, data = all_that_counts(path), path.read_bytes()
    done = repair(path)
    assert (done.rescue.kept, done.rescue.lost, done.rescue.history) == (len(ITEMS), (), True)
    assert all_that_counts(path) == before
    assert done.damaged.read_bytes() == data
    assert sorted(file.name for file in path.parent.iterdir()) == ["shop", "shop.damaged"]


def test_where_something_is_lost_the_log_goes_on(path: Path) -> None:
    DAMAGES["short embedding"].do(path)
    done = repair(path)
    assert (done.rescue.kept, done.rescue.history) == (len(ITEMS) - 1, False)
    assert len(done.rescue.lost) == 1
    with Gallery.open(path, background=False) as gallery:
        log = gallery.history.log()
        assert [line.id for line in log] == [7, 6, 5, 4, 3, 2, 1]
        assert log[0].note == "repaired: 1 items lost"
        assert [(line.author, line.note) for line in log[4:6]] == [("", ""), ("ann", "from the shelf")]
        with pytest.raises(GalleryError, match="expected a revision from 7 to 7, found 6"):
            gallery.history.rollback(6)


def test_a_repaired_gallery_takes_no_patch_that_fits_no_more(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copyfile(path, other)
    with Gallery.open(other, background=False) as gallery:
        gallery.remove([7])
        write_patch(gallery, REVISION, REVISION + 1, tmp_path / "patch")
    DAMAGES["short embedding"].do(path)
    repair(path)
    with Gallery.open(path, background=False) as gallery, pytest.raises(GalleryError, match="cannot be applied to"):
        apply_patch(gallery, tmp_path / "patch")


def test_copies_follow_a_gallery_whose_repair_lost_nothing(path: Path, tmp_path: Path) -> None:
    """A number that was given is not given again, so that nobody takes one item for another."""
    with Gallery.open(path, background=False) as gallery:
        gallery.add(new_items(unit_rows(1, seed=8), "last"))
        gallery.copy(tmp_path / "copy")
        gallery.remove([13])
        gallery.history.prune(0)
    assert repair(path).rescue.history
    with Gallery.open(path, background=False) as gallery, Gallery.open(tmp_path / "copy") as follower:
        assert gallery.add(new_items(unit_rows(1, seed=9), "newer")) == [14]
        follower.remove([13], note="")
        assert follower.history.log()[0].digest == gallery.history.log()[1].digest
        with pytest.raises(GalleryError, match="expected a revision from 8 to 9, found 7"):
            write_patch(gallery, 7, 9, tmp_path / "patch")


def test_a_pruned_gallery_with_a_history(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        gallery.history.prune(2)
        state = gallery.items(), gallery.history.log(), gallery.history.diff(4, 6)
    assert repair(path).rescue.history
    with Gallery.open(path, background=False) as gallery:
        assert (gallery.items(), gallery.history.log(), gallery.history.diff(4, 6)) == state
    assert verify(path).faults == ()


def test_the_graph_is_given_up_and_can_be_made_anew(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        gallery.index.rebuild()
    assert len(list(path.parent.glob("*.hnsw"))) == 1
    repair(path)
    assert list(path.parent.glob("*.hnsw")) == []
    with Gallery.open(path, background=False) as gallery:
        assert gallery.info().search == "exact"
        gallery.index.rebuild()
    assert verify(path).recall == 1


# -- settings


@pytest.fixture
def with_settings(tmp_path: Path) -> Path:
    return make_with_settings(tmp_path / "settings")


def _settings(path: Path) -> dict[str, bytes]:
    with Gallery.open(path, background=False) as gallery:
        return gallery.settings()


@pytest.mark.parametrize("damage", SETTING_DAMAGES.values(), ids=SETTING_DAMAGES)
def test_settings_that_are_whole_are_kept(with_settings: Path, damage: Damage) -> None:
    items, before = content(with_settings), _settings(with_settings)
    damage.do(with_settings)
    done = repair(with_settings)
    assert verify(with_settings).faults == ()
    assert content(with_settings) == items
    after = _settings(with_settings)
    assert after.items() - before.items() <= {("look_alikes", b"[]")}
    named = {line.split()[1][:-1] for line in done.rescue.lost}
    assert all(line.startswith("setting ") and "\n" not in line for line in done.rescue.lost)
    assert before.keys() - after.keys() <= named or not done.rescue.complete
    assert not named & after.keys()


@pytest.mark.parametrize("name", ["no index", "no index of names", "format without settings"])
def test_the_history_is_kept_with_its_settings(with_settings: Path, name: str) -> None:
    before = all_that_counts(with_settings)
    SETTING_DAMAGES[name].do(with_settings)
    done = repair(with_settings)
    assert (done.rescue.history, done.rescue.lost) == (True, ())
    assert all_that_counts(with_settings) == before
    with Gallery.open(with_settings, background=False) as gallery:
        gallery.history.rollback(7)
        assert gallery.settings()["target"] == b"0.9"


def test_a_lost_setting_is_named_and_the_others_are_kept(with_settings: Path) -> None:
    SETTING_DAMAGES["value"].do(with_settings)
    done = repair(with_settings)
    assert done.rescue.lost == ("setting target: checksum mismatch: it was altered",)
    assert (done.rescue.kept, done.rescue.history, done.rescue.complete) == (len(ITEMS), False, False)
    assert [*_settings(with_settings)] == ["queries/0"]
    with Gallery.open(with_settings, background=False) as gallery:
        assert gallery.revision == 9
        assert gallery.history.log()[1].author == "bob"


def test_settings_are_kept_where_items_are_lost(with_settings: Path) -> None:
    before = _settings(with_settings)
    DAMAGES["short embedding"].do(with_settings)
    done = repair(with_settings)
    assert (done.rescue.kept, len(done.rescue.lost), done.rescue.history) == (len(ITEMS) - 1, 1, False)
    assert _settings(with_settings) == before
    assert verify(with_settings).faults == ()


def test_settings_without_items_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "shop"
    with create(path) as gallery, gallery.change() as change:
        change.set("target", b"1")
    Damage(("UPDATE revisions SET note = 'x' WHERE id = 2",)).do(path)
    assert repair(path).rescue.complete
    assert _settings(path) == {"target": b"1"}


def test_pages_overwritten_cost_no_more_than_what_they_hold(with_settings: Path) -> None:
    """The first page too, which says where the settings are."""
    items, before, data = content(with_settings), _settings(with_settings), with_settings.read_bytes()
    kept = []
    for number in range(len(data) // PAGE_BYTES):
        altered = bytearray(data)
        altered[PAGE_BYTES * number : PAGE_BYTES * (number + 1)] = bytes(PAGE_BYTES)
        for file in with_settings.parent.iterdir():
            file.unlink()
        with_settings.write_bytes(altered)
        done = repair(with_settings, META)
        assert verify(with_settings).faults == (), number
        after = _settings(with_settings)
        assert after.items() <= before.items(), number
        assert content(with_settings).items() <= items.items(), number
        named = {line.split()[1][:-1] for line in done.rescue.lost if line.startswith("setting ")}
        assert before.keys() - after.keys() <= named, number
        kept.append(len(after))
    assert kept[0] == 2
    assert sum(kept) >= 2 * len(kept) - 6, "the table's root, and the pages of one large value"


# -- origins


@pytest.fixture
def with_origins(tmp_path: Path) -> Path:
    return make_with_origins(tmp_path / "origins")


@pytest.mark.parametrize("damage", ORIGIN_DAMAGES.values(), ids=ORIGIN_DAMAGES)
def test_items_are_kept_without_a_damaged_origin(with_origins: Path, damage: Damage) -> None:
    items, before = content(with_origins), origins(with_origins)
    damage.do(with_origins)
    done = repair(with_origins)
    assert verify(with_origins).faults == ()
    assert content(with_origins) == items
    after = origins(with_origins)
    assert after == {item: made for item, made in before.items() if item not in damage.hit}
    assert before.keys() - after.keys() <= _without_origin(done) or not done.rescue.complete
    assert len(done.rescue.lost) == len(_without_origin(done)), "nothing else is lost"
    assert not _without_origin(done) & after.keys()


@pytest.mark.parametrize("name", ["no index", "of nothing", "format without origins", "format without settings"])
def test_the_history_is_kept_with_its_origins(with_origins: Path, name: str) -> None:
    before = all_that_counts(with_origins)
    ORIGIN_DAMAGES[name].do(with_origins)
    done = repair(with_origins)
    assert (done.rescue.history, done.rescue.lost) == (True, ())
    assert all_that_counts(with_origins) == before
    with Gallery.open(with_origins, background=False) as gallery:
        gallery.history.rollback(2)
        assert gallery.origins([12]) == {12: ORIGINS[12]}
        assert gallery.info().pictures == 4


def test_a_lost_picture_is_named(with_origins: Path) -> None:
    ORIGIN_DAMAGES["picture"].do(with_origins)
    Damage(("UPDATE origins SET digest = zeroblob(32) WHERE item = 7",)).do(with_origins)
    done = repair(with_origins)
    assert done.rescue.lost == ("item 5: its picture is lost", "item 7: its origin is lost")
    assert (done.rescue.kept, done.rescue.history, done.rescue.complete) == (len(ITEMS), False, False)
    with Gallery.open(with_origins, background=False) as gallery:
        assert gallery.history.log()[0].note == "repaired: 0 items lost"
        assert gallery.info().pictures == 2


def test_origins_go_with_items_that_are_lost(with_origins: Path) -> None:
    before = origins(with_origins)
    DAMAGES["short embedding"].do(with_origins)
    done = repair(with_origins)
    assert (done.rescue.kept, len(done.rescue.lost)) == (len(ITEMS) - 1, 1)
    assert origins(with_origins) == {item: made for item, made in before.items() if item != 5}


def test_pages_overwritten_cost_the_origins_that_they_hold(with_origins: Path) -> None:
    """The first page too, which says where they are."""
    items, before, data = content(with_origins), origins(with_origins), with_origins.read_bytes()
    kept, named = [], 0
    for number in range(len(data) // PAGE_BYTES):
        altered = bytearray(data)
        altered[PAGE_BYTES * number : PAGE_BYTES * (number + 1)] = bytes(PAGE_BYTES)
        for file in with_origins.parent.iterdir():
            file.unlink()
        with_origins.write_bytes(altered)
        done = repair(with_origins, META)
        assert verify(with_origins).faults == (), number
        after, left = origins(with_origins), content(with_origins)
        assert after.items() <= before.items(), number
        assert left.items() <= items.items(), number
        assert (before.keys() & left.keys()) - after.keys() <= _without_origin(done), number
        named += len(_without_origin(done))
        kept.append(len(after))
    assert kept[0] == len(before)
    assert Counter(kept) == {0: 3, 3: 6, 4: len(kept) - 9}, "three tables' only pages; a large picture has six"
    assert named >= len(before)


# -- damaged bytes


@pytest.mark.parametrize("making", [make, make_with_settings, make_with_origins])
@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_byte_costs_what_it_hits(tmp_path: Path, seed: int, making: Callable[[Path], Path]) -> None:
    path = making(tmp_path / "shop")
    before, original = content(path), path.read_bytes()
    lost = []
    for place, bits in places(path, 25, 100 + seed):
        for file in path.parent.iterdir():
            file.unlink()
        path.write_bytes(original)
        flip(path, place, bits)
        damaged = path.read_bytes()
        where = f"byte {place} (page {place // PAGE_BYTES + 1}, {place % PAGE_BYTES}), {bits}"
        try:
            after = _check(path, repair(path, META), before, damaged, frozenset({2, 3}))  # which have a past
        except Exception as error:
            raise AssertionError(where) from error
        assert after.keys() <= before.keys() | {12}, where
        lost.append(len(before) - len(after))
    assert sum(lost) <= 2 * len(lost), "most places are of one item or of none"


def test_a_first_page_of_zeros(path: Path) -> None:
    before, data = all_that_counts(path), bytearray(path.read_bytes())
    data[:PAGE_BYTES] = bytes(PAGE_BYTES)
    path.write_bytes(data)
    with pytest.raises(GalleryError, match="at least 11 of 11 items"):
        Gallery.open(path)
    done = repair(path)
    assert (done.rescue.kept, done.rescue.lost, done.rescue.history) == (11, (), True)
    assert all_that_counts(path) == before
    assert done.damaged.read_bytes() == data


def test_a_first_page_of_rubbish(path: Path) -> None:
    before, data = content(path), bytearray(path.read_bytes())
    data[:PAGE_BYTES] = random.Random(1).randbytes(PAGE_BYTES)
    path.write_bytes(data)
    assert repair(path).rescue.kept == 11
    assert content(path) == before


def test_a_large_gallery_with_pages_lost(tmp_path: Path) -> None:
    path = tmp_path / "shop"
    with create(path, 512) as gallery:
        gallery.add(new_items(unit_rows(800, 512)))
        gallery.remove(range(1, 800, 9))
    before, data = content(path), bytearray(path.read_bytes())
    chance = random.Random(2)
    pages = len(data) // PAGE_BYTES
    for page in chance.sample(range(pages // 2, pages), 4):
        data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = bytes(PAGE_BYTES)
    path.write_bytes(data)
    done = repair(path)
    assert verify(path).faults == ()
    after = content(path)
    assert after.items() <= before.items()
    assert before.keys() - after.keys() <= _named(done)
    assert len(after) >= 711 - 4 * 8, "a page holds seven embeddings"


def test_a_file_cut_short(path: Path) -> None:
    before, data = content(path), path.read_bytes()
    kept = []
    for pages in range(1, len(data) // PAGE_BYTES):
        for file in path.parent.iterdir():
            file.unlink()
        path.write_bytes(data[: pages * PAGE_BYTES + 100])
        try:
            done = repair(path, META)
        except GalleryError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert path.read_bytes() == data[: pages * PAGE_BYTES + 100]
            assert [file.name for file in path.parent.iterdir()] == ["shop"]
            continue
        assert verify(path).faults == ()
        assert content(path).items() <= before.items()
        kept.append(done.rescue.kept)
    assert kept[-1] == 11


# -- what the gallery is for


def test_a_gallery_that_does_not_say_what_it_is_for(path: Path) -> None:
    before = content(path)
    Damage(("DELETE FROM meta WHERE key = 'extractor'",)).do(path)
    data = path.read_bytes()
    with pytest.raises(GalleryError, match="its extractor can no longer be read"):
        repair(path)
    assert path.read_bytes() == data
    assert [file.name for file in path.parent.iterdir()] == ["shop"]
    assert repair(path, META).rescue.kept == 11
    assert content(path) == before
    with Gallery.open(path) as gallery:
        require_extractor(gallery, "tiny", "f" * 32)


@pytest.mark.parametrize("dim", ["15", "0", "-16", "x", "1e3", str(10**30), str(1 << 62)])
def test_a_dimension_that_is_none(path: Path, dim: str) -> None:
    before = content(path)
    Damage((f"UPDATE meta SET value = '{dim}' WHERE key = 'dim'",)).do(path)
    data = path.read_bytes()
    try:
        assert repair(path, META).rescue.kept == 11
    except GalleryError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert path.read_bytes() == data
    else:
        assert content(path) == before


# -- names and logs


def test_what_was_damaged_twice_is_kept_twice(path: Path) -> None:
    damaged = []
    for name in ("label", "short embedding", "missing embedding"):
        with closing(sqlite3.connect(path)) as connection:
            [item] = connection.execute("SELECT max(item) FROM entries WHERE removed_in IS NULL").fetchone()
            damage = DAMAGES[name].statements[0]
        Damage((re.sub(r"= 5$", f"= {item}", damage),)).do(path)
        damaged.append(path.read_bytes())
        assert len(repair(path).rescue.lost) == 1
    names = ["shop.damaged", "shop.damaged-2", "shop.damaged-3"]
    assert [path.with_name(name).read_bytes() for name in names] == damaged
    assert sorted(file.name for file in path.parent.iterdir()) == ["shop", *names]
    assert len(content(path)) == 8


# A writer that dies with what it committed still in the log.
_KILLED = """
import os, sys
import numpy as np
from shitu_edge.gallery import Gallery, NewGalleryItem

gallery = Gallery.open(sys.argv[1], background=False)
gallery.add([NewGalleryItem("in the log", "log.jpg", np.eye(16, dtype=np.float32)[0])])
gallery.rename("label 4", "renamed in the log")
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be moved")
@pytest.mark.parametrize("damage", ["nothing", "first page", "an embedding"])
def test_what_was_committed_into_the_log_counts(path: Path, damage: str) -> None:
    run_python(_KILLED, path)
    log = path.with_name("shop-wal")
    assert log.stat().st_size > 0
    data, logged = bytearray(path.read_bytes()), log.read_bytes()
    if damage == "first page":
        data[:PAGE_BYTES] = bytes(PAGE_BYTES)
    elif damage == "an embedding":
        place = data.index(unit_rows(12)[6].tobytes())
        data[place] ^= 1
    path.write_bytes(data)
    done = repair(path)
    assert verify(path).faults == ()
    after = content(path)
    assert after[13][:2] == ("in the log", "log.jpg")
    assert after[5][0] == "renamed in the log"
    assert done.rescue.kept == len(after) >= 11
    kept = [done.damaged.read_bytes()]
    if damage == "first page":
        kept.append(done.damaged.with_name("shop.damaged-wal").read_bytes())
        assert kept == [data, logged]
    else:  # SQLite has folded the log in when it was found that nobody has the file open
        assert b"in the log" in kept[0]
    assert not log.exists()


# -- refusals and failures


def test_a_gallery_that_is_open_here_is_left_alone(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        with pytest.raises(GalleryError, match="shop: is open in this process; close it first"):
            repair(path)
        gallery.add(new_items(unit_rows(1, seed=3)))
    assert [file.name for file in path.parent.iterdir()] == ["shop"]
    assert repair(path).rescue.kept == 12


@pytest.mark.parametrize("meta", [None, META], ids=["without", "with meta"])
def test_what_is_no_gallery(tmp_path: Path, meta: Meta | None) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello")
    (tmp_path / "image").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "zeros").write_bytes(bytes(PAGE_BYTES * 20))
    (tmp_path / "rubbish").write_bytes(random.Random(1).randbytes(PAGE_BYTES * 20 + 7))
    (tmp_path / "header").write_bytes(b"SQLite format 3\0" + random.Random(2).randbytes(PAGE_BYTES * 3))
    (tmp_path / "folder").mkdir()
    for name, table in (("notes.db", "notes"), ("entries.db", "entries")):
        with closing(sqlite3.connect(tmp_path / name)) as connection, connection:
            connection.execute(f"CREATE TABLE {table} (item, text)")
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?)", [(i, "text" * 100) for i in range(500)])
    before = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    for path in (*before, tmp_path / "folder", tmp_path / "none", tmp_path / "none" / "none", tmp_path / ("x" * 300)):
        with pytest.raises(GalleryError) as refusal:
            repair(path, meta)
        assert "\n" not in str(refusal.value)
        assert str(refusal.value).startswith(f"{path}: ")
    assert {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before


def test_opening_says_how_much_would_be_kept(path: Path) -> None:
    DAMAGES["short embedding"].do(path)
    data = path.read_bytes()
    with pytest.raises(DamagedError) as refusal:
        Gallery.open(path)
    assert refusal.value.rescuable == (10, 11)
    assert str(refusal.value).endswith(f"`shitu-edge gallery repair {path}` keeps at least 10 of 11 items")
    assert path.read_bytes() == data
    assert [file.name for file in path.parent.iterdir()] == ["shop"]
    assert repair(path).rescue.kept == 10


@pytest.mark.parametrize("name", ["missing embedding", "two entries", "no revisions", "history back to text"])
def test_opening_says_so_of_other_damage_too(path: Path, name: str) -> None:
    DAMAGES[name].do(path)
    with pytest.raises(DamagedError) as refusal:
        Gallery.open(path)
    assert refusal.value.rescuable == ((10, 11) if name == "missing embedding" else (11, 11))


def _no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_opening_where_nothing_can_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DAMAGES["short embedding"].do(path)
    monkeypatch.setattr(tempfile, "mkdtemp", _no_space)
    with pytest.raises(DamagedError, match="keeps at least 10 of 11 items"):
        Gallery.open(path)
    with pytest.raises(GalleryError, match="No space left"):
        repair(path)


@pytest.mark.parametrize("which", ["copying", "first", "second", "third"])
def test_a_repair_that_fails_leaves_the_damaged_gallery(
    path: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    DAMAGES["label"].do(path)
    data = path.read_bytes()
    path.with_name("shop-wal").write_bytes(b"")
    replace, calls = os.replace, 0

    def failing(source: str, target: str) -> None:
        nonlocal calls
        calls += 1
        if calls == {"first": 1, "second": 2, "third": 3}.get(which):
            _no_space()
        replace(source, target)

    if which == "copying":
        monkeypatch.setattr(shutil, "copyfile", _no_space)
    monkeypatch.setattr(os, "replace", failing)
    try:
        done = repair(path)
    except GalleryError as error:
        assert "No space left" in str(error)  # noqa: PT017
        assert path.read_bytes() == data
        assert not list(path.parent.glob("*damaged*"))
    else:
        assert done.damaged.read_bytes() == data
    assert not list(path.parent.glob("*partial*"))


_FULL_DISK = """
import resource, sys
from pathlib import Path
from shitu_edge.errors import GalleryError
from shitu_edge.gallery.care.repair import repair

limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    print(repair(Path(sys.argv[1])).rescue.kept)
except GalleryError as error:
    print(error)
"""


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.99, 1.0, 1.02, 1.1])
def test_a_full_disk_loses_nothing(tmp_path: Path, share: float) -> None:
    pytest.importorskip("resource", reason="file size limits are POSIX")
    path = tmp_path / "shop"
    with create(path, 128) as gallery:
        gallery.add(new_items(unit_rows(700, 128)))
    Damage(("UPDATE embeddings SET vector = x'00' WHERE id = 5",)).do(path)
    data = path.read_bytes()
    said = run_python(_FULL_DISK, path, int(share * len(data)))
    if said == "699\n":
        assert verify(path).faults == ()
        assert verify(path).items == 699
        return
    assert said.startswith(f"{path}: ")
    assert said.count("\n") == 1
    assert path.read_bytes() == data
    assert {file.name for file in tmp_path.iterdir()} <= {"shop", "shop-wal", "shop-shm"}
    assert repair(path).rescue.kept == 699


def test_progress_comes_to_its_end(path: Path) -> None:
    seen: list[tuple[int, int]] = []
    repair(path, progress=lambda *step: seen.append(step))
    assert seen[-1][0] == seen[-1][1] >= 11


def test_a_progress_that_ends_it_leaves_the_gallery(path: Path) -> None:
    data = path.read_bytes()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repair(path, progress=stop)
    assert path.read_bytes() == data
    assert [file.name for file in path.parent.iterdir()] == ["shop"]


def test_an_empty_gallery(tmp_path: Path) -> None:
    create(tmp_path / "shop").close()
    before = all_that_counts(tmp_path / "shop")
    assert repair(tmp_path / "shop").rescue.lost == ()
    assert all_that_counts(tmp_path / "shop") == before
