"""Recognitions as images: boxes and labels on the photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from zlib import crc32

from PIL import Image, ImageDraw

from ..imaging.geometry import Pixels
from ..results import Recognition, RecognizedItem
from ..stages.decode import DEFAULT_LIMITS, DecodeLimits, Source, decode
from ..system.files import write_aside
from .fonts import readable
from .places import Corners, corner_place, free_place, leader

_COLORS = ("#0072b2", "#008f68", "#d55e00", "#7a3e9d", "#c2408f", "#8b4513", "#a67c00", "#c0392b")
_UNKNOWN = "#262626"
_PAPER, _FAINT = "#ffffff", "#6b6b6b"
_SMALLEST_TEXT = 13
_TEXT_SHARE = 40
"""Of the photo's shorter side, a line of text."""
_WIDEST = 0.4
"""Of the photo's width, a label."""
_INDEX_WIDTH = 24
"""Of a column of the index at most, in heights of a letter."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """An item on the drawing: its number, box in pixels, and color."""

    item: RecognizedItem
    number: int
    box: Corners
    color: str

    @property
    def is_named(self) -> bool:
        """Whether it has a label, perhaps an ambiguous one."""
        return self.item.decision != "unknown"

    @property
    def caption(self) -> str:
        """What is written next to its number."""
        if not self.is_named:
            return "unknown"
        similarity = "" if self.item.similarity is None else f" {self.item.similarity:.2f}"
        return f"{self.item.label}{'?' if self.item.decision == 'ambiguous' else ''}{similarity}"


def draw(image: Source, answer: Recognition, *, limits: DecodeLimits = DEFAULT_LIMITS) -> Image.Image:
    """Return the photo with a box and a label per item; a JPEG over the pixel limit at reduced scale.

    A label begins with the item's number in `answer.items`. It lies next to its box and covers no other; where there is
    no room, only the number is in the photo, and all names are in an index to the right of it. Labeled items are in
    color, ambiguous ones dashed, unknown objects thin and dashed in black, small ones with their number alone. Text is
    drawn with the first system font that has all its letters; without one the label is left out, and a warning says
    what to install.
    """
    every_pixel = min(answer.width, answer.height)
    photo = Image.fromarray(decode(image, enough_side=every_pixel, limits=limits).pixels_rgb)
    pen = ImageDraw.Draw(photo)
    size = max(_SMALLEST_TEXT, min(photo.size) // _TEXT_SHARE)
    colors = _colors(answer.items)
    scale = photo.width / answer.width
    marks = [
        _Mark(item, number, _corners(item, scale), colors[item.label]) for number, item in enumerate(answer.items, 1)
    ]
    for mark in sorted(marks, key=lambda mark: (mark.is_named, -mark.number)):  # best last, so that it is on top
        _draw_box(pen, mark, max(2, size // 8))
    return photo if _draw_labels(pen, photo.size, marks, size) else _with_index(photo, marks, size)


def save(image: Image.Image, target: Path) -> None:
    """Write an image atomically, as JPEG if the file's name says so, else as PNG; raises `OSError`."""
    content = BytesIO()
    if target.suffix.lower() in (".jpg", ".jpeg"):
        image.save(content, "JPEG", quality=92, subsampling=0)  # subsampled colors would smear letters
    else:
        image.save(content, "PNG")
    write_aside(target, content.getvalue())


def save_pixels(pixels_rgb: Pixels, target: Path) -> None:
    """Write pixels (h, w, 3) uint8 RGB as `save` does."""
    save(Image.fromarray(pixels_rgb), target)


def _corners(item: RecognizedItem, scale: float) -> Corners:
    x1, y1, x2, y2 = (round(side * scale) for side in item.box_xyxy)
    return x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)


def _colors(items: Sequence[RecognizedItem]) -> dict[str | None, str]:
    """Return a color per label: the same in every image, unless a better item has it already."""
    chosen: dict[str | None, str] = {None: _UNKNOWN}
    for item in items:
        if item.label is not None and item.label not in chosen:
            first = crc32(item.label.encode()) % len(_COLORS)
            own = _COLORS[first:] + _COLORS[:first]
            chosen[item.label] = next((color for color in own if color not in chosen.values()), own[0])
    return chosen


def _draw_box(pen: ImageDraw.ImageDraw, mark: _Mark, line: int) -> None:
    x1, y1, x2, y2 = mark.box
    line = line if mark.is_named else max(1, line // 2)
    pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=_PAPER, width=line + 2)  # visible on dark photos
    if mark.item.decision == "accepted":
        pen.rectangle(mark.box, outline=mark.color, width=line)
    else:
        _dashed_rectangle(pen, mark.box, mark.color, line)


def _dashed_rectangle(pen: ImageDraw.ImageDraw, corners: Corners, color: str, line: int) -> None:
    x1, y1, x2, y2 = corners
    dash = 4 * line
    for x in range(x1, x2, 2 * dash):
        for y in (y1, y2 - line + 1):
            pen.rectangle((x, y, min(x + dash, x2), y + line - 1), fill=color)
    for y in range(y1, y2, 2 * dash):
        for x in (x1, x2 - line + 1):
            pen.rectangle((x, y, x + line - 1, min(y + dash, y2)), fill=color)


def _draw_labels(pen: ImageDraw.ImageDraw, photo: tuple[int, int], marks: Sequence[_Mark], size: int) -> bool:
    """Write a label to each box, or its number alone; return whether all names have found room."""
    taken: list[Corners] = []
    have_room = True
    for mark in sorted(marks, key=lambda mark: (not mark.is_named, mark.number)):
        others = [other.box for other in marks if other is not mark]
        tag = _Tag.of(mark, size, _WIDEST * photo[0])
        if not mark.is_named and tag.size[0] > mark.box[2] - mark.box[0]:
            tag = tag.without_name()  # small ones are mostly background
        place = free_place(mark.box, tag.size, photo, [*taken, *others], 3 if mark.is_named else 0)
        if place is None:
            have_room &= not mark.is_named
            tag = tag.without_name()
            place = corner_place(mark.box, tag.size, photo, taken)
        elif (line := leader(mark.box, place)) is not None:
            pen.line(line, fill=_PAPER, width=max(3, size // 6))
            pen.line(line, fill=mark.color, width=max(1, size // 12))
        tag.draw(pen, place)
        taken.append(place)
    return have_room


@dataclass(frozen=True, slots=True)
class _Tag:
    """A label: a number on white, and a name on a color; unknown objects have both in gray on white."""

    mark: _Mark
    text_size: int
    chip: int
    name: str
    size: tuple[int, int]

    @classmethod
    def of(cls, mark: _Mark, text_size: int, widest: float) -> _Tag:
        """Return the label of an item, cut off at a width in pixels."""
        margin = text_size // 4
        numeral, font = readable(str(mark.number), "", text_size)
        chip = round(font.getlength(numeral)) + 2 * margin
        name, font = readable(mark.caption, mark.caption.rpartition(" ")[2], text_size, widest - chip - 2 * margin)
        return cls(
            mark, text_size, chip, name, (chip + round(font.getlength(name)) + 2 * margin, text_size + 2 * margin)
        )

    def without_name(self) -> _Tag:
        """Return the number alone."""
        return replace(self, name="", size=(self.chip, self.size[1]))

    def draw(self, pen: ImageDraw.ImageDraw, place: Corners) -> None:
        """Draw it."""
        left, top, _, bottom = place
        margin, middle = self.text_size // 4, (top + bottom) / 2
        color, paper, ink = self.mark.color, self.mark.color, _PAPER
        if not self.mark.is_named:
            color, paper, ink = _FAINT, _PAPER, _FAINT
        pen.rectangle(place, fill=paper, outline=color)
        pen.rectangle((left + 1, top + 1, left + self.chip - 1, bottom - 1), fill=_PAPER)
        for text, x, fill in ((str(self.mark.number), margin, color), (self.name, self.chip + margin, ink)):
            letters, font = readable(text, "", self.text_size)
            pen.text((left + x, middle), letters, font=font, fill=fill, anchor="lm")


def _with_index(photo: Image.Image, marks: Sequence[_Mark], size: int) -> Image.Image:
    """Return a photo with the labels of its named items in columns to the right of it."""
    margin, line = size // 2, 7 * size // 4
    tags = [_Tag.of(mark, size, _INDEX_WIDTH * size) for mark in marks if mark.is_named]
    rows = max(1, (photo.height - margin) // line)
    columns = [tags[start : start + rows] for start in range(0, len(tags), rows)]
    widths = [max(tag.size[0] for tag in column) + margin for column in columns]
    sheet = Image.new("RGB", (photo.width + margin + sum(widths), photo.height), _PAPER)
    sheet.paste(photo)
    pen = ImageDraw.Draw(sheet)
    left = photo.width + margin
    for column, width in zip(columns, widths, strict=True):
        for row, tag in enumerate(column):
            top = margin + row * line
            tag.draw(pen, (left, top, left + tag.size[0], top + tag.size[1]))
        left += width
    return sheet
