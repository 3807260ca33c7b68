"""JSON documents changed at random places, as nobody would write them."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

_HUGE = "\uffff a number of 5000 digits"
_DEEP = "\uffff 100 000 lists in each other"


def _nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


_ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, -(2**31), 2**53, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e-320, 1e308),
    *(float("nan"), float("inf"), -float("inf"), "", "a", "1", "\ud800", "\0", "\x1b[31mred\x1b[0m\nline", "\u202eabc"),
    *(
        "x" * 10_000,
        "牛奶",
        [],
        {},
        [[]],
        [None],
        [0] * 1000,
        {"a": {}},
        {"": ""},
        {"\n": 1},
        _nested(150),
        _HUGE,
        _DEEP,
    ),
]


def mutated(document: Any, chance: random.Random) -> bytes:
    """Return the JSON of a document after one to three changes."""
    changed = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        places = list(_places(changed))
        if not places:
            changed = copy.deepcopy(chance.choice(_ODD))
            continue
        parent, key = chance.choice(places)
        _change(parent, key, chance, places)
    text = json.dumps(changed)
    for mark, content in ((_HUGE, "1" * 5000), (_DEEP, "[" * 100_000 + "]" * 100_000)):
        text = text.replace(json.dumps(mark), content)
    return text.encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container and a key in it."""
    waiting = [value] if isinstance(value, (dict, list)) else []
    while waiting:
        container = waiting.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            yield container, key
            if isinstance(container[key], (dict, list)):
                waiting.append(container[key])


def _change(parent: Any, key: Any, chance: random.Random, places: list[tuple[Any, Any]]) -> None:
    kind = chance.randrange(6)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[chance.choice(("", "more", "\x1b\n", "x" * 1000))] = parent.pop(key)
    elif kind == 2 and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    elif kind == 3:
        other, place = chance.choice(places)
        parent[key] = copy.deepcopy(other[place]) if other else None
    elif kind == 4 and isinstance(parent[key], (int, float)):
        parent[key] = parent[key] * chance.choice((-1, 2, 1000, 10**12)) + chance.choice((0, 1))
    else:
        parent[key] = copy.deepcopy(chance.choice(_ODD))
