"""The clock, against work of known duration."""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from shitu_edge.bench.environment import read_environment, read_memory
from shitu_edge.bench.measure import as_many_as_possible, at_a_rate, idle_cpu, one_by_one


def busy(ms: float) -> None:
    end = time.perf_counter() + ms / 1e3
    while time.perf_counter() < end:
        pass


def test_a_stage_of_known_duration() -> None:
    """Within 2 %: the fastest of them, which no other process has interrupted."""

    def task(_: int) -> dict[str, float]:
        begun = time.perf_counter()
        busy(20)
        return {"known": (time.perf_counter() - begun) * 1e3}

    found = one_by_one(task, count=20, warm_up=2)
    assert min(found.stages["known"]) == pytest.approx(20, rel=0.02)
    assert min(found.total_ms) == pytest.approx(20, rel=0.02)
    assert found.wall_s >= 0.4
    assert found.cpu_ms > 1, "it was busy, and that is seen"


def test_what_counts() -> None:
    """The first runs warm up; their numbers are negative, and only the first one's time is kept."""
    seen: list[int] = []
    told: list[tuple[int, int]] = []

    def task(number: int) -> dict[str, float]:
        seen.append(number)
        if number == -3:
            time.sleep(0.05)
        return {"stage": float(number)}

    found = one_by_one(task, count=4, warm_up=3, progress=lambda *step: told.append(step))
    assert seen == [-3, -2, -1, 0, 1, 2, 3]
    assert found.stages == {"stage": (0.0, 1.0, 2.0, 3.0)}
    assert len(found.total_ms) == 4
    assert found.first_ms >= 50
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_several_callers_get_more_done() -> None:
    """Waiting is done side by side."""
    alone = as_many_as_possible(lambda _: time.sleep(0.02), callers=1, seconds=0.4)
    together = as_many_as_possible(lambda _: time.sleep(0.02), callers=4, seconds=0.4)
    assert alone <= 50
    assert together > 2 * alone


def test_every_caller_has_numbers_of_its_own() -> None:
    lock, seen = threading.Lock(), []

    def task(number: int) -> None:
        with lock:
            seen.append(number)
        time.sleep(0.001)

    as_many_as_possible(task, callers=3, seconds=0.1)
    assert len(seen) == len(set(seen)) > 3


def test_at_a_rate_waiting_counts() -> None:
    """One caller, tasks of 30 ms every 20 ms: each has to wait 10 ms longer than the one before."""
    taken = at_a_rate(lambda _: time.sleep(0.03), per_second=50, seconds=0.4, callers=1)
    assert len(taken) == 20
    assert taken[-1] > 30 + 19 * 9
    assert np.all(np.diff(taken) > 5)


def test_at_a_rate_that_can_be_kept_nothing_waits() -> None:
    taken = at_a_rate(lambda _: time.sleep(0.005), per_second=20, seconds=0.5, callers=2)
    assert len(taken) == 10
    assert min(taken) >= 5


@pytest.mark.parametrize(
    "measure",
    [
        partial(as_many_as_possible, callers=2, seconds=5),
        partial(at_a_rate, per_second=1000, seconds=1, callers=2),
    ],
)
def test_a_failure_is_raised(measure: Callable[[Callable[[int], None]], object]) -> None:
    def task(number: int) -> None:
        if number >= 3:
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        measure(task)


def test_idle_and_not_idle() -> None:
    assert idle_cpu(0.3) < 0.5
    stop = threading.Event()
    spinner = threading.Thread(target=lambda: [None for _ in iter(stop.is_set, True)])
    spinner.start()
    try:
        assert idle_cpu(0.5) > 0.1
    finally:
        stop.set()
        spinner.join()


def test_memory_is_seen() -> None:
    before = read_memory()
    assert before.resident is not None
    assert before.peak is not None
    with mmap.mmap(-1, 50 << 20) as block:  # an array may lie in memory that was freed before
        block.write(b"x" * len(block))
        after = read_memory()
    assert after.resident is not None
    assert after.resident - before.resident > 40 << 20


def test_an_environment_says_what_is_doubtful() -> None:
    environment = read_environment()
    assert environment.versions["numpy"] == np.__version__
    quiet = replace(environment, load=0.1, governor="performance", cpu=replace(environment.cpu, quota_cpus=None))
    assert quiet.warnings() == []
    assert "load 3.2" in replace(quiet, load=3.2).warnings()[0]
    assert "powersave" in replace(quiet, governor="powersave").warnings()[0]
    limited = replace(quiet, cpu=replace(quiet.cpu, physical_cores=4, quota_cpus=1.5))
    assert "1.5 of 4 cores" in limited.warnings()[0]
