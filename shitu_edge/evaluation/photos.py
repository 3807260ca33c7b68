"""Labeled photos through a recognizer: what it embeds, detects and answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..imaging.geometry import pair_boxes
from ..recognizer import Recognizer
from ..results import Detections, Match, RecognizedItem
from .boxes import COCO_IOUS, ProductCounts, average_precision
from .evaluation import BoxReport
from .queries import LabeledPhoto
from .retrieval import Rows

_LEAST_SCORE, _MOST_BOXES = 0.01, 100


@dataclass(frozen=True, slots=True)
class Seen:
    """A photo, its queries and what resembles them, best supported first, if the recognizer takes a second look.

    If the photo has boxes, also these in pixels, what the detector found and what was answered.
    """

    photo: LabeledPhoto
    rows: Rows
    sources: Sequence[str]
    labels: Sequence[str | None]
    truth: NDArray[np.float32]
    found: Detections | None
    items: tuple[RecognizedItem, ...]
    looked: Sequence[tuple[Match, ...]]


def look(recognizer: Recognizer, photo: LabeledPhoto, crop: bool) -> Seen:
    """Embed and recognize a photo; without boxes it is embedded alone, whole or, with `crop`, its product.

    Raises:
        ImageError: it cannot be read.
        OptionError: a box is outside of it.
    """
    nothing = np.zeros((0, 4), np.float32)
    looks = recognizer.look_state == "ready"
    if photo.boxes is None:
        rows = recognizer.embed(photo.path, crop=crop)
        looked = recognizer.nearest(photo.path, crop=crop) if looks else ()
        return Seen(photo, rows, [photo.source], [photo.label], nothing, None, (), looked)
    answer = recognizer.recognize(photo.path)
    truth = photo.boxes_xyxy(answer.width, answer.height)
    found = recognizer.detect(photo.path, detection_threshold=_LEAST_SCORE, max_boxes=_MOST_BOXES)
    if len(truth):
        rows = recognizer.embed(photo.path, truth)
    else:
        rows = np.zeros((0, recognizer.bundle.manifest.extractor.dim), np.float32)
    sources = [f"{photo.source} #{number}" for number in range(1, len(truth) + 1)]
    looked = recognizer.nearest(photo.path, truth) if looks and len(truth) else ()
    return Seen(photo, rows, sources, [thing.label for thing in photo.boxes], truth, found, answer.items, looked)


def _boxes_of(items: Iterable[RecognizedItem]) -> NDArray[np.float32]:
    return np.array([item.box_xyxy for item in items], np.float32).reshape(-1, 4)


def box_report(seen: Sequence[Seen], enrolled: set[str]) -> BoxReport:
    """Compare the boxes of photos with what was found in them; labels that are not enrolled count as unknown."""
    shown: Counter[str] = Counter()
    boxed: Counter[str] = Counter()
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    things = found = doubles = background = 0
    for one in seen:
        labels = [label if label in enrolled else None for label in one.labels]
        pairs = dict(pair_boxes(_boxes_of(one.items), one.truth))
        things, found = things + len(labels), found + len(pairs)
        shown.update(label for label in labels if label is not None)
        for number, item in enumerate(one.items):
            truth = labels[pairs[number]] if number in pairs else None
            if truth is not None:
                boxed[truth] += 1
            if item.decision == "accepted" and item.label is not None:
                (right if item.label == truth else wrong)[item.label] += 1
        spare = [box for number, box in enumerate(_boxes_of(one.items)) if number not in pairs]
        on_a_thing = sum(bool(pair_boxes(box[None], one.truth)) for box in spare)
        doubles, background = doubles + on_a_thing, background + len(spare) - on_a_thing
    detections = [(one.truth, one.found) for one in seen if one.found is not None]
    products = [ProductCounts(name, shown[name], boxed[name], right[name], wrong[name]) for name in {*shown, *wrong}]
    products.sort(key=lambda product: (product.recall if product.shown else 1.0, -product.wrong, product.label))
    return BoxReport(
        len(seen),
        things,
        average_precision(detections, 0.5),
        float(np.mean([average_precision(detections, share) for share in COCO_IOUS])),
        found / things if things else float("nan"),
        doubles / len(seen),
        background / len(seen),
        tuple(products),
    )


def basket(one: Seen, enrolled: set[str]) -> tuple[Counter[str], Counter[str]]:
    """Return what the answer counts of each label, and what lies there of the enrolled ones."""
    found = Counter(item.label for item in one.items if item.decision == "accepted" and item.label is not None)
    return found, Counter(label for label in one.labels if label is not None and label in enrolled)
