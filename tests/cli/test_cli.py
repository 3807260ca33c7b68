"""The command line as a person meets it: output, exit codes, and one clear line for everything that is wrong."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shitu_edge.cli.main import app
from tests.networks import write_bundle
from tests.shell import Run, Shell
from tests.test_recognizer import BLUE, GREEN, RED, product, scene


@dataclass(frozen=True, slots=True)
class Shop:
    bundle: Path
    gallery: Path
    photo: Path

    @property
    def options(self) -> tuple[object, ...]:
        return "--models", self.bundle, "--threshold", 0.9, "--whole-image", "never"


@pytest.fixture
def shop(shell: Shell, tiny_bundle: Path, tmp_path: Path) -> Shop:
    """A gallery of two products, built from a label file, and a photo of both and a stranger."""
    for name, color in (("red.png", RED), ("green.png", GREEN)):
        Image.fromarray(product(color)).save(tmp_path / name)
    (tmp_path / "labels.txt").write_text("red.png\tRed thing\ngreen.png\t绿色 的东西\n", encoding="utf-8")
    gallery = tmp_path / "shop.gallery"
    built = shell("gallery", "build", gallery, tmp_path / "labels.txt", "--models", tiny_bundle, "--no-crop", "-q")
    assert built == Run(0, f"{gallery}: 2 images added, 0 skipped; 2 items in revision 2\n", "")
    photo = tmp_path / "counter.png"
    Image.fromarray(scene((1, 1, RED), (5, 1, GREEN), (1, 5, BLUE))).save(photo)
    return Shop(tiny_bundle, gallery, photo)


def test_recognize_prints_a_table(shell: Shell, shop: Shop) -> None:
    run = shell("recognize", shop.gallery, shop.photo, *shop.options)
    assert run.code == 0
    rows = [line.split()[1:3] for line in run.out.splitlines()[2:]]
    assert sorted(row[0] for row in rows) == ["accepted", "accepted", "unknown"]
    assert "绿色 的东西" in run.out
    assert run.err == ""


def test_recognize_prints_one_line_of_json_a_photo(shell: Shell, shop: Shop) -> None:
    run = shell("recognize", shop.gallery, shop.photo, shop.photo, *shop.options, "--json")
    answers = [json.loads(line) for line in run.out.splitlines()]
    assert [answer["image"] for answer in answers] == [str(shop.photo)] * 2
    assert {item["label"] for item in answers[0]["items"]} == {"Red thing", "绿色 的东西", None}
    assert answers[0]["made_by"]["bundle"] == "tiny"


def test_recognize_reads_stdin_and_folders(shell: Shell, shop: Shop, tmp_path: Path) -> None:
    empty = shell("recognize", shop.gallery, "-", *shop.options, stdin=b"")
    assert (empty.code, empty.err) == (1, "error: stdin is empty, expected an image on it\n")
    piped = shell("recognize", shop.gallery, "-", *shop.options, "--json", stdin=shop.photo.read_bytes())
    assert json.loads(piped.out)["image"] == "-"
    folder = shell("recognize", shop.gallery, tmp_path, *shop.options, "--json")
    names = [Path(json.loads(line)["image"]).name for line in folder.out.splitlines()]
    assert names == ["counter.png", "green.png", "red.png"]


def test_recognize_says_once_that_boxes_were_left_out(shell: Shell, shop: Shop) -> None:
    run = shell("recognize", shop.gallery, shop.photo, shop.photo, *shop.options, "--max-boxes", 1, "--json")
    assert run.err == "4 detections skipped: --max-boxes 1\n"
    for line in run.out.splitlines():
        assert [box["reason"] for box in json.loads(line)["dropped"]] == ["max_boxes"] * 2
    assert (
        shell("recognize", shop.gallery, shop.photo, *shop.options, "--max-boxes", 2).err
        == "1 detection skipped: --max-boxes 2\n"
    )
    assert shell("recognize", shop.gallery, shop.photo, *shop.options, "--max-boxes", 3).err == ""


def test_recognize_names_what_it_does_not_use_of_a_folder(shell: Shell, shop: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "seen"
    folder.mkdir()
    shop.photo.rename(folder / "counter")
    (folder / "counter.jfif").write_bytes((folder / "counter").read_bytes())
    (folder / "notes.txt").write_text("notes")
    (folder / "Thumbs.db").write_text("thumbs")
    (folder / "damaged.jpg").touch()
    run = shell("recognize", shop.gallery, folder, *shop.options, "--json")
    assert [Path(json.loads(line)["image"]).name for line in run.out.splitlines()] == [
        *("counter", "counter.jfif", "damaged.jpg"),
    ]
    assert run.code == 1
    assert run.err.splitlines() == [
        "skipped: notes.txt: is not an image",
        f"error: {folder / 'damaged.jpg'}: is empty",
    ]


def test_recognize_goes_on_after_a_bad_photo(shell: Shell, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no image")
    run = shell("recognize", shop.gallery, tmp_path / "bad.jpg", shop.photo, *shop.options, "--json")
    assert run.code == 1
    assert [bool(json.loads(line).get("error")) for line in run.out.splitlines()] == [True, False]


def test_what_pillow_warns_of_is_not_printed(shell: Shell, shop: Shop, tmp_path: Path) -> None:
    """Sound pixels beside EXIF that announces five entries and holds one."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\5\0\x12\1\3\0\1\0\0\0\1\0\0\0"
    Image.open(shop.photo).save(tmp_path / "exif.jpg", exif=exif, quality=95)
    run = shell("recognize", shop.gallery, tmp_path / "exif.jpg", *shop.options)
    assert (run.code, run.err) == (0, "")


def test_draw_marks_the_boxes(shell: Shell, shop: Shop, tmp_path: Path) -> None:
    run = shell("recognize", shop.gallery, shop.photo, *shop.options, "--draw", tmp_path / "seen")
    assert run.code == 0
    drawn = np.asarray(Image.open(tmp_path / "seen" / "counter.png").convert("RGB")).astype(int)
    changed = np.abs(drawn - np.asarray(Image.open(shop.photo))).sum(axis=2) > 0
    # The red thing's box is 16..80: its left side is drawn, its middle is not.
    assert changed[30:70, 16].all()
    assert not changed[40:60, 40:60].any()


@pytest.mark.parametrize("command", ["recognize", "add"])
def test_max_megapixels_is_the_limit_of_pixels(shell: Shell, shop: Shop, tmp_path: Path, command: str) -> None:
    large = tmp_path / "large.png"
    Image.fromarray(scene((1, 1, RED), side=1200)).save(large)
    start: tuple[object, ...] = ("recognize", shop.gallery, large, "--models", shop.bundle)
    if command == "add":
        start = ("gallery", "add", shop.gallery, large, "--label", "Large", "--models", shop.bundle)
    refused = shell(*start, "--max-megapixels", 1)
    assert refused.code == 1
    assert "1200 × 1200 pixels are more than 1000000; " in refused.err
    assert "--max-megapixels" in refused.err
    assert shell(*start, "--max-megapixels", 2).code == 0


def test_a_jpeg_over_the_limit_is_recognized_and_drawn_at_reduced_scale(
    shell: Shell, shop: Shop, tmp_path: Path
) -> None:
    large = tmp_path / "large.jpg"
    Image.fromarray(scene((1, 1, RED), side=1200)).save(large, quality=95)
    options = (large, *shop.options, "--max-megapixels", 1)
    run = shell("recognize", shop.gallery, *options, "--json", "--draw", tmp_path / "seen")
    assert run.code == 0
    answer = json.loads(run.out)
    assert (answer["width"], answer["height"]) == (1200, 1200)
    assert [item["label"] for item in answer["items"]] == ["Red thing"]
    with Image.open(tmp_path / "seen" / "large.jpg") as drawn:
        assert drawn.size == (600, 600)
    exact = shell("recognize", shop.gallery, *options, "--decode", "exact")
    assert exact.code == 1
    assert "1200 × 1200 pixels are more than 1000000" in exact.err


def test_drawings_of_equal_names_are_all_kept(shell: Shell, shop: Shop, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "0.png").write_bytes(shop.photo.read_bytes())
    shell(
        "recognize", shop.gallery, tmp_path / "in", shop.photo, shop.photo, *shop.options, "--draw", tmp_path / "seen"
    )
    drawn = sorted(path.relative_to(tmp_path / "seen").as_posix() for path in (tmp_path / "seen").rglob("*.png"))
    assert drawn == ["a/0.png", "b/0.png", "counter-2.png", "counter.png"]


def test_drawing_where_a_file_lies_is_one_line(shell: Shell, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = shell("recognize", shop.gallery, shop.photo, *shop.options, "--draw", tmp_path / "file")
    assert run.code == 1
    assert re.fullmatch(r"error: [^\n]*file[^\n]*\n", run.err)


def test_gallery_commands(shell: Shell, shop: Shop, tmp_path: Path) -> None:
    listed = [json.loads(line) for line in shell("gallery", "list", shop.gallery, "--json").out.splitlines()]
    assert [(one["label"], one["items"]) for one in listed] == [("Red thing", 1), ("绿色 的东西", 1)]
    info = json.loads(shell("gallery", "info", shop.gallery, "--json").out)
    assert (info["items"], info["labels"], info["search"], info["extractor"]) == (2, 2, "exact", "tiny extractor")
    Image.fromarray(product(BLUE)).save(tmp_path / "blue.png")
    added = shell(
        "gallery", "add", shop.gallery, tmp_path / "blue.png", "--label", "Blue", "--models", shop.bundle, "--no-crop"
    )
    assert added.out == f"{shop.gallery}: 1 image added, 0 skipped; 3 items in revision 3\n"
    found = shell("gallery", "search", shop.gallery, tmp_path / "blue.png", "--models", shop.bundle, "-k", 2, "--json")
    matches = [json.loads(line) for line in found.out.splitlines()]
    assert (len(matches), matches[0]["label"]) == (2, "Blue")
    assert matches[0]["similarity"] == pytest.approx(1, abs=1e-6)
    item = json.loads(shell("gallery", "list", shop.gallery, "--label", "Blue", "--json").out)
    assert item["source"] == str(tmp_path / "blue.png")
    assert "Red thing" in shell("gallery", "list", shop.gallery).out
    assert "revision" in shell("gallery", "info", shop.gallery).out


def test_build_from_folders_names_what_it_skips(shell: Shell, tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "products" / "Oat milk 1 l").mkdir(parents=True)
    Image.fromarray(product(RED)).save(tmp_path / "products" / "Oat milk 1 l" / "a.png")
    (tmp_path / "products" / "Oat milk 1 l" / "b.jpg").write_bytes(b"broken")
    run = shell("gallery", "build", tmp_path / "g", tmp_path / "products", "--models", tiny_bundle, "--no-crop")
    assert run.code == 0
    skipped, *notes = run.err.splitlines()
    assert skipped.startswith("skipped: Oat milk 1 l/b.jpg: is not an image in a known format")
    assert notes == ["note: 1 label with fewer than 3 images: Oat milk 1 l"]
    assert run.out.endswith("1 image added, 1 skipped; 1 item in revision 2\n")


def test_without_any_bundle(shell: Shell, shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shitu_edge.bundle.manifest.BUNDLES", tmp_path / "none")
    run = shell("recognize", shop.gallery, shop.photo)
    assert (run.code, run.out) == (1, "")
    assert re.fullmatch(r"error: no model bundle was named[^\n]*\n", run.err)


def test_models_commands(shell: Shell, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shitu_edge.bundle.manifest.BUNDLES", tmp_path / "none")
    monkeypatch.setenv("SHITU_EDGE_MODELS", str(tiny_bundle.parent))
    listed = json.loads(shell("models", "list", "--json").out)
    assert listed == {"schema_version": 1, "name": "tiny", "folder": str(tiny_bundle), "description": "for tests"}
    assert "tiny detector" in shell("models", "show", "tiny").out
    assert json.loads(shell("models", "show", "tiny", "--json").out)["manifest"]["extractor"]["dim"] == 48
    assert shell("models", "verify", "tiny").out == f"{tiny_bundle}: 2 files verified\n"


def test_doctor_examines_this_machine(shell: Shell) -> None:
    run = shell("doctor", "--json")
    report = json.loads(run.out)
    assert report["works"] is (run.code == 0)
    assert report["threads"] >= 1
    assert report["selftests"]["hnswlib"]["problem"] is None


def test_version_and_help(shell: Shell) -> None:
    assert re.fullmatch(r"shitu-edge \d+\.\d+\.\d+\n", shell("--version").out)
    assert "recognize" in shell("--help").out


def _commands() -> list[list[str]]:
    """Return every command there is, as words."""
    from typer.main import get_command

    found: list[list[str]] = []

    def walk(command: object, words: list[str]) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found.append(words)
            return
        for name, child in children.items():
            walk(child, [*words, name])

    walk(get_command(app), [])
    return found


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(shell: Shell, command: list[str]) -> None:
    run = shell(*command, "--help")
    assert run.code == 0
    assert f"Example: shitu-edge {' '.join(command)}" in " ".join(run.out.split())


def _broken_inputs(shop: Shop, folder: Path) -> dict[str, tuple[list[object], str]]:
    """Return command lines that cannot work, each with what its one line must say."""
    whole = io.BytesIO()
    Image.fromarray(scene((1, 1, RED), side=512)).save(whole, "JPEG")
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("hello")
    (folder / "cut.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (folder / "nothing").mkdir()
    (folder / "nothing" / "notes.txt").touch()
    (folder / "text.gallery").write_text("hello")
    (folder / "labels.bad").write_text("a.jpg Red\n")
    altered = write_bundle(folder / "altered").folder
    with (altered / "extractor.onnx").open("ab") as stream:
        stream.write(b"\0")
    missing = write_bundle(folder / "missing").folder
    (missing / "detector.onnx").unlink()
    other = write_bundle(folder / "other", name="other", weights="f" * 64).folder
    models = ["--models", shop.bundle]
    gallery = [shop.gallery]
    return {
        "missing photo": (["recognize", *gallery, folder / "no.jpg", *models], "no.jpg: cannot be read: No such file"),
        "empty photo": (["recognize", *gallery, folder / "empty.jpg", *models], "empty.jpg: is empty"),
        "text as photo": (["recognize", *gallery, folder / "text.jpg", *models], "text.jpg: is not an image"),
        "cut photo": (["recognize", *gallery, folder / "cut.jpg", *models], "cut.jpg: cannot be decoded: .*truncated"),
        "folder without photos": (
            ["recognize", *gallery, folder / "nothing", *models],
            "nothing: no images in this folder; notes.txt: is empty",
        ),
        "missing bundle": (["recognize", *gallery, shop.photo, "--models", "no"], "no: no such bundle"),
        "altered bundle": (
            ["recognize", *gallery, shop.photo, "--models", altered],
            "extractor.onnx: checksum mismatch",
        ),
        "incomplete bundle": (
            ["recognize", *gallery, shop.photo, "--models", missing],
            "detector.onnx: cannot be read",
        ),
        "verify altered": (["models", "verify", altered], "extractor.onnx: checksum mismatch"),
        "show a folder": (["models", "show", folder / "nothing"], "bundle.json: cannot be read"),
        "missing gallery": (
            ["recognize", "no", shop.photo, *models],
            "no: cannot be opened: .*gallery build",
        ),
        "text as gallery": (["gallery", "info", folder / "text.gallery"], "text.gallery: is not a gallery"),
        "gallery of another": (
            ["recognize", *gallery, shop.photo, "--models", other],
            "tiny extractor .* other extractor",
        ),
        "search in another": (["gallery", "search", shop.gallery, shop.photo, "--models", other], "other extractor"),
        "label that is none": (["gallery", "list", shop.gallery, "--label", "no"], "has no label 'no'"),
        "gallery that exists": (["gallery", "build", shop.gallery, folder / "labels.txt", *models], "already exists"),
        "label file without tab": (
            ["gallery", "build", "g", folder / "labels.bad", *models],
            "line 1: expected path<TAB>",
        ),
        "folder without labels": (["gallery", "build", "g", folder / "nothing", *models], "nothing: no images in it"),
        "unwritable gallery": (["gallery", "build", "no/g", folder / "labels.txt", *models], "there is no folder"),
        "precision there is not": (
            ["recognize", *gallery, shop.photo, *models, "--precision", "int8"],
            "no int8 files",
        ),
    }


def test_bad_input_gives_one_line_and_exit_code_1(shell: Shell, shop: Shop, tmp_path: Path) -> None:
    for name, (arguments, expected) in _broken_inputs(shop, tmp_path).items():
        run = shell(*arguments)
        assert run.code == 1, name
        assert run.out == "", name
        assert re.fullmatch(rf"error: [^\n]*{expected}[^\n]*\n", run.err), f"{name}: {run.err}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["recognize", "none", "a.jpg", "--draw", "file/seen"],
        ["gallery", "audit", "none", "--draw", "file/audit.png"],
        ["demo", "--out", "file/demo"],
        ["bench", "-o", "file/a.json"],
        ["bench", "-o", "file/a.md"],
        ["bench", "-o", "file/a.html"],
        ["tune", "--out", "file/a"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_written_is_refused_before_the_work(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """There is no such bundle or gallery, which is what would be told later."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("SHITU_EDGE_BUNDLE", "no-such-bundle")
    assert shell(*arguments) == Run(1, "", f"error: {arguments[-1]}: Not a directory\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["recognize"],
        ["recognize", "a.jpg"],
        ["recognize", "g", "a.jpg", "--engine", "tensorrt"],
        *(["recognize", "g", "a.jpg", "--threads", value] for value in ("0", "1.5", "1025", "nan")),
        *(["recognize", "g", "a.jpg", "--max-boxes", value] for value in ("0", "1.5", "nan")),
        *(["recognize", "g", "a.jpg", "--deadline-ms", value] for value in ("-1", "nan", "inf", "5s")),
        *(["recognize", "g", "a.jpg", "--threshold", value] for value in ("2", "nan")),
        *(["recognize", "g", "a.jpg", "--margin", value] for value in ("-0.1", "nan")),
        *(["bench", "--budget-ms", value] for value in ("-1", "nan")),
        *(["bench", "--seconds", value] for value in ("0", "nan", "inf")),
        *(["bench", option, "0"] for option in ("--objects", "--count", "--gallery-size", "--threads")),
        ["tune", "--count", "1"],
        ["gallery", "audit", "g", "--similarity", "nan"],
        ["gallery", "nothing"],
        ["nothing"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(shell: Shell, arguments: list[str]) -> None:
    run = shell(*arguments)
    assert run.code == 2
    assert "Traceback" not in run.err


def test_output_that_nobody_reads_is_no_traceback(shell: Shell, shop: Shop) -> None:
    """`shitu-edge ... | head -1` ends the reader early."""
    code = os.system(
        f"{sys.executable} -m shitu_edge recognize {shop.gallery} {' '.join([str(shop.photo)] * 40)} --json "
        f"--models {shop.bundle} 2> {shop.photo.parent / 'err'} | head -c 10 > /dev/null"
    )
    assert code == 0
    assert "Traceback" not in (shop.photo.parent / "err").read_text()
