"""Tiny networks described once and written as a `.pdmodel`, an `inference.json` or ONNX; and weights by hand.

The `.pdiparams` records are packed here byte by byte and the JSON is spelt out as Paddle 3.0 writes it, so that what
the readers answer is compared with something that they did not make.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from shitu_edge_export.onnx_model import OnnxModel
from shitu_edge_export.paddle_proto import DENSE_TENSOR, ProgramDesc
from shitu_edge_export.pdmodel import PaddleProgram
from shitu_edge_export.pir import PirProgram
from shitu_edge_export.source import open_model

Format = Literal["pdmodel", "pir", "onnx"]
Shape = tuple[int, ...]
Array = NDArray[Any]
Opened = PaddleProgram | PirProgram | OnnxModel

FORMATS: tuple[Format, ...] = ("pdmodel", "pir", "onnx")
PADDLE_FORMATS: tuple[Format, ...] = ("pdmodel", "pir")
FILES: Mapping[Format, str] = {"pdmodel": "inference.pdmodel", "pir": "inference.json", "onnx": "model.onnx"}

_PROTO_DTYPES = {
    "bool": 0, "int16": 1, "int32": 2, "int64": 3, "float16": 4, "float32": 5, "float64": 6, "uint8": 20, "int8": 21,
}  # fmt: skip
_PIR_DTYPES = {
    "bool": "bool", "int32": "i32", "int64": "i64", "float16": "f16", "float32": "f32", "float64": "f64",
}  # fmt: skip
_TENSOR_ARRAY, _FEED_LIST, _FETCH_LIST = 13, 9, 10


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def record(array: Array, levels: Sequence[bytes] = ()) -> bytes:
    """Return a parameter as `.pdiparams` holds it, with levels of sequence lengths if any."""
    dtype = array.dtype.name
    description = b"\x08" + varint(_PROTO_DTYPES[dtype]) + b"".join(b"\x10" + varint(side) for side in array.shape)
    lod = b"".join(struct.pack("<Q", len(level)) + level for level in levels)
    head = struct.pack("<IQ", 0, len(levels)) + lod + struct.pack("<Ii", 0, len(description)) + description
    return head + array.astype(array.dtype.newbyteorder("<")).tobytes()


def weights_file(arrays: Mapping[str, Array]) -> bytes:
    """Return a `.pdiparams` file: records in the byte order of their names."""
    return b"".join(record(arrays[name]) for name in sorted(arrays, key=lambda name: name.encode()))


@dataclass(frozen=True)
class Node:
    """An operation by its name in `shitu_edge_export.graph`; `facts` are attributes, or what a loop holds."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Net:
    """A network that is being described; every method adds an operation and returns its result's name."""

    inputs: dict[str, Shape] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    arrays: set[str] = field(default_factory=set)
    _generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def input(self, name: str, *shape: int) -> str:
        self.inputs[name] = self.shapes[name] = shape
        return name

    def constant(self, values: Any, name: str | None = None) -> str:
        name = name or f"w_{len(self.constants)}"
        self.constants[name] = np.asarray(values, np.float32)
        self.shapes[name] = self.constants[name].shape
        return name

    def weight(self, *shape: int, name: str | None = None) -> str:
        return self.constant(self._generator.normal(0, 0.5, shape), name)

    def add_node(self, kind: str, inputs: Iterable[str], shape: Shape, /, **facts: Any) -> str:
        """Add an operation with one result of this shape."""
        name = f"{kind}_{len(self.shapes)}"
        self.shapes[name] = shape
        self.nodes.append(Node(kind, tuple(inputs), (name,), facts))
        return name

    def same(self, kind: str, *inputs: str, **facts: Any) -> str:
        """Add an operation whose result has its first input's shape."""
        return self.add_node(kind, inputs, self.shapes[inputs[0]], **facts)

    def conv(self, x: str, channels: int, stride: int = 1) -> str:
        batch, before, height, width = self.shapes[x]
        shape = (batch, channels, -(-height // stride), -(-width // stride))
        return self.add_node("conv2d", [x, self.weight(channels, before, 1, 1)], shape, stride=stride)

    def batch_norm(self, x: str) -> str:
        size = self.shapes[x][1]
        scale, bias, mean = (self.weight(size) for _ in range(3))
        return self.same("batch_norm", x, scale, bias, mean, self.constant(self._generator.uniform(0.5, 2, size)))

    def transpose(self, x: str, *order: int) -> str:
        return self.add_node("transpose", [x], tuple(self.shapes[x][axis] for axis in order), order=order)

    def reshape(self, x: str, *shape: int) -> str:
        return self.add_node("reshape", [x], shape, shape=shape)

    def concat(self, names: Sequence[str], axis: int) -> str:
        shape = list(self.shapes[names[0]])
        shape[axis] = sum(self.shapes[name][axis] for name in names)
        return self.add_node("concat", names, tuple(shape), axis=axis)

    def matmul(self, x: str, matrix: str) -> str:
        return self.add_node("matmul", [x, matrix], self.shapes[x][:-1] + self.shapes[matrix][1:])

    def pool(self, x: str) -> str:
        return self.add_node("pool2d", [x], (*self.shapes[x][:2], 1, 1))

    def flatten(self, x: str) -> str:
        first, *rest = self.shapes[x]
        return self.add_node("flatten", [x], (first, int(np.prod(rest))))

    def top_k(self, x: str, count: int) -> tuple[str, str]:
        """Add a search for the best along the last axis; return values and indices."""
        shape = (*self.shapes[x][:-1], count)
        values, indices = f"topk_{len(self.shapes)}", f"topk_{len(self.shapes)}_at"
        self.shapes |= {values: shape, indices: shape}
        self.dtypes[indices] = "int64"
        self.nodes.append(Node("topk", (x,), (values, indices), {"k": count}))
        return values, indices

    def gather(self, x: str, indices: str, axis: int = 0) -> str:
        shape = list(self.shapes[x])
        shape[axis : axis + 1] = self.shapes[indices]
        return self.add_node("gather", [x, indices], tuple(shape), axis=axis)

    def attend(self, x: str) -> str:
        """Add an attention: a softmax over places, multiplied with trained numbers."""
        _, channels, height, width = self.shapes[x]
        places = height * width
        weights = self.same("softmax", self.reshape(x, 1, channels, places), axis=2)
        return self.reshape(self.matmul(weights, self.weight(places, places)), 1, channels, height, width)

    def suppress(self, boxes: str, scores: str, kind: str = "multiclass_nms3", **facts: Any) -> list[str]:
        """Add Paddle's suppression with PP-ShiTu's settings but for those given; return its rows and their number."""
        settings = {"score_threshold": 0.025, "nms_top_k": 1000, "keep_top_k": 100, "nms_threshold": 0.6, **facts}
        rows = f"rows_{len(self.shapes)}"
        self.shapes |= {rows: (-1, 6), f"{rows}_index": (-1, 1), f"{rows}_count": (-1,)}
        self.nodes.append(Node(kind, (boxes, scores), (rows, f"{rows}_index", f"{rows}_count"), settings))
        return [rows, f"{rows}_count"]

    def every_node(self) -> list[Node]:
        """Return all operations, those in loops and branches too."""
        found, waiting = [], list(self.nodes)
        while waiting:
            node = waiting.pop(0)
            found.append(node)
            waiting = [inner for key in ("body", "then", "otherwise") for inner in node.facts.get(key, ())] + waiting
        return found

    def renamed(self, new: Mapping[str, str]) -> Net:
        """Return the same network under other names."""

        def other(node: Node) -> Node:
            facts = {
                key: [other(inner) for inner in value]
                if key in ("body", "then", "otherwise")
                else tuple(new[name] for name in value)
                if key in ("arguments", "yields")
                else value
                for key, value in node.facts.items()
            }
            return Node(node.kind, tuple(map(new.__getitem__, node.inputs)), tuple(new[n] for n in node.outputs), facts)

        return replace(
            self,
            inputs={new[name]: shape for name, shape in self.inputs.items()},
            constants={new[name]: value for name, value in self.constants.items()},
            nodes=[other(node) for node in self.nodes],
            outputs=[new[name] for name in self.outputs],
            shapes={new[name]: shape for name, shape in self.shapes.items()},
            dtypes={new[name]: dtype for name, dtype in self.dtypes.items()},
            arrays={new[name] for name in self.arrays},
        )

    def shuffled(self, seed: int) -> tuple[Net, Mapping[str, str]]:
        """Return the same network under meaningless names, and what each is called there."""
        random = Random(seed)
        names = list(self.shapes)
        random.shuffle(names)
        new = {name: f"{random.choice('abcxyz')}{number}" for number, name in enumerate(names)}
        return self.renamed(new), new


def write(net: Net, folder: Path, file_format: Format) -> Path:
    """Write a network into a folder; return its graph's file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILES[file_format]
    if file_format == "onnx":
        onnx.save(to_onnx(net), path)
        return path
    path.write_bytes(to_pdmodel(net) if file_format == "pdmodel" else json.dumps(to_pir(net)).encode())
    path.with_suffix(".pdiparams").write_bytes(weights_file(net.constants))
    return path


def write_and_open(net: Net, folder: Path, file_format: Format) -> Opened:
    """Write a network and open it again."""
    opened = open_model(write(net, folder, file_format))
    assert isinstance(opened, PaddleProgram | PirProgram | OnnxModel)
    return opened


def called(net: Net, file_format: Format) -> Callable[[str], str]:
    """Return what gives a value's name in the graph that is read: in `inference.json` values have numbers alone."""
    return (lambda name: f"%{numbers(net)[name]}") if file_format == "pir" else lambda name: name


_SLOTS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "conv2d": ("conv2d", ("Input", "Filter"), ("Output",)),
    "multiply": ("elementwise_mul", ("X", "Y"), ("Out",)),
    "add": ("elementwise_add", ("X", "Y"), ("Out",)),
    "matmul": ("matmul_v2", ("X", "Y"), ("Out",)),
    "transpose": ("transpose2", ("X",), ("Out",)),
    "reshape": ("reshape2", ("X",), ("Out",)),
    "flatten": ("flatten_contiguous_range", ("X",), ("Out",)),
    "hardswish": ("hard_swish", ("X",), ("Out",)),
    "topk": ("top_k_v2", ("X",), ("Out", "Indices")),
    "gather": ("gather", ("X", "Index"), ("Out",)),
    "batch_norm": ("batch_norm", ("X", "Scale", "Bias", "Mean", "Variance"), ("Y",)),
    "multiclass_nms3": ("multiclass_nms3", ("BBoxes", "Scores"), ("Out", "Index", "NmsRoisNum")),
    "matrix_nms": ("matrix_nms", ("BBoxes", "Scores"), ("Out", "Index", "RoisNum")),
    "array_to_tensor": ("tensor_array_to_tensor", ("X",), ("Out",)),
    "array_write": ("write_to_array", ("X", "I"), ("Out",)),
}
_ATTRIBUTE_TYPES: Mapping[type, tuple[int, str]] = {bool: (6, "b"), int: (0, "i"), float: (1, "f"), str: (2, "s")}


def to_pdmodel(net: Net) -> bytes:
    """Return the content of a `.pdmodel`."""
    program = ProgramDesc()
    main = program.blocks.add(idx=0, parent_idx=-1)
    for name, kind in (("feed", _FEED_LIST), ("fetch", _FETCH_LIST)):
        main.vars.add(name=name, persistable=True).type.type = kind
    side_results = {f"{n.outputs[0]}.x": (0,) for n in net.every_node() if n.kind in ("transpose", "reshape")}
    for name, shape in {**net.shapes, **side_results}.items():
        variable = main.vars.add(name=name, persistable=name in net.constants)
        variable.type.type = _TENSOR_ARRAY if name in net.arrays else DENSE_TENSOR
        if name not in net.arrays:
            tensor = variable.type.dense_tensor.tensor
            tensor.data_type = _PROTO_DTYPES[net.dtypes.get(name, "float32")]
            tensor.dims.extend(shape)
    for column, name in reversed(list(enumerate(net.inputs))):  # in no order: the column counts
        add_paddle_op(main, "feed", {"X": ["feed"]}, {"Out": [name]}, col=column)
    _add_nodes(program, main, net.nodes)
    for column, name in reversed(list(enumerate(net.outputs))):
        add_paddle_op(main, "fetch", {"X": [name]}, {"Out": ["fetch"]}, col=column)
    return bytes(program.SerializeToString())


def add_paddle_op(
    block: Any, kind: str, inputs: Mapping[str, Sequence[str]], outputs: Mapping[str, Sequence[str]], **attributes: Any
) -> None:
    """Add an op to a block of a `ProgramDesc`; an attribute `sub_block` is a block's number."""
    op = block.ops.add(type=kind)
    for slots, given in ((op.inputs, inputs), (op.outputs, outputs)):
        for slot, names in given.items():
            slots.add(parameter=slot, arguments=names)
    for name, value in attributes.items():
        if name == "sub_block":
            op.attrs.add(name=name, type=8, block_idx=value)
        elif isinstance(value, tuple):
            op.attrs.add(name=name, type=3, ints=value)
        else:
            number, kept = _ATTRIBUTE_TYPES[type(value)]
            op.attrs.add(name=name, type=number, **{kept: value})
    op.attrs.add(name="op_callstack", type=5, strings=["file.py", "line 3"])
    op.attrs.add(name="use_mkldnn", type=6, b=False)


def _add_nodes(program: Any, block: Any, nodes: Iterable[Node]) -> None:
    for node in nodes:
        if node.kind == "while":
            _add_while(program, block, node)
        elif node.kind == "if":
            _add_if(program, block, node)
        elif node.kind != "create_array":
            kind, inputs, outputs = _SLOTS.get(node.kind, (node.kind, ("X",), ("Out",)))
            slots = {"X": node.inputs} if len(inputs) == 1 else dict(zip(inputs, ((n,) for n in node.inputs)))  # noqa: B905
            results = {slot: (name,) for slot, name in zip(outputs, node.outputs, strict=True)}
            if node.kind in ("transpose", "reshape"):
                results["XShape"] = (f"{node.outputs[0]}.x",)
            in_any_order = dict(reversed(slots.items()))
            add_paddle_op(block, kind, in_any_order, results, **_paddle_attributes(node))


def _paddle_attributes(node: Node) -> Mapping[str, Any]:
    return {"axis": node.facts["order"]} if node.kind == "transpose" else {**node.facts, **_settings(node)}


def _settings(node: Node) -> dict[str, Any]:
    """Return the attributes that Paddle's engines want of an operation besides what it is described by."""
    if node.kind == "conv2d":
        sides: dict[str, Any] = {"strides": (node.facts["stride"],) * 2, "paddings": (0, 0), "dilations": (1, 1)}
        return {**sides, "groups": 1, "padding_algorithm": "EXPLICIT", "data_format": "NCHW"}
    if node.kind == "pool2d":
        flags = {"global_pooling": True, "adaptive": False, "exclusive": True, "ceil_mode": False}
        sides = {"ksize": (1, 1), "strides": (1, 1), "paddings": (0, 0)}
        return {**sides, **flags, "pooling_type": "avg", "padding_algorithm": "EXPLICIT", "data_format": "NCHW"}
    if node.kind == "batch_norm":
        return {"epsilon": 1e-5, "data_layout": "NCHW"}
    if node.kind == "flatten":
        return {"start_axis": 1, "stop_axis": 3}
    if node.kind == "matmul":
        return {"trans_x": False, "trans_y": False}
    return {"axis": -1} if node.kind in ("add", "multiply") else {}


def _add_while(program: Any, block: Any, node: Node) -> None:
    """Variables of a loop are overwritten: its results, which it starts and goes on with."""
    condition, *first = node.inputs
    for start, result in zip(first, node.outputs, strict=True):
        add_paddle_op(block, "assign", {"X": [start]}, {"Out": [result]})
    inner = program.blocks.add(idx=len(program.blocks), parent_idx=block.idx)
    same = dict(zip(node.facts["arguments"], node.outputs, strict=True))
    body = [replace(one, inputs=tuple(same.get(name, name) for name in one.inputs)) for one in node.facts["body"]]
    _add_nodes(program, inner, body)
    _, *last = node.facts["yields"]
    for value, result in zip(last, node.outputs, strict=True):
        add_paddle_op(inner, "assign", {"X": [value]}, {"Out": [result]})
    slots = {"Condition": [condition], "X": first}
    add_paddle_op(block, "while", slots, {"Out": node.outputs, "StepScopes": ["scopes"]}, sub_block=inner.idx)


def _add_if(program: Any, block: Any, node: Node) -> None:
    """Both branches are conditional blocks; `select_input` takes the result of one."""
    (condition,), (result,) = node.inputs, node.outputs
    for branch in ("then", "otherwise"):
        inner = program.blocks.add(idx=len(program.blocks), parent_idx=block.idx)
        nodes, value = node.facts[branch], node.facts["yields"][branch == "otherwise"]
        _add_nodes(program, inner, nodes)
        add_paddle_op(inner, "assign", {"X": [value]}, {"Out": [f"{result}.{branch}"]})
        outputs = {"Out": [f"{result}.{branch}"], "Scope": ["scope"]}
        add_paddle_op(block, "conditional_block", {"Cond": [condition]}, outputs, sub_block=inner.idx)
    choice = {"X": [f"{result}.otherwise", f"{result}.then"], "Mask": [condition]}
    add_paddle_op(block, "select_input", choice, {"Out": [result]})


_PIR_NAMES = {"batch_norm": "batch_norm_", "array_write": "array_write_"}


def numbers(net: Net) -> Mapping[str, int]:
    """Return the number that every value has in `inference.json`; helpers of ours (shapes, axes) come after 100 000."""
    return {name: number for number, name in enumerate(net.shapes, start=1)}


def to_pir(net: Net) -> dict[str, Any]:
    """Return the content of an `inference.json`."""
    writer = _PirWriter(net)
    ops = [writer.parameter(name) for name in net.constants]
    ops += [writer.feed(column, name) for column, name in enumerate(net.inputs)]
    ops += [op for node in net.nodes for op in writer.ops(node, {})]
    ops += [writer.fetch(column, name) for column, name in enumerate(net.outputs)]
    return pir_program(ops)


def pir_program(ops: list[Any]) -> dict[str, Any]:
    """Return a program of one block."""
    block = {"#": "block_0", "args": [], "ops": ops}
    return {
        "base_code": {"magic": "pir", "trainable": False, "version": 1},
        "program": {"regions": [{"#": "region_0", "blocks": [block]}]},
    }


def pir_type(shape: Sequence[int], dtype: str = "float32") -> dict[str, Any]:
    return {"#": "0.t_dtensor", "D": [{"#": f"0.t_{_PIR_DTYPES[dtype]}"}, list(shape), "NCHW", [], 0]}


def pir_attribute(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"#": "0.a_bool", "D": value}
    if isinstance(value, int):
        return {"#": "0.a_i32", "D": value}
    if isinstance(value, float):
        return {"#": "0.a_f32", "D": value}
    if isinstance(value, str):
        return {"#": "0.a_str", "D": value}
    return {"#": "0.a_array", "D": [pir_attribute(item) for item in value]}


def pir_op(kind: str, inputs: Sequence[int], outputs: Mapping[int, Any], regions: Any = None, **facts: Any) -> Any:
    """Return an op; `outputs` are types by number."""
    op: dict[str, Any] = {
        "#": kind,
        "A": [{"N": name, "AT": pir_attribute(value)} for name, value in facts.items()],
        "I": [{"%": number} for number in inputs],
        "O": [{"%": number, "TT": kind} for number, kind in outputs.items()],
        "OA": [],
    }
    return op if regions is None else {**op, "regions": regions}


class _PirWriter:
    """Spells out the ops of a network."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._numbers = dict(numbers(net))
        self._last = 100_000

    def parameter(self, name: str) -> Any:
        value = {"%": self._numbers[name], "TT": self._type(name)}
        return {"#": "p", "A": [0, 1, 1, name], "DA": [], "O": value, "OA": [1, 1, 0], "QA": []}

    def feed(self, column: int, name: str) -> Any:
        return pir_op("1.feed", [], {self._numbers[name]: self._type(name)}, name=name, col=column)

    def fetch(self, column: int, name: str) -> Any:
        outputs = {self._new(): self._type(name)}
        return pir_op("1.fetch", [self._numbers[name]], outputs, name=f"fetch_name_{column}", col=column)

    def ops(self, node: Node, arguments: Mapping[str, int]) -> list[Any]:
        """Return an op with the constants that it takes as inputs before it."""
        inputs = [arguments.get(name, self._numbers[name]) for name in node.inputs]
        outputs = {self._numbers[name]: self._type(name) for name in node.outputs}
        facts = dict(node.facts)
        regions = None
        before: list[Any] = []
        if node.kind == "while":
            own = {name: -number for number, name in enumerate(facts["arguments"], start=1)}
            args = [{"#": own[name], "TT": self._type(name)} for name in own]
            regions = [self._region(facts["body"], facts["yields"], {**arguments, **own}, args)]
            facts = {}
        elif node.kind == "if":
            chosen = zip((facts["then"], facts["otherwise"]), facts["yields"], strict=True)
            regions = [self._region(nodes, [value], arguments, []) for nodes, value in chosen]
            facts = {}
        elif node.kind == "transpose":
            facts = {"perm": facts["order"]}
        elif node.kind == "conv2d":
            facts = _settings(node)
        elif node.kind == "reshape":
            before, inputs = self._with_constant(inputs, "1.full_int_array", facts.pop("shape"))
        elif node.kind == "topk":
            before, inputs = self._with_constant(inputs, "1.full", float(facts.pop("k")))
        elif node.kind == "clip":
            for bound in ("min", "max"):
                made, inputs = self._with_constant(inputs, "1.full", facts.pop(bound))
                before += made
        elif node.kind == "concat":
            combined = self._new()
            kinds = {combined: {"#": "0.t_vec", "D": [self._type(name) for name in node.inputs]}}
            before, inputs = self._with_constant([combined], "1.full", float(facts.pop("axis")))
            before.insert(0, pir_op("0.combine", [self._numbers[name] for name in node.inputs], kinds))
        elif node.kind == "batch_norm":
            x, scale, bias, mean, variance = inputs
            inputs = [x, mean, variance, scale, bias]
            outputs |= {self._new(): {"#": "NULL"} for _ in range(4)}
        elif node.kind == "array_write":
            x, position = inputs
            (array,) = outputs
            inputs, outputs = [array, x, position], {self._new(): self._type(node.outputs[0])}
        elif node.kind in ("multiclass_nms3", "matrix_nms"):
            inputs = [*inputs, 0]
        kind = f"1.{_PIR_NAMES.get(node.kind, node.kind)}"
        return [*before, pir_op(kind, inputs, outputs, regions, **facts)]

    def _region(self, nodes: Iterable[Node], yields: Sequence[str], names: Mapping[str, int], args: Any) -> Any:
        ops = [op for node in nodes for op in self.ops(node, names)]
        ops.append(pir_op("2.yield", [names.get(name, self._numbers[name]) for name in yields], {}))
        return {"#": "region_1", "blocks": [{"#": "block_1", "args": args, "ops": ops}]}

    def _with_constant(self, inputs: list[int], kind: str, value: Any) -> tuple[list[Any], list[int]]:
        number = self._new()
        return [pir_op(kind, [], {number: pir_type([1])}, value=value)], [*inputs, number]

    def _type(self, name: str) -> Any:
        if name in self._net.arrays:
            return {"#": "1.t_dense_tensor_array", "D": [{"#": "0.t_f32"}, [-1], "NCHW"]}
        return pir_type(self._net.shapes[name], self._net.dtypes.get(name, "float32"))

    def _new(self) -> int:
        self._last += 1
        return self._last


_ONNX_NAMES = {
    "conv2d": "Conv", "multiply": "Mul", "add": "Add", "matmul": "MatMul", "topk": "TopK", "hardswish": "HardSwish",
    "pool2d": "GlobalAveragePool", "reduce_max": "ReduceMax", "batch_norm": "BatchNormalization",
    "multiclass_nms3": "NonMaxSuppression",
}  # fmt: skip


def to_onnx(net: Net) -> Any:
    """Return an ONNX model; it has no loops."""
    nodes: list[Any] = []
    constants = [numpy_helper.from_array(value, name) for name, value in net.constants.items()]

    def constant(values: Any, dtype: Any) -> str:
        name = f"constant_{len(constants)}"
        constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    for node in net.nodes:
        inputs, outputs, facts = list(node.inputs), list(node.outputs), dict(node.facts)
        if node.kind == "conv2d":
            facts = {"strides": [facts["stride"]] * 2}
        elif node.kind == "transpose":
            facts = {"perm": facts["order"]}
        elif node.kind == "reshape":
            inputs.append(constant(facts.pop("shape"), np.int64))
        elif node.kind == "topk":
            inputs.append(constant([facts.pop("k")], np.int64))
        elif node.kind == "clip":
            inputs += [constant(facts.pop(bound), np.float32) for bound in ("min", "max")]
        elif node.kind == "flatten":
            facts = {"axis": 1}
        elif node.kind == "multiclass_nms3":
            inputs.append(constant(facts["nms_top_k"], np.int64))
            inputs += [constant(facts[key], np.float32) for key in ("nms_threshold", "score_threshold")]
            outputs, facts = outputs[1:2], {}
        nodes.append(helper.make_node(_ONNX_NAMES.get(node.kind, node.kind.title()), inputs, outputs, **facts))
    graph = helper.make_graph(
        nodes,
        "net",
        [_onnx_value(name, shape, "float32") for name, shape in net.inputs.items()],
        list(_onnx_outputs(net)),
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _onnx_outputs(net: Net) -> Iterator[Any]:
    """Yield the outputs; ONNX' suppression answers indices of boxes instead of their rows and number."""
    suppressed = {node.outputs[0]: node.outputs[1] for node in net.nodes if node.kind == "multiclass_nms3"}
    counts = {node.outputs[2] for node in net.nodes if node.kind == "multiclass_nms3"}
    for name in net.outputs:
        if name in suppressed:
            yield _onnx_value(suppressed[name], (-1, 3), "int64")
        elif name not in counts:
            yield _onnx_value(name, net.shapes[name], net.dtypes.get(name, "float32"))


def _onnx_value(name: str, shape: Shape, dtype: str) -> Any:
    element = TensorProto.INT64 if dtype == "int64" else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, element, ["N" if side < 0 else side for side in shape])


@dataclass(frozen=True)
class Pico:
    """A PicoDet to be built, and afterward where its head ends.

    Attributes:
        scores: how a level's scores are made: `sigmoid` of (N, h, w, C), `flat` sigmoid of (N, C, h, w) that is then
            reshaped, `aligned` the square root of two sigmoids' product, `quality` with the best bins' estimate.
        end: `raw`, `boxes` (decoded) or `nms`.
        project: the constants that the bins' probabilities are multiplied with.
        top_k: levels of more anchors keep the best of them before the suppression.
        loop: what follows the head stands in a loop, as in PP-ShiTu's own detector.
    """

    side: int = 64
    strides: tuple[int, ...] = (8, 16, 32)
    classes: int = 3
    reg_max: int = 7
    scores: Literal["sigmoid", "flat", "aligned", "quality"] = "aligned"
    end: Literal["raw", "boxes", "nms"] = "nms"
    grids: bool = False
    clip: bool = False
    project: tuple[float, ...] | None = None
    top_k: int | None = None
    loop: bool = False
    nms: str = "multiclass_nms3"
    attention: bool = False
    batch: int = -1

    def build(self) -> tuple[Net, tuple[str, ...], tuple[str, ...]]:
        """Return the network, and the values that are its scores and its distances."""
        net = Net()
        image = net.input("image", self.batch, 3, self.side, self.side)
        features = [net.same("relu", net.conv(image, 4, stride)) for stride in self.strides]
        features = [net.attend(feature) for feature in features] if self.attention else features
        heads = [self._head(net, feature, stride) for feature, stride in zip(features, self.strides, strict=True)]
        scores, distances = tuple(score for score, _ in heads), tuple(distance for _, distance in heads)
        if self.end == "raw":
            net.outputs = [self._flat(net, name) for name in scores]
            net.outputs += [name if self.grids else self._rows(net, name) for name in distances]
            return net, scores, self._raw_ends(net, distances)
        if self.loop:
            self._finish_in_loop(net, scores, distances)
        else:
            boxes, table = self._decode(net, scores, distances)
            net.outputs = [boxes, table] if self.end == "boxes" else net.suppress(boxes, table, self.nms)
        return net, scores, distances

    def _raw_ends(self, net: Net, distances: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(net.outputs[len(distances) :])

    def _head(self, net: Net, feature: str, stride: int) -> tuple[str, str]:
        bins = self.reg_max + 1
        raw = net.conv(feature, 4 * bins)
        logits = net.conv(feature, self.classes)
        if self.scores == "sigmoid":
            score = net.same("sigmoid", net.transpose(logits, 0, 2, 3, 1))
        elif self.scores == "flat":
            score = net.same("sigmoid", logits)
        elif self.scores == "aligned":
            other = net.same("sigmoid", net.conv(feature, 1))
            score = net.same("sqrt", net.same("multiply", net.same("sigmoid", logits), other))
        else:
            cells = -(-self.side // stride)
            sides = net.reshape(raw, 1, 4, bins, cells, cells)
            order = net.transpose(net.same("softmax", sides, axis=2), 0, 3, 4, 1, 2)
            best, _ = net.top_k(order, 4)
            quality = net.transpose(net.reshape(best, 1, cells, cells, 16), 0, 3, 1, 2)
            estimate = net.same("sigmoid", net.conv(net.same("relu", net.conv(quality, 4)), 1))
            score = net.same("sigmoid", net.same("multiply", logits, estimate))
        return score, net.transpose(raw, 0, 2, 3, 1)

    def _rows(self, net: Net, distance: str) -> str:
        _, height, width, channels = net.shapes[distance]
        return net.reshape(distance, 1, height * width, channels)

    def _flat(self, net: Net, score: str) -> str:
        """(N, C, h, w) or (N, h, w, C) → (1, h·w, C)."""
        if self.grids:
            return score
        if self.scores == "sigmoid":
            return self._rows(net, score)
        _, classes, height, width = net.shapes[score]
        return net.transpose(net.reshape(score, 1, classes, height * width), 0, 2, 1)

    def _decode(self, net: Net, scores: Sequence[str], distances: Sequence[str]) -> tuple[str, str]:
        bins = self.reg_max + 1
        project = net.constant(self.project or np.arange(bins))
        boxes, tables = [], []
        for stride, score, distance in zip(self.strides, scores, distances, strict=True):
            rows, table = self._rows(net, distance), self._flat(net, score)
            count = net.shapes[rows][1]
            if self.top_k and count > self.top_k:
                best = net.add_node("reduce_max", [table], (1, count), axes=(2,))
                _, at = net.top_k(net.reshape(best, count), self.top_k)
                rows, table, count = net.gather(rows, at, 1), net.gather(table, at, 1), self.top_k
            spread = net.same("softmax", net.reshape(rows, 4 * count, bins), axis=1)
            sides = net.reshape(net.matmul(spread, project), 1, count, 4)
            signed = net.same("multiply", sides, net.constant([[[-stride, -stride, stride, stride]]]))
            boxes.append(net.same("add", signed, net.weight(1, count, 4)))
            tables.append(net.transpose(table, 0, 2, 1))
        joined = net.concat(boxes, 1)
        if self.clip:
            joined = net.same("clip", joined, min=0.0, max=float(self.side))
        return joined, net.concat(tables, 2)

    def _finish_in_loop(self, net: Net, scores: Sequence[str], distances: Sequence[str]) -> None:
        """Decode in a loop that writes into arrays; a branch in it, a value that it carries on."""
        before = len(net.nodes)
        boxes, table = self._decode(net, scores, distances)
        body, net.nodes = net.nodes[before:], net.nodes[:before]
        condition, counter, again = net.input("condition", 1), net.input("counter", 1), "again"
        net.shapes |= {again: (1,), "carried": (1,), "result": (1,)}
        net.arrays = {"array_boxes", "array_scores"}
        net.shapes |= {"array_boxes": (), "array_scores": (), "chosen": net.shapes[boxes], "turned": net.shapes[boxes]}
        turned = Node("relu", (boxes,), ("turned",))
        branch = Node("if", (condition,), ("chosen",), {"then": [turned], "otherwise": [], "yields": ("turned", boxes)})
        body += [
            branch,
            Node("array_write", ("chosen", "carried"), ("array_boxes",)),
            Node("array_write", (table, "carried"), ("array_scores",)),
            Node("sigmoid", ("carried",), (again,)),
        ]
        loop = {"arguments": ("carried",), "body": body, "yields": (condition, again)}
        net.nodes += [Node("create_array", (), (name,)) for name in sorted(net.arrays)]
        net.nodes.append(Node("while", (condition, counter), ("result",), loop))
        all_boxes = net.add_node("array_to_tensor", ["array_boxes"], net.shapes[boxes])
        all_scores = net.add_node("array_to_tensor", ["array_scores"], net.shapes[table])
        net.outputs = net.suppress(all_boxes, all_scores, self.nms)


def extractor(version: Literal["V1", "V2", "other"], dim: int = 8, batch: int = -1, side: int = 16) -> Net:
    """Return a network that ends as PP-ShiTu's extractors do."""
    net = Net()
    x = net.conv(net.input("x", batch, 3, side, side), 6, 2)
    if version != "other":
        x = net.batch_norm(x)
    x = net.same("hardswish" if version == "V1" else "relu", x)
    x = net.flatten(net.pool(net.conv(x, dim if version == "V2" else 6)))
    if version == "V2":
        net.outputs = [net.batch_norm(x)]
    else:
        product = net.matmul(x, net.weight(6, dim))
        net.outputs = [net.same("add", product, net.weight(dim)) if version == "V1" else net.same("relu", product)]
    return net
