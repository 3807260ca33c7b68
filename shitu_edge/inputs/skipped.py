"""Skipped files, and a short summary of any number of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..system.text import some

_REASONS = 20


@dataclass(frozen=True, slots=True)
class Skipped:
    """A skipped file or folder, and a reason such as `is empty`."""

    source: str
    reason: str


def summary(skipped: Iterable[Skipped]) -> list[str]:
    """Return a line per reason, `a.jpg, b.jpg and 7 more: is empty`, the most frequent first, at most 20."""
    by_reason: dict[str, list[str]] = {}
    for one in skipped:
        by_reason.setdefault(one.reason, []).append(one.source)
    groups = sorted(by_reason.items(), key=lambda group: -len(group[1]))
    lines = [f"{some(sources)}: {reason}" for reason, sources in groups[:_REASONS]]
    rest = sum(len(sources) for _, sources in groups[_REASONS:])
    return [*lines, f"{rest} more, for {len(groups) - _REASONS} other reasons"] if rest else lines
