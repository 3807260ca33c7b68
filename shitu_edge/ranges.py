"""Checks of options, and how values are shown.

Each check raises `OptionError` with the option's name, what was expected and what was found.

NumPy's numbers are numbers; text, `True` and NaN are not.
"""

from __future__ import annotations

import math
import operator
import os
import reprlib
from collections.abc import Collection
from numbers import Real
from typing import Any

import numpy as np

from .errors import OptionError

MOST_THREADS = 1024
"""Upper limit: engines start as many threads as they are told to."""

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxlong = _BRIEF.maxother = 60


def shown(value: Any) -> str:
    """Return a value as text of at most 60 characters."""
    try:
        return f"{_BRIEF.repr(value):.60}"
    except Exception:  # foreign objects, and integers of thousands of digits
        return type(value).__name__


def named(name: str, longest: int = 60) -> str:
    """Return a name as it is if it is short and printable, else as `shown` does."""
    return name if name.isprintable() and len(name) <= longest else shown(name)


def percent(share: float) -> str:
    """Return a share as a percentage of up to three digits: `1%`, `0.25%`."""
    return f"{100 * share:.3g}%"


def require_whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Check for a whole number of at least `low` and, if given, at most `high`."""
    try:
        whole = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None or whole < low or (high is not None and whole > high):
        raise _refusal(name, f"a whole number {_range(low, high)}", value)


def require_threads(threads: Any) -> None:
    """Check for a number of threads, or None for as many as the machine has cores."""
    if threads is not None:
        require_whole("threads", threads, 1, MOST_THREADS)


def require_number(name: str, value: Any, low: float, high: float = math.inf) -> None:
    """Check for a finite number from `low` to `high`."""
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not (low <= number <= high and number != math.inf):
        raise _refusal(name, f"a number {_range(low, None if high == math.inf else high)}", value)


def require_flag(name: str, value: Any) -> None:
    """Check for True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise _refusal(name, "True or False", value)


def require_one_of(name: str, value: Any, choices: Collection[str]) -> None:
    """Check for one of some words."""
    if not (isinstance(value, str) and value in choices):
        raise _refusal(name, f"one of {', '.join(choices)}", value)


def require_path(name: str, value: Any, instead: str = "") -> None:
    """Check for a path that the system can have; `instead` adds what else is accepted."""
    try:
        place = os.fspath(value)
        fits = isinstance(place, str) and b"\0" not in os.fsencode(place)
    except (TypeError, ValueError):  # characters that no file name has are a ValueError
        fits = False
    if not fits:
        raise _refusal(name, f"a path{instead}", value)


def require_instance(name: str, value: Any, kinds: type | tuple[type, ...], expected: str) -> None:
    """Check for an object of some classes; `expected` names them."""
    if not isinstance(value, kinds):
        raise _refusal(name, expected, value)


def _range(low: float, high: float | None) -> str:
    return f"of at least {low:g}" if high is None else f"from {low:g} to {high:g}"


def _refusal(name: str, expected: str, found: Any) -> OptionError:
    return OptionError(f"{name}: expected {expected}, found {shown(found)}")
