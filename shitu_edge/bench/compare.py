"""Two stored results side by side: what changed beyond noise, and what else was different."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..errors import OptionError
from .run import SCHEMA_VERSION, STAGES
from .statistics import Change, compare


@dataclass(frozen=True, slots=True)
class Difference:
    """Medians in milliseconds of a stage, or of the total, before and after."""

    name: str
    before_ms: float
    after_ms: float
    change: Change


def load_result(path: Path) -> dict[str, Any]:
    """Read what `shitu-edge bench --json` wrote.

    Raises:
        OptionError: it is missing, no result, or of another version.
    """
    try:
        stored = json.loads(path.read_bytes())
    except OSError as error:
        raise OptionError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise OptionError(f"{path}: is no result of `shitu-edge bench --json`: {error}") from error
    try:
        known = stored["schema_version"] == SCHEMA_VERSION and bool(_conditions(stored))
        known = known and all(min(_samples(stored, name)) > 0 for name in (*STAGES, "total"))
    except (KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise OptionError(f"{path}: is no result of `shitu-edge bench --json` in version {SCHEMA_VERSION}")
    return dict(stored)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Compare the stages' and the totals' medians of two stored results."""
    found = []
    for name in (*STAGES, "total"):
        first, second = _samples(before, name), _samples(after, name)
        found.append(Difference(name, median(first), median(second), compare(first, second)))
    return found


def conditions(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return what else differs between two stored results, by name: the machine, versions, bundle and setup."""
    first, second = _conditions(before), _conditions(after)
    both = {name: (first.get(name, "none"), second.get(name, "none")) for name in first | second}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def _samples(result: Mapping[str, Any], name: str) -> list[float]:
    latency = result["latency"]
    samples: list[float] = latency["total_ms"] if name == "total" else latency["stages"][name]
    return samples


def _conditions(result: Mapping[str, Any]) -> dict[str, str]:
    environment, made_by = result["environment"], result["made_by"]
    found = {"CPU": environment["cpu"]["model"], "system": environment["system"], "Python": environment["python"]}
    found |= {name: str(number) for name, number in environment["versions"].items()}
    found |= {"bundle digest": made_by["bundle_digest"][:12], "gallery": f"{result['gallery_items']} items"}
    for part in ("detector", "extractor"):
        network = made_by[part]
        found[part] = f"{network['engine']}, {network['precision']}, {network['threads']} threads"
    sizes = ", ".join(f"{width} × {height}" for width, height in result["sizes"])
    return found | {"objects": str(result["setup"]["objects"]), "pictures": f"{result['pictures']} of {sizes}"}
