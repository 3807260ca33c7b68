"""The cost of HTTP: time and memory over a call in the same process, readiness, refusals, overload.

    python -m benchmarks.serve [--pairs 300] [--seconds 60]

A scene of the samples as a JPEG of 300 kB, a gallery of the samples, the built-in bundle. The library and the server,
a process of its own, answer in turns. Then callers ask as fast as the server answers, and three times as fast.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measure import describe_machine
from shitu_edge import Recognizer
from shitu_edge.bundle.built_in import SAMPLES
from shitu_edge.system.memory import resident_bytes

IMAGE_BYTES = 300_000
WARM_UP = 20
STARTS = 5
REFUSALS = 200
PAUSE_S = 0.02
_MIB = 1 << 20
_TIMEOUT_S = 30
_LIBRARY = """
import sys
from pathlib import Path
from shitu_edge import Recognizer
from shitu_edge.system.memory import resident_bytes
image = Path(sys.argv[2]).read_bytes()
with Recognizer.open(gallery=sys.argv[1]) as recognizer:
    for _ in range(int(sys.argv[3])):
        recognizer.recognize(image, max_boxes=int(sys.argv[4]))
    print(resident_bytes())
"""


@dataclass(frozen=True, slots=True)
class Question:
    """The question, again and again: an image, and how many of its objects are looked at."""

    image: bytes
    objects: int


@dataclass(frozen=True, slots=True)
class Load:
    """The outcome of requests: seconds of those answered with 200, of all others, and the statuses."""

    accepted_s: NDArray[np.float64]
    refused_s: NDArray[np.float64]
    statuses: Counter[int]
    resident: list[int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--objects", type=int, default=5)
    args = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        gallery, image = Path(folder, "shop.gallery"), Path(folder, "counter.jpg")
        _build(gallery)
        question = Question(_jpeg(), args.objects)
        image.write_bytes(question.image)
        print(f"image: {len(question.image)} bytes, 1280 × 720, {args.objects} objects are looked at")
        _ready(gallery, folder)
        with server(gallery, folder) as (address, process):
            usual_ms = _paired(gallery, question, address, args.pairs)
            _memory(gallery, image, args.objects, process.pid, WARM_UP + args.pairs)
            _refusals(address, question)
            unloaded = closed_loop(address, question, args.seconds, process.pid)
            _report("at capacity, one caller", unloaded, None)
            rate = 3000 / usual_ms
            overload = open_loop(address, question, args.seconds, rate, process.pid)
            _report(f"3 × overload, {rate:.0f} per second", overload, unloaded)


@contextmanager
def server(gallery: Path, folder: str, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a server and yield its address and process; it is ready."""
    command = [sys.executable, "-m", "shitu_edge", "serve", str(gallery), "--json", "-q", "--port", "0"]
    state = ["--state", f"{folder}/state"]
    process = subprocess.Popen([*command, *state, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())["address"]
        while _ask(address, "GET", "/readyz")[0] != 200:
            time.sleep(0.005)
        yield address, process
    finally:
        process.terminate()
        process.communicate(timeout=_TIMEOUT_S)


def closed_loop(address: str, question: Question, seconds: float, pid: int) -> Load:
    """Ask again as soon as an answer is there."""
    return _load(address, question, seconds, pid, callers=1, rate=None)


def open_loop(address: str, question: Question, seconds: float, rate: float, pid: int) -> Load:
    """Ask so many times per second, whatever is answered."""
    return _load(address, question, seconds, pid, callers=8, rate=rate)


def _load(
    address: str,
    question: Question,
    seconds: float,
    pid: int,
    *,
    callers: int,
    rate: float | None,
) -> Load:
    """Ask from some threads, each with a connection of its own, at times that are set beforehand."""
    found: list[tuple[float, int]] = []
    start = time.perf_counter()
    due = iter(range(1 << 60))

    def ask() -> None:
        connection = _connect(address)
        while (now := time.perf_counter()) < start + seconds:
            if rate is not None:
                at = start + next(due) / rate
                time.sleep(max(0.0, at - now))
            began = time.perf_counter()
            status, _ = _recognize(connection, question)
            found.append((time.perf_counter() - began, status))

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    for thread in threads:
        thread.start()
    resident = []
    while any(thread.is_alive() for thread in threads):
        resident.append(_resident(pid))
        time.sleep(1)
    for thread in threads:
        thread.join()
    accepted = np.array([took for took, status in found if status == 200])
    refused = np.array([took for took, status in found if status != 200])
    return Load(accepted, refused, Counter(status for _, status in found), resident)


def _build(gallery: Path) -> None:
    command = [sys.executable, "-m", "shitu_edge", "gallery", "build", str(gallery), str(SAMPLES / "gallery")]
    subprocess.run([*command, "--crop", "-q"], check=True, stdout=subprocess.DEVNULL)


def _jpeg() -> bytes:
    """Return a scene of the samples as a JPEG of about 300 kB."""
    with Image.open(SAMPLES / "scenes" / "counter.jpg") as scene:
        pixels = np.asarray(scene.convert("RGB"), np.int16)
    noise = np.random.default_rng(0).normal(0, 6, pixels.shape)
    image = Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
    found = b""
    for quality in range(60, 100):
        stream = BytesIO()
        image.save(stream, "JPEG", quality=quality)
        found = stream.getvalue()
        if len(found) >= IMAGE_BYTES:
            break
    return found


def _ready(gallery: Path, folder: str) -> None:
    """Print the time from the start of the process until /readyz answers with 200; the model cache is warm."""
    times = []
    for _ in range(1 + STARTS):
        start = time.perf_counter()
        with server(gallery, folder):
            times.append(time.perf_counter() - start)
    least, most = min(times[1:]), max(times[1:])
    print(f"ready after {np.median(times[1:]):.2f} s (median of {STARTS}, from {least:.2f} to {most:.2f})")


def _paired(gallery: Path, question: Question, address: str, pairs: int) -> float:
    """Print what HTTP adds; return the median milliseconds over HTTP.

    Recognition itself takes longer in one call than in the next, by more than HTTP adds. So what HTTP adds is also
    shown within each call: its whole time less `stage_ms.total`, which the answer states. A pause before each call
    lets the other side's threads come to rest.
    """
    connection = _connect(address)
    times: dict[str, list[float]] = {"library": [], "HTTP": []}
    outside: dict[str, list[float]] = {"library": [], "HTTP": []}
    with Recognizer.open(gallery=gallery) as recognizer:

        def library() -> float:
            return recognizer.recognize(question.image, max_boxes=question.objects).stage_ms.total

        def http() -> bytes:
            return _recognize(connection, question)[1]

        for turn in range(WARM_UP + pairs):
            for name, ask in (("library", library), ("HTTP", http)):
                time.sleep(PAUSE_S)
                start = time.perf_counter()
                answer = ask()
                took_ms = (time.perf_counter() - start) * 1000
                total_ms = answer if isinstance(answer, float) else json.loads(answer)["stage_ms"]["total"]
                if turn >= WARM_UP:
                    times[name].append(took_ms)
                    outside[name].append(took_ms - total_ms)
    for name, values in times.items():
        p50, p99 = np.percentile(values, (50, 99))
        outside_p50, outside_p99 = np.percentile(outside[name], (50, 99))
        print(f"{name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, least {min(values):.2f} ms;", end=" ")
        print(f"outside of recognition p50 {outside_p50:.2f} ms, p99 {outside_p99:.2f} ms")
    added = [np.percentile(times["HTTP"], q) - np.percentile(times["library"], q) for q in (50, 99)]
    print(f"HTTP adds {added[0]:.2f} ms to the p50, {added[1]:.2f} ms to the p99")
    return float(np.median(times["HTTP"]))


def _memory(gallery: Path, image: Path, objects: int, pid: int, count: int) -> None:
    command = [sys.executable, "-c", _LIBRARY, str(gallery), str(image), str(count), str(objects)]
    library = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ours = _resident(pid)
    print(
        f"memory after {count} images: library {library / _MIB:.1f} MiB, server {ours / _MIB:.1f} MiB: "
        f"{(ours - library) / _MIB:+.1f} MiB"
    )


def _refusals(address: str, question: Question) -> None:
    """Print how long a refusal takes while the server is busy, from the head of the request to the whole answer."""
    stop = threading.Event()

    def occupy() -> None:
        connection = _connect(address)
        while not stop.is_set():
            _recognize(connection, question)

    threads = [threading.Thread(target=occupy) for _ in range(2)]
    for thread in threads:
        thread.start()
    times: list[float] = []
    place = urlsplit(address)
    while len(times) < REFUSALS:
        connection = HTTPConnection(place.hostname or "", place.port, timeout=_TIMEOUT_S)
        connection.connect()
        connection.putrequest("POST", "/v1/recognize")
        for name, value in (
            ("Content-Type", "image/jpeg"),
            ("Content-Length", str(len(question.image))),
            ("Deadline-Ms", "1"),
        ):
            connection.putheader(name, value)
        start = time.perf_counter()
        connection.endheaders()
        response = connection.getresponse()
        response.read()
        if response.status == 503:
            times.append((time.perf_counter() - start) * 1000)
        connection.close()
    stop.set()
    for thread in threads:
        thread.join()
    p50, p99 = np.percentile(times, (50, 99))
    soon = sum(took <= 5 for took in times)
    print(f"refused in p50 {p50:.2f} ms, p99 {p99:.2f} ms while busy; {soon} of {REFUSALS} within 5 ms")


def _report(what: str, load: Load, unloaded: Load | None) -> None:
    p50, p99 = np.percentile(load.accepted_s, (50, 99)) * 1000
    statuses = ", ".join(f"{count} × {status}" for status, count in sorted(load.statuses.items()))
    ratio = ""
    if unloaded is not None:
        ratio = f", {p99 / (np.percentile(unloaded.accepted_s, 99) * 1000):.2f} × the p99 at capacity"
    print(f"{what}: {statuses}; accepted p50 {p50:.1f} ms, p99 {p99:.1f} ms{ratio}")
    if len(load.refused_s):
        p50, p99 = np.percentile(load.refused_s, (50, 99)) * 1000
        print(f"    refused p50 {p50:.1f} ms, p99 {p99:.1f} ms, with the body sent")
    quarter = max(1, len(load.resident) // 4)
    before, after = (
        float(np.mean(part)) / _MIB for part in (load.resident[quarter : 2 * quarter], load.resident[-quarter:])
    )
    change = 100 * (after / before - 1)
    print(f"    memory {before:.1f} MiB in the second quarter, {after:.1f} in the last: {change:+.2f} %")


def _connect(address: str) -> HTTPConnection:
    place = urlsplit(address)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=_TIMEOUT_S)
    connection.connect()
    return connection


def _recognize(connection: HTTPConnection, question: Question) -> tuple[int, bytes]:
    headers = {"Content-Type": "image/jpeg"}
    connection.request("POST", f"/v1/recognize?max_boxes={question.objects}", question.image, headers)
    response = connection.getresponse()
    return response.status, response.read()


def _ask(address: str, method: str, path: str) -> tuple[int, Any]:
    connection = _connect(address)
    connection.request(method, path)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


def _resident(pid: int) -> int:
    """Return another process's memory in bytes."""
    if pid == os.getpid():
        return resident_bytes() or 0
    with open(f"/proc/{pid}/statm", encoding="ascii") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
