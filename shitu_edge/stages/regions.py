"""Which boxes of an image are looked at, in decoded pixels, and what they are in pixels of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..bundle import DecisionPolicy
from ..errors import ImageError, OptionError
from ..imaging.geometry import Boxes, Pixels, clip_boxes
from ..imaging.texture import has_texture
from ..ranges import shown
from ..results import Box, Detections, Dropped, DropReason
from .decode import DecodedImage
from .detect import Detector
from .extract import crop

_CANDIDATES = 50
"""Detections among which the product of a photo is looked for."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Boxes (N, 4) to look at in decoded pixels, best first, and their detection scores: None for the whole image."""

    boxes_xyxy: Boxes
    scores: tuple[float | None, ...]


def regions(found: Detections, decoded: DecodedImage, policy: DecisionPolicy) -> Regions:
    """Return the detections and, if the policy asks for it, the whole image after them."""
    boxes, scores = found.boxes_xyxy, tuple(map(float, found.scores))
    if policy.whole_image == "always" or (policy.whole_image == "fallback" and not len(found)):
        return Regions(np.concatenate([boxes, _whole(decoded)]), (*scores, None))
    return Regions(boxes, scores)


def _whole(decoded: DecodedImage) -> Boxes:
    height, width = decoded.pixels_rgb.shape[:2]
    return np.array([[0, 0, width, height]], np.float32)


def _box_of_product(found: Detections, decoded: DecodedImage) -> Boxes:
    """Return the box (1, 4) of what a photo of one product shows, in decoded pixels; without detections all of it.

    People who take such a photo put the product in the middle: each score counts the less, the further the box's center
    is from the image's, down to 0.29 of it in a corner.
    """
    if not len(found):
        return _whole(decoded)
    height, width = decoded.pixels_rgb.shape[:2]
    boxes = found.boxes_xyxy
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2 / np.array([width, height], np.float32)
    best = int(np.argmax(found.scores * (1 - np.hypot(*(centers - 0.5).T))))
    return boxes[[best]]


def boxes_to_embed(decoded: DecodedImage, boxes_xyxy: ArrayLike | None, detector: Detector | None) -> Boxes:
    """Return the boxes (N, 4) given or, without any, that of the product that a detector finds, or of the whole image.

    Raises:
        OptionError: the boxes are refused; see `checked_boxes`.
    """
    if boxes_xyxy is not None:
        return checked_boxes(boxes_xyxy, decoded)
    if detector is None:
        return _whole(decoded)
    return _box_of_product(detector.detect(decoded.pixels_rgb, max_boxes=_CANDIDATES), decoded)


def product_pixels(decoded: DecodedImage, box_xyxy: Box | None, detector: Detector | None, name: str) -> Pixels:
    """Return the pixels that a gallery item is made of: of a box or, without one, as by `boxes_to_embed`.

    Raises:
        ImageError: they show a single color; `name` is the image's.
        OptionError: the box is refused; see `checked_boxes`.
    """
    (box,) = boxes_to_embed(decoded, None if box_xyxy is None else [box_xyxy], detector)
    pixels_rgb = crop(decoded.pixels_rgb, box)
    if not has_texture(pixels_rgb):
        raise ImageError(f"{name}: shows a single color, so it cannot tell products apart; take another photo")
    return pixels_rgb


def in_original_pixels(boxes_xyxy: Boxes, decoded: DecodedImage) -> list[Box]:
    """Return boxes (N, 4) in decoded pixels as boxes in pixels of the image."""
    scale_x, scale_y = decoded.scale
    scaled = boxes_xyxy * np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in clip_boxes(scaled, decoded.width, decoded.height).tolist()]


def late(chosen: Regions, boxes: Sequence[Box], in_time: int) -> tuple[Dropped, ...]:
    """Return the boxes that the deadline left no time for: all but the first `in_time`, in pixels of the image."""
    return _unseen(boxes[in_time:], chosen.scores[in_time:], "deadline")


def surplus(found: Detections, count: int, decoded: DecodedImage) -> tuple[Dropped, ...]:
    """Return the detections beyond the best `count`."""
    if len(found) <= count:
        return ()
    return _unseen(in_original_pixels(found.boxes_xyxy[count:], decoded), found.scores[count:].tolist(), "max_boxes")


def _unseen(boxes: Sequence[Box], scores: Sequence[float | None], reason: DropReason) -> tuple[Dropped, ...]:
    return tuple(Dropped(box, reason, None, None, score) for box, score in zip(boxes, scores, strict=True))


def checked_boxes(boxes_xyxy: ArrayLike, decoded: DecodedImage) -> Boxes:
    """Return boxes (N, 4) in pixels of the image as an array, clipped to the image.

    Raises:
        OptionError: they have another shape, are not finite, or one has no area inside the image.
    """
    try:
        with np.errstate(over="ignore"):  # infinity is refused below
            boxes = np.asarray(boxes_xyxy, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionError(f"expected boxes of shape (N, 4), found {shown(boxes_xyxy)}") from error
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise OptionError(f"expected finite boxes of shape (N, 4), found {boxes.shape}")
    clipped = clip_boxes(boxes, decoded.width, decoded.height)
    if (clipped[:, 2:] - clipped[:, :2] < 1).any():
        raise OptionError(f"a box has no area inside the image of {decoded.width} × {decoded.height} pixels")
    return clipped
