"""Doubtful labels and images of a gallery, found by searching it for each of its items."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ...results import Match
from ..index import Progress, Rows
from ..label_settings import joined
from ..store import GalleryItem

_Near = list[tuple[float, GalleryItem]]
_QUERIES_AT_ONCE = 256
_DECIMALS = 6  # of similarities, so that summing order does not decide ties
_SAME = 0.9999
_WITNESSES = 2
_ALIKE_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class AuditLimits:
    """Matches per item, itself included, and the similarities from which findings are reported.

    On 1069 photos of 213 drinks (PaddleClas `drink_dataset_v2.0`) a quarter of the pairs of one label reaches 0.78; of
    the 26 pairs of two labels that reach 0.75, 24 show one product. With 2 % of the items mislabeled at random,
    `mislabeled` lists 96 % of them, 99 % of these with the right suggestion, and three other items.
    """

    neighbors: int = 16
    near_duplicate: float = 0.75
    margin: float = 0.25
    floor: float = 0.45


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two items of different labels that look the same, the lower id first.

    `tied`: the extractor cannot tell them apart, so their order alone decides the answer.
    """

    first: GalleryItem
    second: GalleryItem
    similarity: float
    tied: bool


@dataclass(frozen=True, slots=True)
class Mislabeled:
    """An item closer to another label's items than to its own.

    `strength`, at least `margin`, is the mean similarity to the two nearest items of the suggested label (at least
    `floor`) minus that to the two nearest of its own; for labels of one item, that one counts alone. An item that is
    alone under its label needs two others as similar as `near_duplicate`. Several wrong items under one label confirm
    each other: `NearDuplicate` and `Confusion` show them.
    """

    entry: GalleryItem
    suggested: str
    strength: float
    nearest: GalleryItem


@dataclass(frozen=True, slots=True)
class Confusion:
    """Two labels, in alphabetical order, with items whose nearest other item has the other label.

    `share`: such items, both ways, among the items of both labels that have another of their label.
    """

    first: str
    second: str
    first_as_second: int
    second_as_first: int
    share: float


@dataclass(frozen=True, slots=True)
class Audit:
    """The findings, worst first.

    `recall_at_1`: share of items whose nearest other item has their label, among those whose label has another item;
    ties count as lost; None without such items. `unreachable`: items, by id, that a search for their own embedding does
    not return; rebuilding the index may help. `look_alikes`: groups of labels that images hardly tell apart, for a
    person to confirm.
    """

    items: int
    labels: int
    recall_at_1: float | None
    near_duplicates: tuple[NearDuplicate, ...]
    mislabeled: tuple[Mislabeled, ...]
    confused: tuple[Confusion, ...]
    unreachable: tuple[GalleryItem, ...]
    look_alikes: tuple[tuple[str, ...], ...] = ()


def _is_alike(confusion: Confusion) -> bool:
    """Return whether two labels are confused both ways, and a third of the time."""
    both_ways = confusion.first_as_second > 0 and confusion.second_as_first > 0
    return both_ways and confusion.share >= _ALIKE_SHARE


def audit(
    items: Sequence[GalleryItem],
    vectors: Rows,
    search: Callable[[Rows, int], list[tuple[Match, ...]]],
    limits: AuditLimits = AuditLimits(),
    *,
    progress: Progress | None = None,
) -> Audit:
    """Search a gallery for each of its items, and report those that look wrong.

    Args:
        items: N items. Matches with other ids, of items added since, are skipped.
        vectors: their embeddings, unit rows (N, D) float32.
        search: the gallery's, from unit rows and k to their matches; called with some hundred rows.
        limits: thresholds.
        progress: called with the items done and N.
    """
    assert len(items) == len(vectors), (len(items), len(vectors))
    findings = _Findings(items, vectors, limits)
    for start in range(0, len(items), _QUERIES_AT_ONCE):
        queries = vectors[start : start + _QUERIES_AT_ONCE]
        for row, matches in enumerate(search(queries, limits.neighbors), start):
            findings.take(row, matches)
        if progress:
            progress(start + len(queries), len(items))
    return findings.audit()


class _Findings:
    """Findings so far."""

    def __init__(self, items: Sequence[GalleryItem], vectors: Rows, limits: AuditLimits) -> None:
        self._items, self._vectors, self._limits = items, vectors, limits
        self._by_id = {item.id: item for item in items}
        self._rows: defaultdict[str, list[int]] = defaultdict(list)
        for row, item in enumerate(items):
            self._rows[item.label].append(row)
        self._searched = {label: len(rows) if len(rows) > 1 else 0 for label, rows in self._rows.items()}
        self._near: dict[tuple[int, int], NearDuplicate] = {}
        self._mislabeled: list[Mislabeled] = []
        self._taken_for: Counter[tuple[str, str]] = Counter()
        self._unreachable: list[GalleryItem] = []

    def take(self, row: int, matches: tuple[Match, ...]) -> None:
        """Add the matches of an item's own embedding."""
        item = self._items[row]
        crowded = len(matches) == self._limits.neighbors and matches[-1].similarity >= _SAME  # by its copies
        if not crowded and all(match.item_id != item.id for match in matches):
            self._unreachable.append(item)
        known = (match for match in matches if match.item_id in self._by_id and match.item_id != item.id)
        others = [(round(match.similarity, _DECIMALS), self._by_id[match.item_id]) for match in known]
        others.sort(key=lambda other: (-other[0], other[1].id))
        foreign = [other for other in others if other[1].label != item.label]
        if self._searched[item.label] and others:
            ahead = [other.label for similarity, other in foreign if similarity == others[0][0]]
            self._taken_for[item.label, min(ahead, default=item.label)] += 1
        similarity, other = foreign[0] if foreign else (-1.0, item)
        if similarity >= self._limits.near_duplicate:
            first, second = sorted((item, other), key=lambda item: item.id)
            self._near[first.id, second.id] = NearDuplicate(first, second, similarity, similarity >= _SAME)
        self._suggest(row, others)

    def _suggest(self, row: int, others: _Near) -> None:
        """Record the label whose items are nearer than the item's own by the margin, if any."""
        item, by_label = self._items[row], defaultdict[str, _Near](list)
        for similarity, other in others:
            by_label[other.label].append((similarity, other))
        own = [similarity for similarity, _ in by_label.pop(item.label, [])]
        if len(own) < min(_WITNESSES, len(self._rows[item.label]) - 1):  # the others are not among the matches
            companions = [companion for companion in self._rows[item.label] if companion != row]
            own = sorted((self._vectors[companions] @ self._vectors[row]).tolist(), reverse=True)
        suggestions = []
        for label, near in by_label.items():
            needed = min(_WITNESSES, len(self._rows[label])) if own else _WITNESSES
            theirs = fmean([similarity for similarity, _ in near[:needed]])
            if len(near) >= needed and theirs >= self._limits.floor:
                ours = fmean(own[:needed]) if own else self._limits.near_duplicate - self._limits.margin
                suggestions.append(Mislabeled(item, label, round(theirs - ours, _DECIMALS), near[0][1]))
        suggestions.sort(key=lambda item: (-item.strength, item.suggested))
        self._mislabeled += [item for item in suggestions[:1] if item.strength >= self._limits.margin]

    def audit(self) -> Audit:
        """Return the findings."""
        confused, near = tuple(self._confused()), self._near.values()
        alike = [(one.first, one.second) for one in confused if _is_alike(one)]
        alike += [(pair.first.label, pair.second.label) for pair in near if pair.tied]
        searched = sum(self._searched.values())
        return Audit(
            items=len(self._items),
            labels=len(self._rows),
            recall_at_1=sum(self._taken_for[label, label] for label in self._rows) / searched if searched else None,
            near_duplicates=tuple(sorted(near, key=lambda p: (-p.similarity, p.first.id, p.second.id))),
            mislabeled=tuple(sorted(self._mislabeled, key=lambda item: (-item.strength, item.entry.id))),
            confused=confused,
            unreachable=tuple(sorted(self._unreachable, key=lambda item: item.id)),
            look_alikes=joined(alike),
        )

    def _confused(self) -> list[Confusion]:
        confused = []
        for first, second in {(min(pair), max(pair)) for pair in self._taken_for if pair[0] != pair[1]}:
            there, back = self._taken_for[first, second], self._taken_for[second, first]
            share = (there + back) / (self._searched[first] + self._searched[second])
            confused.append(Confusion(first, second, there, back, share))
        return sorted(confused, key=lambda c: (-c.first_as_second - c.second_as_first, -c.share, c.first, c.second))
