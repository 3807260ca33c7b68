"""A gallery's calibration through its changes, restarts and copies."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.bundle import Target
from shitu_edge.bundle.cohort import MOST_PRODUCTS
from shitu_edge.calibration import (
    Calibrator,
    Queries,
    cache,
    calibrator,
    derive,
    estimated_threshold,
    gallery_samples,
    leave_out,
    store,
)
from shitu_edge.errors import OptionError
from shitu_edge.gallery import Gallery, NewGalleryItem
from shitu_edge.gallery.labels import NEGATIVE
from tests.gallery.rows import create, unit

DIM = 16
PHOTOS = 5


def photos(products: int, seed: int = 0, label: str = "label", each: int = PHOTOS) -> list[NewGalleryItem]:
    """Return items of products, five photos each."""
    rng = np.random.default_rng(seed)
    rows = unit(np.repeat(rng.normal(size=(products, DIM)), each, 0) + 0.3 * rng.normal(size=(products * each, DIM)))
    return [NewGalleryItem(f"{label} {place // each}", "", row) for place, row in enumerate(rows)]


def accepts(rate: float, confidence: float | None = None) -> Target:
    return Target(max_false_accept=rate, confidence=confidence)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """60 products with five photos each."""
    with create(tmp_path / "shop.gallery", DIM) as opened:
        opened.add(photos(60))
        yield opened


@pytest.fixture
def keeper(gallery: Gallery, tmp_path: Path) -> Iterator[Calibrator]:
    opened = Calibrator(gallery, tmp_path / "cache")
    yield opened
    opened.close()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_threshold_is_the_estimate_of_the_gallerys_own_items(gallery: Gallery, keeper: Calibrator) -> None:
    found = keeper.at(accepts(0.1))
    items = gallery.items()
    rows = gallery.embeddings([item.id for item in items])
    labels = np.unique([item.label for item in items], return_inverse=True)[1]
    expected = estimated_threshold(leave_out(rows, labels, lambda: [(rows, labels)]).unknown, 0.1)
    assert (found.state, found.products, found.revision) == ("calibrated", 60, gallery.revision)
    assert found.threshold == pytest.approx(expected, abs=1e-6)
    assert (keeper.at(accepts(0.2)).threshold or 2) < expected


def test_rate_below_what_the_products_tell_is_thin_or_refused(keeper: Calibrator) -> None:
    assert keeper.at(accepts(0.01)).state == "thin"
    with pytest.raises(OptionError, match=r"from 60 products: .* more are needed"):
        keeper.at(accepts(0.01, 0.9))
    sure = keeper.at(accepts(0.1, 0.9))
    assert sure.state == "calibrated"
    assert sure.threshold is not None
    assert sure.threshold > (keeper.at(accepts(0.1)).threshold or 2)


def test_threshold_that_no_score_reaches_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Two of 22 products look the same, and the others like nothing: the tail leads far beyond what scores reach."""
    rows = np.eye(22, 32, dtype=np.float32)
    rows[1] = unit(rows[:1] + 0.1 * rows[2])[0]
    with create(tmp_path / "twins.gallery", 32) as twins:
        twins.add(NewGalleryItem(f"product {number}", "", row) for number, row in enumerate(rows))
        keeper = Calibrator(twins, None)
        keeper.at(accepts(0.2))
        assert not caplog.messages
        found = keeper.at(accepts(0.01))
        assert found.threshold is not None
        assert 0.99 < found.threshold <= 1
        assert "every object will be unknown: 1% false accepts need a score of 1." in caplog.text
        keeper.at(accepts(0.01))
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("count", [0, 1, 19 * 5])
def test_few_products_are_uncalibrated(tmp_path: Path, count: int) -> None:
    with create(tmp_path / "small.gallery", DIM) as small:
        small.add(photos(19)[:count])
        found = Calibrator(small, None).at(accepts(0.05))
    assert (found.state, found.threshold, found.products) == ("uncalibrated", None, -(-count // 5))


def test_thousand_photos_of_one_label_are_one_product(tmp_path: Path) -> None:
    with create(tmp_path / "one.gallery", DIM) as one:
        one.add(photos(1, each=1000))
        assert Calibrator(one, None).at(accepts(0.05)).state == "uncalibrated"


def test_doubled_gallery_is_stale_until_it_is_calibrated_again(gallery: Gallery, keeper: Calibrator) -> None:
    first = keeper.at(accepts(0.1))
    held = threading.Event()
    update = keeper._update
    keeper._update = lambda pause: (held.wait(30), update(pause))[1]  # type: ignore[method-assign]
    gallery.add(photos(60, 7, "new"))
    assert keeper.at(accepts(0.1)).state == "stale"
    assert keeper.at(accepts(0.1)).threshold == first.threshold
    held.set()
    until(lambda: keeper.at(accepts(0.1)).state == "calibrated")
    again = keeper.at(accepts(0.1))
    assert (again.products, again.revision) == (120, gallery.revision)
    assert again.threshold != first.threshold


def test_few_changes_of_a_large_gallery_leave_the_calibration(
    gallery: Gallery, keeper: Calibrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = keeper.at(accepts(0.1))
    monkeypatch.setattr(derive, "AT_ONCE", 0)  # as if it were large
    gallery.remove([1])
    assert keeper.at(accepts(0.1), wait=True) == first
    gallery.rename("label 3", "other")
    gallery.remove(list(range(2, 40)))
    assert keeper.at(accepts(0.1), wait=True).revision == gallery.revision


def test_rollback_and_a_copy_have_the_same_calibration_without_work(
    gallery: Gallery, keeper: Calibrator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, revision = keeper.at(accepts(0.1)), gallery.revision
    gallery.add(photos(60, 7, "new"))
    second = keeper.at(accepts(0.1), wait=True)
    assert second.threshold != first.threshold
    gallery.history.rollback(revision)
    gallery.copy(tmp_path / "copy.gallery")

    def at_work(*_: object) -> None:
        raise AssertionError("derived again")

    monkeypatch.setattr(derive, "gallery_samples", at_work)
    assert keeper.at(accepts(0.1), wait=True).threshold == first.threshold
    with Gallery.open(tmp_path / "copy.gallery") as copy:
        assert Calibrator(copy, tmp_path / "cache").at(accepts(0.1)).threshold == first.threshold


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", b"x" * (2 << 20)])
def test_damaged_cache_is_derived_again(gallery: Gallery, tmp_path: Path, damage: bytes) -> None:
    first = Calibrator(gallery, tmp_path / "cache").at(accepts(0.1))
    (stored,) = (tmp_path / "cache" / "calibration").glob("*.npz")
    stored.write_bytes(damage)
    assert Calibrator(gallery, tmp_path / "cache").at(accepts(0.1)) == first


def test_cached_scores_that_are_not_numbers_are_not_taken(gallery: Gallery, tmp_path: Path) -> None:
    first = Calibrator(gallery, tmp_path / "cache").at(accepts(0.1))
    (stored,) = (tmp_path / "cache" / "calibration").glob("*.npz")
    np.savez(stored, scores=np.full(300, np.nan), products=np.zeros(300, np.int64))
    assert Calibrator(gallery, tmp_path / "cache").at(accepts(0.1)) == first


def test_cache_that_cannot_be_written_does_not_matter(gallery: Gallery, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert Calibrator(gallery, tmp_path / "file").at(accepts(0.1)).state == "calibrated"


def test_cache_is_bounded(gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_MOST_FILES", 3)
    for number in range(6):
        gallery.remove([number + 1])
        Calibrator(gallery, tmp_path / "cache").at(accepts(0.1))
    assert len(list((tmp_path / "cache" / "calibration").iterdir())) == 3


def test_large_gallery_is_calibrated_in_the_background(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derive, "AT_ONCE", 100)
    opened = Calibrator(gallery, None)
    try:
        assert opened.at(accepts(0.1)).state == "uncalibrated"
        until(lambda: opened.at(accepts(0.1)).state == "calibrated")
    finally:
        opened.close()
    assert "shitu-calibration" not in {thread.name for thread in threading.enumerate()}


def test_closing_does_not_wait_for_the_end_of_a_calibration(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(derive, "AT_ONCE", 0)
    monkeypatch.setattr(gallery_samples, "_ROWS", 1)
    monkeypatch.setattr(Gallery, "embeddings", _slow(Gallery.embeddings))
    opened = Calibrator(gallery, None)
    opened.at(accepts(0.1))
    begun = time.monotonic()
    opened.close()
    assert time.monotonic() - begun < 20, "all blocks would take 60 s"
    assert caplog.messages == []


def _slow(embeddings: Callable[..., object]) -> Callable[..., object]:
    def slow(*arguments: object) -> object:
        time.sleep(0.2)
        return embeddings(*arguments)

    return slow


@pytest.mark.parametrize("failure", [OSError("disk on fire"), MemoryError("disk on fire"), ValueError("disk on fire")])
def test_failure_in_the_background_is_a_warning_and_no_endless_try(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    monkeypatch.setattr(derive, "AT_ONCE", 0)
    opened = Calibrator(gallery, None)
    calls = []

    def fails(*_: object) -> None:
        calls.append(1)
        raise failure

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(Gallery, "items", fails)
        opened.at(accepts(0.1))
        until(lambda: opened._failed == (gallery.revision,))
        assert [opened.at(accepts(0.1)).state for _ in range(5)] == ["uncalibrated"] * 5
        assert len(calls) == 1
        assert "disk on fire" in caplog.text
    assert opened.at(accepts(0.1), wait=True).state == "calibrated", "who waits has it tried again"
    opened.close()


def test_closed_gallery_ends_the_thread_without_a_word(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(derive, "AT_ONCE", 0)
    opened = Calibrator(gallery, None)
    opened._closing.set()
    gallery.close()
    opened._in_background()
    assert caplog.messages == []


def test_commit_during_a_calibration_does_not_poison_the_cache(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, before = Calibrator(gallery, None).at(accepts(0.1)), gallery.revision
    opened = Calibrator(gallery, tmp_path / "cache")
    items = Gallery.items

    def late(self: Gallery, label: str | None = None) -> object:
        monkeypatch.setattr(Gallery, "items", items)
        gallery.add(photos(60, 7, "new"))  # after the log was read
        return items(self, label)

    monkeypatch.setattr(Gallery, "items", late)
    assert opened.at(accepts(0.1), wait=True).products == 120
    gallery.history.rollback(before)
    again = opened.at(accepts(0.1), wait=True)
    assert (again.products, again.threshold) == (60, expected.threshold)


def test_older_calibration_does_not_replace_a_newer_one(gallery: Gallery, keeper: Calibrator) -> None:
    """A thread that began before a change ends after one that began later."""
    keeper.at(accepts(0.1))
    gallery.add(photos(60, 7, "new"))
    threads = [threading.Thread(target=keeper.at, args=(accepts(0.1),), kwargs={"wait": True}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keeper.at(accepts(0.1)).revision == gallery.revision
    assert keeper.at(accepts(0.1)).products == 120


def test_replaced_content_of_equal_size_is_stale(
    gallery: Gallery, keeper: Calibrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper.at(accepts(0.1))
    monkeypatch.setattr(Calibrator, "_begin", lambda self: None)
    with gallery.change() as change:
        change.remove([item.id for item in gallery.items()])
        for item in photos(60, 9):
            change.add(item)
    assert keeper.at(accepts(0.1)).state == "stale"


def test_items_that_are_not_products_lower_no_names(tmp_path: Path) -> None:
    """They are no unknown objects, and what resembles one most would get no name anyway."""
    products = photos(40)
    with create(tmp_path / "a.gallery", DIM) as without, create(tmp_path / "b.gallery", DIM) as beside:
        without.add(products)
        beside.add(products)
        rows = without.embeddings(range(1, 51))
        beside.add(NewGalleryItem(NEGATIVE, "", unit(row[None] + 0.05)[0]) for row in rows)
        plain, guarded = Calibrator(without, None).at(accepts(0.1)), Calibrator(beside, None).at(accepts(0.1))
    assert guarded.products == plain.products == 40
    assert guarded.threshold is not None
    assert guarded.threshold <= (plain.threshold or -2)


def test_image_that_is_also_a_negative_item_joins_no_products(tmp_path: Path) -> None:
    with create(tmp_path / "a.gallery", DIM) as gallery:
        gallery.add(photos(30))
        gallery.add(NewGalleryItem(NEGATIVE, "", row) for row in gallery.embeddings([1, 6, 11]))
        assert Calibrator(gallery, None).at(accepts(0.1)).products == 30


def test_refusals_are_remembered(keeper: Calibrator, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError):
        keeper.at(accepts(0.001, 0.9))
    monkeypatch.setattr(calibrator, "threshold_for", lambda *_: 1 / 0)
    with pytest.raises(OptionError, match="from 60 products"):
        keeper.at(accepts(0.001, 0.9))


@pytest.mark.parametrize("count", [1, 19])
def test_verification_without_enough_products_is_undecided_whatever_the_confidence(tmp_path: Path, count: int) -> None:
    with create(tmp_path / "shop.gallery", DIM) as few:
        few.add(photos(count))
        found = Calibrator(few, None).at_verification(accepts(0.05, 0.9))
        assert (found.state, found.threshold, found.products) == ("uncalibrated", None, count)


def test_wrong_labels_of_which_few_products_tell_are_thin(tmp_path: Path) -> None:
    with create(tmp_path / "shop.gallery", DIM) as single:
        single.add(photos(200, each=1))
        single.add(photos(1, seed=1, label="twice", each=2))
        keeper = Calibrator(single, None)
        assert keeper.at(accepts(0.05)).state == "calibrated"
        assert keeper.at(Target(max_wrong=0.05)).state == "thin", "one product tells how often labels are mixed up"


def test_cache_holds_the_largest_cohort(gallery: Gallery, tmp_path: Path) -> None:
    gallery.remove(range(1, PHOTOS * 50 + 1))
    cohort = unit(np.random.default_rng(0).normal(size=(MOST_PRODUCTS, DIM)))
    assert Calibrator(gallery, tmp_path, cohort).at(accepts(0.1), wait=True).foreign == MOST_PRODUCTS
    [file] = (tmp_path / "calibration").iterdir()
    assert cache.read_samples(file.parent, file.stem, derive._MOST_SCORES) is not None


def test_restart_after_few_changes_finds_the_scores(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derive, "AT_ONCE", 0)
    found = Calibrator(gallery, tmp_path).at(accepts(0.1), wait=True)
    gallery.add(photos(1, seed=1, label="new"))
    store(gallery, accepts(0.2))
    assert Calibrator(gallery, tmp_path).at(accepts(0.1)) == found
    asked = Queries(gallery.embeddings([1]), (None,), "fp32")
    store(gallery, queries=asked)
    assert Calibrator(gallery, tmp_path, precision="int8").at(accepts(0.1)) == found, "not used in this precision"
    keeper = Calibrator(gallery, tmp_path)
    assert keeper.at(accepts(0.1)).threshold is None, "derived with the labeled image in the background"
    keeper.close()
    gallery.add(photos(6, seed=2, label="newer"))
    keeper = Calibrator(gallery, tmp_path, precision="int8")
    assert keeper.at(accepts(0.1)).threshold is None, "a tenth has changed"
    keeper.close()


def test_kept_promise_that_fewer_products_cannot_keep_is_an_estimate(
    gallery: Gallery, keeper: Calibrator, caplog: pytest.LogCaptureFixture
) -> None:
    promise = accepts(0.1, 0.9)
    assert keeper.kept_at(promise) == keeper.at(promise)
    gallery.remove(range(1, 5 * 38 + 1))
    found = keeper.kept_at(promise, wait=True)
    assert (found.state, found.confidence, found.products) == ("thin", None, 22)
    assert found.threshold == keeper.at(accepts(0.1)).threshold
    keeper.kept_at(promise)
    assert len(caplog.messages) == 1
    assert "cannot be promised from 22 products" in caplog.text
    with pytest.raises(OptionError):
        keeper.at(promise)


def test_kept_share_of_wrong_labels_is_estimated_without_second_photos(gallery: Gallery, keeper: Calibrator) -> None:
    gallery.remove([item.id for item in gallery.items() if item.id % PHOTOS])
    found = keeper.kept_at(Target(max_wrong=0.05), wait=True)
    assert (found.state, found.max_false_accept) == ("thin", 0.05)


def test_items_that_are_pruned_while_scores_are_derived_do_not_matter(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = Gallery.embeddings

    def pruned(self: Gallery, ids: list[int]) -> object:
        monkeypatch.setattr(Gallery, "embeddings", embeddings)
        self.remove(range(1, 6))
        self.history.prune(0)
        return embeddings(self, ids)

    monkeypatch.setattr(Gallery, "embeddings", pruned)
    assert Calibrator(gallery, None).at(accepts(0.1), wait=True).products == 59
