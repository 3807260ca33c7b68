from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shitu_edge.drawing.contact_sheet import Captioned, Pair, contact_sheet


@pytest.fixture
def colors(tmp_path: Path) -> dict[str, Path]:
    """A wide red image and a tall blue one."""
    files = {}
    for name, size, color in (("red", (400, 100), (255, 0, 0)), ("blue", (100, 400), (0, 0, 255))):
        files[name] = tmp_path / f"{name}.png"
        Image.new("RGB", size, color).save(files[name])
    return files


def _pair(first: Path, second: Path, text: str = "text") -> Pair:
    return Pair(text, Captioned(first, text, text), Captioned(second, text, text))


def _extent(sheet: Image.Image, color: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Where a color is: left, top, right, bottom."""
    rows, columns = np.nonzero((np.asarray(sheet) == color).all(axis=2))
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def test_a_pair_lies_side_by_side_whole_and_in_proportion(colors: dict[str, Path]) -> None:
    sheet = contact_sheet([_pair(colors["red"], colors["blue"])])
    red, blue = _extent(sheet, (255, 0, 0)), _extent(sheet, (0, 0, 255))
    assert red[2] < blue[0], "the first is on the left"
    assert (red[2] - red[0] + 1) / (red[3] - red[1] + 1) == pytest.approx(4, rel=0.05)
    assert (blue[3] - blue[1] + 1) / (blue[2] - blue[0] + 1) == pytest.approx(4, rel=0.05)
    assert (red[1] + red[3]) / 2 == pytest.approx((blue[1] + blue[3]) / 2, abs=1.5), "on one line"


def test_three_pairs_a_row(colors: dict[str, Path]) -> None:
    pair = _pair(colors["red"], colors["blue"])
    one, three, four = (contact_sheet([pair] * count).size for count in (1, 3, 4))
    assert three == (3 * one[0], one[1])
    assert four == (3 * one[0], 2 * one[1])


def test_what_cannot_be_read_is_an_empty_frame(colors: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"rubbish")
    for missing in (tmp_path / "none.jpg", tmp_path / "broken.jpg", tmp_path):
        sheet = contact_sheet([_pair(missing, colors["blue"])])
        assert _extent(sheet, (0, 0, 255))[0] > sheet.width / 2


def test_text_stays_within_its_image(colors: dict[str, Path]) -> None:
    short, long = (contact_sheet([_pair(colors["red"], colors["blue"], text)]) for text in ("a", "long name " * 50))
    assert long.size == short.size
    gap = np.asarray(long)[-60:, 238:252]  # between the captions of the two
    assert (gap == 255).all()
    assert contact_sheet([]).width > 0
