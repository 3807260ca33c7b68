"""Settings of a gallery that name labels, so that a rename has to reach them.

Both are JSON: the groups of labels that images cannot tell apart, and the labels of the queries that
`shitu_edge.calibration` keeps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..errors import GalleryError

Groups = tuple[tuple[str, ...], ...]

LOOK_ALIKES = "look_alikes"
QUERY_LABELS = "queries/labels"


def relabeled(settings: Mapping[str, bytes], label: str, new_label: str) -> dict[str, bytes]:
    """Return those settings that name a label, with the new one instead; what is not understood is left alone."""
    changed = {}
    with suppress(GalleryError):
        before = read_groups(settings.get(LOOK_ALIKES))
        if any(label in group for group in before):
            after = joined(_renamed(group, label, new_label) for group in before)
            changed[LOOK_ALIKES] = encoded([group for group in after if len(group) > 1])
    with suppress(GalleryError):
        facts = _parsed(settings.get(QUERY_LABELS, b"{}"), QUERY_LABELS)
        labels = facts.get("labels") if isinstance(facts, dict) else None
        if isinstance(labels, list) and label in labels:
            changed[QUERY_LABELS] = encoded({**facts, "labels": _renamed(labels, label, new_label)})
    return changed


def joined(groups: Iterable[Sequence[str]]) -> Groups:
    """Return groups of labels, those that share a label as one, sorted."""
    found: list[set[str]] = []
    for group in groups:
        together = set(group)
        for other in [one for one in found if one & together]:
            found.remove(other)
            together |= other
        found.append(together)
    return tuple(sorted(tuple(sorted(group)) for group in found))


def read_groups(value: bytes | None) -> Groups:
    """Return groups of labels. Raises `GalleryError` for content of another form."""
    groups = _parsed(value, LOOK_ALIKES) if value else []
    sound = isinstance(groups, list) and all(
        isinstance(group, list) and all(isinstance(label, str) for label in group) for group in groups
    )
    if not sound:
        raise GalleryError(f"{_not_understood(LOOK_ALIKES)}: expected groups of labels")
    return tuple(tuple(group) for group in groups if len(group) > 1)


def encoded(value: Any) -> bytes:
    """Return a value as such a setting holds it."""
    return json.dumps(value, ensure_ascii=False).encode()


def _parsed(value: bytes, name: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise GalleryError(f"{_not_understood(name)}: {error}") from error


def _not_understood(name: str) -> str:
    return f"the gallery's setting {name} is not understood (`shitu-edge gallery log` lists what set it)"


def _renamed(labels: Iterable[Any], label: str, new_label: str) -> list[Any]:
    return [new_label if one == label else one for one in labels]
