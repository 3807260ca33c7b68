from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shitu_edge import Gallery, GalleryIndex, NewGalleryItem, Recognizer
from shitu_edge.cli import main
from shitu_edge.enrollment import (
    Enrollment,
    EnrollmentQuality,
    NothingReadableError,
    add_images,
    build_gallery,
    check_vectors,
    replace_images,
)
from shitu_edge.errors import FingerprintError, GalleryError
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.index import Ids
from shitu_edge.gallery.labels import NEGATIVE
from shitu_edge.gallery.live import live as live_module
from shitu_edge.gallery.store import Snapshot, Store
from shitu_edge.inputs.sources import LabeledImage, find_images

from .networks import write_bundle
from .test_recognizer import BLUE, RED, faint, scene

COLORS = {
    "cocoa": ((90, 40, 20), (100, 50, 10)),
    "牛奶 250 ml": ((250, 250, 240), (240, 240, 255)),
    "mint tea": ((20, 160, 80), (30, 170, 60)),
}


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Path) -> Iterator[Recognizer]:
    with Recognizer.open(tiny_bundle, threads=2) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images in a folder per label, two of one color each, which is half as bright below."""
    for label, colors in COLORS.items():
        (tmp_path / "images" / label).mkdir(parents=True)
        for i, color in enumerate(colors):
            image = Image.new("RGB", (40, 30), color)
            image.paste(_shade(color), (0, 15, 40, 30))
            image.save(tmp_path / "images" / label / f"{i}.png")
    return tmp_path / "images"


def _shade(color: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = color
    return red // 2, green // 2, blue // 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    return tmp_path / "shop" / "shop.gallery"


def test_a_gallery_that_cannot_be_changed_is_told_before_the_images_are_read(
    recognizer: Recognizer, folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_gallery(recognizer, path, _images(folder))
    seen: list[int] = []
    with Gallery.open(path, background=False) as gallery:
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(GalleryError, match="cannot be changed"):
            add_images(recognizer, gallery, _images(folder), progress=lambda *_: seen.append(1))
    assert not seen


def _images(folder: Path) -> list[LabeledImage]:
    return list(find_images(folder).images)


def _names(path: Path) -> list[str]:
    """What lies in the gallery's folder, besides what is derived from its pictures."""
    return sorted(file.name for file in path.parent.iterdir() if file.suffix != ".features")


def _old_gallery(recognizer: Recognizer, path: Path, folder: Path) -> bytes:
    """Build a gallery of one image and return the file's content."""
    build_gallery(recognizer, path, _images(folder)[:1])
    return path.read_bytes()


def test_built_gallery_recognizes_its_images(recognizer: Recognizer, folder: Path, path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    images = _images(folder)
    done = build_gallery(recognizer, path, images, crop=False, progress=lambda *step: steps.append(step))

    assert (done.added, done.unreadable) == (6, ())
    assert [step for step in steps if step[0] == "images"] == [("images", i, 6) for i in range(1, 7)]
    assert _names(path) == ["shop.gallery"]
    with Gallery.open(path) as gallery:
        assert gallery.label_counts() == dict.fromkeys(COLORS, 2)
        assert gallery.meta.fingerprint == recognizer.bundle.manifest.extractor.fingerprint
        assert [item.source for item in gallery.items("cocoa")] == ["cocoa/0.png", "cocoa/1.png"]
        for label, (color, _) in COLORS.items():
            # The tiny extractor sees the colors less a gray, 4 × 4 of each channel: by hand, whatever the engine.
            halves = np.array([color, _shade(color)]).T / 255 - 0.45
            row = np.repeat(halves, 8).astype(np.float32)
            [[best]] = gallery.search((row / np.linalg.norm(row))[None], 1)
            assert best.label == label
            assert best.similarity == pytest.approx(1, abs=1e-4)


def test_order_is_that_of_the_images(recognizer: Recognizer, folder: Path, path: Path) -> None:
    """Also where more images come than are decoded at a time."""
    images = [*_images(folder), *reversed(_images(folder))] * 4
    build_gallery(recognizer, path, images)
    with Gallery.open(path) as gallery:
        assert [(item.id, item.label) for item in gallery.items()] == [
            (i, image.label) for i, image in enumerate(images, start=1)
        ]


def test_unreadable_images_are_reported_by_name_and_reason(recognizer: Recognizer, folder: Path, path: Path) -> None:
    whole = (folder / "cocoa" / "1.png").read_bytes()
    (folder / "cocoa" / "1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "cocoa" / "2.png").write_bytes(b"")
    (folder / "mint tea" / "2.png").write_text("no image", encoding="utf-8")
    images = [*_images(folder), LabeledImage(folder / "gone.png", "cocoa", "gone.png")]

    done = build_gallery(recognizer, path, images)

    assert done.added == 5
    reasons = {image.source: image.reason for image in done.unreadable}
    assert list(reasons) == ["cocoa/1.png", "cocoa/2.png", "mint tea/2.png", "gone.png"]
    assert "cannot be decoded" in reasons["cocoa/1.png"]
    assert "is empty" in reasons["cocoa/2.png"]
    assert "not an image" in reasons["mint tea/2.png"]
    assert "No such file" in reasons["gone.png"]
    with Gallery.open(path) as gallery:
        assert gallery.label_counts() == {"cocoa": 1, "mint tea": 2, "牛奶 250 ml": 2}


def test_images_of_one_color_are_reported_and_not_enrolled(recognizer: Recognizer, folder: Path, path: Path) -> None:
    """White, black, and a capture that came out as one color with the noise of a dark sensor."""
    noise = np.random.default_rng(0).normal(6, 3, (300, 400, 3))
    Image.new("RGB", (40, 30), "white").save(folder / "cocoa" / "1.png")
    Image.new("RGBA", (40, 30), (0, 0, 0, 0)).save(folder / "mint tea" / "0.png")
    Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(folder / "mint tea" / "1.png")
    done = build_gallery(recognizer, path, _images(folder))
    assert done.added == 3
    assert [image.source for image in done.unreadable] == ["cocoa/1.png", "mint tea/0.png", "mint tea/1.png"]
    assert all("shows a single color" in image.reason for image in done.unreadable)
    with Gallery.open(path) as gallery:
        assert gallery.label_counts() == {"cocoa": 1, "牛奶 250 ml": 2}


def test_nothing_readable_leaves_no_file(recognizer: Recognizer, folder: Path, path: Path) -> None:
    images = _images(folder)[:2]
    for image in images:
        image.path.write_bytes(b"rubbish")
    message = r"none of 2 images can be read; cocoa/0.png, cocoa/1.png: is not an image"
    with pytest.raises(NothingReadableError, match=message) as refusal:
        build_gallery(recognizer, path, images)
    assert [image.source for image in refusal.value.unreadable] == ["cocoa/0.png", "cocoa/1.png"]
    with pytest.raises(GalleryError, match="expected images to enroll, found none"):
        build_gallery(recognizer, path, [])
    assert _names(path) == []


def test_an_existing_gallery_is_only_replaced_on_demand(recognizer: Recognizer, folder: Path, path: Path) -> None:
    old = _old_gallery(recognizer, path, folder)
    with pytest.raises(GalleryError, match=r"shop\.gallery: already exists"):
        build_gallery(recognizer, path, _images(folder))
    assert path.read_bytes() == old

    build_gallery(recognizer, path, _images(folder), replace=True)

    assert _names(path) == ["shop.gallery"]
    with Gallery.open(path) as gallery:
        assert (len(gallery), gallery.revision) == (6, 2)


def test_a_folder_is_not_replaced(recognizer: Recognizer, folder: Path, path: Path) -> None:
    path.mkdir()
    with pytest.raises(GalleryError, match=r"shop\.gallery: is a folder, expected a gallery file"):
        build_gallery(recognizer, path, _images(folder), replace=True)
    assert _names(path) == ["shop.gallery"]


def test_a_missing_folder_is_named(recognizer: Recognizer, folder: Path, path: Path) -> None:
    with pytest.raises(GalleryError, match=r"there is no folder .*none"):
        build_gallery(recognizer, path.parent / "none" / "shop.gallery", _images(folder))
    assert _names(path) == []


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_leaves_nothing(recognizer: Recognizer, folder: Path, path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_gallery(recognizer, path, _images(folder), progress=_interrupt)
    assert _names(path) == []


def test_an_interrupt_leaves_the_old_gallery(recognizer: Recognizer, folder: Path, path: Path) -> None:
    old = _old_gallery(recognizer, path, folder)
    with pytest.raises(KeyboardInterrupt):
        build_gallery(recognizer, path, _images(folder), replace=True, progress=_interrupt)
    assert _names(path) == ["shop.gallery"]
    assert path.read_bytes() == old


_OPEN = """
import sys
from shitu_edge import Gallery
with Gallery.open(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def opener(path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes to end after the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.communicate("", timeout=60)


def _open_elsewhere(path: Path, opener: list[subprocess.Popen[str]]) -> None:
    command = [sys.executable, "-c", _OPEN, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    opener.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"


def test_a_gallery_that_is_open_elsewhere_is_not_replaced(
    recognizer: Recognizer, folder: Path, path: Path, opener: list[subprocess.Popen[str]]
) -> None:
    old = _old_gallery(recognizer, path, folder)
    _open_elsewhere(path, opener)
    with pytest.raises(GalleryError, match=r"shop\.gallery: is open in another process"):
        build_gallery(recognizer, path, _images(folder), replace=True)
    assert path.read_bytes() == old
    opener[0].communicate("", timeout=60)
    assert build_gallery(recognizer, path, _images(folder), replace=True).added == 6


def test_a_gallery_that_is_opened_meanwhile_is_not_replaced(recognizer: Recognizer, folder: Path, path: Path) -> None:
    """Its log would otherwise be applied to the new file."""
    old = _old_gallery(recognizer, path, folder)
    opened: list[Gallery] = []
    with pytest.raises(GalleryError, match="is open in this process"):
        build_gallery(
            recognizer,
            path,
            _images(folder),
            replace=True,
            progress=lambda *_: None if opened else opened.append(Gallery.open(path)),
        )
    [gallery] = opened
    assert len(gallery) == 1
    gallery.close()
    assert path.read_bytes() == old
    assert _names(path) == ["shop.gallery"]


def test_added_images_are_one_revision(recognizer: Recognizer, folder: Path, path: Path) -> None:
    images = _images(folder)
    _old_gallery(recognizer, path, folder)
    with Gallery.open(path) as gallery:
        done = add_images(recognizer, gallery, [*images[1:], LabeledImage(folder / "gone", "x", "gone")])
        assert done.added == 5
        assert [image.source for image in done.unreadable] == ["gone"]
        assert (len(gallery), gallery.revision) == (6, 3)
        with pytest.raises(KeyboardInterrupt):
            add_images(recognizer, gallery, images, progress=_interrupt)
        with pytest.raises(GalleryError, match=r"^[^;]*$"):
            add_images(recognizer, gallery, [LabeledImage(folder / "gone", "x", "gone")])
        assert (len(gallery), gallery.revision) == (6, 3)


def test_images_are_not_added_to_another_extractors_gallery(
    recognizer: Recognizer, folder: Path, path: Path, tmp_path: Path
) -> None:
    _old_gallery(recognizer, path, folder)
    write_bundle(tmp_path / "other", name="other", weights="9" * 64)
    with (
        Recognizer.open(tmp_path / "other", threads=1) as other,
        Gallery.open(path) as gallery,
        pytest.raises(FingerprintError, match=r"tiny extractor .* other extractor"),
    ):
        add_images(other, gallery, _images(folder))


def test_a_large_gallery_gets_a_graph(
    recognizer: Recognizer, folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "GRAPH_FROM", 5)
    steps: list[str] = []
    build_gallery(recognizer, path, _images(folder), progress=lambda step, *_: steps.append(step))
    assert [step for step in steps if step != "features"] == ["images"] * 6 + ["index"]
    with Gallery.open(path) as gallery:
        assert gallery.info().search == "graph"
        assert len(gallery) == 6
    [graph] = [name for name in _names(path) if name != "shop.gallery"]
    assert graph.startswith("shop.gallery.")
    assert graph.endswith(".hnsw")


def test_an_interrupted_index_leaves_the_finished_gallery(
    recognizer: Recognizer, folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "GRAPH_FROM", 5)
    with pytest.raises(KeyboardInterrupt):
        build_gallery(
            recognizer, path, _images(folder), progress=lambda step, *_: _interrupt() if step == "index" else None
        )
    assert _names(path) == ["shop.gallery"]
    with Gallery.open(path) as gallery:
        assert len(gallery) == 6
        assert gallery.info().search == "exact"


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_leftovers_of_a_killed_build_do_not_matter(
    recognizer: Recognizer, folder: Path, path: Path, suffix: str
) -> None:
    """Old ones are dropped; a fresh one may belong to a build that goes on; others are not ours."""
    old = path.with_name(f"{path.name}.{os.getpid()}.partial{suffix}")
    fresh = path.with_name(f"{path.name}.{os.getpid()}a.partial{suffix}")
    others = path.with_name(f"{path.name}.old.1.partial{suffix}")
    for leftover in (old, fresh, others):
        leftover.write_bytes(b"half")
    for leftover in (old, others):
        os.utime(leftover, (time.time() - 90_000, time.time() - 90_000))
    assert build_gallery(recognizer, path, _images(folder)).added == 6
    assert _names(path) == sorted([path.name, fresh.name, others.name])


def test_two_builds_side_by_side_do_not_meet(recognizer: Recognizer, folder: Path, path: Path) -> None:
    """In containers, both may be process 1."""
    inner: list[Enrollment] = []

    def build_again(*_: object) -> None:
        if not inner:
            inner.append(build_gallery(recognizer, path, _images(folder)[:2]))

    outer = build_gallery(recognizer, path, _images(folder), replace=True, progress=build_again)
    assert (inner[0].added, outer.added) == (2, 6)
    with Gallery.open(path) as gallery:
        assert len(gallery) == 6
    assert _names(path) == [path.name]


@pytest.mark.parametrize("content", [b"", b"rubbish", b"SQLite format 3\0" + bytes(range(256)) * 20])
def test_a_damaged_gallery_is_replaced(recognizer: Recognizer, folder: Path, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert build_gallery(recognizer, path, _images(folder), replace=True).added == 6
    with Gallery.open(path) as gallery:
        assert len(gallery) == 6


def test_the_log_of_a_damaged_gallery_does_not_spoil_the_new_one(
    recognizer: Recognizer, folder: Path, path: Path
) -> None:
    path.write_bytes(b"rubbish")
    path.with_name(f"{path.name}-wal").write_bytes(b"log")
    assert build_gallery(recognizer, path, _images(folder), replace=True).added == 6
    assert verify(path).faults == ()


def test_replacing_reads_no_embeddings(
    recognizer: Recognizer, folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _old_gallery(recognizer, path, folder)
    reads: list[int] = []
    read = Snapshot.embeddings

    def count(self: Snapshot, ids: Ids) -> object:
        reads.append(len(ids))
        return read(self, ids)

    monkeypatch.setattr(Snapshot, "embeddings", count)
    build_gallery(recognizer, path, _images(folder), replace=True)
    assert reads == [0, 6], "those of the new file, when made and at the end"


def test_a_name_that_is_too_long(recognizer: Recognizer, folder: Path, path: Path) -> None:
    with pytest.raises(GalleryError, match="cannot be created: File name too long"):
        build_gallery(recognizer, path.with_name("x" * 300), _images(folder))


def test_an_index_that_cannot_be_built_leaves_the_report(
    recognizer: Recognizer, folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise GalleryError("the disk is full")

    monkeypatch.setattr(live_module, "GRAPH_FROM", 2)
    monkeypatch.setattr(GalleryIndex, "rebuild", refuse)
    images = [*_images(folder), LabeledImage(folder / "gone", "x", "gone")]
    done = build_gallery(recognizer, path, images)
    assert (done.added, [image.source for image in done.unreadable]) == (6, ["gone"])
    assert "no index was built, so searches take longer: the disk is full" in caplog.text
    with Gallery.open(path) as gallery:
        assert add_images(recognizer, gallery, images).added == 6


def _shell(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> object:
    """Run `shitu-edge gallery` and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["shitu-edge", "gallery", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    return exit_.value.code


def test_the_command_line_has_one_line_where_none_can_be_read_for_one_reason(
    tiny_bundle: Path,
    recognizer: Recognizer,
    folder: Path,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _old_gallery(recognizer, path, folder)
    models = ("--models", tiny_bundle)
    for image in _images(folder):
        image.path.write_bytes(b"rubbish")
    for arguments in (("build", path.with_name("new"), folder, *models), ("add", path, folder, *models)):
        assert _shell(monkeypatch, *arguments) == 1
        names = "cocoa/0.png, cocoa/1.png, mint tea/0.png, mint tea/1.png, 牛奶 250 ml/0.png and 1 more"
        told = capsys.readouterr().err
        assert re.fullmatch(rf"error: none of 6 images can be read; {names}: is not an image[^\n]*\n", told)


def test_the_command_line_opens_a_gallery_to_add_to_once(
    tiny_bundle: Path, recognizer: Recognizer, folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _old_gallery(recognizer, path, folder)
    opened: list[Path] = []
    open_ = Store.open

    def count(name: Path) -> Store:
        opened.append(name)
        return open_(name)

    monkeypatch.setattr(Store, "open", count)
    assert _shell(monkeypatch, "add", path, folder, "--models", tiny_bundle) == 0
    assert opened == [path]


def test_the_command_line_builds_a_lost_index_again(
    recognizer: Recognizer,
    folder: Path,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(live_module, "GRAPH_FROM", 5)
    build_gallery(recognizer, path, _images(folder))
    [graph] = path.parent.glob("*.hnsw")
    graph.unlink()
    assert _shell(monkeypatch, "reindex", path, "--threads", 1) == 0
    assert capsys.readouterr().out == f"{path}: index of 6 items built; 6 items in revision 2\n"
    with Gallery.open(path) as gallery:
        assert gallery.info().search == "graph"


def test_embeddings_that_came_with_images_are_checked_by_some_of_them(recognizer: Recognizer, folder: Path) -> None:
    items = [NewGalleryItem(image.label, image.source, recognizer.embed(image.path)[0]) for image in _images(folder)]
    assert check_vectors(recognizer, items, folder) == 6
    gone = [replace(item, source="gone/" + item.source) for item in items]
    assert check_vectors(recognizer, [*gone, *items[:2]], folder) == 2, "those whose image is there"
    with pytest.raises(GalleryError, match=r"holds no image of the index; expected for example gone/"):
        check_vectors(recognizer, gone, folder)
    outside = [replace(item, source=str(folder / item.source)) for item in items]
    (folder.parent / "another").mkdir()
    with pytest.raises(GalleryError, match="holds no image of the index"):
        check_vectors(recognizer, outside, folder.parent / "another")
    other = [replace(item, embedding=-item.embedding) for item in items]
    with pytest.raises(GalleryError, match="use --models to name the bundle that built the index"):
        check_vectors(recognizer, other, folder)


def _photo(path: Path, *things: tuple[int, int, tuple[int, int, int]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene(*things)).save(path)
    return path


def test_products_are_cropped_unless_told_otherwise(recognizer: Recognizer, path: Path, tmp_path: Path) -> None:
    """A thing's box is 64 × 64 of 256 × 256 pixels, 6 %; a blank counter has none."""
    photo, plain = _photo(tmp_path / "a.png", (2, 2, RED)), tmp_path / "b.png"
    Image.fromarray(faint()).save(plain)
    images = [LabeledImage(photo, "red", "a.png"), LabeledImage(plain, "plain", "b.png")]
    cut: dict[str, tuple[int, ...]] = {}
    done = build_gallery(recognizer, path, images, on_product=lambda image, p: cut.update({image.label: p.shape}))
    assert (done.added, done.whole) == (2, 1)
    assert cut == {"red": (64, 64, 3), "plain": (256, 256, 3)}
    whole = build_gallery(recognizer, path, images, crop=False, replace=True)
    assert (whole.added, whole.whole) == (2, 0)
    with Gallery.open(path) as gallery:
        rows = gallery.embeddings([item.id for item in gallery.items("red")])
        np.testing.assert_allclose(rows, recognizer.embed(photo), atol=1e-5)


def test_negatives_are_never_cropped(recognizer: Recognizer, path: Path, tmp_path: Path) -> None:
    photo = _photo(tmp_path / "a.png", (2, 2, RED))
    shapes: list[tuple[int, ...]] = []
    image = LabeledImage(photo, NEGATIVE, "a.png")
    done = build_gallery(recognizer, path, [image], on_product=lambda _, pixels: shapes.append(pixels.shape))
    assert (done.whole, shapes) == (0, [(256, 256, 3)])
    assert done.quality == EnrollmentQuality()


@pytest.mark.parametrize("relative", [True, False])
def test_boxes_are_cut_out_or_named(recognizer: Recognizer, path: Path, tmp_path: Path, relative: bool) -> None:
    photo = _photo(tmp_path / "a.png", (1, 1, RED), (5, 5, BLUE))
    boxes = {"red": (16, 16, 80, 80), "blue": (144, 144, 300, 208), "tiny": (0, 0, 15, 90), "off": (256, 0, 300, 90)}
    by = 256 if relative else 1
    images = [
        LabeledImage(photo, label, "a.png", tuple(side / by for side in box), relative)  # type: ignore[arg-type]
        for label, box in boxes.items()
    ]
    cut: dict[str, tuple[int, ...]] = {}
    done = build_gallery(recognizer, path, images, on_product=lambda image, p: cut.update({image.label: p.shape}))
    assert cut == {"red": (64, 64, 3), "blue": (64, 112, 3)}
    assert [(one.source, one.reason) for one in done.unreadable] == [
        ("a.png #3", "has a box smaller than 16 × 16 pixels"),
        ("a.png #4", "has a box outside of the image"),
    ]
    assert (done.added, done.whole, done.quality.cut) == (2, 0, ("a.png #2",))
    with Gallery.open(path) as gallery:
        rows = gallery.embeddings([item.id for item in gallery.items("red")])
        np.testing.assert_allclose(rows, recognizer.embed(photo, [boxes["red"]]), atol=1e-5)


def test_faults_are_reported(recognizer: Recognizer, path: Path, tmp_path: Path) -> None:
    red, blue = _photo(tmp_path / "red.png", (2, 2, RED)), _photo(tmp_path / "blue.png", (2, 2, BLUE))
    again = _photo(tmp_path / "again.png", (3, 3, RED))
    (tmp_path / "copy.png").write_bytes(red.read_bytes())
    images = [
        LabeledImage(red, "Red", "red.png"),
        LabeledImage(tmp_path / "copy.png", "Red", "copy.png"),
        LabeledImage(again, "Red", "again.png"),
        LabeledImage(blue, "Blue", "blue.png"),
    ]
    quality = build_gallery(recognizer, path, images).quality
    assert [(one.source, one.other_source) for one in quality.identical] == [("copy.png", "red.png")]
    assert [(one.source, one.other_source) for one in quality.repeated] == [("again.png", "red.png")]
    assert (quality.confusable, quality.few, quality.spellings) == ((), ("Blue",), ())
    with Gallery.open(path) as gallery:
        done = add_images(recognizer, gallery, [LabeledImage(again, "blue", "more.png")])
        assert [(one.source, one.other_label) for one in done.quality.confusable] == [("more.png", "Red")]
        assert done.quality.few == ("blue",)
        assert done.quality.spellings == (("Blue", "blue"),)
        replaced = replace_images(recognizer, gallery, "Red", [LabeledImage(again, "Red", "again.png")]).quality
        assert (replaced.repeated, replaced.few) == ((), ("Red",))
