"""An answer in sentences: for each box what it resembles, what was required, and what would change the decision."""

from __future__ import annotations

from collections.abc import Iterator

from . import Box, LabelCandidate, Recognition, RecognizedItem

_SMALL = 48
"""Pixels of a crop's shorter side below which detail is missing whatever the network."""
_DROPPED = {
    "below_threshold": "the whole image resembles no gallery item enough",
    "no_texture": "the whole image shows a single color",
    "suppressed": "a recognized item that ranks higher covers it",
    "deadline": "there was no time left to look at it; allow more, or detect less",
    "max_boxes": "enough boxes with better scores were looked at; raise max_boxes to see it",
    "negative": "the whole image resembles an item that was enrolled as not a product",
}


def explain(answer: Recognition) -> tuple[str, ...]:
    """Return a line on the threshold, then one or more per item and dropped box; indented lines belong to one above."""
    return tuple(_lines(answer))


def _lines(answer: Recognition) -> Iterator[str]:
    yield _threshold(answer)
    for number, item in enumerate(answer.items, 1):
        yield f"{number}: {_decision(item)}, box {_shown(item.box_xyxy)}"
        yield from (f"   {line}" for line in _reasons(item, answer))
    for dropped in answer.dropped:
        what = "" if dropped.label is None else f" ({dropped.label}, similarity {dropped.similarity:.3f})"
        yield f"dropped: box {_shown(dropped.box_xyxy)}{what}: {_DROPPED[dropped.reason]}"


def _threshold(answer: Recognition) -> str:
    found = answer.calibration
    if found is None or found.threshold is None:
        why = ""
        if found is not None and found.products:
            why = f", because the gallery is not calibrated ({found.products} products)"
        elif found is not None:
            why = ", until the gallery is calibrated"
        return f"An object gets a label from a similarity of {answer.threshold:.3f}{why}."
    sure = "an estimate" if found.confidence is None else f"{found.confidence:.0%} sure"
    return (
        f"An object gets a label from a score of {found.threshold:.3f}, for {found.max_false_accept:.1%} false accepts "
        f"({sure}, {found.state}, from {found.products} products)."
    )


def _decision(item: RecognizedItem) -> str:
    if item.negative:
        return "unknown, resembles an item that was enrolled as not a product"
    return item.decision if item.label is None else f"{item.decision} {item.label}"


def _reasons(item: RecognizedItem, answer: Recognition) -> Iterator[str]:
    if not item.matches:
        yield "the gallery is empty"
        return
    if item.candidates:
        yield f"resembles {', '.join(map(_candidate, item.candidates))}"
    reached = item.similarity if item.score is None else item.score
    scale = "similarity" if item.score is None else "score"
    if answer.threshold is not None and reached is not None and not item.negative:
        missing = answer.threshold - reached
        if item.decision == "unknown":
            yield f"{scale} {reached:.3f}: {missing:.3f} more are needed; more photos of the product may bring them"
        else:
            yield f"{scale} {reached:.3f}: {-missing:.3f} more than needed"
    if item.decision == "ambiguous":
        yield "the runner-up label is within the margin: ask a person"
    left, top, right, bottom = item.box_xyxy
    if min(right - left, bottom - top) < _SMALL:
        size = f"{right - left:.0f} × {bottom - top:.0f}"
        yield f"the crop is {size} pixels: move the camera nearer, or use a larger image"


def _candidate(candidate: LabelCandidate) -> str:
    return f"{candidate.label} {candidate.similarity:.3f} ({candidate.share:.0%})"


def _shown(box: Box) -> str:
    return " ".join(f"{side:.0f}" for side in box)
