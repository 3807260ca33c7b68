"""`shitu-edge gallery build` and `add`: levels of labels, crops, drawings, and notes on faults."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shitu_edge import Recognizer
from shitu_edge.bundle.built_in import SAMPLES
from shitu_edge.cli.gallery.crops import safe_name
from shitu_edge.cli.gallery.enrolled import quality_notes
from shitu_edge.demo.scenes import find_photos, judge
from shitu_edge.enrollment import EnrollmentQuality, Resemblance
from tests.shell import Shell
from tests.test_recognizer import BLUE, RED, scene


def _photo(path: Path, color: tuple[int, int, int], cell: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene((cell, cell, color))).save(path)
    return path


@pytest.fixture
def products(tmp_path: Path) -> Path:
    _photo(tmp_path / "products" / "Red" / "1.png", RED)
    _photo(tmp_path / "products" / "Red" / "2.png", RED, 3)
    _photo(tmp_path / "products" / "Blue" / "1.png", BLUE)
    return tmp_path / "products"


def test_the_level_of_the_labels_is_an_option(shell: Shell, tmp_path: Path, tiny_bundle: Path) -> None:
    _photo(tmp_path / "set" / "a" / "Red" / "1.png", RED)
    _photo(tmp_path / "set" / "b" / "Blue" / "1.png", BLUE)
    gallery, models = tmp_path / "x.gallery", ("--models", tiny_bundle)
    refused = shell("gallery", "build", gallery, tmp_path / "set", *models)
    assert refused.code == 1
    assert "or use --label-from" in refused.err
    assert refused.err.endswith(": parent gives 'Red', top gives 'a', path gives 'a / Red'\n")
    assert shell("gallery", "build", gallery, tmp_path / "set", "--label-from", "path", *models).code == 0
    assert shell("gallery", "add", gallery, tmp_path / "set", "--label-from", "parent", *models).code == 0
    listed = [json.loads(line)["label"] for line in shell("gallery", "list", gallery, "--json").out.splitlines()]
    assert listed == ["Blue", "Red", "a / Red", "b / Blue"]
    both = shell("gallery", "add", gallery, tmp_path / "set", "--label", "x", "--label-from", "top", *models)
    assert (both.code, "expected either --label, or --label-from" in both.err) == (2, True)


def test_notes_and_json_name_the_same_faults(shell: Shell, products: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    run = shell("gallery", "build", tmp_path / "x.gallery", products, "--models", tiny_bundle, "--json")
    record = json.loads(run.out)
    assert (run.code, record["added"], record["whole"]) == (0, 3, 0)
    assert record["quality"]["few"] == ["Blue", "Red"]
    (repeated,) = record["quality"]["repeated"]
    assert (repeated["source"], repeated["other_source"]) == ("Red/2.png", "Red/1.png")
    told = "note: 1 image nearly the same as another of the label, so adding nothing: Red/2.png and Red/1.png"
    assert told in run.err.splitlines()
    assert "note: 2 labels with fewer than 3 images: Blue, Red" in run.err.splitlines()
    quiet = shell("gallery", "build", tmp_path / "y.gallery", products, "--models", tiny_bundle, "-q")
    assert (quiet.code, quiet.err) == (0, "")


def test_images_that_were_not_cropped_are_counted(shell: Shell, tmp_path: Path, tiny_bundle: Path) -> None:
    pixels = np.full((256, 256, 3), 255, np.uint8)
    pixels[64:128, 64:192] = 225
    Image.fromarray(pixels).save(tmp_path / "faint.png")
    red = _photo(tmp_path / "red.png", RED)
    gallery, models = tmp_path / "x.gallery", ("--models", tiny_bundle)
    shell("gallery", "build", gallery, red.parent / "set", *models)
    (tmp_path / "list.txt").write_text("red.png\tRed\nfaint.png\tFaint\n", encoding="utf-8")
    built = shell("gallery", "build", gallery, tmp_path / "list.txt", *models)
    assert built.out.startswith(f"{gallery}: 2 images added (1 whole, as no product was found), 0 skipped; ")
    added = shell("gallery", "add", gallery, tmp_path / "list.txt", "--no-crop", *models)
    assert added.out.startswith(f"{gallery}: 2 images added, 0 skipped; ")


def test_samples_are_named_after_the_first_commands_of_the_readme(shell: Shell, tmp_path: Path) -> None:
    """As `shitu-edge demo` does; without cropping it is 24 of 29."""
    photos = find_photos(SAMPLES)
    assert shell("gallery", "build", tmp_path / "x.gallery", SAMPLES / "gallery").code == 0
    with Recognizer.open(gallery=tmp_path / "x.gallery") as recognizer:
        verdicts = [judge(recognizer.recognize(one.path).items, one.expected or ()) for one in photos.scenes]
    assert sum(verdict.products for verdict in verdicts) == 29
    assert all(verdict.right for verdict in verdicts)


def test_draw_writes_what_is_enrolled(shell: Shell, products: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    gallery, crops, models = tmp_path / "x.gallery", tmp_path / "crops", ("--models", tiny_bundle)
    assert shell("gallery", "build", gallery, products, "--draw", crops, *models).code == 0
    drawn = sorted(path.relative_to(crops).as_posix() for path in crops.rglob("*.jpg"))
    assert drawn == ["Blue/1.jpg", "Red/1.jpg", "Red/2.jpg"]
    with Image.open(crops / "Blue" / "1.jpg") as crop:
        assert crop.size == (64, 64)
        red, green, blue = np.asarray(crop.convert("RGB"))[32, 32].tolist()
        assert abs(red - BLUE[0]) + abs(green - BLUE[1]) + abs(blue - BLUE[2]) < 20
    evil = ("--label", "../../a/b", "--draw", crops, *models)
    assert shell("gallery", "add", gallery, products / "Red" / "1.png", products / "Blue" / "1.png", *evil).code == 0
    assert sorted(path.name for path in (crops / "_.._a_b").iterdir()) == ["1-2.jpg", "1.jpg"]
    assert not (tmp_path.parent / "a").exists()
    new = ("--label", "Red", "--draw", tmp_path / "new", *models)
    assert shell("gallery", "replace", gallery, products / "Red" / "1.png", *new).code == 0
    assert (tmp_path / "new" / "Red" / "1.jpg").is_file()


def test_draw_neither_overwrites_images_nor_follows_links(
    shell: Shell, products: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    (products / "Red" / "1.png").rename(products / "Red" / "1.jpg")
    before = (products / "Red" / "1.jpg").read_bytes()
    start = ("gallery", "build", tmp_path / "x.gallery", products, "--models", tiny_bundle, "--draw")
    run = shell(*start, products)
    assert (run.code, "would overwrite the image" in run.err) == (2, True)
    assert (products / "Red" / "1.jpg").read_bytes() == before
    (tmp_path / "crops").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "crops" / "Red").symlink_to(tmp_path / "elsewhere")
    run = shell(*start, tmp_path / "crops")
    assert (run.code, "leads out of" in run.err) == (2, True)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Oat milk 1 l", "Oat milk 1 l"),
        ("..", "_"),
        ("a/b\\c:d", "a_b_c_d"),
        (" .hidden. ", "hidden"),
        ("te\x1ba", "te_a"),
        ("牛奶" * 100, "牛奶" * 20),
        ("", "_"),
    ],
)
def test_safe_name(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_quality_notes_are_a_line_per_fault_with_few_names() -> None:
    names = tuple(f"{number}.jpg" for number in range(30))
    same = Resemblance("a", "Tea", "b", "Tea", 1)
    other = Resemblance("a", "Tea", "c", "Milk", 0.95)
    notes = quality_notes(
        EnrollmentQuality(names, names, names, (same, other), (same,), (other,), names, (("Tea", "tea"),))
    )
    assert len(notes) == 9
    assert notes[0] == "30 images small, under 48 pixels on a side: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 25 more"
    assert notes[3:7] == [
        "1 image the same as another of the label: a and b",
        "1 image the same as one of another label: a (Tea) and c (Milk)",
        "1 image nearly the same as another of the label, so adding nothing: a and b",
        "1 image nearly the same as one of another label: a (Tea) and c (Milk)",
    ]
    assert quality_notes(EnrollmentQuality()) == []
