"""What the tests of this folder share: indexes written by faiss itself, and what a refusal must look like."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.errors import GalleryError

KINDS = ("Flat", "HNSW32", "IVF4,Flat", "IVF4_HNSW32,Flat")
MAPS = (None, "IndexIDMap", "IndexIDMap2")
IP, L2 = 0, 1
Answer = TypeVar("Answer")


def faiss() -> Any:
    """Return the module; skips where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # SWIG's, of its own types
        return pytest.importorskip("faiss", reason="faiss writes the indexes to read: pip install faiss-cpu")


def index_of(
    rows: NDArray[np.float32],
    kind: str = "Flat",
    metric: int = IP,
    ids: Sequence[int] | None = None,
    in_map: str | None = "IndexIDMap2",
    train_with: NDArray[np.float32] | None = None,
) -> Any:
    """Return a faiss index of rows, in an id map as PaddleClas makes it, or plain."""
    index = faiss().index_factory(rows.shape[1], kind, metric)
    if in_map:
        index = getattr(faiss(), in_map)(index)
    if train_with is not None or len(rows):
        index.train(rows if train_with is None else train_with)
    if not len(rows):
        return index
    if ids is None:
        index.add(rows)
    else:
        index.add_with_ids(rows, np.array(ids, np.int64))
    return index


def write(index: Any, path: Path) -> Path:
    """Write an index to a file and return its path."""
    faiss().write_index(index, str(path))
    return path


@contextmanager
def refused(match: str) -> Iterator[None]:
    """Expect a `GalleryError` of one line that matches."""
    with pytest.raises(GalleryError, match=match) as caught:
        yield
    assert "\n" not in str(caught.value)


def answer_or_refusal(read: Callable[[], Answer]) -> Answer | None:
    """Return what is read, None where it is refused in one line; nothing else may happen."""
    try:
        return read()
    except GalleryError as error:
        refusal = str(error)
    assert "\n" not in refusal
    return None


@contextmanager
def little_memory(limit: int) -> Iterator[None]:
    """Check that no more bytes than `limit` are allocated at any time."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()
