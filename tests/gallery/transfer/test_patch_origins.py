"""Patches of origins, and of what no gallery could have stored."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, NewGalleryItem, Origin
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.store import replay as replay_module
from shitu_edge.gallery.store.schema import MOST_PICTURE
from shitu_edge.gallery.transfer import patch as patches
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch
from tests.gallery.rows import create, new_items, unit_rows
from tests.gallery.transfer.test_patch import tables

MAGIC_1, MAGIC_2, MAGIC = (b"shitu-edge gallery patch %d\n" % number for number in (1, 2, 3))
PICTURE = b"\xff\xd8\xff" + bytes(range(256)) * 100
SMALL = Origin((0.5, 0.0, 10.0, 20.25), "detected", "a" * 64, b"\xff\xd8\xff", (1.0, 2.0, 3.0, 4.0))
LARGE = Origin(None, "whole", "", PICTURE)
FACTS = Origin((0.0, 0.0, 1.0, 1.0), "box", "")
Head = dict[str, Any]


def _item(origin: Origin | None, seed: int) -> NewGalleryItem:
    return replace(new_items(unit_rows(1, seed=seed), f"new {seed}")[0], origin=origin)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A closed gallery in revision 3: items 1 to 3 and, gone again, 4 with an origin."""
    with create(tmp_path / "base") as gallery:
        gallery.add([*new_items(unit_rows(3)), _item(SMALL, 4)])
        gallery.remove([4])
    return tmp_path / "base"


@pytest.fixture
def master(base: Path, tmp_path: Path) -> Path:
    """The same in revision 7: items 5 to 7 are new and 6 was removed, 4 is back, and a setting was set."""
    path = shutil.copyfile(base, tmp_path / "master")
    with Gallery.open(path, background=False) as gallery:
        gallery.add([_item(LARGE, 5), _item(FACTS, 6), _item(None, 7)])
        gallery.remove([6])
        with gallery.change() as change:
            change.set("target", b"0.9")
        with gallery.change() as change:
            change.restore(gallery.history.diff(3, 2).added[0])
    return path


def _patch(path: Path, first: int, last: int, patch: Path) -> Path:
    with Gallery.open(path, background=False) as gallery:
        write_patch(gallery, first, last, patch)
    return patch


@pytest.fixture
def patch(master: Path, tmp_path: Path) -> Path:
    """The patch from 3 to 7."""
    return _patch(master, 3, 7, tmp_path / "patch")


def _parts(content: bytes) -> tuple[Head, bytes]:
    """A patch's head, and the vectors, values and pictures."""
    body = content[len(MAGIC) + 32 :]
    length = struct.unpack_from("<Q", body)[0]
    return json.loads(body[8 : 8 + length]), body[8 + length :]


def _whole(head: Any, rest: bytes, magic: bytes = MAGIC) -> bytes:
    text = json.dumps(head).encode()
    content = struct.pack("<Q", len(text)) + text + rest
    return magic + hashlib.sha256(content).digest() + content


def _apply(base: Path, patch: Path) -> None:
    with Gallery.open(base, background=False) as gallery:
        apply_patch(gallery, patch)


def _refusal(base: Path, patch: Path) -> str:
    """Why a patch is refused: one line, and nothing was changed."""
    before = tables(base)
    with pytest.raises(GalleryError) as refusal:
        _apply(base, patch)
    assert tables(base) == before
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


# -- following


@pytest.mark.parametrize("ranges", [[(3, 7)], [(3, 4), (4, 5), (5, 6), (6, 7)], [(3, 5), (5, 7)]])
@pytest.mark.parametrize("pruned", [False, True], ids=["whole", "pruned"])
def test_copies_follow_origins(
    base: Path, master: Path, tmp_path: Path, ranges: list[tuple[int, int]], pruned: bool
) -> None:
    """Also one that has forgotten the item that comes back."""
    with Gallery.open(base, background=False) as follower, Gallery.open(master, background=False) as gallery:
        if pruned:
            assert follower.history.prune(0) == (1, 1)
        for first, last in ranges:
            written = write_patch(gallery, first, last, tmp_path / "patch")
            assert apply_patch(follower, tmp_path / "patch") == written
            assert (tmp_path / "patch").stat().st_size == written.bytes
            assert apply_patch(follower, tmp_path / "patch") is None
        made = {4: SMALL, 5: LARGE, 6: FACTS}
        assert follower.origins(range(9)) == gallery.origins(range(9)) == made
        assert follower.info().pictures == 2
        assert follower.history.hash(7) == gallery.history.hash(7)
        assert follower.settings() == {"target": b"0.9"}
    assert tables(base)["origins"] == tables(master)["origins"]
    assert verify(base).faults == ()


@pytest.mark.parametrize("version", [2, 3])
def test_a_copy_of_an_earlier_format_follows(tmp_path: Path, version: int) -> None:
    with create(tmp_path / "master") as gallery:
        gallery.add(new_items(unit_rows(3)))
        with gallery.change() as change:
            change.remove([1])
            if version == 3:
                change.set("target", b"1")
        gallery.copy(tmp_path / "base")
        gallery.add([_item(SMALL, 4)])
    with closing(sqlite3.connect(tmp_path / "base")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)
    _apply(tmp_path / "base", _patch(tmp_path / "master", 3, 4, tmp_path / "patch"))
    assert tables(tmp_path / "base")["origins"] == tables(tmp_path / "master")["origins"]
    assert verify(tmp_path / "base").faults == ()


def test_a_patch_has_the_earliest_form_that_can_hold_it(master: Path, tmp_path: Path) -> None:
    """So one without origins and settings is byte for byte what it was."""
    forms = [_patch(master, n, n + 1, tmp_path / "patch").read_bytes()[: len(MAGIC)] for n in range(3, 7)]
    assert forms == [MAGIC, MAGIC_1, MAGIC_2, MAGIC]
    for first, keys in ((4, set()), (5, {"settings"}), (3, {"origins"})):
        head, _ = _parts(_patch(master, first, first + 1, tmp_path / "patch").read_bytes())
        assert head.keys() & {"settings", "origins"} == keys


def test_pictures_come_last(patch: Path) -> None:
    content = patch.read_bytes()
    assert content.startswith(MAGIC)
    head, rest = _parts(content)
    facts = [
        {"box_xyxy": [0.5, 0.0, 10.0, 20.25], "crop": "detected", "source_sha256": "a" * 64,
         "product_xyxy": [1.0, 2.0, 3.0, 4.0]},
        {"box_xyxy": None, "crop": "whole", "source_sha256": "", "product_xyxy": None},
        {"box_xyxy": [0.0, 0.0, 1.0, 1.0], "crop": "box", "source_sha256": "", "product_xyxy": None},
    ]  # fmt: skip
    sizes = (3, len(PICTURE), 0)
    assert head["items"] == [4, 5, 6, 7]
    assert head["origins"] == [
        {"item": item, "facts": one, "bytes": size} for item, one, size in zip((4, 5, 6), facts, sizes, strict=True)
    ]
    assert rest == b"".join(unit_rows(1, seed=seed).tobytes() for seed in (4, 5, 6, 7)) + b"0.9\xff\xd8\xff" + PICTURE


def test_damaged_origins_are_not_written(master: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(master)) as connection, connection:
        connection.execute("UPDATE origins SET digest = zeroblob(32) WHERE item = 5")
    _patch(master, 4, 6, tmp_path / "patch")
    with pytest.raises(GalleryError, match=r"is damaged: [^\n]*item 5: its origin: checksum mismatch"):
        _patch(master, 3, 4, tmp_path / "patch")


def test_the_limits_of_a_patch_hold(master: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = _patch(master, 3, 7, tmp_path / "patch").stat().st_size
    monkeypatch.setattr(patches, "_MAX_BYTES", size)
    _patch(master, 3, 7, tmp_path / "patch")
    monkeypatch.setattr(patches, "_MAX_BYTES", size - 1)
    with pytest.raises(GalleryError, match="revisions 3 to 7 exceed the size of a patch; copy the gallery instead"):
        _patch(master, 3, 7, tmp_path / "patch")
    monkeypatch.setattr(replay_module, "MOST_PICTURE_BYTES", len(PICTURE) + 2)
    with pytest.raises(GalleryError, match="the pictures of revisions 3 to 7 exceed the size of a patch"):
        _patch(master, 3, 7, tmp_path / "patch")
    _patch(master, 3, 6, tmp_path / "patch")


# -- forged


@pytest.fixture
def attack(base: Path, patch: Path, tmp_path: Path) -> Callable[[bytes, object], None]:
    """Apply an altered patch: it is refused in one line and changes nothing, or does what the genuine one does."""
    genuine = shutil.copyfile(base, tmp_path / "genuine")
    _apply(genuine, patch)
    before, after = tables(base), tables(genuine)
    victim = shutil.copyfile(base, tmp_path / "victim")

    def apply(content: bytes, what: object) -> None:
        patch.write_bytes(content)
        try:
            _apply(victim, patch)
        except GalleryError as error:
            assert "\n" not in str(error), what  # noqa: PT017
            assert tables(victim) == before, what
            return
        assert tables(victim) == after, f"was taken: {what}"
        shutil.copyfile(base, victim)

    return apply


def test_altered_origins_are_refused_or_change_nothing(patch: Path, attack: Callable[[bytes, object], None]) -> None:
    head, rest = _parts(patch.read_bytes())
    values: tuple[Any, ...] = (
        *(None, True, -1, 0, 1, 4, 1 << 62, 10**400, 1.0, "", "whole", "box", "\ud800", "a" * 64, [], {}),
        *([0, 0, 1, 1], [1, 0, 0, 1], ["0"] * 4, [0, 0, 1, 1e400]),
    )
    made = head["origins"]
    for number in range(len(made)):
        for key in ("item", "facts", "bytes", "box_xyxy", "crop", "source_sha256", "product_xyxy"):
            for value in values:
                altered = copy.deepcopy(head)
                place = altered["origins"][number]
                (place if key in place else place["facts"])[key] = value
                attack(_whole(altered, rest), (number, key, value))
        for what in (made[:number] + made[number + 1 :], made[: number + 1] + made[number:]):
            attack(_whole({**head, "origins": what}, rest), (number, "dropped or doubled"))
            attack(_whole({**head, "origins": what}, rest[: -made[number]["bytes"]]), (number, "dropped"))
        attack(_whole({**head, "origins": made[number:] + made[:number]}, rest), (number, "moved"))
    for cut in (1, 64, len(PICTURE)):
        attack(_whole(head, rest[:-cut]), ("a part less", cut))
    attack(_whole(head, rest + b"0"), "a byte more")
    for place in range(0, len(rest), 997):
        attack(_whole(head, rest[:place] + bytes([rest[place] ^ 1]) + rest[place + 1 :]), ("flipped", place))
    for value in (None, {}, "", 7, [[]], [{}]):
        attack(_whole({**head, "origins": value}, rest), value)


@pytest.mark.parametrize("magic", [MAGIC_1, MAGIC_2])
def test_origins_in_a_patch_of_an_earlier_form_are_refused(base: Path, patch: Path, magic: bytes) -> None:
    patch.write_bytes(_whole(*_parts(patch.read_bytes()), magic))
    assert "is damaged: the sizes of its parts contradict each other" in _refusal(base, patch)


def test_a_patch_does_not_alter_the_past(base: Path, tmp_path: Path) -> None:
    """Item 4, which is gone, has an origin here and 1 has none, whatever the log of another says."""
    removed = shutil.copyfile(base, tmp_path / "removed")
    with Gallery.open(removed, background=False) as gallery:
        gallery.remove([1])
        gallery.history.rollback(2)
    head, rest = _parts(_patch(removed, 4, 5, tmp_path / "patch").read_bytes())
    with Gallery.open(base, background=False) as gallery:
        gallery.remove([1])
    assert head["items"] == [1, 4]
    facts = {"box_xyxy": None, "crop": "whole", "source_sha256": "", "product_xyxy": None}
    with closing(sqlite3.connect(base)) as connection:
        [lineage] = connection.execute("SELECT lineage FROM revisions WHERE id = 4").fetchone()
    head["lineage"] = lineage.hex()
    forged = {
        "item 1": [{"item": 1, "facts": facts, "bytes": 0}, *head["origins"]],
        "item 4": [{**head["origins"][0], "facts": facts}],
        "item 4: ": [],
    }
    for item, made in forged.items():
        (tmp_path / "patch").write_bytes(_whole({**head, "origins": made}, rest[: 128 + (3 if made else 0)]))
        assert f"{item.strip(': ')}: its origin differs from the one that is here" in _refusal(base, tmp_path / "patch")
    (tmp_path / "patch").write_bytes(_whole(head, rest))
    _apply(base, tmp_path / "patch")
    assert verify(base).faults == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"facts": {"crop": "other"}}, "is damaged: origins[0].facts.crop: expected one of 'whole'"),
        ({"facts": {"box_xyxy": [1, 0, 0, 1]}}, "expected an origin's box_xyxy as four finite numbers"),
        ({"facts": {"source_sha256": "A" * 64}}, "expected an origin's source_sha256"),
        ({"facts": {"source_sha256": "a\n\x1b[31m"}}, "expected an origin's source_sha256"),
        ({"facts": {"more": 1}}, "is damaged: origins[0].facts.more: unknown"),
        ({"item": 3}, "the sizes of its parts contradict each other"),
        ({"item": 5}, "the sizes of its parts contradict each other"),
        ({"item": 1 << 62}, "the sizes of its parts contradict each other"),
        ({"bytes": -1}, "the sizes of its parts contradict each other"),
        ({"bytes": MOST_PICTURE + 1}, "the sizes of its parts contradict each other"),
        ({"bytes": 1 << 62}, "the sizes of its parts contradict each other"),
    ],
    ids=range(11),
)
def test_origins_that_no_gallery_stores(base: Path, patch: Path, changes: dict[str, Any], message: str) -> None:
    head, rest = _parts(patch.read_bytes())
    first = head["origins"][0]
    facts = {**first["facts"], **changes.pop("facts", {})}
    head["origins"][0] = {**first, "facts": facts, **changes}
    patch.write_bytes(_whole(head, rest))
    assert message in _refusal(base, patch)
