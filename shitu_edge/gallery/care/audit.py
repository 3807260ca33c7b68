"""What may be wrong with a gallery's labels and images, found by searching it for each of its own items."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ...results import Match
from ..index import Progress, Rows
from ..store import GalleryItem

_Near = list[tuple[float, GalleryItem]]
_QUERIES_AT_ONCE = 256
_DECIMALS = 6  # of similarities, so that the order of summing decides no tie
_SAME = 0.9999
_WITNESSES = 2


@dataclass(frozen=True, slots=True)
class AuditLimits:
    """How many matches are asked for an item, itself included, and the similarities from which on things are reported.

    On 1069 photos of 213 drinks (PaddleClas `drink_dataset_v2.0`) a quarter of the pairs of one label reaches 0.78; of
    the 26 pairs of two labels that reach 0.75, 24 show one product. Of 2 % of the items, put under a random other
    label, `mislabeled` lists 96 %, of these 99 % with the right suggestion, and three items more, two of them of a
    label that is there twice. The nearest neighbor alone, by as wide a margin, gives 97 % and seven items more.
    """

    neighbors: int = 16
    near_duplicate: float = 0.75
    margin: float = 0.25
    floor: float = 0.45


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two items of different labels that look the same, the lower id first; one is the other's nearest such item.

    `tied`: to the extractor they are one image, so that only their order decides which label is ever the answer.
    """

    first: GalleryItem
    second: GalleryItem
    similarity: float
    tied: bool


@dataclass(frozen=True, slots=True)
class Mislabeled:
    """An item that lies with another label's items and not with its own.

    `strength`, at least `margin`, is the mean similarity to the two nearest items of the suggested label, at least
    `floor`, less that to the two nearest of its own; one stands for two where a label has no more. For an item alone
    under its label, two others as similar as `near_duplicate` are needed. Items that share most of a label wrongly
    vouch for each other: `NearDuplicate` and `Confusion` show them. A blank image may come with another one's label.
    """

    entry: GalleryItem
    suggested: str
    strength: float
    nearest: GalleryItem


@dataclass(frozen=True, slots=True)
class Confusion:
    """Two labels, in alphabetical order, whose items have one of the other label as the nearest other item.

    `share` is that of the items so mistaken, both ways, among both labels' items that have another of their label.
    """

    first: str
    second: str
    first_as_second: int
    second_as_first: int
    share: float


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found, worst first.

    `recall_at_1`: of the items whose label has another, the share whose nearest other item has their label; a tie with
    another label counts as lost; None without such items. `unreachable`: items that a search for their own embedding
    does not return, in favor of less similar ones, by id; an index built anew may bring them back.
    """

    items: int
    labels: int
    recall_at_1: float | None
    near_duplicates: tuple[NearDuplicate, ...]
    mislabeled: tuple[Mislabeled, ...]
    confused: tuple[Confusion, ...]
    unreachable: tuple[GalleryItem, ...]


def audit(
    entries: Sequence[GalleryItem],
    vectors: Rows,
    search: Callable[[Rows, int], list[tuple[Match, ...]]],
    limits: AuditLimits = AuditLimits(),
    *,
    progress: Progress | None = None,
) -> Audit:
    """Search a gallery for each of its items, and tell which of them look wrong.

    Args:
        entries: N items. Matches with other ids, of items added since, are passed over.
        vectors: their embeddings, unit rows (N, D) float32.
        search: the gallery's own, of unit rows for their k best matches each; called for some hundred items at a time.
        limits: what to report.
        progress: called with the items that are done, and N.
    """
    assert len(entries) == len(vectors), (len(entries), len(vectors))
    findings = _Findings(entries, vectors, limits)
    for start in range(0, len(entries), _QUERIES_AT_ONCE):
        queries = vectors[start : start + _QUERIES_AT_ONCE]
        for row, matches in enumerate(search(queries, limits.neighbors), start):
            findings.take(row, matches)
        if progress:
            progress(start + len(queries), len(entries))
    return findings.audit()


class _Findings:
    """What has come to light so far."""

    def __init__(self, entries: Sequence[GalleryItem], vectors: Rows, limits: AuditLimits) -> None:
        self._entries, self._vectors, self._limits = entries, vectors, limits
        self._by_id = {entry.id: entry for entry in entries}
        self._rows: defaultdict[str, list[int]] = defaultdict(list)
        for row, entry in enumerate(entries):
            self._rows[entry.label].append(row)
        self._searched = {label: len(rows) if len(rows) > 1 else 0 for label, rows in self._rows.items()}
        self._near: dict[tuple[int, int], NearDuplicate] = {}
        self._mislabeled: list[Mislabeled] = []
        self._taken_for: Counter[tuple[str, str]] = Counter()
        self._unreachable: list[GalleryItem] = []

    def take(self, row: int, matches: tuple[Match, ...]) -> None:
        """Take the matches of an item's own embedding into account."""
        entry = self._entries[row]
        crowded = len(matches) == self._limits.neighbors and matches[-1].similarity >= _SAME  # by its copies
        if not crowded and all(match.item_id != entry.id for match in matches):
            self._unreachable.append(entry)
        known = (match for match in matches if match.item_id in self._by_id and match.item_id != entry.id)
        others = [(round(match.similarity, _DECIMALS), self._by_id[match.item_id]) for match in known]
        others.sort(key=lambda other: (-other[0], other[1].id))
        strangers = [other for other in others if other[1].label != entry.label]
        if self._searched[entry.label] and others:
            ahead = [stranger.label for similarity, stranger in strangers if similarity == others[0][0]]
            self._taken_for[entry.label, min(ahead, default=entry.label)] += 1
        similarity, stranger = strangers[0] if strangers else (-1.0, entry)
        if similarity >= self._limits.near_duplicate:
            first, second = sorted((entry, stranger), key=lambda item: item.id)
            self._near[first.id, second.id] = NearDuplicate(first, second, similarity, similarity >= _SAME)
        self._suggest(row, others)

    def _suggest(self, row: int, others: _Near) -> None:
        """Note the label whose items are nearer by the margin than the item's own, if there is one."""
        entry, by_label = self._entries[row], defaultdict[str, _Near](list)
        for similarity, other in others:
            by_label[other.label].append((similarity, other))
        own = [similarity for similarity, _ in by_label.pop(entry.label, [])]
        if len(own) < min(_WITNESSES, len(self._rows[entry.label]) - 1):  # the rest is farther than what was asked for
            companions = [companion for companion in self._rows[entry.label] if companion != row]
            own = sorted((self._vectors[companions] @ self._vectors[row]).tolist(), reverse=True)
        suggestions = []
        for label, near in by_label.items():
            needed = min(_WITNESSES, len(self._rows[label])) if own else _WITNESSES
            theirs = fmean([similarity for similarity, _ in near[:needed]])
            if len(near) >= needed and theirs >= self._limits.floor:
                ours = fmean(own[:needed]) if own else self._limits.near_duplicate - self._limits.margin
                suggestions.append(Mislabeled(entry, label, round(theirs - ours, _DECIMALS), near[0][1]))
        suggestions.sort(key=lambda item: (-item.strength, item.suggested))
        self._mislabeled += [item for item in suggestions[:1] if item.strength >= self._limits.margin]

    def audit(self) -> Audit:
        """Return what was found."""
        searched = sum(self._searched.values())
        return Audit(
            items=len(self._entries),
            labels=len(self._rows),
            recall_at_1=sum(self._taken_for[label, label] for label in self._rows) / searched if searched else None,
            near_duplicates=tuple(sorted(self._near.values(), key=lambda p: (-p.similarity, p.first.id, p.second.id))),
            mislabeled=tuple(sorted(self._mislabeled, key=lambda item: (-item.strength, item.entry.id))),
            confused=tuple(self._confused()),
            unreachable=tuple(sorted(self._unreachable, key=lambda entry: entry.id)),
        )

    def _confused(self) -> list[Confusion]:
        confused = []
        for first, second in {(min(pair), max(pair)) for pair in self._taken_for if pair[0] != pair[1]}:
            there, back = self._taken_for[first, second], self._taken_for[second, first]
            share = (there + back) / (self._searched[first] + self._searched[second])
            confused.append(Confusion(first, second, there, back, share))
        return sorted(confused, key=lambda c: (-c.first_as_second - c.second_as_first, -c.share, c.first, c.second))
