"""Forked processes, which lack their parent's threads and file locks.

So a child is refused what was opened before the fork, and never destroys it: engines' destructors would wait forever
for their threads, and SQLite's would act on locks that the child does not hold.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass, field
from weakref import WeakSet

from ..errors import ForkError


@dataclass(frozen=True, slots=True)
class Home:
    """The process in which something was opened."""

    _pid: int = field(default_factory=os.getpid)

    @property
    def is_here(self) -> bool:
        """Whether this is that process."""
        return os.getpid() == self._pid

    def require(self, what: object) -> None:
        """Check that this is that process; raises `ForkError` in a process forked since."""
        if not self.is_here:
            raise ForkError(
                f"{what}: was opened before this process was forked and cannot be used in it; open it in each "
                "process, after the fork (gunicorn: without --preload, or in post_fork; multiprocessing: spawn)"
            )


def keep_in_children(owner: object) -> None:
    """Keep an object from being destroyed in forked processes."""
    _kept_in_children.add(owner)


_kept_in_children: WeakSet[object] = WeakSet()


def _keep() -> None:
    for owner in _kept_in_children:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))  # kept even at interpreter exit


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep)
