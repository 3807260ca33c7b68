"""A program run under strace, in a home folder of its own: what it asks the network for, starts and leaves behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]
_CHILD = re.compile(r"^\d+ .*\b(?:fork|vfork|clone3?)\((?!.*CLONE_THREAD).* = (\d+)$")
_UNFINISHED = re.compile(r"^(\d+) (.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+) <\.\.\. \w+ resumed>(.*)$")


@dataclass(frozen=True, slots=True)
class Trace:
    """Calls for an internet socket, processes that went on in a copy of the program, and files in the home folder."""

    sockets: list[str]
    forks: list[str]
    home: list[str]
    out: str


def trace(arguments: Sequence[object], folder: Path) -> Trace:
    """Run Python with arguments as on a user's machine: no variable of ours, nor one that tells of a CI.

    Skips where programs cannot be traced.
    """
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    if (refusal := subprocess.run(["strace", "true"], capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"strace may not trace here: {refusal.stderr.strip().splitlines()[-1]}")
    home, log = folder / "home", folder / "strace.log"
    home.mkdir()
    paths = os.pathsep.join([str(_ROOT), str(_ROOT / "export")])
    calls = "trace=socket,fork,vfork,clone,clone3,execve"
    done = subprocess.run(
        ["strace", "-f", "-o", str(log), "-e", calls, sys.executable, *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": paths, "LANG": "C.UTF-8"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = list(_joined(log.read_text(encoding="utf-8", errors="replace").splitlines()))
    programs = {line.split()[0] for line in lines if "execve" in line}
    threads = {line.split()[0] for line in lines}
    children = {found[1] for line in lines if (found := _CHILD.match(line))} & threads
    return Trace(
        sockets=[line for line in lines if "socket(" in line and "AF_INET" in line],
        forks=sorted(children - programs),
        home=sorted(str(path.relative_to(home)) for path in home.rglob("*")),
        out=done.stdout,
    )


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Join calls that strace has split in two, since another thread's came between."""
    begun: dict[str, str] = {}
    for line in lines:
        if unfinished := _UNFINISHED.match(line):
            begun[unfinished[1]] = line.removesuffix(" <unfinished ...>")
        elif (resumed := _RESUMED.match(line)) and resumed[1] in begun:
            yield begun.pop(resumed[1]) + resumed[2]
        else:
            yield line
    yield from begun.values()
