"""The text of each id beside a faiss index: PaddleClas' `id_map.pkl` or PaddleX' `id_map.yaml`.

A pickle is a program, so it is not run: its operations are walked by a machine that knows those which make a dict of
whole numbers, Python's or NumPy's, to text, and no others. Neither file may hold references that grow when followed.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import GalleryError
from ...files import read_bounded
from ...text import decoded, one_line

PICKLE = "id_map.pkl"
YAML = "id_map.yaml"
_MAX_BYTES = 32 << 20
"""About 700 000 items."""
_MOST_MARKS = _MOST_DICTS = 10
"""One would do for each; more than these serve to fill memory."""
_WANTED = "whole numbers to text"

_NUMBERS = frozenset(["INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2"])
_TEXTS = frozenset(["UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"])
_BYTES = frozenset(["SHORT_BINBYTES", "BINBYTES", "BINBYTES8"])
_LITERALS = _NUMBERS | _TEXTS | _BYTES
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_FUNCTIONS = {
    "numpy.dtype": "dtype",
    "numpy.core.multiarray.scalar": "scalar",
    "numpy._core.multiarray.scalar": "scalar",
    "_codecs.encode": "encode",  # how protocols 0 to 2 write bytes
}


def find_id_map(folder: Path) -> Path:
    """Return the one id map of a folder.

    Raises:
        GalleryError: there is none, or both.
    """
    found = [folder / name for name in (PICKLE, YAML) if (folder / name).is_file()]
    if len(found) != 1:
        raise GalleryError(f"{folder}: expected {PICKLE} or {YAML}, found {'both' if found else 'neither'}")
    return found[0]


def read_id_map(folder: Path) -> dict[int, str]:
    """Return the text of each id; PaddleClas' is `path<TAB>label`, PaddleX' the label.

    Raises:
        GalleryError: the folder has neither file or both, or the one it has cannot be read, is damaged, or asks for
            anything to be run.
    """
    path = find_id_map(folder)
    try:
        data = read_bounded(path, _MAX_BYTES)
    except OSError as error:
        raise GalleryError(f"{path}: cannot be read: {error.strerror}") from error
    return _from_pickle(path, data) if path.name == PICKLE else _from_yaml(path, data)


def _from_pickle(path: Path, data: bytes) -> dict[int, str]:
    machine, end = _Machine(path, len(data)), 0
    try:
        for opcode, argument, position in pickletools.genops(data):
            machine.step(opcode.name, argument)
            end = (position or 0) + 1
        if end != len(data):
            raise ValueError(f"{len(data) - end} bytes behind the end")
        return machine.result()
    except (ValueError, IndexError, KeyError, Warning) as error:  # Warning: bad escapes, where warnings are errors
        raise GalleryError(f"{path}: is damaged: no whole pickle of a dict ({error})") from error


@dataclass(frozen=True, slots=True)
class _Function:
    """What one of `_FUNCTIONS` does; it is never imported."""

    does: str


@dataclass(slots=True)
class _Dtype:
    """A NumPy integer type, `u4`; its byte order is set after it is made."""

    code: str
    order: str = ""


class _Machine:
    """The machine that `pickletools` describes, with values that cannot do anything.

    Memory is bounded by the file, at about 50 bytes per byte: an operation adds one value or reference and follows
    none, a value is memoized once, marks and dicts are few, and calls make no more bytes than the file has.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._left = size  # for calls to make
        self._memoized = False  # what is on top
        self._dicts = 0
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # stacks under marks
        self._memo: dict[int, Any] = {}

    def result(self) -> dict[int, str]:
        """Return what is there when all is done."""
        (value,) = self._stack
        if self._below or not isinstance(value, dict):
            raise self._refusal(f"expected {_WANTED}, found {type(value).__name__}")
        return value

    def step(self, name: str, argument: Any) -> None:
        """Carry out one operation."""
        if name in _LITERALS:
            self._push(argument)
        elif name in _CONSTANTS:
            self._push(_CONSTANTS[name])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memoize(argument)
        elif name == "MEMOIZE":
            self._memoize(len(self._memo))
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self._push(self._memo[argument])
        elif name == "MARK":
            if len(self._below) == _MOST_MARKS:
                raise ValueError("too many marks")
            self._below.append(self._stack)
            self._stack = []
        elif name in _TUPLES:
            self._push(tuple(self._popped(_TUPLES[name])))
        elif name == "TUPLE":
            self._push(tuple(self._marked()))
        elif name == "EMPTY_DICT":
            self._push(self._new_dict())
        elif name == "DICT":
            self._push(self._set(self._new_dict(), self._marked()))
        elif name in ("SETITEM", "SETITEMS"):
            items = self._popped(2) if name == "SETITEM" else self._marked()
            self._set(self._stack[-1], items)
        elif name not in ("PROTO", "FRAME", "STOP"):
            self._call(name, argument)

    def _push(self, value: Any) -> None:
        self._stack.append(value)
        self._memoized = False

    def _memoize(self, number: int) -> None:
        if self._memoized:
            raise ValueError("a value is memoized twice")
        self._memo[number] = self._stack[-1]
        self._memoized = True

    def _new_dict(self) -> dict[int, str]:
        self._dicts += 1
        if self._dicts > _MOST_DICTS:
            raise self._refusal(f"expected {_WANTED}, found more than {_MOST_DICTS} dicts")
        return {}

    def _popped(self, count: int) -> list[Any]:
        return [self._stack.pop() for _ in range(count)][::-1]

    def _marked(self) -> list[Any]:
        marked, self._stack = self._stack, self._below.pop()
        return marked

    def _set(self, target: Any, items: list[Any]) -> Any:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(target) is not dict or type(key) is not int or type(value) is not str or key.bit_length() > 63:
                raise self._refusal(f"expected {_WANTED}, found {type(key).__name__} to {type(value).__name__}")
            target[key] = value
        return target

    def _call(self, name: str, argument: Any) -> None:
        """Carry out an operation that imports, calls or changes something, where it is known to be harmless."""
        if name == "GLOBAL":
            self._push(self._function(*str(argument).split(" ", 1)))
        elif name == "STACK_GLOBAL":
            self._push(self._function(*self._popped(2)))
        elif name == "REDUCE":
            self._push(self._called(*self._popped(2)))
        elif name == "BUILD":
            self._push(self._built(*self._popped(2)))
        else:
            what = f"{name} {ascii(argument)[:80]}"
            raise self._refusal(f"asks for the operation {what}, which was not done; expected {_WANTED}")

    def _function(self, module: Any, attribute: Any) -> _Function:
        name = f"{module}.{attribute}" if type(module) is type(attribute) is str else "something without a name"
        if name not in _FUNCTIONS:
            raise self._refusal(f"asks to call {ascii(name[:80])[1:-1]}, which was not done; expected {_WANTED}")
        return _Function(_FUNCTIONS[name])

    def _built(self, target: Any, state: Any) -> Any:
        match target, state:
            case _Dtype(), (3, ("<" | ">" | "|") as order, None, None, None, -1, -1, 0):
                target.order = "big" if order == ">" else "little"
                return target
        raise self._refusal(f"asks to change an object, which was not done; expected {_WANTED}")

    def _called(self, function: Any, arguments: Any) -> Any:
        match function, arguments:
            case _Function("dtype"), (str(code), 0, 1) if re.fullmatch("[iu][1248]", code):
                return _Dtype(code)
            case _Function("scalar"), (_Dtype(code, ("big" | "little") as order), bytes(number)):
                if len(number) == int(code[1]):
                    return int.from_bytes(number, order, signed=code[0] == "i")
            case _Function("encode"), (str(text), "latin1") if len(text) <= self._left:
                self._left -= len(text)
                return text.encode("latin-1")
        raise self._refusal(f"asks for a call that makes no whole number, which was not done; expected {_WANTED}")

    def _refusal(self, text: str) -> GalleryError:
        return GalleryError(f"{self._path}: {text}")


def _from_yaml(path: Path, data: bytes) -> dict[int, str]:
    try:
        import yaml
    except ImportError as error:
        raise GalleryError(f"{path}: needs PyYAML to be read ({error}); pip install pyyaml") from error
    try:
        return _from_events(path, yaml.parse(decoded(data), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.YAMLError as error:
        raise GalleryError(f"{path}: is not YAML: {one_line(str(error))}") from error
    except ValueError as error:
        raise GalleryError(f"{path}: {error}") from error


def _from_events(path: Path, events: Iterable[Any]) -> dict[int, str]:
    """Take the pairs below `id_map` out of what PaddleX writes: `id_map`, `index_type` and `metric_type`."""
    found: dict[int, str] | None = None
    key: str | None = None
    depth = 0
    for event in events:
        kind = type(event).__name__
        where = f"{path}, line {event.start_mark.line + 1}"
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise GalleryError(f"{where}: expected plain text, found an anchor, alias or tag, which was not followed")
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
