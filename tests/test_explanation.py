"""An answer in sentences."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from shitu_edge import NEGATIVE, Gallery, Recognizer
from tests.shell import Shell
from tests.test_recognizer import BLUE, GREEN, RED, STRICT, product, scene

IMAGE = scene((1, 1, RED), (5, 1, GREEN), (1, 5, BLUE))


@pytest.fixture
def recognizer(tiny_bundle: Path, tmp_path: Path) -> Recognizer:
    path = tmp_path / "shop.gallery"
    with Recognizer.open(tiny_bundle) as embedder:
        embedder.create_gallery(path).close()
    opened = Recognizer.open(tiny_bundle, path)
    opened.enroll("red", product(RED))
    opened.enroll("green", product(GREEN))
    return opened


def test_explanation_says_what_was_required_and_what_is_missing(recognizer: Recognizer) -> None:
    with recognizer:
        answer = recognizer.recognize(IMAGE, **STRICT)
    first, *lines = answer.explain()
    assert first == "An object gets a label from a similarity of 0.900."
    text = "\n".join(lines)
    assert "1: accepted" in text
    assert "unknown, box 16 144 80 208" in text
    assert "more are needed" in text
    assert "more than needed" in text
    assert text.count("resembles") == 3
    assert all("\n" not in line for line in answer.explain())


def test_explanation_of_an_empty_gallery_and_of_dropped_boxes(recognizer: Recognizer) -> None:
    with recognizer:
        recognizer.gallery.remove([1, 2])
        answer = recognizer.recognize(IMAGE, max_boxes=1)
    text = "\n".join(answer.explain())
    assert "the gallery is empty" in text
    assert text.count("enough boxes with better scores were looked at") == 2


def test_explanation_names_the_calibration(recognizer: Recognizer) -> None:
    with recognizer:
        answer = recognizer.recognize(IMAGE, max_false_accept=0.05)
    assert answer.explain()[0].endswith("because the gallery is not calibrated (2 products).")
    assert answer.calibration is not None
    calibrated = replace(answer, calibration=replace(answer.calibration, state="thin", threshold=0.5, products=40))
    assert calibrated.explain()[0] == (
        "An object gets a label from a score of 0.500, for 5% false accepts (an estimate, thin, from 40 products)."
    )


def test_negative_item_by_one_call_and_its_reason(recognizer: Recognizer) -> None:
    with recognizer:
        recognizer.enroll(NEGATIVE, product(BLUE), author="ann")
        answer = recognizer.recognize(IMAGE, **STRICT)
        assert recognizer.gallery.history.log()[0].author == "ann"
    assert [item.negative for item in answer.items].count(True) == 1
    assert "resembles an item that was enrolled as not a product" in "\n".join(answer.explain())


def test_commands(recognizer: Recognizer, shell: Shell, tmp_path: Path) -> None:
    recognizer.close()
    Image.fromarray(IMAGE).save("scene.png")
    Image.fromarray(product(BLUE)).save("hand.png")
    models = ["--models", recognizer.bundle.folder]
    path = tmp_path / "shop.gallery"
    added = shell("gallery", "add", path, "hand.png", "--negative", *models)
    assert added.code == 0, added.err
    with Gallery.open(path) as gallery:
        assert gallery.label_counts()[NEGATIVE] == 1
    done = shell("recognize", path, "scene.png", "--explain", "--threshold", "0.9", *models)
    assert (done.code, done.err) == (0, "")
    assert NEGATIVE in done.out
    assert "An object gets a label from a similarity of 0.900." in done.out
    as_json = shell("recognize", path, "scene.png", "--explain", "--json", *models)
    assert json.loads(as_json.out)["explanation"][0].startswith("An object")
    assert shell("gallery", "add", path, "hand.png", "--negative", "--label", "x", *models).code == 2


def test_table_says_what_an_unknown_object_resembles(recognizer: Recognizer, shell: Shell, tmp_path: Path) -> None:
    recognizer.close()
    Image.fromarray(IMAGE).save("scene.png")
    shown = shell(
        "recognize", tmp_path / "shop.gallery", "scene.png", "--threshold", "0.99", "-m", recognizer.bundle.folder
    ).out
    assert "unknown" in shown
    assert "like " in shown
