"""The fields of an ONNX model's protobuf messages, without package protobuf. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap

_TAG_BITS = 0xFFFFFFFF  # readers ignore higher bits
_VARINT, _COUNTED = 0, 2
_SIZES = {1: 8, 5: 4}


def fields_of(model: bytes | mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each field of a message; number 0 for fields that are not text or message.

    Raises:
        ValueError: it is not a protobuf.
    """
    while at < end:
        tag, at = varint_at(model, at, end)
        number, wire = (tag & _TAG_BITS) >> 3, tag & 7
        size = _SIZES.get(wire, 0)
        if wire == _COUNTED:
            size, at = varint_at(model, at, end)
        elif wire == _VARINT:
            _, at = varint_at(model, at, end)
        elif wire not in _SIZES:
            raise ValueError("is not an ONNX model: a field has an unknown type")
        if size > end - at:
            raise ValueError("is not an ONNX model: a field exceeds its message")
        yield number if wire == _COUNTED else 0, at, at + size
        at += size


def varint_at(model: bytes | mmap, at: int, end: int) -> tuple[int, int]:
    """Return a number of variable length and where it ends; raises `ValueError` if it does not."""
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
