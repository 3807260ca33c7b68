"""Graphs changed at random: each is refused or can be searched, extended and saved, whatever its digest says.

    python -m tests.gallery.graph_fuzz [--seconds 600] [--seed 0]

They are loaded by processes of their own, which are watched for signals and time. Whether one is to be refused is also
decided by `graph_bytes`, number by number.
"""

from __future__ import annotations

import argparse
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from shitu_edge.errors import GalleryError
from shitu_edge.gallery.index import GraphIndex, GraphParameters

from .graph_bytes import HEADER, HEADER_BYTES, GraphBytes
from .rows import build_graph, unit_rows

_ROOT = Path(__file__).parents[2]
_TIMEOUT_S = 300
_BASES = [(1, 4, 2), (2, 4, 3), (40, 4, 2), (60, 16, 4), (150, 8, 3)]
"""Items, dimension and M: small M make many levels."""
_EF_CONSTRUCTION = 20
_ODD = (0, 1, 2, 3, 0x7F, 0xFF, 0x100, 0xFFFF, 0x10000, 0x10001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FC00000)


def bases() -> list[GraphBytes]:
    """Build the genuine graphs that are changed."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph"
        for count, dim, m in _BASES:
            ids = np.arange(1, 2 * count + 1, 2, dtype=np.int64)
            build_graph(ids, unit_rows(count, dim), GraphParameters(m, _EF_CONSTRUCTION)).save(path)
            made.append(GraphBytes(path.read_bytes(), dim, count, m, _EF_CONSTRUCTION))
    return made


def changed(base: GraphBytes, chance: random.Random) -> GraphBytes:
    """Return a graph of which one to three things are changed."""
    content = bytearray(base.content)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        _change(content, base, chance)
    return replace(base, content=bytes(content))


def _change(content: bytearray, base: GraphBytes, chance: random.Random) -> None:
    item, other = chance.randrange(base.count), chance.randrange(base.count)
    row, upper = base.row(item), base.upper()
    assert upper is not None
    near = chance.choice([*_ODD, base.count - 1, base.count, base.m + 1, 2 * base.m, chance.randrange(base.count)])
    kind = chance.randrange(10)
    if kind == 0:
        place, form = HEADER[chance.choice(list(HEADER))]
        width = struct.calcsize(form)
        value = near.to_bytes(8, "little")[:width] if chance.random() < 0.7 else chance.randbytes(width)
        content[place : place + width] = value
    elif kind == 1:
        _put(content, row, near)
    elif kind in (2, 3):
        _put(content, row + 4 + 4 * chance.randrange(2 * base.m), near)
    elif kind == 4:
        _put(content, base.vector(item) + 4 * chance.randrange(base.dim), near)
    elif kind == 5:
        source = base.id(other)
        content[base.id(item) : base.id(item) + 8] = chance.choice(
            [base.content[source : source + 8], chance.randbytes(8), near.to_bytes(8, "little")]
        )
    elif kind in (6, 7):
        place = chance.choice(upper)
        end = place + 4 + base.word(place)
        _put(content, chance.randrange(place, end, 4), chance.choice([near, base.list_bytes, 2 * base.list_bytes]))
    elif kind == 8:
        place = chance.randrange(len(content)) if content else 0
        content[place : place + chance.choice([0, 1, 4, base.list_bytes])] = chance.randbytes(chance.choice([0, 1, 4]))
    else:
        place = chance.randrange(HEADER_BYTES, len(content)) if len(content) > HEADER_BYTES else 0
        content[place : place + 1] = bytes([chance.randrange(256)])


def _put(content: bytearray, place: int, word: int) -> None:
    if place + 4 <= len(content):
        struct.pack_into("<I", content, place, word)


def use(path: Path, graph: GraphBytes) -> str:
    """Load a graph, and where it is not refused, use it in every way."""
    parameters = GraphParameters(graph.m, graph.ef_construction, 30)
    try:
        loaded = GraphIndex.load(path, graph.dim, graph.count, parameters)
    except GalleryError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return "refused"
    queries = unit_rows(20, graph.dim, seed=1)
    for k in {1, min(5, graph.count), graph.count}:
        found, similarities = loaded.search(queries, k)
        assert np.isin(found, loaded.ids).all()
        assert np.isfinite(similarities).all()
        loaded.search(queries[:2], k, lambda ids: ids % 4 != 1)
    assert np.isfinite(loaded.rows(loaded.ids)).all()
    if loaded.ids[-1] < 1 << 62:
        more = loaded.ids[-1] + 1 + np.arange(30)
        grown = loaded.grow(more, lambda some: unit_rows(len(some), graph.dim, seed=2), parameters, 1)
        grown.search(queries, 5)
        grown.save(path)
        GraphIndex.load(path, graph.dim, graph.count + 30, parameters)
    return "used"


def serve(seed: int, first: int, last: int) -> None:
    """Use the graphs of some numbers; say before each which one it is, and then what came of it."""
    originals = bases()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph"
        for number in range(first, last):
            print(number, end=" ", flush=True)
            graph = _numbered(originals, seed, number)
            path.write_bytes(graph.content)
            expected = "used" if graph.is_sound() else "refused"
            found = use(path, graph)
            assert found == expected, f"{found}, expected {expected}"
            print(found, flush=True)


def _numbered(originals: list[GraphBytes], seed: int, number: int) -> GraphBytes:
    chance = random.Random(f"{seed} {number}")
    return changed(chance.choice(originals), chance)


def outcomes(seed: int, first: int, last: int) -> Counter[str]:
    """Have a process of its own use the graphs of some numbers, and count what came of them."""
    script = f"from tests.gallery.graph_fuzz import serve; serve({seed}, {first}, {last})"
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, timeout=_TIMEOUT_S, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"exit {done.returncode} at graph {lines[-1:]} of seed {seed}:\n{done.stderr}"
    assert len(lines) == last - first
    return Counter(line.split()[1] for line in lines)


def main() -> None:
    """Go on until time is up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    end, found = time.monotonic() + args.seconds, Counter[str]()
    for first in _batches():
        found += outcomes(args.seed, first, first + 500)
        print(f"\r{sum(found.values())} graphs: {dict(found)}", end="", flush=True)
        if time.monotonic() > end:
            break
    print()


def _batches() -> Iterator[int]:
    yield from range(0, 1 << 40, 500)


if __name__ == "__main__":
    main()
