"""Which boxes of an image are looked at, in decoded pixels, and what they are in pixels of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..bundle import DecisionPolicy
from ..errors import ImageError, OptionError
from ..gallery import Crop, Origin
from ..imaging.geometry import Boxes, Pixels, clip_boxes
from ..imaging.kept_picture import keep_picture
from ..imaging.texture import has_texture
from ..ranges import shown
from ..results import Box, Detections, Dropped, DropReason
from .decode import DecodedImage
from .detect import Detector
from .extract import crop

_CANDIDATES = 50
"""Detections among which the product of a photo is looked for."""
_PRODUCT_SHARES = (0.05, 0.8)
"""Of the photo's area. Galleries of PaddleClas' drinks (1067 photos, one each) and of the Grocery Store data set (2640
photos of piles and shelves), recall@1 of whole photos: uncropped 0.791 and 0.836, cropped to any box 0.813 and 0.759,
to a box of these shares 0.824 and 0.818; of crops: 0.849 and 0.539, 0.903 and 0.665, 0.902 and 0.619
(`benchmarks/crop.py`).
"""


@dataclass(frozen=True, slots=True)
class Regions:
    """Boxes (N, 4) to look at in decoded pixels, best first, and their detection scores: None for the whole image."""

    boxes_xyxy: Boxes
    scores: tuple[float | None, ...]


def regions(
    found: Detections, area_xyxy: tuple[int, int, int, int], policy: DecisionPolicy, *, alone: bool = True
) -> Regions:
    """Return the detections and, if the policy asks for it, the whole area that was looked at after them.

    `alone`: nothing else was found there; else the area does not take the place of no detections.
    """
    boxes, scores = found.boxes_xyxy, tuple(map(float, found.scores))
    if policy.whole_image == "always" or (policy.whole_image == "fallback" and alone and not len(found)):
        return Regions(np.concatenate([boxes, np.array([area_xyxy], np.float32)]), (*scores, None))
    return Regions(boxes, scores)


def _whole(decoded: DecodedImage) -> Boxes:
    height, width = decoded.pixels_rgb.shape[:2]
    return np.array([[0, 0, width, height]], np.float32)


def _box_of_product(found: Detections, decoded: DecodedImage) -> Boxes | None:
    """Return the box (1, 4) of what a photo of one product shows, in decoded pixels; None if no box stands for it.

    People who take such a photo put the product in the middle: each score counts the less, the further the box's center
    is from the image's, down to 0.29 of it in a corner. A box outside of `_PRODUCT_SHARES` is not taken: a smaller one
    is mostly a part of the product or one of many, and a larger one cuts off more than it leaves out.
    """
    if not len(found):
        return None
    height, width = decoded.pixels_rgb.shape[:2]
    boxes = found.boxes_xyxy
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2 / np.array([width, height], np.float32)
    best = boxes[[int(np.argmax(found.scores * (1 - np.hypot(*(centers - 0.5).T))))]]
    share = float(np.prod((best[0, 2:] - best[0, :2]) / np.array([width, height], np.float32)))
    return best if _PRODUCT_SHARES[0] <= share <= _PRODUCT_SHARES[1] else None


def boxes_to_embed(decoded: DecodedImage, boxes_xyxy: ArrayLike | None, detector: Detector | None) -> Boxes:
    """Return the boxes (N, 4) given or, without any, that of the product that a detector finds, or of the whole image.

    Raises:
        OptionError: the boxes are refused; see `checked_boxes`.
    """
    if boxes_xyxy is not None:
        return checked_boxes(boxes_xyxy, decoded)
    found = None if detector is None else product_box(decoded, detector)
    return _whole(decoded) if found is None else found


def boxes_to_look_at(boxes_xyxy: ArrayLike, decoded: DecodedImage) -> Boxes:
    """Return boxes (N, 4) in pixels of the image in decoded pixels.

    Raises:
        OptionError: the boxes are refused; see `checked_boxes`.
    """
    scale_x, scale_y = decoded.scale
    scales = np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
    return (checked_boxes(boxes_xyxy, decoded) / scales).astype(np.float32, copy=False)


def product_box(decoded: DecodedImage, detector: Detector) -> Boxes | None:
    """Return the box (1, 4) of the product that a detector finds in a photo of one; None if it finds none."""
    return _box_of_product(detector.detect(decoded.pixels_rgb, max_boxes=_CANDIDATES), decoded)


@dataclass(frozen=True, slots=True)
class Product:
    """What a gallery item is made of.

    Attributes:
        pixels_rgb: (h, w, 3) uint8 RGB.
        box_xyxy: the part of the image that they are, in its pixels; None for all of it.
        width, height: of the image in pixels.
        crop: how the part was chosen.
        image_rgb: the whole image (H, W, 3), perhaps at reduced scale.
        inside_xyxy: the part in pixels of `image_rgb` (4,); None for all of it.
    """

    pixels_rgb: Pixels
    box_xyxy: Box | None
    width: int
    height: int
    crop: Crop
    image_rgb: Pixels
    inside_xyxy: NDArray[np.float32] | None

    def origin(self, source_sha256: str, *, picture: bool) -> Origin:
        """Return how the item is made, to be kept with it.

        Args:
            source_sha256: of the image's file in hexadecimal, empty if unknown.
            picture: keep the picture as well.
        """
        kept, product = keep_picture(self.image_rgb, self.inside_xyxy) if picture else (b"", None)
        return Origin(self.box_xyxy, self.crop, source_sha256, kept, product)


def cut_product(decoded: DecodedImage, box_xyxy: Box | None, detector: Detector | None, name: str) -> Product:
    """Return the part inside a box or, without one, the product that the detector finds, or the whole image.

    Where the detector's box shows a single color, it is the whole image.

    Raises:
        ImageError: it shows a single color; `name` is the image's.
        OptionError: the box is refused; see `checked_boxes`.
    """
    if box_xyxy is not None:
        choices: list[Boxes | None] = [checked_boxes([box_xyxy], decoded)]
    else:
        found = None if detector is None else product_box(decoded, detector)
        choices = [None] if found is None else [found, None]
    for boxes in choices:
        pixels_rgb = decoded.pixels_rgb if boxes is None else crop(decoded.pixels_rgb, boxes[0])
        if has_texture(pixels_rgb):
            (box,) = [None] if boxes is None else in_original_pixels(boxes, decoded)
            inside = None if boxes is None else boxes[0]
            how: Crop = "whole" if boxes is None else "detected" if box_xyxy is None else "box"
            return Product(pixels_rgb, box, decoded.width, decoded.height, how, decoded.pixels_rgb, inside)
    raise ImageError(f"{name}: shows a single color, so it cannot tell products apart; take another photo")


def in_original_pixels(boxes_xyxy: Boxes, decoded: DecodedImage) -> list[Box]:
    """Return boxes (N, 4) in decoded pixels as boxes in pixels of the image."""
    scale_x, scale_y = decoded.scale
    scaled = boxes_xyxy * np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in clip_boxes(scaled, decoded.width, decoded.height).tolist()]


def late(chosen: Regions, boxes: Sequence[Box], in_time: int) -> tuple[Dropped, ...]:
    """Return the boxes that the deadline left no time for: all but the first `in_time`, in pixels of the image."""
    return unseen(boxes[in_time:], chosen.scores[in_time:], "deadline")


def surplus(found: Detections, count: int, decoded: DecodedImage) -> tuple[Dropped, ...]:
    """Return the detections beyond the best `count`."""
    if len(found) <= count:
        return ()
    return unseen(in_original_pixels(found.boxes_xyxy[count:], decoded), found.scores[count:].tolist(), "max_boxes")


def unseen(boxes: Sequence[Box], scores: Sequence[float | None], reason: DropReason) -> tuple[Dropped, ...]:
    """Return boxes that were not recognized, for one reason."""
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
