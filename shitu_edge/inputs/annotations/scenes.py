"""`scenes.json`: what the scenes of `shitu-edge demo` show."""

from __future__ import annotations

from pathlib import Path

from ...errors import GalleryError
from ...gallery.labels import normal_label
from ...schema import SchemaError, build
from .json_file import json_content, named_image
from .labeled import Annotations, LabeledBox, LabeledPhoto

SCENES = "scenes.json"


def read_scenes(file: Path) -> Annotations:
    """Read a `scenes.json`; raises `GalleryError` if it is not as described in `annotations`."""
    try:
        read = build(dict[str, tuple[LabeledBox, ...]], json_content(file))
    except SchemaError as error:
        raise GalleryError(f"{file}: {str(error).removeprefix('.')}") from error
    photos = [
        LabeledPhoto(named_image(file, name), name, None, tuple(_checked(file, thing) for thing in things))
        for name, things in read.items()
    ]
    return Annotations(tuple(photos))


def _checked(file: Path, thing: LabeledBox) -> LabeledBox:
    label = None if thing.label is None else normal_label(thing.label, str(file))
    return LabeledBox(thing.box_xyxy, label)
