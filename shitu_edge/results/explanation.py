"""An answer in sentences: for each box what it resembles, what was required, and what would change the decision."""

from __future__ import annotations

from collections.abc import Iterator

from ..ranges import percent
from . import Box, Calibration, LabelCandidate, Recognition, RecognizedItem, SecondLook

_SMALL = 48
"""Pixels of a crop's shorter side below which detail is missing whatever the network."""
_DROPPED = {
    "below_threshold": "the whole image resembles no gallery item enough",
    "no_texture": "the whole image shows a single color",
    "suppressed": "a recognized item that ranks higher covers it",
    "deadline": "there was no time left to look at it; allow more, or detect less",
    "max_boxes": "enough boxes with better scores were looked at; raise max_boxes to see it",
    "outside": "its center lies outside the region",
    "ignored": "its center lies in a zone to ignore",
    "too_small": "it is smaller than the view's min_size",
    "too_large": "it is larger than the view's max_size",
    "background": "it shows just what the empty counter shows there",
    "no_product": "it resembles nothing in the gallery, and looks like no product: a lamp, print, a shelf",
    "negative": "the whole image resembles an item that was enrolled as not a product",
}


def explain(answer: Recognition) -> tuple[str, ...]:
    """Return a line on the threshold, then one or more per item and dropped box; indented lines belong to one above."""
    return tuple(_lines(answer))


def _lines(answer: Recognition) -> Iterator[str]:
    yield threshold_line(answer.calibration, answer.threshold)
    yield look_line(answer.second_look)
    if answer.tiles_left_out:
        yield f"No time for {_counted(answer.tiles_left_out, 'tile')}: what is small may be missed there."
    for number, item in enumerate(answer.items, 1):
        yield f"{number}: {_decision(item)}, box {_shown(item.box_xyxy)}"
        yield from (f"   {line}" for line in _reasons(item, answer))
    for dropped in answer.dropped:
        what = "" if dropped.label is None else f" ({dropped.label}, similarity {dropped.similarity:.3f})"
        yield f"dropped: box {_shown(dropped.box_xyxy)}{what}: {_DROPPED[dropped.reason]}"


def threshold_line(found: Calibration | None, threshold: float | None) -> str:
    """Return from what on an object gets a label, and what that was derived from.

    Args:
        found: the gallery's calibration; None if no target is stated.
        threshold: the similarity threshold that decides without a calibrated one.
    """
    if found is None or found.threshold is None:
        why = ""
        if found is not None and found.products:
            why = f", because the gallery is not calibrated ({_counted(found.products, 'product')})"
        elif found is not None:
            why = ", because the gallery is empty or not calibrated yet"
        return f"An object gets a label from a similarity of {threshold:.3f}{why}."
    return f"An object gets a label from a score of {found.threshold:.3f}, for {kept(found)} ({_basis(found)})."


_NO_LOOK = {
    "off": "it is off",
    "preparing": "the gallery's photos are being compared in the background",
    "no_opencv": "OpenCV is not installed (extra opencv)",
    "no_file": "the gallery is not a file",
    "few_pictures": "fewer than 20 products have a picture in the gallery",
    "no_gain": "with it, fewer of the gallery's own products would get their names",
    "by_similarity": "no score is calibrated, or a similarity threshold was stated",
}


def look_line(look: SecondLook) -> str:
    """Return whether a second look was taken, and if not, why."""
    if look.state != "ready":
        return f"No second look: {_NO_LOOK[look.state]}."
    late = f", and no time for {look.left_out}" if look.left_out else ""
    return f"Second look at {_counted(look.looked, 'object')} that the score left in doubt{late}."


def kept(found: Calibration) -> str:
    """Return what a calibration keeps."""
    if found.max_false_accept is None:
        return f"{percent(found.max_wrong or 0)} wrong labels with {percent(found.unknown_share)} unknown objects"
    return f"{percent(found.max_false_accept)} false accepts"


def _basis(found: Calibration) -> str:
    products = _counted(found.products, "product")
    if found.foreign:
        what = "the bundle's fallback" if found.state == "uncalibrated" else f"an estimate, {found.state}"
        return f"{what}: {products}, too few, so {found.foreign} foreign products stand for unknown objects"
    sure = "an estimate" if found.confidence is None else f"{percent(found.confidence)} sure"
    queries = f" and {_counted(found.queries, 'labeled image')}" if found.queries else ""
    return f"{sure}, {found.state}, from {products}{queries}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


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
    if item.verified_by:
        yield f"second look: {_agreement(item) if item.inliers else 'no photo agrees'}"
    if item.probability is not None:
        yield f"is {item.label} with a probability of {item.probability:.0%}"
    reached = item.similarity if item.score is None else item.score
    scale = "similarity" if item.score is None else "score"
    if answer.threshold is not None and reached is not None and not item.negative:
        missing = answer.threshold - reached
        if item.decision == "unknown":
            yield f"{scale} {reached:.3f}: {missing:.3f} more are needed; more photos of the product may bring them"
        else:
            yield f"{scale} {reached:.3f}: {-missing:.3f} more than needed"
    if item.decision == "ambiguous":
        possible = [one.label for one in item.candidates if one.possible]
        what = f"these labels are possible: {', '.join(possible)}" if len(possible) > 1 else "it has look-alikes"
        yield f"{what}; ask a person"
    left, top, right, bottom = item.box_xyxy
    if min(right - left, bottom - top) < _SMALL:
        size = f"{right - left:.0f} × {bottom - top:.0f}"
        yield f"the crop is {size} pixels: move the camera nearer, or use a larger image"


def _agreement(item: RecognizedItem) -> str:
    """Return how many points agree with which photo: of an unknown object, with that of what it resembles most."""
    first = item.candidates[:1]
    is_product = item.label is not None or [one.item_id for one in first] == [item.matches[0].item_id]
    whose = first[0].label if is_product else "an item that is not a product"
    return f"{item.inliers} {'point agrees' if item.inliers == 1 else 'points agree'} with the photo of {whose}"


def _candidate(candidate: LabelCandidate) -> str:
    return f"{candidate.label} {candidate.similarity:.3f} ({candidate.share:.0%})"


def _shown(box: Box) -> str:
    return " ".join(f"{side:.0f}" for side in box)
