"""The golden image: configured, of a gallery item, or of noise."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shitu_edge import Recognizer
from shitu_edge.serve.configuration import Configuration
from shitu_edge.serve.ready import check
from tests.test_recognizer import BLUE, GREEN, RED, product, scene

from .client import png
from .conftest import Serve


@pytest.fixture
def recognizer(tiny_bundle: Path, shop: Path, tmp_path: Path) -> Iterator[Recognizer]:
    shutil.copy(shop, tmp_path)
    with Recognizer.open(tiny_bundle, tmp_path / shop.name) as opened:
        yield opened


def test_check_takes_a_gallery_items_picture(recognizer: Recognizer) -> None:
    found = check(recognizer, Configuration())
    assert (found.right, found.subject) == (True, "item")
    assert "'red'" in found.message


def test_check_takes_noise_without_pictures(recognizer: Recognizer) -> None:
    recognizer.gallery.remove([1, 2])
    assert (check(recognizer, Configuration()).right, check(recognizer, Configuration()).subject) == (True, "engine")
    recognizer.enroll("blue", product(BLUE), picture=False)
    assert check(recognizer, Configuration()).subject == "engine"


def test_check_allows_one_image_under_two_labels(recognizer: Recognizer) -> None:
    recognizer.enroll("the same", product(RED))
    assert check(recognizer, Configuration()).right


@pytest.mark.parametrize(("label", "right"), [("red", True), ("grün", False)])
def test_check_takes_the_configured_image(recognizer: Recognizer, tmp_path: Path, label: str, right: bool) -> None:
    image = tmp_path / "golden.png"
    image.write_bytes(png(scene((1, 1, RED))))
    found = check(recognizer, Configuration(golden_image=str(image), golden_label=label))
    assert (found.right, found.subject) == (right, "image")
    assert f"expected {label!r} in {image}, found 'red'" in found.message


def test_check_of_a_missing_image_is_wrong(recognizer: Recognizer, tmp_path: Path) -> None:
    found = check(recognizer, Configuration(golden_image=str(tmp_path / "none.png"), golden_label="red"))
    assert not found.right
    assert "none.png" in found.message


def test_wrong_golden_image_is_not_ready_but_answers(serve: Serve, tmp_path: Path) -> None:
    image = tmp_path / "golden.png"
    image.write_bytes(png(scene((1, 1, GREEN))))
    client = serve(golden_image=str(image), golden_label="red").client
    answer = client.get("/readyz")
    assert (answer.status, answer.json["ready"], answer.json["check"]["right"]) == (503, False, False)
    assert "shitu_edge_ready 0.0" in client.get("/metrics").content.decode()
    assert client.send("/v1/recognize", png(scene((1, 1, RED)))).status == 200
