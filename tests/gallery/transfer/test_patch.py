"""Patches: copies that follow a random history, and files that no gallery should ever take."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import os
import random
import shutil
import sqlite3
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.store.schema import ContentDigest, entry_digest
from shitu_edge.gallery.store.structure import Guarded
from shitu_edge.gallery.transfer import patch as patches
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch
from tests.gallery.operations import CHANGES, Model, check_model, choose, do
from tests.gallery.rows import DIM, create, new_items, older_labels, relabel, run_python, unit_rows

MAGIC = b"shitu-edge gallery patch 1\n"
TABLES = ("meta", "revisions", "embeddings", "entries", "graph", "sqlite_sequence", "settings", "origins")
Tables = dict[str, list[tuple[Any, ...]]]
Head = dict[str, Any]


def tables(path: Path) -> Tables:
    """All that a gallery's file says."""
    with closing(sqlite3.connect(path)) as connection:
        [names] = zip(*connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"), strict=True)
        assert {*names} <= {*TABLES}
        return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}


def _same(master: Gallery, follower: Gallery) -> None:
    """What a copy must share with the gallery that it follows."""
    assert follower.history.id == master.history.id
    assert follower.revision == master.revision
    assert follower.items() == master.items()
    assert follower.settings() == master.settings()
    assert follower.history.log() == master.history.log()
    assert follower.history.hash(follower.revision) == master.history.hash(master.revision)
    ids = [entry.id for entry in master.items()]
    np.testing.assert_array_equal(follower.embeddings(ids), master.embeddings(ids))
    queries = unit_rows(3, DIM, seed=77)
    k = max(1, len(ids))
    assert follower.search(queries, k) == master.search(queries, k)


def _refusal(path: Path, patch: Path) -> str:
    """Why a patch is refused: one line, and nothing was changed."""
    before = tables(path)
    with Gallery.open(path, background=False) as gallery, pytest.raises(GalleryError) as refusal:
        apply_patch(gallery, patch)
    assert tables(path) == before
    message = str(refusal.value)
    assert message.startswith((f"{patch}: ", f"{path}: "))
    assert "\n" not in message
    return message


# -- following


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("duplicate", ["copied", "file copied while closed"])
def test_copies_follow_a_random_history(tmp_path: Path, seed: int, duplicate: str) -> None:
    """One copy in a step a round, one in a step a revision, and one that is taken late; the master prunes meanwhile."""
    chance = random.Random(seed)
    path, model = tmp_path / "master", Model.empty()
    create(path).close()
    names = {name: tmp_path / name for name in ("leaps", "steps", "late")}
    for name in ("leaps", "steps"):
        shutil.copyfile(path, names[name])
    for number in range(6):
        with Gallery.open(path, background=False) as master:
            base = master.revision
            for _ in range(chance.randint(1, 5)):
                operation = choose(chance, model, CHANGES)
                do(master, operation)
                model = model.after(operation)
            if chance.random() < 0.5 and master.revision > base:
                keep = master.revision - base
                master.history.prune(keep)
                model = model.after(["prune", keep])
            _follow(master, names["leaps"], [(base, master.revision)])
            _follow(master, names["steps"], [(n, n + 1) for n in range(base, master.revision)])
            if number > 3:
                _follow(master, names["late"], [(base, master.revision)])
            if number == 3 and duplicate == "copied":
                master.copy(names["late"])
        if number == 3 and duplicate != "copied":
            shutil.copyfile(path, names["late"])
    for copied in names.values():
        with Gallery.open(copied, background=False) as follower:
            check_model(follower, model)
        assert verify(copied).faults == ()


def _follow(master: Gallery, path: Path, ranges: list[tuple[int, int]]) -> None:
    patch = path.with_name("patch")
    with Gallery.open(path, background=False) as follower:
        for base, head in ranges:
            if base == head:
                continue
            written = write_patch(master, base, head, patch)
            assert patch.stat().st_size == written.bytes
            assert apply_patch(follower, patch) == written
            assert follower.revision == head
        _same(master, follower)
    with Gallery.open(path, background=False) as follower:
        _same(master, follower)


def test_a_copy_that_followed_rolls_back_as_the_master_does(tmp_path: Path, closed: Path) -> None:
    other = tmp_path / "other"
    with Gallery.open(closed, background=False) as master, Gallery.open(_based(closed, 2, other)) as follower:
        write_patch(master, 2, 6, tmp_path / "patch")
        apply_patch(follower, tmp_path / "patch")
        assert [follower.history.diff(n, 6) for n in range(2, 7)] == [master.history.diff(n, 6) for n in range(2, 7)]
        for gallery in (master, follower):
            gallery.history.rollback(3)
        assert follower.items() == master.items()
        assert follower.history.log()[0].digest == master.history.log()[0].digest


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A closed gallery whose revisions 2 … 6 do a bit of everything."""
    path = tmp_path / "master"
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(6)))
        gallery.rename("label 1", "tea", author="ann", note="as on the shelf")
        gallery.replace("label 2", new_items(unit_rows(2, seed=2), "牛奶"))
        gallery.remove([1, 7])
        gallery.history.rollback(3)
    return path


def _based(master: Path, revision: int, path: Path) -> Path:
    """Return the master as it was at a revision: a copy that is behind."""
    with Gallery.open(master, background=False) as gallery:
        gallery.copy(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM entries WHERE added_in > ?", (revision,))
        connection.execute("UPDATE entries SET removed_in = NULL WHERE removed_in > ?", (revision,))
        connection.execute("DELETE FROM embeddings WHERE id NOT IN (SELECT item FROM entries)")
        connection.execute("DELETE FROM revisions WHERE id > ?", (revision,))
        connection.execute("UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM embeddings)")
    assert verify(path).faults == ()
    return path


def _patch(master: Path, base: int, head: int, path: Path) -> Path:
    with Gallery.open(master, background=False) as gallery:
        write_patch(gallery, base, head, path)
    return path


@pytest.fixture
def base(closed: Path, tmp_path: Path) -> Path:
    """The gallery as it was at revision 2."""
    return _based(closed, 2, tmp_path / "base")


@pytest.fixture
def patch(closed: Path, tmp_path: Path) -> Path:
    """The patch from 2 to 6."""
    return _patch(closed, 2, 6, tmp_path / "patch")


def test_a_patch_that_is_there_already_changes_nothing(closed: Path, base: Path, patch: Path) -> None:
    with Gallery.open(base, background=False) as follower:
        assert apply_patch(follower, patch) is not None
        before = tables(base)
        assert apply_patch(follower, patch) is None
        follower.add(new_items(unit_rows(1, seed=8)))
        assert apply_patch(follower, patch) is None, "changed since, but it has the patch"
    with Gallery.open(closed, background=False) as master:
        assert apply_patch(master, patch) is None
    assert before["entries"] == tables(closed)["entries"]


def test_overlapping_patches_are_not_for_what_lies_between(closed: Path, base: Path, tmp_path: Path) -> None:
    with Gallery.open(base, background=False) as follower:
        apply_patch(follower, _patch(closed, 2, 4, tmp_path / "first"))
    assert "it has changed since revision 3" in _refusal(base, _patch(closed, 3, 6, tmp_path / "second"))


def test_images_added_after_a_patch_keep_their_numbers(closed: Path, base: Path, patch: Path, tmp_path: Path) -> None:
    """Numbers that the patch used are not given again."""
    with Gallery.open(base, background=False) as follower, Gallery.open(closed, background=False) as master:
        apply_patch(follower, patch)
        assert follower.add(new_items(unit_rows(1, seed=8))) == master.add(new_items(unit_rows(1, seed=8)))


# -- refusals


def test_another_gallery(tmp_path: Path, closed: Path, patch: Path) -> None:
    other = tmp_path / "other"
    with create(other) as gallery:
        gallery.add(new_items(unit_rows(6)))
    assert "is for another gallery" in _refusal(other, patch)


def test_another_extractor(base: Path, patch: Path) -> None:
    with closing(sqlite3.connect(base)) as connection, connection:
        connection.execute("UPDATE meta SET value = 'e' WHERE key = 'fingerprint'")
    assert "holds embeddings of another extractor" in _refusal(base, patch)


def test_a_newer_base(closed: Path, base: Path, tmp_path: Path) -> None:
    patch = _patch(closed, 4, 6, tmp_path / "newer")
    assert "it is at revision 2, expected 4; apply the earlier patches first" in _refusal(base, patch)


def test_an_older_base(closed: Path, patch: Path, tmp_path: Path) -> None:
    ahead = _based(closed, 4, tmp_path / "ahead")
    assert "it has changed since revision 2; take a new copy of the gallery" in _refusal(ahead, patch)


def test_a_base_that_was_changed_locally(closed: Path, tmp_path: Path) -> None:
    changed = _based(closed, 3, tmp_path / "changed")
    with Gallery.open(changed, background=False) as gallery:
        gallery.remove([5])
    patch = _patch(closed, 4, 6, tmp_path / "from 4")
    message = _refusal(changed, patch)
    assert "its revision 4 is another than the patch follows; take a new copy of the gallery" in message


def test_equal_content_by_another_way_is_another_base(closed: Path, tmp_path: Path) -> None:
    """Its numbers may mean other items: here only the times and the notes differ."""
    diverged = _based(closed, 5, tmp_path / "diverged")
    with Gallery.open(diverged, background=False) as gallery:
        gallery.history.rollback(3, note="by hand")
        with Gallery.open(closed, background=False) as master:
            assert gallery.history.log()[0].digest == master.history.log()[0].digest
            assert gallery.items() == master.items()
            master.remove([5])
            write_patch(master, 6, 7, tmp_path / "from 6")
    assert "its revision 6 is another than the patch follows" in _refusal(diverged, tmp_path / "from 6")


@pytest.mark.parametrize(
    ("revisions", "reason"),
    [
        ((2, 6), "expected a revision from 4 to 6, found 2; older ones were pruned"),
        ((4, 7), "expected a revision from 4 to 6, found 7"),
        ((5, 5), "expected a revision after 5, found 5"),
        ((6, 4), "expected a revision after 6, found 4"),
        ((-1, 4), "expected a revision from 4 to 6, found -1"),
        ((4, 1 << 70), "expected a revision from 4 to 6"),
    ],
    ids=str,
)
def test_revisions_that_are_not_there(closed: Path, tmp_path: Path, revisions: tuple[int, int], reason: str) -> None:
    with Gallery.open(closed, background=False) as gallery:
        gallery.history.prune(2)
        with pytest.raises(GalleryError, match=reason):
            write_patch(gallery, *revisions, tmp_path / "patch")
    assert not (tmp_path / "patch").exists()


def test_a_pruned_copy_takes_a_patch(closed: Path, base: Path, patch: Path) -> None:
    with Gallery.open(base, background=False) as follower, Gallery.open(closed, background=False) as master:
        follower.history.prune(0)
        apply_patch(follower, patch)
        _same(master, follower)
    assert verify(base).faults == ()


# -- what is in the file


def test_only_what_changed_is_in_the_file(tmp_path: Path) -> None:
    dim = 512
    vector, rows = 4 * dim, unit_rows(30, 512)
    with create(tmp_path / "shop", dim) as gallery:
        gallery.add(new_items(rows[:20]))
        gallery.rename("label 1", "tea")
        gallery.remove([2])
        gallery.add(new_items(rows[20:21]))
        gallery.remove([21])
        gallery.history.rollback(2)
        gallery.history.rollback(5)

        def size(base: int, head: int) -> int:
            return write_patch(gallery, base, head, tmp_path / "patch").bytes

        assert size(2, 3) < vector, "a renamed item's embedding is there"
        assert size(3, 4) < vector, "so is a removed one's"
        assert vector < size(4, 5) < 2 * vector
        assert vector < size(4, 6) < 2 * vector, "it is needed on the way"
        assert size(5, 6) < vector
        assert vector < size(6, 7) < 2 * vector, "one is renamed back, and one is back that revision 6 lacks"
        assert 20 * vector < size(1, 2) < 23 * vector
        assert vector < size(7, 8) < 2 * vector, "brought back, and unknown to who has only revision 7"
        assert vector < size(2, 8) < 3 * vector


# -- all or nothing


@pytest.mark.parametrize("revision", [3, 4, 5, 6])
def test_a_patch_that_fails_on_the_way_changes_nothing(
    base: Path, patch: Path, revision: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = Guarded.execute

    def fill_up(self: Guarded, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql.startswith("INSERT INTO revisions") and parameters[0] == revision:
            execute(self, "ROLLBACK")  # as SQLite does on a full disk
            raise sqlite3.OperationalError("database or disk is full")
        return execute(self, sql, parameters)

    with monkeypatch.context() as full:
        full.setattr(Guarded, "execute", fill_up)
        assert "the disk is full" in _refusal(base, patch)
    with Gallery.open(base, background=False) as follower:
        assert apply_patch(follower, patch) is not None


_FULL_DISK = """
import resource, sys
from pathlib import Path
from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch

kind, path, patch, limit = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
with Gallery.open(path, background=False) as gallery:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        write_patch(gallery, 2, 3, patch) if kind == "write" else apply_patch(gallery, patch)
        print("done")
    except GalleryError as error:
        print(error)
"""


def test_full_disk(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="file size limits are POSIX")
    path, patch = tmp_path / "shop", tmp_path / "patch"
    with create(path, 512) as gallery:
        gallery.add(new_items(unit_rows(100, 512)))
        gallery.copy(tmp_path / "behind")
        gallery.add(new_items(unit_rows(300, 512, seed=2)))
        write_patch(gallery, 1, 2, patch)
    before, content = patch.read_bytes(), tables(tmp_path / "behind")
    said = run_python(_FULL_DISK, "write", path, patch, 300_000)
    assert said == f"{patch}: cannot be written: File too large\n"
    assert patch.read_bytes() == before
    write_patch_of(path, patch)
    said = run_python(_FULL_DISK, "apply", tmp_path / "behind", patch, 300_000)
    assert said.startswith((f"{patch}: ", f"{tmp_path / 'behind'}: "))
    assert said.count("\n") == 1
    assert tables(tmp_path / "behind") == content
    assert run_python(_FULL_DISK, "apply", tmp_path / "behind", patch, 30_000_000) == "done\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["behind", "patch", "shop"]


def write_patch_of(path: Path, patch: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        write_patch(gallery, 2, 3, patch)


def _cannot_replace(*_: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_an_earlier_file_stays_where_writing_fails(
    closed: Path, patch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = patch.read_bytes()
    (tmp_path / "folder").mkdir()
    with Gallery.open(closed, background=False) as gallery:
        for target in (tmp_path / "folder", tmp_path / "none" / "patch", tmp_path / ("x" * 300)):
            with pytest.raises(
                GalleryError, match=r"cannot be written|there is no folder|is not a file name"
            ) as refusal:
                write_patch(gallery, 2, 3, target)
            assert "\n" not in str(refusal.value)
        monkeypatch.setattr(os, "replace", _cannot_replace)
        with pytest.raises(GalleryError, match="patch: cannot be written: Read-only"):
            write_patch(gallery, 2, 3, patch)
    assert patch.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder", "master", "patch"]


def test_a_patch_is_not_written_over_its_gallery(closed: Path) -> None:
    before = tables(closed)
    with Gallery.open(closed, background=False) as gallery, pytest.raises(GalleryError):
        write_patch(gallery, 2, 3, closed)
    assert tables(closed) == before


# -- hostile files


@pytest.mark.parametrize("kind", ["pipe", "endless", "sparse", "sparse patch", "long head", "large"])
def test_files_that_never_end(base: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "endless"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        begin = {"sparse": b"", "sparse patch": MAGIC, "long head": MAGIC, "large": MAGIC}[kind]
        path.write_bytes(begin)
        if kind == "long head":  # of zeros, with its digest
            path.write_bytes(MAGIC + hashlib.sha256(length := struct.pack("<Q", 20 << 20)).digest() + length)
            with path.open("rb+") as stream:
                stream.truncate(len(MAGIC) + 40 + (20 << 20))
            digest = hashlib.sha256(path.read_bytes()[len(MAGIC) + 32 :]).digest()
            with path.open("rb+") as stream:
                stream.seek(len(MAGIC))
                stream.write(digest)
        else:
            os.truncate(path, {"sparse": 1 << 36, "sparse patch": 1 << 20, "large": 1 << 36}[kind])
    tracemalloc.start()
    message = _refusal(base, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
    expected = {
        "pipe": "is a pipe, device or socket",
        "endless": "is a pipe, device or socket",
        "sparse": "is not a gallery patch",
        "sparse patch": "is damaged: checksum mismatch",
        "long head": "its head cannot have 20971520 bytes",
        "large": "is larger than 1024 MiB; take a new copy",
    }
    assert expected[kind] in message


@pytest.mark.parametrize("limit", ["_MAX_BYTES", "_MAX_HEAD_BYTES"])
def test_a_patch_that_nobody_could_read_is_not_written(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(patches, limit, 1000)
    with (
        Gallery.open(closed, background=False) as gallery,
        pytest.raises(GalleryError, match="exceed the size of a patch"),
    ):
        write_patch(gallery, 1, 6, tmp_path / "patch")
    assert not (tmp_path / "patch").exists()


@pytest.fixture
def opened(base: Path) -> Iterator[Gallery]:
    with Gallery.open(base, background=False) as gallery:
        yield gallery


def _refused(gallery: Gallery, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(GalleryError) as refusal:
        apply_patch(gallery, path)
    assert "\n" not in str(refusal.value)


def _reason(gallery: Gallery, path: Path) -> str | None:
    """Why a patch is refused, None when it is not."""
    try:
        apply_patch(gallery, path)
    except GalleryError as error:
        return str(error)
    return None


def test_no_flipped_byte_passes(opened: Gallery, patch: Path) -> None:
    content, before = patch.read_bytes(), tables(opened.path)
    chance = random.Random(3)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= chance.randrange(1, 256)
        _refused(opened, patch, bytes(flipped))
    assert tables(opened.path) == before


def test_no_part_of_a_patch_passes(opened: Gallery, patch: Path) -> None:
    content, before = patch.read_bytes(), tables(opened.path)
    for length in range(len(content)):
        _refused(opened, patch, content[:length])
    _refused(opened, patch, content + b"\0")
    _refused(opened, patch, content + content)
    assert tables(opened.path) == before


def test_rubbish(opened: Gallery, patch: Path) -> None:
    before = tables(opened.path)
    chance = random.Random(4)
    for _ in range(300):
        rubbish = chance.randbytes(chance.randrange(200))
        for content in (rubbish, MAGIC + rubbish, _sealed(rubbish), _sealed(struct.pack("<Q", len(rubbish)) + rubbish)):
            _refused(opened, patch, content)
    for length in (0, 1, 1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1):
        _refused(opened, patch, _sealed(struct.pack("<Q", length) + b"{}"))
    assert tables(opened.path) == before


def test_what_is_no_file(opened: Gallery, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", tmp_path / ("x" * 300), opened.path):
        with pytest.raises(GalleryError) as refusal:
            apply_patch(opened, path)
        assert "\n" not in str(refusal.value)
    assert len(opened) == 6


def _sealed(content: bytes) -> bytes:
    return MAGIC + hashlib.sha256(content).digest() + content


def _parts(content: bytes) -> tuple[Head, bytes]:
    """A patch's head and vectors."""
    body = content[len(MAGIC) + 32 :]
    length = struct.unpack_from("<Q", body)[0]
    return json.loads(body[8 : 8 + length]), body[8 + length :]


def _whole(head: Any, vectors: bytes) -> bytes:
    text = json.dumps(head).encode()
    return _sealed(struct.pack("<Q", len(text)) + text + vectors)


@pytest.fixture
def attack(base: Path, patch: Path, tmp_path: Path) -> Callable[..., None]:
    """Apply an altered patch: it is refused and changes nothing, or else it does what the genuine one does."""
    genuine = tmp_path / "genuine"
    shutil.copyfile(base, genuine)
    with Gallery.open(genuine, background=False) as gallery:
        apply_patch(gallery, patch)
    before, after = tables(base), tables(genuine)
    victim = tmp_path / "victim"
    shutil.copyfile(base, victim)

    def apply(content: bytes, what: object) -> None:
        patch.write_bytes(content)
        with Gallery.open(victim, background=False) as gallery:
            reason = _reason(gallery, patch)
        if reason is not None:
            assert "\n" not in reason, what
            assert tables(victim) == before, what
            return
        assert tables(victim) == after, f"was taken: {what}"
        shutil.copyfile(base, victim)

    return apply


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in JSON."""
    yield place
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[key], (*place, key))


def _put(head: Head, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    altered = copy.deepcopy(head)
    inner: Any = altered
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return altered


_NUMBERS = (0, -1, 1, 3, 9, 99, 1 << 31, 1 << 62, (1 << 63) - 1, 1 << 63, -(1 << 63), 1 << 64, 10**400)
_VALUES: tuple[Any, ...] = (
    *_NUMBERS,
    None,
    True,
    1.0,
    1e308,
    float("nan"),
    "",
    " tea ",
    "te\na",
    "\ud800",
    "e\u0301",
    "\0",
    [],
    {},
    [[[]]],
)


def test_every_value_altered(patch: Path, attack: Callable[..., None]) -> None:
    """Whom the log names, why and when is no patch's business, but what it is must be text."""
    head, vectors = _parts(patch.read_bytes())
    for place in _places(head):
        for value in _VALUES:
            free = place and place[-1] in ("created_at", "author", "note", "extractor")
            if not (free and isinstance(value, str)):
                attack(_whole(_put(head, place, value), vectors), (place, value))


@pytest.mark.parametrize("field", ["author", "note", "created_at"])
def test_text_of_the_log_is_taken_as_it_is_or_not_at_all(base: Path, patch: Path, tmp_path: Path, field: str) -> None:
    """Else the copy would have another past than the next patch expects."""
    head, vectors = _parts(patch.read_bytes())
    for number, value in enumerate(("", "\0", "\ud800", "e\u0301", " \n ", "x" * 10_000)):
        copied = tmp_path / f"copy {number}"
        shutil.copyfile(base, copied)
        patch.write_bytes(_whole(_put(head, ("steps", 1, "revision", field), value), vectors))
        before = tables(copied)
        with Gallery.open(copied, background=False) as gallery:
            reason = _reason(gallery, patch)
            if reason is not None:
                assert "\n" not in reason
                assert tables(copied) == before
            else:
                assert apply_patch(gallery, patch) is None, repr(value)
                assert gallery.history.log()[2].id == 4
                assert getattr(gallery.history.log()[2], field) == value


def test_steps_dropped_repeated_and_moved(patch: Path, attack: Callable[..., None]) -> None:
    head, vectors = _parts(patch.read_bytes())
    chance = random.Random(5)
    steps = head["steps"]
    for place in [
        ("steps",),
        ("items",),
        *((("steps", n, "added")) for n in range(4)),
        *((("steps", n, "removed")) for n in range(4)),
    ]:
        values: Any = head
        for key in place:
            values = values[key]
        for index in range(len(values) - (place == ("steps",))):  # without its last step, it is the patch to there
            attack(_whole(_put(head, place, values[:index] + values[index + 1 :]), vectors), (place, "dropped", index))
            attack(
                _whole(_put(head, place, values[:index] + values[index:][:1] + values[index:]), vectors),
                (place, "doubled"),
            )
        for _ in range(5):
            attack(_whole(_put(head, place, chance.sample(values, len(values))), vectors), (place, "shuffled"))
    for one in range(4):
        for two in range(4):
            if one != two:
                for key in ("added", "removed", "revision"):
                    attack(_whole(_put(head, ("steps", one, key), steps[two][key]), vectors), (one, two, key))
    row = 4 * DIM
    attack(_whole(head, vectors[row:] + vectors[:row]), "vectors in another order")
    attack(_whole(head, vectors[:-row]), "a vector fewer")
    attack(_whole(head, vectors + vectors[:row]), "a vector more")
    attack(_whole({**head, "more": 1}, vectors), "an unknown key")


def test_deep_nesting(patch: Path, attack: Callable[..., None]) -> None:
    _, vectors = _parts(patch.read_bytes())
    for text in (b"[" * 200_000, b'{"gallery":' * 100_000, b"[" * 50_000 + b"]" * 50_000):
        attack(_sealed(struct.pack("<Q", len(text)) + text + vectors), text[:20])


# A forger who knows the format: the digests of the revisions fit what the patch says.


def _forged(base: Path, head: Head, vectors: bytes) -> bytes:
    """The patch, with the digests and counts that its steps have."""
    head = copy.deepcopy(head)
    rows = {item: vectors[4 * DIM * i : 4 * DIM * (i + 1)] for i, item in enumerate(head["items"])}
    with Gallery.open(base, background=False) as gallery:
        entries = {entry.id: (entry.label, entry.source) for entry in gallery.items()}
        rows = {item: gallery.embeddings([item]).tobytes() for item in entries} | rows
        content = ContentDigest(bytes.fromhex(gallery.history.log()[0].digest))
    for step in head["steps"]:
        for item in step["removed"]:
            content.remove(entry_digest(item, *entries.pop(item), rows[item]))
        for entry in step["added"]:
            entries[entry["id"]] = entry["label"], entry["source"]
            content.add(entry_digest(entry["id"], entry["label"], entry["source"], rows[entry["id"]]))
        step["revision"] |= {
            "digest": bytes(content).hex(), "added": len(step["added"]), "removed": len(step["removed"])
        }  # fmt: skip
    return _whole(head, vectors)


@pytest.fixture
def addition(base: Path, tmp_path: Path) -> tuple[Head, bytes]:
    """A patch that adds one item, number 7, to the base."""
    ahead = tmp_path / "ahead"
    shutil.copyfile(base, ahead)
    with Gallery.open(ahead, background=False) as gallery:
        gallery.add([NewGalleryItem("tea", "tea.jpg", unit_rows(1, seed=4)[0])])
        write_patch(gallery, 2, 3, tmp_path / "addition")
    return _parts((tmp_path / "addition").read_bytes())


def test_the_forger_forges_what_is_genuine(
    base: Path, patch: Path, addition: tuple[Head, bytes], tmp_path: Path
) -> None:
    assert _parts(_forged(base, *addition)) == addition
    assert _parts(_forged(base, *_parts(patch.read_bytes()))) == _parts(patch.read_bytes())


@pytest.mark.parametrize("number", [0, -1, -(1 << 62)])
def test_numbers_that_no_gallery_gives(
    opened: Gallery, base: Path, addition: tuple[Head, bytes], patch: Path, number: int
) -> None:
    head, vectors = addition
    head["items"], head["steps"][0]["added"][0]["id"] = [number], number
    _refused(opened, patch, _forged(base, head, vectors))
    assert len(opened) == 6


def test_a_number_after_which_none_is_left(
    opened: Gallery, base: Path, addition: tuple[Head, bytes], patch: Path
) -> None:
    head, vectors = addition
    head["items"], head["steps"][0]["added"][0]["id"] = [(1 << 63) - 1], (1 << 63) - 1
    _refused(opened, patch, _forged(base, head, vectors))
    assert opened.add(new_items(unit_rows(1, seed=8))) == [7]


@pytest.mark.parametrize("label", ["", " ", " tea", "tea\n", "e\u0301"])
def test_labels_that_no_gallery_writes(
    opened: Gallery, base: Path, addition: tuple[Head, bytes], patch: Path, label: str
) -> None:
    head, vectors = addition
    head["steps"][0]["added"][0]["label"] = label
    _refused(opened, patch, _forged(base, head, vectors))
    assert len(opened) == 6


ODD_LABELS = ("可乐\t2", "\x1b[31mRot", "te\u200ba", "x" * 201)
"""Of galleries before labels had one form."""


def _center(tmp_path: Path, *labels: str) -> tuple[Gallery, Path]:
    """An older gallery, open, with an item per label, and a kiosk's copy of it."""
    with older_labels(), create(tmp_path / "center") as gallery:
        gallery.add(
            NewGalleryItem(label, "", row) for label, row in zip(labels, unit_rows(len(labels), seed=3), strict=True)
        )
        gallery.copy(tmp_path / "kiosk")
    return Gallery.open(tmp_path / "center", background=False), tmp_path / "kiosk"


@pytest.mark.parametrize("label", ODD_LABELS, ids=lambda label: ascii(label)[:12])
def test_copies_of_an_older_gallery_follow_what_happens_to_its_labels(tmp_path: Path, label: str) -> None:
    """More of the label, its removal, its return by a rollback, and a better name for it."""
    center, kiosk = _center(tmp_path, label, "tea")
    with center:
        changes: list[Callable[[], object]] = [
            lambda: center.add([NewGalleryItem(label, "", unit_rows(1, seed=5)[0])]),
            lambda: center.remove([1, 3]),
            lambda: center.history.rollback(3),
            lambda: center.rename(label, "cola"),
        ]
        for change in changes:
            base = center.revision
            with older_labels():
                change()
            _follow(center, kiosk, [(base, base + 1)])
    assert verify(kiosk).faults == ()
    assert verify(kiosk).advice == ()


@pytest.mark.parametrize("label", ODD_LABELS, ids=lambda label: ascii(label)[:12])
def test_a_label_that_is_new_and_odd_is_refused_until_the_center_renames_it(
    tmp_path: Path, patch: Path, label: str
) -> None:
    center, kiosk = _center(tmp_path, "tea")
    with center:
        base = center.revision
        with older_labels():
            center.add([NewGalleryItem(label, "", unit_rows(1, seed=5)[0])])
        write_patch(center, base, center.revision, patch)
        assert f"item 2: its label h{'as' if len(label) > 200 else 'olds'} " in _refusal(kiosk, patch)
        assert f"relabel it where the patch was made, and patch from revision {base} again" in _refusal(kiosk, patch)
        relabel(center, [2], "cola")
        _follow(center, kiosk, [(base, center.revision)])


def test_a_time_of_several_lines_is_refused(
    opened: Gallery, base: Path, addition: tuple[Head, bytes], patch: Path
) -> None:
    head, vectors = addition
    head["steps"][0]["revision"]["created_at"] = "2026-01-01\n99  2026-01-02  +0  -0  root  all is well"
    _refused(opened, patch, _forged(base, head, vectors))


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30, 0.9, -3.0])
def test_vectors_that_no_gallery_holds(
    opened: Gallery, base: Path, addition: tuple[Head, bytes], patch: Path, value: float
) -> None:
    head, vectors = addition
    row = np.frombuffer(vectors, "<f4").copy()
    row[5] = value
    _refused(opened, patch, _forged(base, head, row.tobytes()))
    _refused(opened, patch, _forged(base, head, bytes(len(vectors))))
    assert len(opened) == 6


def test_a_dimension_of_its_own(opened: Gallery, base: Path, addition: tuple[Head, bytes], patch: Path) -> None:
    head, vectors = addition
    for dim in (8, 32, 0, -16, 1 << 62):
        _refused(opened, patch, _whole({**head, "dim": dim}, vectors))
    assert len(opened) == 6


def test_an_embedding_that_the_base_holds_is_not_replaced(
    opened: Gallery, base: Path, addition: tuple[Head, bytes], patch: Path
) -> None:
    """Item 3 gets another image by a patch that says it is new."""
    head, vectors = addition
    before = tables(base)
    head["items"], head["steps"][0]["added"][0]["id"], head["steps"][0]["removed"] = [3], 3, [3]
    forged = _forged(base, head, vectors)
    _refused(opened, patch, forged)
    assert tables(base) == before


def test_lines_of_a_label_in_an_error_are_one_line(
    opened: Gallery, base: Path, addition: tuple[Head, bytes], patch: Path
) -> None:
    head, vectors = addition
    head["steps"][0]["added"][0] |= {"id": 3, "label": "a\nb"}
    head["items"] = [3]
    _refused(opened, patch, _whole(head, vectors))
    head["fingerprint"], head["extractor"] = "x", "a\nb"
    _refused(opened, patch, _whole(head, vectors))
