"""A bundle's objectness network: read, checked, and what a recognizer makes of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge import Bundle, BundleError, NewGalleryItem, Recognition, Recognizer
from shitu_edge.bundle import NetworkFile, write_manifest
from shitu_edge.bundle.objectness import BOX_FACTS, OUTPUTS
from shitu_edge.engines import ENGINES, EngineName
from tests.networks import DIM
from tests.test_recognizer import GREEN, RED, product, scene

ROWS = DIM + BOX_FACTS + 1 + OUTPUTS


def constant(on_product: float, whole: float) -> NDArray[np.float32]:
    """Return weights that say the same of every box."""
    weights = np.zeros((ROWS, 1), np.float32)
    weights[-1 - OUTPUTS], weights[-OUTPUTS:, 0] = 1, (on_product, whole)
    return weights


def npy(weights: object) -> bytes:
    content = BytesIO()
    np.save(content, np.asarray(weights), allow_pickle=True)
    return content.getvalue()


def with_objectness(source: Path, target: Path, content: bytes) -> Path:
    """Copy a bundle and give it an objectness file of this content."""
    shutil.copytree(source, target)
    (target / "objectness.npy").write_bytes(content)
    manifest = Bundle.open(target).manifest
    extractor = replace(manifest.extractor, objectness=NetworkFile("objectness.npy", ""))
    write_manifest(target, replace(manifest, extractor=extractor))
    return target


def answer_of(bundle: Path, gallery: Path, engine: EngineName = "auto") -> Recognition:
    """Recognize a red and a green thing by a gallery that knows red alone."""
    with Recognizer.open(bundle, engine=engine) as embedder, embedder.create_gallery(gallery) as made:
        made.add([NewGalleryItem("red", "", embedder.embed(product(RED))[0])])
    with Recognizer.open(bundle, gallery, engine=engine) as recognizer:
        return recognizer.recognize(
            scene((1, 1, RED), (5, 5, GREEN)), threshold=0.98, whole_image="never", suppression_iou=0.3
        )


def test_weights_are_read_and_verified(tiny_bundle: Path, tmp_path: Path) -> None:
    weights = np.random.default_rng(1).normal(size=(ROWS, 7)).astype(np.float16)
    bundle = with_objectness(tiny_bundle, tmp_path / "bundle", npy(weights))
    found = Bundle.open(bundle).objectness()
    assert found is not None
    assert found.dtype == np.float32
    assert (found == weights).all()
    assert Bundle.open(bundle).verify() == Bundle.open(tiny_bundle).verify() + 1
    (bundle / "objectness.npy").write_bytes(npy(weights[:, :3]))
    with pytest.raises(BundleError, match="checksum mismatch"):
        Bundle.open(bundle).verify()


def test_bundle_without_one(tiny_bundle: Path) -> None:
    assert Bundle.open(tiny_bundle).objectness() is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        npy(np.zeros((ROWS - 1, 4), np.float32)),
        npy(np.zeros((ROWS, 0), np.float32)),
        npy(np.zeros(ROWS, np.float32)),
        npy(np.zeros((ROWS, 4), np.int32)),
        npy(np.full((ROWS, 4), np.nan, np.float32)),
        npy(np.full((ROWS, 4), 1e9, np.float32)),
        npy(np.array([{}] * ROWS, object).reshape(ROWS, 1)),
    ],
)
def test_other_content_is_refused_when_it_is_opened(content: bytes, tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = with_objectness(tiny_bundle, tmp_path / "bundle", content)
    with pytest.raises(BundleError, match=r"objectness\.npy: (is not a NumPy array|expected)"):
        Recognizer.open(bundle)


def test_path_outside_of_the_bundle_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = with_objectness(tiny_bundle, tmp_path / "bundle", npy(constant(1, 1)))
    content = json.loads((bundle / "bundle.json").read_text())
    content["extractor"]["objectness"]["path"] = "../objectness.npy"
    (bundle / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match="expected a path inside the bundle"):
        Bundle.open(bundle)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("on_product", "whole", "reason"), [(-1, 1, "no_product"), (1, -1, "part"), (-1, -1, "no_product"), (1, 1, None)]
)
def test_what_has_no_name_and_is_no_product_is_dropped(
    engine: EngineName, on_product: float, whole: float, reason: str | None, tiny_bundle: Path, tmp_path: Path
) -> None:
    """The red thing has a name, whatever the network says of it."""
    pytest.importorskip(engine, exc_type=ImportError)
    bundle = with_objectness(tiny_bundle, tmp_path / "bundle", npy(constant(on_product, whole)))
    answer = answer_of(bundle, tmp_path / "shop.gallery", engine)
    labels = [item.label for item in answer.items]
    if reason is None:
        assert labels == ["red", None]
        assert answer.dropped == ()
    else:
        assert labels == ["red"]
        assert {box.reason for box in answer.dropped} == {reason}
        assert answer.dropped[0].box_xyxy[0] > 100
        assert "resembles nothing in the gallery" in "\n".join(answer.explain())


def test_given_boxes_are_not_judged(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = with_objectness(tiny_bundle, tmp_path / "bundle", npy(constant(-1, -1)))
    with Recognizer.open(bundle) as embedder:
        embedder.create_gallery(tmp_path / "shop.gallery").close()
    with Recognizer.open(bundle, tmp_path / "shop.gallery") as recognizer:
        answer = recognizer.recognize(scene((1, 1, RED)), boxes_xyxy=[(16, 16, 80, 80)])
    assert [item.decision for item in answer.items] == ["unknown"]
