"""The file of local features, damaged, forged, locked, and on a full disk: costs time and nothing else."""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from shitu_edge.gallery.store.feature_file import FeatureFile

from .rows import create, run_python

ROWS = {bytes([number]) * 32: bytes([number]) * (132 * 20) for number in range(1, 30)}
NEW = {b"new" * 10: b"content"}
_ROOT = Path(__file__).parents[2]
_DAMAGES = 150 * int(os.environ.get("SHITU_EDGE_TEST_SCALE", "1"))


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    return tmp_path / "shop.gallery"


@pytest.fixture
def written(gallery: Path) -> Path:
    """A closed file with `ROWS`."""
    _write(gallery, ROWS)
    return gallery.with_name("shop.gallery.features")


def _write(gallery: Path, rows: dict[bytes, bytes], method: str = "one") -> None:
    with closing(FeatureFile(gallery, method)) as file:
        file.write(rows)


def _read(gallery: Path, rows: dict[bytes, bytes] = ROWS, method: str = "one") -> dict[bytes, bytes]:
    with closing(FeatureFile(gallery, method)) as file:
        return file.read(list(rows))


def _check(gallery: Path) -> int:
    """Check that a file, whatever it holds, gives nothing wrong; return how many rows it gives."""
    with closing(FeatureFile(gallery, "one")) as file:
        found = file.read(list(ROWS))
        assert found.items() <= ROWS.items()
        file.keep_only(ROWS)
        file.write(NEW)
        assert (file.read([*ROWS, *NEW])).items() <= {**ROWS, **NEW}.items()
    return len(found)


def _sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


# -- what is written is read


def test_rows_are_read_as_they_were_written(gallery: Path) -> None:
    many = {number.to_bytes(32, "big"): bytes([number % 256]) * number for number in range(450)}
    _write(gallery, many)
    assert _read(gallery, many) == many
    assert _read(gallery, {b"\0" * 31: b""}) == {}
    assert [file.name for file in gallery.parent.iterdir()] == ["shop.gallery.features"]


def test_missing_file_is_empty_and_reading_creates_none(gallery: Path) -> None:
    with closing(FeatureFile(gallery, "one")) as file:
        assert file.read(list(ROWS)) == {}
        file.keep_only([])
        assert not list(gallery.parent.iterdir())
        file.write(NEW)
        assert file.read([*NEW, *ROWS]) == NEW


def test_written_rows_replace_those_of_the_same_key(gallery: Path, written: Path) -> None:
    key = next(iter(ROWS))
    _write(gallery, {key: b"other"})
    assert _read(gallery) == ROWS | {key: b"other"}


def test_rows_of_another_method_are_not_read_and_are_replaced(gallery: Path, written: Path) -> None:
    assert _read(gallery, method="two") == {}
    _write(gallery, dict.fromkeys(ROWS, b"two"), "two")
    assert _read(gallery, method="two") == dict.fromkeys(ROWS, b"two")
    assert _read(gallery) == {}


def test_keep_only_forgets_the_rest(gallery: Path, written: Path) -> None:
    kept = dict(list(ROWS.items())[::3])
    with closing(FeatureFile(gallery, "one")) as file:
        file.keep_only([*kept, b"unknown"])
        assert file.read(list(ROWS)) == kept
    assert _read(gallery) == kept
    with closing(FeatureFile(gallery, "one")) as file:
        file.keep_only([])
    assert _read(gallery) == {}


def test_closed_file_reads_and_writes_nothing(gallery: Path, written: Path) -> None:
    file = FeatureFile(gallery, "one")
    assert file.read(list(ROWS)) == ROWS
    for _ in range(2):
        file.close()
    file.write(NEW)
    file.keep_only([])
    assert file.read(list(ROWS)) == {}
    assert _read(gallery, ROWS | NEW) == ROWS


# -- damage


@pytest.mark.parametrize("content", [b"", b"text", b"SQLite format 3\0", b"\0" * 5000, "half", "most"])
def test_file_that_is_none_is_empty_and_made_again(gallery: Path, written: Path, content: bytes | str) -> None:
    data = written.read_bytes()
    share = {"half": len(data) // 2, "most": len(data) - 5000}
    written.write_bytes(data[: share[content]] if isinstance(content, str) else content)
    assert _read(gallery).items() <= ROWS.items()
    _write(gallery, ROWS)
    assert _read(gallery) == ROWS


def test_reading_leaves_an_empty_file_alone(gallery: Path, written: Path) -> None:
    """Another process is perhaps just creating it."""
    written.write_bytes(b"")
    before = written.stat().st_ino
    assert _read(gallery) == {}
    assert (written.stat().st_ino, written.stat().st_size) == (before, 0)


def test_damage_anywhere_gives_nothing_wrong_and_is_repaired(gallery: Path, written: Path) -> None:
    """After a write of all rows and, if that was the first to meet the damage, another one."""
    sound, chance, lost = written.read_bytes(), random.Random(5), 0
    for number in range(_DAMAGES):
        data = bytearray(sound)
        first_pages = number % 3 == 0
        for _ in range(chance.choice([1, 1, 4, 200])):
            place = chance.randrange(4200 if first_pages else len(data))
            data[place] = chance.randrange(256) if number % 2 else data[place] ^ 1 << chance.randrange(8)
        written.write_bytes(data)
        lost += _check(gallery) < len(ROWS)
        for _ in range(3):
            _write(gallery, ROWS)
        assert _read(gallery) == ROWS, number
        for file in gallery.parent.iterdir():
            file.unlink()
    assert lost > _DAMAGES / 5


@pytest.mark.parametrize("changes", [(5000, b"\xff" * 3000), (4096, b"\0" * 4096), (8192, b"\0" * 8192)])
def test_damage_that_an_open_file_meets_is_repaired(gallery: Path, written: Path, changes: tuple[int, bytes]) -> None:
    place, content = changes
    with closing(FeatureFile(gallery, "one")) as file:
        file.read(list(ROWS)[:1])
        with written.open("r+b") as stream:
            stream.seek(place)
            stream.write(content)
        for _ in range(3):
            assert file.read(list(ROWS)).items() <= ROWS.items()
            file.write(ROWS)
        assert file.read(list(ROWS)) == ROWS
    assert _read(gallery) == ROWS


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE features SET content = 'text'",
        "UPDATE features SET content = CAST(content AS TEXT)",
        "UPDATE features SET content = 7",
        "UPDATE features SET content = x''",
        "UPDATE features SET digest = 'text'",
        "UPDATE features SET digest = 1.5",
        "UPDATE features SET content = zeroblob(70000)",
        "UPDATE features SET digest = zeroblob(16)",
        "DELETE FROM features",
        "UPDATE features SET content = CAST(x'ff' AS TEXT)",
    ],
)
def test_forged_values_are_left_out(gallery: Path, written: Path, statement: str) -> None:
    _sql(written, statement)
    assert _read(gallery) == {}
    assert _check(gallery) == 0
    _write(gallery, ROWS)
    assert _read(gallery) == ROWS


def test_forged_keys_are_deleted_by_keep_only(gallery: Path, written: Path) -> None:
    _sql(written, *(f"INSERT INTO features VALUES ({key}, x'00', x'00')" for key in ("'text'", "7", "1.5", "x''")))
    with closing(FeatureFile(gallery, "one")) as file:
        file.keep_only(ROWS)
        assert file.read(list(ROWS)) == ROWS
    with closing(sqlite3.connect(written)) as connection:
        assert connection.execute("SELECT count(*) FROM features").fetchone() == (len(ROWS),)


_ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x, x, x FROM n"


@pytest.mark.parametrize(
    "statements",
    [
        ("DROP TABLE features", f"CREATE VIEW features (key, digest, content) AS {_ENDLESS}"),
        ("CREATE TRIGGER t AFTER INSERT ON features BEGIN DELETE FROM features; END",),
        ("CREATE VIEW v AS SELECT 1",),
        ("DROP TABLE features", "CREATE TABLE features (key, digest, content)"),
        ("DROP TABLE features", "CREATE TABLE other (key)"),
        ("CREATE INDEX i ON features (content)",),
        ("PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = CAST(x'ff' AS TEXT)"),
        ("PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = NULL"),
        ("PRAGMA writable_schema = ON", "UPDATE sqlite_master SET type = CAST(x'ff' AS TEXT), sql = 'x'"),
    ],
)
def test_forged_structure_is_replaced(gallery: Path, written: Path, statements: tuple[str, ...]) -> None:
    _sql(written, *statements)
    assert _check(gallery) == 0
    _write(gallery, ROWS)
    assert _read(gallery) == ROWS


@pytest.mark.parametrize("foreign", ["gallery", "table", "text"])
def test_foreign_file_in_its_place_is_set_aside(
    gallery: Path, written: Path, foreign: str, caplog: pytest.LogCaptureFixture
) -> None:
    written.unlink()
    if foreign == "gallery":
        create(written).close()
    elif foreign == "table":
        _sql(written, "CREATE TABLE prices (label, cents)", "INSERT INTO prices VALUES ('oat milk', 249)")
    else:
        written.write_text("product,feature\n" * 400)
    before = written.read_bytes()
    assert _read(gallery) == {}
    _write(gallery, ROWS)
    assert _read(gallery) == ROWS
    aside = gallery.with_name("shop.gallery.features.unreadable")
    assert aside.read_bytes() == before
    assert f"renamed to {aside.name}" in caplog.text
    written.write_bytes(b"text" * 100)  # a second one does not take its place
    _write(gallery, ROWS)
    assert (_read(gallery), aside.read_bytes()) == (ROWS, before)


def test_file_of_an_earlier_version_is_read(gallery: Path, written: Path) -> None:
    _sql(written, "PRAGMA application_id = 0")
    assert _read(gallery) == ROWS


def test_log_of_a_killed_writer_does_no_harm(gallery: Path, written: Path, tmp_path: Path) -> None:
    """A writer was killed, then its file damaged: the log of the old one is played back into a new one, perhaps."""
    script = (
        "import os, signal, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA cache_size = 1'); connection.execute('BEGIN')\n"
        'connection.execute("UPDATE features SET content = zeroblob(20000)")\n'
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(written)], check=False)
    log = written.with_name("shop.gallery.features-journal")
    assert log.exists()
    shutil.copyfile(log, tmp_path / "log")
    assert _read(gallery) == ROWS
    shutil.copyfile(tmp_path / "log", log)
    written.write_bytes(b"damaged")
    for _ in range(2):
        _write(gallery, ROWS)
    assert _read(gallery) == ROWS


# -- what others do


def test_folder_in_its_place_is_left_alone(gallery: Path) -> None:
    folder = gallery.with_name("shop.gallery.features")
    folder.mkdir()
    (folder / "a").touch()
    assert _check(gallery) == 0
    assert [file.name for file in folder.iterdir()] == ["a"]


def test_file_that_is_removed_while_it_is_open(gallery: Path, written: Path) -> None:
    with closing(FeatureFile(gallery, "one")) as file:
        assert file.read(list(ROWS)) == ROWS
        written.unlink()
        assert file.read(list(ROWS)).items() <= ROWS.items()
        file.write(NEW)
        file.keep_only(ROWS)
    assert _read(gallery).items() <= ROWS.items()


def test_locked_file_is_left_alone_soon(gallery: Path, written: Path) -> None:
    before = written.read_bytes()
    with closing(sqlite3.connect(written, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with closing(FeatureFile(gallery, "one")) as file:
            done = threading.Event()

            def use() -> None:
                file.read(list(ROWS))
                file.write(NEW)
                done.set()

            thread = threading.Thread(target=use, daemon=True)
            thread.start()
            in_time = done.wait(15)
            other.execute("ROLLBACK")
            thread.join()
    assert in_time, "a till does not wait half a minute for local features"
    assert written.read_bytes() == before


def test_two_files_at_once_lose_nothing(gallery: Path) -> None:
    """Both are opened when there is none yet."""
    for _ in range(20):
        start = threading.Barrier(4)

        def write(number: int, start: threading.Barrier = start) -> None:
            with closing(FeatureFile(gallery, "one")) as file:
                start.wait()
                for key, content in list(ROWS.items())[number::4]:
                    file.write({key: content})

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert _read(gallery) == ROWS
        gallery.with_name("shop.gallery.features").unlink()


_WRITER = """
import sys, time
from pathlib import Path
from shitu_edge.gallery.store.feature_file import FeatureFile
file = FeatureFile(Path(sys.argv[1]), "one")
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2]), 100_000, 2):
    key = number.to_bytes(32, "big")
    file.write({key: key * 40})
    assert file.read([key]) == {key: key * 40}
    print(number, flush=True)
    time.sleep(0.002)
    if number >= int(sys.argv[3]):
        break
"""


@pytest.fixture
def writers(gallery: Path) -> Iterator[Callable[[int, int], subprocess.Popen[str]]]:
    """Starts processes that write rows from a number to another one, when a line is sent."""
    started: list[subprocess.Popen[str]] = []

    def start(first: int, last: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _WRITER, str(gallery), str(first), str(last)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _begin(process: subprocess.Popen[str]) -> None:
    """Have a writer begin, when it is there."""
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()


def _key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_two_processes_at_once_lose_nothing(
    gallery: Path, writers: Callable[[int, int], subprocess.Popen[str]]
) -> None:
    processes = [writers(first, 60) for first in (0, 1)]
    for process in processes:
        _begin(process)
    assert [process.wait(60) for process in processes] == [0, 0]
    expected = {_key(number): _key(number) * 40 for number in range(61)}
    assert _read(gallery, expected) == expected


def test_killed_writer_loses_nothing_that_it_has_written(
    gallery: Path, writers: Callable[[int, int], subprocess.Popen[str]]
) -> None:
    process = writers(0, 90_000)
    _begin(process)
    assert process.stdout
    last = [int(process.stdout.readline()) for _ in range(40)][-1]
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    expected = {_key(number): _key(number) * 40 for number in range(0, last + 1, 2)}
    assert _read(gallery, expected) == expected


_FORK = """
import os, sys
from pathlib import Path
from shitu_edge.gallery.store.feature_file import FeatureFile
path = Path(sys.argv[1])
file = FeatureFile(path, "one")
file.write({b"a": b"1"})
pid = os.fork()
if pid == 0:
    other = FeatureFile(path, "one")
    assert other.read([b"a"]) == {b"a": b"1"}, "parent"
    other.write({b"b": b"2"})
    assert other.read([b"b"]) == {b"b": b"2"}, "own"
    other.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
file.write({b"c": b"3"})
assert file.read([b"a", b"b", b"c"]) == {b"a": b"1", b"b": b"2", b"c": b"3"}
file.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_forked_child_opens_its_own(gallery: Path) -> None:
    run_python(_FORK, gallery)


# -- where nothing can be written


def test_full_disk_loses_what_is_new_and_reads_on(
    gallery: Path,
    written: Path,
    full_disk: Callable[[], AbstractContextManager[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with closing(FeatureFile(gallery, "one")) as file:
        with full_disk(), caplog.at_level(logging.INFO):
            file.write({b"large": bytes(60_000)})
            assert file.read([*ROWS, b"large"]) == ROWS
            file.keep_only([])
            assert file.read(list(ROWS)).items() <= ROWS.items()
        assert "local features are not kept" in caplog.text
    assert _read(gallery) == ROWS


def test_full_disk_from_the_start(gallery: Path, full_disk: Callable[[], AbstractContextManager[None]]) -> None:
    with full_disk():
        assert _check(gallery) == 0
    _write(gallery, ROWS)
    assert _read(gallery) == ROWS


_READER = """
import os, sys
from contextlib import closing
from pathlib import Path
from shitu_edge.gallery.store.feature_file import FeatureFile
from tests.gallery.test_feature_file import NEW, ROWS
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with closing(FeatureFile(Path(sys.argv[1]), "one")) as file:
    found = [len(file.read(list(ROWS)))]
    file.write(NEW)
    file.keep_only([])
    print(*found, len(file.read(list(ROWS))), len(file.read(list(NEW))))
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root becomes other users")
def test_read_only_file_in_a_read_only_folder_is_read() -> None:
    folder = Path(tempfile.mkdtemp(prefix="shitu-edge-test-"))
    try:
        _write(folder / "shop.gallery", ROWS)
        folder.chmod(0o755)
        file = folder / "shop.gallery.features"
        before = file.read_bytes()
        assert run_python(_READER, folder / "shop.gallery").split() == ["29", "29", "0"]
        assert file.read_bytes() == before
        file.write_bytes(b"damaged")
        assert run_python(_READER, folder / "shop.gallery").split() == ["0", "0", "0"]
        file.chmod(0)
        assert run_python(_READER, folder / "shop.gallery").split() == ["0", "0", "0"]
        assert [one.name for one in folder.iterdir()] == [file.name]
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system has no /proc")
def test_descriptors_are_closed(gallery: Path, written: Path) -> None:
    damaged = gallery.with_name("other.gallery")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        assert len(_read(gallery)) == len(ROWS)
        damaged.with_name("other.gallery.features").write_bytes(b"damaged")
        _check(damaged)
    assert len(os.listdir("/proc/self/fd")) == before
