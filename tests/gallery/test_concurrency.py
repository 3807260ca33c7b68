"""Threads that search a gallery while processes change it and build its graph: every answer is true, none is old."""

from __future__ import annotations

import bisect
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shitu_edge.errors import GalleryError
from shitu_edge.gallery import Gallery, GraphParameters, NewGalleryItem
from shitu_edge.gallery.live import live as live_module
from shitu_edge.results import Match

from .operations import Content, content_digest, origin, row
from .rows import DIM, Rows, clustered_rows, create, new_items, run_python, unit_rows

_SECONDS = 8.0
_SECONDS_VARIABLE = "SHITU_EDGE_SOAK_S"
_FEWEST_CHANGES = 80
_SEARCHERS = 4
_WRITERS = 2
_BASE = 4000
_PARAMETERS = GraphParameters(m=16, ef_construction=200, ef=200)
_ROLLBACK_REACH = 8
_RESULTS = 5
_ROOT = Path(__file__).parents[2]


# -- the processes beside the searching one


def write(path: str, name: str, seconds: str) -> None:
    """Change items of labels of this writer's own, and print what was acknowledged, when, as a line of JSON each.

    A busy machine takes longer, to make changes enough to be checked.
    """
    chance, end = random.Random(name), time.monotonic() + float(seconds)
    with Gallery.open(path, background=False) as gallery:
        number = 0
        while time.monotonic() < end or number < _FEWEST_CHANGES:
            number += 1
            note = f"{name} {number}"
            (operation, change), problem, returned = _write(gallery, chance, name, note), None, None
            try:
                returned = change()
            except GalleryError as error:
                problem = str(error)
            print(json.dumps([note, time.monotonic_ns(), operation, returned, problem]))
            time.sleep(0.02 * chance.random())


def _write(gallery: Gallery, chance: random.Random, name: str, note: str) -> tuple[list[Any], Callable[[], Any]]:
    """Return a change as plain data and what makes it: by what others do meanwhile it may be refused."""
    own = [entry for entry in gallery.items() if entry.label.startswith(name)]
    kind = chance.choices(["add", "remove", "rename", "rollback", "prune"], [8, 6, 5, 2, 1])[0]
    if kind == "prune":
        return [kind], lambda: gallery.history.prune(2 * _ROLLBACK_REACH)
    if kind == "rollback":
        revision = max(3, gallery.revision - chance.randint(1, _ROLLBACK_REACH))
        return [kind, revision], lambda: gallery.history.rollback(revision, note=note)
    if kind == "add" or len(own) < 10:
        seeds = [chance.randrange(5000) for _ in range(3)]
        new = [(f"{name} {chance.randrange(20)}", f"{seed}.jpg", seed) for seed in seeds]
        items = [NewGalleryItem(label, source, row(seed), origin(seed)) for label, source, seed in new]
        return ["add", new], lambda: gallery.add(items, note=note)
    label = chance.choice(own).label
    if kind == "rename":
        renamed = f"{name} {20 + chance.randrange(20)}"
        return [kind, label, renamed], lambda: len(gallery.rename(label, renamed, merge=True, note=note))
    gone = [entry.id for entry in chance.sample(own, min(len(own), 1 + len(own) // 8))]
    return [kind, gone], lambda: [entry.id for entry in gallery.remove(gone, note=note)]


def reindex(path: str, seconds: str) -> None:
    """Bring the graph up to date again and again, anew and extended; print from when until when."""
    end, anew, builds = time.monotonic() + float(seconds), False, 0
    with Gallery.open(path, background=False) as gallery:
        while time.monotonic() < end or builds < 2:
            builds += 1
            begun = time.monotonic_ns()
            gallery.index.rebuild(extend=not anew)
            print(json.dumps([begun, time.monotonic_ns(), anew]))
            anew = not anew
            time.sleep(0.3)


@contextmanager
def _beside(output: Path, function: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a function of this module in a process of its own, and check that it has done well."""
    script = f"import sys; from tests.gallery.test_concurrency import {function}; {function}(*sys.argv[1:])"
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    with output.open("w") as stdout:
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=_ROOT)
    try:
        yield process
        _, problem = process.communicate(timeout=120)
        assert process.returncode == 0, problem
        assert problem == ""
    finally:
        process.kill()
        process.communicate()


def _lines(output: Path) -> list[Any]:
    return [json.loads(line) for line in output.read_text().splitlines()]


# -- the soak


@dataclass(frozen=True, slots=True)
class _Answer:
    begun_ns: int
    ended_ns: int
    query: int
    revision: int
    matches: tuple[Match, ...]


@dataclass(slots=True)
class _Searcher:
    """One thread's answers, in order."""

    answers: list[_Answer] = field(default_factory=list)
    problem: BaseException | None = None

    def run(self, gallery: Gallery, queries: Rows, end: threading.Event) -> None:
        try:
            number = 0
            while not end.is_set():
                query = number % len(queries)
                begun = time.monotonic_ns()
                revision, [matches] = gallery.search_with_revision(queries[query : query + 1], _RESULTS)
                self.answers.append(_Answer(begun, time.monotonic_ns(), query, revision, matches))
                number += 1
        except BaseException as error:
            self.problem = error


def test_searches_beside_writers_and_builds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.gallery"
    base = [(f"base {seed % 300}", f"{seed}.jpg", seed) for seed in range(_BASE)]
    with create(path) as gallery:
        gallery.add(NewGalleryItem(label, source, row(seed), origin(seed)) for label, source, seed in base)
        gallery.index.rebuild(_PARAMETERS)
    seconds = float(os.environ.get(_SECONDS_VARIABLE) or _SECONDS)
    queries = unit_rows(64, DIM, seed=99)
    searchers, end = [_Searcher() for _ in range(_SEARCHERS)], threading.Event()
    writers = [tmp_path / f"writer {i}" for i in range(_WRITERS)]
    builds = tmp_path / "builds"

    with Gallery.open(path, background=False) as gallery, ExitStack() as stack:
        threads = [threading.Thread(target=searcher.run, args=(gallery, queries, end)) for searcher in searchers]
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(end.set)
        for output in writers:
            stack.enter_context(_beside(output, "write", path, output.name, seconds))
        stack.enter_context(_beside(builds, "reindex", path, seconds))

    for searcher in searchers:
        if searcher.problem:
            raise searcher.problem
    acknowledged = [line for output in writers for line in _lines(output)]
    answers = [answer for searcher in searchers for answer in searcher.answers]
    _check_order(searchers, acknowledged, path)
    recall = _check_truth(path, acknowledged, answers, base, queries)
    during = _check_builds(_lines(builds), answers)

    longest = max(answers, key=lambda answer: answer.ended_ns - answer.begun_ns)
    refused = sum(line[4] is not None for line in acknowledged)
    with capsys.disabled():
        print(
            f"\n{seconds:.0f} s: {len(answers)} searches by {_SEARCHERS} threads, "
            f"{len(acknowledged) - refused} commits by {_WRITERS} processes ({refused} refused), "
            f"{len(_lines(builds))} builds; longest search {_ms(longest):.0f} ms, of {len(during)} during builds "
            f"{max(map(_ms, during)):.0f} ms, their median {np.median(list(map(_ms, during))):.1f} ms; "
            f"recall@{_RESULTS} {recall:.4f}"
        )


def _ms(answer: _Answer) -> float:
    return (answer.ended_ns - answer.begun_ns) / 1e6


def _revisions(path: Path, acknowledged: list[Any]) -> dict[str, int]:
    """The revision of each change by its note; each is there once, and none that was refused."""
    with Gallery.open(path, background=False) as gallery:
        log = gallery.history.log()
    by_note = {line.note: line.id for line in log}
    assert len(by_note) == len(log)
    for note, _, operation, returned, problem in acknowledged:
        if problem:
            assert note not in by_note
            assert problem.startswith(("there is no item", "no item has the id")) or problem.endswith(
                "is the label already"
            ), problem
        elif operation[0] == "prune":
            assert note not in by_note
        elif operation[0] != "rollback":
            assert note in by_note
        elif note in by_note:  # else nothing differed
            assert returned == by_note[note], "rollback returned another's revision"
    return by_note


def _check_order(searchers: list[_Searcher], acknowledged: list[Any], path: Path) -> None:
    """Check that no thread went back in time, and that no search missed what was acknowledged before it began."""
    revisions = _revisions(path, acknowledged)
    commits = sorted((at, revisions[note]) for note, at, _, _, problem in acknowledged if note in revisions)
    times = [at for at, _ in commits]
    newest = np.maximum.accumulate([revision for _, revision in commits])
    assert len(commits) > 20
    for searcher in searchers:
        assert searcher.answers
        seen = [answer.revision for answer in searcher.answers]
        assert seen == sorted(seen)
        for answer in searcher.answers:
            before = bisect.bisect_left(times, answer.begun_ns)
            assert before == 0 or answer.revision >= newest[before - 1]


def _check_truth(path: Path, acknowledged: list[Any], answers: list[_Answer], base: list[Any], queries: Rows) -> float:
    """Make the history again from what was acknowledged; check each answer by it, and the log's digests.

    Returns:
        The share of the best matches that were found.
    """
    operations = {note: (operation, returned) for note, _, operation, returned, problem in acknowledged if not problem}
    by_revision: dict[int, list[_Answer]] = defaultdict(list)
    for answer in answers:
        by_revision[answer.revision].append(answer)
    with Gallery.open(path, background=False) as gallery:
        log = gallery.history.log()[::-1]
        final = {entry.id: (entry.label, entry.source) for entry in gallery.items()}
    content: Content = {i + 1: (label, source, seed) for i, (label, source, seed) in enumerate(base)}
    recent = {2: content}
    found = expected = 0
    for line in log:
        if line.id > 2:
            content = _after(recent, content, *operations[line.note])
            recent[line.id] = content
            recent.pop(line.id - 200, None)  # enough for all that may have been committed since a writer looked
            assert line.digest == content_digest(content)
        for number, answer in enumerate(by_revision[line.id]):
            for match in answer.matches:
                label, _, seed = content[match.item_id]
                assert match.label == label
                assert abs(match.similarity - float(row(seed) @ queries[answer.query])) < 1e-5
            values = [match.similarity for match in answer.matches]
            assert values == sorted(values, reverse=True)
            assert len({match.item_id for match in answer.matches}) == _RESULTS
            if number == 0 and line.id % 4 == 0:
                rows = np.stack([row(seed) for _, _, seed in content.values()])
                best = np.sort(rows @ queries[answer.query])[-_RESULTS]
                found += sum(value >= best - 1e-6 for value in values)
                expected += _RESULTS
    assert {item: facts[:2] for item, facts in content.items()} == final
    assert expected > 100
    assert found / expected > 0.98
    return found / expected


def _after(recent: dict[int, Content], content: Content, operation: list[Any], returned: Any) -> Content:
    kind, *values = operation
    if kind == "rollback":
        return recent[values[0]]
    if kind == "add":
        return content | {item: tuple(facts) for item, facts in zip(returned, values[0], strict=True)}
    if kind == "remove":
        assert returned == values[0]
        return {item: facts for item, facts in content.items() if item not in set(values[0])}
    renamed = {item: (values[1], *facts[1:]) for item, facts in content.items() if facts[0] == values[0]}
    assert len(renamed) == returned
    return content | renamed


def _check_builds(builds: list[Any], answers: list[_Answer]) -> list[_Answer]:
    """Check that searches began and ended within most whole builds, and return these; a busy machine may skip one."""
    answers = sorted(answers, key=lambda answer: answer.begun_ns)
    begun = [answer.begun_ns for answer in answers]
    within: list[_Answer] = []
    answered = []
    assert {whole for _, _, whole in builds} == {False, True}
    for start, end, whole in builds:
        inside = answers[bisect.bisect_left(begun, start) : bisect.bisect_right(begun, end)]
        inside = [answer for answer in inside if answer.ended_ns <= end]
        within += inside
        if whole:
            answered.append(bool(inside))
    assert sum(answered) > len(answered) / 2, "no search was answered while an index was built"
    return within


# -- one process, one file


def test_a_search_is_answered_between_any_two_steps_of_a_build(tmp_path: Path) -> None:
    """The build waits for searches here, so that a search that waited for the build would never end."""
    rows = unit_rows(2500)
    answered: list[int] = []
    with create(tmp_path / "shop.gallery") as gallery:
        gallery.add(new_items(rows))

        def search_meanwhile(done: int, total: int) -> None:
            thread = threading.Thread(target=lambda: answered.append(gallery.search(rows[7:8], 1)[0][0].item_id))
            thread.start()
            thread.join(60)
            assert not thread.is_alive()

        gallery.index.rebuild(_PARAMETERS, progress=search_meanwhile)
        gallery.add(new_items(unit_rows(500, seed=1)))
        gallery.index.rebuild(extend=True, progress=search_meanwhile)
        assert answered == [8] * 30


_ADD_AND_CLOSE = """
import sys
from pathlib import Path
from shitu_edge.gallery import Gallery
from tests.gallery.rows import new_items, unit_rows
with Gallery.open(Path(sys.argv[1]), background=False) as gallery:
    print(len(gallery), gallery.add(new_items(unit_rows(1))))
"""


def _add_from_outside(path: Path) -> str:
    return run_python(f"import sys; sys.path.insert(0, {str(_ROOT)!r})\n{_ADD_AND_CLOSE}", path).strip()


def test_a_second_opening_in_a_process_does_not_give_up_the_first_ones_lock(tmp_path: Path) -> None:
    """POSIX ends a process's locks on a file when it closes any descriptor of it (sqlite.org/howtocorrupt.html, 2.2).

    Without the lock another process that closes takes itself for the last, and deletes the log beneath this one.
    """
    path = tmp_path / "shop.gallery"
    with create(path) as gallery:
        gallery.add(new_items(unit_rows(1)))
        with Gallery.open(path, background=False) as second:
            assert _add_from_outside(path) == "1 [2]"
            assert gallery.add(new_items(unit_rows(1))) == [3]
            assert _add_from_outside(path) == "3 [4]"
            assert len(gallery) == len(second) == 4
        assert _add_from_outside(path) == "4 [5]"
        assert gallery.add(new_items(unit_rows(1))) == [6]
    with Gallery.open(path, background=False) as gallery:
        assert len(gallery) == 6


# -- the graph brought up to date in the background


@pytest.fixture
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "GRAPH_FROM", 50)


def _children() -> list[int]:
    """The processes that this one has started and not waited for."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended meanwhile
            if int(state[1]) == os.getpid():
                found.append(int(folder.name))
    return found


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _names(path: Path) -> list[str]:
    return sorted(file.name[len(path.name) :] for file in path.parent.glob(f"{path.name}?*"))


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")


@needs_proc
@pytest.mark.usefixtures("small_is_large")
def test_a_graph_is_built_in_another_process_and_taken_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "shop.gallery"
    create(path).close()
    others = _children()
    rows = unit_rows(80)
    with caplog.at_level(logging.WARNING), Gallery.open(path) as gallery:
        gallery.add(new_items(rows[:49]))
        gallery._live.upkeep.wait()
        assert gallery.info().search == "exact"
        gallery.add(new_items(rows[49:]))
        _until(lambda: _children() != others)
        assert gallery.search(rows[60:61], 1)[0][0].item_id == 61
        _until(lambda: gallery.info().search == "graph")
        assert [matches[0].item_id for matches in gallery.search(rows, 1)] == list(range(1, 81))
        assert (gallery.info().pending, gallery.info().dead) == (0, 0)
        gallery._live.upkeep.wait()
        assert _children() == others
    assert [name[-5:] for name in _names(path)] == [".hnsw"]
    assert caplog.messages == []


@needs_proc
@pytest.mark.usefixtures("small_is_large")
@pytest.mark.parametrize("moment", ["at once", "building", "saving"])
def test_closing_ends_the_build(tmp_path: Path, moment: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "shop.gallery"
    create(path, dim=128).close()
    others = _children()
    rows = clustered_rows(12000 if moment == "building" else 1500, 128)
    with caplog.at_level(logging.WARNING), Gallery.open(path) as gallery:
        gallery.add(new_items(rows))
        if moment != "at once":
            _until(lambda: _children() != others)
        if moment == "building":
            time.sleep(1)
            assert _children() != others
            assert gallery.search(rows[5:6], 1)[0][0].similarity > 0.999
        if moment == "saving":
            _until(lambda: any(name.endswith(".partial") for name in _names(path)) or _children() == others)
    assert _children() == others
    assert not [name for name in _names(path) if name.endswith((".partial", "-wal", "-shm"))]
    assert "shitu-gallery" not in {thread.name for thread in threading.enumerate()}
    assert caplog.messages == []
    with Gallery.open(path, background=False) as gallery:
        assert len(gallery) == len(rows)


@needs_proc
@pytest.mark.usefixtures("small_is_large")
def test_a_build_that_fails_is_one_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder has the name that the graph will have: equal content built by one thread has an equal digest."""
    path, original = tmp_path / "shop.gallery", tmp_path / "first.gallery"
    rows = unit_rows(80)
    with create(original) as gallery:
        gallery.add(new_items(rows))
    shutil.copyfile(original, path)
    with Gallery.open(original, background=False) as gallery:
        gallery.index.rebuild()
    [graph] = tmp_path.glob("*.hnsw")
    obstacle = path.with_name(graph.name.replace("first", "shop"))
    obstacle.mkdir()

    others = _children()
    with caplog.at_level(logging.WARNING), Gallery.open(path) as gallery:
        caplog.clear()  # of the advice to build an index
        with gallery.change():
            pass
        gallery._live.upkeep.wait()
        [message] = caplog.messages
        assert "\n" not in message
        assert str(path) in message
        assert "Is a directory" in message
        assert _children() == others
        assert gallery.info().search == "exact"
        assert [matches[0].item_id for matches in gallery.search(rows, 1)] == list(range(1, 81))
        assert _names(path) == ["-shm", "-wal", obstacle.name[len(path.name) :]]

        obstacle.rmdir()
        with gallery.change():
            pass
        _until(lambda: gallery.info().search == "graph")
        assert [matches[0].item_id for matches in gallery.search(rows, 1)] == list(range(1, 81))
