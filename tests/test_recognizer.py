"""The whole way of an image, with tiny networks and scenes drawn by the test."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shitu_edge import (
    NEGATIVE,
    ClosedError,
    DecisionPolicy,
    DecodeLimits,
    EngineError,
    FingerprintError,
    Gallery,
    GalleryError,
    ImageError,
    NewGalleryItem,
    OptionError,
    Recognizer,
    View,
)
from shitu_edge.bundle import WholeImage
from shitu_edge.ranges import shown
from shitu_edge.stages.decode import decode
from tests.networks import write_bundle

RED, GREEN, BLUE = (200, 20, 20), (20, 160, 40), (30, 30, 190)
CELLS = 8
"""The tiny detector has 8 × 8 anchors; a thing fills one cell, its box is two cells wide."""


def scene(*things: tuple[int, int, tuple[int, int, int]], side: int = 256) -> NDArray[np.uint8]:
    """Return a white counter with squares of color in cells (column, row) of 8 × 8."""
    pixels = np.full((side, side, 3), 255, np.uint8)
    cell = side // CELLS
    for column, row, color in things:
        pixels[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = color
    return pixels


def faint() -> NDArray[np.uint8]:
    """Return a counter with a shadow that the detector does not see."""
    pixels = scene()
    pixels[64:128, 64:192] = 225
    return pixels


def product(color: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return a gallery image: what the detector's box around a square shows."""
    return scene((1, 1, color))[16:80, 16:80]


def make_shop(bundle: Path, path: Path, green: str = "green") -> Path:
    """Make a gallery of tiny networks with a red and a green product."""
    with Recognizer.open(bundle) as embedder:
        embedder.create_gallery(path).close()
    with Recognizer.open(bundle, path) as recognizer:
        recognizer.enroll("red", product(RED))
        recognizer.enroll(green, product(GREEN))
    return path


@pytest.fixture
def gallery_path(tiny_bundle: Path, tmp_path: Path) -> Path:
    return make_shop(tiny_bundle, tmp_path / "shop.gallery", "grün")


@pytest.fixture
def recognizer(tiny_bundle: Path, gallery_path: Path) -> Iterator[Recognizer]:
    with Recognizer.open(tiny_bundle, gallery_path) as opened:
        yield opened


STRICT: dict[str, Any] = {"threshold": 0.9, "whole_image": "never", "suppression_iou": 0.3}


def test_names_places_and_admits_ignorance(recognizer: Recognizer) -> None:
    answer = recognizer.recognize(scene((1, 1, RED), (5, 1, GREEN), (1, 5, BLUE)), **STRICT)
    named = {item.label: item for item in answer.items}
    assert {(item.decision, item.label) for item in answer.items} == {
        ("accepted", "red"),
        ("accepted", "grün"),
        ("unknown", None),
    }
    # A box reaches one stride, a cell, from the middle of the thing.
    np.testing.assert_allclose(named["red"].box_xyxy, (16, 16, 80, 80), atol=0.5)
    np.testing.assert_allclose(named["grün"].box_xyxy, (144, 16, 208, 80), atol=0.5)
    np.testing.assert_allclose(named[None].box_xyxy, (16, 144, 80, 208), atol=0.5)
    assert named["red"].matches[0].label == "red"
    assert answer.dropped == ()


def test_boxes_are_in_pixels_of_the_image_as_given(recognizer: Recognizer) -> None:
    large = scene((1, 1, RED), side=1024)
    answer = recognizer.recognize(large, **STRICT)
    np.testing.assert_allclose(answer.items[0].box_xyxy, (64, 64, 320, 320), atol=1)
    assert (answer.width, answer.height) == (1024, 1024)


def test_reduced_decoding_keeps_boxes_and_answers(recognizer: Recognizer) -> None:
    stream = BytesIO()
    Image.fromarray(scene((1, 1, RED), (5, 5, GREEN), side=2048)).save(stream, "JPEG", quality=95)
    exact = recognizer.recognize(stream.getvalue(), **STRICT, decode_mode="exact")
    quick = recognizer.recognize(stream.getvalue(), **STRICT)
    assert (quick.width, quick.height) == (2048, 2048)
    assert [item.label for item in quick.items] == [item.label for item in exact.items] == ["red", "grün"]
    for ours, theirs in zip(quick.items, exact.items, strict=True):
        np.testing.assert_allclose(ours.box_xyxy, theirs.box_xyxy, atol=8)


def test_whole_image_policy(recognizer: Recognizer) -> None:
    empty, busy = faint(), scene((1, 1, RED))
    whole = (0.0, 0.0, 256.0, 256.0)
    loose: dict[str, Any] = {"threshold": -1.0, "suppression_iou": 1.0}

    def boxes(image: NDArray[np.uint8], whole_image: WholeImage) -> list[tuple[float, ...]]:
        return [item.box_xyxy for item in recognizer.recognize(image, **loose, whole_image=whole_image).items]

    assert boxes(empty, "fallback") == [whole]
    assert whole not in boxes(busy, "fallback")
    assert whole in boxes(busy, "always")
    assert boxes(empty, "never") == []


def test_whole_image_that_resembles_nothing_is_dropped(recognizer: Recognizer) -> None:
    answer = recognizer.recognize(scene(), **{**STRICT, "whole_image": "always"})
    assert answer.items == ()
    assert [box.reason for box in answer.dropped] == ["below_threshold"]


@pytest.mark.parametrize("whole_image", ["fallback", "always"])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_whole_image_of_one_color_is_never_named(
    recognizer: Recognizer, level: int, whole_image: Literal["fallback", "always"]
) -> None:
    """A gallery of before holds such an image: a capture that came out white, black or gray."""
    rng = np.random.default_rng(level)
    blank = np.clip(level + rng.normal(0, 6, (256, 256, 3)), 0, 255).astype(np.uint8)
    gallery = recognizer.gallery
    gallery.add([NewGalleryItem("blank", "", recognizer.embed(blank)[0])])
    options = {**STRICT, "threshold": 0.99, "whole_image": whole_image}
    answer = recognizer.recognize(blank, **options, detection_threshold=0.999)
    assert answer.items == ()
    (dropped,) = answer.dropped
    assert (dropped.reason, dropped.label, dropped.detection_score) == ("no_texture", "blank", None)
    assert dropped.similarity == pytest.approx(1, abs=1e-4)


def test_whole_image_with_texture_is_named_as_before(recognizer: Recognizer) -> None:
    recognizer.enroll("shadow", faint())
    options = {**STRICT, "threshold": 0.99, "whole_image": "fallback"}
    assert [item.label for item in recognizer.recognize(faint(), **options).items] == ["shadow"]


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_image_of_one_color_is_not_enrolled(recognizer: Recognizer, tmp_path: Path, level: int) -> None:
    path = tmp_path / "blank.png"
    Image.new("RGB", (300, 200), (level, level, level)).save(path)
    gallery = recognizer.gallery
    before = len(gallery)
    with pytest.raises(ImageError, match=r"blank\.png: shows a single color"):
        recognizer.enroll("blank", path)
    with pytest.raises(ImageError, match="single color"):
        recognizer.enroll("blank", path, crop=True)
    with pytest.raises(ImageError, match="single color"):
        recognizer.enroll("corner", scene((1, 1, RED)), (128, 128, 256, 256))
    assert len(gallery) == before
    assert recognizer.embed(path).shape == (1, 48), "asked for its embedding alone, it has one"


def test_empty_gallery_answers_with_everything_unknown(tiny_bundle: Path, tmp_path: Path) -> None:
    with Recognizer.open(tiny_bundle) as embedder:
        empty = embedder.create_gallery(tmp_path / "empty.gallery")
    with empty, Recognizer.open(tiny_bundle, empty) as recognizer:
        answer = recognizer.recognize(scene((1, 1, RED), (5, 5, BLUE)))
    assert [item.decision for item in answer.items] == ["unknown", "unknown"]
    assert all(item.matches == () and item.similarity is None for item in answer.items)


def test_enrolled_thing_is_found_at_once(recognizer: Recognizer) -> None:
    image = scene((1, 5, BLUE))
    assert recognizer.recognize(image, **STRICT).items[0].decision == "unknown"
    revision = recognizer.recognize(image).made_by.gallery_revision
    recognizer.enroll("blue", image, (16, 144, 80, 208))
    answer = recognizer.recognize(image, **STRICT)
    assert answer.items[0].label == "blue"
    assert answer.made_by.gallery_revision == revision + 1


def test_a_photo_of_one_product_can_be_cropped_to_it(recognizer: Recognizer) -> None:
    """Of the red thing and the blue one nearer to the middle, the blue one is meant."""
    photo = scene((1, 1, RED), (4, 3, BLUE))
    found = recognizer.detect(photo).boxes_xyxy
    (meant,) = [box for box in found if box[0] > 80]
    np.testing.assert_allclose(recognizer.embed(photo, crop=True), recognizer.embed(photo, meant[None]), atol=1e-6)
    assert float(recognizer.embed(photo, crop=True)[0] @ recognizer.embed(photo)[0]) < 0.99
    recognizer.enroll("blue", photo, crop=True)
    assert recognizer.recognize(scene((5, 6, BLUE)), **STRICT).items[0].label == "blue"


def test_a_photo_in_which_nothing_is_found_is_taken_whole(recognizer: Recognizer) -> None:
    np.testing.assert_array_equal(recognizer.embed(scene(), crop=True), recognizer.embed(scene()))


@pytest.mark.parametrize(("shares", "is_cropped"), [((0.05, 0.8), True), ((0.07, 0.8), False), ((0.01, 0.05), False)])
def test_a_box_that_is_too_small_or_too_large_is_not_the_product(
    recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch, shares: tuple[float, float], is_cropped: bool
) -> None:
    """The box is 64 × 64 of 256 × 256 pixels: 6.25 %."""
    monkeypatch.setattr("shitu_edge.stages.regions._PRODUCT_SHARES", shares)
    photo = scene((4, 3, BLUE))
    product = recognizer.cut_product(photo)
    assert (product.width, product.height) == (256, 256)
    if is_cropped:
        np.testing.assert_allclose(product.box_xyxy or (), (112, 80, 176, 144), atol=0.5)
        np.testing.assert_array_equal(product.pixels_rgb, photo[80:144, 112:176])
    else:
        assert product.box_xyxy is None
        np.testing.assert_array_equal(product.pixels_rgb, photo)
        np.testing.assert_array_equal(recognizer.embed(photo, crop=True), recognizer.embed(photo))


def test_a_box_of_a_single_color_is_not_the_product(recognizer: Recognizer) -> None:
    """A dark thing that is larger than its box, whose corner it covers."""
    photo = scene(*[(column, row, RED) for column in range(1, 5) for row in range(1, 5)])
    assert recognizer.cut_product(photo).box_xyxy is None
    assert recognizer.cut_product(photo, (0, 0, 256, 256)).box_xyxy == (0, 0, 256, 256)
    with pytest.raises(ImageError, match="shows a single color"):
        recognizer.cut_product(photo, (40, 40, 90, 90))


def test_a_negative_is_never_cropped(recognizer: Recognizer) -> None:
    photo = scene((4, 3, BLUE))
    recognizer.enroll(NEGATIVE, photo)
    recognizer.enroll("blue", photo)
    gallery = recognizer.gallery
    rows = gallery.embeddings([gallery.items(label)[0].id for label in (NEGATIVE, "blue")])
    np.testing.assert_allclose(rows[0], recognizer.embed(photo)[0], atol=1e-5)
    np.testing.assert_allclose(rows[1], recognizer.embed(photo, crop=True)[0], atol=1e-5)


@pytest.mark.parametrize("max_boxes", [1, 2, 6, 7, None])
def test_every_detection_is_an_item_or_dropped_with_a_reason(recognizer: Recognizer, max_boxes: int | None) -> None:
    """The bundle looks at 5 of 7."""
    shades = [(20 * shade, 0, 0) for shade in range(7)]
    image = scene(*[(1 + 2 * (n % 3), 1 + 2 * (n // 3), shade) for n, shade in enumerate(shades)])
    found = recognizer.detect(image, max_boxes=100)
    answer = recognizer.recognize(image, **{**STRICT, "suppression_iou": 1.0}, max_boxes=max_boxes)
    boxes = [tuple(box) for box in found.boxes_xyxy.tolist()]
    assert len(boxes) == 7
    assert {item.box_xyxy for item in answer.items} == set(boxes[: max_boxes or 5])
    assert [(box.box_xyxy, box.reason, box.detection_score) for box in answer.dropped] == [
        (box, "max_boxes", score)
        for box, score in list(zip(boxes, found.scores.tolist(), strict=True))[max_boxes or 5 :]
    ]


def test_deadline_keeps_the_best_boxes_and_names_the_rest(recognizer: Recognizer) -> None:
    image = scene((1, 1, RED), (5, 1, GREEN), (1, 5, BLUE))
    late = recognizer.recognize(image, **STRICT, deadline_ms=0)
    assert late.items == ()
    assert [box.reason for box in late.dropped] == ["deadline"] * 3
    easy = recognizer.recognize(image, **STRICT, deadline_ms=60_000)
    assert len(easy.items) == 3
    assert easy.dropped == ()


def test_deadline_covers_decoding(recognizer: Recognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding cannot be interrupted; where it took all the time there was, every box is dropped for that."""

    def slow(*arguments: Any, **options: Any) -> Any:
        time.sleep(0.2)
        return decode(*arguments, **options)

    image = scene((1, 1, RED), (5, 1, GREEN), (1, 5, BLUE))
    monkeypatch.setattr("shitu_edge.recognizer.decode", slow)
    answer = recognizer.recognize(image, **{**STRICT, "whole_image": "always"}, deadline_ms=150)
    assert answer.items == ()
    assert [box.reason for box in answer.dropped] == ["deadline"] * 4
    assert answer.stage_ms.decode > 150


def test_one_slow_moment_does_not_end_all_answers_before_a_deadline(recognizer: Recognizer) -> None:
    recognizer._in_time.expected_ms = 1e6
    images = [scene((1, 1, RED))] * 100
    answered = [bool(recognizer.recognize(image, **STRICT, deadline_ms=60_000).items) for image in images]
    assert not answered[0]
    assert answered[-1]


NOT_WHOLE = (0, -1, 1.5, math.nan, "5", True, [1])
NOT_NUMBERS = (-0.001, math.nan, math.inf, "5", "a", True, [0.5], 10**5000, b"1")


@pytest.mark.parametrize(
    "options",
    [
        *({"max_boxes": value} for value in NOT_WHOLE),
        *({"detection_threshold": value} for value in (*NOT_NUMBERS, 2)),
        *({"deadline_ms": value} for value in NOT_NUMBERS),
        *({"decode_mode": value} for value in ("quick", None, 1, ["auto"])),
        *({"threshold": value} for value in (1.5, -1.5, math.nan, "a", True)),
        *({"margin": value} for value in NOT_NUMBERS),
        *({"suppression_iou": value} for value in (*NOT_NUMBERS, 9)),
        *({"neighbors": value} for value in NOT_WHOLE),
        *({"vote": value} for value in (1, "yes")),
        *({"whole_image": value} for value in ("alwyas", ["always"])),
    ],
    ids=lambda options: shown(options),
)
def test_options_outside_their_range_are_refused(recognizer: Recognizer, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(OptionError, match=rf"^{name}: expected [^\n]+, found [^\n]{{1,60}}$"):
        recognizer.recognize(scene(), **options)
    if name in ("max_boxes", "detection_threshold"):
        with pytest.raises(OptionError, match=f"^{name}: "):
            recognizer.detect(scene(), **options)


@pytest.mark.parametrize(
    "options",
    [{"max_boxes": np.int64(2)}, {"detection_threshold": np.float32(0.5)}, {"deadline_ms": np.int32(60_000)}],
)
def test_numbers_of_numpy_are_options(recognizer: Recognizer, options: dict[str, Any]) -> None:
    image = scene((1, 1, RED), (5, 1, GREEN))
    plain = {name: value.item() for name, value in options.items()}
    assert recognizer.recognize(image, **options).items == recognizer.recognize(image, **plain).items


@pytest.mark.parametrize(
    "options",
    [
        *({"threads": value} for value in (*NOT_WHOLE, 1025, 10**5000)),
        *({"engine": value} for value in ("tensorrt", None, 1)),
        *({"precision": value} for value in ("fp8", 16, "", ("fp32",), ("fp32", "fp32", "fp32"), ("fp32", None))),
        *(
            {name: value}
            for name in ("bundle", "gallery", "profile", "cache")
            for value in (b"x", 5, ["x"], "\0", "\ud800")
        ),
        *({"limits": value} for value in (None, 5)),
    ],
    ids=lambda options: shown(options),
)
def test_open_refuses_what_it_cannot_be_told(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=rf"^{next(iter(options))}: expected [^\n]+, found [^\n]{{1,60}}$"):
        Recognizer.open(**options)


@pytest.mark.parametrize(
    "options",
    [
        *({"similarity_threshold": value} for value in (1.5, -1.5, math.nan, "a", None, True)),
        *({"margin": value} for value in (*NOT_NUMBERS, None)),
        *({"suppression_iou": value} for value in (*NOT_NUMBERS, 9)),
        *({"neighbors": value} for value in (*NOT_WHOLE, None)),
        *({"vote": value} for value in (1, "yes", None)),
        *({"whole_image": value} for value in ("alwyas", None, ["always"])),
    ],
    ids=lambda options: shown(options),
)
def test_rules_outside_their_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=f"^{next(iter(options))}: "):
        DecisionPolicy(**options)


@pytest.mark.parametrize("crop", ["no", 1, None])
def test_crop_is_a_flag(recognizer: Recognizer, crop: Any) -> None:
    with pytest.raises(OptionError, match=r"^crop: expected True or False"):
        recognizer.embed(scene(), crop=crop)
    with pytest.raises(OptionError, match=r"^crop: expected True or False"):
        recognizer.enroll("red", scene(), crop=crop)


@pytest.mark.parametrize("path", [None, 5, b"x", "a\0b", "\ud800"])
def test_a_gallery_is_created_at_a_path(recognizer: Recognizer, path: Any) -> None:
    with pytest.raises(OptionError, match=r"^path: expected a path, found"):
        recognizer.create_gallery(path)


@pytest.mark.parametrize("label", [None, 5, b"red"])
def test_labels_are_text(recognizer: Recognizer, label: Any) -> None:
    with pytest.raises(OptionError, match=r"^label: expected text"):
        recognizer.enroll(label, product(RED))


def test_margin_looks_behind_many_images_of_one_label(tiny_bundle: Path, tmp_path: Path) -> None:
    """Five images of the nearest label fill the neighbors; its nearly equal rival is the sixth."""
    with Recognizer.open(tiny_bundle) as embedder:
        crowded = embedder.create_gallery(tmp_path / "crowded.gallery")
    with crowded, Recognizer.open(tiny_bundle, crowded) as recognizer:
        for _ in range(7):
            recognizer.enroll("red", product(RED))
        recognizer.enroll("nearly red", product((196, 24, 24)))
        answer = recognizer.recognize(scene((1, 1, RED)), **STRICT, margin=0.05)
        assert (answer.items[0].decision, answer.items[0].label) == ("ambiguous", "red")
        assert len(answer.items[0].matches) == recognizer.policy.neighbors


def test_limits_hold_for_every_call(tiny_bundle: Path) -> None:
    with Recognizer.open(tiny_bundle, limits=DecodeLimits(max_pixels=100)) as recognizer:
        for call in (recognizer.detect, recognizer.embed):
            with pytest.raises(ImageError, match="more than 100"):
                call(scene())


def test_closed_recognizer_says_so(recognizer: Recognizer) -> None:
    recognizer.close()
    calls: list[Callable[[], object]] = [
        lambda: recognizer.recognize(scene()),
        lambda: recognizer.detect(scene()),
        lambda: recognizer.embed(scene()),
        lambda: recognizer.enroll("red", product(RED)),
    ]
    for call in calls:
        with pytest.raises(ClosedError, match="the recognizer is closed"):
            call()


def test_many_boxes_give_what_each_gives_alone(recognizer: Recognizer) -> None:
    boxes = np.array([[x, y, x + 40, y + 40] for x in range(0, 200, 10) for y in range(0, 200, 10)], np.float32)
    rows = recognizer.embed(scene((1, 1, RED), (5, 5, GREEN)), boxes)
    alone = np.concatenate([recognizer.embed(scene((1, 1, RED), (5, 5, GREEN)), box[None]) for box in boxes[::37]])
    np.testing.assert_allclose(rows[::37], alone, atol=1e-6)


def test_options_of_a_call_change_no_other_call(recognizer: Recognizer) -> None:
    image = scene((1, 1, RED), (5, 1, GREEN))
    before = recognizer.recognize(image, **STRICT).items
    recognizer.recognize(image, threshold=0.0, max_boxes=1, detection_threshold=0.9)
    assert recognizer.recognize(image, **STRICT).items == before


def test_many_threads_give_one_answer(recognizer: Recognizer) -> None:
    images = [scene((1, 1, RED)), scene((5, 1, GREEN), (1, 5, BLUE)), scene((3, 1, RED), (5, 5, GREEN), side=512)]
    expected = [recognizer.recognize(image, **STRICT).items for image in images]
    wrong: list[object] = []

    def work(offset: int) -> None:
        for turn in range(12):
            number = (offset + turn) % len(images)
            found = recognizer.recognize(images[number], **STRICT).items
            if found != expected[number]:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_answer_says_what_made_it_and_is_json(recognizer: Recognizer) -> None:
    answer = recognizer.recognize(scene((1, 1, RED)), **STRICT)
    assert answer.made_by.bundle == "tiny"
    assert answer.made_by.bundle_digest == recognizer.bundle.digest
    assert answer.made_by.detector.precision == "fp32"
    stages = answer.stage_ms
    parts = stages.decode + stages.detect + stages.extract + stages.search + stages.decide
    assert 0 < parts <= stages.total
    assert json.loads(json.dumps(answer.as_dict()))["items"][0]["label"] == "red"


def test_embeddings_are_unit_rows_of_the_boxes(recognizer: Recognizer) -> None:
    image = scene((1, 1, RED), (5, 5, GREEN))
    boxes = np.array([[16, 16, 80, 80], [144, 144, 208, 208]], np.float32)
    rows = recognizer.embed(image, boxes)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(rows[0], recognizer.embed(image[16:80, 16:80])[0], atol=1e-6)


@pytest.mark.parametrize(
    "boxes",
    [
        np.zeros((2, 3)),
        np.array([[0, 0, np.nan, 5]]),
        np.array([[0, 0, 1e300, 5]]),
        np.array([[300, 300, 400, 400]]),
        np.array([[9, 9, 9, 20]]),
        "0 0 9 9",
        [["a", "b", "c", "d"]],
        [[0, 0, 9], [0, 0, 9, 9]],
        [[0, 0, 9, 10**400]],
        [[0, 0, 9, 9j]],
        {"x1": 0},
        5,
    ],
    ids=lambda boxes: shown(boxes),
)
def test_boxes_that_cannot_be_embedded(recognizer: Recognizer, boxes: Any) -> None:
    with pytest.raises(OptionError, match="box"):
        recognizer.embed(scene(), boxes)
    with pytest.raises(OptionError, match="box"):
        recognizer.enroll("red", scene(), boxes)


def test_without_a_gallery_it_detects_and_embeds_only(tiny_bundle: Path) -> None:
    with Recognizer.open(tiny_bundle) as recognizer:
        assert len(recognizer.detect(scene((1, 1, RED)))) == 1
        with pytest.raises(GalleryError, match="no gallery is open"):
            recognizer.recognize(scene())


def test_gallery_of_another_extractor_is_refused_with_both_names(gallery_path: Path, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other", name="other", weights="f" * 64).folder
    with pytest.raises(FingerprintError, match=r"tiny extractor.*other extractor"):
        Recognizer.open(other, gallery_path)


@pytest.mark.parametrize("broken", ["networks", "gallery"])
def test_what_was_opened_is_closed_when_the_rest_cannot_be(
    tiny_bundle: Path, gallery_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """The gallery opens in a thread of its own, later here than the networks fail."""
    opened: list[Gallery] = []
    before = threading.active_count()
    fail = threading.Event()

    def late(path: Path) -> Gallery:
        assert fail.wait(10)
        if broken == "gallery":
            raise GalleryError("broken")
        opened.append(original(path))
        return opened[-1]

    def run(*_: object, **__: object) -> float:
        fail.set()
        raise EngineError("broken")

    original = Gallery.open
    monkeypatch.setattr(Gallery, "open", late)
    if broken == "networks":
        monkeypatch.setattr("shitu_edge.opening.Detector", run)
    else:
        fail.set()
    with pytest.raises(EngineError if broken == "networks" else GalleryError, match=r"^broken$"):
        Recognizer.open(tiny_bundle, gallery_path)
    for gallery in opened:
        with pytest.raises(GalleryError, match="closed"):
            gallery.search(np.eye(1, gallery.info().dim, dtype=np.float32))
    assert len(opened) == (broken == "networks")
    assert threading.active_count() == before


def test_recognize_names_given_boxes_alone(recognizer: Recognizer) -> None:
    image = scene((1, 1, RED), (5, 5, GREEN))
    answer = recognizer.recognize(image, boxes_xyxy=[(16, 16, 80, 80), (144, 144, 208, 208)])
    assert {(item.label, item.box_xyxy) for item in answer.items} == {
        ("red", (16, 16, 80, 80)),
        ("grün", (144, 144, 208, 208)),
    }
    assert {item.detection_score for item in answer.items} == {1.0}
    assert (answer.dropped, answer.hint) == ((), None)
    found = {item.box_xyxy: item.similarity for item in recognizer.recognize(image).items}
    assert all(item.similarity == found[item.box_xyxy] for item in answer.items)


def test_recognize_of_no_boxes_is_empty(recognizer: Recognizer) -> None:
    answer = recognizer.recognize(scene((1, 1, RED)), boxes_xyxy=np.empty((0, 4)), whole_image="always")
    assert (answer.items, answer.dropped) == ((), ())


def test_recognize_clips_given_boxes_and_decides_as_usual(recognizer: Recognizer) -> None:
    image = scene((0, 0, RED))
    boxes = [(-20, -20, 48, 48), (0, 0, 47, 47)]
    [item] = recognizer.recognize(image, boxes_xyxy=boxes, threshold=0.5).items
    assert item.label == "red"
    assert recognizer.recognize(image, boxes_xyxy=boxes[:1], threshold=1).items[0].decision == "unknown"


def test_recognize_scales_given_boxes_to_a_reduced_jpeg(recognizer: Recognizer) -> None:
    large = Image.fromarray(scene((1, 1, RED), side=2048))
    encoded = BytesIO()
    large.save(encoded, "JPEG", quality=95)
    box = (128.0, 128.0, 640.0, 640.0)
    for mode in ("auto", "exact"):
        [item] = recognizer.recognize(encoded.getvalue(), boxes_xyxy=[box], decode_mode=mode).items
        assert (item.label, item.box_xyxy) == ("red", box)
        assert item.similarity == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("option", [{"max_boxes": 3}, {"detection_threshold": 0.5}, {"view": View()}])
def test_recognize_refuses_options_about_detections_with_given_boxes(
    recognizer: Recognizer, option: dict[str, Any]
) -> None:
    with pytest.raises(OptionError, match="is about what the detector finds"):
        recognizer.recognize(scene(), boxes_xyxy=[(0, 0, 9, 9)], **option)


@pytest.mark.parametrize("boxes", [[1, 2, 3, 4], [(300, 300, 400, 400)], [(0, 0, math.nan, 9)], "boxes"])
def test_recognize_refuses_boxes_that_are_none(recognizer: Recognizer, boxes: Any) -> None:
    with pytest.raises(OptionError, match="box"):
        recognizer.recognize(scene(), boxes_xyxy=boxes)
