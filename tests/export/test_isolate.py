"""Processes of their own: what a worker reports, and what is left of one that fails, aborts or talks rubbish.

Workers are small scripts that stand in for `python -m shitu_edge_export.worker`.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from shitu_edge_export import isolate
from shitu_edge_export.errors import ConversionError

PYTHON = sys.executable


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what puts a script in the place of the interpreter that runs the worker: its arguments are the same."""

    def use(script: str) -> None:
        body = tmp_path / "body.py"
        body.write_text(
            f"import json, os, signal, sys\nmodule, task, request = sys.argv[2:]\n{script}\n", encoding="utf-8"
        )
        program = tmp_path / "python"
        program.write_text(f'#!/bin/sh\nexec {PYTHON} {body} "$@"\n', encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(sys, "executable", str(program))

    return use


REPORT = "arguments = json.load(open(request)); json.dump({}, open(arguments['result'], 'w'))"


def failure(script: str, use: Any, *blame: str) -> str:
    use(script)
    with pytest.raises(ConversionError) as caught:
        isolate.run("task", "the converter", blame)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_a_worker_is_given_and_reports(worker: Any) -> None:
    answer = "{'module': module, 'task': task, 'arguments': arguments, 'env': dict(os.environ), 'there': there}"
    worker("there = os.path.isdir(os.environ['TMPDIR']); " + REPORT.format(answer))
    facts = isolate.run("to_ir", "the converter", ["conv2d"], source="a b", shapes={"x": [1, -1]}, half=False)
    assert (facts["module"], facts["task"]) == ("shitu_edge_export.worker", "to_ir")
    arguments = facts["arguments"]
    result = Path(arguments.pop("result"))
    assert arguments == {"source": "a b", "shapes": {"x": [1, -1]}, "half": False}
    environment = facts["env"]
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"
    assert environment["HOME"] == os.environ["HOME"], "the rest of the environment goes along"
    scratch = Path(environment["TMPDIR"])
    assert facts["there"]
    assert result.parent == scratch
    assert not scratch.exists(), "and is gone afterward, whatever the worker left in it"


def test_ours_come_before_the_user_s(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    worker(REPORT.format("{'level': os.environ['TF_CPP_MIN_LOG_LEVEL']}"))
    assert isolate.run("task", "what") == {"level": "3"}
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_output_of_a_worker_that_succeeds_is_dropped(worker: Any, capfd: pytest.CaptureFixture[str]) -> None:
    worker("print('much'); print('more', file=sys.stderr); " + REPORT.format("{'a': [1]}"))
    assert isolate.run("task", "what") == {"a": [1]}
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_exits_with_a_message(worker: Any) -> None:
    assert failure("sys.exit('expected 8 outputs')", worker) == "the converter failed: expected 8 outputs"
    assert failure("sys.exit(3)", worker) == "the converter failed: it said nothing"


def test_a_worker_that_raises(worker: Any) -> None:
    """The traceback is left out: its last line says what happened."""
    message = failure("def f():\n    raise ValueError('no such layer')\nf()", worker)
    assert message == "the converter failed: ValueError: no such layer"


@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV", "SIGKILL", "SIGILL", "SIGBUS"])
def test_a_worker_that_crashes(worker: Any, name: str) -> None:
    message = failure(f"print('last words', flush=True); os.kill(os.getpid(), signal.{name})", worker)
    assert message == f"the converter crashed with {name}: last words"


def test_a_signal_without_a_name(worker: Any) -> None:
    number = signal.SIGRTMIN + 3
    message = failure(f"os.kill(os.getpid(), {int(number)})", worker)
    assert message.startswith("the converter crashed")
    assert str(int(number)) in message


def test_a_worker_that_succeeds_and_reports_nothing(worker: Any) -> None:
    assert failure("print('done')", worker) == "the converter failed: done"


@pytest.mark.parametrize(
    "script", ["sys.stdout.buffer.write(bytes(range(256)) * 20)", "os.write(2, b'\\xff\\xfe' * 5000)"]
)
def test_a_worker_that_prints_rubbish(worker: Any, script: str) -> None:
    message = failure(f"{script}; sys.stdout.flush(); sys.exit(1)", worker)
    assert message.startswith("the converter failed: ")
    assert len(message) < 700


def test_only_the_last_lines_are_told(worker: Any) -> None:
    message = failure("for n in range(5000): print(f'line {n}')\nsys.exit('the end')", worker)
    assert message == "the converter failed: line 4997 | line 4998 | line 4999 | the end"


def test_one_endless_line(worker: Any) -> None:
    message = failure("sys.exit('x' * 100_000 + ' the end')", worker)
    assert message.endswith("x the end")
    assert len(message) < 700


def test_noise_and_colors_are_left_out(worker: Any) -> None:
    noise = [
        "", "-----", "C++ Traceback (most recent call last):", "W0101 00:00:00 TimeInfo: *** Aborted at 1 ***",
        "[SignalInfo: *** SIGABRT ***]", "Error Message Summary:", "/x.py:3: UserWarning: No ccache found",
        "  warnings.warn(warning_message)", "I0101 [INFO] starting", "WARNING: All log messages before absl::Init",
    ]  # fmt: skip
    colored = "\x1b[1;31mThe kernel is not registered\x1b[0m"
    message = failure(f"print({colored!r})\nprint({chr(10).join(noise)!r})\nsys.exit(1)", worker)
    assert message == "the converter failed: The kernel is not registered"


def test_ops_that_are_named_in_the_words_are_blamed(worker: Any) -> None:
    """Whole names alone, each once, in order."""
    script = "sys.exit('cannot convert while and multiclass_nms3, nor conv2d_transpose')"
    message = failure(script, worker, "while", "conv2d", "multiclass_nms3", "while", "relu")
    assert message.startswith("the converter failed (op: multiclass_nms3, while): cannot convert")
    assert failure("sys.exit('conv2d failed')", worker, "relu", "c.nv2d") == "the converter failed: conv2d failed"


def test_nothing_is_left_behind(worker: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    failure("open(os.environ['TMPDIR'] + '/left', 'w').write('x'); os.abort()", worker)
    assert list(scratch.iterdir()) == []
