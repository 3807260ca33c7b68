from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shitu_edge.gallery.care.audit import Audit, AuditLimits, Confusion, Mislabeled, NearDuplicate, audit
from shitu_edge.gallery.store import GalleryItem
from shitu_edge.results import Match
from tests.gallery.rows import DIM, Rows, brute_force, unit, unit_rows

AXES = np.eye(DIM, dtype=np.float32)
Search = Callable[[Rows, int], list[tuple[Match, ...]]]


def _entries(labels: Sequence[str]) -> list[GalleryItem]:
    return [GalleryItem(i, label, f"{i}.jpg") for i, label in enumerate(labels, 1)]


def _search_of(entries: Sequence[GalleryItem], rows: Rows) -> Search:
    def search(queries: Rows, k: int) -> list[tuple[Match, ...]]:
        order, cosines = brute_force(rows, queries, k)
        return [
            tuple(Match(entries[i].id, entries[i].label, float(cosine)) for i, cosine in zip(row, near, strict=True))
            for row, near in zip(order, cosines, strict=True)
        ]

    return search


def _audit(entries: Sequence[GalleryItem], rows: Rows, limits: AuditLimits | None = None) -> Audit:
    return audit(entries, rows, _search_of(entries, rows), limits or AuditLimits())


def _leaning(axis: int, aside: int, cosine: float) -> Rows:
    """A unit row with that cosine to one axis, leaning toward another."""
    row: Rows = cosine * AXES[axis] + np.float32(np.sqrt(1 - cosine**2)) * AXES[aside]
    return row


def _around(axes: Sequence[int], seed: int = 0, spread: float = 0.1) -> Rows:
    noise = np.random.default_rng(seed).normal(size=(len(axes), DIM))
    return unit(AXES[list(axes)] + spread * noise)


def test_nothing_is_found_in_a_gallery_of_distinct_labels() -> None:
    axes = [axis for axis in range(6) for _ in range(4)]
    found = _audit(_entries([f"label {axis}" for axis in axes]), _around(axes))
    assert found == Audit(24, 6, 1.0, (), (), (), ())


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_galleries(count: int) -> None:
    assert _audit(_entries(["tea", "milk"][:count]), AXES[:count]) == Audit(count, count, None, (), (), (), ())
    same_label = _audit(_entries(["tea"] * count), AXES[:count])
    assert same_label == Audit(count, min(count, 1), 1.0 if count == 2 else None, (), (), (), ())


def test_two_labels_of_one_image() -> None:
    entries = _entries(["tea", "milk"])
    found = _audit(entries, AXES[[0, 0]])
    assert found == Audit(
        2, 2, None, (NearDuplicate(entries[0], entries[1], 1.0, True),), (), (), (), (("milk", "tea"),)
    )


def test_near_duplicates_of_other_labels_best_first() -> None:
    entries = _entries(["tea", "tea", "milk", "cola", "cola"])
    rows = np.stack([AXES[0], _leaning(0, 5, 0.99), _leaning(0, 1, 0.8), AXES[2], _leaning(2, 3, 0.74)])
    found = _audit(entries, rows)
    assert [(pair.first.id, pair.second.id, pair.tied) for pair in found.near_duplicates] == [
        (1, 3, False),
        (2, 3, False),
    ]
    assert [pair.similarity for pair in found.near_duplicates] == pytest.approx([0.8, 0.99 * 0.8], abs=1e-5)
    assert _audit(entries, rows, AuditLimits(near_duplicate=0.81)).near_duplicates == ()


def test_the_same_image_under_two_labels_is_a_tie_and_lost() -> None:
    entries = _entries(["tea", "tea", "milk", "milk"])
    found = _audit(entries, AXES[[0, 0, 0, 1]])
    assert [(pair.first.id, pair.second.id, pair.tied) for pair in found.near_duplicates] == [
        (1, 3, True),
        (2, 3, True),
    ]
    assert found.confused == (Confusion("milk", "tea", 2, 2, 1.0),)
    assert found.recall_at_1 == 0


def test_blank_images_of_many_labels_are_paired_once_each_and_speak_against_no_other() -> None:
    labels = [f"label {i // 2}" for i in range(24)]
    rows = _around([i // 2 for i in range(24)])
    rows[::2] = AXES[15]
    found = _audit(_entries(labels), rows)
    blanks = set(range(1, 25, 2))
    assert {item.id for pair in found.near_duplicates for item in (pair.first, pair.second)} == blanks
    assert len(found.near_duplicates) == 11
    assert {item.entry.id for item in found.mislabeled} <= blanks
    assert found.unreachable == ()


def test_an_item_among_another_label_is_mislabeled() -> None:
    entries = _entries(["tea"] * 4 + ["milk"] * 3)
    rows = _around([0, 0, 0, 1, 1, 1, 1], spread=0.05)
    rows[3] = _leaning(1, 9, 0.85)
    found = _audit(entries, rows)
    cosines = rows.astype(np.float64) @ rows[3]
    strength = np.sort(cosines[4:])[-2:].mean() - np.sort(cosines[:3])[-2:].mean()
    nearest = entries[4 + int(np.argmax(cosines[4:]))]
    assert found.mislabeled == (Mislabeled(entries[3], "milk", found.mislabeled[0].strength, nearest),)
    assert found.mislabeled[0].strength == pytest.approx(strength, abs=2e-6)
    assert found.confused == (Confusion("milk", "tea", 0, 1, 1 / 7),)
    assert found.recall_at_1 == 6 / 7
    assert _audit(entries, rows, AuditLimits(margin=strength + 0.01)).mislabeled == ()


def test_two_items_that_were_put_there_together_are_both_mislabeled() -> None:
    found = _audit(_entries(["tea"] * 5 + ["milk"] * 3), _around([0, 0, 0, 1, 1, 1, 1, 1]))
    assert {item.entry.id for item in found.mislabeled} == {4, 5}
    assert {item.suggested for item in found.mislabeled} == {"milk"}


def test_own_items_count_though_the_search_returns_none_of_them() -> None:
    """Twenty strangers come first, but the item's own are nearly as near."""
    labels = ["tea"] * 3 + ["milk"] * 20
    rows = np.stack([AXES[0], *[_leaning(0, 1, 0.9)] * 2, *[_leaning(0, 2, 0.95)] * 20])
    assert _audit(_entries(labels), rows).mislabeled == ()
    rows[1:3] = _leaning(0, 1, 0.6)
    found = _audit(_entries(labels), rows)
    assert [(item.entry.id, item.suggested) for item in found.mislabeled] == [(1, "milk")]
    assert found.mislabeled[0].strength == pytest.approx(0.35, abs=1e-5)


def test_one_image_can_speak_for_a_label_without_more() -> None:
    entries = _entries(["tea", "tea", "tea", "milk"])
    found = _audit(entries, _around([0, 0, 1, 1]))
    assert [(item.entry.id, item.suggested, item.nearest.id) for item in found.mislabeled] == [(3, "milk", 4)]
    assert found.recall_at_1 == 2 / 3


@pytest.mark.parametrize(
    ("first", "second", "wrong"), [(0.76, 0.76, True), (0.74, 0.74, False), (0.99, 0.4, False), (0.99, None, False)]
)
def test_an_item_alone_under_its_label_takes_two_near_duplicates(
    first: float, second: float | None, wrong: bool
) -> None:
    rows = [AXES[0], _leaning(0, 1, first)] + ([_leaning(0, 1, second)] if second else [])
    found = _audit(_entries(["cola", "milk", "milk"][: len(rows)]), np.stack(rows))
    assert ("cola" in [item.entry.label for item in found.mislabeled]) is wrong


def test_an_outlier_that_resembles_nothing_is_not_mislabeled() -> None:
    rows = np.stack([AXES[0], AXES[0], AXES[3], _leaning(3, 1, 0.44), _leaning(3, 1, 0.44)])
    assert _audit(_entries(["tea", "tea", "tea", "milk", "milk"]), rows).mislabeled == ()


def test_confused_labels_both_ways_most_mistaken_first() -> None:
    """Of `a` and `b` one stands by the other in two places; a `c` stands by `d`, whose own are nearer to each other."""
    entries = _entries(["a", "b", "a", "b", "c", "c", "c", "d", "d"])
    rows = np.concatenate([_around([0, 0, 1, 1, 2, 2], spread=0.02), [_leaning(3, 9, 0.8)], _around([3, 3], 1, 0.02)])
    found = _audit(entries, rows)
    assert found.confused == (Confusion("a", "b", 2, 2, 1.0), Confusion("c", "d", 1, 0, 1 / 5))
    assert found.recall_at_1 == 4 / 9


def test_an_item_that_the_search_has_lost_is_unreachable() -> None:
    entries, rows = _entries([f"label {i}" for i in range(40)]), unit_rows(40)
    without = _search_of([*entries[:6], *entries[7:]], np.delete(rows, 6, axis=0))
    assert audit(entries, rows, without).unreachable == (entries[6],)
    assert audit(entries, rows, without, AuditLimits(neighbors=100)).unreachable == (entries[6],)
    assert _audit(entries, rows).unreachable == ()


def test_copies_that_fill_the_answer_make_nothing_unreachable() -> None:
    rows = np.concatenate([AXES[[0] * 40], AXES[1:3]])
    assert _audit(_entries(["tea"] * 40 + ["milk", "milk"]), rows).unreachable == ()


def test_items_added_since_are_passed_over() -> None:
    entries, rows = _entries(["tea", "tea", "milk"]), AXES[[0, 0, 0]]
    assert audit(entries[:2], rows[:2], _search_of(entries, rows)) == Audit(2, 1, 1.0, (), (), (), ())


def _mixed_up(seed: int) -> tuple[list[GalleryItem], Rows]:
    """Labels of 1 to 8 items, of which some are wrong, and some rows twice."""
    rng = np.random.default_rng(seed)
    axes = [axis for axis in range(12) for _ in range(rng.integers(1, 9))]
    rows = _around(axes, seed, spread=0.2)
    labels = [f"label {rng.integers(0, 12) if rng.random() < 0.1 else axis}" for axis in axes]
    rows[5:40:9] = rows[6:41:9]
    return _entries(labels), rows


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_items_does_not_matter(seed: int) -> None:
    entries, rows = _mixed_up(seed)
    found = _audit(entries, rows)
    order = np.random.default_rng(seed).permutation(len(entries))
    assert _audit([entries[i] for i in order], rows[order]) == found
    assert found.mislabeled
    assert found.confused


@pytest.mark.parametrize("seed", range(5))
def test_recall_and_confusions_add_up(seed: int) -> None:
    entries, rows = _mixed_up(seed)
    found = _audit(entries, rows)
    labels = [entry.label for entry in entries]
    searched = [label for label in labels if labels.count(label) > 1]
    mistaken = sum(pair.first_as_second + pair.second_as_first for pair in found.confused)
    assert found.recall_at_1 == pytest.approx(1 - mistaken / len(searched))
    assert all(pair.first.label != pair.second.label for pair in found.near_duplicates)
    assert all(item.suggested != item.entry.label for item in found.mislabeled)


def test_the_gallery_is_searched_in_batches() -> None:
    entries, rows = _entries([f"label {i // 3}" for i in range(600)]), unit_rows(600)
    asked, done = [], []

    def search(queries: Rows, k: int) -> list[tuple[Match, ...]]:
        asked.append((len(queries), k))
        return _search_of(entries, rows)(queries, k)

    audit(entries, rows, search, AuditLimits(neighbors=9), progress=lambda *step: done.append(step))
    assert asked == [(256, 9), (256, 9), (88, 9)]
    assert done == [(256, 600), (512, 600), (600, 600)]


@pytest.fixture(scope="module")
def drinks(shared: Path) -> tuple[list[GalleryItem], Rows]:
    folder = shared / "data" / "drinks"
    rows: Rows = np.load(folder / "embeddings_v1.npy")
    named: dict[int, str] = pickle.loads((folder / "faiss_index" / "id_map.pkl").read_bytes())  # our own file
    pairs = [named[i].split("\t") for i in range(len(rows))]
    return [GalleryItem(i, label, source) for i, (source, label) in enumerate(pairs)], rows


@pytest.mark.shared_data
def test_what_is_wrong_with_the_drinks(drinks: tuple[list[GalleryItem], Rows]) -> None:
    """Folders 45 and 46 hold the same images; most of 90 (orange) shows the pineapple can of 91."""
    found = _audit(*drinks)
    assert (found.items, found.labels, found.unreachable) == (1069, 213, ())
    assert found.recall_at_1 == pytest.approx(0.967, abs=0.002)
    sources = [(pair.first.source, pair.second.source) for pair in found.near_duplicates]
    assert sources[:5] == [(f"45/{i}.jpg", f"46/{i}.jpg") for i in range(5)]
    assert [pair.tied for pair in found.near_duplicates] == [True] * 5 + [False] * 8
    assert {source.split("/")[0] for pair in sources[5:8] for source in pair} == {"90", "91"}
    assert {item.entry.source for item in found.mislabeled} == {"45/0.jpg", "46/0.jpg", "151/1.jpg"}
    assert [(pair.first, pair.second, pair.share) for pair in found.confused[:2]] == [
        ("沛时Perse_纯蔬果汁", "沛时Perse纯蔬果汁", 1.0),
        ("汉斯菠萝啤", "汉斯香橙果味饮料", 0.5),
    ]


@pytest.mark.shared_data
def test_drinks_under_a_wrong_label_are_found(drinks: tuple[list[GalleryItem], Rows]) -> None:
    """Over ten seeds 95.7 % are found, 99 % of them with the right suggestion, beside the three found before."""
    entries, rows = drinks
    before = {item.entry.id for item in _audit(entries, rows).mislabeled}
    names = sorted({entry.label for entry in entries})
    planted = listed = found = right = new = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        wrong = {int(i) for i in rng.choice(len(entries), 21, replace=False)}
        changed = [
            replace(entry, label=rng.choice([name for name in names if name != entry.label]))
            if entry.id in wrong
            else entry
            for entry in entries
        ]
        suggested = {item.entry.id: item.suggested for item in _audit(changed, rows).mislabeled}
        planted += len(wrong)
        listed += len(suggested)
        found += len(wrong & suggested.keys())
        new += len(suggested.keys() - wrong - before)
        right += sum(suggested[i] == entries[i].label for i in wrong & suggested.keys())
    assert found >= 0.9 * planted
    assert found >= 0.8 * listed
    assert right >= 0.95 * found
    assert new <= 0.05 * planted
