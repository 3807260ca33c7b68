"""Whatever is passed to a gallery: it is taken, or refused by one error, and then nothing has changed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shitu_edge.errors import GalleryError, MisfitError, ShituError
from shitu_edge.gallery import Gallery, GalleryItem, GraphParameters, NewGalleryItem
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.protocol import require_extractor
from shitu_edge.gallery.store import Replay, Step
from shitu_edge.gallery.store.held import file_id, holding
from shitu_edge.gallery.store.image import read_image

from .rows import DIM, create, new_items, relabel, unit_rows

Call = Callable[..., Any]


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError


ROW = unit_rows(1, seed=8)[0]
TEA = NewGalleryItem("tea", "", ROW)


def _odd_item(label: Any, source: Any, embedding: Any) -> NewGalleryItem:
    return NewGalleryItem(label, source, embedding)


def _odd_entry(item: Any, label: Any, source: Any) -> GalleryItem:
    return GalleryItem(item, label, source)


def _odd_replay(*parts: Any) -> Replay:
    return Replay(*parts)


NUMBERS = [
    *(None, True, False, np.bool_(True), 1.5, 2.0, math.nan, math.inf, np.float32(2), np.array(1.5), 1j, -1, 0, 3, 7),
    *(2**53, 2**63, 2**70, -(2**70), 10**5000, np.int64(3), np.uint8(2), np.array(3), np.uint64(2**64 - 1)),
]
TEXTS = [
    *("", "7", "label 1", "new", " \n", "a\nb", "\ud800", "\0", "x" * 300_000, b"label 1", bytearray(b"x")),
    *(np.str_("label 2"), Path("file"), Path("made.gallery"), "made.gallery", "a\0b"),
]
LISTS = [
    *([], (), {}, set(), [3], [99], [1.5], ["a"], [None], [True], [[1]], [2**70], [np.int32(3)], {3: 1}, object()),
    *(Unshowable(), np.array([3]), np.array([1.5]), np.array([True]), np.array([[3]]), np.array(["a"])),
    *(np.array([None]), np.zeros((2, DIM)), unit_rows(2), unit_rows(1, 8), unit_rows(2).astype(np.float16)),
    *(unit_rows(2).astype(complex), np.full((1, DIM), 1e300), np.full((1, DIM), 1e30, np.float32)),
]
ITEMS = [
    *(
        _odd_entry(3, "label 1", ""),
        _odd_entry("a", None, 1.5),
        _odd_entry(2**70, "a", ""),
        _odd_entry(9, "a", "\ud800"),
    ),
    *(TEA, _odd_item(None, "", ROW), _odd_item("tea", None, ROW), _odd_item("tea", "", None), _odd_item(7, 7, 7)),
    *(_odd_item("tea", "", [0.0]), _odd_item("", "", ROW), _odd_item("tea", "\ud800", ROW)),
    *([TEA], [TEA, None], [_odd_item("tea", "", np.array(["a"] * DIM))], _odd_item("tea", "", ROW * np.nan)),
    *(
        _odd_item("tea", "", ROW.astype(np.float64)),
        _odd_item("tea", "", list(ROW)),
        _odd_item("tea", "", [[1], [2, 3]]),
    ),
    *(_odd_replay(1, "00", (), {}), _odd_replay(None, None, None, None), _odd_replay(1, "", (Step, 1), {})),
    GraphParameters(m=8, ef_construction=20, ef=20),
]
WRONG: list[Any] = NUMBERS + TEXTS + LISTS + ITEMS

CALLS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "search": (lambda g, *a: g.search(*a), (unit_rows(2), 3)),
    "search_with_revision": (lambda g, *a: g.search_with_revision(*a), (unit_rows(2), 3, None)),
    "change": (lambda g, a, n: g.change(author=a, note=n).__enter__(), ("ann", "why")),
    "add": (lambda g, i, a, n: g.add(i, author=a, note=n), ([TEA], "ann", "why")),
    "remove": (lambda g, i, a, n: g.remove(i, author=a, note=n), ([3], "ann", "why")),
    "remove found": (lambda g, t, s: g.remove(label=t, source=s), ("label 1", "1.jpg")),
    "rename": (lambda g, t, n, m, a, w: g.rename(t, n, merge=m, author=a, note=w), ("label 1", "x", True, "ann", "")),
    "relabel": (lambda g, i, t: relabel(g, i, t), ([3], "label 9")),
    "replace": (lambda g, t, i, a, n: g.replace(t, i, author=a, note=n), ("label 1", [TEA], "ann", "why")),
    "entries": (lambda g, t: g.items(t), ("label 1",)),
    "embeddings": (lambda g, i: g.embeddings(i), ([3],)),
    "diff": (lambda g, b, h: g.history.diff(b, h), (1, 2)),
    "rollback": (lambda g, r, a, n: g.history.rollback(r, author=a, note=n), (2, "ann", "why")),
    "prune": (lambda g, k: g.history.prune(k), (3,)),
    "record": (lambda g, b, h: g.history.record(b, h), (1, 2)),
    "lineage": (lambda g, r: g.history.hash(r), (1,)),
    "repeat": (lambda g, r: g.history.repeat(r), (None,)),
    "reindex": (
        lambda g, p, n, t, r: g.index.rebuild(p, extend=n, threads=t, progress=r),
        (GraphParameters(m=8, ef_construction=20, ef=20), True, 1, None),
    ),
    "copy": (lambda g, t: g.copy(t), ("made.gallery",)),
    "require": (lambda g, e, f: require_extractor(g, e, f), ("tiny", "f" * 32)),
    "open": (lambda g, p, b: Gallery.open(p, background=b).close(), ("shop.gallery", False)),
    "create": (
        lambda g, p, e, f, d, b: Gallery.create(p, extractor=e, fingerprint=f, dim=d, background=b).close(),
        ("made.gallery", "tiny", "f", 16, False),
    ),
}

CHANGES: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "add": (lambda c, i: c.add(i), (TEA,)),
    "remove": (lambda c, i: c.remove(i), ([3],)),
    "relabel": (lambda c, i, t: c.relabel(i, t), ([3], "label 9")),
    "restore": (lambda c, e: c.restore(e), (GalleryItem(9, "label 8", ""),)),
    "roll_back": (lambda c, r: c.roll_back(r), (2,)),
    "find": (lambda c, t, s: c.find(label=t, source=s), ("label 1", None)),
    "finish": (lambda c, a, n: c.finish(a, n), ("ann", "why")),
}


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("arguments"))
        with create(Path("shop.gallery")) as opened:
            opened.add(new_items(unit_rows(12)), author="ann")
            opened.remove([9])
            yield opened


def _state(gallery: Gallery) -> tuple[bytes, Any]:
    """The file with its log, byte by byte, and what is read of it."""
    with holding(file_id(gallery.path)):
        image = bytes(read_image(gallery.path))
    return image, (gallery.revision, len(gallery), gallery.items(), gallery.history.log())


def _refused(call: Call, *arguments: Any) -> bool:
    """Whether a call was refused: by one error, in one line."""
    try:
        call(*arguments)
    except ShituError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return True
    return False


_settings = settings(
    max_examples=250 * int(os.environ.get("SHITU_EDGE_TEST_SCALE", "1")),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def _spoiled(draw: st.DrawFn, calls: dict[str, tuple[Call, tuple[Any, ...]]]) -> tuple[Call, list[Any]]:
    """A call, and its arguments, of which at least one is anything."""
    call, arguments = calls[draw(st.sampled_from(sorted(calls)))]
    spoiled = list(arguments)
    for place in draw(st.sets(st.integers(0, len(spoiled) - 1), min_size=1, max_size=2)):
        spoiled[place] = draw(st.sampled_from(WRONG))
    return call, spoiled


@_settings
@given(_spoiled(CALLS))
def test_calls_of_a_gallery_are_refused_without_a_trace(gallery: Gallery, spoiled: tuple[Call, list[Any]]) -> None:
    before = _state(gallery)
    if _refused(spoiled[0], gallery, *spoiled[1]):
        assert _state(gallery) == before
    Path("made.gallery").unlink(missing_ok=True)


@_settings
@given(_spoiled(CHANGES))
def test_calls_of_a_change_are_refused_without_a_trace(gallery: Gallery, spoiled: tuple[Call, list[Any]]) -> None:
    before = _state(gallery)
    with gallery.change() as change:
        refused = _refused(spoiled[0], change, *spoiled[1])
    if refused:
        assert _state(gallery) == before


def test_a_gallery_is_sound_after_all_that(gallery: Gallery) -> None:
    assert verify(gallery.path).faults == ()


@pytest.mark.parametrize("number", [np.int64(2), np.int8(2), np.uint16(2), np.array(2)])
def test_numbers_of_numpy_are_as_good_as_any(tmp_path: Path, number: Any) -> None:
    with create(tmp_path / "shop.gallery", number) as gallery:
        rows = unit_rows(4, 2)
        assert gallery.add(new_items(rows)) == [1, 2, 3, 4]
        assert len(gallery.search(rows, number)[0]) == 2
        gallery.remove([number])
        gallery.remove(np.array([1], np.uint8))
        assert gallery.history.rollback(number) == 5
        assert gallery.history.diff(number, 5).added == ()
        np.testing.assert_array_equal(gallery.embeddings([number, 2]), rows[[1, 1]])
        assert gallery.history.prune(number) == (1, 0)
        gallery.index.rebuild(threads=number)
        assert [entry.id for entry in gallery.items(np.str_("label 1"))] == [2]
    assert verify(tmp_path / "shop.gallery").faults == ()


def test_pruning_by_a_float_is_refused_and_the_gallery_opens(tmp_path: Path) -> None:
    path = tmp_path / "shop.gallery"
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(4)))
        gallery.remove([1])
        with pytest.raises(GalleryError, match=r"expected 0 revisions or more to keep, found 2\.0"):
            gallery.history.prune(2.0)  # type: ignore[arg-type]
    assert verify(path).faults == ()


def test_a_gallery_that_was_pruned_by_a_float_opens_with_its_history(tmp_path: Path) -> None:
    path = tmp_path / "shop.gallery"
    with create(path) as gallery:
        for seed in range(4):
            gallery.add(new_items(unit_rows(1, seed=seed)))
        gallery.history.prune(1)
        with gallery._store._writing() as connection:
            connection.execute("UPDATE meta SET value = '4.0' WHERE key = 'history_from'")
    assert verify(path).faults == ()
    with Gallery.open(path) as gallery:
        assert len(gallery.history.diff(4, 5).added) == 1
        with pytest.raises(GalleryError, match="expected a revision from 4 to 5, found 3; older ones were pruned"):
            gallery.history.diff(3, 5)


def test_what_was_recorded_by_nobody_does_not_fit(gallery: Gallery) -> None:
    with pytest.raises(MisfitError, match="the recorded revisions are invalid"):
        gallery.history.repeat(Replay(1, str(gallery.history.hash(gallery.revision)), None, {}))  # type: ignore[arg-type]


def test_a_change_that_is_over_says_so(gallery: Gallery) -> None:
    with gallery.change() as change:
        pass
    with pytest.raises(GalleryError, match="the change has ended"):
        change.remove([1])
