"""Rules that hold for all commands: JSON, `-h`, `-q`, `$SHITU_EDGE_GALLERY`, tables in 80 columns."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from rich.cells import cell_len

from shitu_edge.cli.main import app
from shitu_edge.cli.program import ENTRIES
from shitu_edge.gallery import Gallery
from tests.cli.test_cli import _commands
from tests.networks import write_bundle
from tests.shell import Run, Shell
from tests.system.test_streams import FAIL, NETWORK, RUNS, SMALL, shop
from tests.test_recognizer import RED, scene

__all__ = ["shop"]

LABEL = "农夫山泉饮用天然水五百五十毫升装" * 4
WORDS = "a label of very many words " * 6
ALL_RUNS = RUNS | {("bench",): (*SMALL, "--no-cold", "--seconds", "0.1", "-o", "bench.json")}
BENCH_FIRST = sorted(ALL_RUNS, key=lambda command: command == ("bench", "compare"))


def test_json_is_one_object_per_line_with_its_version_first(shell: Shell, shop: Path) -> None:
    for command in BENCH_FIRST:
        done = shell(*command, *ALL_RUNS[command], "--json")
        failing = command in FAIL - {("bench", "compare")}
        assert done.code == int(failing), f"{command}: {done.err}"
        records = [json.loads(line) for line in done.out.splitlines()]
        assert bool(records) is not failing, command
        versions = [(next(iter(record)), record["schema_version"]) for record in records]
        assert versions == [("schema_version", 3 if command == ("bench",) else 1)] * len(records), command
        if command == ("gallery", "add"):
            assert [(record["gallery"], record["revision"], record["ids"]) for record in records] == [
                ("shop.gallery", 3, [3])
            ]


def test_the_reference_has_the_keys_of_json(shell: Shell, shop: Path) -> None:
    reference = pytest.importorskip("docs.reference", reason="the manual is in the checkout alone")
    documented = {tuple(words.split()): re.sub(r" \(.*?\)", "", text) for words, text in reference.KEYS}
    for command in BENCH_FIRST:
        text = documented[command]
        records = [json.loads(line) for line in shell(*command, *ALL_RUNS[command], "--json").out.splitlines()]
        found = {key for record in records for key in record} - {"schema_version"}
        named = set(re.findall(r"`(\w+)`", text.partition("; with")[0])) - {"error"}
        if records:
            assert named <= found, command
        if records and not re.search(r"\bas\b|the keys of|the counts|a list per", text):
            assert named == found, command


def test_quiet_leaves_the_result_alone(shell: Shell, shop: Path) -> None:
    (shop / "products" / "note.txt").write_text("not an image")
    for command in BENCH_FIRST[:10]:
        done = shell(*command, "-q", *ALL_RUNS[command])
        assert (done.code, done.err) == (0, ""), command
        assert done.out


LOGGING = """
import logging, sys
from shitu_edge.cli import main, models
folders = models.bundle_folders
def told():
    logging.getLogger("shitu_edge.x").info("info")
    logging.getLogger("shitu_edge.x").warning("warn")
    return folders()
models.bundle_folders = told
main()
"""


@pytest.mark.parametrize(
    ("option", "lines"), [("-v", ["INFO: info", "WARNING: warn"]), ("-q", []), (None, ["WARNING: warn"])]
)
@pytest.mark.parametrize("before", [True, False])
def test_verbose_and_quiet_choose_what_is_logged(option: str | None, lines: list[str], before: bool) -> None:
    options = [option] if option else []
    words = [*options, "models", "list"] if before else ["models", "list", *options]
    done = subprocess.run([sys.executable, "-c", LOGGING, *words], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == lines
    assert done.stdout


@pytest.mark.parametrize("command", [[], ["gallery"], *_commands()], ids=" ".join)
def test_short_help_is_the_help(shell: Shell, command: list[str]) -> None:
    short, long = shell(*command, "-h"), shell(*command, "--help")
    assert short == long
    assert short.code == 0
    assert max(map(len, short.out.splitlines())) <= 80
    assert "..." not in short.out.partition("Commands:")[2]


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_names_commands_and_options(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shitu_edge"]
    words = {"COMP_WORDS": "shitu-edge gallery re", "COMP_CWORD": "2"}
    words |= {"_TYPER_COMPLETE_ARGS": "shitu-edge gallery re", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    environment = os.environ | words | {"_SHITU_EDGE_COMPLETE": f"complete_{name}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert all(word in done.stdout for word in ("replace", "remove", "rename", "relabel", "reindex", "repair"))


# -- the gallery of the variable


@pytest.fixture
def variable(shell: Shell, shop: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell in the shop, whose gallery the variable names."""
    monkeypatch.setenv("SHITU_EDGE_GALLERY", "shop.gallery")
    assert shell("gallery", "build", "products", *NETWORK).out.startswith("shop.gallery: 2 images added")
    return shell


def test_the_variable_stands_for_the_gallery_of_every_command(variable: Shell) -> None:
    for command, arguments in ALL_RUNS.items():
        if command[0] != "gallery" or command in FAIL or command[1] in ("build", "apply", "import"):
            continue
        assert arguments[0] == "shop.gallery"
        done = variable(*command, *arguments[1:])
        assert done.code == 0, f"{command}: {done.err}"
    assert variable("recognize", "counter.png", "counter.png", *NETWORK).code == 0
    assert variable("gallery", "diff", 1, 2).code == 0


def test_a_gallery_that_is_named_counts_more_than_the_variable(variable: Shell, shop: Path) -> None:
    assert variable("gallery", "build", "other.gallery", "products", *NETWORK).code == 0
    (shop / "plain").write_bytes((shop / "other.gallery").read_bytes())
    assert variable("gallery", "remove", "plain", "--label", "red").out.startswith("plain: 1 item removed; 1 item")
    assert variable("gallery", "remove", "other.gallery", 1, 2).out.startswith("other.gallery: 2 items removed")
    with Gallery.open("shop.gallery") as gallery:
        assert len(gallery) == 2
    assert variable("recognize", "other.gallery", "counter.png", *NETWORK, "--json").code == 0
    missing = variable("recognize", "none.gallery", "counter.png", *NETWORK)
    assert missing.code == 1
    assert "none.gallery" in missing.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["recognize", "counter.png"], "counter.png is an image (PNG), expected a gallery file"),
        (["recognize", "counter.png", "counter.png"], "counter.png is an image (PNG), expected a gallery file"),
        (["gallery", "list"], "Missing argument 'GALLERY'"),
        (["gallery", "build", "products", "new.gallery"], "products is a folder, expected a gallery file"),
    ],
    ids=str,
)
def test_without_the_variable_a_missing_gallery_is_wrong_usage(
    shell: Shell, shop: Path, arguments: list[str], words: str
) -> None:
    done = shell(*arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_a_gallery_of_another_bundle_names_that_bundle_if_it_is_installed(
    shell: Shell, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("gallery", "build", "shop.gallery", "products", *NETWORK)
    other = write_bundle(shop / "other", name="other", weights="f" * 64).folder
    done = shell("recognize", "shop.gallery", "counter.png", "--models", other)
    assert done.code == 1
    assert re.fullmatch(
        r"error: \S*shop\.gallery: was made with extractor tiny extractor \(\w{8}\), but other extractor \(\w{8}\) is "
        r"open; use --models to name the bundle it was made with, or run `shitu-edge gallery re-embed \S*shop\.gallery "
        r"--models \S*other`\n",
        done.err,
    )
    monkeypatch.setenv("SHITU_EDGE_MODELS", str(shop))
    known = shell("gallery", "search", "shop.gallery", "counter.png", "--models", other)
    assert known.err == done.err.replace("`\n", "`; that bundle is here: --models tiny\n")


# -- drawings


@pytest.mark.parametrize(("name", "kind"), [("seen.jpg", "JPEG"), ("seen.JPEG", "JPEG"), ("seen.png", "PNG")])
def test_a_drawing_has_the_format_of_its_name(variable: Shell, shop: Path, name: str, kind: str) -> None:
    assert variable("recognize", "counter.png", *NETWORK, "--draw", name).code == 0
    with Image.open(shop / name) as drawn:
        assert (drawn.format, drawn.size) == (kind, (256, 256))


def test_drawings_in_a_folder_keep_the_images_names(variable: Shell, shop: Path) -> None:
    photos = shop / "photos" / "more"
    photos.mkdir()
    for name in ("a.jpg", "b.webp", "c.png"):
        Image.fromarray(scene((1, 1, RED))).save(photos / name)
    assert variable("recognize", photos, *NETWORK, "--draw", "seen").code == 0
    formats = {}
    for path in (shop / "seen").iterdir():
        with Image.open(path) as drawn:
            formats[path.name] = drawn.format
    assert formats == {"a.jpg": "JPEG", "b.webp.jpg": "JPEG", "c.png": "PNG"}


@pytest.mark.parametrize(
    ("images", "target", "words"),
    [
        (["counter.png"], ".", "would overwrite the image counter.png"),
        (["counter.png"], "counter.png", "would overwrite the image counter.png"),
        (["products", "photos"], "photos/..//products", "would overwrite the image"),
        (["products"], "seen.png", "seen.png is one file, but there are 2 images"),
    ],
    ids=str,
)
def test_a_drawing_overwrites_no_image(variable: Shell, shop: Path, images: list[str], target: str, words: str) -> None:
    before = {path: path.read_bytes() for path in shop.rglob("*.png")}
    done = variable("recognize", *images, *NETWORK, "--draw", target)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert {path: path.read_bytes() for path in shop.rglob("*.png")} == before


# -- tables


def rename_products(shop: Path) -> None:
    """Give the products labels that are long, in Chinese and in words."""
    for folder in ("products", "photos/gallery"):
        for old, new in (("red", LABEL), ("green", WORDS.strip())):
            (shop / folder / old).rename(shop / folder / new)


def wide_lines(run: Run) -> list[str]:
    """Return the lines that are wider than 80 columns."""
    return [line for line in run.out.splitlines() if cell_len(line) > 80]


@pytest.mark.parametrize("columns", [None, "80"])
def test_tables_fit_80_columns(shell: Shell, shop: Path, columns: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    rename_products(shop)
    gallery = "shop.gallery"
    assert shell("gallery", "build", gallery, "products", *NETWORK, "--note", LABEL, "--author", WORDS).code == 0
    assert shell("gallery", "rename", gallery, LABEL, LABEL[:-1]).code == 0
    assert shell("gallery", "add", gallery, "counter.png", "--label", LABEL, *NETWORK).code == 0
    assert shell("gallery", "add", gallery, "counter.png", "--label", "x" * 200, *NETWORK).code == 0
    shown = {
        ("gallery", "list", gallery): 3,
        ("gallery", "list", gallery, "--label", LABEL): 1,
        ("gallery", "log", gallery): 5,
        ("gallery", "diff", gallery, "1", "5"): 4,
        ("gallery", "search", gallery, "counter.png", *NETWORK): 4,
        ("gallery", "audit", gallery): 1,
        ("gallery", "info", gallery): 11,
        ("recognize", gallery, "counter.png", *NETWORK, "--threshold", "-1"): 1,
        ("models", "show", "tiny"): 8,
        ("models", "list"): 1,
        ("doctor",): 10,
        ("demo", *NETWORK, "--photos", "photos", "--out", "demo"): 5,
        ("bench", *SMALL, "--no-cold", "--seconds", "0.1", "-o", "bench.json"): 20,
        ("bench", "compare", "bench.json", "bench.json"): 6,
        ("tune", *SMALL): 4,
    }
    for command, least in shown.items():
        done = shell(*command)
        assert done.code == 0, f"{command}: {done.err}"
        paths = [line for line in wide_lines(done) if "/" not in line]
        assert paths == [], command
        assert len(done.out.splitlines()) > least, command


def test_a_table_breaks_no_number_and_loses_no_letter(shell: Shell, shop: Path) -> None:
    rename_products(shop)
    shell("gallery", "build", "shop.gallery", "products", *NETWORK)
    lines = shell("gallery", "search", "shop.gallery", "counter.png", *NETWORK).out.splitlines()
    text = "".join(line[18:] for line in lines[1:]).replace(" ", "")
    assert LABEL in text
    assert WORDS.replace(" ", "") in text


# -- speed


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_loads_neither_engines_nor_rich_nor_any_command(option: str) -> None:
    script = f"""
import sys
from shitu_edge.cli import main
sys.argv = ["shitu-edge", "{option}"]
heavy = ["openvino", "onnxruntime", "hnswlib", "cv2", "rich", "pymilvus", "shitu_edge.bench", "shitu_edge.cli.gallery"]
try:
    main()
finally:
    print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_list_of_commands_says_what_each_command_says() -> None:
    commands: Any = typer.main.get_command(app)
    loaded = {name: commands.commands[name].get_short_help_str(100) for name in ENTRIES}
    assert loaded == {name: entry.summary for name, entry in ENTRIES.items()}
