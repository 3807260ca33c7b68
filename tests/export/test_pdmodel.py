"""`.pdmodel`: programs built op by op; what a part computes, on OpenVINO, against the same network in ONNX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino as ov
import pytest
from shitu_edge_export.errors import ModelError
from shitu_edge_export.graph import Graph, Tensor
from shitu_edge_export.kinds import recognize
from shitu_edge_export.paddle_proto import ATTRIBUTE_FIELDS, DENSE_TENSOR, DTYPES, ProgramDesc
from shitu_edge_export.pdmodel import read_pdmodel, read_pdmodel_graph

from .programs import Pico, add_paddle_op, extractor, to_onnx, to_pdmodel, weights_file, write


def program(*variables: tuple[str, tuple[int, ...]], persistable: str = "") -> tuple[Any, Any]:
    """Return a program whose block 0 has these float32 tensors, and the block."""
    made = ProgramDesc()
    block = made.blocks.add(idx=0, parent_idx=-1)
    for name, shape in variables:
        add_tensor(block, name, shape, persistable=name in persistable.split())
    return made, block


def add_tensor(block: Any, name: str, shape: tuple[int, ...], dtype: int = 5, persistable: bool = False) -> None:
    variable = block.vars.add(name=name, persistable=persistable)
    variable.type.type = DENSE_TENSOR
    variable.type.dense_tensor.tensor.data_type = dtype
    variable.type.dense_tensor.tensor.dims.extend(shape)


def feed(block: Any, name: str, column: int) -> None:
    add_paddle_op(block, "feed", {"X": ["feed"]}, {"Out": [name]}, col=column)


def fetch(block: Any, name: str, column: int) -> None:
    add_paddle_op(block, "fetch", {"X": [name]}, {"Out": ["fetch"]}, col=column)


def read(made: Any, folder: Path) -> Graph:
    path = folder / "inference.pdmodel"
    path.write_bytes(made.SerializeToString())
    return read_pdmodel_graph(path)


def test_columns_order_inputs_and_outputs(tmp_path: Path) -> None:
    made, block = program(("a", (-1, 2)), ("b", (-1, 3)), ("c", (4,)))
    for name, column in (("c", 2), ("a", 0), ("b", 1)):
        feed(block, name, column)
    add_paddle_op(block, "relu", {"X": ["a"]}, {"Out": ["a2"]})
    for name, column in (("b", 1), ("a2", 0)):
        fetch(block, name, column)
    graph = read(made, tmp_path)
    assert graph.inputs == graph.input_names == ("a", "b", "c")
    assert graph.outputs == ("a2", "b")
    assert [one.type for one in graph.ops] == ["relu"], "feeds and fetches are no ops"


def test_attributes_of_every_type(tmp_path: Path) -> None:
    made, block = program(("x", (1,)))
    op = block.ops.add(type="relu")
    values = {
        "i": -3, "f": 0.5, "s": "text", "ints": [1, -2], "floats": [0.25], "strings": ["a", "b"], "b": True,
        "bools": [True, False], "block_idx": 1, "l": 2**40, "blocks_idx": [1, 2], "longs": [2**40], "float64s": [0.1],
        "var_name": "x", "vars_name": ["x", "y"], "float64": 0.1,
    }  # fmt: skip
    for number, name in enumerate(ATTRIBUTE_FIELDS):
        op.attrs.add(name=f"the {name}", type=number, **{name: values[name]})
    op.attrs.add(name="of the future", type=99)
    op.attrs.add(name="op_role", type=0, i=1)
    op.attrs.add(name="use_cudnn", type=6, b=True)
    found = dict(read(made, tmp_path).ops[0].attributes)
    assert found == {f"the {name}": tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    assert len(ATTRIBUTE_FIELDS) == len(values) == 16


def test_data_come_before_parameters_and_side_results_are_left_out(tmp_path: Path) -> None:
    made, block = program(("x", (1,)))
    slots = {"Variance": ["v"], "Scale": ["s"], "Mean": ["m"], "Bias": ["b"], "X": ["x"]}
    results = {"MeanOut": ["m"], "SavedMean": ["sm"], "VarianceOut": ["v"], "SavedVariance": ["sv"], "Y": ["y"]}
    add_paddle_op(block, "batch_norm", slots, results)
    add_paddle_op(
        block, "multiclass_nms3", {"Scores": ["s"], "RoisNum": [], "BBoxes": ["b"]}, {"Index": ["i"], "Out": ["o"]}
    )
    add_paddle_op(block, "conv2d", {"Filter": ["w"], "Input": ["x"], "Bias": ["c"]}, {"Output": ["z"]})
    norm, suppression, convolution = read(made, tmp_path).ops
    assert norm.inputs[0] == "x"
    assert norm.outputs == ("y",)
    assert suppression.inputs == ("b", "s")
    assert convolution.inputs[:2] == ("x", "w") or convolution.inputs == ("x", "c", "w")


@pytest.mark.parametrize(("number", "name"), DTYPES.items())
def test_dtypes(tmp_path: Path, number: int, name: str) -> None:
    made, block = program()
    add_tensor(block, "x", (2, -1), number)
    add_paddle_op(block, "relu", {"X": ["x"]}, {"Out": ["y"]})
    assert read(made, tmp_path).tensors["x"] == Tensor((2, -1), name)


def test_only_tensors_are_tensors(tmp_path: Path) -> None:
    made, block = program(("x", (1,)))
    for name, kind in (("feed", 9), ("fetch", 10), ("scopes", 11), ("array", 13)):
        block.vars.add(name=name, persistable=True).type.type = kind
    add_paddle_op(block, "relu", {"X": ["x"]}, {"Out": ["y"]})
    graph = read(made, tmp_path)
    assert set(graph.tensors) == {"x"}
    assert not graph.parameters


def test_blocks_of_loops_and_branches_stand_beside_the_rest(tmp_path: Path) -> None:
    """What a loop writes has a maker outside and one inside."""
    made, block = program(("x", (1,)), ("y", (1,)))
    feed(block, "x", 0)
    add_paddle_op(block, "assign", {"X": ["x"]}, {"Out": ["y"]})
    inner = made.blocks.add(idx=1, parent_idx=0)
    add_tensor(inner, "t", (5,))
    add_paddle_op(inner, "relu", {"X": ["y"]}, {"Out": ["t"]})
    branch = made.blocks.add(idx=2, parent_idx=1)
    add_paddle_op(branch, "sigmoid", {"X": ["t"]}, {"Out": ["y"]})
    add_paddle_op(inner, "conditional_block", {"Cond": ["t"]}, {"Out": ["y"]}, sub_block=2)
    add_paddle_op(block, "while", {"X": ["x"]}, {"Out": ["y"], "StepScopes": ["s"]}, sub_block=1)
    fetch(block, "y", 0)
    graph = read(made, tmp_path)
    assert [(one.kind, one.block) for one in graph.ops] == [
        ("assign", 0), ("while", 0), ("relu", 1), ("conditional_block", 1), ("sigmoid", 2),
    ]  # fmt: skip
    assert {one.kind for one in graph.makers["y"]} == {"assign", "while", "conditional_block", "sigmoid"}
    assert {one.kind for one in graph.upstream(("y",))} == {"assign", "relu", "sigmoid"}
    assert graph.tensors["t"].shape == (5,), "of inner blocks too"
    assert graph.outer == {"y"}


def test_a_part_leaves_loops_behind(tmp_path: Path) -> None:
    net, scores, distances = Pico(scores="sigmoid", loop=True, top_k=20).build()
    path = write(net, tmp_path, "pdmodel")
    model = read_pdmodel(path, path.with_suffix(".pdiparams"))
    part = ProgramDesc()
    part.ParseFromString(model.write_part(tmp_path / "part", ["image"], scores + distances).read_bytes())
    (block,) = part.blocks
    kinds = [op.type for op in block.ops]
    assert not {"while", "conditional_block", "select_input", "multiclass_nms3", "assign"} & set(kinds)
    assert kinds[0] == "feed"
    assert kinds[-len(scores + distances) :] == ["fetch"] * len(scores + distances)
    named = {name for op in block.ops for slot in (*op.inputs, *op.outputs) for name in slot.arguments}
    declared = {variable.name for variable in block.vars}
    assert declared <= named
    assert {name for name in named if not name.endswith(".x")} <= declared | {"feed", "fetch"}, "all are declared"
    attributes = {attribute.name for op in block.ops for attribute in op.attrs}
    assert "op_callstack" in attributes, "what is not read is carried along"


def run_onnx(content: bytes, feeds: dict[str, Any]) -> list[Any]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, feeds)
    return found


@pytest.mark.parametrize("scores", ["sigmoid", "aligned"])
def test_a_part_computes_the_same(tmp_path: Path, scores: Any) -> None:
    """The part of a post-processed graph on OpenVINO's Paddle frontend, and the head alone in ONNX on onnxruntime."""
    pico = Pico(scores=scores, loop=True, top_k=20, clip=True)
    net, head, distances = pico.build()
    path = write(net, tmp_path, "pdmodel")
    model = read_pdmodel(path, path.with_suffix(".pdiparams"))
    part = model.write_part(tmp_path / "part", ["image"], head + distances)
    compiled = ov.Core().compile_model(str(part), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    image = np.random.default_rng(3).normal(size=(1, 3, 64, 64)).astype(np.float32)
    found = list(compiled([image]).values())
    plain = replace(net, nodes=[n for n in net.nodes if n.kind not in ("while", "create_array")][:-3], arrays=set())
    plain.outputs = list(head + distances)
    plain.inputs = {"image": (1, 3, 64, 64)}
    plain.shapes = {name: shape for name, shape in net.shapes.items() if name != "chosen"}
    expected = run_onnx(to_onnx(plain).SerializeToString(), {"image": image})
    assert len(found) == len(expected) == 6
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_program_that_normalizes_through(tmp_path: Path) -> None:
    """The whole of a small extractor, batch norms and all, as a part of itself."""
    net = extractor("V2")
    path = write(net, tmp_path, "pdmodel")
    part = read_pdmodel(path, path.with_suffix(".pdiparams")).write_part(tmp_path / "part", ["x"], net.outputs)
    image = np.random.default_rng(3).normal(size=(1, 3, 16, 16)).astype(np.float32)
    compiled = ov.Core().compile_model(str(part), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (expected,) = run_onnx(to_onnx(net).SerializeToString(), {"x": image})
    np.testing.assert_allclose(compiled([image])[0], expected, atol=1e-5)


def test_parameters_that_nothing_uses_are_read_past(tmp_path: Path) -> None:
    net = extractor("V1")
    net.weight(3, 2, name="a_relic")
    path = write(net, tmp_path, "pdmodel")
    model = read_pdmodel(path, path.with_suffix(".pdiparams"))
    assert "a_relic" in model.graph.parameters
    part = model.write_part(tmp_path / "part", ["x"], net.outputs)
    del net.constants["a_relic"]
    assert part.with_suffix(".pdiparams").read_bytes() == weights_file(net.constants)


def test_no_operations(tmp_path: Path) -> None:
    for made in (ProgramDesc(), program(("x", (1,)))[0]):
        with pytest.raises(ModelError, match="no Paddle program: it holds no operations"):
            read(made, tmp_path)


@pytest.mark.parametrize("kind", ["feed", "fetch"])
def test_a_feed_of_nothing(tmp_path: Path, kind: str) -> None:
    made, block = program(("x", (1,)))
    add_paddle_op(block, kind, {}, {}, col=0)
    with pytest.raises(ModelError):
        read(made, tmp_path)


def test_columns_that_are_no_numbers(tmp_path: Path) -> None:
    made, block = program(("x", (1,)), ("y", (1,)))
    feed(block, "x", 0)
    add_paddle_op(block, "feed", {"X": ["feed"]}, {"Out": ["y"]}, col="first")
    add_paddle_op(block, "relu", {"X": ["x"]}, {"Out": ["z"]})
    with pytest.raises(ModelError):
        read(made, tmp_path)


@pytest.mark.parametrize("text", [b"conv2d", b"strides"])
def test_text_that_is_no_utf_8(tmp_path: Path, text: bytes) -> None:
    content = to_pdmodel(Pico().build()[0])
    assert text in content
    path = tmp_path / "inference.pdmodel"
    path.write_bytes(content.replace(text, text[:-1] + b"\xff"))
    with pytest.raises(ModelError, match="damaged"):
        recognize_all(path)


def recognize_all(path: Path) -> None:
    """Read a graph and take it for something, as `inspect` does."""
    graph = read_pdmodel_graph(path)

    class Weightless:
        def __init__(self) -> None:
            self.graph = graph

        def array(self, name: str) -> Any:
            return np.arange(int(np.prod(graph.shape(name))))

    recognize(Weightless())
