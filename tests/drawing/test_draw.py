"""Drawings, by their pixels."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFont

from shitu_edge import RecognizedItem
from shitu_edge.drawing.draw import draw, save
from shitu_edge.drawing.fonts import readable
from tests.answers import answer, item

GRAY = np.full((300, 400, 3), 128, np.uint8)
UNKNOWN = (38, 38, 38)
BOX = (60, 80, 160, 240)
"""Of `GRAY`; its drawn sides are columns 60 and 159, rows 80 and 239."""

Pixels = NDArray[np.uint8]


def drawn(*items: RecognizedItem) -> Pixels:
    return np.asarray(draw(GRAY, answer(400, 300, *items)))


def left_side(pixels: Pixels) -> Pixels:
    return pixels[100:220, 60]


def colors(pixels: Pixels) -> set[tuple[int, ...]]:
    return {tuple(map(int, color)) for color in np.unique(pixels.reshape(-1, 3), axis=0)}


def test_a_named_thing_has_one_colored_line() -> None:
    (color,) = colors(left_side(drawn(item(BOX, "Oat drink"))))
    assert max(color) - min(color) > 60
    assert colors(left_side(drawn(item(BOX, "Oat drink")))) == {color}, "the same each time"


def test_an_unknown_thing_is_dashed_in_black_and_white() -> None:
    assert colors(left_side(drawn(item(BOX, None)))) == {UNKNOWN, (255, 255, 255)}


def test_an_ambiguous_thing_is_dashed_in_its_color() -> None:
    (color,) = colors(left_side(drawn(item(BOX, "Oat drink"))))
    assert colors(left_side(drawn(item(BOX, "Oat drink", "ambiguous")))) == {color, (255, 255, 255)}


def test_things_beside_each_other_differ() -> None:
    labels = [f"product {number}" for number in range(8)]
    things = [item((10 + 45 * n, 100, 45 + 45 * n, 250), label) for n, label in enumerate(labels)]
    pixels = drawn(*things)
    assert len({tuple(pixels[200, 10 + 45 * n]) for n in range(8)}) == 8


def test_a_smaller_copy_has_its_boxes_in_place() -> None:
    half = np.asarray(draw(GRAY[::2, ::2], answer(400, 300, item(BOX, None))))
    changed = (half != 128).any(axis=2)
    assert changed[60:100, 30].all()
    assert changed[119, 40:70].all()
    assert not changed[60:100, 40:70].any()


def test_names_without_room_are_in_an_index() -> None:
    """Boxes that fill the photo leave none."""
    boxes = [(100 * x, 100 * y, 100 * x + 100, 100 * y + 100) for y in range(3) for x in range(4)]
    things = [item(box, f"A drink of kind {place}") for place, box in enumerate(boxes)]
    wide = drawn(*things)
    assert wide.shape[0] == 300
    assert wide.shape[1] > 500
    photo, index = wide[:, :400], wide[:, 400:]
    for place, (x1, y1, _, _) in enumerate(boxes):
        color = photo[y1 + 60, x1 + 1]
        assert (index == color).all(axis=2).any(), place


def test_unknown_things_need_no_index() -> None:
    boxes = [(100 * x, 100 * y, 100 * x + 100, 100 * y + 100) for y in range(3) for x in range(4)]
    assert drawn(*(item(box, None) for box in boxes)).shape == GRAY.shape


def test_labels_cover_no_other_thing() -> None:
    """A label has the color of its box; those of its neighbors stay as they were."""
    boxes = [(10, 150, 60, 290), (70, 150, 120, 290), (130, 150, 180, 290), (190, 150, 240, 290)]
    pixels = drawn(*(item(box, f"Oat drink of kind {place}") for place, box in enumerate(boxes)))
    for x1, y1, x2, y2 in boxes:
        assert (pixels[y1 + 5 : y2 - 5, x1 + 5 : x2 - 5] == 128).all()


def chips(pixels: Pixels) -> int:
    """Count the white squares that hold the numbers: runs of rows that have twelve white pixels below three others."""
    white = np.asarray((pixels == 255).all(axis=2), int)
    window = np.lib.stride_tricks.sliding_window_view(white, (12, 3))
    tall = window.min(axis=(2, 3)).max(axis=1)
    return int((np.diff(tall, prepend=0) == 1).sum())


@pytest.mark.parametrize("box", [(0, 0, 400, 300), (0, 0, 30, 20), (380, 290, 400, 300), (0, 200, 400, 300)])
def test_labels_stay_in_the_image(box: tuple[int, int, int, int]) -> None:
    pixels = drawn(item(box, "A very long name of a product that does not fit " * 4))
    assert pixels.shape == GRAY.shape
    assert chips(pixels) == 1


def test_text_is_cut_off_where_it_is_too_wide() -> None:
    text, font = readable("Oat drink 1 l", "1", 16, 60)
    assert text.endswith("…")
    assert font.getlength(text) <= 60
    assert readable("Oat", "1", 16, 200)[0] == "Oat"


def test_text_that_would_move_or_reorder_is_drawn_as_what_it_is() -> None:
    assert readable("te\x1b[31ma\u202eb\n", "1", 16)[0] == r"te\x1b[31ma\u202eb "


def test_a_text_is_cut_at_the_widest_that_fits() -> None:
    name = "Oat drink 1 l, barista edition"
    for width in range(20, 240, 7):
        text, font = readable(name, "1", 16, width)
        longest = max(cut for cut in range(len(name)) if not cut or font.getlength(f"{name[:cut]}…") <= width)
        assert text == f"{name[:longest]}…" or font.getlength(name) <= width


def test_a_label_of_an_older_gallery_is_measured_a_few_times_however_long(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    measure = ImageFont.FreeTypeFont.getlength

    def count(self: ImageFont.FreeTypeFont, text: str, *more: object) -> float:
        measured.append(len(text))
        return measure(self, text)

    monkeypatch.setattr(ImageFont.FreeTypeFont, "getlength", count)
    drawn(item(BOX, "Oat drink " * 4000))
    assert len(measured) < 20
    assert max(measured) < 300


def test_joiners_need_no_glyph() -> None:
    with_joiner, font = readable("a\u200cb", "1", 16)
    assert (with_joiner, font.getlength("ab")) == ("a\u200cb", readable("ab", "1", 16)[1].getlength("ab"))


def test_draws_files(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "gray.png")
    assert np.array_equal(
        np.asarray(draw(tmp_path / "gray.png", answer(400, 300, item(BOX, None)))), drawn(item(BOX, None))
    )


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_full_disk_leaves_the_old_drawing(
    tmp_path: Path, name: str, full_disk: Callable[[], AbstractContextManager[None]]
) -> None:
    (tmp_path / name).write_bytes(b"old")
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))
    with full_disk(), pytest.raises(OSError, match="File too large"):
        save(image, tmp_path / name)
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.jpeg", "JPEG"), ("a.jpg.png", "PNG")]
)
def test_save_writes_what_the_name_says(tmp_path: Path, name: str, kind: str) -> None:
    save(Image.new("RGB", (8, 8)), tmp_path / name)
    with Image.open(tmp_path / name) as read:
        assert read.format == kind
