"""The ops that the converters know; `tools/list_operators.py` writes the table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

from .graph import CONTROL_FLOW, Op

_PLAIN = frozenset({"phi", "combine", "yield", "feed", "fetch", "parameter"})


@cache
def known_operators() -> Mapping[str, frozenset[str]]:
    """Return the common names of the ops that each converter knows, by converter and version."""
    table = json.loads(files(__package__).joinpath("operators.json").read_text(encoding="utf-8"))
    return {converter: frozenset(names) for converter, names in table.items()}


def find_unknown(ops: Iterable[Op]) -> Mapping[str, tuple[str, ...]]:
    """Return the op types that a converter does not know or that are control flow, by converter."""
    ops = tuple(ops)
    return {
        converter: tuple(
            sorted(
                {op.type for op in ops if op.kind in CONTROL_FLOW or (op.kind not in names and op.kind not in _PLAIN)}
            )
        )
        for converter, names in known_operators().items()
    }
