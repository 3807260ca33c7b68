from __future__ import annotations

import gc
import itertools
import logging
import os
import subprocess
import threading
import unicodedata
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shitu_edge.bundle import DecisionPolicy
from shitu_edge.errors import FingerprintError, GalleryError
from shitu_edge.gallery import Gallery, GraphParameters, NewGalleryItem
from shitu_edge.gallery.live import live as live_module
from shitu_edge.gallery.live.graphs import GraphFiles
from shitu_edge.gallery.live.live import Live
from shitu_edge.gallery.live.view import View
from shitu_edge.gallery.protocol import require_extractor
from shitu_edge.gallery.store import GalleryItem, IndexRecord, Snapshot
from shitu_edge.gallery.store import connection as connection_module
from shitu_edge.results import SIMILARITY_ROUNDING
from shitu_edge.stages.decide import Candidate, decide

from .rows import DIM, Rows, brute_force, create, new_items, run_python, unit_rows

BLANK = set("\u115f\u1160\u2800\u3164\uffa0")
QUICK = GraphParameters(m=8, ef_construction=60, ef=60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.gallery"


@pytest.fixture
def gallery(path: Path) -> Iterator[Gallery]:
    with create(path) as opened:
        yield opened


def _labels(gallery: Gallery, rows: Rows) -> list[str]:
    """The label of the best match of each row."""
    return [matches[0].label for matches in gallery.search(rows, 1)]


def test_what_was_added_is_there_after_opening_again(path: Path) -> None:
    rows = unit_rows(6)
    with create(path) as gallery:
        assert (len(gallery), gallery.revision) == (0, 1)
        assert gallery.add(new_items(rows[:4])) == [1, 2, 3, 4]
        assert gallery.add([NewGalleryItem("label 1", "again.jpg", rows[4]), NewGalleryItem("tea", "", rows[5])]) == [
            5,
            6,
        ]
        assert (len(gallery), gallery.revision) == (6, 3)

    with Gallery.open(path, background=False) as gallery:
        assert gallery.label_counts() == {"label 0": 1, "label 1": 2, "label 2": 1, "label 3": 1, "tea": 1}
        assert gallery.items("label 1") == [GalleryItem(2, "label 1", "1.jpg"), GalleryItem(5, "label 1", "again.jpg")]
        assert [item.id for item in gallery.items()] == [1, 2, 3, 4, 5, 6]
        assert gallery.items("coffee") == []
        info = gallery.info()
        assert (info.path, info.revision, info.items, info.labels, info.dim) == (str(path), 3, 6, 5, DIM)
        assert (info.extractor, info.fingerprint, info.search) == ("tiny", "f" * 32, "exact")
        assert info.bytes == path.stat().st_size
        assert (gallery.meta.extractor, gallery.meta.dim) == ("tiny", DIM)


def test_search_is_brute_force(gallery: Gallery) -> None:
    rows, queries = unit_rows(50), unit_rows(8, seed=1)
    gallery.add(new_items(rows[:30]))
    gallery.search(queries)  # what follows is now an addition to a loaded gallery
    gallery.add(new_items(rows[30:]))

    answers = gallery.search(queries, 7)

    order, cosines = brute_force(rows, queries, 7)
    assert [[match.item_id for match in matches] for matches in answers] == (order + 1).tolist()
    np.testing.assert_allclose([[match.similarity for match in matches] for matches in answers], cosines, atol=1e-6)
    numbers = [i % 30 if i < 30 else i - 30 for i in order[:, 0]]
    assert [matches[0].label for matches in answers] == [f"label {number}" for number in numbers]
    assert len(gallery.search(queries)[0]) == 5
    assert {len(matches) for matches in gallery.search(queries, 1000)} == {50}


def test_empty_gallery_finds_nothing(gallery: Gallery) -> None:
    assert gallery.search(unit_rows(3), 5) == [(), (), ()]
    assert gallery.search(unit_rows(1)[:0], 5) == []
    assert gallery.label_counts() == {}
    assert not gallery.index.is_due()
    with pytest.raises(GalleryError, match="nothing to index"):
        gallery.index.rebuild()


def test_impossible_searches_are_refused(gallery: Gallery) -> None:
    gallery.add(new_items(unit_rows(3)))
    with pytest.raises(GalleryError, match=r"shape \(Q, 16\), found \(2, 8\)"):
        gallery.search(unit_rows(2, 8))
    with pytest.raises(GalleryError, match=r"shape \(Q, 16\), found \(16,\)"):
        gallery.search(unit_rows(1)[0])
    with pytest.raises(GalleryError, match="k of at least 1, found 0"):
        gallery.search(unit_rows(1), 0)
    with pytest.raises(GalleryError, match="finite"):
        gallery.search(np.full((1, DIM), np.nan, np.float32))
    for factor in (0.998, 1.002, 0.0):
        with pytest.raises(GalleryError, match=rf"queries of length 1, found one of {factor:g}"):
            gallery.search(unit_rows(2) * np.array([[1], [factor]], np.float32))
    assert gallery.search(unit_rows(2) * np.float32(1.0005), 1)[1][0].label == "label 1"


def test_the_answering_revision_comes_with_the_matches(gallery: Gallery, path: Path) -> None:
    rows = unit_rows(2)
    assert gallery.search_with_revision(rows, 1) == (1, [(), ()])
    with Gallery.open(path, background=False) as other:
        other.add(new_items(rows))
    revision, matches = gallery.search_with_revision(rows, 1)
    assert revision == 2
    assert matches == gallery.search(rows, 1)
    assert [match.label for [match] in matches] == ["label 0", "label 1"]


def test_an_empty_gallery_is_true(gallery: Gallery) -> None:
    assert len(gallery) == 0
    assert gallery


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"]), min_size=1, max_size=40).filter(
            lambda label: unicodedata.category(label[0])[0] in "LNPS" and not set(label) & BLANK
        ),
        min_size=1,
        max_size=5,
    )
)
def test_labels_of_any_script(tmp_path_factory: pytest.TempPathFactory, labels: list[str]) -> None:
    path = tmp_path_factory.mktemp("labels") / "g"
    wanted = [unicodedata.normalize("NFC", label).strip() for label in labels]
    rows = unit_rows(len(labels))
    with create(path) as gallery:
        gallery.add(NewGalleryItem(label, label, row) for label, row in zip(labels, rows, strict=True))
    with Gallery.open(path, background=False) as gallery:
        assert _labels(gallery, rows) == wanted
        assert [item.label for item in gallery.items()] == wanted
        assert [item.source for item in gallery.items()] == labels
        assert gallery.label_counts() == {label: wanted.count(label) for label in wanted}


def test_labels_keep_inner_blanks_and_are_composed(gallery: Gallery) -> None:
    given_labels = ["Oat  milk\u30001 l", " 牛奶 250 ml\n", "Cafe\N{COMBINING ACUTE ACCENT}", "حليب", "दूध", "🥛"]
    rows = unit_rows(len(given_labels))
    gallery.add(NewGalleryItem(label, "", row) for label, row in zip(given_labels, rows, strict=True))
    wanted = ["Oat  milk\u30001 l", "牛奶 250 ml", "Caf\N{LATIN SMALL LETTER E WITH ACUTE}", "حليب", "दूध", "🥛"]
    assert _labels(gallery, rows) == wanted
    assert [item.id for item in gallery.items("Caf\N{LATIN SMALL LETTER E WITH ACUTE}")] == [3]
    assert [item.id for item in gallery.items("Cafe\N{COMBINING ACUTE ACCENT}")] == [3]


def _with_nan(row: Rows) -> Rows:
    changed: Rows = row.copy()
    changed[3] = np.nan
    return changed


@pytest.mark.parametrize(
    ("label", "change", "message"),
    [
        ("", lambda row: row, r"bad\.jpg: the label is empty"),
        (" \t\n", lambda row: row, r"bad\.jpg: the label is empty"),
        ("\udcff", lambda row: row, r"bad\.jpg: the label is not Unicode text"),
        ("tea", lambda row: row[:8], r"bad\.jpg: expected a unit row \(16,\), found shape \(8,\)"),
        ("tea", lambda row: row[None], r"bad\.jpg: expected a unit row \(16,\), found shape \(1, 16\)"),
        ("tea", lambda row: row * np.float32(1.01), r"bad\.jpg: expected a unit row"),
        ("tea", lambda row: row * 0, r"bad\.jpg: expected a unit row"),
        ("tea", _with_nan, r"bad\.jpg: expected a unit row"),
    ],
)
def test_a_bad_item_is_refused_and_nothing_committed(
    gallery: Gallery, label: str, change: Callable[[Rows], Rows], message: str
) -> None:
    rows = unit_rows(3)
    gallery.add(new_items(rows[:1], "old"))
    with pytest.raises(GalleryError, match=message):
        gallery.add([*new_items(rows[1:]), NewGalleryItem(label, "bad.jpg", change(rows[2]))])
    assert (gallery.revision, len(gallery), gallery.label_counts()) == (2, 1, {"old 0": 1})
    assert gallery.add(new_items(rows[1:])) == [2, 3]


def test_source_in_another_encoding_is_kept_as_far_as_it_can_be(gallery: Gallery) -> None:
    gallery.add([NewGalleryItem("tea", "tea/\udcc5.jpg", unit_rows(1)[0])])
    assert [item.source for item in gallery.items()] == ["tea/?.jpg"]


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_interrupted_addition_leaves_the_gallery_as_it_was(gallery: Gallery, interruption: type[BaseException]) -> None:
    rows = unit_rows(5)
    gallery.add(new_items(rows[:2]))

    def interrupted() -> Iterator[NewGalleryItem]:
        yield from new_items(rows[2:], "new")
        raise interruption("now")

    with pytest.raises(interruption, match="now"):
        gallery.add(interrupted())
    assert (gallery.revision, len(gallery)) == (2, 2)
    assert set(gallery.label_counts()) == {"label 0", "label 1"}
    gallery.add(new_items(rows[2:], "new"))
    assert (gallery.revision, len(gallery)) == (3, 5)


def test_adding_nothing_is_no_revision(gallery: Gallery) -> None:
    assert gallery.add([]) == []
    assert gallery.revision == 1


def test_another_extractor_is_refused_by_both_names(gallery: Gallery) -> None:
    require_extractor(gallery, "renamed, but the same", "f" * 32)
    with pytest.raises(FingerprintError) as refusal:
        require_extractor(gallery, "large", "a" * 32)
    message = str(refusal.value)
    assert "tiny (ffffffff)" in message
    assert "large (aaaaaaaa)" in message
    assert "shop.gallery" in message


def test_two_galleries_on_one_file_see_each_other(gallery: Gallery, path: Path) -> None:
    rows = unit_rows(4)
    with Gallery.open(path, background=False) as other:
        for i, row in enumerate(rows):
            writer, reader = (gallery, other) if i % 2 else (other, gallery)
            assert len(reader) == i
            writer.add([NewGalleryItem(f"new {i}", "", row)])
            assert _labels(reader, row[None]) == _labels(writer, row[None]) == [f"new {i}"]
            assert reader.revision == writer.revision == i + 2


_ADD = """
import sys
import numpy as np
from shitu_edge.gallery import Gallery, NewGalleryItem
row = np.zeros(16, np.float32)
row[3] = 1
with Gallery.open(sys.argv[1], background=False) as gallery:
    before = [match.label for match in gallery.search(row[None])[0]]
    print(before, gallery.add([NewGalleryItem("from outside", "", row)]))
"""


def test_an_addition_of_another_process_is_found_by_the_next_search(gallery: Gallery, path: Path) -> None:
    row = np.eye(DIM, dtype=np.float32)[3]
    gallery.add([NewGalleryItem("from inside", "", -row)])
    assert [match.label for match in gallery.search(row[None])[0]] == ["from inside"]
    assert run_python(_ADD, path) == "['from inside'] [2]\n"
    assert [match.label for match in gallery.search(row[None])[0]] == ["from outside", "from inside"]


def test_searches_beside_additions_see_the_state_before_or_after(gallery: Gallery, path: Path) -> None:
    """Every revision adds two items, so that a half revision would show as an odd number."""
    rows = unit_rows(60)
    done = threading.Event()
    seen: list[list[int]] = [[] for _ in range(4)]
    problems: list[BaseException] = []

    def search(sizes: list[int], opened: Gallery) -> None:
        try:
            while True:
                last = done.is_set()
                [matches] = opened.search(rows[:1], 100)
                assert sorted(match.item_id for match in matches) == list(range(1, len(matches) + 1))
                assert all(match.label == f"item {match.item_id}" for match in matches)
                sizes.append(len(matches))
                if last:
                    return
        except BaseException as error:
            problems.append(error)

    with Gallery.open(path, background=False) as other:
        threads = [
            threading.Thread(target=search, args=(sizes, (gallery, other)[i % 2])) for i, sizes in enumerate(seen)
        ]
        for thread in threads:
            thread.start()
        for first in range(0, 60, 2):
            gallery.add(NewGalleryItem(f"item {i + 1}", "", rows[i]) for i in (first, first + 1))
        done.set()
        for thread in threads:
            thread.join()

    assert not problems
    assert all(size % 2 == 0 for size in itertools.chain(*seen))
    assert all(sizes == sorted(sizes) and sizes[-1] == 60 for sizes in seen)
    assert len(gallery.search(rows[:1], 100)[0]) == 60


@pytest.fixture
def indexed(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A closed gallery of 80 items with a graph."""
    monkeypatch.setattr(live_module, "GRAPH_FROM", 50)
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(80)))
        assert gallery.index.is_due()
        gallery.index.rebuild(QUICK)
        assert not gallery.index.is_due()
        assert gallery.info().search == "graph"
    return path


def _graph_of(path: Path) -> Path:
    [graph] = path.parent.glob(f"{path.name}.*.hnsw")
    return graph


def test_a_gallery_opens_with_its_graph(indexed: Path) -> None:
    rows = unit_rows(80)
    with Gallery.open(indexed, background=False) as gallery:
        assert gallery.info().search == "graph"
        assert len(gallery) == 80
        assert _labels(gallery, rows) == [f"label {i}" for i in range(80)]


def test_additions_after_the_graph_are_found(indexed: Path) -> None:
    rows = unit_rows(83)
    new = unit_rows(3, seed=5)
    with Gallery.open(indexed, background=False) as gallery:
        gallery.add(new_items(new, "new"))
        assert gallery.info().search == "graph"
        assert _labels(gallery, new) == ["new 0", "new 1", "new 2"]
        assert gallery.index.is_due(), "3 of 83 are more than the graph may lack"
    with Gallery.open(indexed, background=False) as gallery:
        assert (gallery.info().search, len(gallery)) == ("graph", 83)
        both = np.concatenate([rows[:80], new])
        order, _ = brute_force(both, new, 5)
        assert [[match.item_id for match in row] for row in gallery.search(new, 5)] == (order + 1).tolist()
        gallery.index.rebuild(QUICK)
        assert not gallery.index.is_due()
        assert _graph_of(indexed).is_file(), "the old graph is gone"
        assert [[match.item_id for match in row] for row in gallery.search(new, 5)] == (order + 1).tolist()


def _flip(graph: Path, share: float) -> None:
    content = bytearray(graph.read_bytes())
    content[int(share * (len(content) - 1))] ^= 0x10
    graph.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        *(pytest.param(lambda g, s=share: _flip(g, s), id=f"flipped at {share}") for share in (0, 0.002, 0.1, 0.5, 1)),
        pytest.param(lambda graph: graph.write_bytes(graph.read_bytes()[:-1]), id="last byte"),
        pytest.param(lambda graph: graph.write_bytes(graph.read_bytes()[:40]), id="header"),
        pytest.param(lambda graph: graph.write_bytes(b""), id="emptied"),
        pytest.param(lambda graph: graph.unlink(), id="deleted"),
        pytest.param(lambda graph: (graph.unlink(), graph.mkdir()), id="folder"),
    ],
)
def test_an_altered_graph_is_not_used(
    indexed: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object]
) -> None:
    damage(_graph_of(indexed))
    rows = unit_rows(80)
    with caplog.at_level(logging.WARNING), Gallery.open(indexed, background=False) as gallery:
        assert gallery.info().search == "exact"
        assert gallery.index.is_due()
        assert _labels(gallery, rows) == [f"label {i}" for i in range(80)]
    assert f"run `shitu-edge gallery reindex {indexed}`" in caplog.text


def test_a_graph_is_rebuilt_where_it_was_altered(indexed: Path) -> None:
    _graph_of(indexed).write_bytes(b"")
    with Gallery.open(indexed, background=False) as gallery:
        gallery.index.rebuild(QUICK)
        assert gallery.info().search == "graph"
    with Gallery.open(indexed, background=False) as gallery:
        assert gallery.info().search == "graph"


def test_reindexing_leaves_other_galleries_graphs(indexed: Path) -> None:
    """`shop.gallery` and `shop.gallery.old` lie side by side; a name may hold what a pattern would take specially."""
    for name in ("shop.gallery.old", "shop [1].gallery"):
        with create(indexed.with_name(name)) as other:
            other.add(new_items(unit_rows(60, seed=1)))
            other.index.rebuild(QUICK)
    with Gallery.open(indexed, background=False) as gallery:
        gallery.add(new_items(unit_rows(1, seed=2)))
        gallery.index.rebuild(QUICK)
    with Gallery.open(indexed.with_name("shop.gallery.old"), background=False) as other:
        assert other.info().search == "graph"
    with Gallery.open(indexed.with_name("shop [1].gallery"), background=False) as other:
        other.add(new_items(unit_rows(1, seed=2)))
        other.index.rebuild(QUICK)
    assert len([file for file in indexed.parent.iterdir() if file.name.startswith("shop [1].gallery.")]) == 1


def test_opening_while_another_process_adds_and_reindexes(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An item that another process adds and indexes between the reads of `open` is found once, not twice."""
    load = Snapshot.load
    row = unit_rows(1, seed=9)

    def load_and_be_overtaken(self: Snapshot, since: int = 0) -> object:
        loaded = load(self, since)
        monkeypatch.setattr(Snapshot, "load", load)
        with Gallery.open(indexed, background=False) as other:
            other.add([NewGalleryItem("overtaking", "", row[0])])
            other.index.rebuild(QUICK)
        return loaded

    monkeypatch.setattr(Snapshot, "load", load_and_be_overtaken)
    with Gallery.open(indexed, background=False) as gallery:
        [matches] = gallery.search(row, 100)
    assert sorted(match.item_id for match in matches) == list(range(1, 82))
    assert matches[0].label == "overtaking"


_OPPOSITES = 40


@pytest.fixture(scope="module", params=[24, 512, 2048])
def copies(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """A gallery with a graph, and the rows in it, of which the last are the opposites of the first."""
    dim: int = request.param
    rows = np.abs(unit_rows(400, dim, seed=dim))  # as after a ReLU, and so near that rounding has much to add up
    rows = np.concatenate([rows, -rows[:_OPPOSITES]])
    path = tmp_path_factory.mktemp("copies") / "shop.gallery"
    with create(path, dim) as gallery:
        gallery.add(new_items(rows))
        gallery.index.rebuild(GraphParameters(m=16, ef_construction=200))
    return path, rows


@pytest.mark.parametrize("search", ["graph", "exact"])
def test_threshold_of_1_names_all_copies_and_no_similarity_is_beyond(
    copies: tuple[Path, Rows], search: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rows = copies
    if search == "exact":
        monkeypatch.setattr(GraphFiles, "load", lambda *_: None)
    policy = DecisionPolicy(similarity_threshold=1.0, neighbors=1)
    with Gallery.open(path, background=False) as gallery:
        assert gallery.info().search == search
        together = gallery.search(rows, len(rows))
        alone = [gallery.search(row[None], len(rows))[0] for row in rows[:60]]
    similarities = np.array([[match.similarity for match in matches] for matches in together])
    assert similarities.min() >= -1
    assert similarities.max() == 1
    named = [decide([Candidate((0, 0, 9, 9), 0.5, matches)], policy)[0][0].label for matches in together]
    assert named == [f"label {i}" for i in range(len(rows))]
    for one, others in zip(alone, together, strict=False):
        by_id = {match.item_id: match.similarity for match in others}
        assert all(abs(match.similarity - by_id[match.item_id]) <= SIMILARITY_ROUNDING for match in one)


def test_searches_go_on_while_the_graph_is_built(indexed: Path) -> None:
    rows = unit_rows(80)
    found: list[list[str]] = []
    with Gallery.open(indexed, background=False) as gallery:
        gallery.add(new_items(unit_rows(5, seed=3), "new"))
        gallery.index.rebuild(QUICK, progress=lambda *_: found.append(_labels(gallery, rows)))
    assert found == [[f"label {i}" for i in range(80)]]


def test_what_is_added_while_the_graph_is_built_is_found_once(indexed: Path) -> None:
    new = unit_rows(4, seed=3)
    with Gallery.open(indexed, background=False) as gallery, Gallery.open(indexed, background=False) as other:
        gallery.add(new_items(new[:1], "before"))

        def add(*_: object) -> None:
            gallery.add(new_items(new[1:2], "here"))
            other.add(new_items(new[2:3], "there"))

        gallery.index.rebuild(QUICK, progress=add)
        gallery.add(new_items(new[3:], "after"))
        assert gallery.info().search == "graph"
        assert _labels(gallery, new) == ["before 0", "here 0", "there 0", "after 0"]
        [matches] = gallery.search(new[:1], 100)
        assert sorted(match.item_id for match in matches) == list(range(1, 85))


def test_a_graph_in_memory_is_not_loaded_again(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gallery.open(indexed, background=False) as gallery:
        gallery.add(new_items(unit_rows(5, seed=3), "new"))
        monkeypatch.setattr(GraphFiles, "load", lambda *_: pytest.fail("loads what it has"))
        monkeypatch.setattr(Live, "_load", lambda *_: pytest.fail("reads everything"))
        gallery.index.rebuild(QUICK)
        assert len(gallery.search(unit_rows(1), 100)[0]) == 85
        assert not gallery.index.is_due()


@pytest.mark.parametrize("ef", [None, 60])
def test_a_width_that_nobody_chose_follows_the_gallery(indexed: Path, ef: int | None) -> None:
    """The record holds a number either way; whether it is the one that so many items ask for tells them apart."""
    with Gallery.open(indexed, background=False) as gallery:
        gallery.index.rebuild(replace(QUICK, ef=ef))
    with Gallery.open(indexed, background=False) as gallery:
        assert gallery.index.parameters == replace(QUICK, ef=ef)


def test_reindexing_by_several_at_once_leaves_the_graph_on_record(indexed: Path) -> None:
    """By two threads of one gallery and two other openings of it, each with graphs of their own digests."""
    problems: list[BaseException] = []

    def reindex(opened: Gallery, first: int) -> None:
        try:
            for m in range(first, first + 3):
                opened.index.rebuild(GraphParameters(m=m, ef_construction=20, ef=60))
        except BaseException as error:
            problems.append(error)

    with (
        Gallery.open(indexed, background=False) as one,
        Gallery.open(indexed, background=False) as two,
        Gallery.open(indexed, background=False) as three,
    ):
        workers = [
            threading.Thread(target=reindex, args=(opened, 4 + 3 * i))
            for i, opened in enumerate((one, one, two, three))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert {opened.info().search for opened in (one, two, three)} == {"graph"}
    assert problems == []
    assert sorted(file.name for file in indexed.parent.iterdir()) == [indexed.name, _graph_of(indexed).name]
    with Gallery.open(indexed, background=False) as gallery:
        assert gallery.info().search == "graph"


def test_one_gallery_builds_one_graph_at_a_time(indexed: Path) -> None:
    second_builds = threading.Event()
    with Gallery.open(indexed, background=False) as gallery:
        second = threading.Thread(
            target=gallery.index.rebuild, args=(QUICK,), kwargs={"progress": _setting(second_builds)}
        )

        def start_second(*_: object) -> None:
            second.start()
            assert not second_builds.wait(0.2)

        gallery.index.rebuild(QUICK, progress=start_second)
        second.join()
    assert second_builds.is_set()


def _setting(event: threading.Event) -> Callable[[int, int], None]:
    return lambda *_: event.set()


def test_what_is_committed_while_a_graph_is_swapped_in_is_not_lost(
    indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = View.of
    rows = unit_rows(2, seed=3)

    def look_and_be_overtaken(*arguments: Any) -> View:
        found = look(*arguments)
        monkeypatch.setattr(View, "of", look)
        opened.add(new_items(rows[1:], "overtaking"))
        assert _labels(opened, rows[1:]) == ["overtaking 0"]
        return found

    with Gallery.open(indexed, background=False) as opened:
        opened.add(new_items(rows[:1], "new"))
        assert len(opened) == 81
        monkeypatch.setattr(View, "of", look_and_be_overtaken)
        opened.index.rebuild(QUICK)
        assert _labels(opened, rows) == ["new 0", "overtaking 0"]
        assert (opened.info().search, len(opened)) == ("graph", 82)


def test_a_graph_about_to_be_put_on_record_is_not_dropped(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that drops what is stale has to wait from the file's renaming to its record."""
    monkeypatch.setattr(connection_module, "BUSY_TIMEOUT_S", 0.05)
    rename = os.replace
    refusals: list[str] = []

    def drop() -> None:
        with Gallery.open(indexed, background=False) as other, pytest.raises(GalleryError, match="locked") as refusal:
            other.index.drop_stale()
        refusals.append(str(refusal.value))

    def rename_and_be_overtaken(source: Path, target: Path) -> None:
        rename(source, target)
        overtaking = threading.Thread(target=drop)
        overtaking.start()
        overtaking.join()

    with Gallery.open(indexed, background=False) as gallery:
        gallery.add(new_items(unit_rows(1, seed=3)))
        monkeypatch.setattr(os, "replace", rename_and_be_overtaken)
        gallery.index.rebuild(QUICK)
    assert len(refusals) == 1
    with Gallery.open(indexed, background=False) as gallery:
        assert (gallery.info().search, len(gallery.search(unit_rows(1), 100)[0])) == ("graph", 81)


_REINDEX = """
import sys
from shitu_edge.gallery import Gallery, GraphParameters
with Gallery.open(sys.argv[1], background=False) as gallery:
    gallery.index.rebuild(GraphParameters(m=8, ef_construction=60, ef=60))
"""


def _adopted(gallery: Gallery) -> str:
    """How the gallery is searched after what is being taken over has been."""
    gallery.search(unit_rows(1))
    gallery._live.upkeep.wait()
    return gallery.info().search


def test_a_graph_of_another_process_is_taken_over(gallery: Gallery, path: Path) -> None:
    rows = unit_rows(80)
    gallery.add(new_items(rows))
    assert gallery.info().search == "exact"
    run_python(_REINDEX, path)
    assert _adopted(gallery) == "graph"
    gallery.add(new_items(unit_rows(1, seed=3), "new"))
    run_python(_REINDEX, path)
    assert _adopted(gallery) == "graph"
    assert len(gallery._live._view.exact) == 0, "the second graph holds the new item"
    [matches] = gallery.search(unit_rows(1, seed=3), 100)
    assert (len(matches), matches[0].label) == (81, "new 0")


def test_a_lost_graph_is_taken_over_when_another_process_makes_it_again(indexed: Path) -> None:
    """The new one has the digest of the old one."""
    _graph_of(indexed).unlink()
    with Gallery.open(indexed, background=False) as gallery:
        assert gallery.info().search == "exact"
        run_python(_REINDEX, indexed)
        assert _adopted(gallery) == "graph"


def test_searches_use_what_they_have_while_a_graph_is_loaded(
    gallery: Gallery, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = unit_rows(80)
    gallery.add(new_items(rows))
    run_python(_REINDEX, path)
    may_load = threading.Event()
    load = GraphFiles.load

    def load_later(self: GraphFiles, record: IndexRecord) -> object:
        assert may_load.wait(60)
        return load(self, record)

    monkeypatch.setattr(GraphFiles, "load", load_later)
    assert _labels(gallery, rows) == [f"label {i}" for i in range(80)]
    gallery.add(new_items(unit_rows(1, seed=3), "new"))
    assert _labels(gallery, unit_rows(1, seed=3)) == ["new 0"]
    assert gallery.info().search == "exact"
    may_load.set()
    assert _adopted(gallery) == "graph"
    assert _labels(gallery, unit_rows(1, seed=3)) == ["new 0"]


def test_of_two_graphs_of_other_processes_the_last_is_taken_over(
    gallery: Gallery, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is put on record while the first is loaded."""
    gallery.add(new_items(unit_rows(80)))
    run_python(_REINDEX, path)
    load = GraphFiles.load

    def load_and_be_overtaken(self: GraphFiles, record: IndexRecord) -> object:
        monkeypatch.setattr(GraphFiles, "load", load)
        loaded = load(self, record)
        with Gallery.open(path, background=False) as other:
            other.add(new_items(unit_rows(1, seed=3), "new"))
        run_python(_REINDEX, path)
        gallery.search(unit_rows(1))
        return loaded

    monkeypatch.setattr(GraphFiles, "load", load_and_be_overtaken)
    assert _adopted(gallery) == "graph"
    assert gallery._live._view.graph
    assert (len(gallery._live._view.graph), len(gallery._live._view.exact)) == (81, 0)


def test_an_item_removed_while_the_graph_is_built_is_not_found(indexed: Path) -> None:
    rows = unit_rows(80)
    with Gallery.open(indexed, background=False) as gallery, Gallery.open(indexed, background=False) as other:

        def remove(*_: object) -> None:
            other.remove([7])

        gallery.index.rebuild(QUICK, progress=remove)
        assert gallery.info().dead == 1
        assert 7 not in {match.item_id for match in gallery.search(rows[6:7], 79)[0]}


@pytest.mark.parametrize("kind", ["exact", "graph"])
def test_close_frees_what_was_in_memory_at_once(indexed: Path, kind: str) -> None:
    """Without the garbage collector, and while the closed gallery is still held."""
    gc.disable()
    try:
        gallery = Gallery.open(indexed)
        gallery.add(new_items(unit_rows(3, seed=3)))
        gallery.search(unit_rows(1), 3)
        view = gallery._live._view
        held: object = view.graph if kind == "graph" else view.exact._vectors
        reference = weakref.ref(held)
        del view, held
        gallery.close()
        assert reference() is None
        with pytest.raises(GalleryError, match="is closed"):
            len(gallery)
        live = weakref.ref(gallery._live)
        del gallery
        assert live() is None
    finally:
        gc.enable()


_REOPEN = """
import gc, sys
from pathlib import Path
from shitu_edge.gallery import Gallery

gc.disable()
resident = []
for _ in range(50):
    gallery = Gallery.open(sys.argv[1])
    gallery.search(gallery.embeddings([1]), 5)
    gallery.close()
    resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20)
print(resident[4], resident[-1])
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads its memory in /proc")
def test_reopening_takes_no_more_memory(tmp_path: Path) -> None:
    """Fifty times 4 MiB would be kept if anything was."""
    path = tmp_path / "shop.gallery"
    with create(path, 256) as gallery:
        gallery.add(new_items(unit_rows(4000, 256)))
    early, late = map(int, run_python(_REOPEN, path).split())
    assert late - early < 20


@pytest.fixture
def read_only(indexed: Path) -> Iterator[Path]:
    """The gallery in a folder where nothing can be written: by its permissions or, for root, by a mount."""
    folder = indexed.parent
    if os.name == "posix" and os.geteuid() != 0:
        folder.chmod(0o555)
        yield indexed
        folder.chmod(0o755)
        return
    done = "no mounts on this system"
    with suppress(OSError):
        bind = ["sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"', str(folder)]
        done = subprocess.run(bind, capture_output=True, text=True, check=False).stderr
    if done:
        pytest.skip(f"nothing can be made read-only here: {done.strip()}")
    yield indexed
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_reindex_in_a_read_only_folder_says_so_before_it_builds(read_only: Path) -> None:
    with Gallery.open(read_only, background=False) as gallery:
        with pytest.raises(GalleryError, match=r"the index cannot be written: (Permission denied|Read-only)"):
            gallery.index.rebuild(QUICK, progress=lambda *_: pytest.fail("builds"))
        assert gallery.info().search == "graph"


def test_a_graph_that_cannot_be_written_is_named(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with Gallery.open(indexed, background=False) as gallery:
        monkeypatch.setattr(os, "replace", refuse)
        with pytest.raises(GalleryError, match=r"shop\.gallery: the index cannot be written: Permission denied"):
            gallery.index.rebuild(GraphParameters(m=4))
    with Gallery.open(indexed, background=False) as gallery:
        assert gallery.info().search == "graph", "the old one is still on record"
    assert sorted(file.name for file in indexed.parent.iterdir()) == [indexed.name, _graph_of(indexed).name]


def test_a_closed_gallery_says_so(path: Path) -> None:
    gallery = create(path)
    gallery.close()
    with pytest.raises(GalleryError, match=r"shop\.gallery: .*closed"):
        gallery.search(unit_rows(1))


def test_one_file_is_the_gallery_after_compacting(gallery: Gallery, path: Path, tmp_path: Path) -> None:
    gallery.add(new_items(unit_rows(3)))
    gallery.history.compact()
    copy = tmp_path / "copy.gallery"
    copy.write_bytes(path.read_bytes())
    with Gallery.open(copy, background=False) as opened:
        assert opened.label_counts() == {"label 0": 1, "label 1": 1, "label 2": 1}


def test_pruning_gives_the_space_back(path: Path) -> None:
    with create(path, 512) as gallery:
        gallery.add(new_items(unit_rows(400, 512)))
        gallery.remove(range(1, 391))
        gallery.history.compact()
        before = path.stat().st_size
        assert gallery.history.prune(0) == (390, 390)
        assert path.stat().st_size < before / 4
    with Gallery.open(path, background=False) as gallery:
        assert [entry.id for entry in gallery.items()] == list(range(391, 401))


def test_a_gallery_that_was_replaced_by_another_file_says_so(path: Path, tmp_path: Path) -> None:
    with create(tmp_path / "other") as other:
        other.add(new_items(unit_rows(1)))
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(3)))
        gallery.history.compact()
        os.replace(tmp_path / "other", path)
        for use in (
            lambda: gallery.search(unit_rows(1)),
            lambda: gallery.add(new_items(unit_rows(1))),
            gallery.items,
        ):
            with pytest.raises(GalleryError, match=r"shop\.gallery: was replaced by another file; open it again"):
                use()
    with Gallery.open(path, background=False) as gallery:
        assert len(gallery) == 1, "nothing of the first was written into the second"


def test_the_log_of_an_earlier_gallery_is_not_applied_to_a_new_one(path: Path, tmp_path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    log.write_bytes(b"left by a killed process")
    with (
        create(tmp_path / "other") as other,
        pytest.raises(GalleryError, match=r"the log shop\.gallery-wal of an earlier gallery"),
    ):
        other.copy(path)
    with pytest.raises(GalleryError, match=r"the log shop\.gallery-wal of an earlier gallery"):
        create(path)
    assert not path.exists()
    assert log.read_bytes() == b"left by a killed process"


@pytest.mark.parametrize("parameters", [{"m": 1}, {"m": 1001}, {"ef": 0}, {"ef_construction": 0}, {"ef": -1}])
def test_parameters_that_hnswlib_would_choke_on_are_refused(parameters: dict[str, int]) -> None:
    with pytest.raises(GalleryError, match="expected M of 2 to 1000"):
        GraphParameters(**parameters)


def test_no_threads_are_refused(gallery: Gallery) -> None:
    gallery.add(new_items(unit_rows(3)))
    with pytest.raises(GalleryError, match="expected 1 thread or more, found 0"):
        gallery.index.rebuild(threads=0)


def test_the_callers_own_errors_are_not_called_damage(gallery: Gallery) -> None:
    gallery.add(new_items(unit_rows(3)))

    def fail(*_: object) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        gallery.index.rebuild(QUICK, progress=fail)
    with pytest.raises(GalleryError, match="expected a revision's number, found 'a'"):
        gallery.history.diff("a", 2)  # type: ignore[arg-type]
    with pytest.raises(GalleryError, match="expected ids in a list, found '12'"):
        gallery.remove("12")  # type: ignore[arg-type]
    assert len(gallery) == 3


def test_a_copy_is_the_gallery_with_its_graph(indexed: Path, tmp_path: Path) -> None:
    with Gallery.open(indexed, background=False) as gallery:
        gallery.remove([7])
        gallery.copy(tmp_path / "copy")
        with pytest.raises(GalleryError, match="copy: already exists"):
            gallery.copy(tmp_path / "copy")
        with Gallery.open(tmp_path / "copy", background=False) as copy:
            assert (copy.history.id, copy.history.log(), copy.items()) == (
                gallery.history.id,
                gallery.history.log(),
                gallery.items(),
            )
            assert (copy.info().search, copy.info().dead) == ("graph", 1)
            assert copy.search(unit_rows(5, seed=9), 10) == gallery.search(unit_rows(5, seed=9), 10)


def test_a_thread_that_changes_a_gallery_does_not_wait_for_itself(path: Path) -> None:
    """It would wait for half a minute, and be told of another process."""
    with create(path) as gallery, Gallery.open(path, background=False) as again:
        gallery.add(new_items(unit_rows(3)))
        with gallery.change() as change:
            change.remove([1])
            for other in (gallery, again):
                actions: list[Callable[[], object]] = [
                    partial(other.add, new_items(unit_rows(1))),
                    partial(other.history.prune, 0),
                    partial(other.index.rebuild, QUICK),
                    other.index.drop_stale,
                    other.change().__enter__,
                ]
                for action in actions:
                    with pytest.raises(GalleryError, match=r"shop\.gallery: this thread is already changing it"):
                        action()
                assert len(other.search(unit_rows(1), 9)[0]) == 3, "searching goes on"
            waiting = threading.Thread(target=lambda: again.add(new_items(unit_rows(1, seed=4))))
            waiting.start()  # another thread waits until the change is done
        waiting.join()
        assert [entry.id for entry in gallery.items()] == [2, 3, 4]


def test_gallery_keeps_to_few_public_names(path: Path) -> None:
    with create(path) as gallery:
        names = {name for name in dir(gallery) if not name.startswith("_")}
        assert {"history", "index"} < names
        assert len(names) <= 24, sorted(names)
        assert str(gallery) == str(gallery.path)
