"""Settings of a gallery that name labels, so that a rename has to reach them.

Both are JSON: the groups of labels that images cannot tell apart, and the labels of the queries that
`shitu_edge.calibration` keeps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from ..errors import GalleryError

LOOK_ALIKES = "look_alikes"
QUERY_LABELS = "queries/labels"


def relabeled(settings: Mapping[str, bytes], label: str, new_label: str) -> dict[str, bytes]:
    """Return those settings that name a label, with the new one instead; what is not understood is left alone."""
    changed = {}
    with suppress(GalleryError):
        before = read_groups(settings.get(LOOK_ALIKES))
        after = tuple(tuple(dict.fromkeys(_renamed(group, label, new_label))) for group in before)
        if after != before:
            changed[LOOK_ALIKES] = encoded([group for group in after if len(group) > 1])
    with suppress(GalleryError):
        facts = _parsed(settings.get(QUERY_LABELS, b"{}"), QUERY_LABELS)
        if isinstance(facts, dict) and label in facts.get("labels", ()):
            changed[QUERY_LABELS] = encoded({**facts, "labels": _renamed(facts["labels"], label, new_label)})
    return changed


def read_groups(value: bytes | None) -> tuple[tuple[str, ...], ...]:
    """Return groups of labels. Raises `GalleryError` for content of another form."""
    groups = _parsed(value, LOOK_ALIKES) if value else []
    sound = isinstance(groups, list) and all(
        isinstance(group, list) and all(isinstance(label, str) for label in group) for group in groups
    )
    if not sound:
        raise GalleryError(f"the gallery's setting {LOOK_ALIKES} is damaged; run `shitu-edge gallery verify`")
    return tuple(tuple(group) for group in groups if len(group) > 1)


def encoded(value: Any) -> bytes:
    """Return a value as such a setting holds it."""
    return json.dumps(value, ensure_ascii=False).encode()


def _parsed(value: bytes, name: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise GalleryError(
            f"the gallery's setting {name} is damaged ({error}); run `shitu-edge gallery verify`"
        ) from error


def _renamed(labels: Iterable[Any], label: str, new_label: str) -> list[Any]:
    return [new_label if one == label else one for one in labels]
