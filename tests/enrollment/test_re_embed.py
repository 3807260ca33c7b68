"""A gallery embedded again for another bundle: from pictures and sources, killed, resumed, and back."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shitu_edge import NEGATIVE, Gallery, NewGalleryItem, Recognizer
from shitu_edge.bundle import Target
from shitu_edge.calibration import Queries, store
from shitu_edge.enrollment import MissingPicturesError, build_gallery, kept_generations, re_embed
from shitu_edge.enrollment.rows_file import RowsFile
from shitu_edge.errors import FingerprintError, GalleryError
from shitu_edge.gallery import Meta
from shitu_edge.gallery.care.verify import verify
from shitu_edge.inputs.found import LabeledImage
from tests.gallery.rows import unit
from tests.networks import DIM
from tests.shell import Shell


@pytest.fixture(scope="module")
def other_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with another preprocessing, so with another fingerprint and other embeddings."""
    folder = tmp_path_factory.mktemp("bundles") / "other"
    shutil.copytree(tiny_bundle, folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["extractor"]["network"]["input"]["mean"] = [0.2, 0.1, 0.0]
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def images(tmp_path: Path) -> list[LabeledImage]:
    """Twelve photos of four products, noise that the extractor tells apart."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(12):
        pixels = np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((24, 24, 1))).astype(np.uint8)
        path = tmp_path / "photos" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        box = (24.0, 24.0, 144.0, 168.0) if number == 5 else None
        found.append(LabeledImage(path, f"product {number % 4}", f"{number}.png", box))
    return found


@pytest.fixture
def shop(tiny_bundle: Path, images: list[LabeledImage], tmp_path: Path) -> Path:
    path = tmp_path / "shop.gallery"
    with Recognizer.open(tiny_bundle) as recognizer:
        build_gallery(recognizer, path, images, author="ann")
    with Gallery.open(path, background=False) as gallery:
        gallery.remove([2], author="bob", note="gone")
        gallery.rename("product 3", "milk")
    return path


@pytest.fixture
def other(other_bundle: Path) -> Iterator[Recognizer]:
    with Recognizer.open(other_bundle) as opened:
        yield opened


def rows_of(path: Path) -> dict[int, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    with Gallery.open(path, background=False) as gallery:
        ids = [item.id for item in gallery.items()]
        return dict(zip(ids, gallery.embeddings(ids), strict=True))


def test_pictures_give_the_embeddings_of_their_crops(shop: Path, other: Recognizer) -> None:
    with Gallery.open(shop, background=False) as gallery:
        before, items = gallery.history.log(), gallery.items()
        origins = gallery.origins(range(1, 13))
    done = re_embed(other, shop)
    assert (done.items, done.from_pictures, done.reused, done.left_out) == (12, 12, 0, ())
    assert verify(shop).faults == ()
    with Gallery.open(shop, background=False) as gallery:
        assert gallery.meta.fingerprint == other.bundle.manifest.extractor.fingerprint
        assert gallery.items() == items
        assert [(one.id, one.author, one.note, one.created_at) for one in gallery.history.log()] == [
            (one.id, one.author, one.note, one.created_at) for one in before
        ]
        assert gallery.origins(range(1, 13)) == origins
        for number, origin in origins.items():
            assert origin.product_xyxy is not None
            fresh = other.embed(origin.picture, [origin.product_xyxy])[0]
            np.testing.assert_allclose(gallery.embeddings([number])[0], fresh, atol=1e-6)
        gallery.history.rollback(2)
        assert len(gallery) == 12, "what was removed comes back"


def test_sources_give_the_embeddings_of_a_fresh_build(
    shop: Path, other: Recognizer, images: list[LabeledImage], tmp_path: Path
) -> None:
    done = re_embed(other, shop, images=tmp_path / "photos")
    assert done.from_pictures == 0
    build_gallery(other, tmp_path / "fresh.gallery", images)
    fresh = rows_of(tmp_path / "fresh.gallery")
    for number, row in rows_of(shop).items():
        assert row @ fresh[number] > 0.99999


def test_changed_source_is_not_taken(shop: Path, other: Recognizer, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "photos" / "3.png", tmp_path / "photos" / "0.png")
    assert re_embed(other, shop, images=tmp_path / "photos").from_pictures == 1


def test_old_bundle_brings_the_old_generation_back_with_what_was_added(
    shop: Path, tiny_bundle: Path, other: Recognizer
) -> None:
    before = rows_of(shop)
    kept = re_embed(other, shop).kept
    assert kept_generations(shop) == [kept]
    with Recognizer.open(other.bundle.folder, shop) as recognizer:
        added = recognizer.enroll("new", shop.parent / "photos" / "7.png")
    with Recognizer.open(tiny_bundle) as first:
        done = re_embed(first, shop)
        assert (done.items, done.reused, done.from_pictures) == (13, 12, 1)
    after = rows_of(shop)
    assert after.keys() == before.keys() | {added}
    for number, row in before.items():
        np.testing.assert_array_equal(after[number], row)
    assert [file.name for file in kept_generations(shop)] == [done.kept.name] != [kept.name]


def test_items_without_a_picture_are_listed_or_left_out(
    shop: Path, tiny_bundle: Path, other: Recognizer, tmp_path: Path
) -> None:
    with Gallery.open(shop, background=False) as gallery:
        gallery.add([NewGalleryItem("old", "0.png", unit(np.ones((1, DIM)))[0])])
    content = shop.read_bytes()
    with pytest.raises(
        MissingPicturesError, match=r"1 items cannot be embedded again: 0\.png: has no picture"
    ) as error:
        re_embed(other, shop)
    assert [one.source for one in error.value.missing] == ["0.png"]
    assert shop.read_bytes() == content
    with pytest.raises(MissingPicturesError, match="does not say how it was cut; state --crop or --no-crop"):
        re_embed(other, shop, images=tmp_path / "photos")
    assert re_embed(other, shop, images=tmp_path / "photos", crop=False).left_out == ()
    with Recognizer.open(tiny_bundle) as first:
        (tmp_path / f"shop.gallery.{first.bundle.manifest.extractor.fingerprint[:8]}").unlink()
        left = re_embed(first, shop, drop_missing=True).left_out
    assert [one.source for one in left] == ["0.png"]
    assert 13 not in rows_of(shop)
    assert verify(shop).faults == ()


def test_target_stays_and_queries_of_the_old_extractor_go(shop: Path, other: Recognizer) -> None:
    with Gallery.open(shop, background=False) as gallery:
        rows = unit(np.random.default_rng(0).normal(size=(3, DIM)))
        store(gallery, Target(max_false_accept=0.03), Queries(rows, ("milk", None, None), "fp32"))
    re_embed(other, shop)
    with Gallery.open(shop, background=False) as gallery:
        assert list(gallery.settings()) == ["target"]
    with Recognizer.open(other.bundle.folder, shop) as recognizer:
        found = recognizer.calibration()
        assert found is not None
        assert found.max_false_accept == 0.03


def test_other_bundle_is_told_the_command(shop: Path, other_bundle: Path) -> None:
    with pytest.raises(FingerprintError, match=rf"run `shitu-edge gallery re-embed {shop} --models {other_bundle}`"):
        Recognizer.open(other_bundle, shop)


def test_same_extractor_is_refused(shop: Path, tiny_bundle: Path) -> None:
    with Recognizer.open(tiny_bundle) as first, pytest.raises(GalleryError, match="already"):
        re_embed(first, shop)


def test_gallery_that_is_open_elsewhere_is_not_switched_and_nothing_is_done_twice(
    shop: Path, tiny_bundle: Path, other: Recognizer
) -> None:
    with Recognizer.open(tiny_bundle, shop) as till:
        with pytest.raises(GalleryError, match="is open"):
            re_embed(other, shop)
        assert till.recognize(shop.parent / "photos" / "1.png", whole_image="always").made_by.gallery_revision == 4
    done = re_embed(other, shop)
    assert (done.reused, done.from_pictures) == (12, 0)


def test_what_is_enrolled_meanwhile_is_embedded_too(
    shop: Path, other: Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed, added, once = Recognizer.embed, list[int](), threading.Lock()

    def late(self: Recognizer, *arguments: object, **options: object) -> object:
        if once.acquire(blocking=False):
            with Gallery.open(shop, background=False) as gallery:
                item, origin = gallery.items()[0], gallery.origins([1])[1]
                row = gallery.embeddings([item.id])[0]
                added.extend(gallery.add([NewGalleryItem("late", "", row, origin)]))
        return embed(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Recognizer, "embed", late)
    assert re_embed(other, shop).items == 13
    assert set(added) <= set(rows_of(shop))


_KILLED = """
import sys
from pathlib import Path
from shitu_edge import Recognizer
from shitu_edge.enrollment import re_embed
with Recognizer.open(sys.argv[1], threads=1) as recognizer:
    print("open", flush=True)
    re_embed(recognizer, Path(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills")
def test_killed_at_random_points_it_resumes_and_loses_nothing(shop: Path, other: Recognizer, tmp_path: Path) -> None:
    expected = tmp_path / "expected.gallery"
    shutil.copy(shop, expected)
    re_embed(other, expected)
    wanted, items = rows_of(expected), rows_of(shop).keys()
    chance, killed = random.Random(1), 0
    for _ in range(int(os.environ.get("SHITU_EDGE_TEST_SCALE", "1")) * 12):
        path = tmp_path / f"{killed}" / "shop.gallery"
        path.parent.mkdir()
        shutil.copy(shop, path)
        process = subprocess.Popen(
            [sys.executable, "-c", _KILLED, str(other.bundle.folder), str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert verify(path).faults == (), "whatever happened, there is a sound gallery"
        assert rows_of(path).keys() == items
        with Gallery.open(path, background=False) as gallery:
            is_new = gallery.meta.fingerprint == other.bundle.manifest.extractor.fingerprint
        if not is_new:
            killed += 1
            re_embed(other, path)
        else:
            killed += 1
        for number, row in rows_of(path).items():
            np.testing.assert_allclose(row, wanted[number], atol=1e-6)
        left = [file.name for file in path.parent.iterdir() if file.name.endswith(".rows")]
        assert left == [] or is_new


def test_rows_file_ignores_what_was_torn(tmp_path: Path) -> None:
    path, meta = tmp_path / "rows", Meta("x", "f", 4)
    row = np.array([1, 0, 0, 0], np.float32)
    with RowsFile(path, "id", meta) as rows:
        rows.add(1, row)
        rows.add(2, -row)
    whole = path.read_bytes()
    for cut in range(len(whole) - 28, len(whole)):
        path.write_bytes(whole[:cut])
        with RowsFile(path, "id", meta) as rows:
            assert list(rows.rows) == [1]
            rows.add(3, row)
        with RowsFile(path, "id", meta) as rows:
            assert list(rows.rows) == [1, 3]
    damaged = bytearray(whole)
    damaged[-10] ^= 1
    path.write_bytes(damaged)
    with RowsFile(path, "id", meta) as rows:
        assert list(rows.rows) == [1]
    with RowsFile(path, "another", meta) as rows:
        assert rows.rows == {}


def test_negative_items_keep_their_whole_picture(tiny_bundle: Path, tmp_path: Path, images: list[LabeledImage]) -> None:
    with Recognizer.open(tiny_bundle) as recognizer, recognizer.create_gallery(tmp_path / "x.gallery"):
        pass
    with Recognizer.open(tiny_bundle, tmp_path / "x.gallery") as recognizer:
        recognizer.enroll(NEGATIVE, images[0].path)
        (origin,) = recognizer.gallery.origins([1]).values()
    assert (origin.crop, origin.box_xyxy) == ("whole", None)


def test_no_picture_is_kept_if_told_so(tiny_bundle: Path, tmp_path: Path, images: list[LabeledImage]) -> None:
    with Recognizer.open(tiny_bundle) as recognizer:
        build_gallery(recognizer, tmp_path / "x.gallery", images, pictures=False)
    with Gallery.open(tmp_path / "x.gallery", background=False) as gallery:
        assert {origin.picture for origin in gallery.origins(range(1, 13)).values()} == {b""}
        assert gallery.info().pictures == 0


def test_command(shell: Shell, shop: Path, other_bundle: Path, tiny_bundle: Path) -> None:
    done = shell("gallery", "re-embed", shop, "-m", other_bundle)
    assert (done.code, done.err) == (0, "")
    assert (
        "12 items embedded, 0 of them before, 12 from pictures, 0 left out; the old generation is shop.gallery."
        in done.out
    )
    back = shell("gallery", "re-embed", shop, "-m", tiny_bundle, "--json")
    assert (json.loads(back.out)["reused"], json.loads(back.out)["from_pictures"]) == (12, 0)
    assert shell("gallery", "re-embed", shop, "--forget").out == f"{shop}: 1 earlier generation deleted\n"
    assert kept_generations(shop) == []
    with Gallery.open(shop, background=False) as gallery:
        gallery.add([NewGalleryItem("old", "lost.jpg", unit(np.ones((1, DIM)))[0])])
    failed = shell("gallery", "re-embed", shop, "-m", other_bundle)
    assert failed.code == 1
    assert "lost.jpg: has no picture, and its image is not there" in failed.err
