"""Whether an object has a given label: 1:1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shitu_edge import NEGATIVE, NewGalleryItem, Recognizer
from shitu_edge.calibration import label_score
from shitu_edge.errors import GalleryError, ImageError, OptionError
from shitu_edge.results import Match
from shitu_edge.stages.claim import check_claim
from tests.gallery.rows import unit
from tests.networks import DIM
from tests.test_recognizer import BLUE, GREEN, RED, product, scene


@pytest.fixture
def recognizer(tiny_bundle: Path, tmp_path: Path) -> Iterator[Recognizer]:
    """A gallery of 40 products at random, and a red and a green one."""
    path = tmp_path / "shop.gallery"
    with Recognizer.open(tiny_bundle) as embedder, embedder.create_gallery(path) as gallery:
        rows = unit(np.random.default_rng(0).normal(size=(40, DIM)))
        gallery.add(NewGalleryItem(f"product {number}", "", row) for number, row in enumerate(rows))
        for name, color in (("red", RED), ("green", GREEN)):
            gallery.add([NewGalleryItem(name, "", embedder.embed(product(color))[0])])
    with Recognizer.open(tiny_bundle, path) as opened:
        yield opened


def test_right_label_is_accepted_and_another_one_rejected(recognizer: Recognizer) -> None:
    found = recognizer.verify("red", product(RED), max_false_accept=0.05)
    assert (found.decision, found.label) == ("accepted", "red")
    assert found.similarity == pytest.approx(1, abs=1e-4)
    assert found.threshold is not None
    assert found.score >= found.threshold
    assert found.calibration is not None
    assert (found.calibration.max_false_accept, found.calibration.products) == (0.05, 42)
    wrong = recognizer.verify("product 3", product(RED), max_false_accept=0.05)
    assert wrong.decision == "rejected"
    assert wrong.similarity < found.similarity
    assert wrong.nearest[0].label == "red", "and it says what it resembles"


def test_part_of_an_image_is_verified(recognizer: Recognizer) -> None:
    image = scene((1, 1, RED), (5, 5, BLUE))
    box = next(item.box_xyxy for item in recognizer.recognize(image).items if item.label == "red")
    assert recognizer.verify("red", image, box, max_false_accept=0.05).decision == "accepted"


def test_without_a_stated_share_it_is_one_percent(recognizer: Recognizer) -> None:
    found = recognizer.verify("red", product(RED))
    assert found.calibration is not None
    assert found.calibration.max_false_accept == 0.01


def test_few_products_leave_it_undecided(recognizer: Recognizer) -> None:
    recognizer.gallery.remove(range(1, 31))
    recognizer.calibration(0.1, wait=True)
    found = recognizer.verify("red", product(RED))
    assert (found.decision, found.threshold) == ("undecided", None)
    assert found.similarity == pytest.approx(1, abs=1e-4)


def test_refused(recognizer: Recognizer) -> None:
    with pytest.raises(GalleryError, match="no item has the label 'beer'"):
        recognizer.verify("beer", product(RED))
    with pytest.raises(OptionError, match="label"):
        recognizer.verify(7, product(RED))  # type: ignore[arg-type]
    with pytest.raises(ImageError):
        recognizer.verify("red", np.zeros((90, 90, 3), np.uint8))
    with pytest.raises(OptionError, match="max_false_accept"):
        recognizer.verify("red", product(RED), max_false_accept=2)


def test_object_like_what_is_not_a_product_is_rejected(recognizer: Recognizer) -> None:
    calibration = recognizer.calibration(0.1)
    matches = (Match(1, NEGATIVE, 0.9), Match(2, "red", 0.89))
    found = check_claim("red", 0.89, matches, calibration)
    assert (found.decision, [one.label for one in found.nearest]) == ("rejected", ["red"])
    assert check_claim("red", 0.89, matches[1:], calibration).decision == "accepted"


def test_other_products_pass_at_the_stated_rate(recognizer: Recognizer) -> None:
    """Random rows with random labels of the gallery; the gallery's own products are as random."""
    gallery = recognizer.gallery
    gallery.add(
        NewGalleryItem(f"further {number}", "", row)
        for number, row in enumerate(unit(np.random.default_rng(1).normal(size=(260, DIM))))
    )
    recognizer.calibration(0.1, wait=True)
    threshold = recognizer.verify("red", product(RED), max_false_accept=0.1).threshold
    assert threshold is not None
    rng = np.random.default_rng(2)
    queries, items = unit(rng.normal(size=(1000, DIM))), gallery.items()
    rows = gallery.embeddings([item.id for item in items])
    passed = 0
    for query, claimed in zip(queries, rng.integers(0, len(items), 1000), strict=True):
        matches = gallery.search(query[None], 50)[0]
        passed += label_score(matches, items[claimed].label, float(rows[claimed] @ query)) >= threshold
    assert passed / 1000 == pytest.approx(0.1, abs=0.05)
