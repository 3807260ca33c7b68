"""Synthetic embeddings resemble real ones, and a gallery of them is made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shitu_edge.bench.galleries import IMAGES, further_images, prepared_gallery, synthetic_embeddings
from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery
from shitu_edge.gallery.protocol import require_extractor
from tests.networks import write_bundle


def test_cosines_are_those_of_real_embeddings() -> None:
    """Quantiles as measured on photos of drinks, within a product and between products."""
    rows = synthetic_embeddings(4000, 512, seed=1)
    cosines = rows @ rows.T
    product = np.arange(len(rows)) // IMAGES
    same = product[:, None] == product[None, :]
    inside = cosines[same & ~np.eye(len(rows), dtype=bool)]
    assert np.quantile(inside, [0.25, 0.5, 0.75]) == pytest.approx([0.51, 0.65, 0.78], abs=0.06)
    assert np.quantile(cosines[~same], [0.5, 0.99, 0.999]) == pytest.approx([0.11, 0.36, 0.46], abs=0.03)


@pytest.mark.parametrize("dim", [64, 512])
def test_rows_are_unit_and_do_not_depend_on_the_count(dim: int) -> None:
    rows = synthetic_embeddings(2345, dim, seed=2)
    assert rows.shape == (2345, dim)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(synthetic_embeddings(17, dim, seed=2), rows[:17])
    assert not np.array_equal(synthetic_embeddings(17, dim, seed=3), rows[:17])


@pytest.mark.parametrize("size", [30, 5000])
def test_further_images_are_of_products_that_are_there(size: int) -> None:
    rows = synthetic_embeddings(size, 128, seed=1)
    asked = further_images(200, size, 128, seed=1)
    cosines = asked @ rows.T
    assert cosines.max() < 0.999, "none is in the gallery itself"
    nearest = cosines.argmax(axis=1) // IMAGES
    expected = np.linspace(0, size // IMAGES - 1, 200).astype(int)
    assert np.mean(nearest == expected) > 0.9


def test_a_gallery_is_made_once(tmp_path: Path) -> None:
    extractor = write_bundle(tmp_path / "bundle").manifest.extractor
    steps: list[tuple[str, int, int]] = []

    def progress(step: str, done: int, total: int) -> None:
        steps.append((step, done, total))

    path = prepared_gallery(tmp_path / "kept", 1234, extractor, progress=progress)
    assert steps[-1] == ("items", 1234, 1234)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "nothing temporary is left"
    with Gallery.open(path) as gallery:
        require_extractor(gallery, extractor.network.name, extractor.fingerprint)
        assert len(gallery) == 1234
        stored = gallery.embeddings([entry.id for entry in gallery.items()])
    assert np.allclose(stored, synthetic_embeddings(1234, extractor.dim, seed=1), atol=1e-6)
    made = path.stat().st_mtime_ns
    steps.clear()
    assert prepared_gallery(tmp_path / "kept", 1234, extractor, progress=progress) == path
    assert (steps, path.stat().st_mtime_ns) == ([], made)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file of that name")
    extractor = write_bundle(tmp_path / "bundle").manifest.extractor
    with pytest.raises(GalleryError, match="kept: cannot be created: File exists"):
        prepared_gallery(tmp_path / "kept", 10, extractor, progress=lambda *_: None)
