"""Every command with closed and full standard streams.

A process without an engine in it forks for each command line, so that all of them take seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_cli import _commands
from tests.test_recognizer import BLUE, GREEN, RED, product, scene

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

NETWORK = ("--models", "tiny")
SMALL = (*NETWORK, "--gallery", "shop.gallery", "--objects", "1", "--count", "2")
RUNS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("gallery", "build"): ("shop.gallery", "products", *NETWORK),
    ("recognize",): ("shop.gallery", "counter.png", *NETWORK, "--draw", "seen"),
    ("watch",): ("shop.gallery", "products", *NETWORK),
    ("gallery", "add"): ("shop.gallery", "counter.png", "--label", "counter", *NETWORK),
    ("gallery", "replace"): ("shop.gallery", "products/red/0.png", "--label", "counter", *NETWORK),
    ("gallery", "remove"): ("shop.gallery", "--label", "counter"),
    ("gallery", "rename"): ("shop.gallery", "red", "rot"),
    ("gallery", "relabel"): ("shop.gallery", "red", "2"),
    ("gallery", "look-alikes"): ("shop.gallery",),
    ("gallery", "list"): ("shop.gallery",),
    ("gallery", "info"): ("shop.gallery",),
    ("gallery", "search"): ("shop.gallery", "counter.png", *NETWORK),
    ("gallery", "log"): ("shop.gallery",),
    ("gallery", "diff"): ("shop.gallery", "1"),
    ("gallery", "rollback"): ("shop.gallery", "2"),
    ("gallery", "prune"): ("shop.gallery",),
    ("gallery", "reindex"): ("shop.gallery",),
    ("gallery", "verify"): ("shop.gallery",),
    ("gallery", "audit"): ("shop.gallery", "--draw", "audit.png", "--images", "products"),
    ("gallery", "copy"): ("shop.gallery", "-o", "copy.gallery"),
    ("gallery", "patch"): ("shop.gallery", "2..3", "-o", "shop.patch"),
    ("gallery", "apply"): ("copy.gallery", "shop.patch"),
    ("gallery", "merge"): ("shop.gallery", "copy.gallery"),
    ("gallery", "export"): ("shop.gallery", "-o", "exported"),
    ("gallery", "import"): ("imported.gallery", "exported"),
    ("gallery", "import-paddleclas"): ("none.gallery", "none"),
    ("gallery", "re-embed"): ("shop.gallery", *NETWORK),
    ("gallery", "push"): ("shop.gallery", "http://127.0.0.1:1"),
    ("gallery", "repair"): ("shop.gallery",),
    ("evaluate",): ("shop.gallery", "products", "--html", "evaluated.html", *NETWORK),
    ("calibrate",): ("shop.gallery",),
    ("camera", "calibrate"): ("large.png", *NETWORK, "--out", "camera.json"),
    ("models", "list"): (),
    ("models", "show"): ("tiny",),
    ("models", "verify"): ("tiny",),
    ("doctor",): (),
    ("demo",): (*NETWORK, "--photos", "photos", "--out", "demo"),
    ("bench", "compare"): ("bench.json", "bench.json"),
    ("tune",): (*SMALL, "-o", "profile.json"),
}
"""Every command but `bench` itself, which takes longer, as one that does something small; in this order."""
ENDLESS = {("serve",)}
"""Commands that run until they are told to end; `tests/serve` has them."""
FAIL = {("gallery", "re-embed"), ("gallery", "import-paddleclas"), ("gallery", "push"), ("bench", "compare")}

DRIVER = """
import json, os, sys
from shitu_edge.cli import main
null = os.stat(os.devnull).st_rdev

def run(arguments, closed, number):
    for descriptor in (1, 2):
        os.dup2(os.open(f"{number}.{descriptor}", os.O_CREAT | os.O_TRUNC | os.O_WRONLY), descriptor)
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if descriptor in closed:
            os.close(descriptor)
            setattr(sys, name, None)
            setattr(sys, f"__{name}__", None)
    sys.argv = ["shitu-edge", *arguments]
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        code = 99
    if any(os.fstat(descriptor).st_rdev != null for descriptor in closed):
        code = 98
    if sys.stdout:
        sys.stdout.flush()
    os._exit(code)

task = json.load(sys.stdin)
codes = []
for number, arguments in enumerate(task["runs"]):
    child = os.fork()
    if not child:
        run(arguments, task["closed"], number)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(codes))
"""


@pytest.fixture
def shop(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder but for a bundle, products and photos; the current one."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_bundle, tmp_path / "tiny")
    for folder in ("products", "photos/gallery"):
        for name, color in (("red", RED), ("green", GREEN)):
            (tmp_path / folder / name).mkdir(parents=True)
            pixels = product(color)
            pixels[:, 32:] //= 2  # the demo enrolls the square alone, and nothing of a single color
            Image.fromarray(pixels).save(tmp_path / folder / name / "0.png")
    (tmp_path / "photos/scenes").mkdir()
    for path in ("counter.png", "photos/scenes/counter.png"):
        Image.fromarray(scene((1, 1, RED), (5, 1, GREEN), (1, 5, BLUE))).save(tmp_path / path)
    Image.open("counter.png").resize((512, 512)).save("large.png")  # an empty counter needs 320 pixels
    return tmp_path


def run_all(shop: Path, runs: list[tuple[str, ...]], closed: tuple[int, ...]) -> list[tuple[int, str, str]]:
    """Return exit code, stdout and stderr of each command line."""
    task = json.dumps({"runs": runs, "closed": closed})
    done = subprocess.run([sys.executable, "-c", DRIVER], input=task, capture_output=True, text=True, check=True)
    texts = [[Path(f"{number}.{stream}").read_text("utf-8") for stream in (1, 2)] for number in range(len(runs))]
    return [(code, *text) for code, text in zip(json.loads(done.stdout), texts, strict=True)]


def test_every_command_is_run() -> None:
    assert set(RUNS) | ENDLESS == set(map(tuple, _commands()))


def test_every_command_works_with_all_streams_closed(shop: Path) -> None:
    runs = {command: (*command, *arguments) for command, arguments in RUNS.items()}
    found = run_all(shop, list(runs.values()), (0, 1, 2))
    assert {command: code for command, (code, _, _) in zip(runs, found, strict=True)} == {
        command: int(command in FAIL) for command in runs
    }
    (verdict,) = run_all(shop, [("gallery", "verify", "shop.gallery")], ())
    assert verdict[0] == 0
    assert np.asarray(Image.open(shop / "seen" / "counter.png")).shape == (256, 256, 3)
    assert {"profile.json", "audit.png", "shop.patch", "imported.gallery"} <= set(os.listdir(shop))


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_one_closed_stream_changes_nothing_else(shop: Path, closed: int) -> None:
    few = [
        ("gallery", "build", "{}.gallery", "products", *NETWORK),
        ("recognize", "{}.gallery", "counter.png", "none.png", *NETWORK, "--max-boxes", "1", "--json"),
        ("gallery", "list", "{}.gallery"),
        ("gallery", "info", "none.gallery"),
        ("nothing",),
        ("--version",),
        *((*command, "--help") for command in ((), ("gallery",), ("models",), ("bench",), ("bench", "compare"))),
    ]

    def named(name: str) -> list[tuple[str, ...]]:
        return [tuple(word.format(name) for word in run) for run in few]

    usual, found = run_all(shop, named("usual"), ()), run_all(shop, named("found"), (closed,))
    assert [run[0] for run in usual] == [0, 1, 0, 1, 2] + [0] * (len(few) - 5)
    for before, after in zip(usual, found, strict=True):
        expected: list[Any] = [before[0], *(line.replace("usual.", "found.") for line in before[1:])]
        if closed:
            expected[closed] = ""
        assert [after[0], *map(_without_times, after[1:])] == [expected[0], *map(_without_times, expected[1:])]


def _without_times(text: str) -> str:
    """Return what a command printed, but for JSON of an answer its items alone."""
    lines = text.splitlines()
    return str([json.loads(line).get("items") if line.startswith("{") else line for line in lines])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_process_that_is_started_with_a_closed_stream(shop: Path, number: int) -> None:
    def start(*arguments: str, redirection: str) -> tuple[int, str, str]:
        command = f"exec {sys.executable} -m shitu_edge {' '.join(arguments)} {redirection}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    redirection = ("<&-", ">&-", "2>&-")[number]
    code, out, err = start(
        "gallery", "build", "shop.gallery", "products", "--no-crop", "-q", *NETWORK, redirection=redirection
    )
    assert (code, err) == (0, "")
    assert out == ("" if number == 1 else "shop.gallery: 2 images added, 0 skipped; 2 items in revision 2\n")
    code, out, err = start("recognize", "shop.gallery", "-", *NETWORK, redirection="<&-")
    assert (code, out, err) == (1, "", "error: stdin is closed, expected an image on it\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_stdout_is_one_line(shop: Path) -> None:
    run_all(shop, [("gallery", "build", "shop.gallery", "products", *NETWORK)], ())
    recognize = ("recognize", "shop.gallery", "counter.png", *NETWORK)
    for arguments in (("gallery", "list", "shop.gallery"), recognize, (*recognize, "--json")):
        command = [sys.executable, "-m", "shitu_edge", *arguments]
        with open("/dev/full", "wb") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, "error: the output: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_under_stderr_ends_nothing(shop: Path) -> None:
    run_all(shop, [("gallery", "build", "shop.gallery", "products", *NETWORK)], ())
    command = [sys.executable, "-m", "shitu_edge", "recognize", "shop.gallery", "none.png", "counter.png", *NETWORK]
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, stderr=full, check=False)
    assert done.returncode == 1
    assert [json.loads(line)["image"] for line in done.stdout.splitlines()] == ["none.png", "counter.png"]
