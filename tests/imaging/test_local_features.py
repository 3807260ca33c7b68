"""Local features of drawn pictures, and as bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from shitu_edge.imaging import local_features
from shitu_edge.imaging.local_features import (
    MOST_POINTS,
    NO_FEATURES,
    LocalFeatures,
    can_find_features,
    find_features,
)
from tests.photos import patches

pytest.importorskip("cv2", reason="local features need shitu-edge[opencv]")

counts = st.shared(st.integers(0, MOST_POINTS), key="count")
points = counts.flatmap(lambda count: arrays.arrays(np.float32, (count, 2), elements=st.floats(0, 1023, width=32)))
rows = counts.flatmap(lambda count: arrays.arrays(np.uint8, (count, 128)))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(points, rows)
def test_bytes_give_back_what_was_stored(points_xy: np.ndarray, descriptors: np.ndarray) -> None:
    content = LocalFeatures(points_xy, descriptors).to_bytes()
    read = LocalFeatures.from_bytes(content)
    assert len(content) == 132 * len(points_xy)
    np.testing.assert_allclose(read.points_xy, points_xy, atol=1 / 128)
    np.testing.assert_array_equal(read.descriptors, descriptors)
    assert (read.scale, read.to_bytes()) == (1.0, content)
    assert read.points_xy.dtype == np.float32


@pytest.mark.parametrize("size", [1, 131, 133, 132 * 3 - 1, 132 * (MOST_POINTS + 1)])
def test_bytes_of_another_length_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=rf"expected 132 bytes per key point, at most 200, found {size}"):
        LocalFeatures.from_bytes(bytes(size))


def test_rows_have_length_1_also_of_nothing() -> None:
    found = find_features(patches(0), 50, 384)
    np.testing.assert_allclose(np.linalg.norm(found.rows(), axis=1), 1, atol=1e-6)
    assert NO_FEATURES.rows().shape == (0, 128)
    assert np.isfinite(LocalFeatures(np.zeros((1, 2), np.float32), np.zeros((1, 128), np.uint8)).rows()).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (15, 400), (400, 15), (16, 500)])
def test_tiny_pictures_have_none(shape: tuple[int, int]) -> None:
    """The last one has 16 pixels, and 12 when it is reduced."""
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert len(find_features(noise, MOST_POINTS, 384)) == 0


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (200, 30, 90)])
def test_pictures_of_one_color_have_none(color: tuple[int, int, int]) -> None:
    found = find_features(np.full((200, 300, 3), color, np.uint8), MOST_POINTS, 384)
    assert (found.points_xy.shape, found.descriptors.shape) == ((0, 2), (0, 128))


@pytest.mark.parametrize("most", [1, 20, MOST_POINTS])
def test_number_of_points_is_bounded_and_the_strongest_come_first(most: int) -> None:
    some, all_of_them = (find_features(patches(3), count, 384) for count in (most, 5000))
    assert len(some) == most < len(all_of_them)
    first = {tuple(point) for point in all_of_them.points_xy[: 2 * most].round(1).tolist()}
    assert {tuple(point) for point in some.points_xy.round(1).tolist()} <= first


def test_points_lie_where_the_picture_has_texture_and_scale_leads_back() -> None:
    large = np.full((600, 900, 3), 240, np.uint8)
    large[100:300, 500:700] = patches(1, side=200)
    for longest_side, scale in ((384, 900 / 384), (900, 1.0), (5000, 1.0)):
        found = find_features(large, 200, longest_side)
        assert len(found) > 50
        assert found.scale == pytest.approx(scale)
        assert found.points_xy.max() < longest_side
        x, y = (found.points_xy * found.scale).T
        assert (min(x) > 480, max(x) < 720, min(y) > 80, max(y) < 320) == (True,) * 4


def test_views_and_copies_have_the_same_features() -> None:
    turned = np.rot90(patches(2))
    assert not turned.flags.c_contiguous
    view, copied = find_features(turned, 100, 384), find_features(turned.copy(), 100, 384)
    assert view.to_bytes() == copied.to_bytes()


def test_gray_level_decides_and_not_the_color() -> None:
    gray = np.asarray(Image.fromarray(patches(4)).convert("L").convert("RGB"))
    one, other = find_features(patches(4), 100, 384), find_features(gray, 100, 384)
    assert len({*map(tuple, one.points_xy.round().tolist())} & {*map(tuple, other.points_xy.round().tolist())}) > 50


def test_several_threads_find_the_same() -> None:
    pictures = [patches(seed) for seed in range(4)] * 3
    expected = [find_features(picture, 100, 384).to_bytes() for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda picture: find_features(picture, 100, 384).to_bytes(), pictures)
        assert list(found) == expected


def test_without_opencv_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_find_features()
    monkeypatch.setattr(local_features, "opencv", lambda: None)
    assert not can_find_features()
    monkeypatch.setattr(local_features, "opencv", lambda: object())
    assert not can_find_features(), "an OpenCV without SIFT"
