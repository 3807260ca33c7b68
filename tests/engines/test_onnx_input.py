"""Input shapes written into an ONNX model, read back by package onnx."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from shitu_edge.engines.onnx_input import with_input_shapes
from tests.networks import write_detector


def shapes_of(model: bytes) -> dict[str, list[int | str]]:
    graph = onnx.load_from_string(model).graph
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in graph.input
    }


def two_inputs() -> bytes:
    values = [
        helper.make_tensor_value_info("a", TensorProto.FLOAT, ["N", 3, 640, 640]),
        helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 2]),
    ]
    node = helper.make_node("Identity", ["a"], ["c"])
    made = helper.make_graph([node], "g", values, [helper.make_tensor_value_info("c", TensorProto.FLOAT, None)])
    content: bytes = helper.make_model(made).SerializeToString()
    return content


def test_only_the_named_input_changes_and_free_sides_stay_free() -> None:
    changed = with_input_shapes(two_inputs(), {"a": (1, 3, 448, 64)})
    assert shapes_of(changed) == {"a": ["N", 3, 448, 64], "b": [1, 2]}
    assert len(changed) == len(two_inputs()), "numbers are padded to the bytes of the old ones"
    assert with_input_shapes(changed, {"a": (1, 3, 640, 640)}) is not changed
    assert onnx.load_from_string(with_input_shapes(changed, {"a": (1, 3, 640, 640)})) == onnx.load_from_string(
        two_inputs()
    )


def test_a_number_that_needs_more_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="a side of 16384 pixels does not fit where the old one stands"):
        with_input_shapes(two_inputs(), {"a": (1, 3, 16384, 640)})


def test_the_rest_of_a_model_is_the_same(tmp_path: Path) -> None:
    write_detector(tmp_path / "detector.onnx")
    content = (tmp_path / "detector.onnx").read_bytes()
    changed = with_input_shapes(content, {"image": (1, 3, 256, 160)})
    differing = sum(one != other for one, other in zip(content, changed, strict=True))
    assert shapes_of(changed) == {"image": [1, 3, 256, 160]}
    assert differing == 2, "128 is 0x80 0x01, 256 is 0x80 0x02, 160 is 0xa0 0x01"
