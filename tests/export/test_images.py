"""Images found, spread over, decoded, and their boxes from YOLO text beside them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shitu_edge_export.errors import ExportError
from shitu_edge_export.images import image_files, load_sample, spread, synthetic_samples

from shitu_edge.errors import ImageError, ShituError


def image(path: Path, width: int = 40, height: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (10, 200, 30)).save(path)
    return path


def labeled(folder: Path, text: str | bytes, name: str = "a") -> Path:
    """Write `images/NAME.png` and `labels/NAME.txt`; return the image."""
    path = image(folder / "images" / f"{name}.png")
    label = folder / "labels" / f"{name}.txt"
    label.parent.mkdir(parents=True, exist_ok=True)
    label.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_found_at_any_depth_in_order(tmp_path: Path) -> None:
    names = ["b.png", "a/z.JPG", "a/b/c.webp", "A.bmp", "图/1.jpeg"]
    paths = [image(tmp_path / name) for name in names]
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    assert image_files([tmp_path]) == sorted(paths)
    assert image_files([tmp_path / "图", tmp_path / "a"]) == [paths[4], *sorted(paths[1:3])], "folder by folder"


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"absent: no such folder of images"):
        image_files([tmp_path / "absent"])
    with pytest.raises(ExportError, match="holds no images"):
        image_files([tmp_path])
    with pytest.raises(ExportError, match=r"a\.png: no such folder of images"):
        image_files([image(tmp_path / "a.png")])
    assert image_files([]) == []


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        (10, 5, [0, 2, 4, 6, 8]),
        (10, 3, [0, 3, 6]),
        (7, 4, [0, 1, 3, 5]),
        (3, 3, [0, 1, 2]),
        (2, 9, [0, 1]),
        (5, 1, [0]),
        (0, 4, []),
        (4, 0, []),
    ],
)
def test_spread_by_hand(total: int, count: int, expected: list[int]) -> None:
    paths = [Path(str(number)) for number in range(total)]
    assert spread(paths, count) == [paths[number] for number in expected]


def test_spread_is_even() -> None:
    paths = [Path(str(number)) for number in range(1000)]
    for count in (1, 7, 300, 999):
        numbers = [int(str(path)) for path in spread(paths, count)]
        assert len(set(numbers)) == count
        steps = np.diff(numbers)
        assert not steps.size or steps.max() - steps.min() <= 1


def test_boxes_by_hand(tmp_path: Path) -> None:
    """A box of half the sides around the center, one in a corner, any class; 40 × 20 px."""
    sample = load_sample(labeled(tmp_path, "0 0.5 0.5 0.5 0.5\n3 0.25 0.25 0.5 0.5\n\n"))
    assert sample.boxes_xyxy is not None
    assert sample.boxes_xyxy.tolist() == [[10, 5, 30, 15], [0, 0, 20, 10]]
    assert sample.boxes_xyxy.dtype == np.float32
    assert sample.pixels_rgb.shape == (20, 40, 3)
    assert sample.pixels_rgb[0, 0].tolist() == [10, 200, 30]
    assert sample.name == str(tmp_path / "images" / "a.png")


def test_more_columns_are_not_boxes(tmp_path: Path) -> None:
    """Some tools add a confidence behind the four numbers."""
    sample = load_sample(labeled(tmp_path, "0 0.5 0.5 0.5 0.5 0.875"))
    assert sample.boxes_xyxy is not None
    assert sample.boxes_xyxy.tolist() == [[10, 5, 30, 15]]


def test_known_to_be_empty_and_not_known(tmp_path: Path) -> None:
    empty = load_sample(labeled(tmp_path, "")).boxes_xyxy
    assert empty is not None
    assert empty.shape == (0, 4)
    assert load_sample(image(tmp_path / "images" / "other.png")).boxes_xyxy is None
    assert load_sample(image(tmp_path / "elsewhere" / "a.png")).boxes_xyxy is None


def test_the_last_folder_of_that_name(tmp_path: Path) -> None:
    """`images/` may stand higher up too: labels lie beside the nearest one."""
    folder = tmp_path / "images" / "shop"
    path = labeled(folder, "0 0.5 0.5 1 1", "deep/er/a")
    assert path == folder / "images" / "deep" / "er" / "a.png"
    boxes = load_sample(path).boxes_xyxy
    assert boxes is not None
    assert boxes.tolist() == [[0, 0, 40, 20]]


@pytest.mark.parametrize(
    "text",
    ["0 0.5 0.5 0.5", "0 a b c d", "class cx cy w h", b"\xff\xfe\x00", "0 0.5 0.5 0.5 0.5\n0 0.5"],
    ids=repr,
)
def test_damaged_labels(tmp_path: Path, text: str | bytes) -> None:
    path = labeled(tmp_path, text)
    with pytest.raises(ExportError, match=r"a\.txt: expected lines of `class cx cy w h`") as caught:
        load_sample(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["0", b"\0" * 9, "0 0.5 0.5\n0 0.5 0.5"], ids=repr)
def test_lines_with_too_few_numbers(tmp_path: Path, text: str | bytes) -> None:
    """Two lines of two numbers are not a box."""
    with pytest.raises(ExportError):
        load_sample(labeled(tmp_path, text))


@pytest.mark.parametrize("text", ["0 nan 0.5 0.5 0.5", "0 0.5 0.5 inf 0.5"])
def test_labels_that_are_not_finite(tmp_path: Path, text: str) -> None:
    with pytest.raises(ExportError):
        load_sample(labeled(tmp_path, text))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_labels_that_cannot_be_read(tmp_path: Path) -> None:
    path = labeled(tmp_path, "0 0.5 0.5 0.5 0.5")
    (tmp_path / "labels" / "a.txt").chmod(0)
    with pytest.raises(ShituError):
        load_sample(path)


def test_no_image(tmp_path: Path) -> None:
    path = tmp_path / "images" / "a.png"
    path.parent.mkdir()
    path.write_bytes(b"no image")
    with pytest.raises(ImageError):
        load_sample(path)


def test_synthetic_images() -> None:
    """The same every time, of several sizes, with something in them."""
    samples, again = synthetic_samples(5), synthetic_samples(5)
    assert all(np.array_equal(one.pixels_rgb, two.pixels_rgb) for one, two in zip(samples, again, strict=True))
    assert not np.array_equal(samples[0].pixels_rgb, samples[4].pixels_rgb)
    assert not np.array_equal(synthetic_samples(1, seed=1)[0].pixels_rgb, samples[0].pixels_rgb)
    for one in samples:
        assert one.pixels_rgb.dtype == np.uint8
        assert one.pixels_rgb.ndim == 3
        assert one.pixels_rgb.std() > 10
        assert one.boxes_xyxy is None
    assert len({one.pixels_rgb.shape for one in samples}) == 4
    assert len({one.name for one in samples}) == 5
    assert synthetic_samples(0) == []
