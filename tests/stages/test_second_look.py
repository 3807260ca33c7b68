"""The second look at an image: as much as there is time for, and nothing where there is nothing to see."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.layers import Layers
from shitu_edge.imaging.geometry import Pixels
from shitu_edge.imaging.local_features import LocalFeatures, find_features
from shitu_edge.results import Match
from shitu_edge.stages import photo_features
from shitu_edge.stages.deadline import Clock
from shitu_edge.stages.decide import Candidate
from shitu_edge.stages.decode import DecodedImage
from shitu_edge.stages.photo_features import PhotoFeatures
from shitu_edge.stages.second_look import Looks, SecondLooks
from shitu_edge.system.workers import Workers
from tests.gallery.pictured import origin
from tests.gallery.rows import create, unit
from tests.photos import patches

pytest.importorskip("cv2", reason="local features need shitu-edge[opencv]")

PRODUCTS = 12
SIDE = 160
DIM = 12


class Extractor:
    """Embeds a crop as its mean colors, upright ones and turned ones differently; counts what it embeds."""

    def __init__(self, workers: Workers, seconds: float = 0.0) -> None:
        self.workers = workers
        self.embedded = self.calls = 0
        self._seconds = seconds

    def embed_crops(self, crops: list[Pixels]) -> NDArray[np.float32]:
        self.embedded += len(crops)
        self.calls += 1
        time.sleep(self._seconds * len(crops))
        rows = [row(pixels) for pixels in crops]
        return np.stack(rows) if rows else np.zeros((0, DIM), np.float32)


def row(pixels: Pixels) -> NDArray[np.float32]:
    height, width = (side // 2 for side in pixels.shape[:2])
    parts = pixels[:height, :width], pixels[:height, width:], pixels[height:, :width], pixels[height:, width:]
    means = np.concatenate([part.mean((0, 1)) if part.size else np.zeros(3) for part in parts]) - 127.3
    found: NDArray[np.float32] = unit(means[None])[0]
    return found


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """Items 1 to 12 with pictures, and 13 to 15 without."""
    with create(tmp_path / "shop.gallery", DIM) as opened:
        opened.add(
            NewGalleryItem(f"product {seed}", "", row(patches(seed, SIDE)), origin(seed, SIDE))
            for seed in range(1, PRODUCTS + 1)
        )
        opened.add(NewGalleryItem(f"bare {seed}", "", row(patches(seed, SIDE))) for seed in range(100, 103))
        yield opened


@pytest.fixture
def photos(gallery: Gallery) -> Iterator[PhotoFeatures]:
    with closing(PhotoFeatures(Layers(gallery))) as opened:
        opened.complete()
        yield opened


@pytest.fixture
def extractor() -> Iterator[Extractor]:
    with Workers(2) as workers:
        yield Extractor(workers)


def look(
    gallery: Gallery,
    photos: PhotoFeatures,
    extractor: Any,
    objects: Sequence[Pixels],
    doubts: Sequence[int] | None = None,
    deadline_ms: float | None = None,
    expected_ms: float | None = None,
) -> Looks:
    """Look at objects next to each other; each is asked about as it is."""
    width = 20 + sum(pixels.shape[1] + 20 for pixels in objects)
    scene = np.full((max(pixels.shape[0] for pixels in objects) + 40, width, 3), 255, np.uint8)
    boxes, left = [], 20
    for pixels in objects:
        height, across = pixels.shape[:2]
        scene[20 : 20 + height, left : left + across] = pixels
        boxes.append((left, 20, left + across, 20 + height))
        left += across + 20
    near = gallery.search(np.stack([row(pixels) for pixels in objects]), 50)
    seen = [Candidate(tuple(map(float, box)), 0.9, found) for box, found in zip(boxes, near, strict=True)]  # type: ignore[arg-type]
    looks = SecondLooks(photos, extractor)
    if expected_ms is not None:
        looks.expected_ms = expected_ms
    decoded = DecodedImage(scene, width, scene.shape[0], None)
    every = range(len(objects)) if doubts is None else doubts
    return looks.look(seen, np.array(boxes, np.float32), every, decoded, gallery.search, Clock(), deadline_ms)


def best(found: Candidate) -> tuple[str, int]:
    return found.matches[0].label, found.matches[0].inliers


def test_turned_objects_are_told(gallery: Gallery, photos: PhotoFeatures, extractor: Extractor) -> None:
    objects = [np.rot90(patches(seed, SIDE), seed) for seed in range(1, 8)]
    found = look(gallery, photos, extractor, objects)
    assert (found.done.state, found.done.looked, found.done.left_out) == ("ready", 7, 0)
    for seed, candidate in enumerate(found.candidates, 1):
        label, inliers = best(candidate)
        assert (label, inliers > 50) == (f"product {seed}", True)
        assert candidate.evidence is not None
        evidence = candidate.evidence(seed)
        assert evidence is not None
        left, top, right, bottom = candidate.box_xyxy
        assert (evidence.object_xy >= (left, top)).all()
        assert (evidence.object_xy <= (right, bottom)).all()


def test_only_doubts_are_looked_at(gallery: Gallery, photos: PhotoFeatures, extractor: Extractor) -> None:
    objects = [patches(seed, SIDE) for seed in range(1, 5)]
    found = look(gallery, photos, extractor, objects, [2, 0])
    assert (found.done.looked, [one.evidence is not None for one in found.candidates]) == (
        2,
        [True, False, True, False],
    )
    assert [best(one)[1] > 0 for one in found.candidates] == [True, False, True, False]
    nothing = look(gallery, photos, extractor, objects, [])
    assert (nothing.done.looked, nothing.done.left_out) == (0, 0)
    assert {match.inliers for one in nothing.candidates for match in one.matches} == {0}


def test_clear_looks_ask_no_turned_views(gallery: Gallery, photos: PhotoFeatures, extractor: Extractor) -> None:
    look(gallery, photos, extractor, [patches(seed, SIDE) for seed in (1, 2, 3)])
    assert extractor.embedded == 0
    look(gallery, photos, extractor, [patches(1, SIDE), patches(77, SIDE), patches(3, SIDE)])
    assert extractor.embedded == 3, "of the one that resembles nothing"


@pytest.mark.parametrize(
    "crop",
    [
        np.full((SIDE, SIDE, 3), 90, np.uint8),
        np.full((3, 2, 3), 90, np.uint8),
        patches(3, 12),
        np.full((900, 4, 3), 30, np.uint8),
    ],
    ids=["one color", "3 × 2", "12 × 12", "thin"],
)
def test_objects_without_features_cost_nothing(
    gallery: Gallery, extractor: Extractor, crop: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No photo is looked at for them, and no view is embedded."""

    def at_work(*_: object) -> None:
        raise AssertionError("looked")

    monkeypatch.setattr(photo_features, "find_features", at_work)
    with closing(PhotoFeatures(Layers(gallery))) as photos:
        before = gallery.search(row(crop)[None], 50)[0]
        (found,) = look(gallery, photos, extractor, [crop]).candidates
    assert found.matches == before
    assert extractor.embedded == 0
    assert found.evidence is not None
    assert all(found.evidence(match.item_id) is None for match in found.matches)


def test_object_that_no_item_has_stays_as_it_is(gallery: Gallery, photos: PhotoFeatures, extractor: Extractor) -> None:
    (found,) = look(gallery, photos, extractor, [patches(55, SIDE)]).candidates
    before = gallery.search(row(patches(55, SIDE))[None], 50)[0]
    assert {match.item_id for match in found.matches} == {match.item_id for match in before}
    assert max(match.inliers for match in found.matches) <= 10


def test_items_without_pictures_and_missing_features_do_no_harm(
    gallery: Gallery, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.path.with_name("shop.gallery.features").mkdir()
    with closing(PhotoFeatures(Layers(gallery))) as photos:
        (bare,) = look(gallery, photos, extractor, [patches(101, SIDE)]).candidates
        assert best(bare) == ("bare 101", 0)
        (found,) = look(gallery, photos, extractor, [patches(5, SIDE)]).candidates
        assert best(found)[0] == "product 5"
    monkeypatch.setattr(PhotoFeatures, "of", lambda self, ids, most_new=None: {})
    (nothing,) = look(gallery, photos, extractor, [patches(5, SIDE)]).candidates
    assert [match.inliers for match in nothing.matches] == [0] * 15


def test_empty_gallery(tmp_path: Path, extractor: Extractor) -> None:
    with create(tmp_path / "empty.gallery", DIM) as empty, closing(PhotoFeatures(Layers(empty))) as photos:
        (found,) = look(empty, photos, extractor, [patches(1, SIDE)]).candidates
        assert found.matches == ()


def test_item_that_is_removed_meanwhile(gallery: Gallery, photos: PhotoFeatures, extractor: Extractor) -> None:
    """After the search, and pruned, so that its picture is gone."""
    near = gallery.search(row(patches(2, SIDE))[None], 50)[0]
    gallery.remove([2])
    gallery.history.prune(0)
    scene = np.pad(patches(2, SIDE), ((20, 20), (20, 20), (0, 0)))
    box = (20.0, 20.0, 20.0 + SIDE, 20.0 + SIDE)
    (found,) = SecondLooks(photos, extractor).look(  # type: ignore[arg-type]
        [Candidate(box, 0.9, near)], np.array([box], np.float32), [0],
        DecodedImage(scene, scene.shape[1], scene.shape[0], None), gallery.search, Clock(), None,
    ).candidates  # fmt: skip
    assert {match.item_id for match in found.matches} == set(range(1, 16))
    assert max(match.inliers for match in found.matches) <= 10


# -- in time


def test_deadline_leaves_out_the_last_ones_and_says_so(
    gallery: Gallery, photos: PhotoFeatures, extractor: Extractor
) -> None:
    """Waves of two; the first two are in time, whatever the machine."""
    objects = [patches(seed, SIDE) for seed in range(1, 7)]

    class Late(Clock):
        def __init__(self) -> None:
            self.waves = 0

        def elapsed_ms(self) -> float:
            self.waves += 1
            return 50.0 * self.waves

    looks = SecondLooks(photos, extractor)  # type: ignore[arg-type]
    scene = np.concatenate(objects, axis=1)
    boxes = [(160.0 * place, 0.0, 160.0 * place + 160, 160.0) for place in range(6)]
    near = gallery.search(np.stack([row(pixels) for pixels in objects]), 50)
    seen = [Candidate(box, 0.9, found) for box, found in zip(boxes, near, strict=True)]
    decoded = DecodedImage(scene, scene.shape[1], scene.shape[0], None)
    found = looks.look(seen, np.array(boxes, np.float32), [5, 1, 3, 0, 2], decoded, gallery.search, Late(), 100.0)
    assert (found.done.looked, found.done.left_out) == (2, 3)
    assert [one.evidence is not None for one in found.candidates] == [False, True, False, False, False, True]
    assert [found.candidates[place] is seen[place] for place in (0, 2, 3, 4)] == [True] * 4


@pytest.mark.parametrize(("deadline_ms", "turns"), [(None, 1), (1e9, 1), (150.0, 2), (79.0, 3)])
def test_all_are_looked_at_at_once_if_there_is_time(
    gallery: Gallery, photos: PhotoFeatures, extractor: Extractor, deadline_ms: float | None, turns: int
) -> None:
    """Else one wave of two after the other. The clock stands still, so that a wave is expected to take ever less."""

    class Still(Clock):
        def elapsed_ms(self) -> float:
            return 0.0

    looks = SecondLooks(photos, extractor)  # type: ignore[arg-type]
    scene = np.concatenate([patches(seed, SIDE) for seed in range(200, 205)], axis=1)
    boxes = [(160.0 * place, 0.0, 160.0 * place + 160, 160.0) for place in range(5)]
    near = gallery.search(np.stack([row(patches(seed, SIDE)) for seed in range(200, 205)]), 50)
    seen = [Candidate(box, 0.9, found) for box, found in zip(boxes, near, strict=True)]
    decoded = DecodedImage(scene, scene.shape[1], scene.shape[0], None)
    found = looks.look(seen, np.array(boxes, np.float32), range(5), decoded, gallery.search, Still(), deadline_ms)
    assert (found.done.looked, found.done.left_out) == (5, 0)
    assert (extractor.calls, extractor.embedded) == (turns, 15), "all are unknown, and asked about turned"


@pytest.mark.parametrize("deadline_ms", [0.0, -1e9, 39.0])
def test_passed_deadline_looks_at_nothing(
    gallery: Gallery, photos: PhotoFeatures, extractor: Extractor, deadline_ms: float
) -> None:
    found = look(gallery, photos, extractor, [patches(1, SIDE)] * 3, deadline_ms=deadline_ms)
    assert (found.done.state, found.done.looked, found.done.left_out) == ("ready", 0, 3)


def test_one_slow_wave_does_not_keep_all_later_ones_from_being_tried(
    gallery: Gallery, photos: PhotoFeatures, extractor: Extractor
) -> None:
    looks = SecondLooks(photos, extractor)  # type: ignore[arg-type]
    looks.expected_ms = 10_000.0
    scene = patches(1, SIDE)
    box = (0.0, 0.0, float(SIDE), float(SIDE))
    near = gallery.search(row(scene)[None], 50)[0]
    tries = 0
    while True:
        tries += 1
        found = looks.look(
            [Candidate(box, 0.9, near)], np.array([box], np.float32), [0],
            DecodedImage(scene, SIDE, SIDE, None), gallery.search, Clock(), 100.0,
        )  # fmt: skip
        if found.done.looked:
            break
        assert tries < 50
    assert tries > 5


def test_photos_to_look_at_first_are_bounded(
    gallery: Gallery, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without anything prepared, as of a gallery just copied here."""
    calls: list[int] = []

    def counted(pixels_rgb: Pixels) -> LocalFeatures:
        calls.append(len(pixels_rgb))
        return find_features(pixels_rgb)

    monkeypatch.setattr(photo_features, "find_features", counted)
    with closing(PhotoFeatures(Layers(gallery))) as photos:
        look(gallery, photos, extractor, [patches(55, SIDE)])
        assert 0 < len(calls) <= 16, "8 for the object as it is, 8 for the object turned"
        (again,) = look(gallery, photos, extractor, [patches(7, SIDE)]).candidates
        assert best(again)[0] == "product 7"


def test_search_may_find_less_for_turned_views(gallery: Gallery, photos: PhotoFeatures, extractor: Extractor) -> None:
    """As after all items were removed meanwhile."""
    scene = patches(55, SIDE)
    box = (0.0, 0.0, float(SIDE), float(SIDE))
    near = gallery.search(row(scene)[None], 50)[0]

    def nothing(rows: NDArray[np.float32], k: int) -> list[tuple[Match, ...]]:
        assert (rows.shape, k) == ((3, DIM), 10)
        return [()] * len(rows)

    (found,) = SecondLooks(photos, extractor).look(  # type: ignore[arg-type]
        [Candidate(box, 0.9, near)], np.array([box], np.float32), [0],
        DecodedImage(scene, SIDE, SIDE, None), nothing, Clock(), None,
    ).candidates  # fmt: skip
    assert {match.item_id for match in found.matches} == {match.item_id for match in near}
