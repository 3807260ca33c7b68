"""Bringing a gallery's graph up to date beside its searches: one thread, and for the building a process of its own.

hnswlib keeps Python's lock while it saves, so a build in this process would hold searches up. The process has low
priority and ends with this one's interest in it, or with this one.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from ...errors import GalleryError

_log = logging.getLogger(__name__)

REFUSED = 3
"""The exit status of the building process that means: one line on stderr says why not. Python's own failures are 1."""
PATIENCE_S = 1.5
"""How long that process may take to end when it is asked to, and to delete what it has not finished."""
_KILLING_S = 0.5


class Upkeep:
    """At most one thread that does a job, and once more if it is asked for meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._again = False
        self._closed = False
        self._process: subprocess.Popen[str] | None = None

    def start(self, job: Callable[[], None]) -> None:
        """Have the job done soon, and return; it is always the same one, and not kept when it is done."""
        with self._lock:
            self._again = True
            if not self._thread and not self._closed:
                thread = threading.Thread(target=self._run, args=(job,), name="shitu-gallery", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    _log.warning("index not updated: %s", error)
                else:
                    self._thread = thread

    def wait(self) -> None:
        """Return when nothing is being done."""
        thread = self._thread
        if thread and thread is not threading.current_thread():
            thread.join()

    def close(self) -> None:
        """End what is being done, and begin nothing more; a process that does not end within two seconds is left."""
        with self._lock:
            self._closed = True
            process = self._process
        if process and not _ended(process):
            _log.warning("the index build (process %d) does not stop", process.pid)
        else:
            self.wait()

    def build_apart(self, path: Path) -> bool:
        """Bring the graph of a gallery up to date in another process; return whether there could be one."""
        if getattr(sys, "frozen", False) or not sys.executable:
            return False  # an application of its own, which is no Python to be called with a module
        with self._lock:
            if self._closed:
                return True
            try:
                self._process = process = _start_building(path)
            except OSError as error:
                _log.warning("cannot start the process that builds the index: %s", error)
                return False
        with process:
            assert process.stderr
            messages = process.stderr.read()
        with self._lock:
            self._process = None
        if process.returncode == REFUSED and not self._closed:
            _log.warning("index not built: %s", messages.strip().rpartition("\n")[2])
        return process.returncode in (0, REFUSED) or self._closed

    def go_on(self, done: int, total: int) -> None:
        """Be the progress of a job, and end it when nobody is interested any more."""
        if self._closed:
            raise GalleryError(f"canceled after {done} of {total} items")

    def _run(self, job: Callable[[], None]) -> None:
        while True:
            with self._lock:
                if not self._again or self._closed:
                    self._thread = None
                    return
                self._again = False
            try:
                job()
            except Exception as error:  # the thread must live to do the next job
                _log.warning("index not updated: %s", error)


def _start_building(path: Path) -> subprocess.Popen[str]:
    """Start the process, which ends when its standard input does: that is the end of this process, however it comes."""
    return subprocess.Popen(
        [sys.executable, "-m", "shitu_edge.gallery.rebuild", os.fspath(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        errors="replace",
        env={**os.environ, "PYTHONSAFEPATH": "1"},  # nothing is imported from where we happen to be
    )


def _ended(process: subprocess.Popen[str]) -> bool:
    """Ask a process to end, then kill it; return whether it is no more. Neither helps while a dead disk holds it."""
    for end, patience_s in ((process.terminate, PATIENCE_S), (process.kill, _KILLING_S)):
        end()
        try:
            process.wait(patience_s)
            return True
        except subprocess.TimeoutExpired:
            continue
    return False
