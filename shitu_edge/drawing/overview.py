"""A gallery and recognized scenes on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..results import Recognition
from .sheet import ALARM, FAINT, INK, LINE, MARGIN, blank, place, write

_SCENE_WIDTH = 640
_SCENE_HEIGHT = 480
"""At most; a row of wide scenes is lower."""
_SCENES_PER_ROW = 2
_PRODUCT = 146
_PRODUCT_STEP = _PRODUCT + LINE + MARGIN
_PRODUCTS_PER_ROW = 8
_AT_MOST = 40
"""Most products, and scenes, that are shown."""
_HEADING = 24
_WIDTH = _SCENES_PER_ROW * (_SCENE_WIDTH + MARGIN) + MARGIN


@dataclass(frozen=True, slots=True)
class Recognized:
    """A photo, its recognition and a title, in red if `alarm`."""

    path: Path
    answer: Recognition
    title: str
    alarm: bool


def overview(heading: str, products: Sequence[tuple[str, Path]], scenes: Sequence[Recognized]) -> Image.Image:
    """Return a sheet with an image and name per product, and below the scenes as `draw` shows them.

    At most 40 of each are shown, with the number of all.
    """
    products_top = 2 * MARGIN + _HEADING
    scenes_top = products_top + LINE + -(-min(len(products), _AT_MOST) // _PRODUCTS_PER_ROW) * _PRODUCT_STEP
    shown = [scenes[start : start + _SCENES_PER_ROW] for start in range(0, min(len(scenes), _AT_MOST), _SCENES_PER_ROW)]
    heights = [max(map(_height, row)) for row in shown]
    sheet = blank(_WIDTH, scenes_top + LINE + sum(heights) + len(shown) * (LINE + MARGIN))
    write(sheet, (MARGIN, MARGIN), heading, _WIDTH - 2 * MARGIN, size=_HEADING)
    write(sheet, (MARGIN, products_top), _count("Gallery", len(products)), _WIDTH, FAINT)
    step = (_WIDTH - MARGIN) // _PRODUCTS_PER_ROW
    for number, (name, path) in enumerate(products[:_AT_MOST]):
        x = MARGIN + number % _PRODUCTS_PER_ROW * step
        y = products_top + LINE + number // _PRODUCTS_PER_ROW * _PRODUCT_STEP
        place(sheet, (x, y, x + _PRODUCT, y + _PRODUCT), path)
        write(sheet, (x, y + _PRODUCT + 2), name, step - 4)
    write(sheet, (MARGIN, scenes_top), _count("Scenes", len(scenes)), _WIDTH, FAINT)
    y = scenes_top + LINE
    for row, height in zip(shown, heights, strict=True):
        for number, scene in enumerate(row):
            x = MARGIN + number * (_SCENE_WIDTH + MARGIN)
            place(sheet, (x, y, x + _SCENE_WIDTH, y + height), scene.path, scene.answer)
            write(sheet, (x, y + height + 2), scene.title, _SCENE_WIDTH, ALARM if scene.alarm else INK)
        y += height + LINE + MARGIN
    return sheet


def _height(scene: Recognized) -> int:
    return min(_SCENE_HEIGHT, round(_SCENE_WIDTH * scene.answer.height / scene.answer.width))


def _count(what: str, count: int) -> str:
    return what if count <= _AT_MOST else f"{what}: {_AT_MOST} of {count}"
