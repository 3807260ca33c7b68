"""`--draw DIR`: what was enrolled of each image, as `LABEL/NAME.jpg` below a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import typer
from numpy.typing import NDArray

from ...drawing.draw import save_pixels
from ...enrollment import OnProduct
from ...inputs.found import LabeledImage
from ...system.files import make_folder
from ...system.text import UNSAFE

_NOT_IN_NAMES = re.compile(rf'[/\\:*?"<>|]|{UNSAFE.pattern}')
_MOST_BYTES = 120
"""Of a folder's or file's name, in UTF-8."""


def drawer(folder: Path | None, images: Sequence[LabeledImage]) -> OnProduct | None:
    """Return what draws the enrolled images into a folder, which is created; None without a folder.

    Raises:
        typer.BadParameter: a drawing would lie outside of the folder, through a link, or overwrite an image.
        OSError: the folder cannot be written.
    """
    if folder is None:
        return None
    make_folder(folder)
    paths = _paths(folder, images)

    def draw(image: LabeledImage, pixels_rgb: NDArray[np.uint8]) -> None:
        target = paths[image]
        target.parent.mkdir(exist_ok=True)
        save_pixels(pixels_rgb, target)

    return draw


def _paths(folder: Path, images: Sequence[LabeledImage]) -> dict[LabeledImage, Path]:
    """Return a file of its own for each image."""
    root = Path(os.path.realpath(folder))
    originals = {os.path.realpath(image.path) for image in images}
    taken: set[str] = set()
    paths: dict[LabeledImage, Path] = {}
    for image in images:
        stem = safe_name(PurePosixPath(image.source.replace("\\", "/")).stem)
        place, number = folder / safe_name(image.label), 1
        target = place / f"{stem}.jpg"
        while str(target).casefold() in taken:
            number += 1
            target = place / f"{stem}-{number}.jpg"
        real = Path(os.path.realpath(target))
        if not real.is_relative_to(root):
            raise typer.BadParameter(f"{target} leads out of {folder}: name another folder", param_hint="--draw")
        if str(real) in originals:
            raise typer.BadParameter(f"would overwrite the image {target}: name another folder", param_hint="--draw")
        taken.add(str(target).casefold())
        paths[image] = target
    return paths


def safe_name(text: str) -> str:
    """Return a text as the name of a file on any system: never empty, hidden, a path, or too long."""
    name = _NOT_IN_NAMES.sub("_", text.encode("utf-8", "replace").decode()).strip(" .")
    return name.encode()[:_MOST_BYTES].decode("utf-8", "ignore").rstrip(" .") or "_"
