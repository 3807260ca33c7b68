"""Forked processes. Threads and locks do not come along: who waits for them there, waits for ever.

So what was opened before a fork is refused in the child, at once, and never destroyed there: the destructors of
engines wait for their threads, and SQLite's would act on locks that the child does not hold.
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
        """Whether this process is the one."""
        return os.getpid() == self._pid

    def require(self, what: object) -> None:
        """Check that what was opened there is used there.

        Raises:
            ForkError: this process was forked off since.
        """
        if not self.is_here:
            raise ForkError(
                f"{what}: was opened before this process was forked off and cannot be used in it; open it in each "
                "process, after the fork (gunicorn: without --preload, or in post_fork; multiprocessing: spawn)"
            )


def keep_in_children(owner: object) -> None:
    """Have forked processes never destroy an object."""
    _kept_in_children.add(owner)


_kept_in_children: WeakSet[object] = WeakSet()


def _keep() -> None:
    for owner in _kept_in_children:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))  # a reference that not even the interpreter's end drops


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep)
