"""Images, or the boxes in them, into gallery items."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ..errors import EmbeddingError, ImageError
from ..gallery import NewGalleryItem
from ..gallery.labels import NEGATIVE
from ..imaging.geometry import Pixels
from ..inputs.found import LabeledImage
from ..inputs.skipped import Skipped
from ..recognizer import Recognizer
from ..results import Box
from ..stages.regions import Product
from ..system.digest import file_sha256
from ..system.workers import Workers
from .quality import Look, look_of

_AT_ONCE = 16
SMALLEST_BOX = 16
"""Pixels per side under which a box is skipped."""

OnProduct = Callable[[LabeledImage, NDArray[np.uint8]], None]
"""Is told of an image and the pixels (h, w, 3) uint8 RGB of it that are enrolled."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A gallery item made of an image.

    Attributes:
        item: for the gallery.
        name: its source, with the number of the box if the image was given with boxes, as in `evaluate`.
        look: how it looks.
        content: a digest of the image's content and of the box.
        is_whole: the image was to be cropped, but no product was found.
    """

    item: NewGalleryItem
    name: str
    look: Look
    content: bytes
    is_whole: bool


def embedded(
    recognizer: Recognizer, images: Sequence[LabeledImage], crop: bool, pictures: bool, on_product: OnProduct | None
) -> Iterator[Embedded | Skipped]:
    """Embed images side by side, in order; at most `_AT_ONCE` are decoded at a time, each once for all of its boxes."""
    maker = _Maker(recognizer, crop, pictures, on_product)
    groups = [list(group) for _, group in groupby(images, lambda image: (image.path, image.box_xyxy is not None))]
    with Workers(recognizer.threads) as workers:
        for start in range(0, len(groups), _AT_ONCE):
            for made in workers.map(maker.of_one_file, groups[start : start + _AT_ONCE]):
                yield from made


class _Maker:
    """Makes items with one recognizer. Thread-safe."""

    def __init__(self, recognizer: Recognizer, crop: bool, pictures: bool, on_product: OnProduct | None) -> None:
        self._recognizer = recognizer
        self._crop = crop
        self._pictures = pictures
        self._on_product = on_product
        self._spec = recognizer.bundle.manifest.extractor.network.input

    def of_one_file(self, images: Sequence[LabeledImage]) -> list[Embedded | Skipped]:
        """Return the items of images that are all of one file, with boxes or without."""
        if images[0].box_xyxy is None:
            return [self._try(image, image.source, self._of_image) for image in images]
        names = [f"{image.source} #{number}" for number, image in enumerate(images, 1)]
        try:
            whole = self._recognizer.cut_product(images[0].path, crop=False)
        except ImageError as error:
            return [_skipped(image, image.source, error) for image in images[:1]]
        return [
            self._try(image, name, lambda one, its: self._of_box(one, its, whole.pixels_rgb))
            for image, name in zip(images, names, strict=True)
        ]

    def _try(self, image: LabeledImage, name: str, make: Callable[[LabeledImage, str], Embedded]) -> Embedded | Skipped:
        try:
            return make(image, name)
        except (ImageError, EmbeddingError) as error:
            return _skipped(image, name, error)

    def _of_image(self, image: LabeledImage, name: str) -> Embedded:
        crop = self._crop and image.label != NEGATIVE
        product = self._recognizer.cut_product(image.path, crop=crop)
        return self._made(image, name, product, crop and product.box_xyxy is None)

    def _of_box(self, image: LabeledImage, name: str, pixels_rgb: Pixels) -> Embedded:
        height, width = pixels_rgb.shape[:2]
        box = _pixel_box(image, width, height)
        return self._made(image, name, self._recognizer.cut_product(pixels_rgb, box), False)

    def _made(self, image: LabeledImage, name: str, product: Product, is_whole: bool) -> Embedded:
        row = self._recognizer.embed(product.pixels_rgb)[0]
        look = Look() if image.label == NEGATIVE else look_of(product, self._spec)
        if self._on_product:
            self._on_product(image, product.pixels_rgb)
        content = _content(image)
        origin = product.origin(content, picture=self._pictures)
        digest = hashlib.sha256(f"{content or image.path} {image.box_xyxy}".encode(errors="surrogateescape")).digest()
        return Embedded(NewGalleryItem(image.label, image.source, row, origin), name, look, digest, is_whole)


def _pixel_box(image: LabeledImage, width: int, height: int) -> Box:
    """Return an image's box, in pixels and clipped; raises `ImageError` if it is too small or outside."""
    assert image.box_xyxy is not None
    sides = np.array(image.box_xyxy, np.float64)
    if image.relative:
        sides *= (width, height, width, height)
    x1, y1, x2, y2 = np.clip(sides, 0, (width, height, width, height)).tolist()
    if x2 <= x1 or y2 <= y1:
        raise ImageError(f"{image.path}: has a box outside of the image")
    if min(x2 - x1, y2 - y1) < SMALLEST_BOX:
        raise ImageError(f"{image.path}: has a box smaller than {SMALLEST_BOX} × {SMALLEST_BOX} pixels")
    return x1, y1, x2, y2


def _skipped(image: LabeledImage, name: str, error: Exception) -> Skipped:
    return Skipped(name, str(error).removeprefix(f"{image.path}: "))


def _content(image: LabeledImage) -> str:
    """Return the SHA-256 of an image's file in hexadecimal; empty if it is gone by now."""
    try:
        return file_sha256(image.path)
    except OSError:
        return ""
