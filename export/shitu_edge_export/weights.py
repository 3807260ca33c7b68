"""`.pdiparams`: all parameters of a Paddle model, one record after the other in the order of their names.

A record (Paddle's `SerializeToStream` for dense tensors): uint32 version, uint64 levels of sequence lengths with their
data, uint32 version, int32 length and bytes of a `TensorDesc`, then the values, little-endian, row by row. Names are
not in it, so a file fits a graph when the number, dtypes and shapes of the records do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from shitu_edge.ranges import shown
from shitu_edge.system.files import read_bounded

from .errors import ModelError
from .graph import Tensor
from .paddle_proto import DTYPES, TensorDesc

_MAX_BYTES = 4 << 30
_MAX_DESCRIPTION = 1 << 16
_SIZES = {"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "float16": 2, "bfloat16": 2, "int32": 4, "float32": 4}


@dataclass(frozen=True, slots=True)
class Record:
    """A parameter's place in the file: bytes `start` to `end`, its values from `values` on."""

    tensor: Tensor
    start: int
    values: int
    end: int


@dataclass(frozen=True, slots=True)
class Weights:
    """A `.pdiparams` file, matched with a graph's parameters."""

    content: bytes
    records: Mapping[str, Record]

    def array(self, name: str) -> NDArray[np.generic]:
        """Return a parameter's values; bfloat16 ones cannot be read.

        Raises:
            ModelError: NumPy has no such dtype.
        """
        record = self.records[name]
        if record.tensor.dtype == "bfloat16":
            raise ModelError(f"{name}: bfloat16 weights; export the model in float32")
        flat = np.frombuffer(self.content[record.values : record.end], np.dtype(record.tensor.dtype).newbyteorder("<"))
        return flat.reshape(record.tensor.shape)

    def part(self, names: Iterable[str]) -> bytes:
        """Return the content of a file with these parameters alone."""
        records = (self.records[name] for name in sorted(names))
        return b"".join(self.content[record.start : record.end] for record in records)


def read_weights(path: Path, parameters: Mapping[str, Tensor]) -> Weights:
    """Read a `.pdiparams` file that belongs to a graph with these parameters.

    Raises:
        ModelError: it cannot be read, is damaged, or holds another model's parameters.
    """
    try:
        content = read_bounded(path, _MAX_BYTES)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    records: dict[str, Record] = {}
    position = 0
    for name in sorted(parameters):
        if position == len(content):
            raise ModelError(
                f"{path}: holds {len(records)} parameters, the graph needs {len(parameters)}: these are not this "
                "model's weights, or the file is cut short"
            )
        record = _read_record(content, position, path)
        expected = parameters[name]
        if record.tensor != expected:
            raise ModelError(
                f"{path}: not this model's weights: {name} should be {_describe(expected)}, "
                f"the file has {_describe(record.tensor)} there"
            )
        records[name] = record
        position = record.end
    if position != len(content):
        raise ModelError(f"{path}: not this model's weights: more parameters than the graph's {len(parameters)}")
    return Weights(content, records)


def _read_record(content: bytes, start: int, path: Path) -> Record:
    try:
        version, levels = struct.unpack_from("<IQ", content, start)
        position = start + 12
        for _ in range(min(levels, 8)):
            position += 8 + struct.unpack_from("<Q", content, position)[0]
        inner_version, length = struct.unpack_from("<Ii", content, position)
        position += 8
        if version or inner_version or levels > 8 or not 0 < length <= _MAX_DESCRIPTION:
            raise ValueError("not a record")
        description = TensorDesc()
        description.ParseFromString(content[position : position + length])
        dtype, shape = DTYPES[description.data_type], tuple(description.dims)
        if min(shape, default=0) < 0:
            raise ValueError("a negative dimension")
    except (struct.error, DecodeError, ValueError, KeyError, OverflowError) as error:
        raise ModelError(f"{path}: damaged or no Paddle weights: byte {start} begins no parameter") from error
    values = position + length
    end = values + prod(shape) * _SIZES.get(dtype, 8)
    if end > len(content):
        raise ModelError(f"{path}: cut short: a parameter of {end - values} bytes goes beyond its end")
    return Record(Tensor(shape, dtype), start, values, end)


def _describe(tensor: Tensor) -> str:
    return f"{tensor.dtype} {shown(list(tensor.shape))}"
