"""What a command line gave; the fixture `shell` of `conftest.py` runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """Exit code and output of one call."""

    code: int
    out: str
    err: str


Shell = Callable[..., Run]
