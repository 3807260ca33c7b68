"""The record of an evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..inputs.skipped import Skipped
from .baskets import Baskets
from .boxes import ProductCounts
from .open_set import OperatingPoint, PickLists, Spread
from .retrieval import Retrieval

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Query:
    """A query and its answer.

    Attributes:
        source: the image, with the number of the box if it has several.
        label: its true label, None for an unknown object without one.
        nearest, item, item_source: label, id and source of the nearest gallery item.
        similarity: cosine to it.
        own_rank: rank of the nearest item with the query's label, from 1; 0 if the gallery has none.
    """

    source: str
    label: str | None
    nearest: str | None
    item: int | None
    item_source: str
    similarity: float
    own_rank: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often queries of a label have an item of another one as their nearest."""

    label: str
    nearest: str
    count: int


@dataclass(frozen=True, slots=True)
class Attractor:
    """A gallery item that is the nearest of queries with another label: how many, and of its own label."""

    item: int
    label: str
    source: str
    wrong: int
    right: int


@dataclass(frozen=True, slots=True)
class BoxReport:
    """What detector and answers did to the boxes of labeled photos, at the recognizer's own settings but for AP.

    Attributes:
        photos, things: how many.
        ap50, ap: average precision of the detector at an IoU of 0.5, and over 0.5 to 0.95, as COCO.
        found: share of things that an answer boxes.
        doubles: boxes of the answers on a thing that another one boxes already, per photo.
        background: other boxes of the answers that are on no labeled thing, per photo.
        products: per label of the gallery, worst recall first.
    """

    photos: int
    things: int
    ap50: float
    ap: float
    found: float
    doubles: float
    background: float
    products: tuple[ProductCounts, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The value, and whether it is a calibrated one, on the score, or the bundle's, on the similarity."""

    value: float
    calibrated: bool


@dataclass(frozen=True, slots=True)
class LookReport:
    """What the queries' answers are after a second look.

    Attributes:
        recall_at_1: share of the known queries whose own label is the best supported one.
        working: what the recognizer's threshold does.
        targets: the operating points at 1, 2, 5 and 10 % false accepts.
    """

    recall_at_1: float
    working: OperatingPoint
    targets: tuple[tuple[float, OperatingPoint], ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All metrics.

    Attributes:
        kind: `queries`, or `leave_one_out`: each gallery item asks the others; known if its label has another item, and
            asks once more without its label, as an unknown object.
        threshold: that the recognizer names products by, as do `targets` and `curve`.
        working: what this threshold does to the queries' nearest items.
        lists: the labels that its answers leave possible; None by the similarity, which rules out all but one.
        targets: the operating points at 1, 2, 5 and 10 % false accepts.
        attractors: gallery items that draw queries of other labels, worst first.
        worst: known queries that the nearest item misnames, most similar first.
        boxes, baskets: only of labeled boxes.
        second_look: None if the recognizer takes none; the others are then of the answers without one.
    """

    kind: str
    gallery: str
    revision: int
    bundle: str
    precision: str
    items: int
    labels: int
    known: int
    unknown: int
    sampled: bool
    retrieval: Retrieval
    threshold: Threshold
    working: OperatingPoint
    lists: PickLists | None
    targets: tuple[tuple[float, OperatingPoint], ...]
    curve: tuple[OperatingPoint, ...]
    spread: Spread
    confusions: tuple[Confusion, ...]
    attractors: tuple[Attractor, ...]
    worst: tuple[Query, ...]
    boxes: BoxReport | None
    baskets: Baskets | None
    skipped: tuple[Skipped, ...]
    second_look: LookReport | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the record as values for `json.dumps`; NaN becomes None."""
        return {"schema_version": SCHEMA_VERSION, **_plain(asdict(self))}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and value != value else value
