"""Cohorts: which crops stand for foreign products, and what a bundle is given."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnx")

from shitu_edge_export import cohort
from shitu_edge_export.errors import ExportError
from shitu_edge_export.progress import Progress

from shitu_edge.bundle import Bundle, write_manifest
from tests.gallery.rows import unit
from tests.test_recognizer import BLUE, GREEN, RED, scene


def test_crops_of_one_product_count_once() -> None:
    rng = np.random.default_rng(0)
    products = unit(rng.normal(size=(30, 64)))
    photos = unit(np.repeat(products, 4, axis=0) + 0.02 * rng.normal(size=(120, 64)))
    assert cohort.distinct(photos).tolist() == photos[::4].tolist()
    assert cohort.distinct(photos[:0]).shape == (0, 64)


def test_usual_similarity_is_rarely_reached() -> None:
    rows = unit(np.random.default_rng(1).normal(size=(400, 64)))
    reached = cohort.usual_similarity(rows)
    further = unit(np.random.default_rng(2).normal(size=(12, 64)))
    assert np.mean((rows @ further.T).max(axis=1) >= reached) == pytest.approx(0.01, abs=0.01)


def test_bundle_is_given_a_cohort_and_a_threshold(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort, "FEWEST", 2)
    monkeypatch.setattr(cohort, "_SMALL_GALLERY", 1)
    monkeypatch.setattr(cohort, "_SAME_PRODUCT", 0.9999)  # the tiny network tells colors hardly apart
    folder, images = tmp_path / "bundle", tmp_path / "images"
    shutil.copytree(tiny_bundle, folder)
    images.mkdir()
    for number, color in enumerate((RED, GREEN, BLUE)):
        Image.fromarray(scene((1, 1, color), (5, 5, color))).save(images / f"{number}.png")
    (images / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    made = cohort.add_cohort(folder, [images], Progress())
    assert 2 <= len(made.cohort()) <= 3
    assert made.manifest.policy.similarity_threshold != Bundle.open(tiny_bundle).manifest.policy.similarity_threshold
    assert Bundle.open(folder).verify() == Bundle.open(tiny_bundle).verify() + 1


def test_too_few_products_are_refused_and_nothing_is_written(tiny_bundle: Path, tmp_path: Path) -> None:
    folder, images = tmp_path / "bundle", tmp_path / "images"
    shutil.copytree(tiny_bundle, folder)
    images.mkdir()
    Image.fromarray(scene((1, 1, RED))).save(images / "one.png")
    with pytest.raises(ExportError, match="a cohort needs 50 products that differ, found 1"):
        cohort.add_cohort(folder, [images], Progress())
    assert not (folder / cohort.COHORT).exists()


@pytest.fixture
def with_cohort(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cohort, "FEWEST", 2)
    monkeypatch.setattr(cohort, "_SMALL_GALLERY", 1)
    monkeypatch.setattr(cohort, "_SAME_PRODUCT", 0.9999)
    folder, images = tmp_path / "earlier", tmp_path / "photos"
    shutil.copytree(tiny_bundle, folder)
    images.mkdir()
    for number, color in enumerate((RED, GREEN, BLUE)):
        Image.fromarray(scene((1, 1, color))).save(images / f"{number}.png")
    cohort.add_cohort(folder, [images], Progress())
    return folder


def test_a_bundle_hands_on_its_cohort_and_threshold(with_cohort: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "later")
    made = cohort.add_cohort(tmp_path / "later", [with_cohort], Progress())
    earlier = Bundle.open(with_cohort)
    np.testing.assert_allclose(made.cohort(), earlier.cohort(), atol=1e-3)
    wanted = earlier.manifest.policy.similarity_threshold
    assert made.manifest.policy.similarity_threshold == pytest.approx(wanted, abs=2e-3)


def test_a_cohort_that_does_not_serve_is_refused(with_cohort: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_bundle, other)
    with pytest.raises(ExportError, match="has no cohort; name images instead"):
        cohort.add_cohort(other, [tiny_bundle], Progress())
    with pytest.raises(ExportError, match="expected one bundle, or folders of images"):
        cohort.add_cohort(other, [with_cohort, tmp_path / "photos"], Progress())
    manifest = Bundle.open(other).manifest
    network = replace(manifest.extractor.network, source_sha256="1" * 64)
    write_manifest(other, replace(manifest, extractor=replace(manifest.extractor, network=network)))
    with pytest.raises(ExportError, match="comes from another extractor; name images instead"):
        cohort.add_cohort(other, [with_cohort], Progress())
    assert not (other / cohort.COHORT).exists()
