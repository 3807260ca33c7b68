"""What opening a recognizer tells: a line per part in the log, and what decoded and resized in every answer."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

import shitu_edge.imaging.resample as resize_module
import shitu_edge.opening as opening_module
import shitu_edge.stages.decode as decode_module
from shitu_edge import DecisionPolicy, Gallery, GalleryError, Recognizer
from shitu_edge.bundle import write_manifest
from tests.networks import write_bundle
from tests.test_recognizer import BLUE, RED, product, scene


@pytest.fixture
def gallery(tiny_bundle: Path, tmp_path: Path) -> Path:
    with Recognizer.open(tiny_bundle) as maker, maker.create_gallery(tmp_path / "shop.gallery") as created:
        return created.path


@pytest.fixture(params=["OpenCV", "Pillow"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """With OpenCV, and as if it were not installed."""
    if request.param == "OpenCV":
        yield f"OpenCV {pytest.importorskip('cv2').__version__}"
        return
    for module in (decode_module, resize_module, opening_module):
        monkeypatch.setattr(module, "opencv", lambda: None)
    yield f"Pillow {PIL.__version__}"


def _encoded(file_format: str) -> bytes:
    stream = BytesIO()
    Image.fromarray(scene((1, 1, RED))).save(stream, file_format)
    return stream.getvalue()


def test_open_logs_a_line_per_part(
    tiny_bundle: Path, gallery: Path, caplog: pytest.LogCaptureFixture, decoder: str
) -> None:
    with caplog.at_level(logging.INFO, "shitu_edge"), Recognizer.open(tiny_bundle, gallery, threads=1) as recognizer:
        answer = recognizer.recognize(scene((1, 1, RED)))
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    engine = answer.made_by.detector
    resizer = decoder if "OpenCV" in decoder else "shitu-edge"
    jpeg = f"{decoder} (plain JPEGs) and " if "OpenCV" in decoder else ""
    assert lines == [
        f"bundle tiny ({recognizer.bundle.digest[:12]}) from {recognizer.bundle.folder}",
        f"detector: {engine.engine} {engine.version}, fp32, threads: 1",
        f"extractor: {engine.engine} {engine.version}, fp32, threads: 1",
        f"images are decoded by {jpeg}Pillow {PIL.__version__} and resized by {resizer}",
        f"gallery {gallery}: revision 1, items: 0",
    ]


def test_open_logs_that_there_is_no_gallery(tiny_bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "shitu_edge"), Recognizer.open(tiny_bundle):
        pass
    assert caplog.messages[-1] == "no gallery: detects and embeds only"


def test_open_refuses_a_closed_gallery_and_leaves_no_thread(tiny_bundle: Path, gallery: Path) -> None:
    before = threading.active_count()
    closed = Gallery.open(gallery)
    closed.close()
    with pytest.raises(GalleryError, match=r"shop\.gallery: is closed"):
        Recognizer.open(tiny_bundle, closed)
    assert threading.active_count() == before


def test_made_by_names_decoder_and_resizer(tiny_bundle: Path, gallery: Path, decoder: str) -> None:
    pillow, resizer = f"Pillow {PIL.__version__}", decoder if "OpenCV" in decoder else "shitu-edge"
    sources: list[tuple[Any, str | None]] = [
        (_encoded("JPEG"), decoder),
        (_encoded("PNG"), pillow),
        (Image.fromarray(scene((1, 1, RED))), pillow),
        (np.ascontiguousarray(product(RED)), None),
    ]
    with Recognizer.open(tiny_bundle, gallery) as recognizer:
        for image, expected in sources:
            made_by = recognizer.recognize(image).made_by
            assert (made_by.decoder, made_by.resizer) == (expected, resizer)
            assert expected is None or re.fullmatch(r"(OpenCV|Pillow) \d+\.\d+.*", expected)


def test_recognize_overrides_single_values_of_the_policy(tmp_path: Path) -> None:
    """The bundle's threshold tells the blue square from the red product; PP-ShiTu's 0.5 would not."""
    bundle = write_bundle(tmp_path / "strict")
    strict = DecisionPolicy(similarity_threshold=0.9, whole_image="never", suppression_iou=0.3)
    bundle = write_manifest(bundle.folder, replace(bundle.manifest, policy=strict))
    image = scene((1, 1, RED), (1, 5, BLUE))

    def decisions(**values: Any) -> list[tuple[str, str | None]]:
        return [(item.decision, item.label) for item in recognizer.recognize(image, **values).items]

    with Recognizer.open(bundle.folder) as maker:
        opened = maker.create_gallery(tmp_path / "shop.gallery")
    with opened, Recognizer.open(bundle.folder, opened) as recognizer:
        recognizer.enroll("red", product(RED))
        assert recognizer.policy == strict
        as_told = [("accepted", "red"), ("unknown", None)]
        assert decisions() == decisions(margin=0.05) == decisions(neighbors=1, vote=True) == as_told
        assert decisions(threshold=-1) == [("accepted", "red"), ("accepted", "red")]
        assert len(decisions(suppression_iou=1, whole_image="always", threshold=-1)) == 3
        assert decisions() == as_told
        assert recognizer.policy is recognizer.bundle.manifest.policy


def test_enroll_records_source_author_and_note(tiny_bundle: Path, gallery: Path) -> None:
    with Recognizer.open(tiny_bundle, gallery) as recognizer:
        recognizer.enroll("red", product(RED), source="shelf 3", author="ada", note="opening day")
        recognizer.enroll("scarlet", product(RED))
        assert [item.source for item in recognizer.gallery.items()] == ["shelf 3", ""]
        last, first = recognizer.gallery.history.log()[:2]
        assert (first.author, first.note) == ("ada", "opening day")
        assert (last.author, last.note) == ("", "enrolled scarlet")
