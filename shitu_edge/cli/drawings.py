"""Where `recognize --draw` writes its drawings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import typer

from ..system.files import check_writable, make_folder

_FORMATS = (".jpg", ".jpeg", ".png")


def is_drawing(path: Path) -> bool:
    """Return whether drawings can be written under this name: JPEG or PNG by its suffix."""
    return path.suffix.lower() in _FORMATS


def drawing_paths(target: Path, images: Sequence[str], names: Sequence[Path]) -> list[Path]:
    """Return the file for each image's drawing, none of them an image itself, and check that it can be written.

    Args:
        target: a folder, or the file of a single drawing.
        images: the images, as they were named.
        names: of the drawings in a folder; JPEG and PNG names are kept, others get the suffix `.jpg`.

    Raises:
        typer.BadParameter: one file is named for several images, or an image would be overwritten.
        OSError: a drawing cannot be written there.
    """
    if is_drawing(target) and not os.path.isdir(target):
        if len(images) != 1:
            raise typer.BadParameter(
                f"{target} is one file, but there are {len(images)} images: name a folder", param_hint="--draw"
            )
        paths = [target]
    else:
        paths = [target / name for name in _distinct(names)]
    originals = {os.path.realpath(image) for image in images}
    overwritten = next((path for path in paths if os.path.realpath(path) in originals), None)
    if overwritten:
        raise typer.BadParameter(f"would overwrite the image {overwritten}: name another folder", param_hint="--draw")
    if paths == [target]:
        check_writable(target)
    else:
        make_folder(target)
    return paths


def _distinct(names: Sequence[Path]) -> list[Path]:
    """Return the names with a suffix of drawings, numbered where two are equal."""
    taken: dict[Path, None] = {}
    for name in names:
        first = name if is_drawing(name) else name.with_name(f"{name.name}.jpg")
        drawn, number = first, 2
        while drawn in taken:
            drawn, number = first.with_name(f"{first.stem}-{number}{first.suffix}"), number + 1
        taken[drawn] = None
    return list(taken)
