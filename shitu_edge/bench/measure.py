"""Measuring tasks: one after the other, at a fixed rate, by several callers, and an idle process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..system.progress import Progress

Stages = Mapping[str, float]
"""Milliseconds by stage."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples in order of measurement.

    Attributes:
        total_ms: duration of each task.
        stages: milliseconds by stage, as returned by the tasks.
        cpu_ms: CPU time of this process per task, all threads together.
        wall_s: duration of all tasks.
        first_ms: duration of the first warm-up task.
    """

    total_ms: tuple[float, ...]
    stages: Mapping[str, tuple[float, ...]]
    cpu_ms: float
    wall_s: float
    first_ms: float


def one_by_one(
    task: Callable[[int], Stages], *, count: int, warm_up: int = 10, progress: Progress = lambda *_: None
) -> Recording:
    """Run a task `count` times in sequence, after `warm_up` uncounted runs.

    Args:
        task: called with its number; returns milliseconds by stage.
        count: at least 1.
        warm_up: at least 1.
        progress: called with the runs done and the total.
    """
    first_ms = 0.0
    for number in range(-warm_up, 0):
        begun = time.perf_counter_ns()
        task(number)
        first_ms = first_ms or _ms_since(begun)
    totals: list[float] = []
    stages: dict[str, list[float]] = {}
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    for number in range(count):
        begun = time.perf_counter_ns()
        parts = task(number)
        totals.append(_ms_since(begun))
        for name, value in parts.items():
            stages.setdefault(name, []).append(value)
        progress(number + 1, count)
    return Recording(
        tuple(totals),
        {name: tuple(values) for name, values in stages.items()},
        (time.process_time_ns() - cpu) / 1e6 / count,
        _ms_since(wall) / 1e3,
        first_ms,
    )


def as_many_as_possible(task: Callable[[int], object], *, callers: int, seconds: float) -> float:
    """Return the tasks per second of `callers` threads, each running tasks in sequence.

    Raises:
        Exception: the first error of a task.
    """
    end = time.monotonic() + seconds
    done = [0] * callers

    def step(caller: int) -> bool:
        if time.monotonic() >= end:
            return False
        task(done[caller] * callers + caller)
        done[caller] += 1
        return True

    begun = time.monotonic()
    _in_threads(step, callers)
    return sum(done) / (time.monotonic() - begun)


def at_a_rate(task: Callable[[int], object], *, per_second: float, seconds: float, callers: int) -> tuple[float, ...]:
    """Return the milliseconds from each task's due time to its end.

    Tasks are due at equal intervals, whether or not earlier ones are done, so waiting for earlier ones counts.

    Args:
        task: called with its number.
        per_second: rate of due tasks.
        seconds: duration.
        callers: threads, each of which takes the next task due.

    Raises:
        Exception: the first error of a task.
    """
    count = max(1, round(per_second * seconds))
    taken = [0.0] * count
    numbers = iter(range(count))
    lock = threading.Lock()
    start = time.perf_counter()

    def step(_: int) -> bool:
        with lock:
            number = next(numbers, None)
        if number is None:
            return False
        due = start + number / per_second
        time.sleep(max(0.0, due - time.perf_counter()))
        task(number)
        taken[number] = (time.perf_counter() - due) * 1e3
        return True

    _in_threads(step, callers)
    return tuple(taken)


def idle_cpu(seconds: float) -> float:
    """Return the share of a core that this process uses while idle: 0.01 is one percent."""
    wall, cpu = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - cpu) / (time.perf_counter() - wall)


def _in_threads(step: Callable[[int], bool], count: int) -> None:
    """Repeat a step in each of `count` threads while it returns True; raise the first error of any."""
    failures: list[BaseException] = []

    def work(caller: int) -> None:
        try:
            while not failures and step(caller):
                pass
        except BaseException as error:  # raised again in the calling thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(caller,), daemon=True) for caller in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _ms_since(begun_ns: int) -> float:
    return (time.perf_counter_ns() - begun_ns) / 1e6
