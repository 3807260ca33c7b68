"""Records of the store: items, their origins, revisions, differences, settings, the index."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import GalleryError
from ...results import Box
from ..index import GraphParameters, Ids, default_ef

UNIT_TOLERANCE = 1e-3
"""How far the squared length of an embedding may be from 1."""
ROUNDING = 2e-6
"""The same for rows normalized in float32; others are normalized when they are stored."""
READ_TOLERANCE = 2 * UNIT_TOLERANCE
"""The same when an embedding is read, with room for rounding."""
Crop = Literal["whole", "box", "detected"]


@dataclass(frozen=True, slots=True)
class Meta:
    """The extractor of a gallery: name, fingerprint and embedding size."""

    extractor: str
    fingerprint: str
    dim: int


@dataclass(frozen=True, slots=True)
class Origin:
    """How an item was made, and its picture.

    Attributes:
        box_xyxy: the part of the source image that was embedded, in its pixels; None for all of it.
        crop: how that part was chosen: the whole image, a given box, or the detector's.
        source_sha256: SHA-256 of the source file's bytes in hexadecimal, empty if unknown.
        picture: the item as JPEG or WebP, at most 128 KiB; empty if none is kept.
        product_xyxy: where the product lies in the picture, in the picture's pixels, as the picture keeps a margin;
            None without a picture.
    """

    box_xyxy: Box | None
    crop: Literal["whole", "box", "detected"]
    source_sha256: str
    picture: bytes = b""
    product_xyxy: Box | None = None


@dataclass(frozen=True, slots=True)
class OriginFacts:
    """An origin without its picture, as files hold it."""

    box_xyxy: Box | None
    crop: Crop
    source_sha256: str
    product_xyxy: Box | None

    @classmethod
    def of(cls, origin: Origin) -> OriginFacts:
        """Return the facts of an origin."""
        return cls(origin.box_xyxy, origin.crop, origin.source_sha256, origin.product_xyxy)

    def with_picture(self, picture: bytes) -> Origin:
        """Return the origin of these facts."""
        return Origin(self.box_xyxy, self.crop, self.source_sha256, picture, self.product_xyxy)


@dataclass(frozen=True, slots=True)
class NewGalleryItem:
    """An item to add: label, source, unit row (D,) float32, and how it was made if that is to be kept."""

    label: str
    source: str
    embedding: NDArray[np.float32]
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """An item of a revision: id, label, and where its image came from."""

    id: int
    label: str
    source: str


@dataclass(frozen=True, slots=True)
class Revision:
    """One line of the log: time (ISO 8601, UTC), author, note, numbers of items added and removed.

    A renamed item counts as removed and added, a setting as neither. `digest` is the checksum of the whole content, in
    hexadecimal.
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
    """Items removed and added between two revisions, by id; a renamed item is in both.

    `settings`: names, sorted, of the settings that differ.
    """

    removed: tuple[GalleryItem, ...]
    added: tuple[GalleryItem, ...]
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A setting's new value in a revision; None if it was removed."""

    revision: int
    name: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Load:
    """Changes up to `revision`: ids removed, then ids and labels added.

    `labels` (N,) int32 are indices into `names`. If `whole`, `added` is the entire content and replaces what was known.
    """

    revision: int
    whole: bool
    removed: Ids
    added: Ids
    labels: NDArray[np.int32]
    names: list[str]


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """The index file recorded in a gallery: its SHA-256, revision and number of items."""

    sha256: str
    revision: int
    count: int
    parameters: GraphParameters


def item_of(item: int, label: object, source: object) -> GalleryItem:
    """Return a row as an item; raises `TypeError` if label or source is not text."""
    return GalleryItem(item, _text(label), _text(source))


def revision_of(line: Sequence[Any], digest: bytes) -> Revision:
    """Return a row of the log as a revision; raises `TypeError` if a text is not text."""
    number, created_at, author, note, added, removed = line
    return Revision(number, _text(created_at), _text(author), _text(note), added, removed, digest.hex())


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value


GRAPH = "SELECT sha256, revision, count, m, ef_construction, ef FROM graph"


def index_record(row: tuple[object, ...]) -> IndexRecord | None:
    """Return a row of `GRAPH` as a record, None if invalid: it names a file and goes to hnswlib."""
    digest, revision, *numbers = row
    named = isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)
    known = [number for number in numbers if isinstance(number, int) and 0 < number < 1 << 31]
    if not named or not isinstance(revision, int) or len(known) < len(numbers):
        return None
    count, m, ef_construction, ef = known
    try:
        parameters = GraphParameters(m, ef_construction, None if ef == default_ef(count) else ef)
        return IndexRecord(str(digest), revision, count, parameters)
    except GalleryError:
        return None
