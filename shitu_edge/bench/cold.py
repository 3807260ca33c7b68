"""Time from starting a process to its first answer.

    python -m shitu_edge.bench.cold '{"bundle": ..., "gallery": ..., "image": ..., ...}'

opens a recognizer, recognizes one image, and prints the times as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ..engines import EngineName
from ..errors import ShituError


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Milliseconds from the process's start to the interpreter's first line, an open recognizer, an answer."""

    python_ms: float
    open_ms: float
    answer_ms: float


def cold_start(
    bundle: Path,
    gallery: Path,
    image: bytes,
    *,
    engine: EngineName = "auto",
    precision: str | tuple[str, str] | None = None,
    threads: int | None = None,
    cached: bool = True,
) -> ColdStart:
    """Start a process that recognizes one image.

    Args:
        bundle, gallery, engine, precision, threads: as in `Recognizer.open`.
        image: encoded.
        cached: use the user's cache folder for compiled models; else an empty one.

    Raises:
        ShituError: the process failed; with its last line.
    """
    with tempfile.TemporaryDirectory(prefix="shitu-edge-bench-") as scratch:
        photo = Path(scratch, "image")
        photo.write_bytes(image)
        task = {
            "image": str(photo),
            "bundle": str(bundle),
            "gallery": str(gallery),
            "engine": engine,
            "precision": precision,
            "threads": threads,
            "cache": None if cached else str(Path(scratch, "cache")),
        }
        begun = time.time()
        command = [sys.executable, "-m", __spec__.name, json.dumps(task)]
        environment = {**os.environ, "PYTHONSAFEPATH": "1"}
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ShituError(f"a fresh process failed: {lines[-1] if lines else f'status {done.returncode}'}")
    moments = json.loads(done.stdout.splitlines()[-1])
    return ColdStart(**{name: (moment - begun) * 1e3 for name, moment in moments.items()})


def _main() -> None:
    python = time.time()
    from ..recognizer import Recognizer  # the import is measured too

    task = json.loads(sys.argv[1])
    if isinstance(task["precision"], list):
        task["precision"] = tuple(task["precision"])
    image = Path(task.pop("image")).read_bytes()
    with Recognizer.open(task.pop("bundle"), task.pop("gallery"), **task) as recognizer:
        opened = time.time()
        recognizer.recognize(image)
        answered = time.time()
    print(json.dumps(asdict(ColdStart(python, opened, answered))))


if __name__ == "__main__":
    _main()
