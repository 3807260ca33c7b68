"""A recognizer with a local layer: what is enrolled goes there, and both are asked."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shitu_edge import (
    NEGATIVE,
    FingerprintError,
    Gallery,
    GalleryError,
    NewGalleryItem,
    OptionError,
    Recognizer,
)
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch
from tests.gallery.rows import unit
from tests.networks import DIM, write_bundle
from tests.shell import Shell
from tests.test_recognizer import BLUE, GREEN, RED, STRICT, make_shop, product, scene

IMAGE = scene((1, 1, RED), (5, 1, GREEN), (1, 5, BLUE))


@pytest.fixture
def shop(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A central gallery with a red and a green product."""
    return make_shop(tiny_bundle, tmp_path / "shop.gallery")


@pytest.fixture
def till(tmp_path: Path) -> Path:
    return tmp_path / "till.gallery"


@pytest.fixture
def recognizer(tiny_bundle: Path, shop: Path, till: Path) -> Iterator[Recognizer]:
    with Recognizer.open(tiny_bundle, shop, local=till) as opened:
        yield opened


def labels(recognizer: Recognizer, image: Any = IMAGE, **options: Any) -> list[str | None]:
    """The labels from left to right and top to bottom."""
    items = recognizer.recognize(image, **STRICT | options).items
    return [item.label for item in sorted(items, key=lambda item: (item.box_xyxy[1] > 100, item.box_xyxy[0]))]


def test_enroll_adds_to_the_local_layer_and_is_known_at_once(recognizer: Recognizer, shop: Path, till: Path) -> None:
    before = recognizer.gallery.history.log()
    assert labels(recognizer) == ["red", "green", None]
    assert recognizer.enroll("blue", product(BLUE), author="ada", note="new", source="shelf") == 1
    assert labels(recognizer) == ["red", "green", "blue"]
    assert recognizer.gallery.history.log() == before
    assert (recognizer.gallery.path, recognizer.local.path) == (shop, till)
    [item] = recognizer.local.items()
    assert (item.id, item.label, item.source) == (1, "blue", "shelf")
    assert (recognizer.local.history.log()[0].author, recognizer.local.history.log()[0].note) == ("ada", "new")
    assert recognizer.local.origins([1])[1].picture


def test_ids_of_the_local_layer_are_negative_in_answers(recognizer: Recognizer) -> None:
    recognizer.enroll("blue", product(BLUE))
    recognizer.enroll("cyan", product((30, 100, 190)))
    answer = recognizer.recognize(IMAGE, **STRICT | {"neighbors": 4})
    [blue] = [item for item in answer.items if item.label == "blue"]
    [red] = [item for item in answer.items if item.label == "red"]
    assert (blue.matches[0].item_id, red.matches[0].item_id) == (-1, 1)
    assert {match.item_id for match in blue.matches} == {1, 2, -1, -2}
    assert {one.label: one.item_id for one in blue.candidates} == {"red": 1, "green": 2, "blue": -1, "cyan": -2}
    assert recognizer.local.items("cyan")[0].id == 2


def test_a_label_of_both_layers_is_one_label(recognizer: Recognizer) -> None:
    recognizer.enroll("red", product(BLUE))
    answer = recognizer.recognize(IMAGE, **STRICT)
    assert labels(recognizer) == ["red", "green", "red"]
    for item in answer.items:
        assert [one.label for one in item.candidates].count("red") == 1
        assert item.decision == "accepted"


def test_answers_tell_the_revisions_of_both_layers(recognizer: Recognizer, tiny_bundle: Path, shop: Path) -> None:
    recognizer.enroll("blue", product(BLUE))
    made_by = recognizer.recognize(IMAGE).made_by
    assert (made_by.gallery_revision, made_by.local_revision) == (3, 2)
    assert recognizer.recognize(IMAGE).as_dict()["made_by"]["local_revision"] == 2
    with Recognizer.open(tiny_bundle, shop) as alone:
        assert alone.recognize(IMAGE).made_by.local_revision is None
        with pytest.raises(GalleryError, match="no local layer is open: pass local="):
            alone.local  # noqa: B018


def test_what_is_no_product_locally_makes_products_of_the_center_unknown(recognizer: Recognizer) -> None:
    """Where it is nearer: it was enrolled whole, as the detector's box shows it, and the product cropped more."""
    assert labels(recognizer) == ["red", "green", None]
    recognizer.enroll(NEGATIVE, product(RED))
    assert labels(recognizer) == [None, "green", None]
    [near] = [item for item in recognizer.recognize(IMAGE, **STRICT).items if item.negative]
    assert (near.decision, near.matches[0].item_id) == ("unknown", -1)
    assert near.candidates[0].label == "red"
    assert len(recognizer.local.items(NEGATIVE)) == 1


def test_verify_asks_both_layers(recognizer: Recognizer) -> None:
    with pytest.raises(GalleryError, match="no item has the label 'blue'"):
        recognizer.verify("blue", product(BLUE))
    recognizer.enroll("blue", product(BLUE))
    found = recognizer.verify("blue", product(BLUE))
    assert found.similarity == pytest.approx(1, abs=1e-4)
    assert found.nearest[0].item_id == -1
    recognizer.enroll("red", product(BLUE))
    assert recognizer.verify("red", product(BLUE)).similarity == pytest.approx(1, abs=1e-4)
    assert recognizer.verify("red", product(RED)).similarity == pytest.approx(1, abs=1e-4)


def test_threshold_is_derived_from_the_items_of_both(recognizer: Recognizer) -> None:
    rows = unit(np.random.default_rng(0).normal(size=(40, DIM)))
    recognizer.gallery.add(NewGalleryItem(f"product {number}", "", row) for number, row in enumerate(rows[:25]))
    first = recognizer.recognize(IMAGE, max_false_accept=0.1).calibration
    recognizer.local.add(NewGalleryItem(f"own {number}", "", row) for number, row in enumerate(rows[25:]))
    second = recognizer.calibration(0.1, wait=True)
    assert first is not None
    assert second is not None
    assert (first.products, second.products) == (27, 42)
    assert second == recognizer.recognize(IMAGE, max_false_accept=0.1).calibration


def test_restart_knows_what_was_enrolled(tiny_bundle: Path, shop: Path, till: Path) -> None:
    with Recognizer.open(tiny_bundle, shop, local=till) as first:
        first.enroll("blue", product(BLUE))
        expected = first.recognize(IMAGE, **STRICT).items
    with Recognizer.open(tiny_bundle, shop, local=str(till)) as again:
        assert again.recognize(IMAGE, **STRICT).items == expected
        again.enroll("blue", product(BLUE))
        assert [item.id for item in again.local.items()] == [1, 2]


def test_an_open_local_layer_stays_open(tiny_bundle: Path, shop: Path, till: Path) -> None:
    with Recognizer.open(tiny_bundle) as maker, maker.create_gallery(till) as local:
        with Recognizer.open(tiny_bundle, shop, local=local) as recognizer:
            assert recognizer.local is local
            recognizer.enroll("blue", product(BLUE))
        assert [item.label for item in local.items()] == ["blue"]
    with Recognizer.open(tiny_bundle, shop, local=till) as owner:
        opened = owner.local
    with pytest.raises(GalleryError, match=r"till\.gallery: is closed"):
        opened.items()


def test_patches_apply_while_a_recognizer_has_both_files_open(
    tiny_bundle: Path, recognizer: Recognizer, tmp_path: Path, till: Path
) -> None:
    """Renames, removals and a rollback of the center reach the kiosk; what it enrolled stays under its own labels."""
    with Recognizer.open(tiny_bundle, recognizer.gallery) as center:
        recognizer.gallery.copy(tmp_path / "kiosk.gallery")
        with Recognizer.open(tiny_bundle, tmp_path / "kiosk.gallery", local=till) as kiosk:
            kiosk.enroll("red", product(BLUE))
            for change, expected in (
                (lambda: center.gallery.rename("red", "rouge"), ["rouge", "green", "red"]),
                (lambda: center.gallery.remove(label="green"), ["rouge", None, "red"]),
                (lambda: center.enroll("lime", product(GREEN)), ["rouge", "lime", "red"]),
                (lambda: center.gallery.history.rollback(3), ["red", "green", "red"]),
            ):
                before = kiosk.local.items(), kiosk.local.revision
                base = center.gallery.revision
                change()
                write_patch(center.gallery, base, center.gallery.revision, tmp_path / "next.patch")
                assert apply_patch(kiosk.gallery, tmp_path / "next.patch") is not None
                assert labels(kiosk) == expected
                assert (kiosk.local.items(), kiosk.local.revision) == before
                assert kiosk.gallery.items() == center.gallery.items()


def test_enrolling_in_one_thread_while_others_recognize(recognizer: Recognizer) -> None:
    errors: list[BaseException] = []
    done = threading.Event()
    seen: list[int] = []

    def look() -> None:
        try:
            while not done.is_set():
                answer = recognizer.recognize(IMAGE, **STRICT | {"neighbors": 50})
                assert answer.made_by.local_revision is not None
                for item in answer.items:
                    own = [match.item_id for match in item.matches if match.item_id < 0]
                    assert sorted(own) == list(range(1 - answer.made_by.local_revision, 0))
                seen.append(answer.made_by.local_revision)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(20):
        recognizer.enroll(f"blue {number}", product(BLUE))
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert seen
    assert recognizer.local.revision == 21


# -- opening


def test_open_refuses_the_gallery_as_its_own_local_layer(tiny_bundle: Path, shop: Path) -> None:
    before = threading.active_count()
    with pytest.raises(GalleryError, match=r"^[^\n]*shop\.gallery: is the gallery itself[^\n]*$"):
        Recognizer.open(tiny_bundle, shop, local=shop)
    with Gallery.open(shop) as gallery:
        with pytest.raises(GalleryError, match="is the gallery itself"):
            Recognizer.open(tiny_bundle, gallery, local=gallery)
        assert len(gallery) == 2
    assert threading.active_count() == before


def test_open_refuses_a_local_layer_of_another_extractor(tiny_bundle: Path, shop: Path, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other", name="other", weights="f" * 64)
    with Recognizer.open(other.folder) as maker:
        maker.create_gallery(tmp_path / "wrong.gallery").close()
    with pytest.raises(FingerprintError, match=r"^[^\n]*wrong\.gallery: was made with extractor other[^\n]*$"):
        Recognizer.open(tiny_bundle, shop, local=tmp_path / "wrong.gallery")


def test_open_refuses_a_local_layer_on_no_gallery_file_and_creates_none(
    tiny_bundle: Path, recognizer: Recognizer, tmp_path: Path
) -> None:
    class Elsewhere:
        """Searches a gallery, as a database would."""

        meta = recognizer.gallery.meta
        search_with_revision = recognizer.gallery.search_with_revision
        close = staticmethod(lambda: None)

        def __str__(self) -> str:
            return "elsewhere"

    for gallery, found in ((None, "none"), (Elsewhere(), "elsewhere, which is not one")):
        with pytest.raises(GalleryError, match=rf"^[^\n]*a local layer lies on a gallery file[^\n]*, found {found}$"):
            Recognizer.open(tiny_bundle, gallery, local=tmp_path / "new.gallery")
    with pytest.raises(GalleryError, match="cannot be opened"):
        Recognizer.open(tiny_bundle, tmp_path / "none.gallery", local=tmp_path / "new.gallery")
    assert not (tmp_path / "new.gallery").exists()


@pytest.mark.parametrize("local", [5, b"till.gallery", Gallery, object()])
def test_open_refuses_what_names_no_local_layer(tiny_bundle: Path, shop: Path, local: Any) -> None:
    with pytest.raises(OptionError, match=r"^local: expected [^\n]+ or an open Gallery, found "):
        Recognizer.open(tiny_bundle, shop, local=local)


def test_open_logs_the_local_layer(tiny_bundle: Path, shop: Path, till: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "shitu_edge"), Recognizer.open(tiny_bundle, shop, local=till):
        pass
    assert caplog.messages[-2:] == [
        f"gallery {shop}: revision 3, items: 2",
        f"local layer {till}: revision 1, items: 0",
    ]


_FORK = """
import json, os, sys
from shitu_edge import ForkError, Recognizer
bundle, photo = sys.argv[1:]
recognizer = Recognizer.open(bundle, "shop.gallery", local="till.gallery", cache="")
recognizer.enroll("blue", photo)
pid = os.fork()
if pid == 0:
    calls = [lambda: recognizer.recognize(photo), lambda: recognizer.enroll("tea", photo), recognizer.local.items]
    found = []
    for call in calls:
        try:
            found.append(repr(call()))
        except ForkError as error:
            found.append("ForkError")
    recognizer.close()
    with open("child.json", "w") as stream:
        json.dump(found, stream)
    sys.exit(7)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
recognizer.enroll("blue", photo)
print(json.dumps([status, json.load(open("child.json")), [item.label for item in recognizer.local.items()]]))
recognizer.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_forked_child_is_refused_and_harms_no_local_layer(tiny_bundle: Path, shop: Path) -> None:
    photo = shop.with_name("blue.png")
    pixels = product(BLUE)
    Image.fromarray(pixels).save(photo)
    done = subprocess.run(
        [sys.executable, "-c", _FORK, str(tiny_bundle), str(photo)],
        cwd=shop.parent, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [7, ["ForkError"] * 3, ["blue", "blue"]]


# -- the command line


def test_recognize_command_asks_a_local_layer(
    shell: Shell, tiny_bundle: Path, shop: Path, recognizer: Recognizer, till: Path
) -> None:
    recognizer.enroll("blue", product(BLUE))
    Image.fromarray(IMAGE).save("counter.png")
    words = ("recognize", shop, "counter.png", "--models", tiny_bundle, "--threshold", "0.9", "--json")
    for options, named, revision in (((), {"red", "green"}, None), (("--local", till), {"red", "green", "blue"}, 2)):
        done = shell(*words, *options)
        assert (done.code, done.err) == (0, "")
        record = json.loads(done.out)
        assert {item["label"] for item in record["items"] if item["label"]} == named
        assert record["made_by"]["local_revision"] == revision


def test_recognize_command_creates_no_local_layer(shell: Shell, tiny_bundle: Path, shop: Path, till: Path) -> None:
    Image.fromarray(IMAGE).save("counter.png")
    for local, code, words in (
        (till, 2, "there is no gallery"),
        ("counter.png", 2, "counter.png is an image"),
        (shop, 1, "is the gallery itself"),
    ):
        done = shell("recognize", shop, "counter.png", "--models", tiny_bundle, "--local", local)
        assert (done.code, done.out) == (code, "")
        assert words in " ".join(done.err.split())
    assert not till.exists()
