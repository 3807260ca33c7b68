"""The watch over hostile files: what it says of sound, damaged and deadly ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("resource", reason="this system limits and watches processes in another way")

from shitu_edge.gallery import Gallery, NewGalleryItem

from .gallery.rows import unit_rows
from .hostile import watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the watch reads /proc")

PROJECT = Path(__file__).parents[1]
SAMPLE = PROJECT / "examples" / "samples" / "scenes" / "counter.jpg"


def tried(folder: Path, *limits: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code of the script for a folder, and what it says of each file."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", str(folder), "--json", *limits],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    entries = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {entry["file"]: entry for entry in entries}


def outcomes(entry: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["outcome"] for step in entry["steps"]}


def test_each_kind_goes_through_its_doors(tmp_path: Path, tiny_bundle: Path) -> None:
    with Gallery.create(tmp_path / "sound.gallery", extractor="e", fingerprint="0" * 64, dim=16) as gallery:
        gallery.add([NewGalleryItem(f"label {number}", "", row) for number, row in enumerate(unit_rows(20))])
    content = bytearray((tmp_path / "sound.gallery").read_bytes())
    (tmp_path / "damaged.gallery").write_bytes(content[: len(content) // 2])
    (tmp_path / "sound.jpg").write_bytes(SAMPLE.read_bytes())
    (tmp_path / "cut.jpg").write_bytes(SAMPLE.read_bytes()[:5000])
    (tmp_path / "none.patch").write_bytes(b"shitu-edge gallery patch 1\n" + bytes(100))
    (tmp_path / "bundle").symlink_to(tiny_bundle)
    for name in ("README.md", "sound.gallery-wal", "sound.gallery.0123.hnsw"):
        (tmp_path / name).write_bytes(b"")  # not tried
    code, found = tried(tmp_path, "--seconds", "20")
    assert {name: outcomes(entry) for name, entry in found.items()} == {
        "bundle": {"verify": "done", "open": "done"},
        "cut.jpg": {"recognize": "refused"},
        "damaged.gallery": {"search": "refused", "verify": "refused", "add": "refused"},
        "none.patch": {"apply": "refused"},
        "sound.gallery": {"search": "done", "verify": "done", "add": "done"},
        "sound.jpg": {"recognize": "done"},
    }
    assert [entry["faults"] for entry in found.values()] == [[]] * len(found)
    assert code == 0


@pytest.mark.parametrize(
    ("code", "died"),
    [
        ("pass", ""),
        ("raise SystemExit(3)", "exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import signal; signal.setitimer(signal.ITIMER_REAL, 0.1); sum(range(1 << 60))", "endless"),
    ],
    ids=["ends", "fails", "crashes", "hangs"],
)
def test_watch_says_how_a_process_ended(tmp_path: Path, code: str, died: str) -> None:
    assert watch([sys.executable, "-c", code], tmp_path / "log")[0] == died


def test_watch_sees_memory_that_was_given_back(tmp_path: Path) -> None:
    code = "import sys; sys.path.insert(0, '.'); from pathlib import Path; from tests.hostile import watch\n"
    code += "print(watch([sys.executable, '-c', 'bytearray(300 << 20)'], Path(sys.argv[1]))[1])"
    watcher = [sys.executable, "-c", code, str(tmp_path / "log")]  # a small one: Linux counts what it holds
    done = subprocess.run(watcher, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert 300 < float(done.stdout) < 400


SEARCHED_EXACTLY = {"search": "done", "verify": "refused", "add": "done"}
REFUSED = {"search": "refused", "verify": "refused", "add": "refused"}


@pytest.mark.shared_data
def test_hostile_files_do_no_harm(shared: Path) -> None:
    _, found = tried(shared / "data" / "odd" / "hostile", "--seconds", "5", "--mebibytes", "256")
    assert {name: entry["faults"] for name, entry in found.items() if entry["faults"]} == {}
    expected = {
        "count_65535.gallery": SEARCHED_EXACTLY,  # graphs whose links or counts are out of bounds
        "links_2e6.gallery": SEARCHED_EXACTLY,
        "prog_scan_1920_20000.jpg": {"recognize": "refused"},
        "rev_2p63.gallery": REFUSED,
        "trigger_slow.gallery": REFUSED,
        "view_entries_infinite.gallery": REFUSED,
    }
    assert {name: outcomes(found[name]) for name in expected} == expected
