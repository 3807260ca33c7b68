"""Other input sides for an ONNX model that is fixed to one size, written over the old ones in its protobuf. Pure.

OpenVINO reshapes a network when it reads it; onnxruntime keeps to the sides in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..system.protobuf import fields_of, varint_at

_GRAPH, _INPUT = 7, 11
_NAME, _TYPE, _TENSOR_TYPE, _SHAPE, _DIMENSION = 1, 2, 1, 2, 1
_DIM_VALUE = 0x08
"""Tag of a dimension's number."""


def with_input_shapes(model: bytes, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """Return an ONNX model whose inputs have other shapes; dimensions that are not numbers stay free.

    Raises:
        ValueError: it is not a protobuf, or a number needs more bytes than the old one has.
    """
    changed = bytearray(model)
    for start, end in _parts(model, 0, len(model), _GRAPH, _INPUT):
        (name,) = (model[first:last].decode() for first, last in _parts(model, start, end, _NAME))
        dimensions = _parts(model, start, end, _TYPE, _TENSOR_TYPE, _SHAPE, _DIMENSION)
        for size, (first, last) in zip(shapes.get(name, ()), dimensions, strict=name in shapes):
            if first < last and model[first] == _DIM_VALUE and varint_at(model, first + 1, last)[0] != size:
                changed[first + 1 : last] = _varint(size, last - first - 1)
    return bytes(changed)


def _parts(model: bytes, start: int, end: int, number: int, *inner: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of the fields with this number, or of what lies in them at further numbers."""
    for found, first, last in fields_of(model, start, end):
        if found == number and inner:
            yield from _parts(model, first, last, *inner)
        elif found == number:
            yield first, last


def _varint(value: int, size: int) -> bytes:
    """Return a number in exactly `size` bytes: a reader skips zeros at its end."""
    if value >= 1 << 7 * size:
        raise ValueError(f"a side of {value} pixels does not fit where the old one stands")
    return bytes((value >> 7 * place & 0x7F) | (0x80 if place < size - 1 else 0) for place in range(size))
