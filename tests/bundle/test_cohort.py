"""A bundle's foreign products: read, checked, and by which a small gallery is calibrated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shitu_edge import Bundle, BundleError, NewGalleryItem, Recognizer
from shitu_edge.bundle import Target
from shitu_edge.calibration import Calibrator
from shitu_edge.errors import OptionError
from tests.gallery.rows import unit
from tests.networks import DIM
from tests.test_recognizer import RED, product

from .files import npy, with_file

ROWS = unit(np.random.default_rng(3).normal(size=(60, DIM)))


def with_cohort(source: Path, target: Path, content: bytes) -> Path:
    """Copy a bundle and give it a cohort file of this content."""
    return with_file(source, target, "cohort", content)


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return with_cohort(tiny_bundle, tmp_path / "bundle", npy(ROWS.astype(np.float16)))


@pytest.fixture
def recognizer(bundle: Path, tmp_path: Path) -> Iterator[Recognizer]:
    with Recognizer.open(bundle) as embedder, embedder.create_gallery(tmp_path / "shop.gallery") as gallery:
        gallery.add([NewGalleryItem("red", "", embedder.embed(product(RED))[0])])
    with Recognizer.open(bundle, tmp_path / "shop.gallery", cache=tmp_path / "cache") as opened:
        yield opened


def test_cohort_is_read_in_unit_rows(bundle: Path) -> None:
    found = Bundle.open(bundle).cohort()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, ROWS, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_bundle_without_one_has_no_rows(tiny_bundle: Path) -> None:
    assert Bundle.open(tiny_bundle).cohort().shape == (0, DIM)


def test_verify_counts_and_checks_it(bundle: Path, tiny_bundle: Path) -> None:
    assert Bundle.open(bundle).verify() == Bundle.open(tiny_bundle).verify() + 1
    (bundle / "cohort.npy").write_bytes(npy(ROWS[:10]))
    with pytest.raises(BundleError, match="checksum mismatch"):
        Bundle.open(bundle).verify()
    with pytest.raises(BundleError, match="checksum mismatch"):
        Bundle.open(bundle).cohort()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        npy(ROWS[:, :-1]),
        npy(ROWS * 2),
        npy(ROWS[0]),
        npy(np.full((5, DIM), np.nan)),
        npy(np.zeros((0, DIM), np.float32)),
        npy(np.ones((5, DIM), int)),
        npy(np.array([{"pickled": 1}], object)),
        npy(ROWS)[:-20],
    ],
)
def test_what_is_no_cohort_is_refused(tiny_bundle: Path, tmp_path: Path, content: bytes) -> None:
    folder = with_cohort(tiny_bundle, tmp_path / "bundle", content)
    with pytest.raises(BundleError, match=r"cohort\.npy"):
        Bundle.open(folder).cohort()


@pytest.mark.parametrize("path", ["../cohort.npy", "/etc/passwd", "a\\b.npy"])
def test_path_outside_of_the_bundle_is_refused(bundle: Path, path: str) -> None:
    data = json.loads((bundle / "bundle.json").read_text())
    data["extractor"]["cohort"]["path"] = path
    (bundle / "bundle.json").write_text(json.dumps(data))
    with pytest.raises(BundleError, match="inside the bundle"):
        Bundle.open(bundle)


def test_single_product_gets_the_bundles_fallback(recognizer: Recognizer) -> None:
    found = recognizer.calibration(0.05)
    assert found is not None
    assert (found.state, found.products, found.foreign) == ("uncalibrated", 1, 60)
    row = recognizer.gallery.embeddings([1])
    assert found.threshold == pytest.approx(np.quantile(ROWS @ row[0], 0.95), abs=2e-3)
    answer = recognizer.recognize(product(RED), max_false_accept=0.05, whole_image="always")
    assert "red" in {item.label for item in answer.items}
    assert "the bundle's fallback: 1 product, too few, so 60 foreign products" in answer.explain()[0]


def test_some_products_are_thin_and_twenty_speak_for_themselves(recognizer: Recognizer) -> None:
    rows = unit(np.random.default_rng(5).normal(size=(19, DIM)))
    states = []
    for number, row in enumerate(rows):
        recognizer.gallery.add([NewGalleryItem(f"product {number}", "", row)])
        found = recognizer.calibration(0.2, wait=True)
        assert found is not None
        states.append((found.state, found.foreign))
    assert states == [("uncalibrated", 60)] * 3 + [("thin", 60)] * 15 + [("calibrated", 0)]


def test_promise_from_few_products_is_refused_with_the_number_missing(recognizer: Recognizer) -> None:
    with pytest.raises(OptionError, match=r"from 1 products: \d+ more are needed"):
        recognizer.calibration(0.05, 0.9)


def test_empty_gallery_has_no_threshold(bundle: Path, tmp_path: Path) -> None:
    with Recognizer.open(bundle) as embedder, embedder.create_gallery(tmp_path / "empty.gallery") as gallery:
        found = Calibrator(gallery, None, ROWS).at(Target(max_false_accept=0.1))
    assert (found.state, found.threshold, found.products) == ("uncalibrated", None, 0)


def test_share_of_wrong_labels_falls_back_as_well(recognizer: Recognizer) -> None:
    found = Calibrator(recognizer.gallery, None, ROWS).at(Target(max_wrong=0.05))
    assert (found.state, found.foreign) == ("uncalibrated", 60)
    assert found.threshold is not None
