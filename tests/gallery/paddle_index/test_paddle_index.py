from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.gallery.paddle_index import read_paddle_index

from ..rows import Rows, unit_rows
from . import IP, KINDS, L2, index_of, refused, write

DIM = 8
LINES = ["0/0.jpg\t脉动", "a b.jpg\toat milk 1 l", "0/1.jpg\t脉动", "c.png\ttea", "d.jpg\ttea"]
LABELS = ("脉动", "oat milk 1 l", "脉动", "tea", "tea")
SOURCES = ("0/0.jpg", "a b.jpg", "0/1.jpg", "c.png", "d.jpg")


def _build(folder: Path, rows: Rows, lines: list[str], kind: str = "HNSW32", metric: int = IP) -> Path:
    """Make what PaddleClas' `build_gallery.py` makes."""
    write(index_of(rows, kind, metric, ids=range(len(rows))), folder / "vector.index")
    ids = np.arange(len(lines)).astype(np.int64)
    (folder / "id_map.pkl").write_bytes(pickle.dumps(dict(zip(list(ids), lines, strict=True))))
    return folder


@pytest.mark.shared_data
def test_drinks_are_those_that_paddleclas_wrote(shared: Path) -> None:
    drinks = shared / "data" / "drinks"
    index = read_paddle_index(drinks / "faiss_index")

    np.testing.assert_array_equal(index.vectors, np.load(drinks / "embeddings_v1.npy"))
    lines = (drinks / "gallery" / "drink_label_all.txt").read_text(encoding="utf-8").splitlines()
    assert [f"{source}\t{label}" for source, label in zip(index.sources, index.labels, strict=True)] == lines

    cosines = index.vectors @ index.vectors.T
    np.fill_diagonal(cosines, -np.inf)
    labels = np.array(index.labels)
    assert (int((labels[cosines.argmax(axis=1)] == labels).sum()), len(labels)) == (1030, 1069)


@pytest.mark.parametrize("metric", [IP, L2])
@pytest.mark.parametrize("kind", KINDS)
def test_items_of_paddleclas_come_by_id(tmp_path: Path, kind: str, metric: int) -> None:
    rows = unit_rows(5, DIM)
    index = read_paddle_index(_build(tmp_path, rows, LINES, kind, metric))
    assert (index.labels, index.sources) == (LABELS, SOURCES)
    np.testing.assert_array_equal(index.vectors, rows)
    assert index.vectors.dtype == np.float32


def test_ids_with_gaps_and_in_any_order(tmp_path: Path) -> None:
    rows = unit_rows(3, DIM)
    write(index_of(rows, ids=[70, 3, 12]), tmp_path / "vector.index")
    (tmp_path / "id_map.pkl").write_bytes(pickle.dumps({70: "a.jpg\ta", 12: "b.jpg\tb", 3: "c.jpg\tc"}))
    index = read_paddle_index(tmp_path)
    assert index.labels == ("c", "b", "a")
    np.testing.assert_array_equal(index.vectors, rows[[1, 2, 0]])


def test_items_of_paddlex(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML reads and writes PaddleX' maps: pip install pyyaml")
    rows = unit_rows(3, DIM)
    write(index_of(rows, "IVF2,Flat", ids=range(3)), tmp_path / "vector.index")
    info = {"index_type": "IVF", "metric_type": "IP", "id_map": {0: "脉动", 1: "a.jpg b", 2: "oat milk"}}
    (tmp_path / "id_map.yaml").write_text(
        yaml.dump(info, default_flow_style=False, allow_unicode=True), encoding="utf-8"
    )
    index = read_paddle_index(tmp_path)
    assert (index.labels, index.sources) == (("脉动", "a.jpg b", "oat milk"), ("", "", ""))
    np.testing.assert_array_equal(index.vectors, rows)


@pytest.mark.parametrize(
    ("line", "source", "label"),
    [
        ("a b.jpg\tc d", "a b.jpg", "c d"),
        ("a.jpg\tb\tc", "a.jpg", "b"),
        ("a.jpg\tb\t", "a.jpg", "b"),
        ("a.jpg\tbe\u200b\u0301", "a.jpg", "bé"),
        (" a.jpg \t b ", "a.jpg", "b"),
        ("\tb", "", "b"),
        ("x/a.JPG oat milk", "x/a.JPG", "oat milk"),
        ("a.png  tea", "a.png", "tea"),
        ("oat milk", "", "oat milk"),
        ("1.5 l milk", "", "1.5 l milk"),
        ("tea", "", "tea"),
    ],
)
def test_source_and_label_of_an_entry(tmp_path: Path, line: str, source: str, label: str) -> None:
    index = read_paddle_index(_build(tmp_path, unit_rows(1, DIM), [line], "Flat"))
    assert (index.sources, index.labels) == ((source,), (label,))


@pytest.mark.parametrize("line", ["", "  ", "a.jpg\t", "a.jpg\t ", "a.jpg ", "a.jpg"])
def test_entry_without_a_label_is_named(tmp_path: Path, line: str) -> None:
    folder = _build(tmp_path, unit_rows(2, DIM), ["a.jpg\ttea", line], "Flat")
    with refused(r"id_map\.pkl, id 1: the label is empty"):
        read_paddle_index(folder)


def test_empty_index(tmp_path: Path) -> None:
    index = read_paddle_index(_build(tmp_path, unit_rows(0, DIM), []))
    assert (index.labels, index.sources, index.vectors.shape) == ((), (), (0, DIM))


def test_ids_on_one_side_only(tmp_path: Path) -> None:
    folder = _build(tmp_path, unit_rows(5, DIM), LINES[:3])
    with refused(r"2 ids of vector\.index are not in id_map\.pkl, the first is 3"):
        read_paddle_index(folder)
    _build(tmp_path, unit_rows(1, DIM), LINES)
    with refused(r"4 ids of id_map\.pkl are not in vector\.index, the first is 1"):
        read_paddle_index(folder)


def test_id_that_comes_again(tmp_path: Path) -> None:
    folder = _build(tmp_path, unit_rows(2, DIM), LINES[:2])
    write(index_of(unit_rows(3, DIM), ids=[0, 1, 1]), tmp_path / "vector.index")
    with refused(r"vector\.index: expected each id once, found 1 repeated"):
        read_paddle_index(folder)


def test_vectors_of_other_lengths_are_refused(tmp_path: Path) -> None:
    rows = unit_rows(5, DIM)
    rows[2:4] *= 3
    with refused(
        r"vector\.index: expected vectors of length 1, .*cosine, found 2 others, .*\(id 2\) of length 3; build"
    ):
        read_paddle_index(_build(tmp_path, rows, LINES))


@pytest.mark.parametrize(
    ("factor", "allowed"), [(1.0003, True), (0.9997, True), (1.002, False), (0, False), (1e30, False)]
)
def test_lengths_that_are_near_enough_stay_as_they_are(tmp_path: Path, factor: float, allowed: bool) -> None:
    rows = unit_rows(5, DIM) * np.float32(factor)
    folder = _build(tmp_path, rows, LINES)
    if allowed:
        np.testing.assert_array_equal(read_paddle_index(folder).vectors, rows)
    else:
        with refused("found 5 others"):
            read_paddle_index(folder)


def test_folder_without_an_index(tmp_path: Path) -> None:
    with refused(r"expected vector\.index in this folder, found none"):
        read_paddle_index(tmp_path)
    write(index_of(unit_rows(1, DIM), ids=[0]), tmp_path / "vector.index")
    with refused(r"expected id_map\.pkl or id_map\.yaml, found neither"):
        read_paddle_index(tmp_path)
