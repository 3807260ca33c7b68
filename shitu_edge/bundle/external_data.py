"""The external data files of an ONNX model, read from its protobuf (`onnx.proto`) without package onnx. Pure."""

from __future__ import annotations

from mmap import mmap

from ..system.protobuf import fields_of

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
        for number, first, last in fields_of(model, start, end):
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
