"""Images to enroll, as a source lists them; and a list whose images are elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..errors import GalleryError
from ..results import Box
from .skipped import Skipped

_NEARLY_ALL = 0.9


@dataclass(frozen=True, slots=True)
class LabeledImage:
    """An image to enroll, or one product in it.

    Attributes:
        path: the file.
        label: of the product.
        source: the path relative to where the image was found, kept with the gallery item.
        box_xyxy: the part of the image that shows the product, in pixels; None if that is to be found.
        relative: the box is in shares of the image's width and height instead.
    """

    path: Path
    label: str
    source: str
    box_xyxy: Box | None = None
    relative: bool = False


@dataclass(frozen=True, slots=True)
class FoundImages:
    """Content of a folder, label file or set of annotations.

    Attributes:
        images: in the order of their names or lines; not decoded yet.
        labels: all labels, including those without an image.
        skipped: files that are not used, with the reason.
        notes: assumptions, a line each.
    """

    images: tuple[LabeledImage, ...]
    labels: frozenset[str]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()


def check_root(file: Path, folder: Path, names: Sequence[str], missing: Sequence[str]) -> None:
    """Check that the images that a file lists lie where they are looked for.

    Args:
        file: the list.
        folder: where relative names begin.
        names: all images that it lists.
        missing: those of them that are not there.

    Raises:
        GalleryError: it lists no images, or 90 % of them are missing.
    """
    if not names:
        raise GalleryError(f"{file}: lists no images")
    if len(missing) < _NEARLY_ALL * len(names):
        return
    some = "none of its" if len(missing) == len(names) else f"only {len(names) - len(missing)} of its"
    inside = "" if PurePath(missing[0]).is_absolute() else f" in {folder}"
    raise GalleryError(
        f"{file}: {some} {len(names)} images found: looked{inside} for {missing[0]}, for example; "
        "correct the paths, or move the file to the folder in which they begin"
    )
