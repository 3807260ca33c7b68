"""Nothing from outside moves a terminal's cursor, reorders its text or forges a line, whatever command shows it."""

from __future__ import annotations

import json
import subprocess
import sys
import unicodedata
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from shitu_edge.bundle import Bundle
from shitu_edge.gallery import Gallery, NewGalleryItem
from tests.gallery.rows import older_labels, unit_rows
from tests.networks import DIM, write_bundle
from tests.shell import Run, Shell
from tests.test_recognizer import BLUE, RED, scene

SEQUENCES = st.sampled_from(
    ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\u202e", "\u2066", "\u200b", "\r", "\x08", "\0", "\t", "\x7f", "\u2028"]
)
ANY_TEXT = st.lists(SEQUENCES | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)).map("".join)
LABELS = ANY_TEXT.map(lambda text: unicodedata.normalize("NFC", "".join(text.splitlines())).strip()).filter(bool)
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def check(run: Run) -> None:
    """Check that only line ends are left of what terminals heed."""
    for character in set(run.out + run.err) - {"\n"}:
        assert unicodedata.category(character) not in ("Cc", "Zl", "Zp", "Cs"), ascii(character)
        assert unicodedata.bidirectional(character) not in BIDI, ascii(character)
        assert character not in "\u200b\u200e\u200f\u061c\u2060\ufeff\u00ad", ascii(character)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    labels=st.lists(LABELS, min_size=2, max_size=3),
    texts=st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT),
    number=st.builds(next, st.just(count())),
)
def test_all_that_a_gallery_says_is_safe(
    shell: Shell, tiny_bundle: Path, tmp_path: Path, labels: list[str], texts: tuple[str, str, str, str], number: int
) -> None:
    path, photo = tmp_path / f"{number}.gallery", tmp_path / "photo.png"
    Image.fromarray(scene((1, 1, RED), (5, 5, BLUE))).save(photo)
    source, author, note, extractor = texts
    fingerprint = Bundle.open(tiny_bundle).manifest.extractor.fingerprint
    with (
        older_labels(),
        Gallery.create(path, extractor=extractor, fingerprint=fingerprint, dim=DIM, background=False) as gallery,
    ):
        rows = np.repeat(unit_rows(1, DIM), len(labels), axis=0)  # alike, for `audit` to name
        gallery.add(map(NewGalleryItem, labels, [source] * len(labels), rows), author=author, note=note)
        gallery.remove([1], author=author, note=note)
    models = ("--models", tiny_bundle)
    for command in (
        *(["list"], ["list", "--label", labels[-1]], ["list", "--label", f"no {labels[0]}"], ["info"], ["log"]),
        *(["diff", 1, 3], ["verify"], ["audit"], ["search", photo, *models]),
        ["rename", labels[-1], labels[-1]],
    ):
        run = shell("gallery", command[0], path, *command[1:])
        check(run)
        assert run.out or run.err
    for command in (["list"], ["info"], ["log"], ["diff", 1, 3], ["verify"], ["audit"], ["search", photo, *models]):
        run = shell("gallery", command[0], path, *command[1:], "--json")
        check(run)
        assert [json.loads(line)["schema_version"] for line in run.out.splitlines()]
    log = list(map(json.loads, shell("gallery", "log", path, "--json").out.splitlines()))
    assert [line["author"] for line in log[:2]] == [" ".join(author.split())] * 2
    options = (*models, "--threshold", -1)
    check(shell("recognize", path, photo, *options))
    run = shell("recognize", path, photo, *options, "--json")
    check(run)
    assert {item["label"] for item in json.loads(run.out)["items"]} <= {*labels, None}


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not allow")
def test_names_of_files_are_safe(shell: Shell, tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pro\x1b[2Jducts"
    (folder / "tea").mkdir(parents=True)
    Image.fromarray(scene((1, 1, RED))).save(folder / "tea" / "a\x1b]0;\x07\n.png")
    (folder / "tea" / "b\nerror: forged\u202e.png").write_bytes(b"x")
    (folder / "no\x9bte").write_bytes(b"x")
    gallery = tmp_path / "a\x1b[1m.gallery"
    for run in (
        shell("gallery", "build", gallery, folder, "--models", tiny_bundle),
        shell("gallery", "list", gallery, "--label", "tea"),
        shell("recognize", gallery, folder / "tea", "--models", tiny_bundle, "--draw", tmp_path / "\x1bc"),
        shell("recognize", gallery, folder / "tea", "--models", tiny_bundle, "--json"),
        shell("recognize", gallery, folder / "\x1b[2J.jpg", "--models", tiny_bundle),
        shell("gallery", "info", "no\x1b[2J\n.gallery"),
        shell("recognize", gallery, "--of\x1b[2J\u202e.jpg"),
        shell("gallery", "a\x1b[2Jdd", gallery),
        shell("gallery", "audit", gallery, "--draw", "a\x1b[2J"),
    ):
        check(run)
        assert "\nerror: forged" not in run.err


def test_a_bundles_texts_are_safe_and_stay_in_their_line(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_bundle(tmp_path / "odd").folder
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    forged = "tiny\x1b[2K\n2 files verified\u202e"
    manifest |= {"name": forged, "description": forged}
    manifest["extractor"]["network"]["name"] = forged
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    monkeypatch.setenv("SHITU_EDGE_MODELS", str(tmp_path))
    for command in (["list"], ["show", folder], ["verify", folder]):
        run = shell("models", *command)
        check(run)
        assert not any(line.startswith("2 files") for line in run.out.splitlines())
    assert json.loads(shell("models", "show", folder, "--json").out)["manifest"]["name"] == forged


def test_warnings_of_the_log_and_of_python_are_a_safe_line_each() -> None:
    script = r"""
import logging, warnings
from shitu_edge.cli.printing import set_up_messages
set_up_messages()
logging.getLogger("x").warning("broken \x1b[2J\nERROR: forged %s", "\u202e")
warnings.warn("odd \x1b[2J\nERROR: forged")
"""
    command = [sys.executable, "-X", "utf8", "-W", "always", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=True)
    assert done.stderr.splitlines() == [
        r"WARNING: broken \x1b[2J ERROR: forged \u202e",
        r"UserWarning: odd \x1b[2J ERROR: forged",
    ]


def test_a_label_of_40_000_characters_is_shown_in_part(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "shop.gallery"
    with (
        older_labels(),
        Gallery.create(path, extractor="tiny", fingerprint="f" * 32, dim=DIM, background=False) as gallery,
    ):
        gallery.add([NewGalleryItem("x" * 40_000, "y" * 40_000, unit_rows(1, DIM)[0])], note="z" * 40_000)
    for command in ("list", "log", "verify"):
        run = shell("gallery", command, path)
        assert run.code == 0
        assert len(run.out) < 2000
    assert json.loads(shell("gallery", "list", path, "--json").out) == {
        "schema_version": 1,
        "label": "x" * 40_000,
        "items": 1,
    }
