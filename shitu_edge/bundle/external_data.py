"""The external data files of an ONNX model, read from its protobuf (`onnx.proto`) without package onnx. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap

_TENSORS_AT = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}
"""Messages that may lead to an entry of external data: their relevant fields, and what these hold."""
_KEY, _VALUE = 1, 2
_LOCATION = b"location"
_MOST_FIELDS = 500_000

_TAG_BITS = 0xFFFFFFFF  # readers ignore higher bits
_VARINT, _COUNTED = 0, 2
_SIZES = {1: 8, 5: 4}


def external_files(model: bytes | mmap) -> set[str]:
    """Return the locations that a model names, relative to its folder, including unused ones.

    Raises:
        ValueError: it may name some, and is not a protobuf or has over half a million fields.
    """
    if model.find(_LOCATION) < 0:
        return set()
    found: set[str] = set()
    fields = 0
    messages = [("model", 0, len(model))]
    while messages:
        kind, start, end = messages.pop()
        texts: dict[int, list[bytes]] = {_KEY: [], _VALUE: []}
        for number, first, last in _fields(model, start, end):
            fields += 1
            if fields > _MOST_FIELDS:
                raise ValueError(f"is not an ONNX model, or one of more than {_MOST_FIELDS} fields")
            if number in _TENSORS_AT[kind]:
                messages.append((_TENSORS_AT[kind][number], first, last))
            elif kind == "entry" and number in texts:
                texts[number].append(model[first:last])
        if _LOCATION in texts[_KEY]:
            found.update(text.decode("utf-8", "surrogateescape") for text in texts[_VALUE] or [b""])
    return found


def _fields(model: bytes | mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each field of a message; number 0 for fields that are not text or message."""
    while at < end:
        tag, at = _varint(model, at, end)
        number, wire = (tag & _TAG_BITS) >> 3, tag & 7
        size = _SIZES.get(wire, 0)
        if wire == _COUNTED:
            size, at = _varint(model, at, end)
        elif wire == _VARINT:
            _, at = _varint(model, at, end)
        elif wire not in _SIZES:
            raise ValueError("is not an ONNX model: a field has an unknown type")
        if size > end - at:
            raise ValueError("is not an ONNX model: a field exceeds its message")
        yield number if wire == _COUNTED else 0, at, at + size
        at += size


def _varint(model: bytes | mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = model[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("is not an ONNX model: a number has no end")
