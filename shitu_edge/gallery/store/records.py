"""What the store takes and gives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import GalleryError
from ..index import GraphParameters, Ids, default_ef

UNIT_TOLERANCE = 1e-3
"""How far the squared length of an embedding may be from 1."""
ROUNDING = 2e-6
"""How far it is when float32 numbers were divided by their length; beyond, that is done when it is stored."""
READ_TOLERANCE = 2 * UNIT_TOLERANCE
"""The same when it is read again, wider by any rounding."""


@dataclass(frozen=True, slots=True)
class Meta:
    """What a gallery is for: the extractor's name and fingerprint, and its dimension."""

    extractor: str
    fingerprint: str
    dim: int


@dataclass(frozen=True, slots=True)
class NewGalleryItem:
    """An item to be: its label, where it came from, and its unit row (D,) float32."""

    label: str
    source: str
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """An item as a revision holds it: its id, its label, and where its image came from."""

    id: int
    label: str
    source: str


@dataclass(frozen=True, slots=True)
class Revision:
    """One line of the log: when (ISO 8601, UTC), by whom and why, and how many entries it added and removed.

    A renamed item counts as removed and added. `digest` is that of all the content, in hexadecimal: equal content has
    an equal one.
    """

    id: int
    created_at: str
    author: str
    note: str
    added: int
    removed: int
    digest: str


@dataclass(frozen=True, slots=True)
class Diff:
    """What one revision lacks and what it has beside another, by id; a renamed item is in both."""

    removed: tuple[GalleryItem, ...]
    added: tuple[GalleryItem, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be known to follow a gallery to `revision`: ids that are gone, then ids and labels that have come.

    `labels` (N,) int32 are places in `names`. `whole` says that what has come is all there is, and anything known
    before is void.
    """

    revision: int
    whole: bool
    removed: Ids
    added: Ids
    labels: NDArray[np.int32]
    names: list[str]


@dataclass(frozen=True, slots=True)
class GraphRecord:
    """The graph file on record: its digest, the revision it was made of, and how many items it holds."""

    sha256: str
    revision: int
    count: int
    parameters: GraphParameters


def entry_of(item: int, label: object, source: object) -> GalleryItem:
    """Return a row as an entry.

    Raises:
        TypeError: its label or its source is no text.
    """
    return GalleryItem(item, _text(label), _text(source))


def revision_of(line: Sequence[Any], digest: bytes) -> Revision:
    """Return a row of the log as a revision.

    Raises:
        TypeError: what should be text is none.
    """
    number, created_at, author, note, added, removed = line
    return Revision(number, _text(created_at), _text(author), _text(note), added, removed, digest.hex())


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value


GRAPH = "SELECT sha256, revision, count, m, ef_construction, ef FROM graph"


def graph_record(row: tuple[object, ...]) -> GraphRecord | None:
    """Return a row of `GRAPH` as a record, None where it is none: a record names a file, and goes to hnswlib."""
    digest, revision, *numbers = row
    named = isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)
    known = [number for number in numbers if isinstance(number, int) and 0 < number < 1 << 31]
    if not named or not isinstance(revision, int) or len(known) < len(numbers):
        return None
    count, m, ef_construction, ef = known
    try:
        parameters = GraphParameters(m, ef_construction, None if ef == default_ef(count) else ef)
        return GraphRecord(str(digest), revision, count, parameters)
    except GalleryError:
        return None
