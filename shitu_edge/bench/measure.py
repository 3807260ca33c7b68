"""The clock: one task after the other, at a fixed rate, by several at once, or none at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Stages = Mapping[str, float]
"""Milliseconds by stage."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Recording:
    """Samples in the order in which they were taken.

    Attributes:
        total_ms: of each task, from its beginning to its end, by a clock around it.
        stages: milliseconds by stage, as the tasks said.
        cpu_ms: processor time of this process a task, all threads together.
        wall_s: from the first beginning to the last end.
        first_ms: how long the very first task took, which warms up and does not count.
    """

    total_ms: tuple[float, ...]
    stages: Mapping[str, tuple[float, ...]]
    cpu_ms: float
    wall_s: float
    first_ms: float


def one_by_one(
    task: Callable[[int], Stages], *, count: int, warm_up: int = 10, progress: Progress = lambda *_: None
) -> Recording:
    """Run a task `count` times, the next when the last has ended, after `warm_up` runs that do not count.

    Args:
        task: is given its number, and returns its stages' milliseconds.
        count: at least 1.
        warm_up: at least 1.
        progress: called with runs done and in all.
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
    """Return how many tasks a second `callers` threads get done, each starting its next when its last has ended.

    Raises:
        Exception: what a task raised first.
    """
    end = time.monotonic() + seconds
    done = [0] * callers
    failures: list[BaseException] = []

    def call(caller: int) -> None:
        try:
            while time.monotonic() < end and not failures:
                task(done[caller] * callers + caller)
                done[caller] += 1
        except BaseException as error:  # raised again where the caller sees it
            failures.append(error)

    begun = time.monotonic()
    _in_threads(call, callers)
    if failures:
        raise failures[0]
    return sum(done) / (time.monotonic() - begun)


def at_a_rate(task: Callable[[int], object], *, per_second: float, seconds: float, callers: int) -> tuple[float, ...]:
    """Return the milliseconds from when each task was due until it was done.

    Tasks are due at equal intervals, whether or not earlier ones are done: one that has to wait for them takes as much
    longer, as it does for who asked. (A clock that starts when a task is begun would leave that out.)

    Args:
        task: is given its number.
        per_second: tasks.
        seconds: for how long tasks fall due.
        callers: threads that do them, the next one due each.

    Raises:
        Exception: what a task raised first.
    """
    count = max(1, round(per_second * seconds))
    taken = [0.0] * count
    numbers = iter(range(count))
    lock = threading.Lock()
    failures: list[BaseException] = []
    start = time.perf_counter()

    def call(_: int) -> None:
        try:
            while not failures:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                due = start + number / per_second
                time.sleep(max(0.0, due - time.perf_counter()))
                task(number)
                taken[number] = (time.perf_counter() - due) * 1e3
        except BaseException as error:  # raised again where the caller sees it
            failures.append(error)

    _in_threads(call, callers)
    if failures:
        raise failures[0]
    return tuple(taken)


def idle_cpu(seconds: float) -> float:
    """Return how much of a core this process uses while it has nothing to do: 0.01 is one percent."""
    wall, cpu = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - cpu) / (time.perf_counter() - wall)


def _in_threads(work: Callable[[int], None], count: int) -> None:
    threads: Sequence[threading.Thread] = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _ms_since(begun_ns: int) -> float:
    return (time.perf_counter_ns() - begun_ns) / 1e6
