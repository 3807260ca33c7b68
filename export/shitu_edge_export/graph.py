"""A network's graph as facts, whatever file it came from: `.pdmodel`, `inference.json` or ONNX.

The three formats call the same things by different names; here an op has Paddle's name without its version
(`transpose2`, `1.transpose` and `Transpose` are `transpose`), its data inputs come first, and control flow is
flattened: what a loop or a branch computes stands beside everything else, and its results are joined by `phi` ops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from shitu_edge.ranges import shown

MAX_GRAPH_BYTES = 32 << 20
"""Of a file that holds a graph without its weights; the official ones take 1 MB at most."""

CONTROL_FLOW = frozenset({"while", "if", "conditional_block", "loop", "scan"})

_NAMES = {
    "elementwise_add": "add",
    "elementwise_sub": "subtract",
    "elementwise_mul": "multiply",
    "elementwise_div": "divide",
    "elementwise_max": "maximum",
    "elementwise_min": "minimum",
    "elementwise_mod": "remainder",
    "elementwise_floordiv": "floor_divide",
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide",
    "conv": "conv2d",
    "depthwise_conv2d": "conv2d",
    "hard_swish": "hardswish",
    "hard_sigmoid": "hardsigmoid",
    "flatten_contiguous_range": "flatten",
    "write_to_array": "array_write",
    "tensor_array_to_tensor": "array_to_tensor",
    "lod_array_length": "array_length",
    "batchnormalization": "batch_norm",
    "globalaveragepool": "pool2d",
    "nonmaxsuppression": "nms",
    "multiclass_nms": "nms",
    "matrix_nms": "nms",
    "gemm": "matmul",
    "top_k": "topk",
    "range": "arange",
    "reverse": "flip",
    "where_index": "nonzero",
    "fill_constant": "full",
    "fill_any_like": "full_like",
    "lookup_table": "embedding",
    "arg_max": "argmax",
    "arg_min": "argmin",
    "brelu": "hardtanh",
    "deformable_conv_v1": "deformable_conv",
    "split_with_num": "split",
}


@dataclass(frozen=True, slots=True)
class Op:
    """One operation. `kind` is the common name, `type` what the file calls it; `block` 0 is outside control flow."""

    kind: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    block: int = 0


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value's shape, -1 where it is free, and its dtype as NumPy calls it."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Graph:
    """A network: inputs and outputs, parameters (trained or constant), ops in order, known tensors.

    `input_names` are what an engine that runs the file calls the `inputs`.
    """

    inputs: tuple[str, ...]
    input_names: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: frozenset[str]
    ops: tuple[Op, ...]
    tensors: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        """Check what everything else takes for granted, whatever file it was read from.

        Raises:
            ValueError: a name is not text or cannot be printed, or a shape is not a list of whole numbers.
        """
        values = (name for op in self.ops for name in (op.type, *op.inputs, *op.outputs))
        for name in (*self.inputs, *self.input_names, *self.outputs, *self.parameters, *self.tensors, *values):
            require_name(name)
        for name, tensor in self.tensors.items():
            if not all(type(side) is int for side in tensor.shape):
                raise ValueError(f"{name}: expected a shape of whole numbers, found {shown(tensor.shape)}")

    @cached_property
    def makers(self) -> Mapping[str, tuple[Op, ...]]:
        """The ops that write each value; several where loops and branches do."""
        makers: dict[str, list[Op]] = {}
        for op in self.ops:
            for name in op.outputs:
                makers.setdefault(name, []).append(op)
        return {name: tuple(ops) for name, ops in makers.items()}

    @cached_property
    def outer(self) -> frozenset[str]:
        """The values that exist outside control flow: what a cut may end at."""
        plain = (op for op in self.ops if op.block == 0 and op.kind not in CONTROL_FLOW)
        return frozenset(name for op in plain for name in op.outputs)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a value's shape, () when it is not known."""
        return self.tensors[name].shape if name in self.tensors else ()

    def count_types(self) -> Mapping[int, Counter[str]]:
        """Return how many ops of each type every block has."""
        counts: dict[int, Counter[str]] = {}
        for op in self.ops:
            if op.kind != "phi":
                counts.setdefault(op.block, Counter())[op.type] += 1
        return counts

    def upstream(self, names: tuple[str, ...]) -> Iterator[Op]:
        """Yield every op that the values depend on, each once; of loops and branches what is in them."""
        seen: set[int] = set()
        waiting = list(names)
        while waiting:
            for op in self.makers.get(waiting.pop(), ()):
                if id(op) not in seen and op.kind not in CONTROL_FLOW:
                    seen.add(id(op))
                    waiting += op.inputs
                    yield op


def require_name(name: object) -> None:
    """Check the name of a value or of a parameter.

    Raises:
        ValueError: it is not text, or cannot be printed.
    """
    if not isinstance(name, str) or not name.isprintable():
        raise ValueError(f"expected a name, found {shown(name)}")


def common_name(file_type: str) -> str:
    """Return the name that an op type has in all formats, e.g. `transpose` for `transpose2` and `Transpose`."""
    name = file_type.rsplit(".", 1)[-1].rstrip("_").lower().removeprefix("reduce_")
    if name in _NAMES:
        return _NAMES[name]
    plain = name.removesuffix("_v2") if name.endswith("_v2") else name.rstrip("23")
    return _NAMES.get(plain, name if name in ("conv2d", "pool2d") else plain)
