"""Labeled images, or a gallery's own items, through a recognizer: every metric in one record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..calibration import LOWEST_SCORE, Calibrator
from ..calibration.stored import read_stored
from ..errors import GalleryError, ImageError, OptionError
from ..gallery import Gallery, GalleryItem
from ..gallery.labels import NEGATIVE
from ..gallery.protocol import require_extractor
from ..inputs.skipped import Skipped
from ..recognizer import Recognizer
from ..system.progress import StepProgress
from .baskets import Baskets, compare_baskets
from .evaluation import Attractor, BoxReport, Confusion, Evaluation, LookReport, Query, Threshold
from .open_set import TARGETS, Answers, PickLists, pick_lists, spread
from .photos import Seen, basket, box_report, look
from .queries import LabeledPhoto
from .retrieval import Ids, Ranks, Rows, rank
from .second_look import after_second_look

MOST_OF_A_GALLERY = 5000
"""Queries of leave-one-out."""
_LISTED = 20


@dataclass(frozen=True, slots=True)
class _Asked:
    """Embedded queries: rows (Q, D), and per query its source and label."""

    rows: Rows
    sources: Sequence[str]
    labels: Sequence[str | None]


def evaluate(
    recognizer: Recognizer,
    gallery: Gallery,
    photos: Sequence[LabeledPhoto],
    *,
    crop: bool = False,
    progress: StepProgress = lambda *_: None,
) -> Evaluation:
    """Evaluate on labeled images.

    A photo with a label is embedded whole or, with `crop`, as the product that it shows; of a photo with boxes every
    box is, and the photo is recognized as a customer's would be.

    Raises:
        FingerprintError: the gallery was made with another extractor.
        GalleryError: no image can be read, or the gallery is empty.
    """
    items, rows, numbers = _content(recognizer, gallery)
    threshold = _threshold(recognizer, gallery)
    target = recognizer.calibration(wait=True) if recognizer.gallery_search is gallery else None
    seen: list[Seen] = []
    skipped: list[Skipped] = []
    for done, photo in enumerate(photos, 1):
        try:
            seen.append(look(recognizer, photo, crop))
        except (ImageError, OptionError) as error:  # or a box outside of the image
            skipped.append(Skipped(photo.source, str(error).removeprefix(f"{photo.path}: ")))
        progress("images", done, len(photos))
    if not seen:
        raise GalleryError(
            "; ".join(["no labeled image can be read", *(f"{one.source}: {one.reason}" for one in skipped[:1])])
        )
    asked = _Asked(
        np.concatenate([one.rows for one in seen]),
        [source for one in seen for source in one.sources],
        [label for one in seen for label in one.labels],
    )
    query_numbers = np.array([-1 if label is None else numbers.get(label, -1) for label in asked.labels], np.int64)
    ranks = rank(
        asked.rows,
        query_numbers,
        rows,
        _numbers_of(items, numbers),
        negative=numbers.get(NEGATIVE, -1),
        progress=_step(progress, "ranks"),
    )
    boxed = [one for one in seen if one.photo.boxes is not None]
    looked = [matches for one in seen for matches in one.looked]
    report = None
    if target is not None and target.threshold is not None and len(looked) == len(asked.labels):
        report = after_second_look(asked.labels, looked, ranks, target.threshold)
    return _evaluation(
        recognizer, gallery, "queries", False, items, asked, ranks, _answers(ranks, threshold, items), threshold,
        boxes=box_report(boxed, set(numbers)) if boxed else None,
        baskets=compare_baskets([basket(one, set(numbers)) for one in boxed]) if boxed else None,
        skipped=tuple(skipped), second_look=report,
    )  # fmt: skip


def leave_one_out(
    recognizer: Recognizer,
    gallery: Gallery,
    *,
    most_queries: int = MOST_OF_A_GALLERY,
    progress: StepProgress = lambda *_: None,
) -> Evaluation:
    """Evaluate a gallery on its own items, without further images.

    Args:
        most_queries: of a gallery with more items, so many are asked about, the same ones each time.

    Raises:
        FingerprintError: the gallery was made with another extractor.
        GalleryError: the gallery is empty.
    """
    items, rows, numbers = _content(recognizer, gallery)
    threshold = _threshold(recognizer, gallery)
    own = _numbers_of(items, numbers)
    chosen = np.flatnonzero([item.label != NEGATIVE for item in items])
    sampled = len(chosen) > most_queries
    if sampled:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, most_queries, replace=False))
    asked = _Asked(rows[chosen], [items[place].source for place in chosen], [items[place].label for place in chosen])

    def itself(part: slice) -> NDArray[np.bool_]:
        mask = np.zeros((part.stop - part.start, len(items)), bool)
        mask[np.arange(len(mask)), chosen[part]] = True
        return mask

    def its_label(part: slice) -> NDArray[np.bool_]:
        same: NDArray[np.bool_] = own[None, :] == own[chosen[part], None]
        return same

    ranks = rank(
        asked.rows,
        own[chosen],
        rows,
        own,
        exclude=itself,
        negative=numbers.get(NEGATIVE, -1),
        progress=_step(progress, "ranks"),
    )
    foreign = rank(asked.rows, own[chosen], rows, own, exclude=its_label, progress=_step(progress, "unknown"))
    known = _answers(ranks, threshold, items)
    unknown = _answers(foreign, threshold, items)
    answers = Answers(
        np.concatenate([known.scores[known.known], unknown.scores]),
        np.concatenate([known.right[known.known], unknown.right]),
        np.concatenate([known.known[known.known], unknown.known]),
    )
    return _evaluation(recognizer, gallery, "leave_one_out", sampled, items, asked, ranks, answers, threshold)


def _threshold(recognizer: Recognizer, gallery: Gallery) -> Threshold:
    """Return what a recognizer with this gallery names products by without a second look."""
    policy = recognizer.policy
    calibrator = Calibrator(gallery, None, recognizer.bundle.cohort(), recognizer.extractor_info.precision)
    target = calibrator.stored().target or policy.target
    found = None if target is None else calibrator.kept_at(target, wait=True)
    if found is not None and found.threshold is not None:
        return Threshold(found.threshold, calibrated=True)
    return Threshold(policy.similarity_threshold, calibrated=False)


def _step(progress: StepProgress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)


def _content(recognizer: Recognizer, gallery: Gallery) -> tuple[list[GalleryItem], Rows, dict[str, int]]:
    """Return a gallery's items, their rows, and the number of each label."""
    extractor = recognizer.bundle.manifest.extractor
    require_extractor(gallery, extractor.network.name, extractor.fingerprint)
    items = gallery.items()
    if not items:
        raise GalleryError(f"{gallery.path}: is empty: enroll products first (`shitu-edge gallery build`)")
    labels = sorted({item.label for item in items})
    return items, gallery.embeddings([item.id for item in items]), {label: place for place, label in enumerate(labels)}


def _numbers_of(items: Sequence[GalleryItem], numbers: dict[str, int]) -> Ids:
    return np.array([numbers[item.label] for item in items], np.int64)


def _answers(ranks: Ranks, threshold: Threshold, items: Sequence[GalleryItem]) -> Answers:
    """Return the nearest items as answers, scored by what the threshold is compared with.

    An item that is not a product gives no label, so its score is below all others.
    """
    scores = ranks.score if threshold.calibrated else np.nan_to_num(ranks.similarity, nan=-1.0)
    negative = np.array([item.label == NEGATIVE for item in items] + [False])[ranks.nearest]
    return Answers(np.where(negative, LOWEST_SCORE, scores), ranks.own_rank == 1, ranks.known)


def _evaluation(
    recognizer: Recognizer,
    gallery: Gallery,
    kind: str,
    sampled: bool,
    items: Sequence[GalleryItem],
    asked: _Asked,
    ranks: Ranks,
    answers: Answers,
    threshold: Threshold,
    *,
    boxes: BoxReport | None = None,
    baskets: Baskets | None = None,
    skipped: tuple[Skipped, ...] = (),
    second_look: LookReport | None = None,
) -> Evaluation:
    names = np.array([label or "" for label in asked.labels])
    own = _answers(ranks, threshold, items)
    of_known = Answers(own.scores[ranks.known], own.right[ranks.known], own.known[ranks.known])
    queries = [_query(asked, ranks, int(place), items) for place in np.flatnonzero(ranks.known)]
    wrong = [query for query in queries if query.own_rank != 1]
    pairs = Counter((query.label or "", query.nearest or "") for query in wrong)
    return Evaluation(
        kind=kind,
        gallery=Path(gallery.path).name,
        revision=gallery.revision,
        bundle=recognizer.bundle.manifest.name,
        precision=recognizer.extractor_info.precision,
        items=len(items),
        labels=len({item.label for item in items} - {NEGATIVE}),
        known=int(answers.known.sum()),
        unknown=int((~answers.known).sum()),
        sampled=sampled,
        retrieval=ranks.retrieval(),
        threshold=threshold,
        working=answers.at(threshold.value),
        lists=_pick_lists(gallery, ranks, own, items, names, threshold) if threshold.calibrated else None,
        targets=tuple((target, answers.at_false_accepts(target)) for target in TARGETS),
        curve=answers.curve(),
        spread=spread(of_known, names[ranks.known], threshold.value),
        confusions=tuple(Confusion(*labels, count) for labels, count in pairs.most_common(_LISTED)),
        attractors=_attractors(queries, items),
        worst=tuple(sorted(wrong, key=lambda query: -query.similarity)[:_LISTED]),
        boxes=boxes,
        baskets=baskets,
        skipped=skipped,
        second_look=second_look,
    )


def _pick_lists(
    gallery: Gallery,
    ranks: Ranks,
    own: Answers,
    items: Sequence[GalleryItem],
    names: NDArray[np.str_],
    threshold: Threshold,
) -> PickLists:
    """Return what answers leave possible; a person is always asked about look-alikes."""
    listed, own_listed = ranks.listed.copy(), ranks.own_listed.copy()
    look_alikes = read_stored(gallery.settings(), gallery.meta.dim).look_alikes
    for place, nearest in enumerate(ranks.nearest) if look_alikes else ():
        group = look_alikes.get(items[nearest].label, frozenset()) if nearest >= 0 else frozenset()
        if group:
            listed[place] = max(2, listed[place])
            own_listed[place] |= str(names[place]) in group
    of = ranks.known
    return pick_lists(own.scores[of], listed[of], own_listed[of], threshold.value)


def _query(asked: _Asked, ranks: Ranks, place: int, items: Sequence[GalleryItem]) -> Query:
    nearest = items[ranks.nearest[place]] if ranks.nearest[place] >= 0 else None
    return Query(
        asked.sources[place],
        asked.labels[place],
        nearest.label if nearest else None,
        nearest.id if nearest else None,
        nearest.source if nearest else "",
        float(ranks.similarity[place]),
        int(ranks.own_rank[place]),
    )


def _attractors(queries: Sequence[Query], items: Sequence[GalleryItem]) -> tuple[Attractor, ...]:
    wrong = Counter(query.item for query in queries if query.own_rank != 1)
    right = Counter(query.item for query in queries if query.own_rank == 1)
    by_id = {item.id: item for item in items}
    worst = sorted((one for one in wrong if one is not None), key=lambda one: (right[one] - wrong[one], one))[:_LISTED]
    return tuple(Attractor(one, by_id[one].label, by_id[one].source, wrong[one], right[one]) for one in worst)
