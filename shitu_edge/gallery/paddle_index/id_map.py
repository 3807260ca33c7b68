"""Reader of a faiss index's id map: PaddleClas' `id_map.pkl` or PaddleX' `id_map.yaml`.

A pickle is a program. Before it runs, its operations are checked: only those that make one dict of whole numbers,
Python's or NumPy's, to text are allowed. The two NumPy names it may ask for stand for functions of this module. The
result takes at most 32 bytes per byte of the pickle.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...errors import GalleryError, os_errors_as
from ...ranges import shown
from ...system.files import read_bounded
from ...system.text import decoded, one_line

PICKLE = "id_map.pkl"
YAML = "id_map.yaml"
_MAX_BYTES = 64 << 20
_BYTES_PER_ID, _OPERATIONS_PER_ID = 1 << 10, 64
"""Limits per vector of the index, far above a path and a label."""
_IDS_MORE = 64
_WANTED = "a dict of whole numbers to text"

_NUMBERS = frozenset(["INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2"])
_DICTS = frozenset(["EMPTY_DICT", "DICT"])
_TUPLES = frozenset(["TUPLE1", "TUPLE2", "TUPLE3", "TUPLE"])
_CALLS = frozenset(["REDUCE", "BUILD"])
_STORES = frozenset(["PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"])
_LITERALS = frozenset(["UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "NONE", "NEWTRUE", "NEWFALSE"])
_BYTES = frozenset(["SHORT_BINBYTES", "BINBYTES", "BINBYTES8"])
_FETCHES = frozenset(["GET", "BINGET", "LONG_BINGET", "GLOBAL", "STACK_GLOBAL"])
_OTHERS = frozenset(["PROTO", "FRAME", "STOP", "MARK", "SETITEM", "SETITEMS"])
_KNOWN = _NUMBERS | _DICTS | _TUPLES | _CALLS | _STORES | _LITERALS | _BYTES | _FETCHES | _OTHERS


def find_id_map(folder: Path) -> Path:
    """Return the path of a folder's id map. Raises `GalleryError` if the folder has none, or both."""
    found = [folder / name for name in (PICKLE, YAML) if (folder / name).is_file()]
    if len(found) != 1:
        raise GalleryError(f"{folder}: expected {PICKLE} or {YAML}, found {'both' if found else 'neither'}")
    return found[0]


def read_id_map(folder: Path, count: int) -> dict[int, str]:
    """Return the text of each id; PaddleClas' is `path<TAB>label`, PaddleX' the label.

    Args:
        folder: the index's.
        count: number of vectors of the index, which limits the size of the map.

    Raises:
        GalleryError: the folder has neither file or both, or the file cannot be read, is damaged, too large, or asks
            for code to be run.
    """
    path = find_id_map(folder)
    with os_errors_as(GalleryError, path):
        data = read_bounded(path, min(_MAX_BYTES, (count + _IDS_MORE) * _BYTES_PER_ID))
    return _from_pickle(path, data, count + _IDS_MORE) if path.name == PICKLE else _from_yaml(path, data)


def _from_pickle(path: Path, data: bytes, ids: int) -> dict[int, str]:
    try:
        _check_operations(data, ids * _OPERATIONS_PER_ID)
        found = _Unpickler(io.BytesIO(data)).load()
    except _Refusal as error:
        raise GalleryError(f"{path}: {error}") from error
    except Exception as error:  # operations of damaged files may raise any error
        problem = " ".join(str(error).split())
        raise GalleryError(f"{path}: is damaged: expected a pickled dict ({problem:.200})") from error
    if type(found) is not dict:
        raise GalleryError(f"{path}: expected {_WANTED}, found {type(found).__name__}")
    for key, text in found.items():
        if type(key) is not int or type(text) is not str:
            raise GalleryError(f"{path}: expected {_WANTED}, found {type(key).__name__} to {type(text).__name__}")
    return found


class _Refusal(Exception):
    """A pickle has operations, or gives values, that an id map does not need."""


def _check_operations(data: bytes, most: int) -> None:
    """Check that a pickle has at most `most` operations, which make one dict and take no more memory than needed.

    A tuple must be followed by its call, so tuples are not nested: hashing a key that repeats itself many times would
    never end. A place of the memo must be used or the next one, as memory is taken for all places before it.
    """
    stored, dicts, tuple_waits, end = 0, 0, False, 0
    for done, (opcode, argument, position) in enumerate(pickletools.genops(data)):
        name, number = opcode.name, argument if isinstance(argument, int) else 0
        if done >= most:
            raise _Refusal(f"expected at most {most} operations for an index of its size")
        if name == "GLOBAL":
            _function(*str(argument).split(" ", 1))
        if name not in _KNOWN:
            what = f"{name} {ascii(argument)[:80]}"
            raise _Refusal(f"refused: holds the pickle operation {what}; expected {_WANTED}")
        if tuple_waits and name not in _STORES | _CALLS:
            raise _Refusal(f"expected {_WANTED}, found a tuple")
        tuple_waits = name in _TUPLES or (tuple_waits and name in _STORES)
        stored, dicts = stored + (name in _STORES), dicts + (name in _DICTS)
        if dicts > 1:
            raise _Refusal(f"expected {_WANTED}, found a second dict")
        if name in _NUMBERS and number.bit_length() > 63:
            raise _Refusal(f"expected {_WANTED}, found a number of more than 64 bits")
        if name in _STORES and number > stored:
            raise _Refusal(f"refused: refers to place {shown(number)} of its memo; expected {_WANTED}")
        end = (position or 0) + 1
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes after the end")


class _Unpickler(pickle.Unpickler):
    """Runs a checked pickle."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a NumPy name; imports nothing."""
        return _function(module, name)


def _function(module: str, name: str) -> Any:
    try:
        return _FUNCTIONS[f"{module}.{name}"]
    except KeyError:
        named = ascii(f"{module}.{name}"[:80])[1:-1]
        raise _Refusal(f"refused: asks to call {named}; expected {_WANTED}") from None


class _Fixed:
    """An object that a pickle cannot change."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise _Refusal(f"refused: asks to change an object; expected {_WANTED}")


class _Dtype(_Fixed):
    """A NumPy integer type such as `u4`; its byte order is set after creation."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code, self.order = code, ""

    def __setstate__(self, state: object) -> None:
        match state:
            case (3, ("<" | ">" | "|") as order, None, None, None, -1, -1, 0):
                self.order = "big" if order == ">" else "little"
            case _:
                super().__setstate__(state)


class _MakeDtype(_Fixed):
    """Stands for `numpy.dtype`."""

    __slots__ = ()

    def __call__(self, *arguments: object) -> _Dtype:
        match arguments:
            case (str(code), 0, 1) if re.fullmatch("[iu][1248]", code):
                return _Dtype(code)
        raise _not_a_number()


class _MakeScalar(_Fixed):
    """Stands for `numpy.core.multiarray.scalar`."""

    __slots__ = ()

    def __call__(self, *arguments: object) -> int:
        match arguments:
            case (_Dtype(code=code, order=("big" | "little") as order), bytes(number)) if len(number) == int(code[1]):
                return int.from_bytes(number, order, signed=code[0] == "i")
        raise _not_a_number()


def _not_a_number() -> _Refusal:
    return _Refusal(f"refused: asks for a call that does not give a whole number; expected {_WANTED}")


_FUNCTIONS = {
    "numpy.dtype": _MakeDtype(),
    "numpy.core.multiarray.scalar": _MakeScalar(),
    "numpy._core.multiarray.scalar": _MakeScalar(),
}


def _from_yaml(path: Path, data: bytes) -> dict[int, str]:
    try:
        import yaml
    except ImportError as error:
        raise GalleryError(f"{path}: needs PyYAML ({error}); pip install pyyaml") from error
    try:
        return _from_events(path, yaml.parse(decoded(data), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.YAMLError as error:
        raise GalleryError(f"{path}: is not YAML: {one_line(str(error))}") from error
    except ValueError as error:
        raise GalleryError(f"{path}: {error}") from error


def _from_events(path: Path, events: Iterable[Any]) -> dict[int, str]:
    """Return the pairs below `id_map` of PaddleX' file: `id_map`, `index_type` and `metric_type`."""
    found: dict[int, str] | None = None
    key: str | None = None
    depth = 0
    for event in events:
        kind = type(event).__name__
        where = f"{path}, line {event.start_mark.line + 1}"
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise GalleryError(f"{where}: expected plain text, found an anchor, alias or tag")
        if kind == "MappingStartEvent" and found is None and (depth, key) in ((0, None), (1, "id_map")):
            found, depth, key = ({} if depth else None), depth + 1, None
        elif kind == "MappingEndEvent":
            depth -= 1
        elif kind == "ScalarEvent" and depth and key is None:
            key = event.value
        elif kind == "ScalarEvent" and depth and key is not None:
            if found is not None and depth == 2:
                found[_id(where, key)] = event.value
            key = None
        elif kind in ("ScalarEvent", "SequenceStartEvent", "MappingStartEvent"):
            raise GalleryError(f"{where}: expected only id_map, with {_WANTED}, index_type and metric_type")
    if found is None:
        raise GalleryError(f"{path}: expected id_map, with {_WANTED}, found none")
    return found


def _id(where: str, text: str) -> int:
    if not re.fullmatch("-?[0-9]{1,18}", text):
        raise GalleryError(f"{where}: expected a whole number, found {text[:60]!r}")
    return int(text)
