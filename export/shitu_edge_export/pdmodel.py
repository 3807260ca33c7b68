"""`.pdmodel` with `.pdiparams`: Paddle's format until 2.x, read and cut without Paddle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from shitu_edge.ranges import shown
from shitu_edge.system.files import read_bounded

from .errors import ModelError
from .graph import CONTROL_FLOW, MAX_GRAPH_BYTES, Graph, Op, Tensor, common_name
from .paddle_proto import ATTRIBUTE_FIELDS, DENSE_TENSOR, DTYPES, ProgramDesc
from .weights import Weights, read_weights

_DATA_SLOTS = ("X", "Input", "BBoxes", "Scores")  # come first, so that what an op carries on is its first input
_SIDE_SLOTS = ("XShape", "SavedMean", "SavedVariance", "MeanOut", "VarianceOut", "StepScopes", "ReserveSpace")
_DULL = ("op_", "mkldnn", "use_", "with_quant_attr", "is_test")


@dataclass(frozen=True, slots=True)
class PaddleProgram:
    """A model in Paddle's older format; see `source.Model`."""

    path: Path
    weights_path: Path
    graph: Graph
    weights: Weights
    _program: Any

    def array(self, name: str) -> NDArray[Any]:
        """Return a parameter's values."""
        return self.weights.array(name)

    def write_part(self, folder: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Path:
        """Write the part between inputs and outputs as a model of its own, for one image at a time.

        Loops, branches and whatever the outputs do not need are left behind.
        """
        program = ProgramDesc()
        program.CopyFrom(self._program)
        del program.blocks[1:]
        block = program.blocks[0]
        kept = _slice(list(block.ops), inputs, outputs)
        ops = [_feed(program, name, column) for column, name in enumerate(inputs)]
        ops += kept + [_fetch(program, name, column) for column, name in enumerate(outputs)]
        names = {name for op in ops for slot in (*op.inputs, *op.outputs) for name in slot.arguments}
        variables = [variable for variable in block.vars if variable.name in names]
        for variable in variables:
            dims = variable.type.dense_tensor.tensor.dims
            if variable.name not in self.graph.parameters and len(dims) > 1 and dims[0] < 0:
                dims[0] = 1
        del block.ops[:], block.vars[:]
        block.ops.extend(ops)
        block.vars.extend(variables)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "inference.pdmodel"
        path.write_bytes(program.SerializeToString())
        path.with_suffix(".pdiparams").write_bytes(self.weights.part(names & self.graph.parameters))
        return path


def read_pdmodel(path: Path, weights_path: Path) -> PaddleProgram:
    """Read a graph and its weights.

    Raises:
        ModelError: a file cannot be read or is damaged, or the weights are another model's.
    """
    program = _parse(path)
    graph = _read(program, path)
    parameters = {name: graph.tensors[name] for name in graph.parameters}
    return PaddleProgram(path, weights_path, graph, read_weights(weights_path, parameters), program)


def read_pdmodel_graph(path: Path) -> Graph:
    """Read the graph alone; see `read_pdmodel`."""
    return _read(_parse(path), path)


def _parse(path: Path) -> Any:
    program = ProgramDesc()
    try:
        program.ParseFromString(read_bounded(path, MAX_GRAPH_BYTES))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise ModelError(f"{path}: damaged, or no Paddle program") from error
    if not program.blocks or not program.blocks[0].ops:
        raise ModelError(f"{path}: no Paddle program: it holds no operations")
    return program


def _read(program: Any, path: Path) -> Graph:
    try:
        return _graph(program)
    except (TypeError, IndexError, AttributeError, ValueError) as error:  # such as text that is bytes: no UTF-8
        raise ModelError(f"{path}: damaged: {type(error).__name__}: {shown(str(error))}") from error


def _graph(program: Any) -> Graph:
    tensors: dict[str, Tensor] = {}
    parameters = set()
    for block in program.blocks:
        for variable in block.vars:
            if variable.type.type != DENSE_TENSOR:
                continue
            tensor = variable.type.dense_tensor.tensor
            tensors[variable.name] = Tensor(tuple(tensor.dims), DTYPES.get(tensor.data_type, "unknown"))
            if variable.persistable:
                parameters.add(variable.name)
    ops = tuple(_op(op, number) for number, block in enumerate(program.blocks) for op in block.ops)
    feeds = [(op.attributes.get("col", 0), op.outputs[0]) for op in ops if op.type == "feed"]
    fetches = [(op.attributes.get("col", 0), op.inputs[0]) for op in ops if op.type == "fetch"]
    return Graph(
        inputs=tuple(name for _, name in sorted(feeds)),
        input_names=tuple(name for _, name in sorted(feeds)),
        outputs=tuple(name for _, name in sorted(fetches)),
        parameters=frozenset(parameters),
        ops=tuple(op for op in ops if op.type not in ("feed", "fetch")),
        tensors=tensors,
    )


def _op(op: Any, block: int) -> Op:
    inputs = sorted(op.inputs, key=lambda slot: _rank(slot.parameter))
    return Op(
        kind=common_name(op.type),
        type=op.type,
        inputs=tuple(name for slot in inputs for name in slot.arguments),
        outputs=tuple(name for slot in op.outputs if slot.parameter not in _SIDE_SLOTS for name in slot.arguments),
        attributes=_attributes(op),
        block=block,
    )


def _rank(slot: str) -> int:
    return _DATA_SLOTS.index(slot) if slot in _DATA_SLOTS else len(_DATA_SLOTS)


def _attributes(op: Any) -> Mapping[str, Any]:
    values = {}
    for attribute in op.attrs:
        if attribute.name.startswith(_DULL) or not 0 <= attribute.type < len(ATTRIBUTE_FIELDS):
            continue
        value = getattr(attribute, ATTRIBUTE_FIELDS[attribute.type])
        values[attribute.name] = value if isinstance(value, (int, float, str)) else tuple(value)
    return values


def _slice(ops: list[Any], inputs: Sequence[str], outputs: Sequence[str]) -> list[Any]:
    """Return the ops that the outputs need, in order; loops, which also write their inputs, do not count."""
    needed = set(outputs)
    kept = []
    for op in reversed(ops):
        made = {name for slot in op.outputs for name in slot.arguments}
        border = op.type in ("feed", "fetch") or common_name(op.type) in CONTROL_FLOW
        if not border and made & needed - set(inputs):
            kept.append(op)
            needed |= {name for slot in op.inputs for name in slot.arguments}
    return kept[::-1]


def _feed(program: Any, name: str, column: int) -> Any:
    return _border_op(program, "feed", ("X", "feed"), ("Out", name), column)


def _fetch(program: Any, name: str, column: int) -> Any:
    return _border_op(program, "fetch", ("X", name), ("Out", "fetch"), column)


def _border_op(program: Any, kind: str, source: tuple[str, str], target: tuple[str, str], column: int) -> Any:
    """Return a feed or fetch op."""
    op = type(program.blocks[0].ops.add())()
    del program.blocks[0].ops[-1]
    op.type = kind
    op.inputs.add(parameter=source[0], arguments=[source[1]])
    op.outputs.add(parameter=target[0], arguments=[target[1]])
    op.attrs.add(name="col", type=0, i=column)
    return op
