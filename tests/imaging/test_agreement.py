"""What drawn pictures have in common with turned, scaled, darker and other ones."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from shitu_edge.imaging import agreement
from shitu_edge.imaging.agreement import Agreement, agreements
from shitu_edge.imaging.geometry import Pixels
from shitu_edge.imaging.local_features import NO_FEATURES, LocalFeatures, find_features
from tests.photos import patches

pytest.importorskip("cv2", reason="local features need shitu-edge[opencv]")

OTHERS = 12
FEW = 10
"""Points up to which other pictures agree by chance; hardly any above 5."""


def photo(seed: int) -> LocalFeatures:
    return find_features(patches(seed), 200, 384)


def asked(picture: Pixels, photos: list[LocalFeatures]) -> list[Agreement]:
    found = find_features(picture, 400, 384)
    return agreements(found.points_xy, found.rows(), photos)


def scaled(picture: Pixels, factor: float) -> Pixels:
    size = round(picture.shape[1] * factor), round(picture.shape[0] * factor)
    return np.asarray(Image.fromarray(picture).resize(size))


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda picture: picture, 190),
        (lambda picture: np.rot90(picture, 1), 100),
        (lambda picture: np.rot90(picture, 2), 100),
        (lambda picture: np.rot90(picture, 3), 100),
        (lambda picture: np.asarray(Image.fromarray(picture).rotate(30, expand=True)), 100),
        (lambda picture: scaled(picture, 0.5), 50),
        (lambda picture: scaled(picture, 3), 50),
        (lambda picture: (picture * 0.5).astype(np.uint8), 100),
        (lambda picture: (picture // 2 + 127).astype(np.uint8), 100),
        (lambda picture: np.roll(np.pad(picture, ((60, 60), (90, 30), (0, 0))), 20, axis=0), 100),
        (lambda picture: picture[40:160, 30:170], 40),
    ],
    ids=["same", "90", "180", "270", "30", "half", "larger", "darker", "brighter", "moved", "part"],
)
def test_picture_agrees_with_itself_changed_and_not_with_others(change: Callable[[Pixels], Pixels], least: int) -> None:
    own, *others = asked(change(patches(0)), [photo(seed) for seed in range(OTHERS)])
    assert len(own) >= least
    assert max(map(len, others)) <= FEW < least


def test_points_are_the_same_places() -> None:
    """The object is moved by 90 to the right and 80 down."""
    (found,) = asked(np.pad(patches(0), ((80, 20), (90, 10), (0, 0))), [photo(0)])
    assert len(found) > 100
    assert np.median(np.abs(found.object_xy - found.photo_xy - (90, 80))) < 0.5
    assert np.abs(found.object_xy - found.photo_xy - (90, 80)).max() <= 20


def test_mirrored_picture_does_not_agree() -> None:
    assert max(map(len, asked(patches(0)[:, ::-1].copy(), [photo(seed) for seed in range(4)]))) <= FEW


def test_order_and_number_of_photos_do_not_matter() -> None:
    photos = [photo(seed) for seed in range(5)]
    together = asked(np.rot90(patches(2)), photos)
    alone = [asked(np.rot90(patches(2)), [one])[0] for one in photos]
    back = asked(np.rot90(patches(2)), photos[::-1])[::-1]
    assert [*map(len, together)] == [*map(len, alone)] == [*map(len, back)]
    np.testing.assert_array_equal(together[2].photo_xy, alone[2].photo_xy)


def test_nothing_agrees_with_nothing() -> None:
    some, none = photo(0), NO_FEATURES
    few = LocalFeatures(some.points_xy[:5], some.descriptors[:5])
    assert agreements(some.points_xy, some.rows(), []) == []
    for one in (none, few):
        assert [*map(len, agreements(one.points_xy, one.rows(), [some, none, few]))] == [0, 0, 0]
        assert [*map(len, agreements(some.points_xy, some.rows(), [one, some, one]))] == [0, 200, 0]
    assert [*map(len, agreements(some.points_xy, some.rows(), [none, none]))] == [0, 0]


@pytest.mark.parametrize("where", ["one point", "a line", "not a number"])
def test_impossible_points_agree_with_nothing(where: str) -> None:
    """As a forged file might have them: right descriptors at places that are none."""
    some = photo(0)
    line = np.repeat(np.arange(200, dtype=np.float32)[:, None], 2, 1)
    places = {"one point": np.zeros_like(line), "a line": line, "not a number": np.full_like(line, np.nan)}[where]
    (found,) = agreements(some.points_xy, some.rows(), [LocalFeatures(places, some.descriptors)])
    assert len(found) <= FEW


def test_repeated_texture_is_ambiguous_and_does_not_count() -> None:
    tile = patches(0, side=40)
    (found,) = asked(np.tile(tile, (5, 5, 1)), [find_features(np.tile(tile, (4, 4, 1)), 200, 384)])
    assert len(found) < 60


def test_several_threads_find_the_same() -> None:
    photos = [photo(seed) for seed in range(4)]
    pictures = [np.rot90(patches(seed)) for seed in range(4)] * 3
    expected = [[found.object_xy.tolist() for found in asked(picture, photos)] for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda picture: [one.object_xy.tolist() for one in asked(picture, photos)], pictures))
    assert found == expected


@pytest.mark.parametrize(
    ("linear", "possible"),
    [
        ([[0.5, 0.1], [-0.1, 0.5]], True),
        ([[0.0, -2.0], [2.0, 0.0]], True),
        ([[1.0, 0.0], [0.0, -1.0]], False),
        ([[1.3, 0.0], [0.0, 0.06]], False),
        ([[4.5, 0.0], [0.0, 1.0]], False),
        ([[0.05, 0.0], [0.0, 0.05]], False),
        ([[0.0, 0.0], [0.0, 0.0]], False),
    ],
)
def test_maps_that_no_camera_makes_are_refused(linear: list[list[float]], possible: bool) -> None:
    assert agreement._is_possible(np.array(linear)) is possible
