"""No space at random moments of every kind of change: all or nothing of each, and on it goes when there is space."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery
from shitu_edge.gallery.care.verify import verify
from shitu_edge.gallery.store.failures import mapped
from shitu_edge.gallery.transfer.patch import apply_patch, write_patch

from .operations import KINDS, SMALL_GRAPH, Model, Operation, check_model, choose, do, written_patch
from .rows import DIM, create, new_items, unit_rows

_ROUNDS = 250
_ROOT = Path(__file__).parents[2]


def obey() -> None:
    """Do what each line read says, and print the message of the error that it raises, or null."""
    gallery: list[Gallery] = []
    for line in sys.stdin:
        answer = None
        try:
            _obey(gallery, *json.loads(line))
        except GalleryError as error:
            answer = str(error)
        print(json.dumps(answer), flush=True)


def _obey(opened: list[Gallery], kind: str, *values: Any) -> None:
    import resource

    if kind == "limit":
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard if values[0] is None else values[0], hard))
    elif kind in ("open", "create"):
        path = Path(values[0])
        opened.append(Gallery.open(path, background=False) if kind == "open" else create(path))
    elif kind == "close":
        opened.pop().close()
    elif kind == "prepare":  # where there is space
        written_patch(opened[0], values[0], Path(values[1]))
    elif kind == "apply":
        apply_patch(opened[0], Path(values[0]))
    elif kind == "write":
        gallery, path = opened[0], Path(values[0])
        write_patch(gallery, gallery.revision - 1, gallery.revision, path)
    elif kind == "search":
        gallery = opened[0]
        assert len(gallery.search(unit_rows(1), len(gallery) or 1)[0]) == len(gallery)
    else:
        do(opened[0], [kind, *values])


class _Worker:
    """Another process with a gallery open, that does what it is told."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "error", "-c", "from tests.gallery.test_full_disk import obey; obey()"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT)

    def close(self) -> None:
        self._process.communicate()

    def told(self, *what: Any) -> str | None:
        """Have something done; return the message of the error that it raised."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"{what[0]} ended the process, see its standard error"
        message: str | None = json.loads(line)
        return message


@pytest.fixture
def worker() -> Iterator[_Worker]:
    pytest.importorskip("resource", reason="file size limits are POSIX")
    opened = _Worker()
    yield opened
    opened.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte and a half."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1536k", "shitu-edge-test", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        problem = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        problem = str(error)
    if problem:
        pytest.skip(f"no file system can be mounted here: {problem}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _candidates(model: Model, operation: Operation, error: str | None) -> list[Model]:
    """What may be there: what the operation makes when it is done, else what was; forgetting changes no content."""
    if error is None:
        return [model.after(operation)]
    return [model, model.after(operation)] if operation[0] == "prune" else [model]


def _held(path: Path, candidates: list[Model]) -> Model:
    """Check that a gallery, open elsewhere, holds one of the models, and return which."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")
        rows = connection.execute("SELECT item, label, source FROM entries WHERE removed_in IS NULL").fetchall()
        [revision, digest] = connection.execute("SELECT id, digest FROM revisions ORDER BY id DESC").fetchone()
        [oldest] = connection.execute("SELECT value FROM meta WHERE key = 'history_from'").fetchone()
    facts = revision, int(oldest), digest.hex(), {(item, label, source) for item, label, source in rows}
    fitting = [model for model in candidates if facts == _facts(model)]
    assert fitting, f"revision {facts[:2]}, expected {[_facts(model)[:2] for model in candidates]}"
    return fitting[-1]


def _strays(path: Path) -> list[str]:
    """The names of files beside a gallery of which nobody has any use."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute("SELECT sha256 FROM graph").fetchone()
    used = ("", "-wal", "-shm", row and f".{row[0][:16]}.hnsw")
    return [file.name for file in path.parent.glob(f"{path.name}*") if file.name[len(path.name) :] not in used]


def _facts(model: Model) -> tuple[int, int, str, set[tuple[int, str, str]]]:
    content = {(item, *facts[:2]) for item, facts in model.content.items()}
    return model.revision, min(model.contents), model.digest(), content


def _go(
    path: Path,
    worker: _Worker,
    spare: Path,
    squeeze: Callable[[random.Random], None],
    relax: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Do random operations, most while space is short, and check each."""
    chance, model = random.Random(11), Model.empty()
    done: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    messages: Counter[str] = Counter()
    assert worker.told("create", str(path)) is None
    for number in range(_ROUNDS):
        operation = choose(chance, model)
        short = number % 5 != 4
        told: list[Any] = operation
        if operation[0] == "patch":
            relax()
            assert worker.told("prepare", operation[1], str(spare / "twin")) is None
            told = ["apply", str(spare / "twin.patch")]
        relax()
        if short:
            squeeze(chance)
        error = worker.told(*told)
        assert short or error is None
        if error is not None:
            failed[operation[0]] += 1
            assert str(path.name) in error
            assert "\n" not in error
            messages[re.sub(r"\S*/|\.[0-9a-f]+|\(\d+ bytes\)", "", error)] += 1
            model = _held(path, _candidates(model, operation, error))
            assert not _strays(path)
            assert worker.told("search") is None
            if number % 3 == 0:
                written = (
                    worker.told("write", str(path.with_name("a.patch")))
                    if model.revision - 1 in model.contents
                    else None
                )
                assert written is None or "\n" not in written
            relax()
        else:
            done[operation[0]] += short
            model = _held(path, _candidates(model, operation, None))
        if number % 10 == 0:
            if number % 20:
                squeeze(chance)
            assert worker.told("close") is None
            relax()
            with Gallery.open(path, background=False) as gallery:
                check_model(gallery, model)
            assert worker.told("open", str(path)) is None
    relax()
    assert worker.told("close") is None
    with Gallery.open(path, background=False) as gallery:
        check_model(gallery, model)
        gallery.index.rebuild(SMALL_GRAPH)
        check_model(gallery, model)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    left = [file.name for file in path.parent.iterdir() if file.name.startswith(path.name)]
    assert len(left) == 2, "the gallery and its graph"
    with capsys.disabled():
        print(f"\nfailed {dict(failed)}, done with little space {dict(done)}, messages {dict(messages)}")
    assert set(failed) == set(KINDS)


def test_limited_file_sizes(tmp_path: Path, worker: _Worker, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.gallery"

    def squeeze(chance: random.Random) -> None:
        sizes = [file.stat().st_size for file in tmp_path.glob("shop.gallery*")]
        assert worker.told("limit", chance.choice([0, 5_000, 20_000, chance.randint(0, max(sizes) + 40_000)])) is None

    def relax() -> None:
        assert worker.told("limit", None) is None

    _go(path, worker, tmp_path, squeeze, relax, capsys)


def test_small_disk(tmp_path: Path, small_disk: Path, worker: _Worker, capsys: pytest.CaptureFixture[str]) -> None:
    ballast = small_disk / "ballast"

    def squeeze(chance: random.Random) -> None:
        _fill(ballast, chance.choice([0, 0, 4096 * chance.randint(0, 30)]))

    def relax() -> None:
        ballast.unlink(missing_ok=True)

    _go(small_disk / "shop.gallery", worker, tmp_path, squeeze, relax, capsys)


def _fill(ballast: Path, but: int) -> None:
    """Fill a disk but for some bytes."""
    with ballast.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(4096))
        except OSError:
            stream.truncate(max(0, stream.tell() - but))


def test_creating_on_a_small_disk(small_disk: Path) -> None:
    """A creation that is refused leaves nothing, so it can be made again."""
    path, ballast = small_disk / "shop.gallery", small_disk / "ballast"
    refused = 0
    spares = range(0, 1_000_000, 3 * 4096)
    for spare in spares:
        _fill(ballast, spare)
        problem = _problem(lambda: create(path).close())
        if problem is not None:
            refused += 1
            assert problem.startswith(f"{path}: ")
            assert [file.name for file in small_disk.iterdir()] == ["ballast"], spare
            continue
        with Gallery.open(path, background=False) as gallery:
            assert len(gallery) == 0
        path.unlink()
    assert 3 < refused < len(spares) - 3


@pytest.mark.parametrize("logged", [False, True], ids=["without a log", "with a log"])
def test_reading_goes_on_whatever_space_there_is(tmp_path: Path, small_disk: Path, logged: bool) -> None:
    """SQLite's log wants 32 KiB for its index; another process was killed before it folded its log in."""
    path, ballast, twin = small_disk / "shop.gallery", small_disk / "ballast", tmp_path / "twin.gallery"
    with create(twin) as gallery:
        gallery.history.compact()
        gallery.add(new_items(unit_rows(3, DIM)))
        if logged:
            shutil.copyfile(f"{twin}-wal", f"{path}-wal")
        else:
            gallery.history.compact()
        shutil.copyfile(twin, path)
    for spare in (0, 1, 3, 4, 12, 28):
        _fill(ballast, spare * 1024)
        _read_all(path, 3)
        _fill(ballast, spare * 1024)  # a log that could be folded in has given its space back
        assert (_problem(lambda: _add(path)) or "").startswith(f"{path}: the disk is full")
        assert verify(path).faults == ()
    ballast.unlink()
    _add(path)
    _read_all(path, 4)
    assert [file.name for file in small_disk.iterdir()] == ["shop.gallery"]


def _read_all(path: Path, items: int) -> None:
    with Gallery.open(path, background=False) as gallery:
        assert len(gallery.search(unit_rows(1), 5)[0]) == len(gallery.items()) == len(gallery) == items
        assert gallery.info().revision == gallery.history.log()[0].id == items - 1


def _add(path: Path) -> None:
    with Gallery.open(path, background=False) as gallery:
        gallery.add(new_items(unit_rows(1, seed=7)))


def test_a_gallery_opened_on_a_full_disk_is_enrolled_into_when_there_is_space(small_disk: Path) -> None:
    path, ballast = small_disk / "shop.gallery", small_disk / "ballast"
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(3, DIM)))
    _fill(ballast, 0)
    with Gallery.open(path, background=False) as gallery, Gallery.open(path, background=False) as other:
        with pytest.raises(GalleryError, match="the disk is full"):
            gallery.add(new_items(unit_rows(1)))
        ballast.unlink()
        assert gallery.add(new_items(unit_rows(1))) == [4]
        assert len(gallery) == len(other) == 4
        _fill(ballast, 0)
        assert len(gallery.search(unit_rows(1), 9)[0]) == len(other.search(unit_rows(1), 9)[0]) == 4
        ballast.unlink()
    assert [file.name for file in small_disk.iterdir()] == ["shop.gallery"]


@pytest.mark.parametrize("logged", [False, True], ids=["without a log", "with a log"])
def test_a_medium_that_is_read_only(tmp_path: Path, small_disk: Path, logged: bool) -> None:
    path, twin = small_disk / "shop.gallery", tmp_path / "twin.gallery"
    with create(twin) as gallery:
        gallery.history.compact()
        gallery.add(new_items(unit_rows(3, DIM)))
        if logged:  # copied while it was in use
            shutil.copyfile(f"{twin}-wal", f"{path}-wal")
        else:
            gallery.history.compact()
        shutil.copyfile(twin, path)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    _read_all(path, 3)
    assert verify(path).faults == ()
    assert _problem(lambda: _add(path)) == f"{path}: is read-only here, so it cannot be changed"
    with Gallery.open(path, background=False) as gallery:
        gallery.copy(tmp_path / "copy.gallery")
    _add(tmp_path / "copy.gallery")
    _read_all(tmp_path / "copy.gallery", 4)


def test_a_quota_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    path = tmp_path / "shop.gallery"
    create(path).close()
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert str(mapped(path, sqlite3.OperationalError("disk I/O error"))) == (
        f"{path}: the disk is full (Disk quota exceeded)"
    )


def _problem(action: Callable[[], None]) -> str | None:
    """What an action is refused with, which is one line."""
    try:
        action()
    except GalleryError as error:
        message = str(error)
    else:
        return None
    assert "\n" not in message
    return message
