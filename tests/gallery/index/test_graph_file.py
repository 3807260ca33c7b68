"""Files of graphs that hnswlib would believe: damaged, crafted, and forged together with their digest."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import hnswlib
import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, GraphParameters
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.index import GraphIndex
from shitu_edge.gallery.index.graph_file import check_graph
from shitu_edge.system.digest import file_sha256
from tests.gallery.graph_bytes import HEADER, GraphBytes
from tests.gallery.graph_fuzz import outcomes
from tests.gallery.rows import brute_force, build_graph, create, new_items, run_python, unit, unit_rows

QUICK = GraphParameters(m=8, ef_construction=60, ef=40)
DIM, COUNT = 16, 100
_FUZZED = 3000
_AT_ONCE = 500


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> GraphBytes:
    """A graph of 100 rows of 16 numbers with the `QUICK` parameters."""
    path = tmp_path_factory.mktemp("graph") / "graph"
    build_graph(np.arange(COUNT, dtype=np.int64), unit_rows(COUNT), QUICK).save(path)
    return GraphBytes(path.read_bytes(), DIM, COUNT, QUICK.m, QUICK.ef_construction)


@pytest.fixture
def _without_hnswlib_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    class Guarded(hnswlib.Index):  # type: ignore[misc]  # untyped
        def load_index(self, *_: object, **__: object) -> None:
            raise AssertionError("hnswlib was given a file that is not as expected")

    monkeypatch.setattr(hnswlib, "Index", Guarded)


def _load(content: bytes, path: Path, parameters: GraphParameters = QUICK, dim: int = DIM, count: int = COUNT) -> None:
    path.write_bytes(content)
    GraphIndex.load(path, dim, count, parameters)


@pytest.mark.usefixtures("_without_hnswlib_loading")
def test_the_guard_is_real(genuine: GraphBytes, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="hnswlib was given"):
        _load(genuine.content, tmp_path / "graph")


@pytest.mark.parametrize(("count", "m"), [(1, 2), (2, 8), (300, 2), (3000, 5)])
def test_genuine_graphs_pass_with_their_digest_and_ids(tmp_path: Path, count: int, m: int) -> None:
    path = tmp_path / "graph"
    ids = 3 * np.arange(count, dtype=np.int64) + 7
    build_graph(ids, unit_rows(count), GraphParameters(m, 30)).save(path)
    with path.open("rb") as stream:
        digest, found = check_graph(stream, DIM, count, m, 30)
    assert digest == file_sha256(path)
    np.testing.assert_array_equal(found, ids)
    assert GraphBytes(path.read_bytes(), DIM, count, m, 30).is_sound()


# -- damaged


@pytest.mark.usefixtures("_without_hnswlib_loading")
@pytest.mark.parametrize("size", [0, 5, 47, 95, 96, 1000, 14_000, -4, -1])
def test_truncated_graph_is_refused(genuine: GraphBytes, tmp_path: Path, size: int) -> None:
    assert size < len(genuine.content)
    with pytest.raises(GalleryError, match=r"graph: (is truncated|is not an hnswlib index)"):
        _load(genuine.content[:size], tmp_path / "graph")


@pytest.mark.usefixtures("_without_hnswlib_loading")
@pytest.mark.parametrize("more", [b"\0", bytes(4), b"\1\0\0\0", b"\x24\0\0\0" + bytes(36), bytes(1 << 20)])
def test_longer_graph_is_refused(genuine: GraphBytes, tmp_path: Path, more: bytes) -> None:
    with pytest.raises(GalleryError, match=r"graph: (is (truncated|too long)|the upper links of an item)"):
        _load(genuine.content + more, tmp_path / "graph")


@pytest.mark.usefixtures("_without_hnswlib_loading")
def test_sparse_file_of_terabytes_is_refused_unread(genuine: GraphBytes, tmp_path: Path) -> None:
    path = tmp_path / "graph"
    path.write_bytes(genuine.content)
    try:
        os.truncate(path, 1 << 42)
    except OSError as error:
        pytest.skip(f"no large files here: {error}")
    with pytest.raises(GalleryError, match="is too long"):
        GraphIndex.load(path, DIM, COUNT, QUICK)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_named_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "graph")
    with pytest.raises(OSError, match="not a regular file"):
        GraphIndex.load(tmp_path / "graph", DIM, COUNT, QUICK)


@pytest.mark.usefixtures("_without_hnswlib_loading")
def test_altered_graph_is_refused_by_its_digest(genuine: GraphBytes, tmp_path: Path) -> None:
    path = tmp_path / "graph"
    path.write_bytes(genuine.content)
    with pytest.raises(GalleryError, match="checksum mismatch"):
        GraphIndex.load(path, DIM, COUNT, QUICK, "0" * 64)


@pytest.mark.parametrize("ids", [np.arange(COUNT - 1), np.arange(COUNT + 1)], ids=["last row", "size"])
def test_failure_while_hnswlib_reads_is_noticed(
    genuine: GraphBytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: NDArray[np.int64]
) -> None:
    """As on a failing disk: hnswlib reads other bytes than were checked."""
    other = tmp_path / "other"
    build_graph(ids, unit_rows(len(ids)), QUICK).save(other)

    class Failing(hnswlib.Index):  # type: ignore[misc]  # untyped
        def load_index(self, _: object, max_elements: int) -> None:
            super().load_index(str(other), max_elements=max_elements)

    monkeypatch.setattr(hnswlib, "Index", Failing)
    with pytest.raises(GalleryError, match="could not be read whole"):
        _load(genuine.content, tmp_path / "graph")


# -- crafted


@pytest.mark.usefixtures("_without_hnswlib_loading")
def test_graph_of_other_rows_is_refused(genuine: GraphBytes, tmp_path: Path) -> None:
    for parameters, dim, count, message in (
        (QUICK, 32, 100, "holds 100 × 16, expected 100 × 32"),
        (QUICK, 16, 99, "holds 100 × 16, expected 99 × 16"),
        (replace(QUICK, m=9), 16, 100, "not an hnswlib index with M 9"),
        (replace(QUICK, ef_construction=61), 16, 100, "not an hnswlib index with M 8 and ef_construction 61"),
    ):
        with pytest.raises(GalleryError, match=message):
            _load(genuine.content, tmp_path / "graph", parameters, dim, count)


@pytest.mark.usefixtures("_without_hnswlib_loading")
@pytest.mark.parametrize("value", [1, 101, 2**31 - 1, 2**32 - 1])
@pytest.mark.parametrize("field", HEADER)
def test_crafted_header_is_refused(genuine: GraphBytes, tmp_path: Path, field: str, value: int) -> None:
    place, kind = HEADER[field]
    crafted = bytearray(genuine.content)
    struct.pack_into(kind, crafted, place, value if kind != "<i" or value < 1 << 31 else -1)
    if bytes(crafted) == genuine.content or (field == "enterpoint_node" and value < COUNT):
        crafted[place : place + 4] = b"\xff\xff\xff\x7f"
    with pytest.raises(GalleryError, match=r"graph: (holds|is not an hnswlib index|its entry point)"):
        _load(bytes(crafted), tmp_path / "graph")


def _levels(graph: GraphBytes) -> list[int]:
    places = graph.upper()
    assert places is not None
    return [graph.word(place) // graph.list_bytes for place in places]


def _first_list(graph: GraphBytes) -> int:
    """Where the links of the first item with an upper level are, after their number and its size."""
    places = graph.upper()
    assert places is not None
    return next(place for place in places if graph.word(place)) + 4


def _words(*changes: tuple[int, int]) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        for place, word in changes:
            struct.pack_into("<I", content, place, word)

    return change


def _crafted(graph: GraphBytes) -> dict[str, Callable[[bytearray], None]]:
    """Ways to have hnswlib 0.8 leave its memory, or answer nonsense, one thing changed at a time."""
    levels, upper = _levels(graph), _first_list(graph)
    low = levels.index(0)
    return {
        "link to the item after the last": _words((graph.row(7) + 4, COUNT)),
        "link to item 2³²-1": _words((graph.row(7) + 4, 0xFFFFFFFF)),
        "link to item 2 000 000": _words((graph.row(99) + 4, 2_000_000)),
        "unused link out of range": _words((graph.row(7) + 4 * 2 * QUICK.m, COUNT)),
        "17 links of 16": _words((graph.row(7), 17)),
        "65 535 links": _words((graph.row(7), 65_535)),
        "deleted item": _words((graph.row(7), graph.word(graph.row(7)) | 1 << 16)),
        "all items deleted": _words(*((graph.row(i), graph.word(graph.row(i)) | 1 << 16) for i in range(COUNT))),
        "upper link out of range": _words((upper + 4, COUNT)),
        "upper link to an item without upper links": _words((upper, 1), (upper + 4, low)),
        "9 upper links of 8": _words((upper, 9)),
        "entry point below the top": _words((HEADER["enterpoint_node"][0], low)),
        "top level above all": _words((HEADER["maxlevel"][0], 1_000_000)),
        "top level below all": _words((HEADER["maxlevel"][0], 0)),
        "two items of an id": lambda content: _copy(content, graph.id(3), graph.id(4), 8),
        "id of 2⁶³": lambda content: struct.pack_into("<Q", content, graph.id(3), 1 << 63),
        "row of NaN": lambda content: struct.pack_into("<f", content, graph.vector(3), float("nan")),
        "row of infinity": lambda content: struct.pack_into("<f", content, graph.vector(3), float("inf")),
        "row of zeros": lambda content: struct.pack_into(f"<{DIM}f", content, graph.vector(3), *([0.0] * DIM)),
        "scale of levels": lambda content: struct.pack_into("<d", content, HEADER["mult"][0], 1e300),
        "scale that is no number": lambda content: struct.pack_into("<d", content, HEADER["mult"][0], float("nan")),
    }


def _copy(content: bytearray, source: int, target: int, size: int) -> None:
    content[target : target + size] = content[source : source + size]


@pytest.mark.usefixtures("_without_hnswlib_loading")
def test_crafted_structure_is_refused(genuine: GraphBytes, tmp_path: Path) -> None:
    assert genuine.is_sound()
    for name, change in _crafted(genuine).items():
        content = bytearray(genuine.content)
        change(content)
        assert bytes(content) != genuine.content, name
        assert not replace(genuine, content=bytes(content)).is_sound(), name
        with pytest.raises(GalleryError):
            _load(bytes(content), tmp_path / name)


@pytest.mark.usefixtures("_without_hnswlib_loading")
def test_crafted_sizes_of_upper_links_are_refused(genuine: GraphBytes, tmp_path: Path) -> None:
    place = _first_list(genuine) - 4
    size = genuine.word(place)
    for crafted in (1, size - 4, size + 1, size + 4, size + genuine.list_bytes, 0, 0xFFFFFFFF):
        content = bytearray(genuine.content)
        struct.pack_into("<I", content, place, crafted)
        with pytest.raises(GalleryError):
            _load(bytes(content), tmp_path / "graph")


def test_level_that_nothing_but_the_entry_point_reaches(genuine: GraphBytes, tmp_path: Path) -> None:
    """An empty list at one more level is odd and sound; without its mention in the header it is neither."""
    levels, places = _levels(genuine), genuine.upper()
    assert places is not None
    entry = levels.index(max(levels))
    place, size = places[entry], genuine.word(places[entry])
    content = bytearray(genuine.content)
    content[place : place + 4] = struct.pack("<I", size + genuine.list_bytes)
    content[place + 4 + size : place + 4 + size] = bytes(genuine.list_bytes)
    with pytest.raises(GalleryError, match="its entry point has level"):
        _load(bytes(content), tmp_path / "graph")
    struct.pack_into("<iI", content, HEADER["maxlevel"][0], max(levels) + 1, entry)
    _load(bytes(content), tmp_path / "graph")


def test_changed_graphs_are_refused_or_can_be_used() -> None:
    """By processes that are watched; see `graph_fuzz`, which also goes on for as long as it is told."""
    found = Counter[str]()
    for first in range(0, _FUZZED, _AT_ONCE):
        found += outcomes(0, first, first + _AT_ONCE)
    assert found["refused"] > 0.7 * _FUZZED
    assert found["used"] > 0.1 * _FUZZED


# -- forged together with the gallery


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A gallery of 300 items with a graph."""
    path = tmp_path / "shop.gallery"
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(300)))
        gallery.index.rebuild(QUICK)
    return path


def _forge(path: Path, change: Callable[[bytearray, GraphBytes], None]) -> Path:
    """Change the graph of a gallery, and its digest on record; return its new file."""
    [old] = path.parent.glob(f"{path.name}.*.hnsw")
    graph = GraphBytes(old.read_bytes(), DIM, 300, QUICK.m, QUICK.ef_construction)
    content = bytearray(graph.content)
    change(content, graph)
    old.write_bytes(content)
    digest = file_sha256(old)
    new = old.rename(path.with_name(f"{path.name}.{digest[:16]}.hnsw"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE graph SET sha256 = ?", (digest,))
    return new


def _link_outside(content: bytearray, graph: GraphBytes) -> None:
    struct.pack_into("<I", content, graph.row(5) + 4, 2_000_000)


def _rows_swapped(content: bytearray, graph: GraphBytes) -> None:
    for item in range(0, 300, 2):
        one, other = graph.id(item), graph.id(item + 1)
        content[one : one + 8], content[other : other + 8] = content[other : other + 8], content[one : one + 8]


def _item_to_come(content: bytearray, graph: GraphBytes) -> None:
    struct.pack_into("<Q", content, graph.id(5), 301)


_FORGERIES = {
    "link outside": (_link_outside, "one to an item that does not exist"),
    "rows swapped": (_rows_swapped, "from the stored embedding"),
    "item to come": (_item_to_come, "the gallery never had"),
}


@pytest.mark.parametrize(("change", "says"), _FORGERIES.values(), ids=_FORGERIES)
def test_forged_graph_is_named_and_searches_are_exact(
    shop: Path, change: Callable[[bytearray, GraphBytes], None], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    _forge(shop, change)
    faults = verify(shop).faults
    assert faults
    assert all(fault.startswith("index: ") and says in fault for fault in faults)
    rows, new = unit_rows(300), unit_rows(1, seed=9)
    with caplog.at_level(logging.WARNING), Gallery.open(shop, background=False) as gallery:
        [message] = caplog.messages
        assert message.startswith(f"index not usable: {shop}.")
        assert says in message
        assert gallery.info().search == "exact"
        assert gallery.add(new_items(new)) == [301]
        assert gallery.search(new, 1)[0][0].item_id == 301
        assert [matches[0].item_id for matches in gallery.search(rows, 1)] == list(range(1, 301))
    with Gallery.open(shop, background=False) as gallery:
        assert gallery.search(new, 1)[0][0].item_id == 301, "its id is no longer to come"
        assert gallery.info().search == "exact"
        gallery.index.rebuild(extend=True)
        assert gallery.info().search == "graph"
        assert gallery.info().pending == 0
    assert verify(shop).faults == ()


def test_forged_graph_of_another_process_does_not_take_the_place_of_a_sound_one(shop: Path) -> None:
    rows = unit_rows(300)
    with Gallery.open(shop, background=False) as gallery:
        run_python(_FORGE, shop, Path(__file__).parents[3])
        gallery.search(rows[:1])  # notices
        gallery._live.upkeep.wait()
        assert gallery.info().search == "graph"
        assert [matches[0].item_id for matches in gallery.search(rows, 1)] == list(range(1, 301))
        assert gallery.index.parameters is None


_FORGE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.gallery.index.test_graph_file import _forge, _rows_swapped
_forge(Path(sys.argv[1]), _rows_swapped)
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_named_pipe_in_the_place_of_a_graph(shop: Path, tmp_path: Path) -> None:
    [graph] = tmp_path.glob("*.hnsw")
    graph.unlink()
    os.mkfifo(graph)
    assert "not a regular file" in verify(shop).faults[0]
    with Gallery.open(shop, background=False) as gallery:
        assert gallery.info().search == "exact"
        gallery.copy(tmp_path / "copy")
    assert not list(tmp_path.glob("copy.*.hnsw"))


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["links_2e6", "count_65535"])
def test_hostile_galleries_are_refused_and_searched_exactly(shared: Path, tmp_path: Path, name: str) -> None:
    """In a process of its own, which hnswlib used to end."""
    for file in (shared / "data" / "odd" / "hostile").glob(f"{name}.*"):
        shutil.copyfile(file, tmp_path / file.name)
    command = [sys.executable, "-c", _SEARCH, str(tmp_path / f"{name}.gallery")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1 exact True\n"), done.stderr


_SEARCH = """
import sys
from pathlib import Path
import numpy as np
from shitu_edge.gallery import Gallery
from shitu_edge.gallery.care.verify import verify
path = Path(sys.argv[1])
faults = verify(path).faults
with Gallery.open(path, background=False) as gallery:
    ids = [entry.id for entry in gallery.items()]
    found = [matches[0].similarity for matches in gallery.search(gallery.embeddings(ids), 1)]
    print(len(faults), gallery.info().search, bool(np.min(found) > 0.9999))
"""


def test_graph_in_a_folder_that_is_not_named_in_utf8(tmp_path: Path) -> None:
    try:
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xc9\xcc\xb5\xea"))
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no such names here: {error}")
    path = folder / "shop.gallery"
    rows = unit_rows(300)
    with create(path) as gallery:
        gallery.add(new_items(rows))
        gallery.index.rebuild(QUICK)
    with Gallery.open(path, background=False) as gallery:
        assert gallery.info().search == "graph"
        order, _ = brute_force(rows, unit(rows[:5]), 1)
        assert [matches[0].item_id - 1 for matches in gallery.search(rows[:5], 1)] == order[:, 0].tolist()
