"""ONNX models as sources: read, cut, and given one fixed input size."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from shitu_edge.system.files import open_regular

from . import isolate
from .errors import ConversionError, ModelError
from .graph import CONTROL_FLOW, Graph, Op, Tensor, common_name


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A model in ONNX; see `source.Model`."""

    path: Path
    weights_path: Path
    graph: Graph
    _model: Any

    def array(self, name: str) -> NDArray[np.generic]:
        """Return a parameter's values."""
        constants = {value.name: value for value in self._model.graph.initializer}
        array: NDArray[np.generic] = numpy_helper.to_array(constants[name])
        return array

    def write_part(self, folder: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Path:
        """Write the part between inputs and outputs as a model of its own, for one image at a time."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        graph = model.graph
        nodes = _slice(list(graph.node), inputs, outputs)
        used = {name for node in nodes for name in node.input}
        constants = [value for value in graph.initializer if value.name in used]
        known = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
        del graph.node[:], graph.initializer[:], graph.value_info[:], graph.output[:], graph.input[:]
        graph.node.extend(nodes)
        graph.initializer.extend(constants)
        graph.input.extend(known[name] for name in inputs)
        graph.output.extend(_without_shape(known, name) for name in outputs)
        for value in graph.input:
            dims = value.type.tensor_type.shape.dim
            if len(dims) > 1 and dims[0].dim_value < 1:
                dims[0].dim_value = 1
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "model.onnx"
        onnx.save(shape_inference.infer_shapes(model), path)
        return path


def read_onnx(path: Path) -> OnnxModel:
    """Read an ONNX file.

    Raises:
        ModelError: it cannot be read or is damaged.
    """
    try:
        with open_regular(path):
            pass
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    with tempfile.TemporaryDirectory(prefix="shitu-edge-export-") as scratch:
        inferred = Path(scratch, "inferred.onnx")
        try:
            isolate.run("infer_onnx", "reading it", source=str(path), target=str(inferred))
        except ConversionError as error:
            raise ModelError(f"{path}: damaged, or no ONNX model: {' '.join(str(error).split())[:300]}") from error
        model = _constants_as_initializers(onnx.load(inferred))
    try:
        graph = _graph(model)
    except ValueError as error:
        raise ModelError(f"{path}: damaged: {error}") from error
    return OnnxModel(path, path, graph, model)


def resize_input(source: Path, target: Path, name: str, shape: Sequence[int]) -> None:
    """Write a model whose input has another shape, -1 where it stays free.

    Raises:
        ModelError: the old shape stands elsewhere in the graph too, so that it cannot be changed.
    """
    model = onnx.load(source)
    (value,) = (value for value in model.graph.input if value.name == name)
    if _tensor(value).shape != tuple(shape):
        for dim, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
            if size < 0:
                dim.dim_param = "N"
            else:
                dim.dim_value = size
        model = _forget_shapes(model)
        try:
            model = shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        except shape_inference.InferenceError as error:
            reason = str(error).strip().splitlines()[-1][:200]
            raise ModelError(f"the input cannot be changed to {list(shape)}: {reason}") from error
    onnx.save(model, target)


def free_cells(path: Path) -> None:
    """Let a network for one image count the cells of its head, so that it runs in other sizes too.

    Paddle stores the cells of the size that it was exported in: `[-1, C, 2016]`. `[1, C, -1]` computes the same.
    """
    model = _constants_as_initializers(onnx.load(path))
    shapes = {name: tensor.shape for name, tensor in _graph(shape_inference.infer_shapes(model)).tensors.items()}
    constants = {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("Identity", "Cast") and node.input[0] in constants:  # as paddle2onnx writes whole numbers
            constants[node.output[0]] = constants[node.input[0]]
        elif node.op_type == "Reshape" and node.input[1] in constants:
            target = constants[node.input[1]].tolist()
            freed = _freed(shapes.get(node.input[0], ()), target)
            if freed != target:
                node.input[1] = f"{node.output[0]}.cells"
                model.graph.initializer.append(numpy_helper.from_array(np.array(freed), node.input[1]))
    read = {name for node in model.graph.node for name in node.input}
    kept = [value for value in model.graph.initializer if value.name in read]
    del model.graph.initializer[:], model.graph.value_info[:]
    model.graph.initializer.extend(kept)
    onnx.save(model, path)


def _freed(source: tuple[int, ...], target: list[int]) -> list[int]:
    """Return the target of a reshape from (1, C, H, W) to (1, C, H·W), or with C last, for any H and W.

    A first number that is not known, -1, is that of the images.
    """
    if len(source) == 4 and source[0] in (1, -1) and len(target) == 3:
        if target[1:] == [source[1], source[2] * source[3]]:
            return [1, target[1], -1]
        if target[1:] == [source[1] * source[2], source[3]]:
            return [1, -1, target[2]]
    return target


def mend_shared_norms(path: Path) -> None:
    """Put right what paddle2onnx makes of batch norms that share their statistics.

    In Paddle's older format such a layer writes its mean and variance back to where it read them, and the next one
    reads what it wrote; converted, it writes nothing, so that the next one reads a value that nobody makes.
    """
    model = onnx.load(path)
    same: dict[str, str] = {}
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = same.get(name, name)
        stem, dot, number = node.output[0].rpartition(".")
        if node.op_type == "BatchNormalization" and dot and number == "0":
            same |= {f"{stem}.1": node.input[3], f"{stem}.2": node.input[4]}
    onnx.save(model, path)


def name_outputs(path: Path, names: Sequence[str]) -> None:
    """Give a model's outputs other names, in their order.

    Raises:
        ModelError: the model is not sound.
    """
    model = onnx.load(path)
    renamed = dict(zip((value.name for value in model.graph.output), names, strict=True))
    for node in model.graph.node:
        for values in (node.input, node.output):
            for position, name in enumerate(values):
                values[position] = renamed.get(name, name)
    for value in (*model.graph.output, *model.graph.value_info):
        value.name = renamed.get(value.name, value.name)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{path.name} is not sound: {' '.join(str(error).split())[:200]}") from error
    onnx.save(model, path)


def _forget_shapes(model: Any) -> Any:
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.CopyFrom(_without_shape({output.name: output}, output.name))
    return model


def _graph(model: Any) -> Graph:
    constants = {value.name for value in model.graph.initializer}
    inputs = tuple(value.name for value in model.graph.input if value.name not in constants)
    tensors = {
        value.name: _tensor(value) for value in (*model.graph.input, *model.graph.value_info, *model.graph.output)
    }
    for value in model.graph.initializer:
        tensors[value.name] = Tensor(tuple(value.dims), _dtype(value.data_type))
    return Graph(
        inputs=inputs,
        input_names=inputs,
        outputs=tuple(value.name for value in model.graph.output),
        parameters=frozenset(constants),
        ops=tuple(_op(node) for node in model.graph.node),
        tensors=tensors,
    )


def _op(node: Any) -> Op:
    attributes: Mapping[str, Any] = {
        attribute.name: helper.get_attribute_value(attribute)
        for attribute in node.attribute
        if attribute.type not in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    }
    inputs = tuple(name for name in node.input if name)
    kind = {"Max": "maximum", "Min": "minimum"}.get(node.op_type, common_name(node.op_type))
    return Op(kind, node.op_type, inputs, tuple(node.output), attributes)


def _tensor(value: Any) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.dim_value > 0 else -1 for dim in kind.shape.dim)
    return Tensor(shape, _dtype(kind.elem_type))


def _dtype(number: int) -> str:
    try:
        return str(helper.tensor_dtype_to_np_dtype(number))
    except KeyError:
        return "unknown"


def _constants_as_initializers(model: Any) -> Any:
    """Move constants from nodes to where trained parameters are."""
    graph = model.graph
    rest = []
    for node in graph.node:
        value = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            constant = onnx.TensorProto()
            constant.CopyFrom(value)
            constant.name = node.output[0]
            graph.initializer.append(constant)
        else:
            rest.append(node)
    del graph.node[:]
    graph.node.extend(rest)
    return model


def _slice(nodes: list[Any], inputs: Sequence[str], outputs: Sequence[str]) -> list[Any]:
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if set(node.output) & needed - set(inputs) and common_name(node.op_type) not in CONTROL_FLOW:
            kept.append(node)
            needed |= set(node.input)
    return kept[::-1]


def _without_shape(known: Mapping[str, Any], name: str) -> Any:
    element = known[name].type.tensor_type.elem_type if name in known else onnx.TensorProto.FLOAT
    return helper.make_tensor_value_info(name, element, None)
