"""Runs a task of `worker.py` in a process of its own; a crash there is an error here, with its last words."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .errors import ConversionError

_SILENT = {
    "POLYGRAPHY_AUTOINSTALL_DEPS": "0",
    "GLOG_minloglevel": "2",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
_NOISE = re.compile(
    r"^\s*$|^-+$|^C\+\+ Traceback|^Error Message Summary|TimeInfo|SignalInfo|ccache|warnings\.warn"
    r"|^\s*(\d+|raise|return) |^Traceback|\[INFO\]|Start parsing|Intermediate model|UserWarning|absl"
    r"|^WARNING|deprecated"
)
_LAST_LINES = 4
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def run(task: str, what: str, blame: Iterable[str] = (), **arguments: Any) -> dict[str, Any]:
    """Do a task in a process of its own and return what it reports.

    Args:
        task: a function of `worker.py`.
        what: what is being done, for the message.
        blame: op types that might be at fault; those that stand in the last words are named.

    Raises:
        ConversionError: the process failed or crashed; the message ends with its last words.
    """
    with tempfile.TemporaryDirectory(prefix="shitu-edge-export-") as scratch:
        result, request = Path(scratch, "result.json"), Path(scratch, "arguments.json")
        request.write_text(json.dumps({**arguments, "result": str(result)}), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", f"{__package__}.worker", task, str(request)],
            env={**os.environ, **_SILENT, "TMPDIR": scratch, "PYTHONPATH": _search_path()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode == 0 and result.is_file():
            facts: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
            return facts
    words = _last_words(done.stdout)
    found = sorted(name for name in set(blame) if re.search(rf"\b{re.escape(name)}\b", done.stdout))
    culprit = f" (op: {', '.join(found)})" if found else ""
    raise ConversionError(f"{what} {_ending(done.returncode)}{culprit}: {words}")


def _search_path() -> str:
    """Return $PYTHONPATH with this package's place in front: it may have been found in another way."""
    return os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])


def _ending(code: int) -> str:
    if code < 0:
        known = {int(number): number.name for number in signal.Signals}
        return f"crashed with {known.get(-code, -code)}"
    return "failed"


def _last_words(output: str) -> str:
    lines = [_COLORS.sub("", line).rstrip() for line in output.splitlines()]
    telling = [line for line in lines if not line.startswith("  ") and not _NOISE.search(line)]  # no stack's lines
    return " | ".join(telling[-_LAST_LINES:])[-600:] or "it said nothing"
