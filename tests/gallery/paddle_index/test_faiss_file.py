from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.gallery.paddle_index import read_faiss

from ..rows import unit_rows
from . import IP, KINDS, L2, MAPS, answer_or_refusal, faiss, index_of, little_memory, refused, write

COUNT, DIM = 40, 8
SMALL_LIMIT = 256 << 10


@pytest.mark.parametrize("metric", [IP, L2])
@pytest.mark.parametrize("in_map", MAPS)
@pytest.mark.parametrize("kind", KINDS)
def test_vectors_and_ids_are_those_that_faiss_was_given(
    tmp_path: Path, kind: str, in_map: str | None, metric: int
) -> None:
    rows = unit_rows(COUNT, DIM)
    ids = np.random.default_rng(1).permutation(10 * COUNT)[:COUNT] if in_map else np.arange(COUNT)
    path = write(index_of(rows, kind, metric, ids.tolist() if in_map else None, in_map), tmp_path / "vector.index")

    found = read_faiss(path)

    assert found.ids.dtype == np.int64
    assert found.vectors.dtype == np.float32
    if "IVF" not in kind:
        np.testing.assert_array_equal(found.ids, ids)
    order = np.argsort(ids)
    np.testing.assert_array_equal(np.sort(found.ids), ids[order])
    np.testing.assert_array_equal(found.vectors[np.argsort(found.ids)], rows[order])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("in_map", MAPS)
def test_empty_index(tmp_path: Path, kind: str, in_map: str | None) -> None:
    for trained in (None, unit_rows(COUNT, DIM)):
        index = index_of(unit_rows(0, DIM), kind, in_map=in_map, train_with=trained)
        found = read_faiss(write(index, tmp_path / "vector.index"))
        assert (found.ids.shape, found.vectors.shape) == ((0,), (0, DIM))


@pytest.mark.parametrize(("count", "layout"), [(3, b"sprs"), (30, b"full")])
def test_lists_that_are_empty(tmp_path: Path, count: int, layout: bytes) -> None:
    rows = unit_rows(count, DIM)
    index = index_of(rows, "IVF32,Flat", ids=range(7, 7 + count), train_with=unit_rows(COUNT, DIM, seed=1))
    if layout == b"full":
        index.add_with_ids(unit_rows(COUNT, DIM, seed=1), np.arange(100, 100 + COUNT))
    path = write(index, tmp_path / "vector.index")
    assert layout in path.read_bytes()
    found = read_faiss(path)
    np.testing.assert_array_equal(found.vectors[np.argsort(found.ids)][:count], rows)


@pytest.mark.parametrize("direct_map", ["Array", "Hashtable"])
def test_plain_lists_with_a_direct_map(tmp_path: Path, direct_map: str) -> None:
    rows = unit_rows(COUNT, DIM)
    ids = range(COUNT) if direct_map == "Array" else range(500, 500 + COUNT)
    index = index_of(rows, "IVF4,Flat", ids=ids, in_map=None)
    index.set_direct_map_type(getattr(faiss().DirectMap, direct_map))
    found = read_faiss(write(index, tmp_path / "vector.index"))
    np.testing.assert_array_equal(np.sort(found.ids), ids)
    np.testing.assert_array_equal(found.vectors[np.argsort(found.ids)], rows)


def test_items_removed_from_a_flat_index(tmp_path: Path) -> None:
    rows = unit_rows(COUNT, DIM)
    index = index_of(rows, ids=range(COUNT))
    index.remove_ids(np.array([3, 17]))
    found = read_faiss(write(index, tmp_path / "vector.index"))
    np.testing.assert_array_equal(found.ids, np.delete(np.arange(COUNT), [3, 17]))
    np.testing.assert_array_equal(found.vectors, np.delete(rows, [3, 17], axis=0))


def test_items_removed_from_lists_leave_no_ids(tmp_path: Path) -> None:
    index = index_of(unit_rows(COUNT, DIM), "IVF4,Flat", ids=range(COUNT))
    index.remove_ids(np.array([3, 17]))
    with refused(r"vector\.index: has lost which id a vector has, .* from an IVF index; build it again"):
        read_faiss(write(index, tmp_path / "vector.index"))


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("PQ4x4", "'IxPq' .product quantizer"),
        ("SQ8", "'IxSQ' .scalar quantizer"),
        ("IVF4,SQ8", "'IwSq' .IVF scalar quantizer"),
        ("HNSW32_SQ8", "'IHNs' .HNSW scalar quantizer"),
        ("PCA4,Flat", "'IxPT' .PreTransform"),
        ("NSG32,Flat", "'INSf' .unknown"),
    ],
)
@pytest.mark.parametrize("in_map", [None, "IndexIDMap2"])
def test_other_kinds_are_refused_by_name(tmp_path: Path, kind: str, code: str, in_map: str | None) -> None:
    index = index_of(unit_rows(300, DIM), kind, in_map=in_map, ids=range(300) if in_map else None)
    with refused(rf"expected a faiss index of Flat, HNSWFlat or IVFFlat, alone or in an IDMap, found {code}"):
        read_faiss(write(index, tmp_path / "vector.index"))


def test_binary_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vector.index"
    faiss().write_index_binary(faiss().index_binary_factory(16, "BHNSW32"), str(path))
    with refused(r"found 'IBHf' \(binary, for hamming distance\)"):
        read_faiss(path)


def test_graph_without_its_vectors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vector.index"
    faiss().write_index(index_of(unit_rows(5, DIM), "HNSW32", in_map=None), str(path), faiss().IO_FLAG_SKIP_STORAGE)
    with refused(r"found 'null' \(vectors left out\)"):
        read_faiss(path)


def test_other_metric_is_refused(tmp_path: Path) -> None:
    path = write(index_of(unit_rows(5, DIM), metric=faiss().METRIC_L1, in_map=None), tmp_path / "vector.index")
    with refused(r"expected the metric inner product \(0\) or L2 \(1\), found 2"):
        read_faiss(path)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, number: float) -> None:
    rows = unit_rows(5, DIM)
    rows[3, 4] = number
    path = write(index_of(rows, ids=range(5)), tmp_path / "vector.index")
    with refused("expected vectors of finite numbers, found NaN or infinity"):
        read_faiss(path)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with refused("cannot be read: No such file"):
        read_faiss(tmp_path / "vector.index")
    with refused("cannot be read: is a folder"):
        read_faiss(tmp_path)


def test_file_that_is_none_or_too_large(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate((2 << 30) + 1)
    with little_memory(1 << 20), refused("sparse: is larger than 2 GiB"):
        read_faiss(tmp_path / "sparse")
    os.mkfifo(tmp_path / "pipe")
    with refused("pipe: cannot be read: is a pipe, device or socket"):
        read_faiss(tmp_path / "pipe")


def _small(tmp_path: Path, kind: str) -> Path:
    """An index whose every byte can be tried; half of its lists are empty, so that they are written as pairs."""
    rows = unit_rows(3, 4)
    return write(index_of(rows, kind, ids=[5, 3, 9], train_with=unit_rows(COUNT, 4)), tmp_path / "vector.index")


SMALL_KINDS = ("Flat", "HNSW4", "IVF8,Flat", "IVF2_HNSW4,Flat")


@pytest.mark.parametrize("kind", SMALL_KINDS)
def test_every_truncation_is_refused_and_so_are_trailing_bytes(tmp_path: Path, kind: str) -> None:
    path = _small(tmp_path, kind)
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with refused(r"vector\.index: is (truncated or )?damaged"):
            read_faiss(path)
    path.write_bytes(data + b"\0")
    with refused("bytes after the index: expected 0, found 1"):
        read_faiss(path)


@pytest.mark.parametrize("kind", SMALL_KINDS)
def test_flipped_bytes_give_vectors_or_a_refusal(tmp_path: Path, kind: str) -> None:
    path = _small(tmp_path, kind)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    read = 0
    with little_memory(SMALL_LIMIT):
        for _ in range(400):
            damaged = data.copy()
            places = rng.integers(0, len(data), rng.integers(1, 4))
            damaged[places] ^= rng.integers(1, 256, len(places)).astype(np.uint8)
            read += _is_read(path, damaged.tobytes())
    assert 0 < read < 400


@pytest.mark.parametrize("kind", SMALL_KINDS)
@pytest.mark.parametrize("number", [2**62, 2**63, 2**64 - 1, 2**40, 2**31 - 1])
def test_no_count_is_believed(tmp_path: Path, kind: str, number: int) -> None:
    path = _small(tmp_path, kind)
    data = path.read_bytes()
    with little_memory(SMALL_LIMIT):
        for start in range(len(data) - 8):
            _is_read(path, data[:start] + struct.pack("<Q", number) + data[start + 8 :])


def _is_read(path: Path, data: bytes) -> bool:
    """Read damaged data; what is read must have a right shape."""
    path.write_bytes(data)
    found = answer_or_refusal(lambda: read_faiss(path))
    if found is None:
        return False
    assert (found.ids.shape, found.vectors.shape) == ((3,), (3, 4))
    assert found.ids.dtype == np.int64
    assert found.vectors.dtype == np.float32
    assert np.isfinite(found.vectors).all()
    return True
