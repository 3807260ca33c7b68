"""Recognition with a second look: drawn labels, the built-in bundle, and real local features."""

from __future__ import annotations

import json
import pickle
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from shitu_edge import Gallery, NewGalleryItem, OptionError, Recognizer
from shitu_edge.gallery.layers import Layers
from shitu_edge.imaging import local_features
from shitu_edge.imaging.geometry import Pixels
from shitu_edge.results import Recognition, RecognizedItem
from shitu_edge.stages.photo_features import PhotoFeatures
from tests.shell import Shell

pytest.importorskip("cv2", reason="local features need shitu-edge[opencv]")

PRODUCTS = 24
ASKED = range(0, PRODUCTS, 6)
WHOLE: dict[str, Any] = {"detection_threshold": 1.0, "max_false_accept": 0.05}
"""Nothing is detected, so the whole image is recognized."""


def product(seed: int) -> Pixels:
    """Draw a label of 200 × 260 pixels: rectangles and words."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (200, 260), tuple(rng.integers(60, 255, 3).tolist()))
    pen = ImageDraw.Draw(image)
    for _ in range(14):
        (x, y), (width, height) = rng.integers(0, (170, 230)).tolist(), rng.integers(10, 60, 2).tolist()
        pen.rectangle((x, y, x + width, y + height), fill=tuple(rng.integers(0, 256, 3).tolist()))
    for line in range(5):
        word = "".join(rng.choice(list("ABCDEFGHIKLMNOPRSTUVWXYZ"), 6))
        font = ImageFont.load_default(size=int(rng.integers(20, 36)))
        color = tuple(rng.integers(0, 120, 3).tolist())
        pen.text((int(rng.integers(0, 90)), 10 + 50 * line), word, fill=color, font=font)
    return np.asarray(image)


def turned(picture: Pixels, degrees: float) -> Pixels:
    return np.asarray(Image.fromarray(picture).rotate(degrees, expand=True, fillcolor=(245, 245, 245)))


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "same": lambda picture: picture,
    "90": lambda picture: np.ascontiguousarray(np.rot90(picture)),
    "180": lambda picture: np.ascontiguousarray(np.rot90(picture, 2)),
    "270": lambda picture: np.ascontiguousarray(np.rot90(picture, 3)),
    "35": lambda picture: turned(picture, 35),
    "half": lambda picture: np.asarray(Image.fromarray(picture).resize((100, 130))),
    "darker": lambda picture: (picture * 0.45).astype(np.uint8),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of 24 products with one photo each, with its features, and a cache of scores."""
    folder = tmp_path_factory.mktemp("second look")
    with Recognizer.open(cache=folder / "cache") as maker:
        maker.create_gallery(folder / "shop.gallery").close()
    with Recognizer.open(None, folder / "shop.gallery", cache=folder / "cache") as recognizer:
        for seed in range(PRODUCTS):
            recognizer.enroll(f"product {seed}", product(seed), crop=False)
        recognizer.calibration(0.05, wait=True)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it for each test."""
    return Path(shutil.copytree(made, tmp_path / "shop"))


@pytest.fixture
def open_shop(folder: Path) -> Iterator[Callable[..., Recognizer]]:
    opened: list[Recognizer] = []

    def start(gallery: Any = None, **options: Any) -> Recognizer:
        shop = folder / "shop.gallery" if gallery is None else gallery
        opened.append(Recognizer.open(None, shop, cache=folder / "cache", **options))
        return opened[-1]

    yield start
    for recognizer in opened:
        recognizer.close()


@pytest.fixture
def shop(open_shop: Callable[..., Recognizer]) -> Recognizer:
    return open_shop()


def only(answer: Recognition) -> RecognizedItem:
    (item,) = answer.items
    return item


def comparable(answer: Recognition) -> dict[str, Any]:
    found = answer.as_dict()
    return {name: value for name, value in found.items() if name not in ("stage_ms", "second_look")}


@pytest.fixture
def without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("imaging.local_features", "imaging.resample", "imaging.jpeg_decoder", "opening"):
        monkeypatch.setattr(f"shitu_edge.{module}.opencv", lambda: None, raising=False)


# -- names


def test_more_products_are_named_right_with_a_second_look(open_shop: Callable[..., Recognizer]) -> None:
    right: dict[str, dict[str, int]] = {}
    wrong = 0
    for mode in ("off", "auto"):
        recognizer = open_shop(second_look=mode)
        right[mode] = dict.fromkeys(CHANGES, 0)
        for name, change in CHANGES.items():
            for seed in ASKED:
                answer = recognizer.recognize(change(product(seed)), **WHOLE)
                assert answer.second_look.state == ("ready" if mode == "auto" else "off")
                labels = [item.label for item in answer.items]
                right[mode][name] += labels == [f"product {seed}"]
                wrong += mode == "auto" and labels not in ([], [None], [f"product {seed}"])
    assert wrong == 0
    assert all(right["auto"][name] >= right["off"][name] for name in CHANGES), right
    assert right["auto"]["same"] == len(ASKED)
    assert sum(right["auto"].values()) >= sum(right["off"].values()) + 10, right


def test_products_that_are_not_enrolled_get_no_name(shop: Recognizer) -> None:
    named = [bool(shop.recognize(product(seed), **WHOLE).items) for seed in range(100, 115)]
    assert sum(named) <= 2, "of 15, at 5 %"


def test_evidence_lies_inside_the_box_and_the_photo(shop: Recognizer) -> None:
    answer = shop.recognize(turned(product(4), 35), **WHOLE)
    item = only(answer)
    assert (item.label, item.verified_by) == ("product 4", "local_features")
    assert item.evidence is not None
    assert item.inliers == len(item.evidence.object_xy) == len(item.evidence.photo_xy) > 30
    left, top, right, bottom = item.box_xyxy
    assert (item.evidence.object_xy >= (left, top)).all()
    assert (item.evidence.object_xy < (right, bottom)).all()
    photo = shop.photo(item.evidence.item_id)
    assert photo is not None
    assert (item.evidence.photo_xy >= 0).all()
    assert (item.evidence.photo_xy < photo.shape[1::-1]).all()
    assert [*map(int, item.box_xyxy[2:])] == [answer.width, answer.height]


def test_evidence_is_in_pixels_of_a_large_image_that_was_decoded_smaller(shop: Recognizer, tmp_path: Path) -> None:
    large = Image.fromarray(np.ascontiguousarray(np.rot90(product(8)))).resize((2600, 2000))
    large.save(tmp_path / "large.jpg", quality=92)
    item = only(shop.recognize(tmp_path / "large.jpg", **WHOLE))
    assert item.label == "product 8"
    assert item.evidence is not None
    x, y = item.evidence.object_xy.T
    assert (x.min() >= 0, x.max() < 2600, y.min() >= 0, y.max() < 2000) == (True,) * 4
    assert x.max() > 1500
    photo_x, photo_y = item.evidence.photo_xy.T
    assert np.median(np.abs(x / 10 - photo_y)) < 4, "a quarter turn to the left"
    assert np.median(np.abs(y / 10 - (200 - photo_x))) < 4


def test_always_looks_at_clear_objects_too(open_shop: Callable[..., Recognizer]) -> None:
    found = {}
    for mode in ("off", "auto", "always"):
        answers = [open_shop(second_look=mode).recognize(product(seed), **WHOLE) for seed in (0, 4)]
        found[mode] = [answer.second_look.looked for answer in answers]
        assert [only(answer).label for answer in answers] == ["product 0", "product 4"]
    assert found["off"] == [0, 0]
    assert found["always"] == [1, 1]
    with pytest.raises(OptionError, match="second_look"):
        open_shop(second_look="sometimes")


def test_deadline_that_has_passed_leaves_objects_out_and_says_so(shop: Recognizer) -> None:
    plain = shop.recognize(CHANGES["90"](product(4)), **WHOLE, deadline_ms=1e6)
    assert (plain.second_look.looked, plain.second_look.left_out) == (1, 0)
    assert shop._parts.looks is not None
    shop._parts.looks.expected_ms = 1e9
    late = shop.recognize(CHANGES["90"](product(4)), **WHOLE, deadline_ms=1e5)
    assert (late.second_look.looked, late.second_look.left_out) == (0, 1)
    assert "and no time for 1" in late.explain()[1]


# -- answers


def test_answer_is_json_without_points_and_can_be_pickled(shop: Recognizer) -> None:
    answer = shop.recognize(CHANGES["270"](product(8)), **WHOLE)
    found = json.loads(json.dumps(answer.as_dict()))
    assert found["second_look"] == {"state": "ready", "looked": 1, "left_out": 0}
    (item,) = found["items"]
    assert "evidence" not in item
    assert (item["verified_by"], item["inliers"]) == ("local_features", only(answer).inliers)
    assert found["stage_ms"]["verify"] > 0
    copied = pickle.loads(pickle.dumps(answer))
    assert copied == answer
    assert copied.second_look == answer.second_look
    assert only(copied).evidence is not None
    assert hash(only(copied)) == hash(only(answer))
    assert "evidence" not in repr(only(answer))
    assert copied.explain() == answer.explain()


def test_explanation_says_what_was_compared(shop: Recognizer) -> None:
    lines = shop.recognize(CHANGES["90"](product(4)), **WHOLE).explain()
    assert lines[1] == "Second look at 1 object that the score left in doubt."
    assert any("points agree with the photo of product 4" in line for line in lines)
    assert shop.recognize(product(4), detection_threshold=1.0, threshold=0.5).explain()[1].startswith("No second look")


# -- whether a look is taken


def test_state_says_why_there_is_no_look(open_shop: Callable[..., Recognizer]) -> None:
    picture = product(0)
    assert open_shop(second_look="off").recognize(picture, **WHOLE).second_look.state == "off"
    opened = open_shop()
    assert opened.recognize(picture, **WHOLE).second_look.state == "ready"
    assert opened.recognize(picture, detection_threshold=1.0, threshold=0.5).second_look.state == "by_similarity"

    class Elsewhere:
        meta = opened.gallery.meta
        search_with_revision = opened.gallery.search_with_revision
        close = staticmethod(lambda: None)

    assert open_shop(Elsewhere()).recognize(picture, detection_threshold=1.0).second_look.state == "no_file"
    opened.gallery.remove(range(1, 8))
    opened.calibration(0.05, wait=True)
    assert opened.recognize(picture, **WHOLE).second_look.state == "few_pictures", "17 products"


def test_gallery_without_pictures_is_asked_by_the_vectors(open_shop: Callable[..., Recognizer], folder: Path) -> None:
    shop = open_shop()
    with shop.create_gallery(folder / "bare.gallery") as bare:
        rows = shop.gallery.embeddings(range(1, PRODUCTS + 1))
        bare.add(NewGalleryItem(f"product {seed}", "", row) for seed, row in enumerate(rows))
    opened, without = open_shop(folder / "bare.gallery"), open_shop(folder / "bare.gallery", second_look="off")
    opened.calibration(0.05, wait=True)
    for seed in (0, 4):
        answer = opened.recognize(product(seed), **WHOLE)
        assert answer.second_look.state == "few_pictures"
        assert comparable(answer) == comparable(without.recognize(product(seed), **WHOLE))
        assert "fewer than 20 products have a picture" in answer.explain()[1]
    assert not (folder / "bare.gallery.features").exists()


def test_look_is_prepared_in_the_background(
    open_shop: Callable[..., Recognizer], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "shop.gallery.features").unlink()
    shutil.rmtree(folder / "cache" / "calibration")
    held = threading.Event()
    complete = PhotoFeatures.complete
    monkeypatch.setattr(PhotoFeatures, "complete", lambda *given: (held.wait(30), complete(*given))[1])
    opened = open_shop()
    answer = opened.recognize(CHANGES["90"](product(4)), **WHOLE)
    assert answer.second_look.state == "preparing"
    assert answer.items == ()
    held.set()
    opened.calibration(0.05, wait=True)
    after = opened.recognize(CHANGES["90"](product(4)), **WHOLE)
    assert (after.second_look.state, only(after).label) == ("ready", "product 4")


@pytest.mark.usefixtures("without_opencv")
def test_without_opencv_answers_are_those_without_a_look(open_shop: Callable[..., Recognizer]) -> None:
    auto, off = open_shop(), open_shop(second_look="off")
    assert not local_features.can_find_features()
    for change in ("same", "90", "darker"):
        for seed in (0, 4):
            picture = CHANGES[change](product(seed))
            answer, expected = auto.recognize(picture, **WHOLE), off.recognize(picture, **WHOLE)
            assert comparable(answer) == comparable(expected)
            assert (answer.second_look.state, expected.second_look.state) == ("no_opencv", "off")
            assert answer.items == expected.items
    assert "OpenCV is not installed (extra opencv)" in answer.explain()[1]
    assert auto.enroll("new", product(50), crop=False) == PRODUCTS + 1


# -- what changes meanwhile


def test_item_that_was_just_enrolled_is_looked_at(shop: Recognizer) -> None:
    before = shop.recognize(CHANGES["90"](product(50)), **WHOLE)
    assert before.items == ()
    item = shop.enroll("new", product(50), crop=False)
    found = only(shop.recognize(CHANGES["90"](product(50)), **WHOLE))
    assert (found.label, found.evidence and found.evidence.item_id) == ("new", item)
    bare = shop.enroll("bare", product(51), crop=False, picture=False)
    answer = shop.recognize(CHANGES["90"](product(51)), **WHOLE)
    assert answer.second_look.state == "ready"
    assert bare not in {one.evidence.item_id for one in answer.items if one.evidence}


def test_item_of_a_local_layer_is_looked_at(open_shop: Callable[..., Recognizer], folder: Path) -> None:
    recognizer = open_shop(local=folder / "till.gallery")
    own = recognizer.enroll("own", product(50), crop=False)
    recognizer.calibration(0.05, wait=True)
    found = only(recognizer.recognize(CHANGES["90"](product(50)), **WHOLE))
    assert found.label == "own"
    assert found.evidence is not None
    assert found.evidence.item_id == -own
    photo = recognizer.photo(-own)
    assert photo is not None
    assert photo.shape == (260, 200, 3)
    assert (folder / "till.gallery.features").exists()
    central = only(recognizer.recognize(CHANGES["90"](product(4)), **WHOLE))
    assert central.label == "product 4"


@pytest.mark.parametrize("harm", ["removed", "damaged", "folder"])
def test_features_that_are_lost_while_the_recognizer_is_open(shop: Recognizer, folder: Path, harm: str) -> None:
    features = folder / "shop.gallery.features"
    picture = CHANGES["90"](product(4))
    expected = only(shop.recognize(picture, **WHOLE))
    if harm == "damaged":
        features.write_bytes(b"damaged")
    else:
        features.unlink()
        if harm == "folder":
            features.mkdir()
    for seed in ASKED:
        shop.recognize(CHANGES["90"](product(seed)), **WHOLE)
    again = only(shop.recognize(picture, **WHOLE))
    assert (again.label, again.inliers) == (expected.label, expected.inliers)


def test_features_of_another_gallery_in_its_place_name_nothing_wrong(
    open_shop: Callable[..., Recognizer], folder: Path
) -> None:
    """Items of the same ids, with pictures of other products."""
    with open_shop() as maker:
        maker.create_gallery(folder / "other.gallery").close()
    with open_shop(folder / "other.gallery") as other:
        for seed in range(PRODUCTS):
            other.enroll(f"product {seed + 1}", product(seed + 1), crop=False)
    shutil.copyfile(folder / "shop.gallery.features", folder / "other.gallery.features")
    recognizer = open_shop(folder / "other.gallery")
    recognizer.calibration(0.05, wait=True)
    for seed in (4, 8, 12):
        assert only(recognizer.recognize(CHANGES["90"](product(seed)), **WHOLE)).label == f"product {seed}"


def test_damaged_picture_does_not_stop_recognition(open_shop: Callable[..., Recognizer], folder: Path) -> None:
    with closing(sqlite3.connect(folder / "shop.gallery")) as connection:
        connection.execute("UPDATE origins SET picture = zeroblob(length(picture)) WHERE item = 5")
        connection.commit()
    (folder / "shop.gallery.features").unlink()
    shutil.rmtree(folder / "cache" / "calibration")
    opened = open_shop()
    opened.calibration(0.05, wait=True)
    assert only(opened.recognize(product(4), **WHOLE)).label == "product 4"
    assert only(opened.recognize(CHANGES["90"](product(8)), **WHOLE)).label == "product 8"


def test_several_threads_get_the_same_answers(shop: Recognizer) -> None:
    pictures = [CHANGES["90"](product(seed)) for seed in ASKED]
    expected = [shop.recognize(picture, **WHOLE).items for picture in pictures]
    found: dict[int, list[Any]] = {}

    def ask(number: int) -> None:
        found[number] = [shop.recognize(picture, **WHOLE).items for picture in pictures]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] == expected for number in range(3)] == [True] * 3


def test_photo_of_an_item(shop: Recognizer) -> None:
    photo = shop.photo(5)
    assert photo is not None
    assert np.abs(photo.astype(int) - product(4)).mean() < 10
    assert shop.photo(999) is None
    assert shop.photo(-1) is None


def test_closing_ends_the_background(open_shop: Callable[..., Recognizer], folder: Path) -> None:
    (folder / "shop.gallery.features").unlink()
    shutil.rmtree(folder / "cache" / "calibration")
    opened = open_shop()
    opened.recognize(product(0), **WHOLE)
    opened.close()
    assert "shitu-calibration" not in {thread.name for thread in threading.enumerate()}
    with Gallery.open(folder / "shop.gallery") as gallery, closing(PhotoFeatures(Layers(gallery))) as photos:
        assert len(photos.of([1])[1]) > 50


# -- the command line


def test_command(shell: Shell, folder: Path) -> None:
    Image.fromarray(CHANGES["90"](product(4))).save("turned.png")
    words = ("recognize", folder / "shop.gallery", "turned.png", "--detection-threshold", "1")
    limit = ("--max-false-accept", "0.05")
    for mode, label in (("off", None), ("auto", "product 4"), ("always", "product 4")):
        done = shell(*words, *limit, "--second-look", mode, "--json")
        assert (done.code, done.err) == (0, ""), done.err
        found = json.loads(done.out)
        assert [item["label"] for item in found["items"]] == [label] * (label is not None)
        assert found["second_look"]["state"] == ("off" if mode == "off" else "ready")
    assert "second look at 1" in shell(*words, *limit).out
    assert shell(*words, "--second-look", "sometimes").code == 2


def test_command_draws_the_evidence(shell: Shell, folder: Path, tmp_path: Path) -> None:
    Image.fromarray(CHANGES["90"](product(4))).save("turned.png")
    words = ("recognize", folder / "shop.gallery", "turned.png", "--detection-threshold", "1", "--draw", "seen.png")
    limit = ("--max-false-accept", "0.05")
    assert shell(*words, *limit).code == 0
    assert not (tmp_path / "seen.evidence.png").exists()
    done = shell(*words, *limit, "--explain")
    assert done.code == 0
    assert done.err.splitlines() == ["drawn: seen.png", "drawn: seen.evidence.png"]
    assert "points agree with the photo of product 4" in done.out
    drawn = np.asarray(Image.open("seen.evidence.png").convert("RGB")).astype(int)
    assert drawn.shape[1] > 700
    for color in ((0, 114, 178), (213, 94, 0)):
        assert (np.abs(drawn - color).sum(axis=2) < 30).sum() > 100, "lines between the points"
    (tmp_path / "seen.evidence.png").unlink()
    off = shell(*words, *limit, "--explain", "--second-look", "off")
    assert (off.code, off.err.splitlines()) == (0, ["drawn: seen.png"])
    assert not (tmp_path / "seen.evidence.png").exists()
