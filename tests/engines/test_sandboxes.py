"""Engines in a sandbox that hides part of the system: an answer or one line, never a wait."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from shitu_edge.engines import ENGINES

_OPEN = """
import json, signal, sys
from shitu_edge import Recognizer, ShituError
signal.alarm(60)  # a process that waits for ever ends
try:
    with Recognizer.open(sys.argv[1], engine=sys.argv[2], cache="") as recognizer:
        print(json.dumps([recognizer._detector.engine.engine, recognizer._detector.engine.fallback]))
except ShituError as error:
    print(json.dumps([None, str(error)]))
"""


@cache
def _refusal_to_hide() -> str | None:
    if sys.platform != "linux" or not shutil.which("unshare"):
        return "no unshare"
    done = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/sys"], capture_output=True, check=False)
    return done.stderr.decode(errors="replace").strip() if done.returncode else None


def open_without(folders: Sequence[str], bundle: Path, engine: str) -> tuple[str | None, str | None]:
    """Open a recognizer where folders are empty; return its engine and why it is no other, or why it has none."""
    for name in ENGINES:
        pytest.importorskip(name)
    if reason := _refusal_to_hide():
        pytest.skip(f"folders cannot be hidden here: {reason}")
    hide = "".join(f"mount -t tmpfs none {folder} && " for folder in folders)
    command = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        f'{hide} exec "$@"',
        "sh",
        sys.executable,
        "-c",
        _OPEN,
        str(bundle),
        engine,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    found, text = json.loads(done.stdout)
    return found, text


def test_without_sys_and_proc_onnxruntime_runs(tiny_bundle: Path) -> None:
    """OpenVINO would read a file that is not there to its end."""
    engine, fallback = open_without(["/sys", "/proc"], tiny_bundle, "auto")
    assert engine == "onnxruntime"
    assert fallback is not None
    assert fallback.startswith("openvino: cannot start: neither /proc/cpuinfo nor /sys/devices/system/cpu can be read")


def test_without_sys_and_proc_a_demand_for_openvino_fails(tiny_bundle: Path) -> None:
    engine, reason = open_without(["/sys", "/proc"], tiny_bundle, "openvino")
    assert engine is None
    assert reason is not None
    assert reason.endswith("mount /proc")


@pytest.mark.parametrize("folder", ["/sys", "/proc"])
def test_without_one_of_them_openvino_runs(tiny_bundle: Path, folder: str) -> None:
    found = open_without([folder], tiny_bundle, "auto")
    if folder == "/proc" and "-" not in Path("/sys/devices/system/cpu/possible").read_text(encoding="utf-8"):
        pytest.skip("OpenVINO knows a single CPU from /proc alone")
    assert found == ("openvino", None)
