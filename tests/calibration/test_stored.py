"""What a gallery keeps for its calibration, through changes, rollback, copies and patches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.bundle import Target
from shitu_edge.calibration import Calibrator, Queries, forget, store
from shitu_edge.calibration.stored import MOST_QUERIES, read_stored
from shitu_edge.errors import GalleryError, OptionError
from shitu_edge.gallery import Gallery
from shitu_edge.gallery.care.look_alikes import confirm_look_alikes
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch
from tests.calibration.test_calibrator import DIM, accepts, photos
from tests.gallery.rows import create, unit

TARGET = Target(max_wrong=0.05, unknown_share=0.2)


def queries(products: int = 60, strangers: int = 40, precision: str = "int8", seed: int = 1) -> Queries:
    """Two photos of each enrolled product, far from the enrolled ones, and some of other products."""
    known = photos(products, 0, each=7)
    rng = np.random.default_rng(seed)
    rows = np.stack([item.embedding for place, item in enumerate(known) if place % 7 > 4])
    rows = unit(np.concatenate([rows + 0.4 * rng.normal(size=rows.shape), rng.normal(size=(strangers, DIM))]))
    labels = [f"label {place // 2}" for place in range(2 * products)] + [None] * (strangers // 2)
    return Queries(rows, (*labels, *[f"other {number}" for number in range(strangers - strangers // 2)]), precision)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with create(tmp_path / "shop.gallery", DIM) as opened:
        opened.add(photos(60))
        yield opened


def test_kept_target_and_queries_come_back(gallery: Gallery) -> None:
    asked = queries()
    before = gallery.revision
    store(gallery, TARGET, asked, author="ann", note="counter of May")
    assert gallery.revision == before + 1
    assert gallery.history.log()[0].note == "counter of May"
    found = read_stored(gallery.settings(), DIM)
    assert found.target == TARGET
    assert found.queries is not None
    assert (found.queries.labels, found.queries.precision) == (asked.labels, "int8")
    np.testing.assert_allclose(found.queries.rows, asked.rows, atol=1e-3)
    store(gallery, Target(max_false_accept=0.1))
    found = read_stored(gallery.settings(), DIM)
    assert found.target == Target(max_false_accept=0.1)
    assert found.queries is not None, "a new target leaves the queries"
    forget(gallery)
    assert gallery.settings() == {}


def test_queries_make_another_threshold_and_count(gallery: Gallery) -> None:
    keeper = Calibrator(gallery, None)
    alone = keeper.at(accepts(0.1))
    asked = queries()
    store(gallery, queries=asked)
    assert keeper.at(accepts(0.1)).state == "stale"
    found = keeper.at(accepts(0.1), wait=True)
    assert (alone.queries, found.queries) == (0, len(asked.labels))
    assert (alone.products, found.products) == (60, 60 + 40)
    assert found.threshold != alone.threshold
    forget(gallery)
    assert keeper.at(accepts(0.1), wait=True).threshold == alone.threshold
    keeper.close()


def test_large_gallery_takes_new_queries_over_although_no_item_changed(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shitu_edge.calibration.derive.AT_ONCE", 0)
    keeper = Calibrator(gallery, None)
    keeper.at(accepts(0.1), wait=True)
    store(gallery, queries=queries())
    assert keeper.at(accepts(0.1), wait=True).queries == 160
    store(gallery, queries=queries(seed=2))
    second = keeper.at(accepts(0.1), wait=True)
    store(gallery, TARGET)
    assert keeper.at(accepts(0.1), wait=True).revision == second.revision, "a target changes no score"
    keeper.close()


def test_queries_of_another_precision_are_not_used(gallery: Gallery) -> None:
    store(gallery, queries=queries(precision="int8"))
    by_precision = {one: Calibrator(gallery, None, precision=one).at(accepts(0.1)) for one in ("int8", "fp32", None)}
    assert [found.queries for found in by_precision.values()] == [160, 0, 160]
    assert by_precision["int8"].threshold == by_precision[None].threshold != by_precision["fp32"].threshold


def test_rollback_copy_and_patch_carry_the_calibration(gallery: Gallery, tmp_path: Path) -> None:
    before = gallery.revision
    gallery.copy(tmp_path / "early.gallery")
    store(gallery, TARGET, queries())
    expected = Calibrator(gallery, None).at(TARGET)
    gallery.copy(tmp_path / "late.gallery")
    write_patch(gallery, before, gallery.revision, tmp_path / "patch")
    with Gallery.open(tmp_path / "early.gallery") as early, Gallery.open(tmp_path / "late.gallery") as late:
        other = Calibrator(early, None)
        assert other.stored().target is None
        apply_patch(early, tmp_path / "patch")
        for kept in (other, Calibrator(late, None)):
            assert kept.stored().target == TARGET
            assert kept.at(TARGET) == expected
    gallery.history.rollback(before)
    assert Calibrator(gallery, None).stored().target is None
    gallery.history.rollback(before + 1)
    again = Calibrator(gallery, None).at(TARGET)
    assert (again.threshold, again.queries) == (expected.threshold, 160)


def test_cache_tells_queries_and_cohorts_apart(gallery: Gallery, tmp_path: Path) -> None:
    cohort = unit(np.random.default_rng(4).normal(size=(30, DIM)))
    plain = Calibrator(gallery, tmp_path).at(accepts(0.1))
    store(gallery, queries=queries())
    asked = Calibrator(gallery, tmp_path).at(accepts(0.1))
    gallery.remove(range(1, 5 * 45 + 1))
    few = Calibrator(gallery, tmp_path, queries=queries(1, 2)).at(accepts(0.1))
    assert (plain.queries, asked.queries, few.queries) == (0, 160, 4)
    gallery.history.rollback(2)
    gallery.remove(range(1, 5 * 45 + 1))
    assert Calibrator(gallery, tmp_path).at(accepts(0.1)).threshold is None
    assert Calibrator(gallery, tmp_path, cohort).at(accepts(0.1)).foreign == 30


def test_queries_follow_a_rename(gallery: Gallery) -> None:
    store(gallery, queries=queries())
    confirm_look_alikes(gallery, ["label 3", "label 4"])
    gallery.rename("label 3", "milk")
    found = read_stored(gallery.settings(), DIM)
    assert found.queries is not None
    assert found.queries.labels[6:8] == ("milk", "milk")
    assert found.look_alikes == {label: frozenset({"milk", "label 4"}) for label in ("milk", "label 4")}
    gallery.rename("milk", "label 4", merge=True)
    assert read_stored(gallery.settings(), DIM).look_alikes == {}, "a label is no look-alike of itself"


def test_many_queries_are_sampled_the_same_way(gallery: Gallery) -> None:
    rows = unit(np.random.default_rng(0).normal(size=(MOST_QUERIES + 500, DIM)))
    many = Queries(rows, tuple(str(number) for number in range(len(rows))), "int8")
    store(gallery, queries=many)
    first = read_stored(gallery.settings(), DIM).queries
    assert first is not None
    assert len(first.labels) == len(set(first.labels)) == MOST_QUERIES
    for row, label in zip(first.rows, first.labels, strict=True):
        np.testing.assert_allclose(row, rows[int(label or -1)], atol=1e-3)
    revision = gallery.revision
    store(gallery, queries=many)
    assert gallery.revision == revision, "the same queries are no change"


def test_fewer_queries_leave_no_rows_of_earlier_ones(tmp_path: Path) -> None:
    with create(tmp_path / "wide.gallery", 2048) as wide:
        for count in (400, 20):
            rows = unit(np.random.default_rng(0).normal(size=(count, 2048)))
            store(wide, queries=Queries(rows, (None,) * count, "fp32"))
            found = read_stored(wide.settings(), 2048).queries
            assert found is not None
            assert found.rows.shape == (count, 2048)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target", b"{"),
        ("target", b"[" * 100_000),
        ("target", b'{"max_false_accept": 2}'),
        ("target", b'{"max_false_accept": 0.1, "new": 1}'),
        ("queries/labels", b'{"precision": "int8", "labels": ["a"]}'),
        ("queries/labels", b"[]"),
        ("look_alikes", b'["a", "b"]'),
        ("look_alikes", b"\xff"),
        ("look_alikes", b"[" * 100_000),
    ],
)
def test_foreign_settings_are_a_warning_and_recognition_goes_on(
    gallery: Gallery, caplog: pytest.LogCaptureFixture, name: str, value: bytes
) -> None:
    with gallery.change() as change:
        change.set(name, value)
    assert len(read_stored(gallery.settings(), DIM).faults) == 1
    keeper = Calibrator(gallery, None)
    assert keeper.at(accepts(0.1)).state == "calibrated"
    assert keeper.stored().target is None
    assert len(caplog.messages) == 1
    forget(gallery)


def test_target_that_cannot_be_promised_is_refused_when_asked(gallery: Gallery) -> None:
    with pytest.raises(OptionError, match="from 60 products"):
        Calibrator(gallery, None).at(Target(max_wrong=0.001, confidence=0.9))


def test_change_that_fails_keeps_nothing(gallery: Gallery) -> None:
    wrong = Queries(np.zeros((1, DIM), np.float32), ("x" * (1 << 20),), "int8")
    with pytest.raises(GalleryError):
        store(gallery, TARGET, wrong)
    assert gallery.settings() == {}


def test_target_of_another_version_leaves_look_alikes_and_queries(gallery: Gallery) -> None:
    store(gallery, queries=queries())
    confirm_look_alikes(gallery, ["label 3", "label 4"])
    with gallery.change() as change:
        change.set("target", b'{"max_false_accept": 0.1, "new": 1}')
    found = Calibrator(gallery, None).stored()
    assert found.target is None
    assert found.queries is not None
    assert set(found.look_alikes) == {"label 3", "label 4"}


def test_nobody_is_asked_about_a_label_that_was_removed(gallery: Gallery) -> None:
    confirm_look_alikes(gallery, ["label 3", "label 4"])
    confirm_look_alikes(gallery, ["label 5", "label 6", "label 7"])
    before = gallery.revision
    for label in ("label 4", "label 7"):
        gallery.remove([item.id for item in gallery.items(label)])
    keeper = Calibrator(gallery, None)
    both = frozenset({"label 5", "label 6"})
    assert keeper.stored().look_alikes == {"label 5": both, "label 6": both}
    gallery.history.rollback(before)
    assert set(keeper.stored().look_alikes) == {f"label {number}" for number in range(3, 8)}
