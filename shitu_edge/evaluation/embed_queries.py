"""Labeled images into labeled queries, which a gallery keeps for its calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..calibration import Queries
from ..errors import GalleryError, ImageError, OptionError
from ..inputs.skipped import Skipped
from ..recognizer import Recognizer
from ..stages.decode import decode
from ..system.progress import StepProgress
from .queries import LabeledPhoto
from .retrieval import Rows


def embed_queries(
    recognizer: Recognizer, photos: Sequence[LabeledPhoto], *, crop: bool = False, progress: StepProgress | None = None
) -> tuple[Queries, list[Skipped]]:
    """Return labeled images as queries, and those that cannot be read.

    A photo with a label is embedded whole or, with `crop`, as the product that it shows; of a photo with boxes every
    box is.

    Raises:
        GalleryError: no image can be read, or none shows anything.
    """
    rows, labels, skipped = [], list[str | None](), list[Skipped]()
    for done, photo in enumerate(photos, 1):
        try:
            found, of_found = labeled_rows(recognizer, photo, crop)
            rows.append(found)
            labels += of_found
        except (ImageError, OptionError) as error:  # or a box outside of the image
            skipped.append(Skipped(photo.source, str(error).removeprefix(f"{photo.path}: ")))
        if progress:
            progress("images", done, len(photos))
    if not labels:
        first = [f"{one.source}: {one.reason}" for one in skipped[:1]]
        raise GalleryError("; ".join(["no labeled image can be read", *first]))
    return Queries(np.concatenate(rows), tuple(labels), recognizer.extractor_info.precision), skipped


def labeled_rows(recognizer: Recognizer, photo: LabeledPhoto, crop: bool) -> tuple[Rows, list[str | None]]:
    """Return the unit rows (N, D) of a photo's boxes, or of the whole, and their labels.

    Raises:
        ImageError: the image cannot be used.
        OptionError: a box lies outside of it.
    """
    if photo.boxes is None:
        return recognizer.embed(photo.path, crop=crop), [photo.label]
    if not photo.boxes:
        return np.zeros((0, recognizer.bundle.manifest.extractor.dim), np.float32), []
    pixels_rgb = decode(photo.path).pixels_rgb
    height, width = pixels_rgb.shape[:2]
    return recognizer.embed(pixels_rgb, photo.boxes_xyxy(width, height)), [thing.label for thing in photo.boxes]
