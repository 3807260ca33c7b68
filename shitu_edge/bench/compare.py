"""Two stored results side by side: what changed beyond noise, and what else was different."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..errors import OptionError
from ..ranges import named, shown
from ..system.files import read_json
from .run import SCHEMA_VERSION, STAGES
from .statistics import Change, compare

_MAX_BYTES = 16 << 20
_LONGEST, _SIZES = 200, 20


@dataclass(frozen=True, slots=True)
class Difference:
    """Medians in milliseconds of a stage, or of the total, before and after."""

    name: str
    before_ms: float
    after_ms: float
    change: Change


def load_result(path: Path) -> dict[str, Any]:
    """Read what `shitu-edge bench -o FILE.json` wrote.

    Raises:
        OptionError: it is missing, no result, or of another version.
    """
    try:
        stored = read_json(path, _MAX_BYTES)
    except OSError as error:
        raise OptionError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise OptionError(f"{path}: is not a result of `shitu-edge bench -o FILE.json`: {error}") from error
    try:
        if stored["schema_version"] == 1:
            stored |= {"schema_version": 2, "images": stored.pop("pictures")}
        known = stored["schema_version"] in (2, SCHEMA_VERSION) and bool(_conditions(stored))
        known = known and all(_are_times(_samples(stored, name)) for name in _measured(stored))
    except (AttributeError, LookupError, TypeError, ValueError):
        known = False
    if not known:
        raise OptionError(f"{path}: is not a result of `shitu-edge bench -o FILE.json`, version {SCHEMA_VERSION}")
    return dict(stored)


def _are_times(samples: object) -> bool:
    """Return whether this is a list of milliseconds, none of which a clock could not have told."""
    if not isinstance(samples, list):
        return False
    return bool(samples) and all(type(value) in (int, float) and 1e-6 < value < 1e12 for value in samples)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Compare the stages' and the totals' medians of two stored results."""
    found = []
    for name in (name for name in _measured(before) if name in _measured(after)):
        first, second = _samples(before, name), _samples(after, name)
        found.append(Difference(name, median(first), median(second), compare(first, second)))
    return found


def conditions(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return what else differs between two stored results, by name: the machine, versions, bundle and setup."""
    first, second = _conditions(before), _conditions(after)
    both = {name: (first.get(name, "none"), second.get(name, "none")) for name in first | second}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def _measured(result: Mapping[str, Any]) -> list[str]:
    """Return the stages of a stored result, and the total; before version 3 there was no second look to verify by."""
    return [name for name in (*STAGES, "total") if name != "verify" or result["schema_version"] >= SCHEMA_VERSION]


def _samples(result: Mapping[str, Any], name: str) -> list[float]:
    latency = result["latency"]
    samples: list[float] = latency["total_ms"] if name == "total" else latency["stages"][name]
    return samples


def _conditions(result: Mapping[str, Any]) -> dict[str, str]:
    environment, made_by = result["environment"], result["made_by"]
    found = {"CPU": environment["cpu"]["model"], "system": environment["system"], "Python": environment["python"]}
    found |= environment["versions"]
    found |= {"bundle digest": made_by["bundle_digest"][:12], "gallery": f"{shown(result['gallery_items'])} items"}
    for part in ("detector", "extractor"):
        engine, precision, threads = (_text(made_by[part][name]) for name in ("engine", "precision", "threads"))
        found[part] = f"{engine}, {precision}, {threads} threads"
    sizes = ", ".join(f"{shown(width)} × {shown(height)}" for width, height in result["sizes"][:_SIZES])
    found |= {"objects": result["setup"]["objects"], "images": f"{shown(result['images'])} of {sizes}"}
    return {_text(name): _text(value) for name, value in found.items()}


def _text(value: object) -> str:
    """Return a value as one line for a terminal, whatever a file says that it is."""
    return named(value, _LONGEST) if isinstance(value, str) else shown(value)
