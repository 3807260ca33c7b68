"""Hostile files, each through its doors in processes of their own that are watched for signals, time and memory.

    python -m tests.hostile FOLDER [--seconds 2] [--mebibytes 1024] [--json]

A gallery is searched, verified and added to, an image recognized, a patch applied, a bundle verified and opened. A line
per file says what came of each step, in how many seconds, and by how many MiB the process grew. Exit code 1 if a
process died, a step took more than allowed, or anything but one line of ours came out. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

_STARTING_S = 120.0
_PATIENCE = 5
"""A step that takes so many times what it may is ended."""
_ADDRESS_SPACE = 16 << 30

Outcome = Literal["done", "refused", "failed", "died"]


@dataclass(frozen=True, slots=True)
class Step:
    """What came of a step.

    Attributes:
        outcome: `refused` is one line of ours, `failed` any other exception, `died` the process with it.
        said: what it found, or why not.
        seconds, mebibytes: how long it took, and by how much the process grew at most. Of a process that died, the
            time since it was started and its peak.
    """

    name: str
    outcome: Outcome
    said: str
    seconds: float
    mebibytes: float

    def faults(self, seconds: float, mebibytes: float) -> list[str]:
        """Return what is wrong with the step, whatever it did with the file."""
        if self.outcome in ("failed", "died"):
            return [f"{self.name} {self.outcome}: {self.said}"]
        found = [f"{self.name} took {self.seconds:.1f} s"] if self.seconds > seconds else []
        return found + ([f"{self.name} took {self.mebibytes:.0f} MiB"] if self.mebibytes > mebibytes else [])


@dataclass(frozen=True, slots=True)
class Door:
    """How a kind of file is tried: what is not measured, and steps that take the file and what the start returned."""

    start: Callable[[Path, Path], Any]
    steps: Mapping[str, Callable[[Path, Any], str]]


def watch(command: Sequence[str], log: Path) -> tuple[str, float]:
    """Run a command; return how it died, empty if it ended well, and its peak memory in MiB.

    Linux counts to it what the caller itself holds, so the caller should be small.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = code = os.waitstatus_to_exitcode(status)
    died = f"exit code {code}" if code > 0 else signal.Signals(-code).name if code else ""
    return "endless" if died == "SIGALRM" else died, usage.ru_maxrss / 1024


def try_file(path: Path, seconds: float = 2.0) -> tuple[Step, ...]:
    """Put a file through its doors; `seconds` is what a step may take."""
    return tuple(_try_step(path, name, seconds) for name in _DOORS[_kind(path)].steps)


def hostile_files(folder: Path) -> list[Path]:
    """Return the files, pipes and bundles of a folder, without what lies beside its galleries and texts about it."""
    entries = [path for path in sorted(folder.iterdir()) if path.suffix != ".md"]
    beside = tuple(f"{path.name}{mark}" for path in entries if path.suffix == ".gallery" for mark in ".-")
    alone = [path for path in entries if not path.name.startswith(beside)]
    return [path for path in alone if not path.is_dir() or os.path.lexists(path / "bundle.json")]


def _kind(path: Path) -> str:
    return "bundle" if path.is_dir() else {".gallery": "gallery", ".patch": "patch"}.get(path.suffix, "image")


def _try_step(path: Path, name: str, seconds: float) -> Step:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hostile-") as work:
        log = Path(work) / "log"
        limit = str(_PATIENCE * seconds)
        died, peak = watch([sys.executable, "-m", "tests.hostile", "--child", str(path), name, work, limit], log)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if not died and lines and lines[-1].startswith("{"):
        return Step(name, **json.loads(lines[-1]))
    last = "".join(lines[-1:])[:200]
    return Step(name, "died", f"{died or 'said nothing'} {last}".strip(), time.monotonic() - begun, peak)


def _start_gallery(path: Path, work: Path) -> Path:
    import shitu_edge.cli
    import shitu_edge.gallery  # noqa: F401  # imported here, so that no step is blamed for it

    if not path.is_file():  # a pipe, say
        return path
    for beside in path.parent.glob(f"{path.name}*"):
        shutil.copyfile(beside, work / beside.name)  # readable alone, perhaps: its mode stays behind
    return work / path.name


def _search(path: Path, gallery: Path) -> str:
    import numpy as np

    from shitu_edge import Gallery

    with Gallery.open(gallery, background=False) as opened:
        queries = np.random.default_rng(0).normal(size=(10, opened.meta.dim)).astype(np.float32)
        found = opened.search(queries / np.linalg.norm(queries, axis=1, keepdims=True))
        return f"{sum(map(len, found))} found"


def _add(path: Path, gallery: Path) -> str:
    import numpy as np

    from shitu_edge import Gallery, NewGalleryItem

    with Gallery.open(gallery, background=False) as opened:
        (item,) = opened.add([NewGalleryItem("new", "new.jpg", np.eye(1, opened.meta.dim, dtype=np.float32)[0])])
        return f"item {item}"


def _start_recognizer(path: Path, work: Path) -> Any:
    from shitu_edge import Recognizer

    with Recognizer.open() as maker:
        maker.create_gallery(work / "shop.gallery").close()
    return Recognizer.open(gallery=work / "shop.gallery")


def _start_copy(path: Path, work: Path) -> Path:
    import shitu_edge.cli  # noqa: F401
    from shitu_edge import Gallery

    Gallery.create(work / "shop.gallery", extractor="extractor", fingerprint="0" * 64, dim=8).close()
    return work / "shop.gallery"


def _start_engine(path: Path, work: Path) -> None:
    from shitu_edge import Recognizer

    Recognizer.open().close()


def _open_bundle(path: Path, _: None) -> str:
    from shitu_edge import Recognizer

    with Recognizer.open(path):
        return "opened"


def _command(*arguments: object) -> str:
    """Run a command of `shitu-edge` in this process; return its last line.

    Raises:
        ShituError: it refused.
    """
    from shitu_edge import ShituError
    from shitu_edge.cli import main

    output, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    sys.argv = ["shitu-edge", *map(str, arguments)]
    code: object = None
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            main()
        except SystemExit as error:
            code = error.code
    for stream in (output, errors):
        stream.seek(0)
    lines, refusals = output.read().splitlines(), errors.read().splitlines()
    if code:
        raise ShituError("\n".join(refusals or lines[-1:]))
    return "".join(lines[-1:])


_DOORS = {
    "gallery": Door(
        _start_gallery,
        {"search": _search, "verify": lambda _, gallery: _command("gallery", "verify", gallery), "add": _add},
    ),
    "image": Door(
        _start_recognizer,
        {"recognize": lambda path, opened: f"{len(opened.recognize(path, deadline_ms=200).items)} items"},
    ),
    "patch": Door(_start_copy, {"apply": lambda path, gallery: _command("gallery", "apply", gallery, path)}),
    "bundle": Door(
        _start_engine,
        {"verify": lambda path, _: _command("models", "verify", path), "open": _open_bundle},
    ),
}


def _child(path: Path, name: str, work: Path, limit_s: float) -> None:
    """Take one step in this process and print what came of it; SIGALRM ends it, whatever code runs."""
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    signal.setitimer(signal.ITIMER_REAL, _STARTING_S)
    door = _DOORS[_kind(path)]
    started = door.start(path, work)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    before, begun = _mebibytes("VmRSS"), time.monotonic()
    outcome, said = _outcome(lambda: door.steps[name](path, started))
    seconds, grown = time.monotonic() - begun, _mebibytes("VmHWM") - before
    facts = {"outcome": outcome, "said": said, "seconds": round(seconds, 3), "mebibytes": round(grown, 1)}
    print(json.dumps(facts), flush=True)


def _outcome(step: Callable[[], str]) -> tuple[Outcome, str]:
    from shitu_edge import ShituError

    try:
        return "done", step()
    except ShituError as error:
        return ("failed" if "\n" in str(error) else "refused"), str(error)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"


def _mebibytes(what: str) -> float:
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(found[1]) / 1024 if found else 0.0


def _line(path: Path, steps: Sequence[Step], faults: Sequence[str]) -> str:
    facts = [f"{step.name} {step.outcome} ({step.seconds:.2f} s, {step.mebibytes:.0f} MiB)" for step in steps]
    refusals = list(dict.fromkeys(step.said for step in steps if step.outcome == "refused"))
    return f"{'BAD' if faults else 'ok '} {path.name}: {', '.join(facts)}; " + "; ".join([*faults, *refusals])


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=2.0, help="what a step may take")
    parser.add_argument("--mebibytes", type=float, default=1024.0, help="by how much a process may grow in a step")
    parser.add_argument("--json", action="store_true", help="print JSON: the steps of each file")
    arguments = parser.parse_args()
    bad = False
    for path in hostile_files(arguments.folder):
        steps = try_file(path, arguments.seconds)
        faults = [fault for step in steps for fault in step.faults(arguments.seconds, arguments.mebibytes)]
        bad = bad or bool(faults)
        facts = {"file": path.name, "faults": faults, "steps": list(map(asdict, steps))}
        print(json.dumps(facts, ensure_ascii=False) if arguments.json else _line(path, steps, faults), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        _child(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), float(sys.argv[5]))
    else:
        sys.exit(main())
