"""Updating a gallery's index during searches: one thread, and a separate process for building.

hnswlib holds the GIL while it saves, so a build in this process would block searches. The process has low priority and
ends when it is no longer needed or when this one ends.
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
"""Exit status of the building process: one line on stderr says why it built nothing. Python's own failures are 1."""
PATIENCE_S = 1.5
"""Seconds that process has to end and delete its unfinished file."""
_KILLING_S = 0.5


class Upkeep:
    """At most one thread, which runs a job, and again if that was requested meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._again = False
        self._closed = False
        self._process: subprocess.Popen[str] | None = None

    def start(self, job: Callable[[], None]) -> None:
        """Request the job, always the same one, and return."""
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
        """Wait for a running job."""
        thread = self._thread
        if thread and thread is not threading.current_thread():
            thread.join()

    def close(self) -> None:
        """Cancel the running job and start no other; a process that does not end within two seconds is left."""
        with self._lock:
            self._closed = True
            process = self._process
        if process and not _ended(process):
            _log.warning("the index build (process %d) does not stop", process.pid)
        else:
            self.wait()

    def build_apart(self, path: Path) -> bool:
        """Update the index in another process; return whether one could be started."""
        if getattr(sys, "frozen", False) or not sys.executable:
            return False  # a frozen application, which cannot run a module
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
        """Progress callback of a job: raises `GalleryError` once this is closed."""
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
            except Exception as error:  # the thread must survive for the next job
                _log.warning("index not updated: %s", error)


def _start_building(path: Path) -> subprocess.Popen[str]:
    """Start the process; it ends with its standard input, so also when this process dies."""
    return subprocess.Popen(
        [sys.executable, "-m", "shitu_edge.gallery.rebuild", os.fspath(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        errors="replace",
        env={**os.environ, "PYTHONSAFEPATH": "1"},  # imports nothing from the working directory
    )


def _ended(process: subprocess.Popen[str]) -> bool:
    """Terminate a process, then kill it; return whether it ended. A dead disk may block both."""
    for end, patience_s in ((process.terminate, PATIENCE_S), (process.kill, _KILLING_S)):
        end()
        try:
            process.wait(patience_s)
            return True
        except subprocess.TimeoutExpired:
            continue
    return False
