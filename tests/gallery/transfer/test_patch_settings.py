"""Patches of settings, and of what no gallery could have set."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.store.schema import MOST_VALUE, ContentDigest, setting_digest
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch
from tests.gallery.rows import create, new_items, unit_rows
from tests.gallery.transfer.test_patch import tables

MAGIC_1, MAGIC = b"shitu-edge gallery patch 1\n", b"shitu-edge gallery patch 2\n"
VALUE = bytes(range(256)) * 300
Head = dict[str, Any]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A closed gallery in revision 2: with items, without settings."""
    with create(tmp_path / "base") as gallery:
        gallery.add(new_items(unit_rows(3)))
    return tmp_path / "base"


@pytest.fixture
def master(base: Path, tmp_path: Path) -> Path:
    """The same in revision 6: settings set, replaced, removed, and rolled back, and an item added."""
    path = shutil.copyfile(base, tmp_path / "master")
    with Gallery.open(path, background=False) as gallery:
        with gallery.change() as change:
            change.set("target", b"0.9")
            change.set("look_alikes", VALUE)
        with gallery.change() as change:
            change.set("target", None)
            change.set("look_alikes", b"")
            change.add(new_items(unit_rows(1, seed=3), "late")[0])
        gallery.remove([1])
        gallery.history.rollback(3)
    return path


def _patch(path: Path, first: int, last: int, patch: Path) -> Path:
    with Gallery.open(path, background=False) as gallery:
        write_patch(gallery, first, last, patch)
    return patch


@pytest.fixture
def patch(master: Path, tmp_path: Path) -> Path:
    """The patch from 2 to 6."""
    return _patch(master, 2, 6, tmp_path / "patch")


def _parts(content: bytes) -> tuple[Head, bytes]:
    """A patch's head, and the vectors and values."""
    body = content[len(MAGIC) + 32 :]
    length = struct.unpack_from("<Q", body)[0]
    return json.loads(body[8 : 8 + length]), body[8 + length :]


def _whole(head: Any, rest: bytes, magic: bytes = MAGIC) -> bytes:
    text = json.dumps(head).encode()
    content = struct.pack("<Q", len(text)) + text + rest
    return magic + hashlib.sha256(content).digest() + content


# -- following


@pytest.mark.parametrize("ranges", [[(2, 6)], [(2, 3), (3, 4), (4, 5), (5, 6)], [(2, 4), (4, 6)]])
def test_copies_follow_settings(base: Path, master: Path, tmp_path: Path, ranges: list[tuple[int, int]]) -> None:
    with Gallery.open(base, background=False) as follower, Gallery.open(master, background=False) as gallery:
        for first, last in ranges:
            written = write_patch(gallery, first, last, tmp_path / "patch")
            assert apply_patch(follower, tmp_path / "patch") == written
            assert (tmp_path / "patch").stat().st_size == written.bytes
            assert apply_patch(follower, tmp_path / "patch") is None
        assert follower.settings() == gallery.settings() == {"look_alikes": VALUE, "target": b"0.9"}
        assert follower.history.hash(6) == gallery.history.hash(6)
        assert follower.history.diff(2, 4) == gallery.history.diff(2, 4)
    assert tables(base)["settings"] == tables(master)["settings"]
    assert verify(base).faults == ()


def test_a_patch_without_settings_has_the_form_that_it_had(master: Path, tmp_path: Path) -> None:
    """Byte for byte, also where the gallery has settings."""
    content = _patch(master, 4, 5, tmp_path / "patch").read_bytes()
    with Gallery.open(master, background=False) as gallery:
        facts, meta, line = gallery.history, gallery.meta, gallery.history.log()[1]
        head = {
            "gallery": facts.id, "extractor": meta.extractor, "fingerprint": meta.fingerprint, "dim": meta.dim,
            "base": 4, "lineage": facts.hash(4),
            "steps": [
                {
                    "revision": {
                        "id": 5, "created_at": line.created_at, "author": "", "note": "", "added": 0, "removed": 1,
                        "digest": line.digest,
                    },
                    "removed": [1],
                    "added": [],
                }
            ],
            "items": [],
        }  # fmt: skip
    text = json.dumps(head, separators=(",", ":")).encode()
    body = struct.pack("<Q", len(text)) + text
    assert content == MAGIC_1 + hashlib.sha256(body).digest() + body


def test_settings_come_after_the_vectors(patch: Path) -> None:
    content = patch.read_bytes()
    assert content.startswith(MAGIC)
    head, rest = _parts(content)
    assert head["settings"] == [
        {"revision": 3, "name": "look_alikes", "bytes": len(VALUE)},
        {"revision": 3, "name": "target", "bytes": 3},
        {"revision": 4, "name": "look_alikes", "bytes": 0},
        {"revision": 4, "name": "target", "bytes": None},
        {"revision": 6, "name": "look_alikes", "bytes": len(VALUE)},
        {"revision": 6, "name": "target", "bytes": 3},
    ]
    assert rest == unit_rows(1, seed=3).tobytes() + VALUE + b"0.9" + VALUE + b"0.9"


def test_large_settings_are_no_part_of_the_head(base: Path, tmp_path: Path) -> None:
    """All that a gallery may have is more than a head may have."""
    path = shutil.copyfile(base, tmp_path / "master")
    with Gallery.open(path, background=False) as gallery, gallery.change() as change:
        for number in range(64):
            change.set(f"queries/{number}", bytes([number]) * MOST_VALUE)
    _patch(path, 2, 3, tmp_path / "patch")
    with Gallery.open(base, background=False) as follower:
        apply_patch(follower, tmp_path / "patch")
        assert {name: (value[0], len(value)) for name, value in follower.settings().items()} == {
            f"queries/{number}": (number, MOST_VALUE) for number in range(64)
        }


def test_a_pruned_copy_takes_a_patch_of_settings(base: Path, master: Path, patch: Path) -> None:
    with Gallery.open(base, background=False) as follower, Gallery.open(master, background=False) as gallery:
        follower.history.prune(0)
        apply_patch(follower, patch)
        assert follower.settings() == gallery.settings()
        gallery.history.prune(1)
        with pytest.raises(GalleryError, match="older ones were pruned"):
            gallery.history.record(2, 6)
        assert [change.name for change in gallery.history.record(5, 6).settings] == ["look_alikes", "target"]
    assert verify(base).faults == ()


def test_damaged_settings_are_not_written(master: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(master)) as connection, connection:
        connection.execute("UPDATE settings SET value = x'00' WHERE set_in = 6")
    with Gallery.open(master, background=False) as gallery:
        write_patch(gallery, 2, 5, tmp_path / "patch")
        with pytest.raises(GalleryError, match=r"is damaged: [^\n]*setting look_alikes: checksum mismatch"):
            write_patch(gallery, 2, 6, tmp_path / "patch")


# -- forged


@pytest.fixture
def attack(base: Path, patch: Path, tmp_path: Path) -> Callable[[bytes, object], None]:
    """Apply an altered patch: it is refused in one line and changes nothing, or does what the genuine one does."""
    genuine = shutil.copyfile(base, tmp_path / "genuine")
    with Gallery.open(genuine, background=False) as gallery:
        apply_patch(gallery, patch)
    before, after = tables(base), tables(genuine)
    victim = shutil.copyfile(base, tmp_path / "victim")

    def apply(content: bytes, what: object) -> None:
        patch.write_bytes(content)
        with Gallery.open(victim, background=False) as gallery:
            try:
                apply_patch(gallery, patch)
            except GalleryError as error:
                assert "\n" not in str(error), what  # noqa: PT017
                assert tables(victim) == before, what
                return
        assert tables(victim) == after, f"was taken: {what}"
        shutil.copyfile(base, victim)

    return apply


def test_altered_settings_are_refused_or_change_nothing(patch: Path, attack: Callable[[bytes, object], None]) -> None:
    head, rest = _parts(patch.read_bytes())
    values: tuple[Any, ...] = (
        None,
        True,
        -1,
        0,
        1,
        3,
        1 << 62,
        10**400,
        1.0,
        "",
        "target",
        "Target",
        "\ud800",
        "x" * 65,
        [],
        {},
    )
    for number in range(len(head["settings"])):
        for key in ("revision", "name", "bytes"):
            for value in values:
                altered = copy.deepcopy(head)
                altered["settings"][number][key] = value
                attack(_whole(altered, rest), (number, key, value))
        settings = head["settings"]
        for what in (settings[:number] + settings[number + 1 :], settings[: number + 1] + settings[number:]):
            attack(_whole({**head, "settings": what}, rest), (number, "dropped or doubled"))
        attack(_whole({**head, "settings": settings[number:] + settings[:number]}, rest), (number, "moved"))
    for cut in (1, 64, len(VALUE)):
        attack(_whole(head, rest[:-cut]), ("a part less", cut))
    attack(_whole(head, rest + b"0"), "a byte more")
    for place in range(0, len(rest), 997):
        attack(_whole(head, rest[:place] + bytes([rest[place] ^ 1]) + rest[place + 1 :]), ("flipped", place))
    for value in (None, {}, "", 7, [[]], [{}]):
        attack(_whole({**head, "settings": value}, rest), value)


def test_settings_in_a_patch_of_the_earlier_form_are_refused(base: Path, patch: Path) -> None:
    patch.write_bytes(_whole(*_parts(patch.read_bytes()), MAGIC_1))
    with Gallery.open(base, background=False) as gallery:
        with pytest.raises(GalleryError, match="is damaged: the sizes of its parts contradict each other"):
            apply_patch(gallery, patch)
        assert (gallery.revision, gallery.settings()) == (2, {})


def _forged(base: Path, settings: list[tuple[int, str, bytes | None]]) -> bytes:
    """A patch to revision 3 by a forger who knows the format: the digest fits its settings, whatever they are."""
    with Gallery.open(base, background=False) as gallery:
        history, meta, line = gallery.history, gallery.meta, gallery.history.log()[0]
        content = ContentDigest(bytes.fromhex(line.digest))
        facts = {"gallery": history.id, "base": 2, "lineage": history.hash(2)}
    for _, name, value in settings:
        if value is not None:
            content.add(setting_digest(name, value))
    revision = {
        "id": 3, "created_at": line.created_at, "author": "", "note": "", "added": 0, "removed": 0,
        "digest": bytes(content).hex(),
    }  # fmt: skip
    head = {
        **facts, "extractor": meta.extractor, "fingerprint": meta.fingerprint, "dim": meta.dim,
        "steps": [{"revision": revision, "removed": [], "added": []}],
        "items": [],
        "settings": [
            {"revision": number, "name": name, "bytes": None if value is None else len(value)}
            for number, name, value in settings
        ],
    }  # fmt: skip
    return _whole(head, b"".join(value or b"" for _, _, value in settings))


def test_the_forger_forges_what_is_genuine(base: Path, patch: Path) -> None:
    patch.write_bytes(_forged(base, [(3, "target", b"1"), (3, "look_alikes", VALUE)]))
    with Gallery.open(base, background=False) as gallery:
        assert apply_patch(gallery, patch) is not None
        assert gallery.settings() == {"look_alikes": VALUE, "target": b"1"}
    assert verify(base).faults == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([(3, "Target", b"1")], "expected a setting's name of at most 64 characters"),
        ([(3, "", b"1")], "expected a setting's name"),
        ([(3, "x" * 65, b"1")], "expected a setting's name"),
        ([(3, "a\nb\x1b[31m", b"1")], "expected a setting's name"),
        ([(3, "../target", None)], "expected a setting's name"),
        ([(3, "target", bytes(MOST_VALUE + 1))], "the sizes of its parts contradict each other"),
        ([(3, "target", b"1"), (3, "target", b"2")], "a setting of revision 3 is there twice or belongs to no step"),
        ([(3, "target", b"1"), (3, "target", None)], "there twice"),
        ([(2, "target", b"1")], "a setting of revision 2 is there twice or belongs to no step"),
        ([(4, "target", b"1")], "belongs to no step"),
        ([(3, f"queries/{number}", b"1") for number in range(65)], "expected at most 64 settings"),
        ([(3, "target", None)], "revision 3"),
        ([], "revision 3"),
    ],
    ids=range(13),
)
def test_settings_that_no_gallery_sets(
    base: Path, patch: Path, settings: list[tuple[int, str, bytes | None]], message: str
) -> None:
    before = tables(base)
    patch.write_bytes(_forged(base, settings))
    with Gallery.open(base, background=False) as gallery, pytest.raises(GalleryError) as refusal:
        apply_patch(gallery, patch)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert tables(base) == before
