"""Bringing a gallery's graph up to date beside its searches: one thread, and for the building a process of its own.

hnswlib keeps Python's lock while it saves, so a build in this process would hold searches up. The process has low
priority and ends with this one's interest in it.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from ..errors import GalleryError

_log = logging.getLogger(__name__)

REFUSED = 3
"""The exit status of the building process that means: one line on stderr says why not. Python's own failures are 1."""


class Upkeep:
    """At most one thread that does a job, and once more if it is asked for meanwhile."""

    def __init__(self, job: Callable[[], None]) -> None:
        self._job = job
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._again = False
        self._closed = False
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Have the job done soon, and return."""
        with self._lock:
            self._again = True
            if not self._thread and not self._closed:
                thread = threading.Thread(target=self._run, name="shitu-gallery", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    _log.warning("index not brought up to date: %s", error)
                else:
                    self._thread = thread

    def wait(self) -> None:
        """Return when nothing is being done."""
        thread = self._thread
        if thread and thread is not threading.current_thread():
            thread.join()

    def close(self) -> None:
        """End what is being done, and begin nothing more."""
        with self._lock:
            self._closed = True
            if self._process:
                self._process.terminate()
        self.wait()

    def build_apart(self, path: Path) -> bool:
        """Bring the graph of a gallery up to date in another process; return whether there could be one."""
        if getattr(sys, "frozen", False) or not sys.executable:
            return False  # an application of its own, which is no Python to be called with a module
        with self._lock:
            if self._closed:
                return True
            command = [sys.executable, "-m", "shitu_edge.gallery.rebuild", os.fspath(path)]
            environment = {**os.environ, "PYTHONSAFEPATH": "1"}  # nothing is imported from where we happen to be
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
            except OSError as error:
                _log.warning("no process to build the index in: %s", error)
                return False
        _, messages = self._process.communicate()
        with self._lock:
            code, self._process = self._process.returncode, None
        if code == REFUSED and not self._closed:
            _log.warning("no index was built: %s", messages.strip())
        return code in (0, REFUSED) or self._closed

    def go_on(self, done: int, total: int) -> None:
        """Be the progress of a job, and end it when nobody is interested any more."""
        if self._closed:
            raise GalleryError(f"given up after {done} of {total} items")

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._again or self._closed:
                    self._thread = None
                    return
                self._again = False
            try:
                self._job()
            except Exception as error:  # the thread must live to do the next job
                _log.warning("index not brought up to date: %s", error)
