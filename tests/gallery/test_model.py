"""A gallery file under random changes by two openings of it, against a plain dictionary."""

from __future__ import annotations

import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Change, Gallery, GalleryItem, GraphParameters, NewGalleryItem, Origin
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.live import live as live_module

from .rows import DIM, Rows, create, relabel, unit_rows

COMPLETE = GraphParameters(m=128, ef_construction=200, ef=5)
"""Every item is linked to every other among fewer than 128, so that a search is exact however little it looks at."""
MOST = 90
WRONG = "\udcff"

DOINGS = ("add", "remove", "remove new", "relabel", "relabel new", "set", "roll back", "be refused")

Content = dict[int, GalleryItem]
Pick = st.integers(0, 10**6)


def _halves(count: int) -> Rows:
    """Unit rows of four ±½, whose cosines are multiples of ¼ and exact: there are many equal ones."""
    rng = np.random.default_rng(5)
    rows = np.zeros((count, DIM), np.float32)
    for row in rows:
        row[rng.choice(DIM, 4, replace=False)] = rng.choice([-0.5, 0.5], 4)
    return rows


STORED = _halves(24)
QUERIES = np.concatenate([STORED[:2], _halves(26)[24:], unit_rows(2, seed=6)])
EXACT_QUERIES = 4

LABELS = st.sampled_from(
    [
        "tea",
        " tea\n",
        "Tea",
        "Caf\N{LATIN SMALL LETTER E WITH ACUTE}",
        "Cafe\N{COMBINING ACUTE ACCENT}",
        "牛奶",
        "🥛",
    ]
) | st.text(
    st.characters(categories=["L", "M", "N", "P", "S", "Zs"], exclude_characters="\u115f\u1160\u2800\u3164\uffa0"),
    min_size=1,
    max_size=3,
).filter(lambda label: unicodedata.category(label[0])[0] in "LNPS")
SOURCES = st.sampled_from(["", "a.jpg", "b.jpg", "牛/奶.jpg", "%", "a\0.jpg"])


class Zeros(bytes):
    """A picture that Hypothesis shows as a few characters."""

    def __repr__(self) -> str:
        return f"Zeros({len(self)})"


ORIGINS = (
    None,
    None,
    Origin(None, "whole", ""),
    Origin((0.5, 0.0, 1e9, 2.0), "box", "a" * 64),
    Origin(None, "detected", "0" * 64, b"\xff\xd8\xff", (1.0, 1.0, 2.0, 3.0)),
    Origin(None, "whole", "", Zeros(b"RIFF\0\0\0\0WEBP" + bytes(40_000))),
)
ITEMS = st.builds(NewGalleryItem, LABELS, SOURCES, st.sampled_from(list(STORED)), st.sampled_from(ORIGINS))
NAMES = st.sampled_from(["target", "look_alikes", "queries/0"])
VALUES = (None, b"", b"1", b"2", bytes(30_000))
SETTINGS = st.dictionaries(NAMES, st.sampled_from(range(len(VALUES))), max_size=3)
BAD_ITEMS = st.sampled_from(
    [
        NewGalleryItem(" ", "", STORED[0]),
        NewGalleryItem("a\nb", "", STORED[0]),
        NewGalleryItem("a\0b", "", STORED[0]),
        NewGalleryItem("x" * 201, "", STORED[0]),
        NewGalleryItem(WRONG, "", STORED[0]),
        NewGalleryItem("tea", "", STORED[0] * 2),
        NewGalleryItem("tea", "", STORED[0], Origin(None, "whole", "", b"GIF89a")),
    ]
)


def _normal(label: str) -> str:
    return unicodedata.normalize("NFC", label).strip()


@dataclass
class Model:
    """What a gallery should hold: the content of every revision, and what became of every entry."""

    contents: list[Content] = field(default_factory=lambda: [{}])
    settings: list[dict[str, bytes]] = field(default_factory=lambda: [{}])
    counts: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    notes: list[tuple[str, str]] = field(default_factory=lambda: [("", "created")])
    ended: list[tuple[int, int]] = field(default_factory=list)
    rows: dict[int, Rows] = field(default_factory=dict)
    origins: dict[int, Origin] = field(default_factory=dict)
    oldest: int = 1
    last_id: int = 0

    @property
    def revision(self) -> int:
        return len(self.contents)

    @property
    def now(self) -> Content:
        return self.contents[-1]

    def labels(self) -> set[str]:
        return {entry.label for entry in self.now.values()}

    def of_label(self, label: str) -> list[int]:
        return [number for number, entry in sorted(self.now.items()) if entry.label == _normal(label)]

    def prune(self, keep: int) -> tuple[int, int]:
        """How many entries, and how many items of which nothing is left."""
        horizon = self.revision - keep
        if horizon <= self.oldest:
            return 0, 0
        self.oldest = horizon
        forgotten = [number for number, revision in self.ended if revision <= horizon]
        self.ended = [(number, revision) for number, revision in self.ended if revision > horizon]
        lost = set(forgotten) - self.now.keys() - {number for number, _ in self.ended}
        for number in lost:
            del self.rows[number]
            self.origins.pop(number, None)
        return len(forgotten), len(lost)


class Draft:
    """A revision of a model in the making, of which nothing is kept unless it is committed."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.content = dict(model.now)
        self.settings = dict(model.settings[-1])
        self.rows: dict[int, Rows] = {}
        self.origins: dict[int, Origin] = {}
        self.last_id = model.last_id
        self.begun: set[int] = set()
        self.ended: set[int] = set()

    def add(self, item: NewGalleryItem) -> int:
        self.last_id += 1
        self.rows[self.last_id] = item.embedding
        if item.origin:
            self.origins[self.last_id] = item.origin
        self.enter(GalleryItem(self.last_id, _normal(item.label), item.source))
        return self.last_id

    def enter(self, entry: GalleryItem) -> None:
        self.content[entry.id] = entry
        self.begun.add(entry.id)

    def remove(self, number: int) -> GalleryItem:
        if number in self.begun:
            self.begun.remove(number)
        else:
            self.ended.add(number)
        return self.content.pop(number)

    def relabel(self, numbers: Iterable[int], label: str) -> list[GalleryItem]:
        """Those that have the label already are passed over."""
        before = [self.content[number] for number in numbers if self.content[number].label != _normal(label)]
        for entry in before:
            self.remove(entry.id)
            self.enter(GalleryItem(entry.id, _normal(label), entry.source))
        return before

    def roll_back(self, revision: int) -> None:
        wanted = self.model.contents[revision - 1]
        for number in [number for number, entry in self.content.items() if wanted.get(number) != entry]:
            self.remove(number)
        for number in wanted.keys() - self.content.keys():
            self.enter(wanted[number])
        self.settings = dict(self.model.settings[revision - 1])

    def set(self, name: str, value: bytes | None) -> None:
        self.settings.pop(name, None)
        if value is not None:
            self.settings[name] = value

    def commit(self, author: str = "", note: str = "") -> None:
        model = self.model
        model.last_id = self.last_id
        if self.begun or self.ended or self.settings != model.settings[-1]:
            model.contents.append(self.content)
            model.settings.append(self.settings)
            model.counts.append((len(self.begun), len(self.ended)))
            model.notes.append((author, note))
            model.ended += [(number, model.revision) for number in self.ended]
            model.rows.update((number, row) for number, row in self.rows.items() if number in self.content)
            model.origins.update((number, made) for number, made in self.origins.items() if number in self.content)


class Machine(RuleBasedStateMachine):
    """Does the same to a gallery, by either of two openings, and to a model, and compares them after every step."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "shop.gallery"
        self.openings = [create(self.path), Gallery.open(self.path, background=False)]
        self.asleep: int | None = None
        self.model = Model()
        self.steps = 0
        self.digests: dict[str, tuple[Content, dict[str, bytes]]] = {}

    def teardown(self) -> None:
        for gallery in self.openings:
            gallery.close()
        self.folder.cleanup()

    # -- choices

    def _by(self, opening: bool) -> Gallery:
        return self.openings[opening]

    def _ids(self, picks: list[int], content: Content) -> list[int]:
        known = sorted(content)
        return list(dict.fromkeys(known[pick % len(known)] for pick in picks)) if known else []

    def _known_revision(self, pick: int) -> int:
        return self.model.oldest + pick % (self.model.revision - self.model.oldest + 1)

    def _label(self, pick: int) -> str:
        known = sorted(self.model.labels())
        return known[pick % len(known)]

    def _has_items(self) -> bool:
        return bool(self.model.now)

    def _has_room(self) -> bool:
        return len(self.model.now) < MOST

    # -- changes

    @initialize(count=st.sampled_from([0, 3, 15, 60]), label=LABELS, indexed=st.booleans())
    def begin(self, count: int, label: str, indexed: bool) -> None:
        items = [NewGalleryItem(f"{i % 7}{label}", f"{i % 5}", STORED[i % len(STORED)]) for i in range(count)]
        self._add(self.openings[0], items)
        if items and indexed:
            self._reindex(self.openings[0], COMPLETE)

    @precondition(_has_room)
    @rule(opening=st.booleans(), items=st.lists(ITEMS, max_size=12))
    def add(self, opening: bool, items: list[NewGalleryItem]) -> None:
        self._add(self._by(opening), items)

    def _add(self, gallery: Gallery, items: list[NewGalleryItem]) -> None:
        draft = Draft(self.model)
        assert gallery.add(items) == [draft.add(item) for item in items]
        draft.commit()

    @precondition(_has_items)
    @rule(opening=st.booleans(), picks=st.lists(Pick, max_size=8))
    def remove(self, opening: bool, picks: list[int]) -> None:
        self._remove(self._by(opening), self._ids(picks, self.model.now))

    @precondition(_has_items)
    @rule(opening=st.booleans(), share=st.sampled_from([2, 3, 10]))
    def remove_many(self, opening: bool, share: int) -> None:
        self._remove(self._by(opening), sorted(self.model.now)[::-share])

    def _remove(self, gallery: Gallery, ids: list[int]) -> None:
        draft = Draft(self.model)
        assert gallery.remove(np.array(ids + ids[:2], np.int64)) == [draft.remove(number) for number in ids]
        draft.commit()

    @precondition(_has_items)
    @rule(opening=st.booleans(), pick=Pick, by=st.sampled_from(["label", "source", "both"]))
    def remove_by_name(self, opening: bool, pick: int, by: str) -> None:
        [chosen] = self._ids([pick], self.model.now)
        label = self.model.now[chosen].label if by != "source" else None
        source = self.model.now[chosen].source if by != "label" else None
        found = [
            number
            for number, entry in sorted(self.model.now.items())
            if label in (None, entry.label) and source in (None, entry.source)
        ]
        draft = Draft(self.model)
        given = label and f" {unicodedata.normalize('NFD', label)}\n"
        assert self._by(opening).remove(label=given, source=source) == [draft.remove(number) for number in found]
        draft.commit()

    @precondition(_has_items)
    @rule(opening=st.booleans(), pick=Pick, new_label=LABELS, merge=st.booleans())
    def rename(self, opening: bool, pick: int, new_label: str, merge: bool) -> None:
        label = self._label(pick)
        if _normal(new_label) == label or (_normal(new_label) in self.model.labels() and not merge):
            with pytest.raises(GalleryError, match="already"):
                self._by(opening).rename(label, new_label, merge=merge)
            return
        draft = Draft(self.model)
        before = draft.relabel(self.model.of_label(label), new_label)
        assert self._by(opening).rename(label, new_label, merge=merge, author="me") == before
        draft.commit("me")

    @precondition(_has_items)
    @rule(opening=st.booleans(), picks=st.lists(Pick, max_size=5), label=LABELS)
    def relabel(self, opening: bool, picks: list[int], label: str) -> None:
        draft = Draft(self.model)
        ids = self._ids(picks, self.model.now)
        before = draft.relabel(ids, label)
        assert relabel(self._by(opening), ids, label) == before
        draft.commit()

    @precondition(_has_items)
    @rule(opening=st.booleans(), pick=Pick, items=st.lists(ITEMS, max_size=4))
    def replace(self, opening: bool, pick: int, items: list[NewGalleryItem]) -> None:
        label = self._label(pick)
        draft = Draft(self.model)
        for number in self.model.of_label(label):
            draft.remove(number)
        expected = [draft.add(item) for item in items]
        assert self._by(opening).replace(label, items, note="new shape") == expected
        draft.commit("", "new shape")

    @rule(opening=st.booleans(), settings=SETTINGS)
    def set(self, opening: bool, settings: dict[str, int]) -> None:
        draft = Draft(self.model)
        with self._by(opening).change(author="me") as change:
            for name, number in settings.items():
                change.set(name, VALUES[number])
                draft.set(name, VALUES[number])
        draft.commit("me")

    @rule(
        opening=st.booleans(),
        doings=st.lists(st.tuples(st.sampled_from(DOINGS), Pick, ITEMS), max_size=8),
        aborted=st.booleans(),
    )
    def change(self, opening: bool, doings: list[tuple[str, int, NewGalleryItem]], aborted: bool) -> None:
        """Several changes in one revision, which is seen by nobody before it is made."""
        draft = Draft(self.model)
        with suppress(ZeroDivisionError), self._by(opening).change(author="me", note="several") as change:
            assert change.revision == self.model.revision + 1
            for what, pick, item in doings:
                self._do(what, change, draft, pick, item)
            assert change.find() == sorted(draft.content)
            assert change.settings() == draft.settings
            self._check_search(self.openings[self.steps % 2], 3)
            if aborted:
                raise ZeroDivisionError
        if not aborted:
            draft.commit("me", "several")
            assert change.revision == self.model.revision

    def _do(self, what: str, change: Change, draft: Draft, pick: int, item: NewGalleryItem) -> None:
        chosen = self._ids([pick], draft.content)
        new = self._ids([pick], {number: draft.content[number] for number in draft.begun})
        if what == "add" and len(draft.content) < MOST:
            assert change.add(item) == draft.add(item)
        elif what == "remove":
            assert change.remove(chosen) == [draft.remove(number) for number in chosen]
        elif what == "remove new":
            assert change.remove(new) == [draft.remove(number) for number in new]
        elif what == "relabel":
            assert change.relabel(chosen, item.label) == draft.relabel(chosen, item.label)
        elif what == "relabel new":
            assert change.relabel(new, item.label) == draft.relabel(new, item.label)
        elif what == "set":
            name, value = ["target", "look_alikes"][pick % 2], [None, b"1", b"2"][pick % 3]
            change.set(name, value)
            draft.set(name, value)
        elif what == "roll back":
            revision = self._known_revision(pick)
            change.roll_back(revision)
            draft.roll_back(revision)
        elif what == "be refused":
            with pytest.raises(GalleryError, match="no item has the id"):
                change.remove([*chosen, draft.last_id + 1])
            with pytest.raises(GalleryError, match="empty"):
                change.relabel(chosen, " ")
            with pytest.raises(GalleryError, match="expected a setting's name"):
                change.set("Target", b"")

    @rule(opening=st.booleans(), pick=Pick)
    def roll_back(self, opening: bool, pick: int) -> None:
        revision = self._known_revision(pick)
        draft = Draft(self.model)
        draft.roll_back(revision)
        draft.commit("", f"rolled back to revision {revision}")
        assert self._by(opening).history.rollback(revision) == self.model.revision

    @rule(opening=st.booleans(), keep=st.integers(0, 5))
    def prune(self, opening: bool, keep: int) -> None:
        assert self._by(opening).history.prune(keep) == self.model.prune(keep)

    @rule(opening=st.booleans(), good=ITEMS, bad=BAD_ITEMS, pick=Pick)
    def be_refused(self, opening: bool, good: NewGalleryItem, bad: NewGalleryItem, pick: int) -> None:
        gallery, model = self._by(opening), self.model
        missing = model.last_id + 1
        refused: list[Callable[[], object]] = [
            lambda: gallery.add([good, bad]),
            lambda: gallery.remove([missing]),
            lambda: gallery.remove(),
            lambda: gallery.remove([], label="tea"),
            lambda: gallery.remove(label="nowhere"),
            lambda: gallery.remove(source="nowhere"),
            lambda: gallery.rename("nowhere", "tea"),
            lambda: gallery.replace("nowhere", [good]),
            lambda: relabel(gallery, [missing], "tea"),
            lambda: gallery.history.rollback(model.revision + 1),
            lambda: gallery.history.rollback(model.oldest - 1),
            lambda: gallery.history.diff(model.oldest - 1, model.revision),
            lambda: gallery.history.prune(-1),
            lambda: gallery.embeddings([missing]),
            lambda: gallery.search(QUERIES, 0),
        ]
        if model.now:
            [chosen] = self._ids([pick], model.now)
            label = self._label(pick)
            refused += [
                lambda: gallery.remove([chosen, missing]),
                lambda: relabel(gallery, [chosen, missing], "tea"),
                lambda: relabel(gallery, [chosen], " "),
                lambda: gallery.rename(label, WRONG),
                lambda: gallery.rename(label, label),
                lambda: gallery.replace(label, [good, bad]),
            ]
        else:
            refused.append(gallery.index.rebuild)
        for refusal in refused:
            with pytest.raises(GalleryError):
                refusal()

    # -- the graph and the openings

    @precondition(_has_items)
    @rule(opening=st.booleans(), meanwhile=st.none() | Pick)
    def reindex(self, opening: bool, meanwhile: int | None) -> None:
        """Meanwhile the other opening may change what is being indexed."""
        self._reindex(self._by(opening), COMPLETE, meanwhile=meanwhile, other=self._by(not opening))

    @precondition(_has_items)
    @rule(opening=st.booleans(), items=st.lists(ITEMS, max_size=3), meanwhile=st.none() | Pick)
    def extend_graph(self, opening: bool, items: list[NewGalleryItem], meanwhile: int | None) -> None:
        """The other one asks for parameters of another `ef`, with which a graph can be extended too."""
        if self._has_room():
            self._add(self._by(not opening), items)
        parameters = None if opening else replace(COMPLETE, ef=3)
        self._reindex(self._by(opening), parameters, anew=False, meanwhile=meanwhile, other=self._by(not opening))

    def _reindex(
        self,
        gallery: Gallery,
        parameters: GraphParameters | None,
        *,
        anew: bool = True,
        meanwhile: int | None = None,
        other: Gallery | None = None,
    ) -> None:
        def progress(done: int, total: int) -> None:
            assert done == total
            if other and meanwhile is not None:
                self._remove(other, self._ids([meanwhile], self.model.now))
                self._add(other, [NewGalleryItem("late", "", STORED[meanwhile % len(STORED)])])

        gallery.index.rebuild(parameters, extend=not anew, progress=progress)
        self._check_search(gallery, 4)
        info = gallery.info()
        assert info.search == "graph"
        if meanwhile is None:
            assert info.pending == 0
            assert info.dead <= (0 if anew else 0.1 * (info.items + info.dead))

    @rule(opening=st.booleans())
    def reopen(self, opening: bool) -> None:
        self.openings[opening].close()
        self.openings[opening] = Gallery.open(self.path, background=False)

    @rule(which=st.sampled_from([None, 0, 1]))
    def sleep(self, which: int | None) -> None:
        """An opening that is not asked for a while has several changes to catch up with."""
        self.asleep = which

    # -- what must hold

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        self.steps += 1
        for number, gallery in enumerate(self.openings):
            if number != self.asleep:
                for k in (1, 4, 1000):
                    self._check_search(gallery, k)
                gallery._live.upkeep.wait()
                self._check_view(gallery)
        self._check_content(self.openings[self.steps % 2 if self.asleep is None else 1 - self.asleep])

    @invariant()
    def is_sound(self) -> None:
        found = verify(self.path)
        assert (found.revision, found.items) == (self.model.revision, len(self.model.now))
        assert (found.faults, found.recall) in (((), None), ((), 1.0))

    def _check_content(self, gallery: Gallery) -> None:
        model = self.model
        assert (gallery.revision, len(gallery)) == (model.revision, len(model.now))
        assert gallery.items() == [model.now[number] for number in sorted(model.now)]
        assert [*gallery.settings().items()] == sorted(model.settings[-1].items())
        assert gallery.label_counts() == Counter(entry.label for entry in model.now.values())
        for label in sorted(model.labels())[:1]:
            decomposed = unicodedata.normalize("NFD", f" {label}")
            assert [entry.id for entry in gallery.items(decomposed)] == model.of_label(label)
        if model.rows:
            ids = sorted(model.rows)[::-1]
            np.testing.assert_array_equal(gallery.embeddings(ids), [model.rows[number] for number in ids])
        assert gallery.origins(range(1, model.last_id + 2)) == model.origins
        with_picture = {number for number, made in model.origins.items() if made.picture}
        assert gallery.info().pictures == len(with_picture & model.now.keys())
        for number in sorted(set(range(1, model.last_id + 2)) - model.rows.keys())[-2:]:
            with pytest.raises(GalleryError, match=f"no item has the id {number}"):
                gallery.embeddings([number])

        log = gallery.history.log()[::-1]
        assert [line.id for line in log] == list(range(1, model.revision + 1))
        assert [(line.added, line.removed) for line in log] == model.counts
        assert [(line.author, line.note) for line in log] == model.notes
        held = list(zip(model.contents, model.settings, strict=True))
        for line, content in zip(log, held, strict=True):
            assert self.digests.setdefault(line.digest, content) == content
        distinct = {(frozenset(content.values()), frozenset(settings.items())) for content, settings in held}
        assert len({line.digest for line in log}) == len(distinct)

        rng = np.random.default_rng(self.steps)
        for base, head in rng.integers(model.oldest, model.revision + 1, (2, 2)).tolist():
            before, after = set(model.contents[base - 1].values()), set(model.contents[head - 1].values())
            diff = gallery.history.diff(base, head)
            assert diff.removed == tuple(sorted(before - after, key=lambda entry: entry.id))
            assert diff.added == tuple(sorted(after - before, key=lambda entry: entry.id))
            differing = {*model.settings[base - 1].items()} ^ {*model.settings[head - 1].items()}
            assert diff.settings == tuple(sorted({name for name, _ in differing}))

    def _check_search(self, gallery: Gallery, k: int) -> None:
        content = self.model.now
        ids = np.array(sorted(content), np.int64)
        rows = np.array([self.model.rows[number] for number in ids.tolist()], np.float64).reshape(-1, DIM)
        cosines = QUERIES.astype(np.float64) @ rows.T
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]

        revision, answers = gallery.search_with_revision(QUERIES, k)

        assert revision == self.model.revision
        found = np.array([[match.item_id for match in row] for row in answers], np.int64).reshape(len(QUERIES), -1)
        similarities = np.array([[match.similarity for match in row] for row in answers]).reshape(found.shape)
        assert found.shape == order.shape
        assert all(len(set(row)) == len(row) and content.keys() >= set(row) for row in found.tolist())
        places = np.searchsorted(ids, found)
        np.testing.assert_allclose(similarities, np.take_along_axis(cosines, order, axis=1), atol=1e-5)
        np.testing.assert_allclose(similarities, np.take_along_axis(cosines, places, axis=1), atol=1e-5)
        assert all(match.label == content[match.item_id].label for row in answers for match in row)
        if gallery.info().search == "exact":
            np.testing.assert_array_equal(found[:EXACT_QUERIES], ids[order][:EXACT_QUERIES])

    def _check_view(self, gallery: Gallery) -> None:
        info, graph = gallery.info(), gallery._live._view.graph
        assert (info.revision, info.items, info.labels) == (
            self.model.revision,
            len(self.model.now),
            len(self.model.labels()),
        )
        held = set(graph.ids.tolist()) if graph else set()
        pending, dead = len(self.model.now.keys() - held), len(held - self.model.now.keys())
        assert (info.search, info.pending, info.dead) == (("graph", pending, dead) if graph else ("exact", 0, 0))
        behind = graph is None or pending > 0.02 * len(self.model.now) or dead > 0.1 * len(held)
        assert gallery.index.is_due() == (len(self.model.now) >= live_module.GRAPH_FROM and behind)


def test_a_gallery_is_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "GRAPH_FROM", 10)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            derandomize=True, deadline=None, max_examples=60, stateful_step_count=30, report_multiple_bugs=False
        ),
    )
