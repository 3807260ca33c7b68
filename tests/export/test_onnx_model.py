"""ONNX: read, cut, resized and renamed; what is written is run and compared with what it came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference
from shitu_edge_export.errors import ModelError
from shitu_edge_export.graph import Tensor
from shitu_edge_export.onnx_model import free_cells, name_outputs, read_onnx, resize_input

from .programs import Net, Pico, extractor, to_onnx, write, write_and_open

SIDE = 64


def save(
    path: Path,
    nodes: Sequence[Any],
    inputs: dict[str, Sequence[int | str]],
    outputs: Sequence[str],
    constants: dict[str, Any] | None = None,
    opset: int = 14,
) -> Path:
    """Write a model of float32 inputs; shapes of outputs are inferred."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(shape_inference.infer_shapes(model), path)
    return path


def run(path: Path, **feeds: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, feeds)
    return found


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    graph = read_onnx(path).graph
    return {name: graph.shape(name) for name in (*graph.inputs, *graph.outputs)}


def image(side: int = SIDE, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(1, 3, side, side)).astype(np.float32)


def test_constants_in_nodes_are_parameters(tmp_path: Path) -> None:
    constant = helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.array([2, 3], np.float32)))
    nodes = [constant, helper.make_node("Mul", ["x", "two"], ["a"]), helper.make_node("Add", ["a", "one"], ["y"])]
    model = read_onnx(save(tmp_path / "m.onnx", nodes, {"x": ["N", 2]}, ["y"], {"one": np.float32(1)}))
    assert model.graph.parameters == {"two", "one"}
    assert model.array("two").tolist() == [2, 3]
    assert [op.kind for op in model.graph.ops] == ["multiply", "add"]
    assert model.graph.tensors["two"] == Tensor((2,), "float32")
    assert model.graph.tensors["y"] == Tensor((-1, 2), "float32"), "inferred"


def test_a_constant_written_as_numbers(tmp_path: Path) -> None:
    """`value_ints` and `value_float` are nodes still, and the model stays as good."""
    nodes = [
        helper.make_node("Constant", [], ["shape"], value_ints=[2, 1]),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    model = read_onnx(save(tmp_path / "m.onnx", nodes, {"x": [1, 2]}, ["y"]))
    assert model.graph.outputs == ("y",)
    part = model.write_part(tmp_path / "part", ["x"], ["y"])
    assert run(part, x=np.zeros((1, 2), np.float32))[0].shape == (2, 1)


def test_initializers_that_are_inputs_too(tmp_path: Path) -> None:
    """Old exporters list weights among the inputs; nobody feeds them."""
    nodes = [helper.make_node("Mul", ["x", "w"], ["y"])]
    path = save(tmp_path / "m.onnx", nodes, {"x": [1, 2], "w": [2]}, ["y"], {"w": np.array([1, 2], np.float32)})
    graph = read_onnx(path).graph
    assert graph.inputs == ("x",)
    assert graph.parameters == {"w"}
    part = read_onnx(path).write_part(tmp_path / "part", ["x"], ["y"])
    assert run(part, x=np.ones((1, 2), np.float32))[0].tolist() == [[1, 2]]


def test_dtypes_and_optional_inputs(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Clip", ["x", "", "top"], ["y"]),
        helper.make_node("Cast", ["y"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("ArgMax", ["y"], ["best"], axis=1),
    ]
    graph = read_onnx(save(tmp_path / "m.onnx", nodes, {"x": [1, 2]}, ["y"], {"top": np.float32(1)})).graph
    assert graph.ops[0].inputs == ("x", "top"), "an empty name is no input"
    assert [graph.tensors[name].dtype for name in ("y", "half", "best")] == ["float32", "float16", "int64"]
    assert graph.ops[2].attributes["axis"] == 1


def test_a_branch_is_not_looked_into(tmp_path: Path) -> None:
    branches = [
        helper.make_graph(
            [helper.make_node(kind, ["x"], [kind])], kind, [], [helper.make_tensor_value_info(kind, 1, [2])]
        )
        for kind in ("Relu", "Exp")
    ]
    nodes = [
        helper.make_node("Cast", ["x0"], ["c"], to=TensorProto.BOOL),
        helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    path = save(tmp_path / "m.onnx", nodes, {"x": [2], "x0": []}, ["y"])
    graph = read_onnx(path).graph
    assert [op.kind for op in graph.ops] == ["cast", "if"]
    assert not graph.ops[1].attributes
    assert list(graph.upstream(("y",))) == []


@pytest.mark.parametrize("scores", ["sigmoid", "flat", "aligned", "quality"])
def test_a_part_computes_the_same(tmp_path: Path, scores: Any) -> None:
    """The head of a graph that suppresses, against the graph itself with these values fetched as well."""
    pico = Pico(scores=scores, clip=True, batch=1)
    net, head, distances = pico.build()
    part = write_and_open(net, tmp_path, "onnx").write_part(tmp_path / "part", ["image"], head + distances)
    net.outputs = list(head + distances)
    onnx.save(to_onnx(net), tmp_path / "whole.onnx")
    found, expected = run(part, image=image()), run(tmp_path / "whole.onnx", image=image())
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)
    kinds = {node.op_type for node in onnx.load(part).graph.node}
    assert not kinds & {"NonMaxSuppression", "MatMul", "Clip"}
    onnx.checker.check_model(onnx.load(part), full_check=True)


def test_the_batch_of_a_part_is_one(tmp_path: Path) -> None:
    net, head, distances = Pico(batch=-1).build()
    part = write_and_open(net, tmp_path, "onnx").write_part(tmp_path / "part", ["image"], head + distances)
    assert all(shape[0] == 1 for shape in shapes(part).values())
    assert shapes(part)["image"] == (1, 3, SIDE, SIDE)


@pytest.mark.parametrize("side", [32, 96, 160])
def test_another_size(tmp_path: Path, side: int) -> None:
    """A fully convolutional network answers at another size what it would if it had been exported so."""
    net, _, _ = Pico(end="raw", grids=True, scores="sigmoid", batch=1).build()
    path = write(net, tmp_path, "onnx")
    resize_input(path, tmp_path / "resized.onnx", "image", (1, 3, side, side))
    other, _, _ = Pico(side=side, end="raw", grids=True, scores="sigmoid", batch=1).build()
    onnx.save(to_onnx(other), tmp_path / "other.onnx")
    assert list(shapes(tmp_path / "resized.onnx").values()) == list(shapes(tmp_path / "other.onnx").values())
    found = run(tmp_path / "resized.onnx", image=image(side))
    expected = run(tmp_path / "other.onnx", image=image(side))
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_free_batch(tmp_path: Path) -> None:
    path = write(extractor("V1", batch=1), tmp_path, "onnx")
    resize_input(path, path, "x", (-1, 3, 16, 16))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    images = np.concatenate([image(16, seed) for seed in range(3)])
    (rows,) = session.run(None, {"x": images})
    single = np.concatenate([session.run(None, {"x": images[n : n + 1]})[0] for n in range(3)])
    np.testing.assert_allclose(rows, single, atol=1e-6)
    assert session.get_inputs()[0].shape == ["N", 3, 16, 16]


def test_the_same_size_changes_nothing(tmp_path: Path) -> None:
    path = write(extractor("V2", batch=1), tmp_path, "onnx")
    before = onnx.load(path)
    resize_input(path, tmp_path / "same.onnx", "x", (1, 3, 16, 16))
    assert onnx.load(tmp_path / "same.onnx") == before


def test_a_size_that_stands_elsewhere_too(tmp_path: Path) -> None:
    """Anchors of the old grid do not fit the new one; the message says which shape was asked for."""
    nodes = [helper.make_node("AveragePool", ["x"], ["a"], kernel_shape=[8, 8], strides=[8, 8])]
    nodes.append(helper.make_node("Add", ["a", "anchors"], ["y"]))
    path = save(tmp_path / "m.onnx", nodes, {"x": [1, 3, 64, 64]}, ["y"], {"anchors": np.zeros((8, 8), np.float32)})
    with pytest.raises(ModelError, match=r"the input cannot be changed to \[1, 3, 96, 96\]: ") as caught:
        resize_input(path, tmp_path / "resized.onnx", "x", (1, 3, 96, 96))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "resized.onnx").exists()


def head(path: Path, shape: Sequence[int], target: Sequence[int]) -> Path:
    """Write a network that halves an image and reshapes it to a fixed size, as Paddle exports a detector's head."""
    nodes = [helper.make_node("AveragePool", ["x"], ["cells"], kernel_shape=[2, 2], strides=[2, 2])]
    nodes.append(helper.make_node("Reshape", ["cells", "target"], ["y"]))
    return save(path, nodes, {"x": shape}, ["y"], {"target": np.array(target)})


@pytest.mark.parametrize(
    ("shape", "target", "freed", "other", "cells"),
    [
        ((1, 3, 32, 64), [-1, 3, 512], [1, 3, -1], (1, 3, 48, 48), (1, 3, 576)),
        ((1, 3, 32, 64), [1, 3, 512], [1, 3, -1], (1, 3, 48, 48), (1, 3, 576)),
        ((1, 16, 32, 6), [-1, 256, 3], [1, -1, 3], (1, 32, 32, 6), (1, 512, 3)),
    ],
)
def test_free_cells_counts_cells(
    tmp_path: Path,
    shape: tuple[int, ...],
    target: list[int],
    freed: list[int],
    other: tuple[int, ...],
    cells: tuple[int, ...],
) -> None:
    path = head(tmp_path / "m.onnx", shape, target)
    images = [np.random.default_rng(0).normal(size=size).astype(np.float32) for size in (shape, other)]
    before = run(path, x=images[0])
    free_cells(path)
    [constant] = onnx.load(path).graph.initializer
    assert numpy_helper.to_array(constant).tolist() == freed
    assert np.array_equal(run(path, x=images[0]), before)
    resize_input(path, path, "x", other)
    assert run(path, x=images[1])[0].shape == cells


def test_free_cells_finds_targets_as_paddle2onnx_writes_them(tmp_path: Path) -> None:
    """Behind casts, and of images whose number is not known."""
    nodes = [
        helper.make_node("AveragePool", ["x"], ["cells"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Constant", [], ["number"], value=numpy_helper.from_array(np.array([-1, 3, 512]))),
        helper.make_node("Identity", ["number"], ["same"]),
        helper.make_node("Cast", ["same"], ["target"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["cells", "target"], ["y"]),
    ]
    path = save(tmp_path / "m.onnx", nodes, {"x": ["n", 3, 32, 64]}, ["y"], {})
    free_cells(path)
    resize_input(path, path, "x", (1, 3, 48, 48))
    assert run(path, x=np.zeros((1, 3, 48, 48), np.float32))[0].shape == (1, 3, 576)


@pytest.mark.parametrize(
    ("shape", "target"),
    [((2, 3, 32, 64), [-1, 3, 512]), ((1, 4, 32, 64), [-1, 2, 512]), ((1, 4, 32, 64), [2, 2, 512])],
    ids=["several images", "split channels", "as several images"],
)
def test_free_cells_leaves_other_reshapes(tmp_path: Path, shape: tuple[int, ...], target: list[int]) -> None:
    path = head(tmp_path / "m.onnx", shape, target)
    free_cells(path)
    assert numpy_helper.to_array(onnx.load(path).graph.initializer[0]).tolist() == target


def test_outputs_get_names(tmp_path: Path) -> None:
    net, _, _ = Pico(end="raw", batch=1).build()
    path = write(net, tmp_path, "onnx")
    expected = run(path, image=image())
    names = [f"output_{number}" for number in range(6)]
    name_outputs(path, names)
    model = onnx.load(path)
    assert [value.name for value in model.graph.output] == names
    assert all(np.array_equal(one, two) for one, two in zip(run(path, image=image()), expected, strict=True))


def test_an_output_that_something_else_uses_is_renamed_everywhere(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Exp", ["a"], ["b"])]
    path = save(tmp_path / "m.onnx", nodes, {"x": [2]}, ["a", "b"])
    name_outputs(path, ["first", "second"])
    found = run(path, x=np.array([-1, 1], np.float32))
    assert found[0].tolist() == [0, 1]
    assert found[1].tolist() == pytest.approx([1, np.e])


def test_outputs_can_change_names_with_each_other(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
    path = save(tmp_path / "m.onnx", nodes, {"x": [1]}, ["a", "b"])
    name_outputs(path, ["b", "a"])
    assert [value.tolist() for value in run(path, x=np.array([2], np.float32))] == [[2], [-2]]


def test_as_many_names_as_outputs(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [helper.make_node("Relu", ["x"], ["a"])], {"x": [1]}, ["a"])
    with pytest.raises(ValueError, match="zip"):
        name_outputs(path, ["a", "b"])


def external(folder: Path) -> Path:
    path = write(extractor("V1"), folder, "onnx")
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_weights_in_a_file_beside(tmp_path: Path) -> None:
    """Large models keep them so; a part has them inside."""
    path = external(tmp_path)
    model = read_onnx(path)
    net = extractor("V1")
    assert all(np.array_equal(model.array(name), value) for name, value in net.constants.items())
    part = model.write_part(tmp_path / "part", ["x"], net.outputs)
    expected = run(path, x=image(16))
    (tmp_path / "weights.bin").unlink()
    assert np.array_equal(run(part, x=image(16))[0], expected[0])


def test_weights_beside_that_are_missing(tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx: ") as caught:
        read_onnx(path)
    assert "None" not in str(caught.value)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    """A value that nothing makes, a cycle, an op that does not exist."""
    wrong = [
        [helper.make_node("Relu", ["nothing"], ["y"])],
        [helper.make_node("Add", ["x", "y"], ["y"])],
        [helper.make_node("Ralu", ["x"], ["y"])],
    ]
    for nodes in wrong:
        path = save(tmp_path / "m.onnx", nodes, {"x": [1]}, ["y"])
        with pytest.raises(ModelError, match=r"m\.onnx: damaged, or no ONNX model: \S+") as caught:
            read_onnx(path)
        assert "\n" not in str(caught.value)


def test_unknown_names_are_not_needed(tmp_path: Path) -> None:
    """A network without any parameters at all."""
    net = Net()
    net.input("x", 1, 3, 4, 4)
    net.outputs = [net.same("relu", "x")]
    model = write_and_open(net, tmp_path, "onnx")
    assert not model.graph.parameters
    assert run(model.write_part(tmp_path / "part", ["x"], net.outputs), x=image(4))[0].shape == (1, 3, 4, 4)
