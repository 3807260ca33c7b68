"""The official networks (seeded weights) here and in PaddleClas 2.6.0: the same boxes, vectors, labels and items.

`tests/golden/paddleclas_v{1,2}.npz` are what PaddleClas answered; `benchmarks/paddleclas/reference.py` made them and
describes their arrays. The networks are made by `make networks`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge import NewGalleryItem, Recognizer
from shitu_edge.engines import ENGINES, EngineName
from shitu_edge.evaluation import LabeledPhoto, pipeline_recall
from shitu_edge.stages.decode import decode

PROJECT = Path(__file__).parent.parent
NETWORKS = PROJECT / "build" / "ppshitu"
Golden = dict[str, NDArray[Any]]

pytestmark = pytest.mark.shared_data


def _golden(version: str) -> Golden:
    with np.load(PROJECT / "tests" / "golden" / f"paddleclas_{version}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module", params=["v1", "v2"])
def version(request: pytest.FixtureRequest) -> str:
    if not NETWORKS.is_dir():
        pytest.skip("the official networks are not converted yet: run `make networks`")
    return str(request.param)


@pytest.fixture(scope="module")
def golden(version: str) -> Golden:
    return _golden(version)


@pytest.fixture(scope="module", params=ENGINES)
def recognizer(
    request: pytest.FixtureRequest,
    version: str,
    golden: Golden,
    shared: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Recognizer]:
    """A recognizer on one engine, with the gallery that PaddleClas was given, embedded here."""
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    engine: EngineName = request.param
    bundle = NETWORKS / f"ppshitu-{version}-seeded"
    path = tmp_path_factory.mktemp("parity") / "drinks.gallery"
    images = [shared / "data" / "drinks" / "gallery" / str(name) for name in golden["gallery_paths"]]
    with Recognizer.open(bundle, engine=engine) as embedder, embedder.create_gallery(path) as gallery:
        rows = np.concatenate([embedder.embed(image) for image in images])
        labels = golden["gallery_labels"]
        gallery.add(
            NewGalleryItem(str(label), str(image), row) for label, image, row in zip(labels, images, rows, strict=True)
        )
    np.testing.assert_array_less(0.9999, np.sum(rows * golden["gallery_embeddings"], axis=1))
    with Recognizer.open(bundle, path, engine=engine) as opened:
        yield opened


@pytest.fixture
def photos(golden: Golden, shared: Path) -> list[Path]:
    return [shared / "data" / "drinks" / "queries" / str(name) for name in golden["photo_names"]]


def test_golden_files_name_their_generator() -> None:
    for version in ("v1", "v2"):
        metadata = json.loads(str(_golden(version)["metadata"]))
        assert metadata["versions"]["paddleclas"] == "2.6.0"
        assert metadata["generator"] == "benchmarks/paddleclas/reference.py"


def test_photos_decode_to_the_same_pixels(golden: Golden, photos: list[Path]) -> None:
    for photo, expected in zip(photos, golden["photo_pixels_sha256"], strict=True):
        assert hashlib.sha256(decode(photo).pixels_rgb.tobytes()).hexdigest() == expected, photo.name


def test_boxes_and_their_order(recognizer: Recognizer, golden: Golden, photos: list[Path]) -> None:
    for number, photo in enumerate(photos):
        expected = golden["crop_photo"] == number
        found = recognizer.detect(photo)
        np.testing.assert_allclose(found.boxes_xyxy, golden["crop_boxes_xyxy"][expected][:-1], atol=0.01)
        np.testing.assert_allclose(found.scores, golden["crop_scores"][expected][:-1], atol=1e-5)


def test_embeddings(recognizer: Recognizer, golden: Golden, photos: list[Path]) -> None:
    for number, photo in enumerate(photos):
        expected = golden["crop_photo"] == number
        rows = recognizer.embed(photo, golden["crop_boxes_xyxy"][expected])
        np.testing.assert_array_less(0.9999, np.sum(rows * golden["crop_embeddings"][expected], axis=1))


def test_neighbors(recognizer: Recognizer, golden: Golden, photos: list[Path]) -> None:
    for number, photo in enumerate(photos):
        expected = golden["crop_photo"] == number
        matches = recognizer.gallery.search(recognizer.embed(photo, golden["crop_boxes_xyxy"][expected]), 5)
        similarities = [[match.similarity for match in row] for row in matches]
        np.testing.assert_allclose(similarities, golden["crop_similarities"][expected], atol=1e-4)
        for row, neighbors, values in zip(
            matches, golden["crop_neighbors"][expected], golden["crop_similarities"][expected], strict=True
        ):
            # Two gallery images are identical, so that the first place can be shared.
            best = {
                str(golden["gallery_labels"][i])
                for i, value in zip(neighbors, values, strict=True)
                if values[0] - value < 1e-5
            }
            assert row[0].label in best


def test_items_after_suppression(recognizer: Recognizer, golden: Golden, photos: list[Path]) -> None:
    for number, photo in enumerate(photos):
        expected = golden["item_photo"] == number
        items = [item for item in recognizer.recognize(photo).items if item.decision != "unknown"]
        assert [item.label for item in items] == [str(label) for label in golden["item_labels"][expected]]
        np.testing.assert_allclose(
            np.array([item.similarity for item in items], float), golden["item_similarities"][expected], atol=1e-4
        )
        np.testing.assert_allclose(
            np.array([item.box_xyxy for item in items]).reshape(-1, 4),
            golden["item_boxes_xyxy"][expected],
            atol=1,  # PaddleClas answers with its boxes cut down to whole pixels
        )


def test_pipeline_recall_is_that_of_paddleclas(recognizer: Recognizer, golden: Golden, photos: list[Path]) -> None:
    """Its `eval_shitu_pipeline.py` written out over what it recognized: each box names one item, the surest first."""
    named = []
    for number in range(len(photos)):
        crops = golden["crop_photo"] == number
        order = golden["crop_similarities"][crops][:, 0].argsort()[::-1]
        named.append(golden["gallery_labels"][golden["crop_neighbors"][crops][order, 0]].tolist())
    asked = [LabeledPhoto(photo, photo.name, names[number % len(names)], None)  # at different places of the list
             for number, (photo, names) in enumerate(zip(photos, named, strict=True))]  # fmt: skip
    asked[0] = replace(asked[0], label="a label that nothing has")
    expected = [
        sum(photo.label in names[:k] for photo, names in zip(asked, named, strict=True)) / len(asked)
        for k in range(1, 6)
    ]
    assert 0 < expected[0] < expected[-1] < 1
    assert pipeline_recall(recognizer, asked) == pytest.approx(expected, abs=1e-9)


def test_engines_agree(version: str, photos: list[Path], tmp_path: Path) -> None:
    for name in ENGINES:
        pytest.importorskip(name, reason=f"{name} is not installed")
    bundle = NETWORKS / f"ppshitu-{version}-seeded"
    with Recognizer.open(bundle) as embedder, embedder.create_gallery(tmp_path / "g") as gallery:
        golden = _golden(version)
        rows = golden["gallery_embeddings"]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        gallery.add(
            NewGalleryItem(str(label), "", row) for label, row in zip(golden["gallery_labels"], rows, strict=True)
        )
    with (
        Recognizer.open(bundle, tmp_path / "g", engine="openvino") as one,
        Recognizer.open(bundle, tmp_path / "g", engine="onnxruntime") as other,
    ):
        for photo in photos:
            items, others = one.recognize(photo).items, other.recognize(photo).items
            assert [item.label for item in items] == [item.label for item in others]
            ours, theirs = one.detect(photo), other.detect(photo)
            np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=0.1)
            embedded, again = one.embed(photo, ours.boxes_xyxy), other.embed(photo, ours.boxes_xyxy)
            np.testing.assert_array_less(0.99999, np.sum(embedded * again, axis=1))
