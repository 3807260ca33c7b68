"""An object compared with photos: what is clear, what is still to be compared, and where points lie."""

from __future__ import annotations

import numpy as np
import pytest

from shitu_edge.imaging.agreement import Agreement
from shitu_edge.imaging.local_features import NO_FEATURES, find_features
from shitu_edge.results import Match
from shitu_edge.stages.extract import crop
from shitu_edge.stages.verify import Looked, compare, evidence_of, photos_to_compare, turned
from tests.photos import patches

pytest.importorskip("cv2", reason="local features need shitu-edge[opencv]")

NEAR = tuple(Match(number, f"product {number}", 0.9 - number / 10) for number in range(4))
PHOTOS = {number: find_features(patches(number), 200, 384) for number in range(4)}


def looked(*inliers: tuple[str, int]) -> Looked:
    return Looked(tuple(Match(place, label, 0.5, found) for place, (label, found) in enumerate(inliers)), {})


@pytest.mark.parametrize(
    ("inliers", "clear"),
    [
        ((), False),
        ((("tea", 24),), False),
        ((("tea", 25),), True),
        ((("tea", 25), ("coffee", 12)), True),
        ((("tea", 25), ("coffee", 13)), False),
        ((("tea", 25), ("tea", 25)), True),
        ((("milk", 0), ("coffee", 12), ("tea", 25), ("tea", 3)), True),
        ((("tea", 200), ("coffee", 200)), False),
    ],
)
def test_look_is_clear_from_25_points_and_twice_those_of_another_label(
    inliers: tuple[tuple[str, int], ...], clear: bool
) -> None:
    assert looked(*inliers).is_clear is clear


def test_compare_puts_the_photo_first_that_agrees() -> None:
    found = compare(find_features(np.rot90(patches(2))), Looked(NEAR, {}), PHOTOS)
    assert [match.item_id for match in found.matches] == [2, 0, 1, 3]
    assert found.matches[0].inliers == len(found.agreements[2]) > 100
    assert found.is_clear
    assert set(found.agreements) == {0, 1, 2, 3}


def test_compare_goes_on_where_it_was() -> None:
    """In two parts as at once; what is missing stays as it was."""
    features = find_features(patches(2))
    first = compare(features, Looked(NEAR, {}), {0: PHOTOS[0]})
    assert first.matches == NEAR
    assert photos_to_compare(NEAR, first.agreements, 3) == [1, 2]
    second = compare(features, first, {number: PHOTOS[number] for number in (1, 2, 3)})
    at_once = compare(features, Looked(NEAR, {}), PHOTOS)
    assert second.matches == at_once.matches
    assert compare(features, second, {}).matches == second.matches


@pytest.mark.parametrize("photos", [{}, {0: NO_FEATURES}, PHOTOS])
def test_compare_of_nothing_changes_nothing(photos: dict[int, object]) -> None:
    found = compare(NO_FEATURES, Looked(NEAR, {}), photos)  # type: ignore[arg-type]
    assert found.matches == NEAR
    assert not found.is_clear


def test_compare_counts_turned_matches_that_agree() -> None:
    views = (Match(9, "product 9", 0.7), Match(2, "product 2", 0.99), Match(8, "product 8", 0.98))
    photos = {2: PHOTOS[2], 9: PHOTOS[3]}
    found = compare(find_features(patches(2)), Looked(NEAR, {}), photos, views)
    assert (found.matches[0].item_id, found.matches[0].similarity) == (2, 0.99)
    assert {match.item_id for match in found.matches} == {0, 1, 2, 3}, "9 and 8 do not agree"


def test_turned_views_are_three_quarter_turns() -> None:
    pixels = patches(0)[:100]
    views = turned(pixels)
    assert [view.shape for view in views] == [(200, 100, 3), (100, 200, 3), (200, 100, 3)]
    for quarter, view in enumerate(views, 1):
        assert view.flags.c_contiguous
        np.testing.assert_array_equal(np.rot90(view, 4 - quarter), pixels)


def test_evidence_lies_in_the_box_where_the_photo_shows_the_same() -> None:
    """A counter of 900 × 700, decoded at half of its size; the object is larger than what is asked."""
    scene = np.full((700, 900, 3), 230, np.uint8)
    scene[150:650, 300:800] = np.kron(patches(2, 250), np.ones((2, 2, 1), np.uint8))
    box = np.array([299.6, 149.4, 800.9, 650.2], np.float32)
    features = find_features(crop(scene, box))
    assert features.scale > 1
    found = compare(features, Looked(NEAR, {}), {2: find_features(patches(2, 250), 200, 384)})
    evidence = evidence_of(found, box, (2.0, 2.5), 2)
    assert evidence is not None
    assert (evidence.item_id, evidence.object_xy.shape) == (2, (found.matches[0].inliers, 2))
    assert evidence.object_xy.dtype == np.float32
    assert evidence.object_xy.shape == evidence.photo_xy.shape
    expected = (evidence.photo_xy * 2 + (300, 150)) * (2, 2.5)
    assert np.median(np.abs(evidence.object_xy - expected)) < 4
    assert evidence_of(found, box, (1.0, 1.0), 3) is None, "not compared"
    none = evidence_of(Looked(NEAR, {3: Agreement(*np.zeros((2, 0, 2), np.float32))}), box, (1.0, 1.0), 3)
    assert none is not None
    assert none.object_xy.shape == (0, 2)
