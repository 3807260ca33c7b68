"""Sound galleries are said to be sound, and every damage is said to be one."""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.errors import DamagedError, GalleryError
from shitu_edge.gallery import Gallery, GraphParameters
from shitu_edge.gallery.care.repair import repair
from shitu_edge.gallery.care.verify import Verification, verify
from shitu_edge.gallery.index import graph as index_module
from shitu_edge.system.digest import file_sha256
from tests.gallery.damage import (
    DAMAGES,
    ITEMS,
    ORIGIN_DAMAGES,
    REVISION,
    SETTING_DAMAGES,
    Damage,
    all_that_counts,
    content,
    flip,
    make,
    make_with_origins,
    make_with_settings,
    places,
)
from tests.gallery.operations import Model, choose, do
from tests.gallery.rows import DIM, create, new_items, unit_rows

QUICK = GraphParameters(m=8, ef_construction=60, ef=60)
KINDS = ("add", "remove", "rename", "replace", "change", "rollback", "prune", "reindex", "extend", "patch", "set")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "shop")


def faults(path: Path) -> list[str]:
    """What is wrong with a gallery, one line each."""
    try:
        found = list(verify(path).faults)
    except GalleryError as error:
        found = [str(error)]
    assert not any("\n" in fault for fault in found)
    return found


# -- sound ones


@pytest.mark.parametrize("seed", range(4))
def test_galleries_are_sound_whatever_was_done_to_them(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path, model = tmp_path / "shop", Model.empty()
    create(path).close()
    for _ in range(12):
        with Gallery.open(path, background=False) as gallery:
            for _ in range(chance.randint(1, 4)):
                operation = choose(chance, model, KINDS)
                do(gallery, operation)
                model = model.after(operation)
            while_open = verify(path)
        assert while_open == verify(path)
        assert while_open.faults == ()
        assert (while_open.revision, while_open.items) == (model.revision, len(model.content))
        if chance.random() < 0.2:
            assert repair(path).rescue.lost == ()
            assert verify(path).faults == ()


def test_an_empty_gallery_is_sound(tmp_path: Path) -> None:
    create(tmp_path / "shop").close()
    assert verify(tmp_path / "shop") == Verification(1, 0, None, ())


def test_one_item_with_a_graph(tmp_path: Path) -> None:
    with create(tmp_path / "shop") as gallery:
        gallery.add(new_items(unit_rows(1)))
        gallery.index.rebuild(QUICK)
    assert verify(tmp_path / "shop") == Verification(2, 1, None, ())


def test_a_sound_gallery_is_left_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    assert verify(path) == Verification(REVISION, len(ITEMS), None, ())
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["shop"]


def test_progress_comes_to_its_end(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        gallery.index.rebuild(QUICK)
    seen: list[tuple[str, int, int]] = []
    assert verify(path, lambda *step: seen.append(step)).recall == 1
    last = {name: (done, total) for name, done, total in seen}
    assert last.keys() == {"entries", "recall"}
    assert all(done == total > 0 for done, total in last.values())


def test_what_is_no_gallery(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").touch()
    for path in (tmp_path, tmp_path / "none", tmp_path / "text", tmp_path / "empty"):
        with pytest.raises(GalleryError) as refusal:
            verify(path)
        assert str(refusal.value).startswith(f"{path}: ")


# -- damage


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_altered_rows_are_found_and_named(path: Path, damage: Damage) -> None:
    damage.do(path)
    found = faults(path)
    assert found
    assert any(re.search(damage.says, fault) for fault in found), found


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_opening_altered_rows_raises_nothing_else(path: Path, damage: Damage) -> None:
    damage.do(path)
    try:
        with Gallery.open(path, background=False) as gallery:
            gallery.search(unit_rows(2), 20)
            gallery.history.log()
            gallery.items()
            gallery.history.diff(1, 2)
            gallery.add(new_items(unit_rows(1, seed=3)))
    except GalleryError as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("damage", SETTING_DAMAGES.values(), ids=SETTING_DAMAGES)
def test_altered_settings_are_found_and_named(tmp_path: Path, damage: Damage) -> None:
    path = make_with_settings(tmp_path / "shop")
    assert faults(path) == []
    damage.do(path)
    found = faults(path)
    assert any(re.search(damage.says, fault) for fault in found), found


@pytest.mark.parametrize("damage", SETTING_DAMAGES.values(), ids=SETTING_DAMAGES)
def test_reading_altered_settings_raises_nothing_else(tmp_path: Path, damage: Damage) -> None:
    """And what is read is never another value under a name."""
    path = make_with_settings(tmp_path / "shop")
    with Gallery.open(path, background=False) as gallery:
        before = gallery.settings()
    damage.do(path)
    try:
        with Gallery.open(path, background=False) as gallery:
            for base in range(1, gallery.revision):
                gallery.history.diff(base, gallery.revision)
            found = gallery.settings()
            assert all(before[name] == value for name, value in found.items() if name != "look_alikes")
            gallery.history.record(6, 8)
            with gallery.change() as change:
                change.set("target", b"1")
                change.set("queries/0", None)
    except GalleryError as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", ["value", "digest", "another name", "large value"])
def test_altered_settings_are_not_handed_out(tmp_path: Path, name: str) -> None:
    path = make_with_settings(tmp_path / "shop")
    SETTING_DAMAGES[name].do(path)
    with (
        Gallery.open(path, background=False) as gallery,
        pytest.raises(DamagedError, match=r"^\S*shop: is damaged: [^\n]*$"),
    ):
        gallery.settings()


@pytest.mark.parametrize("damage", ORIGIN_DAMAGES.values(), ids=ORIGIN_DAMAGES)
def test_altered_origins_are_found(tmp_path: Path, damage: Damage) -> None:
    path = make_with_origins(tmp_path / "shop")
    assert faults(path) == []
    damage.do(path)
    found = faults(path)
    assert any(re.search(damage.says, fault) for fault in found), found
    assert found


@pytest.mark.parametrize("damage", ORIGIN_DAMAGES.values(), ids=ORIGIN_DAMAGES)
def test_altered_origins_are_not_handed_out(tmp_path: Path, damage: Damage) -> None:
    """While all that reads no origin goes on, unless the table itself is another."""
    path = make_with_origins(tmp_path / "shop")
    before = content(path)
    damage.do(path)
    if "damaged: " in faults(path)[0]:
        return
    with Gallery.open(path, background=False) as gallery:
        assert len(gallery.search(unit_rows(2), 20)[0]) == len(gallery) == len(before)
        assert content(path) == before
        try:
            found = gallery.origins(range(1, 100))
        except DamagedError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert damage.hit or damage is ORIGIN_DAMAGES["of nothing"]
        else:
            assert 5 not in found or 5 not in damage.hit
        try:
            gallery.rename("label 4", "Oat milk")
            gallery.remove([5])
            gallery.history.rollback(2)
            gallery.history.record(2, gallery.revision)
            gallery.history.prune(0)
        except GalleryError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("making", [make, make_with_settings, make_with_origins])
@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_byte_is_found_or_changes_nothing(tmp_path: Path, seed: int, making: Callable[[Path], Path]) -> None:
    path = making(tmp_path / "shop")
    before, original = all_that_counts(path), path.read_bytes()
    found = 0
    for place, bits in places(path, 80, seed):
        flip(path, place, bits)
        where = f"byte {place} (page {place // 16384 + 1}), {bits}"
        try:
            wrong = faults(path)
            assert wrong or all_that_counts(path) == before, where
        except Exception as error:
            raise AssertionError(where) from error
        found += bool(wrong)
        path.write_bytes(original)
    assert found > 25
    assert verify(path).faults == ()


def test_truncated_files(path: Path) -> None:
    before, content = all_that_counts(path), path.read_bytes()
    for length in (*range(1, len(content), 5000), len(content) - 1):
        path.write_bytes(content[:length])
        assert faults(path) or all_that_counts(path) == before, length


def test_pages_overwritten(path: Path) -> None:
    content = path.read_bytes()
    for number in range(len(content) // 16384):
        for page in (bytes(16384), b"\xff" * 16384, random.Random(number).randbytes(16384)):
            altered = bytearray(content)
            altered[16384 * number : 16384 * (number + 1)] = page
            path.write_bytes(altered)
            assert faults(path) or number == 1, number  # the second lists where pages are, for compacting


# -- the graph


@pytest.fixture
def indexed(path: Path) -> Path:
    with Gallery.open(path, background=False) as gallery:
        gallery.index.rebuild(QUICK)
    return path


def _graph_of(path: Path) -> Path:
    [graph] = path.parent.glob(f"{path.name}.*.hnsw")
    return graph


def _put_on_record(path: Path, graph: Path) -> None:
    """Make a file the graph on record, as if it were what was written."""
    digest = file_sha256(graph)
    graph.rename(path.with_name(f"{path.name}.{digest[:16]}.hnsw"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE graph SET sha256 = ?", (digest,))


@pytest.fixture
def _no_hnswlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may reach hnswlib, which would believe it."""

    def refuse(dim: int) -> None:
        raise AssertionError("reached hnswlib")

    monkeypatch.setattr(index_module, "_new_graph", refuse)


_FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda graph: graph.unlink(),
    "empty": lambda graph: graph.write_bytes(b""),
    "truncated": lambda graph: graph.write_bytes(graph.read_bytes()[:-1]),
    "truncated header": lambda graph: graph.write_bytes(graph.read_bytes()[:50]),
    "longer": lambda graph: graph.write_bytes(graph.read_bytes() + b"\0"),
    "flipped at first": lambda graph: flip(graph, 0, 1),
    "flipped in a vector": lambda graph: flip(graph, 300, 1),
    "flipped at last": lambda graph: flip(graph, graph.stat().st_size - 1, 1),
    "folder": lambda graph: os.mkdir(graph.rename(graph.with_name("graph")).with_name(graph.name)),
}


@pytest.mark.usefixtures("_no_hnswlib")
@pytest.mark.parametrize("damage", _FILES.values(), ids=_FILES)
def test_altered_graph_files_never_reach_hnswlib(
    path: Path, damage: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Gallery.open(path, background=False) as gallery, monkeypatch.context() as patch:
        patch.setattr(index_module, "_new_graph", _real_new_graph)
        gallery.index.rebuild(QUICK)
    damage(_graph_of(path))
    found = verify(path)
    assert [fault[:7] for fault in found.faults] == ["index: "]
    assert ".hnsw: " in found.faults[0]
    assert found.recall is None


_real_new_graph = index_module._new_graph


@pytest.mark.parametrize("kept", [40, 60, 100, 200, -8, -1])
def test_a_truncated_graph_with_its_digest_never_reaches_hnswlib(
    indexed: Path, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = _graph_of(indexed)
    graph.write_bytes(graph.read_bytes()[:kept])
    _put_on_record(indexed, graph)
    reached: list[int] = []
    monkeypatch.setattr(index_module, "_new_graph", reached.append)
    assert [fault[:7] for fault in verify(indexed).faults] == ["index: "]
    assert reached == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE graph SET count = 12",
        "UPDATE graph SET count = -1",
        "UPDATE graph SET count = 1 << 62",
        "UPDATE graph SET m = 9",
        "UPDATE graph SET m = -8",
        "UPDATE graph SET m = 'x'",
        "UPDATE graph SET count = 'x'",
        "UPDATE graph SET ef = 'x'",
        "UPDATE graph SET ef = 0",
        "UPDATE graph SET ef = -1",
        "UPDATE graph SET sha256 = x'ff'",
        "UPDATE graph SET sha256 = ''",
        "UPDATE graph SET sha256 = '../../x'",
        "INSERT INTO graph SELECT * FROM graph",
        "UPDATE graph SET revision = 99",
        "UPDATE graph SET revision = 'x'",
    ],
)
def test_altered_records_of_a_graph(indexed: Path, statement: str) -> None:
    Damage((statement,)).do(indexed)
    found = faults(indexed)
    if not statement.endswith(("FROM graph", "ef = 0", "revision = 99")):  # which change no answer
        assert found
    try:
        with Gallery.open(indexed, background=False) as gallery:
            assert len(gallery.search(unit_rows(1), 11)[0]) == 11
    except GalleryError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_graph_of_another_dimension(indexed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with create(other, 24) as gallery:
        gallery.add(new_items(unit_rows(11, 24)))
        gallery.index.rebuild(QUICK)
    _graph_of(indexed).unlink()
    shutil.move(_graph_of(other), indexed.with_name("graph"))
    _put_on_record(indexed, indexed.with_name("graph"))
    [fault] = verify(indexed).faults
    assert fault.startswith("index: ")
    assert "holds 11 × 24, expected 11 × 16" in fault


@pytest.mark.parametrize("which", ["one", "all", "not a number"])
def test_a_graph_of_other_vectors(indexed: Path, tmp_path: Path, which: str) -> None:
    graph = _graph_of(indexed)
    loaded = index_module.GraphIndex.load(graph, DIM, 11, QUICK)  # hnswlib has divided by the length once more
    content, row = graph.read_bytes(), loaded.rows(np.array([5])).tobytes()
    assert content.count(row) == 1, "item 5"
    if which == "all":
        for original, new in zip(loaded.rows(loaded.ids), unit_rows(11, seed=4), strict=True):
            content = content.replace(original.tobytes(), new.tobytes())
    else:
        new = unit_rows(1, seed=9)[0] if which == "one" else np.full(16, np.nan, np.float32)
        content = content.replace(row, new.tobytes())
    graph.write_bytes(content)
    _put_on_record(indexed, graph)
    found = verify(indexed)
    assert len(found.faults) == (11 if which == "all" else 1)
    if which == "not a number":
        assert found.faults[0].endswith(".hnsw: a row is not of length 1")
    else:
        assert "index: item 5 differs from the stored embedding" in found.faults


def test_a_poor_graph_is_shown(tmp_path: Path) -> None:
    poor = GraphParameters(m=2, ef_construction=2, ef=10)
    with create(tmp_path / "shop", 64) as gallery:
        gallery.add(new_items(unit_rows(3000, 64)))
        gallery.index.rebuild(poor)
        bad = verify(tmp_path / "shop")
        gallery.index.rebuild(replace(poor, m=32, ef_construction=200, ef=256))
        good = verify(tmp_path / "shop")
    assert (bad.faults, good.faults) == ((), ())
    assert bad.recall is not None
    assert good.recall is not None
    assert bad.recall < 0.5 < 0.95 < good.recall <= 1


def test_items_beside_the_graph_and_dead_ones_in_it(indexed: Path) -> None:
    with Gallery.open(indexed, background=False) as gallery:
        gallery.add(new_items(unit_rows(30, seed=3)))
        gallery.remove([1, 2, 3])
    assert verify(indexed) == Verification(REVISION + 2, 38, 1.0, ())
