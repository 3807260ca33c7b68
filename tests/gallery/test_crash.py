"""Processes killed at random moments of every kind of change: what was acknowledged is there, and nothing half."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from shitu_edge.gallery import Gallery
from shitu_edge.gallery.store.schema import ContentDigest, entry_digest, origin_digest, setting_digest
from shitu_edge.system.digest import file_sha256

from .operations import KINDS, SMALL_GRAPH, Model, Operation, check_model, do, plan
from .rows import DIM, create, new_items, unit_rows

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks and kills")

_ROUNDS = 240
_ROUNDS_OF_BUILDING = 24
_PLAN = 30
_ROOT = Path(__file__).parents[2]


def serve() -> None:
    """Fork a process for each line read, which says what it is to do to which gallery; say how it ended."""
    for line in sys.stdin:
        path, operations = json.loads(line)
        worker = os.fork()
        if worker == 0:
            try:
                _work(Path(path), operations)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        _tell("ended", os.waitpid(worker, 0)[1])


def _work(path: Path, operations: list[Operation]) -> None:
    _tell("process", os.getpid())
    with Gallery.open(path, background=False) as gallery:
        for number, operation in enumerate(operations):
            _tell("begun", number)
            do(gallery, operation)
            _tell("done", number)
        while True:
            signal.pause()  # to be killed


def _tell(what: str, number: int) -> None:
    os.write(1, f"{what} {number}\n".encode())


@dataclass(slots=True)
class _Progress:
    """How far a killed process had come: operations acknowledged, and begun."""

    done: int = 0
    begun: int = 0


class _Server:
    """A process that forks workers, so that each starts with everything imported."""

    def __init__(self) -> None:
        command = [sys.executable, "-W", "error", "-c", "from tests.gallery.test_crash import serve; serve()"]
        pipe, alone = subprocess.PIPE, {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # what forks has no other threads
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, cwd=_ROOT, env=alone, start_new_session=True
        )

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def killed(self, path: Path, operations: list[Operation], kill_after: tuple[int, float] | str) -> _Progress:
        """Have operations begun, and the process that does them killed.

        Args:
            path: the gallery.
            operations: what is done to it.
            kill_after: the number of the operation that must have begun, and seconds from then, or a pattern of a file
                that must have appeared.
        """
        assert self._process.stdin
        self._process.stdin.write(json.dumps([str(path), operations]) + "\n")
        self._process.stdin.flush()
        progress = _Progress()
        worker = self._read(progress, "process")
        try:
            if isinstance(kill_after, str):
                present, deadline = set(path.parent.glob(kill_after)), time.monotonic() + 2  # or it was too quick
                while set(path.parent.glob(kill_after)) <= present and time.monotonic() < deadline:
                    pass
            else:
                self._read(progress, "begun", kill_after[0])
                time.sleep(kill_after[1])
        finally:
            os.kill(worker, signal.SIGKILL)
        status = self._read(progress, "ended")
        assert os.WIFSIGNALED(status), "it ended by itself, see its standard error"
        return progress

    def _read(self, progress: _Progress, until: str, at_least: int = 0) -> int:
        assert self._process.stdout
        for line in self._process.stdout:
            what, number = line.split()[0], int(line.split()[1])
            if what == "begun":
                progress.begun = number + 1
            elif what == "done":
                progress.done = number + 1
            if what == until and number >= at_least:
                return number
            assert what != "ended", "it ended before it was killed, see its standard error"
        raise AssertionError("the server ended, see its standard error")


@pytest.fixture(scope="module")
def server() -> Iterator[_Server]:
    opened = _Server()
    yield opened
    opened.close()


@contextmanager
def _as_left(path: Path, in_place: bool) -> Iterator[Path]:
    """Give the gallery as the killed process left it, or a copy, so that the next process finds it so too."""
    if in_place:
        yield path
        return
    folder = path.parent / "copy"
    folder.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        if not file.name.endswith("-shm"):
            shutil.copyfile(file, folder / file.name)
    yield folder / path.name
    shutil.rmtree(folder)


def _check_file(path: Path, model: Model) -> None:
    """Check a closed gallery by SQLite alone: whole, and its log true."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        query = "SELECT id, label, source, vector, digest FROM entries JOIN embeddings ON id = item"
        entries = connection.execute(f"{query} WHERE removed_in IS NULL").fetchall()
        orphans = "SELECT count(*) FROM embeddings WHERE id NOT IN (SELECT item FROM entries)"
        assert connection.execute(orphans).fetchone() == (0,)
        graphs = connection.execute("SELECT sha256 FROM graph").fetchall()
        settings, origins = [], {}
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if version >= 3:
            query = "SELECT name, value, digest FROM settings WHERE replaced_in IS NULL"
            settings = connection.execute(query).fetchall()
        if version >= 4:
            orphans = "SELECT count(*) FROM origins WHERE item NOT IN (SELECT item FROM entries)"
            assert connection.execute(orphans).fetchone() == (0,)
            found = connection.execute("SELECT item, facts, picture, digest FROM origins")
            origins = {row[0]: row[1:] for row in found}
    content = ContentDigest()
    for item, (facts, picture, digest) in origins.items():
        assert digest == origin_digest(item, facts, picture)
    for name, value, digest in settings:
        assert digest == setting_digest(name, value)
        content.add(digest)
    for item, label, source, vector, digest in entries:
        assert digest == entry_digest(item, label, source, vector)
        content.add(digest)
        if item in origins:
            content.add(origins[item][2])
    assert bytes(content).hex() == model.digest()
    assert len(graphs) <= 1
    for (sha256,) in graphs:
        assert file_sha256(path.with_name(f"{path.name}.{sha256[:16]}.hnsw")) == sha256


def _check(path: Path, candidates: list[Model]) -> Model:
    """Check that a gallery that a killed process left is one of the models, and return which."""
    with Gallery.open(path, background=False) as gallery:
        log = gallery.history.log()
        with closing(sqlite3.connect(path)) as connection:
            oldest = int(connection.execute("SELECT value FROM meta WHERE key = 'history_from'").fetchone()[0])
            recorded = connection.execute("SELECT count(*) FROM graph").fetchone()[0]
        facts = log[0].id, oldest, log[0].digest
        fitting = [model for model in candidates if facts == (model.revision, min(model.contents), model.digest())]
        assert fitting, f"{facts} is neither before nor after the operation in flight"
        model = fitting[-1]
        assert [line.id for line in log] == list(range(model.revision, 0, -1))
        for line in log:
            if line.id in model.contents:
                assert line.digest == model.digest(line.id)
        check_model(gallery, model)
        assert (gallery.info().search == "graph") == bool(recorded)
        base = random.Random(model.revision).choice(sorted(model.contents))
        before, now = set(model.contents[base].items()), set(model.content.items())
        diff = gallery.history.diff(base, model.revision)
        assert {(e.id, e.label, e.source) for e in diff.removed} == {(i, *f[:2]) for i, f in before - now}
        assert {(e.id, e.label, e.source) for e in diff.added} == {(i, *f[:2]) for i, f in now - before}
        differing = {*model.settings[base].items()} ^ {*model.settings[model.revision].items()}
        assert diff.settings == tuple(sorted({name for name, _ in differing}))
    _check_file(path, model)
    return model


def _leftovers(path: Path) -> list[str]:
    """The names of the files of which nobody has any use."""
    with closing(sqlite3.connect(path)) as connection:
        row = connection.execute("SELECT sha256 FROM graph").fetchone()
    used = {path.name, f"{path.name}-wal", f"{path.name}-shm", row and f"{path.name}.{row[0][:16]}.hnsw"}
    return [file.name for file in path.parent.iterdir() if file.name.startswith(path.name) and file.name not in used]


def _check_leftovers_go(path: Path) -> None:
    """Check that after a day the next index leaves the gallery's own files alone."""
    for name in _leftovers(path):
        os.utime(path.with_name(name), (0, 0))
    with Gallery.open(path, background=False) as gallery:
        gallery.index.rebuild(SMALL_GRAPH)
    assert _leftovers(path) == []


def test_killed_at_any_point_of_any_change(tmp_path: Path, server: _Server, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.gallery"
    create(path).close()
    chance, model = random.Random(7), Model.empty()
    hit: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    acknowledged = most_left = 0
    started = time.perf_counter()

    for number in range(_ROUNDS):
        operations, models = plan(chance, model, _PLAN)
        # Aimed at one operation, whose kind comes first in its turn; most end within a few thousandths of a second.
        wanted = KINDS[number % len(KINDS)]
        aim = next((i for i, operation in enumerate(operations) if operation[0] == wanted), chance.randrange(_PLAN))
        mean_s = 0.02 if wanted in ("reindex", "extend", "patch") else 0.004
        progress = server.killed(path, operations, (aim, chance.expovariate(1 / mean_s)))

        candidates = models[progress.done : progress.begun + 1]
        with _as_left(path, in_place=number % 3 != 0) as left:
            model = _check(left, candidates)
        acknowledged += progress.done
        if progress.begun > progress.done:
            kind = operations[progress.done][0]
            hit[kind] += 1
            if candidates[0] != candidates[-1]:
                outcomes["after" if model == candidates[-1] else "before"] += 1
        left_now = _leftovers(path)
        assert all(name.endswith((".partial", ".hnsw")) for name in left_now)
        assert len(left_now) <= hit["reindex"] + hit["extend"]
        most_left = max(most_left, len(left_now))

    _check_leftovers_go(path)
    with capsys.disabled():
        print(
            f"\n{_ROUNDS} kills, {hit.total()} in flight ({dict(hit)}), found {dict(outcomes)}; "
            f"{acknowledged} operations acknowledged, revision {model.revision}; at most {most_left} files left over; "
            f"{time.perf_counter() - started:.0f} s"
        )
    assert hit.total() >= _ROUNDS // 2
    assert set(hit) == set(KINDS)
    assert min(outcomes["before"], outcomes["after"]) > 0


@pytest.mark.parametrize("anew", [True, False], ids=["anew", "extended"])
def test_killed_while_a_larger_index_is_made(tmp_path: Path, server: _Server, anew: bool) -> None:
    """Within the building, and from when the file appears: while it is written, moved, recorded, and others dropped."""
    path = tmp_path / "shop.gallery"
    rows = unit_rows(4000, seed=3)
    with create(path) as gallery:
        gallery.add(new_items(rows[:2000]))
        gallery.index.rebuild(SMALL_GRAPH)
        gallery.add(new_items(rows[2000:]))
        before = gallery.search(rows[:20], 1), gallery.history.log()
    chance, states = random.Random(3), Counter[str]()
    first = _graph_on_record(path)
    pristine = path.read_bytes()

    for number in range(_ROUNDS_OF_BUILDING):
        when: tuple[int, float] | str = (0, 0.3 * chance.random())
        if number % 3:
            when = f"{path.name}.*.partial"
        progress = server.killed(path, [["reindex" if anew else "extend"]], when)
        states["finished" if progress.done else "in flight"] += 1
        with Gallery.open(path, background=False) as gallery:
            assert (gallery.search(rows[:20], 1), gallery.history.log()) == before
            info = gallery.info()
        assert info.search == "graph"
        assert info.pending == (2000 if _graph_on_record(path) == first else 0)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if _graph_on_record(path) != first:  # begin again with the old graph
            states["recorded"] += 1
            path.write_bytes(pristine)
            with create(tmp_path / "again") as again:
                again.add(new_items(rows[:2000]))
                again.index.rebuild(SMALL_GRAPH)
            (tmp_path / f"again.{first[:16]}.hnsw").replace(path.with_name(f"{path.name}.{first[:16]}.hnsw"))
            (tmp_path / "again").unlink()
    assert states["in flight"] >= _ROUNDS_OF_BUILDING // 2
    assert len(_leftovers(path)) <= _ROUNDS_OF_BUILDING
    _check_leftovers_go(path)


def _graph_on_record(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT sha256 FROM graph").fetchone()[0])


def test_a_graph_file_that_is_not_on_record_is_never_used(tmp_path: Path) -> None:
    """As one that was moved to its place by a process killed before it was recorded."""
    path, other = tmp_path / "shop.gallery", tmp_path / "other.gallery"
    for file, seed in ((path, 1), (other, 2)):
        with create(file) as gallery:
            gallery.add(new_items(unit_rows(60, DIM, seed)))
    with Gallery.open(other, background=False) as gallery:
        gallery.index.rebuild(SMALL_GRAPH)
    [graph] = tmp_path.glob("*.hnsw")
    stray = graph.rename(path.with_name(graph.name.replace("other", "shop")))
    rows = unit_rows(60, DIM, 1)
    with Gallery.open(path, background=False) as gallery:
        assert gallery.info().search == "exact"
        assert [matches[0].item_id for matches in gallery.search(rows, 1)] == list(range(1, 61))
        gallery.index.rebuild(SMALL_GRAPH)
        assert [matches[0].item_id for matches in gallery.search(rows, 1)] == list(range(1, 61))
    assert not stray.exists()
