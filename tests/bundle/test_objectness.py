"""A bundle's objectness network: read, checked, and what a recognizer makes of it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge import Bundle, BundleError, NewGalleryItem, OptionError, Recognition, Recognizer
from shitu_edge.bundle import write_manifest
from shitu_edge.engines import ENGINES, EngineName
from tests.networks import DIM
from tests.test_recognizer import GREEN, RED, product, scene

from .files import npy, with_file

ROWS = DIM + 2


def constant(says: float) -> NDArray[np.float32]:
    """Return weights that say the same of every box."""
    weights = np.zeros((ROWS, 1), np.float32)
    weights[-2], weights[-1] = 1, says
    return weights


def with_objectness(source: Path, target: Path, content: bytes) -> Path:
    """Copy a bundle and give it an objectness file of this content."""
    return with_file(source, target, "objectness", content)


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
    bundle = with_objectness(tiny_bundle, tmp_path / "bundle", npy(constant(1)))
    content = json.loads((bundle / "bundle.json").read_text())
    content["extractor"]["objectness"]["path"] = "../objectness.npy"
    (bundle / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match="expected a path inside the bundle"):
        Bundle.open(bundle)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_has_no_name_and_is_no_product_is_dropped(engine: EngineName, tiny_bundle: Path, tmp_path: Path) -> None:
    """The red thing has a name, whatever the network says of it."""
    pytest.importorskip(engine, exc_type=ImportError)
    products = with_objectness(tiny_bundle, tmp_path / "products", npy(constant(1)))
    answer = answer_of(products, tmp_path / "one.gallery", engine)
    assert [item.label for item in answer.items] == ["red", None]
    assert answer.dropped == ()
    nothing = with_objectness(tiny_bundle, tmp_path / "nothing", npy(constant(-1)))
    answer = answer_of(nothing, tmp_path / "other.gallery", engine)
    assert [item.label for item in answer.items] == ["red"]
    assert [box.reason for box in answer.dropped] == ["no_product"]
    assert answer.dropped[0].box_xyxy[0] > 100
    assert "looks like no product: a lamp, print, a shelf" in "\n".join(answer.explain())


def test_the_whole_image_is_dropped_for_what_it_resembles(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = with_objectness(tiny_bundle, tmp_path / "bundle", npy(constant(-1)))
    with Recognizer.open(bundle) as embedder, embedder.create_gallery(tmp_path / "shop.gallery") as made:
        made.add([NewGalleryItem("red", "", embedder.embed(product(RED))[0])])
    with Recognizer.open(bundle, tmp_path / "shop.gallery") as recognizer:
        answer = recognizer.recognize(scene((1, 1, GREEN)), threshold=0.999, whole_image="always")
    assert sorted(box.reason for box in answer.dropped) == ["below_threshold", "no_product"]


@pytest.fixture
def faint_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return a bundle whose detector reaches its threshold nowhere, but its faint one."""
    folder = with_objectness(tiny_bundle, tmp_path / "faint", npy(constant(1)))
    manifest = Bundle.open(folder).manifest
    detector = replace(manifest.detector, score_threshold=1.0, faint_threshold=manifest.detector.score_threshold)
    write_manifest(folder, replace(manifest, detector=detector))
    return folder


def test_faint_boxes_are_left_out_where_nothing_is_known_to_be_small(faint_bundle: Path, tmp_path: Path) -> None:
    with Recognizer.open(faint_bundle) as embedder:
        embedder.create_gallery(tmp_path / "shop.gallery").close()
    with Recognizer.open(faint_bundle, tmp_path / "shop.gallery") as recognizer:
        image = scene((1, 1, RED))
        assert len(recognizer.detect(image)) == 0
        for threshold, items in ((None, 0), (1.0, 0), (0.1, 1)):
            answer = recognizer.recognize(image, detection_threshold=threshold, whole_image="never")
            assert (len(answer.items), answer.dropped) == (items, ())


def test_a_faint_threshold_needs_the_network_and_is_the_lower_one(
    faint_bundle: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    manifest = Bundle.open(faint_bundle).manifest
    with pytest.raises(OptionError, match=r"faint_threshold: expected a number from 0 to 0\.4, found 0\.5"):
        replace(manifest.detector, score_threshold=0.4, faint_threshold=0.5)
    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "without"))
    with pytest.raises(BundleError, match=r"faint_threshold needs an extractor\.objectness"):
        write_manifest(folder, replace(manifest, extractor=Bundle.open(tiny_bundle).manifest.extractor))


def test_given_boxes_are_not_judged(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = with_objectness(tiny_bundle, tmp_path / "bundle", npy(constant(-1)))
    with Recognizer.open(bundle) as embedder:
        embedder.create_gallery(tmp_path / "shop.gallery").close()
    with Recognizer.open(bundle, tmp_path / "shop.gallery") as recognizer:
        answer = recognizer.recognize(scene((1, 1, RED)), boxes_xyxy=[(16, 16, 80, 80)])
    assert [item.decision for item in answer.items] == ["unknown"]
