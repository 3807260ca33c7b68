"""Unit rows and galleries for tests, and processes beside the test's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.gallery import Gallery, GalleryItem, GraphParameters, NewGalleryItem
from shitu_edge.gallery.index import GraphIndex, Ids, Progress
from shitu_edge.gallery.store import changes, store

Rows = NDArray[np.float32]

DIM = 16


def skip_without_milvus() -> None:
    """Skip where the extra is not installed; to import pymilvus would let it print what `MilvusGallery` keeps quiet."""
    if not (find_spec("pymilvus") and find_spec("milvus_lite")):
        pytest.skip("needs shitu-edge[milvus]")


def unit(rows: NDArray[np.floating]) -> Rows:
    """Return rows (N, D) of length 1."""
    units: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return units


def unit_rows(count: int, dim: int = DIM, seed: int = 0) -> Rows:
    """Return random unit rows (count, dim)."""
    return unit(np.random.default_rng(seed).normal(size=(count, dim)))


def clustered_rows(count: int, dim: int, seed: int = 0, clusters: int = 200, spread: float = 0.1) -> Rows:
    """Return unit rows around random centers, as photos of the same products lie."""
    rng = np.random.default_rng(seed)
    centers = unit(rng.normal(size=(clusters, dim)))
    return unit(centers[rng.integers(0, clusters, count)] + spread * rng.normal(size=(count, dim)))


def new_items(rows: Rows, label: str = "label") -> list[NewGalleryItem]:
    """Return an item a row, labeled `label 0`, `label 1`, …."""
    return [NewGalleryItem(f"{label} {i}", f"{i}.jpg", row) for i, row in enumerate(rows)]


def create(path: Path, dim: int = DIM) -> Gallery:
    """Make an empty gallery."""
    return Gallery.create(path, extractor="tiny", fingerprint="f" * 32, dim=dim, background=False)


@contextmanager
def older_labels() -> Iterator[None]:
    """Let galleries take labels as they did before these had one form: any line of text."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (store, changes):
            patch.setattr(module, "normal_label", lambda label, whose: label)
        yield


def build_graph(ids: Ids, rows: Rows, parameters: GraphParameters, progress: Progress | None = None) -> GraphIndex:
    """Build a graph of unit rows under ascending ids."""

    def fetch(some: Ids) -> Rows:
        return rows[np.searchsorted(ids, some)]

    return GraphIndex.build(ids, fetch, rows.shape[1], parameters, 1, progress)


def brute_force(rows: Rows, queries: Rows, k: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return positions and cosines of the nearest rows in double precision, equal ones by position."""
    cosines = queries.astype(np.float64) @ rows.astype(np.float64).T
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(cosines, order, axis=1)


def run_python(script: str, *arguments: object) -> str:
    """Run a script in a process of its own and return what it printed; it must succeed."""
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def relabel(gallery: Gallery, ids: Iterable[int], label: str) -> list[GalleryItem]:
    """Give some items another label; return what they were."""
    with gallery.change() as change:
        return change.relabel(ids, label)
