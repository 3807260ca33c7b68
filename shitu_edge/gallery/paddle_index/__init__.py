"""Reader of PaddleClas' and PaddleX' galleries: a faiss index and a map from its ids to labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import GalleryError
from ..labels import normal_label
from ..store.records import UNIT_TOLERANCE
from .faiss_file import FaissVectors, read_faiss
from .id_map import PICKLE, find_id_map, read_id_map

__all__ = ["FaissVectors", "PaddleIndex", "read_faiss", "read_id_map", "read_paddle_index"]

INDEX = "vector.index"
_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")


@dataclass(frozen=True, slots=True)
class PaddleIndex:
    """The items of an index by ascending id: labels, image names ("" where none is kept), unit rows (N, D)."""

    labels: tuple[str, ...]
    sources: tuple[str, ...]
    vectors: NDArray[np.float32]


def read_paddle_index(folder: Path) -> PaddleIndex:
    """Read a folder with `vector.index` and `id_map.pkl` or `id_map.yaml`, as PaddleClas and PaddleX write it.

    Raises:
        GalleryError: a file is missing, damaged or of an unsupported kind, the ids of both files differ, a label is
            refused by `normal_label`, or a vector is not a unit vector.
    """
    path = folder / INDEX
    if not path.is_file():
        raise GalleryError(f"{folder}: expected {INDEX} in this folder, found none")
    map_path = find_id_map(folder)
    found = read_faiss(path)
    texts = read_id_map(folder, len(found.ids))
    _check_ids(folder, map_path.name, found.ids, texts)
    order = np.argsort(found.ids)
    ids, vectors = found.ids[order], found.vectors[order]
    _check_lengths(path, ids, vectors)
    split = _split if map_path.name == PICKLE else _label_alone
    pairs = [split(texts[i]) for i in ids.tolist()]
    labels = tuple(normal_label(label, f"{map_path}, id {i}") for i, (_, label) in zip(ids, pairs, strict=True))
    return PaddleIndex(labels, tuple(source for source, _ in pairs), vectors)


def _check_ids(folder: Path, map_name: str, ids: NDArray[np.int64], texts: dict[int, str]) -> None:
    known = set(ids.tolist())
    if len(known) < len(ids):
        raise GalleryError(f"{folder / INDEX}: expected each id once, found {len(ids) - len(known)} repeated")
    for name, other, missing in ((INDEX, map_name, known - texts.keys()), (map_name, INDEX, texts.keys() - known)):
        if missing:
            raise GalleryError(
                f"{folder}: {len(missing)} ids of {name} are not in {other}, the first is {min(missing)}"
            )


def _check_lengths(path: Path, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
    squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64)
    wrong = np.flatnonzero(np.abs(squares - 1) >= UNIT_TOLERANCE)
    if len(wrong):
        first = wrong[0]
        raise GalleryError(
            f"{path}: expected vectors of length 1, since galleries compare by cosine, found {len(wrong)} others, "
            f"the first (id {ids[first]}) of length {np.sqrt(squares[first]):.4g}; "
            "build the index from normalized features"
        )


def _split(text: str) -> tuple[str, str]:
    """Return source and label of `path<TAB>label`, `path label`, or a label alone.

    PaddleClas pickles the line of its label file, with any delimiter and extra columns; early PaddleX 3 pickled the
    label.
    """
    source, *columns = text.split("\t")
    if columns:
        return source.strip(), columns[0]
    source, _, label = text.strip().partition(" ")
    return (source, label) if source.lower().endswith(_IMAGES) else _label_alone(text)


def _label_alone(text: str) -> tuple[str, str]:
    return "", text
