"""`inference.json` with `.pdiparams`: Paddle's format from 3.0 on (PIR), read and cut without Paddle.

An op is `{"#": type, "A": attributes, "I": [{"%": id}], "O": [{"%": id, "TT": type}], "regions": [...]}`; in a type the
number before the dot is the dialect. Ids below 0 are the arguments of a loop's block, 0 is no value.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from shitu_edge.ranges import shown
from shitu_edge.system.files import read_json

from .errors import ModelError
from .graph import CONTROL_FLOW, MAX_GRAPH_BYTES, Graph, Op, Tensor, common_name, require_name
from .weights import Weights, read_weights

_DIALECTS = {"0": "builtin", "1": "pd_op", "2": "cf", "3": "custom_op", "4": "pd_dist"}
_DTYPES = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64", "ui8": "uint8"}
_PARAMETER = "p"
_FEEDS = ("pd_op.feed", "pd_op.data")
_FETCHES = ("pd_op.fetch", "builtin.shadow_output")
_PAIR = {"persistable": True, "stop_gradient": False}

Json = Any


@dataclass(frozen=True, slots=True)
class PirProgram:
    """A model in Paddle's newer format; see `source.Model`."""

    path: Path
    weights_path: Path
    graph: Graph
    weights: Weights
    _program: Json
    _saved_names: Mapping[str, str]

    def array(self, name: str) -> NDArray[Any]:
        """Return a parameter's values."""
        return self.weights.array(self._saved_names[name])

    def write_part(self, folder: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Path:
        """Write the part between inputs and outputs as a model of its own; see `PaddleProgram.write_part`."""
        program = {key: value for key, value in self._program.items() if key != "program"}
        ops = copy.deepcopy(_slice(_top_ops(self._program), set(inputs), set(outputs), self.graph))
        for op in ops:
            if op["#"] != _PARAMETER:
                _fix_batch(op["O"])
        last = max(output["%"] for op in _every_op(self._program) for output in _outputs(op))
        types = {_name(output): output["TT"] for op in ops for output in _outputs(op)}
        for column, name in enumerate(outputs):
            ops.append(_fetch(column, name, last + 1 + column, types[name]))
        program["program"] = {"regions": [{"#": "region_0", "blocks": [{"#": "block_0", "args": [], "ops": ops}]}]}
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "inference.json"
        path.write_text(json.dumps(program), encoding="utf-8")
        kept = {op["A"][3] for op in ops if op["#"] == _PARAMETER}
        path.with_suffix(".pdiparams").write_bytes(self.weights.part(kept))
        return path


def read_pir(path: Path, weights_path: Path) -> PirProgram:
    """Read a graph and its weights.

    Raises:
        ModelError: a file cannot be read or is damaged, or the weights are another model's.
    """
    program = _parse(path)
    graph, names, parameters = _read(program, path)
    return PirProgram(path, weights_path, graph, read_weights(weights_path, parameters), program, names)


def read_pir_graph(path: Path) -> Graph:
    """Read the graph alone; see `read_pir`."""
    return _read(_parse(path), path)[0]


def _parse(path: Path) -> Json:
    try:
        program = read_json(path, MAX_GRAPH_BYTES)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path}: damaged: {error}") from error
    base = program.get("base_code") if isinstance(program, dict) else None
    magic = base.get("magic") if isinstance(base, dict) else None
    if magic != "pir":
        raise ModelError(f"{path}: no Paddle program: expected base_code.magic 'pir', found {shown(magic)}")
    return program


def _read(program: Json, path: Path) -> tuple[Graph, Mapping[str, str], Mapping[str, Tensor]]:
    """Return the graph, the parameters' saved names by value, and their tensors by saved name."""
    reader = _Reader()
    try:
        reader.read_block(program["program"]["regions"][0]["blocks"][0], {}, 0)
        found = reader.graph(), reader.parameters, reader.saved_parameters()
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: damaged: {type(error).__name__}: {shown(str(error))}") from error
    if not reader.ops:
        raise ModelError(f"{path}: no Paddle program: it holds no operations")
    return found


@dataclass(slots=True)
class _Reader:
    """Collects the facts of a program, block by block."""

    ops: list[Op] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    feeds: list[tuple[int, str, str]] = field(default_factory=list)
    fetches: list[tuple[int, str]] = field(default_factory=list)
    blocks: int = 0

    def graph(self) -> Graph:
        return Graph(
            inputs=tuple(value for _, value, _ in sorted(self.feeds)),
            input_names=tuple(name for _, _, name in sorted(self.feeds)),
            outputs=tuple(name for _, name in sorted(self.fetches)),
            parameters=frozenset(self.parameters),
            ops=tuple(self.ops),
            tensors=self.tensors,
        )

    def saved_parameters(self) -> dict[str, Tensor]:
        """Return the parameters by the names that order them in `.pdiparams`."""
        for saved in self.parameters.values():
            require_name(saved)
        return {saved: self.tensors[name] for name, saved in self.parameters.items()}

    def read_block(self, block: Json, arguments: Mapping[int, str], number: int) -> tuple[str, ...]:
        """Read a block whose arguments have these names; return the names of what it yields."""
        yielded: tuple[str, ...] = ()
        for op in block["ops"]:
            self._read_types(op)
            inputs = tuple(arguments.get(i["%"], _name(i)) for i in op.get("I", ()) if i["%"])
            kind = _type(op)
            if op["#"] == _PARAMETER:
                self.parameters[_name(op["O"])] = op["A"][3]
            elif kind == "cf.yield":
                yielded = inputs
            elif kind in _FEEDS:
                feed = _attributes(op)
                self.feeds.append((feed.get("col", len(self.feeds)), _name(op["O"][0]), str(feed.get("name", ""))))
            elif kind in _FETCHES:
                self.fetches.append((_attributes(op).get("col", len(self.fetches)), inputs[0]))
            else:
                outputs = tuple(map(_name, _outputs(op)))
                if kind == "pd_op.array_write_":  # writes into the array that it is given, too
                    outputs += inputs[:1]
                self.ops.append(Op(common_name(kind), kind, inputs, outputs, _attributes(op), number))
                if op.get("regions"):
                    self._read_regions(op, inputs, outputs, arguments)
        return yielded

    def _read_regions(
        self, op: Json, inputs: tuple[str, ...], outputs: tuple[str, ...], arguments: Mapping[int, str]
    ) -> None:
        """Read what a loop or a branch does, and join its results."""
        joined: list[list[str]] = [[] for _ in outputs]
        loop = common_name(_type(op)) == "while"
        for block in (block for region in op["regions"] for block in region["blocks"]):
            self.blocks += 1
            number = self.blocks
            own = {argument["#"]: f"%{number}{argument['#']}" for argument in block["args"]}
            yielded = self.read_block(block, {**arguments, **own}, number)[1 if loop else 0 :]
            for result, name in zip(joined, yielded, strict=False):
                result.append(name)
            for position, (name, first) in enumerate(zip(own.values(), inputs[1:], strict=False)):
                later = yielded[position : position + 1]
                self.ops.append(Op("phi", "phi", (first, *later), (name,), {}, number))
                if first in self.tensors:
                    self.tensors[name] = self.tensors[first]
        for output, names in zip(outputs, joined, strict=True):
            self.ops.append(Op("phi", "phi", tuple(names), (output,), {}, 1))

    def _read_types(self, op: Json) -> None:
        for output in _outputs(op):
            tensor = _tensor(output.get("TT"))
            if tensor:
                self.tensors[_name(output)] = tensor


def _top_ops(program: Json) -> list[Json]:
    ops: list[Json] = program["program"]["regions"][0]["blocks"][0]["ops"]
    return ops


def _every_op(program: Json) -> Iterator[Json]:
    waiting = [program["program"]["regions"]]
    while waiting:
        for region in waiting.pop():
            for block in region["blocks"]:
                for op in block["ops"]:
                    yield op
                    waiting.append(op.get("regions", []))


def _outputs(op: Json) -> list[Json]:
    outputs = op.get("O", [])
    return [outputs] if isinstance(outputs, dict) else outputs


def _name(value: Json) -> str:
    number = value["%"]
    if type(number) is not int:
        raise ValueError(f"expected a value's number, found {shown(number)}")
    return f"%{number}"


def _type(op: Json) -> str:
    dialect, _, name = op["#"].partition(".")
    return f"{_DIALECTS.get(dialect, dialect)}.{name}" if name else dialect


def _tensor(kind: Json) -> Tensor | None:
    if not kind or not kind.get("#", "").endswith("t_dtensor"):
        return None
    dtype, shape = kind["D"][0]["#"].partition("t_")[2], kind["D"][1]
    return Tensor(tuple(shape), _DTYPES.get(dtype, dtype.replace("i", "int") if dtype[0] == "i" else dtype))


def _attributes(op: Json) -> Mapping[str, Any]:
    if op["#"] == _PARAMETER:
        return {}
    return {attribute["N"]: _value(attribute["AT"]) for attribute in op.get("A", ())}


def _value(attribute: Json) -> Any:
    data = attribute.get("D")
    if attribute["#"].endswith("a_array"):
        return tuple(_value(item) for item in data)
    return tuple(data) if isinstance(data, list) else data


def _slice(ops: list[Json], inputs: set[str], needed: set[str], graph: Graph) -> list[Json]:
    """Return the feeds of the inputs and the ops that the needed values come from, in order."""
    needed = set(needed)
    kept = []
    for op in reversed(ops):
        made = set(map(_name, _outputs(op)))
        feed = _type(op) in _FEEDS
        skipped = common_name(_type(op)) in CONTROL_FLOW or _type(op) in _FETCHES
        if (feed and made & inputs) or (not feed and not skipped and made & (needed - inputs)):
            kept.append(op)
            needed |= {_name(value) for value in op.get("I", ()) if value["%"]}
    return kept[::-1]


def _fix_batch(outputs: Json) -> None:
    """Set a free first dimension of every tensor to 1."""
    for output in outputs:
        kinds = [output["TT"]]
        while kinds:
            kind = kinds.pop()
            if kind.get("#", "").endswith("t_dtensor"):
                shape = kind["D"][1]
                if len(shape) > 1 and shape[0] < 0:
                    shape[0] = 1
            elif kind.get("#", "").endswith("t_vec"):
                kinds += kind["D"]


def _fetch(column: int, name: str, identity: int, kind: Json) -> Json:
    flags = [
        {"N": flag, "AT": {"#": "0.a_array", "D": [{"#": "0.a_bool", "D": value}]}} for flag, value in _PAIR.items()
    ]
    attributes = [
        {"N": "name", "AT": {"#": "0.a_str", "D": f"fetch_name_{column}"}},
        {"N": "col", "AT": {"#": "0.a_i32", "D": column}},
    ]
    value = {"%": int(name[1:])}
    return {"#": "1.fetch", "A": attributes, "I": [value], "O": [{"%": identity, "TT": kind}], "OA": flags}
