"""Patches: a range of revisions in a file, with which copies of a gallery can follow.

    magic       a line that names the format
    digest      SHA-256 of all that follows, 32 bytes
    length      of the head in bytes, 8 of them, little-endian
    head        JSON: the gallery, and what each revision removes and adds
    vectors     float32, little-endian: the embeddings that the base lacks, in the head's order of items
    values      the new values of settings, in the head's order (only in patches of settings, `patch 2`)
    pictures    those of the new embeddings' origins, in the head's order (only in patches of origins, `patch 3`)

A patch repeats the revisions exactly, so the next patch fits the patched copy too. The digest protects from damage, not
from forgery: accept patches only from a trusted source.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path

from ...errors import GalleryError, MisfitError, os_errors_as
from ...schema import build
from ...system.files import open_regular, parse_json
from ...system.unfinished import replace, unfinished
from ..gallery import Gallery
from ..store import Replay, SettingChange, Step
from ..store.connection import is_gallery
from ..store.records import OriginFacts
from ..store.replay import leads_to
from ..store.schema import MOST_PICTURE, MOST_VALUE

_MAGIC = b"shitu-edge gallery patch 1\n"
_MAGIC_WITH_SETTINGS = b"shitu-edge gallery patch 2\n"
_MAGIC_WITH_ORIGINS = b"shitu-edge gallery patch 3\n"
"""Of patches with settings, and with origins; others keep the earlier form, which earlier versions can apply."""
_LENGTH = struct.Struct("<Q")
_DIGEST_BYTES = hashlib.sha256().digest_size
_AT_ONCE = 1 << 20
_MAX_BYTES = 1 << 30
"""Half a million embeddings of 512 numbers; reading takes as much memory, plus the head's."""
_MAX_HEAD_BYTES = 16 << 20
"""About 150 000 changes; parsed, it takes up to 35 times as much memory."""


@dataclass(frozen=True, slots=True)
class PatchInfo:
    """A patch's content: base and resulting revision, numbers of items removed and added, and the file's size."""

    base: int
    head: int
    removed: int
    added: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Setting:
    """A setting's name in a revision, and the bytes of its new value; None if it was removed."""

    revision: int
    name: str
    bytes: int | None


@dataclass(frozen=True, slots=True)
class _Origin:
    """An item's origin, and the bytes of its picture."""

    item: int
    facts: OriginFacts
    bytes: int


@dataclass(frozen=True, slots=True)
class _Head:
    """A patch without its vectors, values and pictures."""

    gallery: str
    extractor: str
    fingerprint: str
    dim: int
    base: int
    lineage: str
    steps: tuple[Step, ...]
    items: tuple[int, ...]
    settings: tuple[_Setting, ...] = ()
    origins: tuple[_Origin, ...] = ()

    @property
    def payload_bytes(self) -> int:
        """Size of the vectors, values and pictures."""
        values = sum(setting.bytes or 0 for setting in self.settings)
        return 4 * self.dim * len(self.items) + values + sum(origin.bytes for origin in self.origins)

    @property
    def magic(self) -> bytes:
        """The earliest form that can hold it; later ones sort after it."""
        return _MAGIC_WITH_ORIGINS if self.origins else _MAGIC_WITH_SETTINGS if self.settings else _MAGIC

    def is_valid(self) -> bool:
        """Return whether the sizes are such as a patch may have."""
        sizes = [setting.bytes for setting in self.settings if setting.bytes is not None]
        unique = len(set(self.items)) == len(self.items)
        with_origin = {origin.item for origin in self.origins}
        unique &= len(with_origin) == len(self.origins) and with_origin <= set(self.items)
        fit = all(0 <= size <= MOST_VALUE for size in sizes)
        fit &= all(0 <= origin.bytes <= MOST_PICTURE for origin in self.origins)
        return bool(self.steps) and self.dim >= 1 and unique and fit


def write_patch(gallery: Gallery, base: int, head: int, path: Path) -> PatchInfo:
    """Write the revisions after `base` up to `head` atomically; an earlier file is replaced.

    Raises:
        GalleryError: the revisions do not exist, were pruned or are too large, or the file cannot be written.
    """
    if is_gallery(path):
        raise GalleryError(f"{path}: is a gallery; give the patch another name")
    recorded = gallery.history.record(base, head)
    meta = gallery.meta
    facts = _Head(
        gallery.history.id,
        meta.extractor,
        meta.fingerprint,
        meta.dim,
        base,
        recorded.history_hash,
        recorded.steps,
        tuple(recorded.vectors),
        tuple(_Setting(change.revision, change.name, _size(change.value)) for change in recorded.settings),
        tuple(_Origin(item, OriginFacts.of(one), len(one.picture)) for item, one in recorded.origins.items()),
    )
    magic, text = facts.magic, _head_bytes(facts)
    values = [change.value for change in recorded.settings if change.value is not None]
    pictures = [origin.picture for origin in recorded.origins.values()]
    size = len(magic) + _DIGEST_BYTES
    if len(text) > _MAX_HEAD_BYTES or size + _LENGTH.size + len(text) + facts.payload_bytes > _MAX_BYTES:
        raise GalleryError(f"{path}: revisions {base} to {head} exceed the size of a patch; copy the gallery instead")
    with os_errors_as(GalleryError, path, "cannot be written"), unfinished(path) as partial:
        with partial.open("wb") as stream:
            stream.write(magic + bytes(_DIGEST_BYTES))
            digest = hashlib.sha256()
            for piece in (_LENGTH.pack(len(text)), text, *recorded.vectors.values(), *values, *pictures):
                digest.update(piece)
                size += stream.write(piece)
            stream.seek(len(magic))
            stream.write(digest.digest())
            stream.flush()
            os.fsync(stream.fileno())
        replace(partial, path)
    return _info(facts, size)


def apply_patch(gallery: Gallery, path: Path) -> PatchInfo | None:
    """Repeat a patch's revisions, all or none; return its content, None if the gallery has them already.

    Raises:
        GalleryError: the file is missing, too large, damaged or not a patch, or is for another gallery, extractor or
            base revision.
    """
    with os_errors_as(GalleryError, path), open_regular(path) as stream:
        facts, size = _read_head(stream, path)
        _require_fit(facts, gallery, path)
        vectors = {item: stream.read(4 * facts.dim) for item in facts.items}
        settings = tuple(
            SettingChange(setting.revision, setting.name, None if setting.bytes is None else stream.read(setting.bytes))
            for setting in facts.settings
        )
        origins = {origin.item: origin.facts.with_picture(stream.read(origin.bytes)) for origin in facts.origins}
    recorded = Replay(facts.base, facts.lineage, facts.steps, vectors, settings, origins)
    try:
        head, history_hash = leads_to(recorded)
        if gallery.history.hash(head) == history_hash:
            return None
        gallery.history.repeat(recorded)
    except MisfitError as error:
        raise GalleryError(f"{path}: cannot be applied to {gallery.path}: {error}") from error
    except (OverflowError, ValueError) as error:  # values that no gallery could have written
        raise GalleryError(f"{path}: is damaged: {error}") from error
    return _info(facts, size)


def _read_head(stream: BufferedReader, path: Path) -> tuple[_Head, int]:
    """Check digest and sizes; return head and file size, with the stream at the vectors."""
    size = os.fstat(stream.fileno()).st_size
    magic = stream.read(len(_MAGIC))
    if magic not in (_MAGIC, _MAGIC_WITH_SETTINGS, _MAGIC_WITH_ORIGINS):
        raise GalleryError(f"{path}: is not a gallery patch of this version")
    if size > _MAX_BYTES:
        raise GalleryError(f"{path}: is larger than {_MAX_BYTES >> 20} MiB; take a new copy of the gallery instead")
    expected, found = stream.read(_DIGEST_BYTES), hashlib.sha256()
    while piece := stream.read(_AT_ONCE):
        found.update(piece)
    stream.seek(len(_MAGIC) + _DIGEST_BYTES)
    length_bytes = stream.read(_LENGTH.size)
    if found.digest() != expected or len(length_bytes) < _LENGTH.size:
        raise GalleryError(f"{path}: is damaged: checksum mismatch")
    (length,) = _LENGTH.unpack(length_bytes)
    if length > min(_MAX_HEAD_BYTES, size):
        raise GalleryError(f"{path}: is damaged: its head cannot have {length} bytes")
    try:
        facts = build(_Head, parse_json(stream.read(length)))
    except ValueError as error:
        raise GalleryError(f"{path}: is damaged: {error}") from error
    if not facts.is_valid() or size - stream.tell() != facts.payload_bytes or magic < facts.magic:
        raise GalleryError(f"{path}: is damaged: the sizes of its parts contradict each other")
    return facts, size


def _head_bytes(facts: _Head) -> bytes:
    """Return the head as JSON, without settings and origins in the form that it had before them."""
    record = asdict(facts)
    for later in ("settings", "origins"):
        if not record[later]:
            del record[later]
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def _size(value: bytes | None) -> int | None:
    return None if value is None else len(value)


def _require_fit(facts: _Head, gallery: Gallery, path: Path) -> None:
    if facts.gallery != gallery.history.id:
        raise GalleryError(f"{path}: is for another gallery ({facts.gallery[:8]!r}), not for a copy of {gallery.path}")
    if (facts.fingerprint, facts.dim) != (gallery.meta.fingerprint, gallery.meta.dim):
        raise GalleryError(f"{path}: holds embeddings of another extractor ({facts.extractor!r:.80})")


def _info(facts: _Head, size: int) -> PatchInfo:
    removed = sum(len(step.removed) for step in facts.steps)
    added = sum(len(step.added) for step in facts.steps)
    return PatchInfo(facts.base, facts.steps[-1].revision.id, removed, added, size)
