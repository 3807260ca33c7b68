"""Random changes of a gallery as plain data: planned on a model of it, then done to a real one by another process.

An operation is a JSON list that begins with its kind. The model is what must come of it, in Python's own types: ids are
given in order and never again, and every revision is a whole content.
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
import struct
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from shitu_edge.gallery import Gallery, GraphParameters, NewGalleryItem, Origin
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch

from .rows import DIM, Rows, unit_rows

Operation = list[Any]
Facts = tuple[str, str, int]
"""A label, a source, and the seed of the row and the origin."""
Content = dict[int, Facts]
Settings = dict[str, int]
"""The seeds of the values, by name."""

SMALL_GRAPH = GraphParameters(m=8, ef_construction=60, ef=60)
_FEW, _MANY = 25, 160
_WEIGHTS = {
    "add": 4,
    "remove": 3,
    "rename": 2,
    "replace": 2,
    "change": 3,
    "rollback": 3,
    "prune": 2,
    "reindex": 2,
    "extend": 2,
    "patch": 2,
    "set": 2,
}
KINDS = tuple(_WEIGHTS)
CHANGES = ("add", "remove", "rename", "replace", "change", "rollback", "set")
"""Kinds of what can be in a patch."""
_NAMES = ("target", "look_alikes", "queries/0", "queries/1")
_ENTRY = struct.Struct("<qqq")
_SETTING = struct.Struct("<8sqq")
_ORIGIN = struct.Struct("<8sqqq")


@lru_cache(maxsize=100_000)
def row(seed: int) -> Rows:
    """Return the unit row (DIM,) of a seed."""
    only: Rows = unit_rows(1, DIM, seed)[0]
    return only


@lru_cache(maxsize=100_000)
def origin(seed: int) -> Origin | None:
    """Return the origin of a seed: of three one has none and one a picture, of which few have several pages."""
    if seed % 3 == 0:
        return None
    sha256 = hashlib.sha256(b"%d" % seed).hexdigest()
    if seed % 3 == 1:
        return Origin((0.0, 0.5, 10.0, 1.0 + seed), "detected", sha256)
    size = 20_000 if seed % 40 == 0 else seed % 1000
    picture = b"\xff\xd8\xff" + random.Random(seed).randbytes(size)
    return Origin(None, "whole", sha256, picture, (1.0, 2.0, 3.0, 4.0 + seed))


@lru_cache(maxsize=100_000)
def _digest(item: int, facts: Facts) -> int:
    """What `schema.entry_digest` and `schema.origin_digest` say of themselves, once more."""
    label, source, seed = facts
    head = _ENTRY.pack(item, len(label.encode()), len(source.encode()))
    digest = int.from_bytes(hashlib.sha256(head + f"{label}{source}".encode() + row(seed).tobytes()).digest(), "little")
    return digest + _origin_digest(item, origin(seed))


def _origin_digest(item: int, made: Origin | None) -> int:
    if made is None:
        return 0
    box, product = (
        "null" if sides is None else f"[{', '.join(map(str, sides))}]".replace(" ", "")
        for sides in (made.box_xyxy, made.product_xyxy)
    )
    sha256, picture = made.source_sha256, made.picture
    facts = f'{{"box_xyxy":{box},"crop":"{made.crop}","source_sha256":"{sha256}","product_xyxy":{product}}}'.encode()
    head = _ORIGIN.pack(b"origin\0\xff", item, len(facts), len(picture))
    return int.from_bytes(hashlib.sha256(head + facts + picture).digest(), "little")


def value(seed: int) -> bytes:
    """Return the value of a seed: from none to many pages."""
    return random.Random(seed).randbytes(seed * 10)


@lru_cache(maxsize=100_000)
def _setting_digest(name: str, seed: int) -> int:
    """What `schema.setting_digest` says of itself, once more."""
    head = _SETTING.pack(b"setting\xff", len(name), len(value(seed)))
    return int.from_bytes(hashlib.sha256(head + name.encode() + value(seed)).digest(), "little")


def content_digest(content: Content, settings: Settings | None = None) -> str:
    """Return the digest of a content, in hexadecimal."""
    digests = [_digest(item, facts) for item, facts in content.items()]
    digests += [_setting_digest(name, seed) for name, seed in (settings or {}).items()]
    total = sum(digests) % (1 << 256)
    return total.to_bytes(32, "little").hex()


@dataclass(frozen=True, slots=True)
class Model:
    """What a gallery must hold: the newest revision, the next id, and what those hold that can be returned to."""

    revision: int
    contents: dict[int, Content]
    next_id: int
    settings: dict[int, Settings]

    @classmethod
    def empty(cls) -> Model:
        return cls(1, {1: {}}, 1, {1: {}})

    @property
    def content(self) -> Content:
        return self.contents[self.revision]

    def digest(self, revision: int | None = None) -> str:
        """Return the digest of a revision, by default of the newest."""
        number = self.revision if revision is None else revision
        return content_digest(self.contents[number], self.settings[number])

    def after(self, operation: Operation) -> Model:
        """Return what an operation makes of this."""
        kind, *values = operation
        if kind in ("reindex", "extend"):
            return self
        if kind == "prune":
            horizon = max(self.revision - values[0], min(self.contents))
            contents = {n: held for n, held in self.contents.items() if n >= horizon}
            return Model(self.revision, contents, self.next_id, {n: self.settings[n] for n in contents})
        if kind == "patch":
            model = self
            for step in values[0]:
                model = model.after(step)
            new = [n for n in model.contents if n > self.revision]
            seen = max((item for n in new for item in model.contents[n]), default=0)  # what a change took back is not
            return Model(model.revision, model.contents, max(self.next_id, seen + 1), model.settings)
        content, next_id, changed = self._changed(kind, values)
        settings = self._set(kind, values)
        if not changed and settings == self.settings[self.revision]:
            return Model(self.revision, self.contents, next_id, self.settings)
        number = self.revision + 1
        return Model(number, {**self.contents, number: content}, next_id, {**self.settings, number: settings})

    def _set(self, kind: str, values: list[Any]) -> Settings:
        if kind == "rollback":
            return self.settings[values[0]]
        given = values[0] if kind == "set" else {}
        return {name: seed for name, seed in (self.settings[self.revision] | given).items() if seed is not None}

    def _changed(self, kind: str, values: list[Any]) -> tuple[Content, int, bool]:
        content, next_id = dict(self.content), self.next_id
        if kind == "rollback":
            content = dict(self.contents[values[0]])
            return content, next_id, content != self.content
        if kind == "set":
            return content, next_id, False
        new: Iterable[Any] = ()
        if kind == "add":
            (new,) = values
        elif kind == "replace":
            label, new = values
            content = {item: facts for item, facts in content.items() if facts[0] != label}
        elif kind == "rename":
            content = _relabeled(content, [item for item, facts in content.items() if facts[0] == values[0]], values[1])
        elif kind == "remove":
            content = {item: facts for item, facts in content.items() if item not in values[0]}
        else:  # a change of everything at once; its last new item goes again at once
            new, gone, renamed, label = values
            content = _relabeled(content, renamed, label)
            content = {item: facts for item, facts in content.items() if item not in gone}
        for facts in new:
            content[next_id] = (facts[0], facts[1], facts[2])
            next_id += 1
        if kind == "change":
            del content[next_id - 1]
        return content, next_id, True


def _relabeled(content: Content, items: Iterable[int], label: str) -> Content:
    return content | {item: (label, *content[item][1:]) for item in items}


def plan(chance: random.Random, model: Model, length: int) -> tuple[list[Operation], list[Model]]:
    """Return operations, and the models before the first and after each."""
    operations, models = [], [model]
    for _ in range(length):
        operations.append(choose(chance, models[-1]))
        models.append(models[-1].after(operations[-1]))
    return operations, models


def choose(chance: random.Random, model: Model, kinds: tuple[str, ...] = KINDS) -> Operation:
    """Return an operation that a gallery of this content takes."""
    content = model.content
    kind = chance.choices(kinds, [_WEIGHTS[kind] for kind in kinds])[0]
    if len(content) < _FEW:
        return ["add", _new(chance, _FEW)]
    if len(content) > _MANY:
        return ["remove", chance.sample(sorted(content), _MANY // 2)]
    some = chance.sample(sorted(content), chance.randint(2, 12))
    label = content[some[0]][0]
    if kind == "add":
        return [kind, _new(chance, chance.randint(1, 30))]
    if kind == "remove":
        return [kind, some]
    if kind == "rename":
        return [kind, label, f"renamed {chance.random()}"]
    if kind == "replace":
        return [kind, label, _new(chance, chance.randint(1, 6))]
    if kind == "change":
        return [kind, _new(chance, chance.randint(2, 6)), some[1:], some[:1], f"changed {chance.random()}"]
    if kind == "rollback":
        return [kind, chance.choice(sorted(model.contents))]
    if kind == "prune":
        return [kind, chance.randint(0, 12)]
    if kind == "patch":
        steps: list[Operation] = [["add", _new(chance, 3)]]
        for _ in range(3):
            model = model.after(steps[-1])
            steps.append(choose(chance, model, CHANGES))
        return [kind, steps]
    if kind == "set":
        names = chance.sample(_NAMES, chance.randint(1, 3))
        return [kind, {name: chance.choice([None, chance.randrange(2000)]) for name in names}]
    return [kind]


def _new(chance: random.Random, count: int) -> list[Facts]:
    seeds = [chance.randrange(2000) for _ in range(count)]
    return [(f"product {seed % 40}", f"{seed}.jpg", seed) for seed in seeds]


def do(gallery: Gallery, operation: Operation) -> None:
    """Do an operation to a gallery."""
    kind, *values = operation
    if kind == "add":
        gallery.add(_items(values[0]))
    elif kind == "remove":
        gallery.remove(values[0])
    elif kind == "rename":
        gallery.rename(values[0], values[1])
    elif kind == "replace":
        gallery.replace(values[0], _items(values[1]))
    elif kind == "change":
        _change(gallery, *values)
    elif kind == "rollback":
        gallery.history.rollback(values[0])
    elif kind == "prune":
        gallery.history.prune(values[0])
    elif kind == "set":
        _set(gallery, values[0])
    elif kind == "patch":
        apply_patch(gallery, written_patch(gallery, values[0], gallery.path.with_name("twin")))
    else:
        gallery.index.rebuild(SMALL_GRAPH if kind == "reindex" else None, extend=kind != "reindex")


def written_patch(gallery: Gallery, steps: list[Operation], twin: Path) -> Path:
    """Do some steps to a copy of a gallery, and return the patch that they make, which lies beside the copy."""
    for suffix in ("", "-wal", "-shm"):
        twin.with_name(twin.name + suffix).unlink(missing_ok=True)
    with closing(sqlite3.connect(gallery.path)) as source, closing(sqlite3.connect(twin)) as target:
        source.backup(target)
    path = twin.with_name(f"{twin.name}.patch")
    with Gallery.open(twin, background=False) as copy:
        for step in steps:
            do(copy, step)
        write_patch(copy, gallery.revision, copy.revision, path)
    return path


def _change(gallery: Gallery, new: list[Facts], gone: list[int], renamed: list[int], label: str) -> None:
    with gallery.change() as change:
        change.relabel(renamed, label)
        change.remove(gone)
        added = [change.add(item) for item in _items(new)]
        change.remove(added[-1:])


def _set(gallery: Gallery, settings: dict[str, int | None]) -> None:
    with gallery.change() as change:
        for name, seed in settings.items():
            change.set(name, b"for a moment")
            change.set(name, None if seed is None else value(seed))


def check_model(gallery: Gallery, model: Model) -> None:
    """Check that a gallery holds the newest content and settings of a model; see `check_content`."""
    check_content(gallery, model.content)
    assert gallery.settings() == {name: value(seed) for name, seed in model.settings[model.revision].items()}


def _items(new: Iterable[Facts]) -> list[NewGalleryItem]:
    return [NewGalleryItem(label, source, row(seed), origin(seed)) for label, source, seed in new]


def check_content(gallery: Gallery, content: Content) -> None:
    """Check that a gallery holds a content, and that its searches answer as comparing with everything does."""
    entries = gallery.items()
    assert {entry.id: (entry.label, entry.source) for entry in entries} == {
        item: facts[:2] for item, facts in content.items()
    }
    ids = [entry.id for entry in entries]
    rows = np.stack([row(content[item][2]) for item in ids]) if ids else np.empty((0, DIM), np.float32)
    np.testing.assert_array_equal(gallery.embeddings(ids) if ids else rows, rows)
    made = {item: origin(facts[2]) for item, facts in content.items()}
    assert gallery.origins(ids) == {item: found for item, found in made.items() if found}
    assert gallery.info().pictures == sum(bool(found and found.picture) for found in made.values())
    queries = unit_rows(2, DIM, seed=5)
    cosines = dict(zip(ids, rows.astype(np.float64) @ queries.T.astype(np.float64), strict=True))
    everything = max(1, len(ids))  # which a graph finds too; of a few it may miss one
    for k in (3, everything) if gallery.info().search == "exact" else (everything,):
        for number, matches in enumerate(gallery.search(queries, k)):
            found = [match.item_id for match in matches]
            best = sorted(ids, key=lambda item, number=number: -cosines[item][number])[:k]  # type: ignore[misc]
            assert [match.label for match in matches] == [content[item][0] for item in found]
            assert len(set(found)) == len(found) == min(k, len(ids))
            expected = [cosines[item][number] for item in best]
            np.testing.assert_allclose([match.similarity for match in matches], expected, atol=2e-6)
            np.testing.assert_allclose([cosines[item][number] for item in found], expected, atol=2e-6)
