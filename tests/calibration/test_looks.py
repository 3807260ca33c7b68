"""Scores after a second look, against a plain loop over a gallery, and how a calibrator keeps them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shitu_edge.bundle import Target
from shitu_edge.calibration import LOWEST_SCORE, Calibrator, Queries, Samples, chosen_queries, looks, score_of, store
from shitu_edge.calibration.derive import GalleryScores
from shitu_edge.calibration.looks import look_samples
from shitu_edge.calibration.score import NEIGHBORS
from shitu_edge.calibration.support import MOST_PHOTOS
from shitu_edge.gallery import Gallery, GalleryItem, NewGalleryItem
from shitu_edge.gallery.labels import NEGATIVE
from shitu_edge.gallery.layers import Layers
from shitu_edge.results import Match, support
from tests.calibration.test_calibrator import accepts, photos, until
from tests.gallery.rows import create, unit

DIM = 16
SAME = 0.999


class Photos:
    """Points in common at random, the same ones each time; items of some ids have no picture.

    Items of a label, each five that follow one another, have `own` more.
    """

    def __init__(self, bare: Sequence[int] = (), most: int = 20, method: str = "random", own: int = 60) -> None:
        self.method = method
        self.compared: list[tuple[int, int]] = []
        self.completed = 0
        self._bare = frozenset(bare)
        self._most = most
        self._own = own

    def with_picture(self, ids: Sequence[int]) -> list[int]:
        return [item for item in ids if item not in self._bare]

    def points(self, asking: int, item: int) -> int:
        if asking in self._bare or item in self._bare or not self._most:
            return 0
        chance = int(np.random.default_rng((asking + 1000, item + 1000)).integers(self._most)) // 2 * (item % 3)
        return max(0, chance + (self._own if (asking - 1) // 5 == (item - 1) // 5 else 0))

    def inliers(self, asking: int, candidates: Sequence[int]) -> list[int]:
        assert asking not in candidates
        assert asking not in self._bare
        self.compared += [(asking, item) for item in candidates]
        return [self.points(asking, item) for item in candidates]

    def complete(self, pause: Callable[[], None]) -> None:
        self.completed += 1
        pause()


class Brands(Photos):
    """Two products each share a print, and no photo has points in common with others of its own product."""

    def points(self, asking: int, item: int) -> int:
        mine, other = (asking - 1) // 5, (item - 1) // 5
        return 60 if mine != other and mine // 2 == other // 2 else 0


def nothing() -> None:
    """Do not pause."""


# -- scores


Neighbors = list[tuple[float, GalleryItem]]


def plain_score(asking: GalleryItem, near: Neighbors, points: Callable[[int, int], int]) -> tuple[float, str]:
    """Return the score and the label that an object gets from its neighbors, best first, by the manual's words."""
    near = near[:NEIGHBORS]
    if near[0][1].label == NEGATIVE:
        return LOWEST_SCORE, NEGATIVE
    as_it_is = score_of([Match(item.id, item.label, similarity) for similarity, item in near]), near[0][1].label
    raised = [
        (support(similarity, points(asking.id, item.id) if place < MOST_PHOTOS else 0), place, item)
        for place, (similarity, item) in enumerate(near)
    ]
    raised.sort(key=lambda one: (-one[0], one[1]))
    if raised[0][2].label == NEGATIVE:
        return as_it_is
    looked = score_of([Match(item.id, item.label, similarity) for similarity, _, item in raised]), raised[0][2].label
    return max(as_it_is, looked)


def plain(gallery: Layers, photos: Photos, most: int = 1000) -> tuple[dict[int, float], dict[int, tuple[float, bool]]]:
    """Return the scores of the items as unknown objects, and as known ones, by a plain loop."""
    items = gallery.items()
    rows = gallery.embeddings([item.id for item in items]).astype(np.float64)
    similarities = rows @ rows.T
    asking = [place for place, item in enumerate(items) if photos.with_picture([item.id]) and item.label != NEGATIVE]
    numbers = np.unique([items[place].label for place in asking], return_inverse=True)[1]
    if len(asking) > most:
        asking = [asking[place] for place in chosen_queries(numbers, most)]
    unknown, known = {}, {}
    for place in asking:
        me = items[place]
        everything = sorted(
            ((float(similarities[place, other]), item) for other, item in enumerate(items)),
            key=lambda one: -one[0],
        )
        twins = {item.label for similarity, item in everything if item.label != me.label and similarity >= SAME}
        others = [one for one in everything if one[1].label not in {me.label, *twins - {NEGATIVE}}]
        own = [one for one in everything if one[1].label == me.label and one[0] < SAME]
        if others:
            unknown[me.id] = plain_score(me, others, photos.points)[0]
            if own:
                together = sorted([*own, *others], key=lambda one: -one[0])
                score, label = plain_score(me, together, photos.points)
                known[me.id] = score, label == me.label
    return unknown, known


def assert_same(found: Samples | None, expected: tuple[dict[int, float], dict[int, tuple[float, bool]]]) -> None:
    assert found is not None
    unknown, known = expected
    np.testing.assert_allclose(found.unknown.scores, list(unknown.values()), atol=1e-5)
    np.testing.assert_allclose(found.known.scores, [score for score, _ in known.values()], atol=1e-5)
    assert found.known.right.tolist() == [right for _, right in known.values()]
    assert len(found.unknown.products) == len(unknown)
    assert found.unknown.products.dtype == found.known.products.dtype == np.int64


def samples(gallery: Gallery | Layers, photos: Photos) -> Samples | None:
    layers = Layers(gallery) if isinstance(gallery, Gallery) else gallery
    return look_samples(layers, layers.items(), photos, nothing)


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_a_plain_loop(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of one to six photos, negative items, twins, items without a picture; in blocks."""
    monkeypatch.setattr(looks, "_ROWS", 37)
    rng = np.random.default_rng(seed)
    with create(tmp_path / "shop.gallery", DIM) as gallery:
        for product in range(40):
            center = rng.normal(size=DIM)
            rows = unit(center + 0.4 * rng.normal(size=(int(rng.integers(1, 7)), DIM)))
            label = NEGATIVE if product % 13 == 5 else f"product {product}"
            gallery.add(NewGalleryItem(label, "", row) for row in rows)
        known = unit(gallery.embeddings(range(1, 6)) + 0.002 * rng.normal(size=(5, DIM)))
        gallery.add(NewGalleryItem("twin", "", row) for row in known[:2])
        gallery.add([NewGalleryItem(NEGATIVE, "", known[3]), NewGalleryItem("product 1", "", known[4])])
        photos = Photos(bare=rng.choice(range(1, 100), 20).tolist())
        assert_same(samples(gallery, photos), plain(Layers(gallery), photos))
        assert photos.compared


def test_without_points_in_common_the_scores_are_those_without_a_look(tmp_path: Path) -> None:
    from shitu_edge.calibration import leave_out

    with create(tmp_path / "shop.gallery", DIM) as gallery:
        gallery.add(photos(40))
        items = gallery.items()
        rows = gallery.embeddings([item.id for item in items])
        labels = np.array([int(item.label.split()[1]) for item in items])
        expected = leave_out(rows, labels, lambda: [(rows, labels)])
        found = samples(gallery, Photos(most=0))
        assert found is not None
        np.testing.assert_allclose(found.unknown.scores, expected.unknown.scores, atol=1e-5)
        np.testing.assert_allclose(found.known.scores, expected.known.scores, atol=5e-3)  # own photos are neighbors too
        assert (found.known.right == expected.known.right).all()
        assert (found.unknown.products == expected.unknown.products).all()
        raised = samples(gallery, Photos())
        assert raised is not None
        assert (raised.unknown.scores >= found.unknown.scores - 1e-9).all(), "a look never lowers a score"


def test_scores_of_a_local_layer_count(tmp_path: Path) -> None:
    with create(tmp_path / "shop.gallery", DIM) as central, create(tmp_path / "till.gallery", DIM) as local:
        central.add(photos(15))
        local.add(photos(10, seed=3, label="own", each=2))
        layers, fake = Layers(central, local), Photos(bare=[-1, 3])
        assert_same(samples(layers, fake), plain(layers, fake))
        assert {item < 0 for item, _ in fake.compared} == {True, False}


def test_label_with_a_thousand_photos_is_one_product(tmp_path: Path) -> None:
    """Its photos ask in turn with those of others, and it does not hide them."""
    with create(tmp_path / "shop.gallery", DIM) as gallery:
        gallery.add(photos(1, each=1000, label="many"))
        gallery.add(photos(30, seed=5, each=1))
        found = samples(gallery, Photos(most=0))
        assert found is not None
        assert found.unknown.count == 31
        assert len(found.unknown.scores) <= looks.MOST_LOOKED
        assert found.known.count == 1
        assert found.known.right.mean() > 0.9


def test_more_items_than_may_ask_are_sampled_by_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "MOST_LOOKED", 50)
    with create(tmp_path / "shop.gallery", DIM) as gallery:
        gallery.add(photos(30))
        fake = Photos(bare=range(1, 150, 5))
        found = samples(gallery, fake)
        assert_same(found, plain(Layers(gallery), fake, 50))
        assert found is not None
        assert (len(found.unknown.scores), found.unknown.count) == (50, 30)


@pytest.mark.parametrize(
    ("products", "bare", "enough"),
    [(0, 0, False), (1, 0, False), (19, 0, False), (20, 0, True), (20, 5, False), (25, 30, False), (25, 25, True)],
)
def test_fewer_than_20_products_with_pictures_have_no_scores(
    tmp_path: Path, products: int, bare: int, enough: bool
) -> None:
    with create(tmp_path / "shop.gallery", DIM) as gallery:
        gallery.add(photos(products))
        gallery.add(NewGalleryItem(NEGATIVE, "", row) for row in unit(np.random.default_rng(9).normal(size=(9, DIM))))
        assert (samples(gallery, Photos(bare=range(1, bare + 1))) is not None) is enough


def test_twins_alone_have_no_scores_and_do_not_stop_others(tmp_path: Path) -> None:
    """21 labels of one image are one product, which has nothing to resemble."""
    with create(tmp_path / "shop.gallery", DIM) as gallery:
        row = unit(np.ones((1, DIM)))[0]
        gallery.add(NewGalleryItem(f"twin {number}", "", row) for number in range(21))
        found = samples(gallery, Photos())
        assert found is not None
        assert (found.unknown.count, found.known.count) == (0, 0)
        keeper = Calibrator(gallery, None, photos=Photos())
        assert keeper.at(accepts(0.1), wait=True).state == "uncalibrated"


def test_gallery_of_negative_items_has_no_scores(tmp_path: Path) -> None:
    with create(tmp_path / "shop.gallery", DIM) as gallery:
        gallery.add(NewGalleryItem(NEGATIVE, "", row) for row in unit(np.random.default_rng(9).normal(size=(50, DIM))))
        assert samples(gallery, Photos()) is None


# -- the calibrator


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    """60 products with five photos each."""
    with create(tmp_path / "shop.gallery", DIM) as opened:
        opened.add(photos(60))
        yield opened


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each derivation after a second look."""
    calls: list[int] = []

    def counted(*given: Any) -> Samples | None:
        calls.append(1)
        return look_samples(*given)

    monkeypatch.setattr("shitu_edge.calibration.derive.look_samples", counted)
    return calls


def test_looks_are_derived_in_the_background_and_raise_the_threshold(gallery: Gallery, derived: list[int]) -> None:
    fake = Photos()
    plain_threshold = Calibrator(gallery, None).at(accepts(0.1)).threshold
    keeper = Calibrator(gallery, None, photos=fake)
    assert (keeper.has_looked, keeper.is_looking) == (False, True)
    first = keeper.at(accepts(0.1))
    assert (first.state, first.threshold) == ("calibrated", plain_threshold), "what there is until then"
    keeper.at(accepts(0.1))
    until(lambda: keeper.has_looked)
    found = keeper.at(accepts(0.1))
    keeper.close()
    assert (keeper.has_looked, keeper.is_looking, fake.completed, len(derived)) == (True, False, 1, 1)
    assert found.threshold is not None
    assert found.threshold > (plain_threshold or 2), "unknown objects have points in common by chance, too"
    assert (found.products, found.revision) == (60, gallery.revision)


def test_waiting_has_the_look_at_once_and_once(gallery: Gallery, derived: list[int]) -> None:
    keeper = Calibrator(gallery, None, photos=Photos())
    first = keeper.at(accepts(0.1), wait=True)
    assert keeper.has_looked
    assert keeper.at(accepts(0.1), wait=True) == keeper.at(accepts(0.1)) == first
    assert len(derived) == 1
    threads = [threading.Thread(target=keeper.at, args=(accepts(0.1),), kwargs={"wait": True}) for _ in range(4)]
    gallery.add(photos(60, 7, "new"))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (keeper.has_looked, len(derived), keeper.at(accepts(0.1)).products) == (True, 2, 120)
    keeper.close()


def test_few_pictures_are_tried_once_per_revision(gallery: Gallery, derived: list[int]) -> None:
    keeper = Calibrator(gallery, None, photos=Photos(bare=range(1, 300)))
    without = Calibrator(gallery, None).at(accepts(0.1))
    for _ in range(3):
        assert keeper.at(accepts(0.1), wait=True) == without
        assert (keeper.has_looked, keeper.is_looking) == (False, False)
    assert len(derived) == 1
    gallery.add(photos(1, 7, "new"))
    assert keeper.is_looking
    keeper.at(accepts(0.1), wait=True)
    assert len(derived) == 2
    keeper.close()


def test_scores_after_a_look_survive_a_restart(gallery: Gallery, tmp_path: Path, derived: list[int]) -> None:
    first = Calibrator(gallery, tmp_path, photos=Photos()).at(accepts(0.1), wait=True)
    again = Calibrator(gallery, tmp_path, photos=Photos())
    assert again.at(accepts(0.1)) == first, "at once, without waiting"
    assert (again.has_looked, again.is_looking, len(derived)) == (True, False, 1)
    assert Calibrator(gallery, tmp_path).at(accepts(0.1)).threshold != first.threshold, "without a second look"
    other = Calibrator(gallery, tmp_path, photos=Photos(method="other"))
    assert not other.has_looked
    other.at(accepts(0.1), wait=True)
    assert len(derived) == 2, "scores of another method are not taken"


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive"])
def test_damaged_cache_of_looks_is_derived_again(
    gallery: Gallery, tmp_path: Path, derived: list[int], damage: bytes
) -> None:
    first = Calibrator(gallery, tmp_path, photos=Photos()).at(accepts(0.1), wait=True)
    for file in (tmp_path / "calibration").iterdir():
        file.write_bytes(damage)
    assert Calibrator(gallery, tmp_path, photos=Photos()).at(accepts(0.1), wait=True) == first
    assert len(derived) == 2


@pytest.mark.parametrize("cached", [True, False])
def test_looks_are_kept_until_a_tenth_has_changed(
    gallery: Gallery, tmp_path: Path, derived: list[int], cached: bool
) -> None:
    cache = tmp_path if cached else None
    keeper = Calibrator(gallery, cache, photos=Photos())
    first = keeper.at(accepts(0.1), wait=True)
    gallery.add(photos(5, 7, "new"))
    changed = keeper.at(accepts(0.1), wait=True)
    assert (keeper.has_looked, len(derived)) == (True, 1)
    assert changed.threshold == first.threshold
    if cached:
        assert Calibrator(gallery, cache, photos=Photos()).at(accepts(0.1), wait=True).threshold == first.threshold
        assert len(derived) == 1
    gallery.add(photos(5, 8, "newer"))
    again = keeper.at(accepts(0.1), wait=True)
    assert (keeper.has_looked, len(derived), again.products) == (True, 2, 70)
    keeper.close()


def test_rollback_finds_the_looks_of_that_time(gallery: Gallery, tmp_path: Path, derived: list[int]) -> None:
    keeper = Calibrator(gallery, tmp_path, photos=Photos())
    first, revision = keeper.at(accepts(0.1), wait=True), gallery.revision
    gallery.add(photos(60, 7, "new"))
    assert keeper.at(accepts(0.1), wait=True).threshold != first.threshold
    gallery.history.rollback(revision)
    assert keeper.at(accepts(0.1), wait=True).threshold == first.threshold
    assert (keeper.has_looked, len(derived)) == (True, 2)
    keeper.close()


@pytest.mark.parametrize("near", [True, False], ids=["like the products", "unlike them"])
def test_threshold_with_labeled_queries_is_at_least_the_one_without_a_look(gallery: Gallery, near: bool) -> None:
    """Labeled queries have no pictures, so what they tell of the scores without a look is kept."""
    rng = np.random.default_rng(4)
    rows = unit(gallery.embeddings(range(1, 200)) + 0.15 * rng.normal(size=(199, DIM))) if near else unit(
        rng.normal(size=(50, DIM))
    )  # fmt: skip
    queries = Queries(rows, (None,) * len(rows), "fp32")
    alone, looked = Calibrator(gallery, None, queries=queries), Calibrator(gallery, None, photos=Photos())
    keeper = Calibrator(gallery, None, queries=queries, photos=Photos())
    for rate in (0.02, 0.1, 0.3):
        found = keeper.at(accepts(rate), wait=True)
        assert keeper.has_looked
        assert found.queries == len(rows)
        both = [one.at(accepts(rate), wait=True).threshold for one in (alone, looked)]
        assert found.threshold == max(threshold or -2 for threshold in both)


def test_labeled_queries_that_are_kept_later_count(gallery: Gallery) -> None:
    keeper = Calibrator(gallery, None, photos=Photos())
    keeper.at(accepts(0.1), wait=True)
    rows = unit(gallery.embeddings(range(1, 200)) + 0.15 * np.random.default_rng(4).normal(size=(199, DIM)))
    store(gallery, queries=Queries(rows, (None,) * len(rows), "fp32"))
    assert keeper.at(accepts(0.1), wait=True).queries == 199
    assert keeper.has_looked
    keeper.close()


def test_wrong_labels_are_those_after_a_look(tmp_path: Path) -> None:
    """Vectors hardly tell the products apart, and photos do."""

    class Right(Photos):
        def points(self, asking: int, item: int) -> int:
            return 60 if (asking - 1) // 5 == (item - 1) // 5 else 0

    rng = np.random.default_rng(1)
    rows = unit(np.repeat(rng.normal(size=(60, DIM)), 5, 0) + 0.8 * rng.normal(size=(300, DIM)))
    target = Target(max_wrong=0.05)
    with create(tmp_path / "shop.gallery", DIM) as gallery:
        gallery.add(NewGalleryItem(f"product {place // 5}", "", one) for place, one in enumerate(rows))
        without, keeper = Calibrator(gallery, None), Calibrator(gallery, None, photos=Right())
        shares = [one.effect(one.at(target, wait=True)) for one in (without, keeper)]
    assert shares[0] is not None
    assert shares[1] is not None
    assert shares[1][0] > shares[0][0], "more right names"
    assert shares[1][1] <= 0.05


def test_closing_ends_the_look(gallery: Gallery, caplog: pytest.LogCaptureFixture) -> None:
    begun = threading.Event()

    class Slow(Photos):
        def complete(self, pause: Callable[[], None]) -> None:
            begun.set()
            for _ in range(10_000):
                threading.Event().wait(0.01)
                pause()

    keeper = Calibrator(gallery, None, photos=Slow())
    keeper.at(accepts(0.1))
    keeper.at(accepts(0.1))
    assert begun.wait(30)
    keeper.close()
    assert "shitu-calibration" not in {thread.name for thread in threading.enumerate()}
    assert (keeper.has_looked, caplog.messages) == (False, [])
    keeper.at(accepts(0.1))
    assert "shitu-calibration" not in {thread.name for thread in threading.enumerate()}


def test_look_that_fails_in_the_background_is_a_warning_and_not_tried_again(
    gallery: Gallery, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Photos):
        def complete(self, pause: Callable[[], None]) -> None:
            self.completed += 1
            raise OSError("disk on fire")

    fake = Failing()
    keeper = Calibrator(gallery, None, photos=fake)
    expected = Calibrator(gallery, None).at(accepts(0.1))
    for _ in range(2):
        assert keeper.at(accepts(0.1)) == expected
    until(lambda: not keeper.is_looking)
    for _ in range(5):
        assert keeper.at(accepts(0.1)) == expected
    keeper.close()
    assert fake.completed == 1
    assert caplog.text.count("disk on fire") == 1


def test_change_during_a_look_does_not_poison_the_cache(gallery: Gallery, tmp_path: Path, derived: list[int]) -> None:
    class Late(Photos):
        def complete(self, pause: Callable[[], None]) -> None:
            if not self.completed:
                gallery.add(photos(60, 7, "new"))
            super().complete(pause)

    before = gallery.revision
    expected = Calibrator(gallery, None, photos=Photos()).at(accepts(0.1), wait=True)
    keeper = Calibrator(gallery, tmp_path, photos=Late())
    keeper.at(accepts(0.1), wait=True)
    assert keeper.at(accepts(0.1), wait=True).products == 120
    gallery.history.rollback(before)
    again = keeper.at(accepts(0.1), wait=True)
    assert (again.products, again.threshold) == (60, expected.threshold)
    keeper.close()


def test_items_that_are_pruned_during_a_look_do_not_matter(gallery: Gallery) -> None:
    class Late(Photos):
        def with_picture(self, ids: Sequence[int]) -> list[int]:
            if len(gallery) == 300:
                gallery.remove(range(1, 6))
                gallery.history.prune(0)
            return super().with_picture(ids)

    keeper = Calibrator(gallery, None, photos=Late())
    keeper.at(accepts(0.1), wait=True)
    assert keeper.at(accepts(0.1), wait=True).products == 59
    assert keeper.has_looked
    keeper.close()


def test_scores_without_a_cache_folder_and_with_one_are_the_same(gallery: Gallery, tmp_path: Path) -> None:
    layers = Layers(gallery)
    with_cache = GalleryScores(layers, tmp_path, None).read_looks(Photos(), nothing, derive=True)
    without = GalleryScores(layers, None, None).read_looks(Photos(), nothing, derive=True)
    stored = GalleryScores(layers, tmp_path, None).read_looks(Photos(), nothing, derive=False)
    assert GalleryScores(layers, None, None).read_looks(Photos(), nothing, derive=False) is None
    assert with_cache is not None
    assert without is not None
    assert stored is not None
    for one in (without, stored):
        np.testing.assert_array_equal(one.samples.unknown.scores, with_cache.samples.unknown.scores)
        assert one.revisions == with_cache.revisions


def test_look_that_names_fewer_products_is_not_taken(gallery: Gallery) -> None:
    alone = Calibrator(gallery, None)
    misled = Calibrator(gallery, None, photos=Brands())
    helped = Calibrator(gallery, None, photos=Photos())
    for rate in (0.05, 0.1, 0.3):
        without, found, other = (one.at(accepts(rate), wait=True) for one in (alone, misled, helped))
        assert (without.looked, found.looked, other.looked) == (False, False, True)
        assert found == without
        assert misled.effect(found) == alone.effect(without)
        assert misled.naming(found).looked is False
    assert misled.has_looked
    for one in (alone, misled, helped):
        one.close()


def test_look_is_taken_where_no_product_can_tell(tmp_path: Path) -> None:
    """Of fewer than 20 products there is a second photo."""
    with create(tmp_path / "one.gallery", DIM) as single:
        single.add(photos(19, 7, "several"))
        taken = []
        for more in (photos(30, 8, "single", each=1), photos(1, 9, "several more", each=2)):
            single.add(more)
            keeper = Calibrator(single, None, photos=Brands())
            taken.append(keeper.at(accepts(0.1), wait=True).looked)
            keeper.close()
    assert taken == [True, False]


@pytest.mark.parametrize(("pictured", "looks_again"), [(47, False), (48, True)])
def test_few_pictures_do_not_speak_for_a_large_gallery(gallery: Gallery, pictured: int, looks_again: bool) -> None:
    """With pictures of fewer than 48 of 60 products, the threshold stays that of all."""
    keeper = Calibrator(gallery, None, photos=Photos(bare=range(5 * pictured + 1, 301), most=2))
    found = keeper.at(accepts(0.1), wait=True)
    assert (found.looked, found.products) == (looks_again, pictured if looks_again else 60)
    keeper.close()
