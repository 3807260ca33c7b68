"""Engines in a sandbox that hides part of the system or limits it: an answer or one line, never a wait or a crash."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from shitu_edge.engines import ENGINES
from tests.photos import write_photo

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
    """OpenVINO would read a file that is not there to its end; onnxruntime before 1.26 would abort."""
    version = pytest.importorskip("onnxruntime").__version__
    if tuple(map(int, version.split(".")[:2])) < (1, 26):
        engine, reason = open_without(["/sys", "/proc"], tiny_bundle, "auto")
        assert engine is None
        assert reason is not None
        assert "onnxruntime: cannot start: versions before 1.26 need /proc or /sys" in reason
        return
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


_AS_NOBODY = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
_READS_ALL = [f"--{kind}-caps=-all,+dac_override,+dac_read_search" for kind in ("inh", "ambient")]
"""Root's files, such as the interpreter may be: limits do not hold for root."""
_COUNT = """
import json, os, resource, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"
from shitu_edge import EngineError, Recognizer
import shitu_edge.engines.openvino, shitu_edge.engines.onnxruntime
resource.setrlimit(resource.RLIMIT_NPROC, (int(sys.argv[3]),) * 2)
try:
    with Recognizer.open(sys.argv[1], engine=sys.argv[2], threads=2, cache="") as recognizer:
        recognizer.embed(sys.argv[4])
    print(json.dumps(None))
except EngineError as error:
    print(json.dumps(str(error)))
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_threads_run_out_anywhere_on_the_way(tiny_bundle: Path, tmp_path: Path, engine: str) -> None:
    """OpenVINO would abort the process where it is refused the second thread of several."""
    for name in ENGINES:
        pytest.importorskip(name)
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root may become a user without other processes, by setpriv")
    write_photo(tmp_path / "cocoa.png")
    refusals = []
    for limit in (4, 5, 7, 9, 11, 16):
        program = [sys.executable, "-c", _COUNT, str(tiny_bundle), engine, str(limit), str(tmp_path / "cocoa.png")]
        done = subprocess.run([*_AS_NOBODY, *_READS_ALL, *program], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (limit, done.returncode, done.stderr)
        refusals.append(json.loads(done.stdout))
    refused = [text for text in refusals if text is not None]
    assert refused
    assert all("cannot start another thread" in text for text in refused), refused
    assert refusals[-1] is None, "there is a number that is enough"
