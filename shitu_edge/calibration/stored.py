"""Settings of a gallery for its calibration: the target, labeled queries, confirmed look-alikes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..bundle import Target
from ..errors import GalleryError
from ..gallery import Gallery
from ..gallery.label_settings import LOOK_ALIKES, QUERY_LABELS, read_groups
from ..schema import build

T = TypeVar("T")

MOST_QUERIES = 2000
_TARGET = "target"
_ROWS = "queries/rows/"
_BYTES_AT_ONCE = 512 << 10


@dataclass(frozen=True, slots=True)
class Queries:
    """Labeled images of what a camera shows, embedded: unit rows (Q, D), and a label each, None for none.

    A label that the gallery does not have, and None, is an unknown object. `precision` is that of the extractor.
    """

    rows: NDArray[np.float32]
    labels: tuple[str | None, ...]
    precision: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The settings; all of them optional. `faults` say what is left out, because it is not understood."""

    target: Target | None = None
    queries: Queries | None = None
    look_alikes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _QueryLabels:
    precision: str
    labels: tuple[str | None, ...]


def read_stored(settings: Mapping[str, bytes], dim: int) -> Stored:
    """Return what a gallery's settings hold, without what another version wrote or what does not fit together."""
    faults, none_alike = list[str](), dict[str, frozenset[str]]()

    def understood(read: Callable[[], T], instead: T) -> T:
        try:
            return read()
        except GalleryError as error:
            faults.append(str(error))
        except (ValueError, RecursionError) as error:
            faults.append(
                f"the gallery's calibration cannot be read ({error}); forget it with `shitu-edge calibrate --forget`"
            )
        return instead

    target = understood(lambda: _target(settings), None)
    queries = understood(lambda: _queries(settings, dim), None)
    look_alikes = understood(lambda: _look_alikes(settings), none_alike)
    return Stored(target, queries, look_alikes, tuple(faults))


def store(
    gallery: Gallery,
    target: Target | None = None,
    queries: Queries | None = None,
    *,
    author: str = "",
    note: str = "calibrated",
) -> None:
    """Keep a target and labeled queries in a gallery, each instead of an earlier one; None leaves it. One revision.

    Of more than 2 000 queries as many are kept, the same ones each time.

    Raises:
        GalleryError: the file cannot be written.
    """
    with gallery.change(author=author, note=note) as change:
        if target is not None:
            change.set(_TARGET, json.dumps(asdict(target)).encode())
        if queries is not None:
            for name in change.settings():
                if name.startswith(_ROWS):
                    change.set(name, None)
            for name, value in _encoded(queries).items():
                change.set(name, value)


def forget(gallery: Gallery, *, author: str = "", note: str = "calibration forgotten") -> None:
    """Remove the target and the labeled queries from a gallery. One revision; look-alikes stay if they can be read.

    Raises:
        GalleryError: the file cannot be written.
    """
    with gallery.change(author=author, note=note) as change:
        for name in change.settings():
            if name in (_TARGET, QUERY_LABELS) or name.startswith(_ROWS):
                change.set(name, None)
        try:
            read_groups(change.settings().get(LOOK_ALIKES))
        except GalleryError:
            change.set(LOOK_ALIKES, None)


def sampled(queries: Queries) -> Queries:
    """Return at most 2 000 of the queries, the same ones each time."""
    if len(queries.labels) <= MOST_QUERIES:
        return queries
    chosen = np.sort(np.random.default_rng(0).permutation(len(queries.labels))[:MOST_QUERIES])
    return replace(queries, rows=queries.rows[chosen], labels=tuple(queries.labels[place] for place in chosen))


def _encoded(queries: Queries) -> dict[str, bytes]:
    kept = sampled(queries)
    content = kept.rows.astype("<f2").tobytes()
    parts = range(0, len(content), _BYTES_AT_ONCE)
    facts = json.dumps({"precision": kept.precision, "labels": kept.labels}, ensure_ascii=False)
    return {QUERY_LABELS: facts.encode()} | {
        f"{_ROWS}{number:02}": content[start : start + _BYTES_AT_ONCE] for number, start in enumerate(parts)
    }


def _target(settings: Mapping[str, bytes]) -> Target | None:
    value = settings.get(_TARGET)
    return None if value is None else build(Target, json.loads(value))


def _queries(settings: Mapping[str, bytes], dim: int) -> Queries | None:
    value = settings.get(QUERY_LABELS)
    if value is None:
        return None
    facts = build(_QueryLabels, json.loads(value))
    content = b"".join(settings[name] for name in sorted(settings) if name.startswith(_ROWS))
    if len(content) != 2 * dim * len(facts.labels) or len(facts.labels) > MOST_QUERIES:
        raise ValueError(f"{len(facts.labels)} labeled queries have {len(content)} bytes of embeddings")
    rows = np.frombuffer(content, "<f2").reshape(-1, dim).astype(np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.abs(lengths - 1) < 0.01).all():
        raise ValueError("the labeled queries are not unit rows")
    return Queries(rows / lengths, facts.labels, facts.precision)


def _look_alikes(settings: Mapping[str, bytes]) -> dict[str, frozenset[str]]:
    groups: Sequence[Sequence[str]] = read_groups(settings.get(LOOK_ALIKES))
    return {label: frozenset(group) for group in groups for label in group}
