"""Features of a gallery's photos: found once, and of the right photo whatever becomes of the gallery and its file."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery
from shitu_edge.gallery.layers import Layers
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch
from shitu_edge.imaging.geometry import Pixels
from shitu_edge.imaging.local_features import METHOD, LocalFeatures, find_features
from shitu_edge.stages import photo_features
from shitu_edge.stages.photo_features import PhotoFeatures, opened_photos, product_pixels
from shitu_edge.system.workers import Workers
from tests.gallery.pictured import origin, pictured
from tests.gallery.rows import create, new_items, unit_rows
from tests.photos import patches

pytest.importorskip("cv2", reason="local features need shitu-edge[opencv]")


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each picture that is looked at."""
    calls: list[int] = []

    def counted(pixels_rgb: Pixels) -> LocalFeatures:
        calls.append(len(pixels_rgb))
        return find_features(pixels_rgb)

    monkeypatch.setattr(photo_features, "find_features", counted)
    return calls


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """Items 1 to 6 with pictures, and 7 without."""
    with create(tmp_path / "shop.gallery") as opened:
        opened.add([*pictured(range(1, 7)), *new_items(unit_rows(1, seed=99))])
        yield opened


@pytest.fixture
def photos(gallery: Gallery) -> Iterator[PhotoFeatures]:
    with closing(PhotoFeatures(Layers(gallery))) as opened:
        yield opened


def features_path(gallery: Gallery) -> Path:
    return gallery.path.with_name(f"{gallery.path.name}.features")


def stored(gallery: Gallery) -> int:
    with closing(sqlite3.connect(features_path(gallery))) as connection:
        return int(connection.execute("SELECT count(*) FROM features").fetchone()[0])


def fresh(gallery: Gallery, ids: list[int], local: Gallery | None = None) -> dict[int, LocalFeatures]:
    """Return what a new process would get."""
    with closing(PhotoFeatures(Layers(gallery, local))) as opened:
        return opened.of(ids)


def assert_shows(features: LocalFeatures, seed: int) -> None:
    """Check that these are the features of the picture of a seed."""
    made = origin(seed)
    pixels = product_pixels(made)
    assert pixels is not None
    expected = find_features(pixels, 200, 384)
    assert len(features) == len(expected) > 50
    np.testing.assert_array_equal(features.descriptors, expected.descriptors)
    np.testing.assert_allclose(features.points_xy, expected.points_xy, atol=1 / 64)


def test_product_pixels_are_the_picture_without_its_margin() -> None:
    pixels = product_pixels(origin(3))
    assert pixels is not None
    assert pixels.shape == (160, 160, 3)
    assert np.abs(pixels.astype(int) - patches(3, 160)).mean() < 8
    whole = product_pixels(replace(origin(3), product_xyxy=None))
    assert whole is not None
    assert whole.shape == (200, 200, 3)
    assert product_pixels(replace(origin(3), picture=b"\xff\xd8\xff no picture")) is None
    outside = product_pixels(replace(origin(3), product_xyxy=(-1e9, 5e8, 1e9, 6e8)))
    assert outside is not None
    assert outside.size, "never empty"


def test_features_are_found_once(gallery: Gallery, photos: PhotoFeatures, looked: list[int]) -> None:
    found = photos.of([5, 2, 7, 2, 99, -1])
    assert list(found) == [5, 2], "in the order asked for, without those that have no picture"
    assert_shows(found[5], 5)
    assert_shows(found[2], 2)
    again = len(looked)
    photos.of([2, 5, 2])
    features_path(gallery).unlink()
    photos.of([5])
    assert len(looked) == again, "from memory"
    photos.of([1])
    assert len(looked) == again + 1


def test_features_are_read_from_disk_after_a_restart(
    gallery: Gallery, photos: PhotoFeatures, looked: list[int]
) -> None:
    photos.of([1, 2, 3])
    assert stored(gallery) == 3
    looked.clear()
    found = fresh(gallery, [3, 1, 2])
    assert (list(found), looked) == ([3, 1, 2], [])
    assert_shows(found[3], 3)


def test_memory_holds_the_latest_ones(
    gallery: Gallery, photos: PhotoFeatures, looked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_features, "MOST_IN_MEMORY", 3)
    features_path(gallery).mkdir()  # so that nothing is kept on disk
    photos.of([1, 2, 3])
    photos.of([1])
    photos.of([4])
    assert len(looked) == 4
    photos.of([1, 3, 4])
    assert len(looked) == 4, "2 was the oldest"
    assert list(photos.of([1, 2, 3, 4, 5, 6])) == [1, 2, 3, 4, 5, 6], "also more than there is room for"
    assert len(photos._latest) == 3


@pytest.mark.parametrize("damage", [b"", b"damaged", None])
def test_damaged_file_is_made_again(gallery: Gallery, looked: list[int], damage: bytes | None) -> None:
    fresh(gallery, [1, 2])
    path = features_path(gallery)
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    looked.clear()
    for _ in range(2):
        found = fresh(gallery, [1, 2])
        assert_shows(found[1], 1)
        assert_shows(found[2], 2)
    assert len(looked) == 2


def test_forged_features_with_a_right_checksum_are_found_again(gallery: Gallery, looked: list[int]) -> None:
    """Of a length that no features have."""
    fresh(gallery, [1, 2])
    looked.clear()
    with closing(sqlite3.connect(features_path(gallery))) as connection:
        for (key,) in connection.execute("SELECT key FROM features").fetchall():
            digest = hashlib.sha256(b"%b %b %b" % (METHOD.encode(), key, b"short")).digest()[:16]
            connection.execute("UPDATE features SET digest = ?, content = ? WHERE key = ?", (digest, b"short", key))
        connection.commit()
    assert_shows(fresh(gallery, [1])[1], 1)
    assert len(looked) == 1


def test_picture_that_cannot_be_decoded_has_no_features(gallery: Gallery, looked: list[int]) -> None:
    broken = replace(origin(9), picture=b"\xff\xd8\xff no picture")
    gallery.add([replace(pictured([9])[0], origin=broken)])
    found = fresh(gallery, [8, 1])
    assert [len(found[8]), len(found[1])] == [0, 200]
    looked.clear()
    assert len(fresh(gallery, [8])[8]) == 0
    with closing(PhotoFeatures(Layers(gallery))) as photos:
        photos.complete()
        assert photos.inliers(8, [1, 7]) == photos.inliers(1, [8, 7]) == [0, 0]


def test_damaged_picture_does_not_stop_the_others(gallery: Gallery) -> None:
    """A till that has recognized without its pictures goes on."""
    with closing(sqlite3.connect(gallery.path)) as connection:
        connection.execute("UPDATE origins SET picture = zeroblob(length(picture)) WHERE item = 2")
        connection.commit()
    with closing(PhotoFeatures(Layers(gallery))) as photos:
        assert list(photos.of([1, 2, 3])) == [1, 3]
        photos.complete()
        assert photos.inliers(1, [2]) == [0]
    assert list(fresh(gallery, [3, 2, 4])) == [3, 4]


def test_items_of_a_local_layer_have_negative_ids(gallery: Gallery, tmp_path: Path, looked: list[int]) -> None:
    with create(tmp_path / "till.gallery") as local:
        local.add(pictured([21, 22]))
        found = fresh(gallery, [-2, 2, -1, -3], local)
        assert list(found) == [-2, 2, -1]
        for item, seed in ((-2, 22), (2, 2), (-1, 21)):
            assert_shows(found[item], seed)
        assert (stored(gallery), stored(local)) == (1, 2), "each next to its own gallery"
        looked.clear()
        again = fresh(gallery, [-1, -2, 2], local)
        assert_shows(again[-1], 21)
        assert looked == []
        with closing(PhotoFeatures(Layers(gallery, local))) as photos:
            assert photos.with_picture([7, -1, 1, -9]) == [-1, 1]
            photos.complete()
        assert (stored(gallery), stored(local)) == (6, 2)


def test_renamed_and_rolled_back_items_keep_their_features(gallery: Gallery, looked: list[int]) -> None:
    fresh(gallery, [1, 2, 3])
    looked.clear()
    gallery.rename("product 1", "tea")
    assert_shows(fresh(gallery, [1])[1], 1)
    gallery.remove([2])
    gallery.history.rollback(2)
    assert_shows(fresh(gallery, [2])[2], 2)
    assert looked == []


def test_copied_and_patched_galleries_have_the_features_of_their_pictures(
    gallery: Gallery, tmp_path: Path, looked: list[int]
) -> None:
    fresh(gallery, [1, 2, 3])
    gallery.copy(tmp_path / "kiosk.gallery")
    gallery.remove([2])
    gallery.add(pictured([30]))
    write_patch(gallery, gallery.revision - 2, gallery.revision, tmp_path / "next.patch")
    shutil.copyfile(features_path(gallery), tmp_path / "kiosk.gallery.features")
    looked.clear()
    with Gallery.open(tmp_path / "kiosk.gallery", background=False) as kiosk:
        apply_patch(kiosk, tmp_path / "next.patch")
        found = fresh(kiosk, [1, 3, 8])
        for item, seed in ((1, 1), (3, 3), (8, 30)):
            assert_shows(found[item], seed)
        assert len(looked) == 1


def test_gallery_in_the_place_of_another_never_gets_its_features(gallery: Gallery, tmp_path: Path) -> None:
    """Both have items 1 to 6 with pictures, and the file of features stays."""
    fresh(gallery, [1, 2, 3, 4, 5, 6])
    with create(tmp_path / "other.gallery") as other:
        other.add(pictured([4, 5, 6, 1, 2, 3]))
    gallery.close()
    gallery.path.unlink()
    (tmp_path / "other.gallery").rename(gallery.path)
    with Gallery.open(gallery.path, background=False) as replaced:
        found = fresh(replaced, [1, 4])
        assert_shows(found[1], 4)
        assert_shows(found[4], 1)
        with closing(PhotoFeatures(Layers(replaced))) as photos:
            photos.complete()
        assert stored(replaced) == 6


@pytest.mark.parametrize(("most", "there"), [(0, [2]), (1, [1, 2]), (2, [1, 2, 3]), (None, [1, 2, 3, 4])])
def test_most_new_leaves_out_what_would_take_long(
    photos: PhotoFeatures, looked: list[int], most: int | None, there: list[int]
) -> None:
    photos.of([2])
    looked.clear()
    assert list(photos.of([1, 2, 3, 4], most)) == there
    assert len(looked) == len(there) - 1


def test_inliers_of_pictures(gallery: Gallery, photos: PhotoFeatures) -> None:
    gallery.add([replace(item, label="copy") for item in pictured([1])])
    alone, copied, none = photos.inliers(1, [2, 8, 7])
    assert (alone <= 10, copied > 150, none) == (True, True, 0)
    assert photos.inliers(7, [1, 2]) == [0, 0], "it has no picture itself"
    assert photos.inliers(1, []) == []


def test_complete_finds_all_once_and_reports(gallery: Gallery, photos: PhotoFeatures, looked: list[int]) -> None:
    steps: list[tuple[int, int]] = []
    pauses: list[int] = []
    photos.complete(lambda: pauses.append(1), lambda done, count: steps.append((done, count)))
    assert (len(looked), stored(gallery), steps[-1]) == (6, 6, (7, 7))
    assert len(pauses) >= 6
    assert len(photos._latest) == 0, "a large gallery does not push out what customers ask for"
    with Workers(2) as workers:
        photos.complete(workers=workers)
    assert len(looked) == 6
    gallery.remove([1, 2])
    photos.complete()
    assert (len(looked), stored(gallery)) == (6, 4)


def test_complete_in_parts_reports_each(
    gallery: Gallery, photos: PhotoFeatures, looked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_features, "_AT_ONCE", 2)
    steps: list[int] = []
    with Workers(3) as workers:
        photos.complete(progress=lambda done, _: steps.append(done), workers=workers)
    assert (steps, len(looked), stored(gallery)) == ([2, 4, 6, 7], 6, 6)


def test_complete_that_is_interrupted_goes_on_where_it_was(
    gallery: Gallery, photos: PhotoFeatures, looked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_features, "_AT_ONCE", 2)

    def stop() -> None:
        if len(looked) > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        photos.complete(stop)
    assert stored(gallery) == 4
    fresh(gallery, [1, 2, 3, 4])
    looked.clear()
    photos.complete()
    assert (len(looked), stored(gallery)) == (2, 6)


def test_empty_gallery_has_nothing(tmp_path: Path) -> None:
    with create(tmp_path / "empty.gallery") as empty, closing(PhotoFeatures(Layers(empty))) as photos:
        assert photos.of([1, -1]) == photos.of([]) == {}
        photos.complete()
        assert [file.name for file in tmp_path.iterdir() if "features" in file.name] == []


def test_closed_gallery_is_an_error(gallery: Gallery, photos: PhotoFeatures) -> None:
    gallery.close()
    with pytest.raises(GalleryError, match="is closed"):
        photos.of([1])


def test_without_opencv_there_are_no_photos(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened_photos(Layers(gallery)) as photos:
        assert photos is not None
    monkeypatch.setattr(photo_features, "can_find_features", lambda: False)
    with opened_photos(Layers(gallery)) as photos:
        assert photos is None
