"""A golden image, recognized right: whether the server can be trusted with a till's images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import ShituError
from ..recognizer import Recognizer
from .configuration import Configuration

_SIDE = 256
_TIE = 0.02
"""Similarity by which another label may be ahead: the gallery may hold one image under two labels."""


@dataclass(frozen=True, slots=True)
class Check:
    """What a golden image showed.

    Attributes:
        right: it was recognized as it should be.
        subject: `image`: the configured one; `item`: the kept picture of a gallery item; `engine`: an image of noise,
            embedded twice alike, as the gallery keeps no picture.
        message: what was expected and what was found.
    """

    right: bool
    subject: Literal["image", "item", "engine"]
    message: str


def check(recognizer: Recognizer, configuration: Configuration) -> Check:
    """Recognize the golden image: the configured one, else a gallery item's picture, else one of noise."""
    try:
        if configuration.golden_image is not None:
            return _image(recognizer, configuration.golden_image, configuration.golden_label or "")
        return _item(recognizer) or _engine(recognizer)
    except ShituError as error:
        return Check(False, "image" if configuration.golden_image else "engine", str(error))


def _image(recognizer: Recognizer, image: str, label: str) -> Check:
    found = [item.label for item in recognizer.recognize(image).items if item.decision == "accepted"]
    names = ", ".join(map(repr, found)) or "nothing"
    return Check(label in found, "image", f"expected {label!r} in {image}, found {names}")


def _item(recognizer: Recognizer) -> Check | None:
    gallery = recognizer.gallery
    for item in gallery.items()[:_TRIED]:
        photo = recognizer.photo(item.id)
        if photo is None:
            continue
        matches = recognizer.nearest(photo)[0]
        best = max(match.similarity for match in matches)
        own = max((match.similarity for match in matches if match.label == item.label), default=-1.0)
        return Check(own >= best - _TIE, "item", f"expected {item.label!r} in its picture, found {matches[0].label!r}")
    return None


_TRIED = 50
"""Items of which one may have a picture."""


def _engine(recognizer: Recognizer) -> Check:
    image = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), np.uint8)
    recognizer.detect(image)
    first, second = recognizer.embed(image)[0], recognizer.embed(image)[0]
    agreement = float(first @ second)
    return Check(
        agreement > 1 - 1e-3, "engine", f"expected the same embedding twice, found a cosine of {agreement:.4f}"
    )
