"""Timing for the benchmarks here: interleaved, so that a noisy machine is equally noisy to all."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from shitu_edge.system.cpu import read_cpu


def describe_machine() -> str:
    """Return the machine and the versions that a figure belongs to, in one line."""
    cpu = read_cpu()
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "openvino", "onnxruntime", "hnswlib"))
    return (
        f"{cpu.model}, {cpu.threads} threads ({' '.join(cpu.features)}); Python {platform.python_version()}, {packages}"
    )


def interleave(
    tasks: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int = 3,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, NDArray[np.float64]]:
    """Run all tasks in turn, `rounds` times after `warm_up` unmeasured ones; return milliseconds by task."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(warm_up + rounds):
        for name, task in tasks.items():
            start = clock()
            task()
            if turn >= warm_up:
                times[name].append((clock() - start) / 1e6)
    return {name: np.array(values) for name, values in times.items()}


def interleave_cpu(
    tasks: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3
) -> dict[str, NDArray[np.float64]]:
    """As `interleave`, but CPU milliseconds of the whole process, which other processes hardly change."""
    return interleave(tasks, rounds, warm_up, clock=time.process_time_ns)


def print_times(times: Mapping[str, NDArray[np.float64]]) -> None:
    """Print median, 95th percentile and minimum of each."""
    width = max(map(len, times))
    print(f"{'':<{width}}  {'p50 ms':>8} {'p95 ms':>8} {'min ms':>8}")
    for name, values in times.items():
        print(f"{name:<{width}}  {np.median(values):8.2f} {np.percentile(values, 95):8.2f} {values.min():8.2f}")
