"""`shitu-edge gallery`, command by command: what it prints, what it does, and one line for what is wrong."""

from __future__ import annotations

import getpass
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shitu_edge import Recognizer
from shitu_edge.cli import main
from shitu_edge.gallery import Gallery, NewGalleryItem, Origin
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.paddle_index import read_paddle_index
from shitu_edge.gallery.store import Meta
from shitu_edge.gallery.transfer.intake import take_in
from tests.gallery.damage import DAMAGES
from tests.gallery.rows import older_labels, relabel, skip_without_milvus
from tests.networks import DIM, write_bundle
from tests.test_recognizer import BLUE, GREEN, RED, product

EXTRACTOR = "tiny extractor"


@dataclass(frozen=True, slots=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[list[str]]:
        """The words of each line of the output."""
        return [line.split() for line in self.out.splitlines()]


Shell = Callable[..., Run]


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shell:
    """Run `shitu-edge gallery` with arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(getpass, "getuser", lambda: "somebody")

    def run(*arguments: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["shitu-edge", "gallery", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        code = exit_.value.code
        return Run(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return run


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of three products, of one two images."""
    folder = tmp_path / "products"
    for label, name, color in (("Red", "1", RED), ("Red", "2", RED), ("绿色 的", "1", GREEN), ("Blue", "1", BLUE)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(product(color)).save(folder / label / f"{name}.png")
    return folder


@pytest.fixture
def path(shell: Shell, images: Path, tiny_bundle: Path) -> Path:
    """A gallery of them: Blue 1, Red 2 and 3, 绿色 的 4."""
    run = shell("build", "shop.gallery", images, "--models", tiny_bundle, "--no-crop", "-q")
    assert run == Run(0, "shop.gallery: 4 images added, 0 skipped; 4 items in revision 2\n", "")
    return Path("shop.gallery")


def _records(run: Run) -> list[dict[str, object]]:
    """The objects of JSON that were printed, one per line, without their version."""
    records = [json.loads(line) for line in run.out.splitlines()]
    assert all(next(iter(record)) == "schema_version" and record.pop("schema_version") == 1 for record in records)
    return records


def _counts(shell: Shell, path: str | Path) -> dict[object, object]:
    """The labels of a gallery with their number of items."""
    return {record["label"]: record["items"] for record in _records(shell("list", path, "--json"))}


def _log(shell: Shell, path: Path) -> dict[str, object]:
    """The newest line of the log."""
    newest: dict[str, object] = json.loads(shell("log", path, "--json", "-n", 1).out)
    return newest


# -- enroll


def test_build(shell: Shell, path: Path, images: Path, tiny_bundle: Path) -> None:
    again = shell("build", path, images, "--models", tiny_bundle)
    assert again == Run(
        1, "", f"error: {path}: already exists; use --replace to build it again, or `gallery add` to add to it\n"
    )
    replaced = shell("build", path, images, "--models", tiny_bundle, "--replace", "--no-crop", "-q")
    assert replaced == Run(0, f"{path}: 4 images added, 0 skipped; 4 items in revision 2\n", "")


def test_cropped_to_the_product(shell: Shell, path: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    """A thing in a corner of its photo is known where it stands alone, as the photo as a whole would not make it."""
    photo = np.full((256, 256, 3), 255, np.uint8)
    photo[96:128, 96:128] = (0, 160, 160)
    Image.fromarray(photo).save(tmp_path / "cyan.png")
    options = ["--label", "Cyan", "--models", tiny_bundle]
    whole = shell("add", path, tmp_path / "cyan.png", *options, "--no-crop")
    cropped = shell("add", path, tmp_path / "cyan.png", *options)
    assert (whole.code, cropped.code) == (0, 0)
    with Gallery.open(path, background=False) as gallery, Recognizer.open(tiny_bundle) as recognizer:
        last, crop = gallery.embeddings([entry.id for entry in gallery.items()][-2:])
        np.testing.assert_allclose(last, recognizer.embed(photo)[0], atol=1e-5)
        np.testing.assert_allclose(crop, recognizer.embed(photo, crop=True)[0], atol=1e-5)
    assert float(last @ crop) < 0.99


def test_add_and_who_did_it(shell: Shell, path: Path, images: Path, tiny_bundle: Path) -> None:
    photo = images / "Blue" / "1.png"
    added = shell("add", path, photo, photo, "--label", "More", "--models", tiny_bundle, "--no-crop", "-q")
    assert added == Run(0, f"{path}: 2 images added, 0 skipped; 6 items in revision 3\n", "")
    line = _log(shell, path)
    assert (line["author"], line["note"], line["added"], line["removed"]) == ("somebody", "", 2, 0)
    shell("add", path, images, "--models", tiny_bundle, "--author", "ann", "--note", "牛奶 is back")
    line = _log(shell, path)
    assert (line["author"], line["note"], line["added"]) == ("ann", "牛奶 is back", 4)


def test_every_file_is_used_or_named_and_missing_labels_are_exit_code_1(
    shell: Shell, images: Path, tiny_bundle: Path
) -> None:
    (images / "Empty").mkdir()
    (images / "Empty" / ".keep").touch()
    (images / "Damaged").mkdir()
    whole = (images / "Red" / "1.png").read_bytes()
    (images / "Damaged" / "1.png").write_bytes(whole[: len(whole) // 2])
    (images / "Blue" / "photo.jfif").write_bytes(whole)
    (images / "Blue" / "price.txt").write_text("1,99")
    (images / "loose.png").write_bytes(whole)
    run = shell("build", "shop.gallery", images, "--models", tiny_bundle, "--no-crop")
    assert (run.code, run.out) == (1, "shop.gallery: 5 images added, 3 skipped; 5 items in revision 2\n")
    lines = run.err.splitlines()
    assert lines[:2] == [
        "skipped: loose.png: is not in a subfolder named after its label",
        "skipped: Blue/price.txt: is not an image",
    ]
    assert lines[2].startswith("skipped: Damaged/1.png: cannot be decoded: ")
    assert lines[-1] == "error: 2 labels without an item: Damaged, Empty; use --allow-missing to accept this"
    assert {line.partition(":")[0] for line in lines[3:-1]} == {"note"}
    options = ("--models", tiny_bundle, "--no-crop", "--replace", "--allow-missing")
    allowed = shell("build", "shop.gallery", images, *options)
    assert (allowed.code, allowed.out) == (0, run.out)
    assert allowed.err.splitlines()[-1] == "note: 2 labels without an item: Damaged, Empty"


def test_labels_of_a_label_file_are_missing_too(shell: Shell, path: Path, images: Path, tiny_bundle: Path) -> None:
    Path("labels.csv").write_text("path;label\nproducts/Red/1.png;Red\nproducts/gone.png;Tea\n", encoding="utf-8")
    run = shell("add", path, "labels.csv", "--models", tiny_bundle, "--no-crop")
    assert (run.code, run.out) == (1, f"{path}: 1 image added, 1 skipped; 5 items in revision 3\n")
    assert run.err.splitlines() == [
        "note: labels.csv: the first line is read as a header: path (the path), label (the label)",
        "skipped: products/gone.png: cannot be read: No such file or directory",
        "note: 1 image nearly the same as another of the label, so adding nothing: products/Red/1.png and Red/1.png",
        "error: 1 label without an item: Tea; use --allow-missing to accept this",
    ]


def test_a_wrong_root_is_one_line(shell: Shell, images: Path, tiny_bundle: Path) -> None:
    Path("labels.txt").write_text("".join(f"images/{number}.jpg\tTea\n" for number in range(2640)))
    run = shell("build", "shop.gallery", "labels.txt", "--models", tiny_bundle)
    found = "none of its 2640 images found: looked in . for images/0.jpg, for example"
    remedy = "correct the paths, or move the file to the folder in which they begin"
    assert run == Run(1, "", f"error: labels.txt: {found}; {remedy}\n")
    assert not Path("shop.gallery").exists()


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        (os.fsdecode("可乐".encode("gbk")), "as GBK it reads '可乐'"),
        ("te\x1ba", "holds a control character, U[+]001B"),
        ("x" * 201, "has 201 characters, expected at most 200"),
        ("deep/er", "images lie in nested folders"),
    ],
    ids=["GBK", "ESC", "long", "deep"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="names that not every system allows")
def test_what_cannot_be_labels_is_refused_before_the_work(
    shell: Shell, images: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, folder: str, reason: str
) -> None:
    if folder == "deep/er":
        shutil.rmtree(images)
    (images / folder).mkdir(parents=True)
    Image.fromarray(product(RED)).save(images / folder / "1.png")
    monkeypatch.setattr("shitu_edge.cli.gallery.enroll.open_recognizer", lambda *_: pytest.fail("networks were opened"))
    run = shell("build", "shop.gallery", images, "--models", tiny_bundle)
    assert (run.code, run.out) == (1, "")
    assert re.fullmatch(rf"error: [^\n]*{reason}[^\n]*\n", run.err)
    for command in ("add", "replace"):
        label = shell(command, "shop.gallery", images / "1.png", "--label", "te\x1ba", "--models", tiny_bundle)
        assert label == Run(1, "", "error: --label: the label holds a control character, U+001B\n")


def test_labels_of_older_galleries_are_named_and_can_be_mended(shell: Shell, path: Path) -> None:
    with older_labels(), Gallery.open(path, background=False) as gallery:
        relabel(gallery, [1], "可乐\t2")
        relabel(gallery, [2, 3], "te\u200ba")
    run = shell("verify", path)
    assert (run.code, run.err) == (0, "")
    remedy = "use `gallery rename` or `relabel`"
    assert run.out.splitlines() == [
        f"advice: label 'te\\u200ba' (items 2, 3) holds invisible characters; {remedy}",
        f"advice: label '可乐\\t2' (items 1) holds a control character, U+0009; {remedy}",
        f"{path}: 4 items in revision 4: no faults",
    ]
    assert len(json.loads(shell("verify", path, "--json").out)["advice"]) == 2
    assert _records(shell("list", path, "--label", "te\u200ba", "--json"))[0]["id"] == 2
    assert shell("rename", path, "te\u200ba", "tea").code == 0
    assert shell("relabel", path, "可乐", 1).code == 0
    assert shell("verify", path).out == f"{path}: 4 items in revision 6: no faults\n"


@pytest.mark.shared_data
def test_products_as_they_come(shell: Shell, shared: Path, tiny_bundle: Path) -> None:
    run = shell("build", "odd.gallery", shared / "data" / "odd" / "products", "--models", tiny_bundle)
    assert run.code == 1
    assert "loose.jpg: is not in a subfolder" in run.err
    assert re.search("without an item: (Empty|.*Empty.*可乐)", run.err)


def test_replace(shell: Shell, path: Path, images: Path, tiny_bundle: Path) -> None:
    photo = images / "Blue" / "1.png"
    options = ("--label", "Red", "--models", tiny_bundle, "--author", "", "--no-crop")
    assert shell("replace", path, photo, *options).out == f"{path}: 1 image added, 0 skipped; 3 items in revision 3\n"
    line = _log(shell, path)
    assert (line["author"], line["note"]) == ("", "new images of Red")
    assert (line["added"], line["removed"]) == (1, 2)
    assert _counts(shell, path) == {"Blue": 1, "Red": 1, "绿色 的": 1}
    wrong = shell("replace", path, photo, "--label", "None", "--models", tiny_bundle)
    assert wrong == Run(1, "", "error: there is no item labeled 'None'\n")


# -- change


def test_remove(shell: Shell, path: Path) -> None:
    assert shell("remove", path, 2, 4).out == f"{path}: 2 items removed; 2 items in revision 3\n"
    assert (
        shell("remove", path, "--label", "Red", "--note", "sold out").out
        == f"{path}: 1 item removed; 1 item in revision 4\n"
    )
    line = _log(shell, path)
    assert (line["author"], line["note"], line["removed"]) == ("somebody", "sold out", 1)
    assert shell("remove", path, "--source", "Blue/1.png").out == f"{path}: 1 item removed; 0 items in revision 5\n"


def test_rename_and_relabel(shell: Shell, path: Path) -> None:
    assert shell("rename", path, "Red", "红").out == f"{path}: 2 items renamed; 4 items in revision 3\n"
    taken = shell("rename", path, "红", "Blue")
    hint = "merge with --merge (merge=True), or choose another label"
    assert taken == Run(1, "", f"error: 1 item has the label 'Blue' already; {hint}\n")
    assert shell("rename", path, "红", "Blue", "--merge", "--author", "ann").out.startswith(
        f"{path}: 2 items renamed; 4 items"
    )
    assert _log(shell, path)["author"] == "ann"
    assert (
        shell("relabel", path, "Tea", 1, 2, "--note", "audit").out
        == f"{path}: 2 items relabeled; 4 items in revision 5\n"
    )
    assert _log(shell, path)["note"] == "audit"
    assert _counts(shell, path) == {"Blue": 1, "Tea": 2, "绿色 的": 1}


# -- look


def test_list(shell: Shell, path: Path) -> None:
    assert shell("list", path).lines == [["items", "label"], ["1", "Blue"], ["2", "Red"], ["1", "绿色", "的"]]
    assert _counts(shell, path) == {"Blue": 1, "Red": 2, "绿色 的": 1}
    assert shell("list", path, "--label", "Red").lines == [["item", "source"], ["2", "Red/1.png"], ["3", "Red/2.png"]]
    items = _records(shell("list", path, "--label", " Red ", "--json"))
    assert items == [{"id": 2, "label": "Red", "source": "Red/1.png"}, {"id": 3, "label": "Red", "source": "Red/2.png"}]
    none = shell("list", path, "--label", "Tea")
    assert none == Run(1, "", f"error: {path} has no label 'Tea'; `gallery list {path}` lists its labels\n")


def test_info(shell: Shell, path: Path) -> None:
    (facts,) = _records(shell("info", path, "--json"))
    assert (facts["revision"], facts["items"], facts["labels"], facts["dim"]) == (2, 4, 3, DIM)
    assert (facts["extractor"], facts["search"]) == (EXTRACTOR, "exact")
    assert facts.pop("calibration") is None
    lines = shell("info", path).out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("calibration"))
    printed = dict(line.split(maxsplit=1) for line in lines[:place])
    assert printed == {name: str(value) for name, value in facts.items()}
    assert f"made with the extractor {EXTRACTOR}: name its bundle with --models" in " ".join(" ".join(lines).split())


def test_diff_names_settings_that_changed(shell: Shell, path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        with gallery.change() as change:
            change.set("target", b"1")
            change.set("look_alikes", b"[]")
        gallery.remove([1])
    line = "settings changed: look_alikes, target\n"
    assert shell("diff", path, 2, 3) == Run(0, line, "")
    assert shell("diff", path, 4, 2).out.splitlines()[1:] == [
        *shell("diff", path, 4, 3).out.splitlines()[1:],
        line[:-1],
    ]
    assert shell("diff", path, 3, 3) == Run(0, "no differences\n", "")
    names = {"change": "settings", "names": ["look_alikes", "target"]}
    assert _records(shell("diff", path, 2, 3, "--json")) == [names]
    assert [line["change"] for line in _records(shell("diff", path, 2, "--json"))] == ["removed", "settings"]


def test_search(shell: Shell, path: Path, images: Path, tiny_bundle: Path) -> None:
    photo = images / "Blue" / "1.png"
    run = shell("search", path, photo, "-k", 2, "--models", tiny_bundle)
    assert run.lines[:2] == [["similarity", "item", "label"], ["1.000", "1", "Blue"]]
    assert len(run.lines) == 3
    found = _records(shell("search", path, photo, "--json", "--models", tiny_bundle))
    assert (len(found), found[0]["item_id"]) == (4, 1)


# -- history


def test_log_diff_rollback_and_prune(shell: Shell, path: Path) -> None:
    shell("rename", path, "Red", "红", "--note", "why not")
    shell("remove", path, 1)
    log = _records(shell("log", path, "--json"))
    assert [line["revision"] for line in log] == [4, 3, 2, 1]
    printed = shell("log", path, "-n", 2).lines
    assert printed[0] == ["revision", "when", "(UTC)", "added", "removed", "author", "note"]
    assert printed[2] == ["3", *str(log[1]["created_at"])[:16].split("T"), "+2", "-2", "somebody", "why", "not"]
    assert len(printed) == 3
    assert shell("diff", path, 2, 2) == Run(0, "no differences\n", "")
    assert shell("diff", path, 2, 3).lines[1:] == [
        *(["-", "2", "Red", "Red/1.png"], ["+", "2", "红", "Red/1.png"]),
        *(["-", "3", "Red", "Red/2.png"], ["+", "3", "红", "Red/2.png"]),
    ]
    assert _records(shell("diff", path, 3, "--json")) == [
        {"change": "removed", "id": 1, "label": "Blue", "source": "Blue/1.png"}
    ]
    back = shell("rollback", path, 2, "--author", "ann")
    assert back.out == f"{path}: 3 added, 2 removed, as in revision 2; 4 items in revision 5\n"
    line = _log(shell, path)
    assert (line["author"], line["note"], line["digest"]) == ("ann", "rolled back to revision 2", log[2]["digest"])
    shell("remove", path, 4)
    assert re.fullmatch(
        rf"{path}: 1 removed item deleted, \d+\.\d MB freed; 3 items in revision 6\n",
        shell("prune", path, "--keep", 0).out,
    )
    assert shell("rollback", path, 5) == Run(
        1, "", "error: expected a revision from 6 to 6, found 5; older ones were pruned\n"
    )
    assert len(_records(shell("log", path, "--json"))) == 6


# -- care


def test_reindex_and_verify(shell: Shell, path: Path) -> None:
    assert shell("verify", path) == Run(0, f"{path}: 4 items in revision 2: no faults\n", "")
    assert shell("reindex", path, "--m", 8, "--threads", 1) == Run(
        0, f"{path}: index of 4 items built; 4 items in revision 2\n", ""
    )
    assert json.loads(shell("info", path, "--json").out)["search"] == "graph"
    sound = f"{path}: 4 items in revision 2: no faults; the index finds 100.0% of the 10 nearest items\n"
    assert shell("verify", path) == Run(0, sound, "")
    (found,) = _records(shell("verify", path, "--json"))
    assert found == {"gallery": str(path), "revision": 2, "items": 4, "recall": 1.0, "faults": [], "advice": []}


def test_verify_advises_reindex_for_lost_index(shell: Shell, path: Path) -> None:
    shell("reindex", path, "--threads", 1)
    for index in path.parent.glob("*.hnsw"):
        index.unlink()
    run = shell("verify", path)
    assert run.code == 1
    assert run.out.splitlines()[-1].endswith("1 fault, in the index alone; `gallery reindex` rebuilds it")
    assert shell("reindex", path, "--threads", 1).code == 0
    assert shell("verify", path).code == 0


def test_verify_and_repair_what_is_damaged(shell: Shell, path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        gallery.add([NewGalleryItem("Tea", "tea.jpg", np.eye(DIM, dtype=np.float32)[0])])
    DAMAGES["label"].do(path)
    run = shell("verify", path)
    assert (run.code, run.err) == (1, "")
    assert "item 5 (x, tea.jpg): checksum mismatch: it was altered" in run.out.splitlines()
    assert run.out.splitlines()[-1].endswith("1 fault; `gallery repair` keeps everything that is intact")
    as_json = shell("verify", path, "--json")
    assert as_json.code == 1
    assert json.loads(as_json.out)["faults"]
    repaired = shell("repair", path)
    assert repaired.code == 0
    assert repaired.err == "lost: item 5 (x, tea.jpg): checksum mismatch: it was altered\n"
    assert (
        repaired.out == f"{path}: 4 kept, 1 lost, new history; original kept as {path}.damaged; 4 items in revision 4\n"
    )
    assert shell("verify", path).code == 0


def test_opening_a_damaged_gallery_names_the_repair(shell: Shell, path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        gallery.add([NewGalleryItem("Tea", "tea.jpg", np.eye(DIM, dtype=np.float32)[0])])
    DAMAGES["short embedding"].do(path)
    run = shell("info", path)
    assert (run.code, run.out) == (1, "")
    assert re.fullmatch(r"error: .*shop\.gallery: is damaged: [^\n]* keeps at least 4 of 5 items\n", run.err)


def test_repair_by_the_bundle(shell: Shell, path: Path, tiny_bundle: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        expected = gallery.items()
    data = bytearray(path.read_bytes())
    data[data.index(b"fingerprint")] ^= 0x20
    path.write_bytes(data)
    assert "name its bundle" in shell("repair", path).err
    assert shell("repair", path, "--models", tiny_bundle).code == 0
    with Gallery.open(path, background=False) as gallery:
        assert gallery.items() == expected


def test_audit(shell: Shell, path: Path) -> None:
    shell("relabel", path, "Other", 3)
    run = shell("audit", path)
    assert run.code == 0
    found = json.loads(shell("audit", path, "--json").out)
    assert (found["items"], found["labels"]) == (4, 4)
    pairs = found["near_duplicates"]
    assert (2, 3) in [(pair["first"]["id"], pair["second"]["id"]) for pair in pairs]
    assert f"Near duplicates under two labels: {len(pairs)}\n" in run.out


def test_audit_draws_no_image_from_outside_its_folder(shell: Shell, path: Path, images: Path) -> None:
    outside = images.parent / "outside.png"
    Image.fromarray(product(RED)).save(outside)
    with Gallery.open(path, background=False) as gallery:
        row = gallery.embeddings([2])[0]
        gallery.add([NewGalleryItem("Tea", str(outside), row), NewGalleryItem("Coffee", "../outside.png", row)])
        gallery.remove([1, 2, 3, 4])
    run = shell("audit", path, "--draw", "audit.png", "--images", images)
    assert (run.code, run.err) == (0, f"audit.png: 0 of 1 pair drawn; 1 not in {images}\n")


# -- move


def test_copy_patch_and_apply(shell: Shell, path: Path) -> None:
    assert shell("copy", path, "-o", "copy.gallery") == Run(
        0, f"copy.gallery: copied from {path}; 4 items in revision 2\n", ""
    )
    shell("rename", path, "Red", "红")
    shell("remove", path, 1)
    written = shell("patch", path, "2..", "-o", "all.patch")
    assert written == Run(0, "all.patch: revisions 2 to 4, 2 added, 3 removed, 1 kB\n", "")
    assert shell("patch", path, "2..3", "--out", "first.patch").out.startswith("first.patch: revisions 2 to 3, ")
    assert (
        shell("apply", "copy.gallery", "first.patch").out == "copy.gallery: 2 added, 2 removed; 4 items in revision 3\n"
    )
    late = shell("apply", "copy.gallery", "all.patch")
    assert (late.code, late.out) == (1, "")
    assert "it has changed since revision 2; take a new copy of the gallery" in late.err
    shell("patch", path, "3..4", "-o", "second.patch")
    assert (
        shell("apply", "copy.gallery", "second.patch").out
        == "copy.gallery: 0 added, 1 removed; 3 items in revision 4\n"
    )
    again = shell("apply", "copy.gallery", "first.patch")
    assert again == Run(0, "copy.gallery: already has this patch; 3 items in revision 4\n", "")
    assert shell("log", path, "--json").out == shell("log", "copy.gallery", "--json").out


def test_export_says_how_many_pictures_stand_in(shell: Shell, path: Path, tmp_path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        rows = gallery.embeddings([1, 2])
        made = Origin(None, "whole", "", b"\xff\xd8\xff a picture")
        gallery.add(NewGalleryItem("tea", "gone.jpg", row, made) for row in rows)
    (tmp_path / "nothing").mkdir()
    said = shell("export", path, "-o", "full", "--images", "nothing").out
    assert said == "full: 6 items, 0 with their images, 6 with the picture kept in the gallery\n"
    found = json.loads(shell("export", path, "-o", "again", "--images", "nothing", "--json").out)
    assert (found["items"], found["images"], found["pictures"]) == (6, 0, 6)
    assert json.loads(shell("info", path, "--json").out)["pictures"] == 6


def test_export_and_import(shell: Shell, path: Path, images: Path, tiny_bundle: Path) -> None:
    assert shell("export", path, "-o", "plain") == Run(0, "plain: 4 items\n", "")
    assert shell("export", path, "-o", "full", "--images", images).out == "full: 4 items, 4 with their images\n"
    assert shell("import", "new.gallery", "plain", "--author", "ann") == Run(
        0, "new.gallery: 4 items added; 4 items in revision 2\n", ""
    )
    line = _log(shell, Path("new.gallery"))
    assert (line["author"], line["note"]) == ("ann", "imported from plain")
    assert (
        shell("import", "new.gallery", "plain", "--note", "twice").out
        == "new.gallery: 4 items added; 8 items in revision 3\n"
    )
    line = _log(shell, Path("new.gallery"))
    assert (line["author"], line["note"], line["revision"]) == ("somebody", "twice", 3)
    assert _counts(shell, "new.gallery") == {"Blue": 2, "Red": 4, "绿色 的": 2}
    built = shell("build", "built.gallery", "full/labels.tsv", "--models", tiny_bundle, "--no-crop")
    assert built.out == "built.gallery: 4 images added, 0 skipped; 4 items in revision 2\n"
    assert shell("list", "built.gallery", "--json").out == shell("list", path, "--json").out


@pytest.mark.shared_data
def test_import_paddleclas(shell: Shell, shared: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    index = shared / "data" / "drinks" / "index"
    index = index if index.is_dir() else next((shared / "data" / "drinks").rglob("vector.index")).parent
    found = read_paddle_index(index)
    wrong = shell("import-paddleclas", "drinks.gallery", index, "--models", tiny_bundle)
    assert (wrong.code, wrong.out) == (1, "")
    assert f"holds vectors of {found.vectors.shape[1]} numbers, but extractor {EXTRACTOR} gives {DIM}" in wrong.err
    assert not Path("drinks.gallery").exists()
    bundle = write_bundle(tmp_path / "wide").folder
    manifest = json.loads((bundle / "bundle.json").read_text())
    manifest["extractor"]["dim"] = found.vectors.shape[1]
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    done = shell("import-paddleclas", "drinks.gallery", index, "--models", bundle, "--author", "ann")
    assert done == Run(
        0, f"drinks.gallery: {len(found.labels)} items added; {len(found.labels)} items in revision 2\n", ""
    )
    line = _log(shell, Path("drinks.gallery"))
    assert (line["author"], line["note"]) == ("ann", f"imported from {index.name}")
    items = list(map(NewGalleryItem, found.labels, found.sources, found.vectors))
    take_in(Path("api.gallery"), Meta("x", "y", found.vectors.shape[1]), items)
    with Gallery.open("drinks.gallery") as one, Gallery.open("api.gallery") as other:
        assert one.items() == other.items()
        assert one.label_counts() == other.label_counts()
    assert verify(Path("drinks.gallery")).faults == ()


def test_push(shell: Shell, path: Path) -> None:
    skip_without_milvus()
    first = shell("push", path, "./milvus.db", "--collection", "products")
    assert first.out == "./milvus.db, products: at revision 2, 4 added, 0 removed\n", first.err
    shell("remove", path, 1)
    second = shell("push", path, "./milvus.db", "--collection", "products")
    assert second.out == "./milvus.db, products: at revision 3, 0 added, 1 removed\n"


# -- what is wrong


@pytest.mark.parametrize(
    "arguments",
    [
        ("unknown",),
        ("info",),
        ("remove",),
        ("remove", "shop.gallery", "one"),
        ("remove", "shop.gallery"),
        ("remove", "shop.gallery", "1", "--label", "Red"),
        ("build", "products", "shop.gallery"),
        ("info", "products"),
        ("info", "products/Red/1.png"),
        ("import", "labels.txt", "folder"),
        ("rename", "shop.gallery", "Red"),
        ("relabel", "shop.gallery", "Red"),
        ("relabel", "shop.gallery", "Red", "one"),
        ("replace", "shop.gallery", "1.png"),
        ("add", "shop.gallery"),
        ("search", "shop.gallery", "1.png", "-k", "0"),
        ("log", "shop.gallery", "-n", "0"),
        ("diff", "shop.gallery"),
        ("diff", "shop.gallery", "a"),
        ("rollback", "shop.gallery"),
        ("prune", "shop.gallery", "--keep", "-1"),
        ("reindex", "shop.gallery", "--m", "1"),
        ("patch", "shop.gallery", "2.."),
        ("patch", "shop.gallery", "2", "-o", "patch"),
        ("patch", "shop.gallery", "..3", "-o", "patch"),
        ("patch", "shop.gallery", "a..3", "-o", "patch"),
        ("patch", "shop.gallery", "2..b", "-o", "patch"),
        ("patch", "shop.gallery", "1..2..3", "-o", "patch"),
        ("apply", "shop.gallery"),
        ("copy", "shop.gallery"),
        ("export", "shop.gallery"),
        ("import", "folder"),
        ("verify", "shop.gallery", "--yaml"),
    ],
    ids=" ".join,
)
def test_wrong_usage(shell: Shell, path: Path, arguments: tuple[str, ...]) -> None:
    Path("labels.txt").write_text("1.png\tRed\n")
    before = path.read_bytes()
    run = shell(*arguments)
    assert (run.code, run.out) == (2, "")
    assert "Traceback" not in run.err
    assert run.err
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("info", "none"), "none: cannot be opened: No such file"),
        (("verify", "none"), "none: cannot be opened: No such file"),
        (("repair", "none"), "none: cannot be opened: No such file"),
        (("repair", "text"), "text: "),
        (("verify", "text"), "text: is not a gallery"),
        (("remove", "shop.gallery", "99"), "no item has the id 99"),
        (("remove", "shop.gallery", str(1 << 70)), "no item has the id"),
        (("remove", "shop.gallery", "--label", "None"), "there is no item labeled 'None'"),
        (("rename", "shop.gallery", "None", "x"), "there is no item labeled 'None'"),
        (("rename", "shop.gallery", "Red", " "), "the new name: the label is empty"),
        (("relabel", "shop.gallery", "", "1"), "the label is empty"),
        (("diff", "shop.gallery", "1", "9"), "expected a revision from 1 to 2, found 9"),
        (("rollback", "shop.gallery", "9"), "expected a revision from 1 to 2, found 9"),
        (("patch", "shop.gallery", "2..", "-o", "patch"), "expected a revision after 2, found 2"),
        (("patch", "shop.gallery", "2..1", "-o", "patch"), "expected a revision after 2, found 1"),
        (("patch", "shop.gallery", "1..", "-o", "none/patch"), "none/patch: there is no folder"),
        (("patch", "shop.gallery", "1..", "-o", "shop.gallery"), "shop.gallery: is a gallery"),
        (("apply", "shop.gallery", "none"), "none: cannot be read: No such file"),
        (("apply", "shop.gallery", "text"), "text: is not a gallery patch of this version"),
        (("copy", "shop.gallery", "-o", "text"), "text: already exists"),
        (("export", "shop.gallery", "-o", "products"), "products: cannot be created: File exists"),
        (("import", "new", "products"), "gallery.json: cannot be read: No such file"),
        (("import-paddleclas", "new", "products"), "no model bundle was named|products"),
        (("build", "new", "none"), "none: cannot be read: No such file"),
    ],
    ids=str,
)
def test_refusals(shell: Shell, path: Path, arguments: tuple[str, ...], reason: str) -> None:
    Path("text").write_text("hello")
    before, names = path.read_bytes(), {file.name for file in Path().iterdir()}
    run = shell(*arguments)
    assert (run.code, run.out) == (1, "")
    assert re.fullmatch(rf"error: [^\n]*({reason})[^\n]*\n", run.err)
    assert path.read_bytes() == before
    assert {file.name for file in Path().iterdir()} == names


def test_an_empty_gallery_is_not_indexed(shell: Shell, path: Path) -> None:
    shutil.copyfile(path, "copy")
    shell("remove", "copy", 1, 2, 3, 4)
    run = shell("reindex", "copy")
    assert (run.code, run.out) == (1, "")
    assert run.err.endswith("copy: is empty, so there is nothing to index\n")
