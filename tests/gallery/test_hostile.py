"""Forged galleries are refused or read, in one line and soon; `verify` and `repair` are right about them."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from . import hostile
from .damage import ITEMS, ORIGINS, content, make, make_with_origins, make_with_settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of memory are POSIX")

_ROUNDS = 60 * int(os.environ.get("SHITU_EDGE_TEST_SCALE", "1"))
_WAIT_S = 60
_ROOT = Path(__file__).parents[2]

Said = dict[str, Any]


class Watched:
    """A process of its own that does all there is to do with a gallery: it must neither end nor hang."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "error", "-c", "from tests.gallery.hostile import answer; answer()"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT)
        self.longest_s, self.most_mebibytes = 0.0, 0

    def says(self, path: Path) -> Said:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(str(path)) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], _WAIT_S)
        assert ready, f"{path}: nothing within {_WAIT_S} s"
        line = self.process.stdout.readline()
        assert line, f"{path}: ended the process with {self.process.wait()}, see its standard error"
        said: Said = json.loads(line)
        self.longest_s = max(self.longest_s, said["seconds"])
        self.most_mebibytes = max(self.most_mebibytes, said["mebibytes"])
        assert not any("\n" in message for message in said.values() if isinstance(message, str)), said
        return said

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    opened = Watched()
    yield opened
    opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "shop")


@pytest.fixture
def intact(path: Path) -> list[list[Any]]:
    return hostile._plain(content(path))


def _is_refused(said: Said) -> bool:
    return all(isinstance(said[name], str) and "is damaged: " in said[name] for name in ("open", "read", "change"))


def _is_unsound(said: Said) -> bool:
    return bool(said["verify"])


def _repaired(said: Said) -> list[list[Any]]:
    """What a repair kept, in a gallery that is sound then."""
    left, kept, found, *_ = said["repair"]
    assert left == []
    assert kept == len(found)
    return list(found)


@pytest.mark.parametrize("name", hostile.EXTRAS)
def test_what_no_gallery_has_is_refused_and_left_by_a_repair(
    path: Path, intact: list[list[Any]], watched: Watched, name: str
) -> None:
    hostile.forge(path, hostile.EXTRAS[name])
    said = watched.says(path)
    assert _is_refused(said)
    assert _is_unsound(said)
    assert "keeps at least 11 of 11 items" in said["open"]
    assert _repaired(said) == intact


@pytest.mark.parametrize("name", hostile.REPLACED)
def test_what_is_in_the_place_of_a_table_is_not_asked(
    path: Path, intact: list[list[Any]], watched: Watched, name: str
) -> None:
    hostile.forge(path, *hostile.REPLACED[name])
    said = watched.says(path)
    assert _is_refused(said)
    assert _is_unsound(said)
    if isinstance(said["repair"], list):
        assert all(item in intact for item in _repaired(said))


@pytest.mark.parametrize("name", hostile.NUMBERS)
def test_numbers_out_of_range(path: Path, intact: list[list[Any]], watched: Watched, name: str) -> None:
    hostile.forge(path, hostile.NUMBERS[name])
    said = watched.says(path)
    assert _is_unsound(said)
    if isinstance(said["repair"], list):
        found = _repaired(said)
        assert all(item in intact for item in found)
        assert len(found) >= len(intact) - 1


FOUND = {
    "no root page": (
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET rootpage = 0 WHERE name = 'embeddings'",
    ),
    "digests that are numbers": ("UPDATE entries SET digest = 7",),
    "long rows over and over": ("UPDATE entries SET source = printf('%.*c', 3000000, 'x') WHERE item = 5",),
}
"""What the fuzzer found once."""


@pytest.mark.parametrize("name", FOUND)
def test_what_the_fuzzer_found(path: Path, intact: list[list[Any]], watched: Watched, name: str) -> None:
    hostile.forge(path, *FOUND[name])
    if name == "long rows over and over":
        hostile.lead_round(path, "entries", 5, 20)
    said = watched.says(path)
    assert _is_unsound(said)
    if isinstance(said["repair"], list):
        found = _repaired(said)
        assert all(item in intact for item in found)
        assert len(found) >= len(intact) - 1
    else:
        assert name == "digests that are numbers"


def test_a_counter_at_its_end_is_not_taken_for_a_full_disk(path: Path, watched: Watched) -> None:
    hostile.forge(path, hostile.NUMBERS["counter of ids"])
    assert "counter of items: (9223372036854775807,)" in watched.says(path)["change"]


@pytest.mark.parametrize("tree", hostile._TREES)
def test_pages_that_lead_in_circles(path: Path, intact: list[list[Any]], watched: Watched, tree: str) -> None:
    if tree == "graph":
        hostile.forge(path, f"INSERT INTO graph VALUES ('{'a' * 64}', 1, 11, 8, 20, 20)")
    hostile.lead_round(path, tree)
    said = watched.says(path)
    assert _is_unsound(said)
    found = _repaired(said)
    assert all(item in intact for item in found)
    assert len(found) == len(ITEMS)


@pytest.mark.parametrize("tree", hostile.SETTINGS_TREES)
def test_pages_of_settings_that_lead_in_circles(
    tmp_path: Path, intact: list[list[Any]], watched: Watched, tree: str
) -> None:
    path = make_with_settings(tmp_path / "settings")
    before = hostile._settings(path)
    hostile.lead_round(path, tree)
    said = watched.says(path)
    assert _is_unsound(said)
    assert _repaired(said) == intact
    assert all(setting in before for setting in said["repair"][3])


@pytest.mark.parametrize("name", hostile.SETTINGS)
def test_forged_settings(tmp_path: Path, intact: list[list[Any]], watched: Watched, name: str) -> None:
    path = make_with_settings(tmp_path / "settings")
    before = hostile._settings(path)
    hostile.forge(path, hostile.SETTINGS[name])
    said = watched.says(path)
    assert _is_unsound(said)
    assert _repaired(said) == intact
    assert all(setting in before for setting in said["repair"][3])


@pytest.mark.parametrize("tree", hostile.ORIGINS_TREES)
def test_pages_of_origins_that_lead_in_circles(
    tmp_path: Path, intact: list[list[Any]], watched: Watched, tree: str
) -> None:
    path = make_with_origins(tmp_path / "origins")
    before = hostile._origins(path)
    hostile.lead_round(path, tree)
    said = watched.says(path)
    assert _is_unsound(said)
    assert said["content"] == intact
    assert _repaired(said) == intact
    assert all(made in before for made in said["repair"][4])


@pytest.mark.parametrize("name", hostile.ORIGINS)
def test_forged_origins(tmp_path: Path, intact: list[list[Any]], watched: Watched, name: str) -> None:
    path = make_with_origins(tmp_path / "origins")
    before = hostile._origins(path)
    hostile.forge(path, hostile.ORIGINS[name])
    said = watched.says(path)
    assert _is_unsound(said)
    assert said["content"] == intact
    assert _repaired(said) == intact
    assert all(made in before for made in said["repair"][4])


@pytest.mark.parametrize(
    "statement",
    [
        *("PRAGMA user_version = 3", "PRAGMA user_version = 4"),
        *("CREATE TABLE settings (name)", "CREATE TABLE origins (item)"),
    ],
)
def test_a_format_that_the_tables_are_not_of(path: Path, watched: Watched, statement: str) -> None:
    hostile.forge(path, statement)
    assert _is_refused(watched.says(path))


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["trigger_slow", "view_entries_infinite", "rev_2p63"])
def test_forged_files_that_came_with_the_attack(tmp_path: Path, shared: Path, watched: Watched, name: str) -> None:
    path = tmp_path / "shop"
    shutil.copyfile(shared / "data" / "odd" / "hostile" / f"{name}.gallery", path)
    said = watched.says(path)
    assert _is_refused(said)
    assert _is_unsound(said)


def _ever_held(path: Path) -> list[list[Any]]:
    """Return all items that a gallery holds or has held, as `hostile` has them."""
    query = "SELECT item, label, source, vector FROM entries JOIN embeddings ON item = id"
    with closing(sqlite3.connect(path)) as connection:
        return [[item, label, source, vector.hex()] for item, label, source, vector in connection.execute(query)]


def test_forged_at_random(tmp_path: Path, watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    """Never a hang, an end, or another error; and what is called sound holds what it held."""
    making = {"original": make, "settings": make_with_settings, "origins": make_with_origins}
    originals, path = [make_one(tmp_path / name) for name, make_one in making.items()], tmp_path / "shop"
    before, sound = hostile._plain(content(originals[0])), 0
    ever, settings = _ever_held(originals[0]), [hostile._settings(original) for original in originals]
    ever_set = [*settings[1], ["target", b"0.9".hex()], ["look_alikes", b"[]".hex()]]
    made = [hostile._origins(original) for original in originals]
    ever_made = [*made[2], [12, repr(replace(ORIGINS[12], picture=b"")), ORIGINS[12].picture.hex()]]
    for number in range(_ROUNDS):
        for file in tmp_path.glob("shop*"):
            file.unlink()
        shutil.copyfile(originals[number % 3], path)
        hostile.mutate(path, random.Random(number))
        said = watched.says(path)
        if not _is_unsound(said):
            sound += 1
            assert said["content"] == before, number
            assert said["settings"] == settings[number % 3], number
            assert said["origins"] == made[number % 3], number
        if isinstance(said["repair"], list):
            # An item whose removal was forged away comes back: its row is intact, and the log no longer is.
            assert all(item in ever for item in _repaired(said)), number
            assert all(setting in ever_set for setting in said["repair"][3]), number
            assert all(one in ever_made for one in said["repair"][4]), number
    with capsys.disabled():
        print(
            f"\n{_ROUNDS} forged galleries, {sound} of them sound; longest command {watched.longest_s:.2f} s of CPU, "
            f"most memory {watched.most_mebibytes} MiB"
        )
    assert sound < _ROUNDS // 3
