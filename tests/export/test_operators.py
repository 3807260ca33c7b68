"""The table of what the converters know, and what of a graph it finds unknown."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from shitu_edge_export.graph import CONTROL_FLOW, Op, common_name
from shitu_edge_export.operators import find_unknown, known_operators

PADDLE, OPENVINO = "paddle2onnx", "OpenVINO"
BOTH = [
    "conv2d", "depthwise_conv2d", "batch_norm", "relu", "hard_swish", "hard_sigmoid", "sigmoid", "pool2d", "split",
    "elementwise_add", "elementwise_mul", "matmul_v2", "concat", "transpose2", "reshape2", "softmax", "multiclass_nms3",
    "nearest_interp_v2", "flatten_contiguous_range",
]  # fmt: skip


def op(kind: str) -> Op:
    return Op(common_name(kind), kind, (), (), {})


def table(converter: str) -> frozenset[str]:
    (names,) = (names for name, names in known_operators().items() if name.startswith(converter))
    return names


def test_both_converters_and_their_versions() -> None:
    assert [name.split()[0] for name in known_operators()] == [PADDLE, OPENVINO]
    assert all(len(name.split()) == 2 and name.split()[1][0].isdigit() for name in known_operators())
    assert all(len(names) > 100 for names in known_operators().values())


@pytest.mark.parametrize("converter", [PADDLE, OPENVINO])
def test_what_pp_shitu_s_networks_consist_of(converter: str) -> None:
    assert not [kind for kind in BOTH if common_name(kind) not in table(converter)]


def test_names_are_common_ones() -> None:
    """Each name is its own common name, so that it can be compared with an op's."""
    for names in known_operators().values():
        assert {common_name(name) for name in names if name} == {name for name in names if name}


def test_the_table_holds_names_of_ops_alone() -> None:
    content = json.loads(files("shitu_edge_export").joinpath("operators.json").read_text(encoding="utf-8"))
    assert not [name for names in content.values() for name in names if not name]


def test_unknown_ops_by_converter() -> None:
    found = find_unknown(map(op, ["conv2d", "viterbi_decode", "no_such_op", "pd_op.no_such_op", "no_such_op", "relu"]))
    assert all(ops == ("no_such_op", "pd_op.no_such_op", "viterbi_decode") for ops in found.values())
    assert list(found) == list(known_operators())
    assert all(ops == () for ops in find_unknown([]).values())


@pytest.mark.parametrize("kind", sorted(CONTROL_FLOW))
def test_control_flow_is_never_known(kind: str) -> None:
    assert all(ops == (kind,) for ops in find_unknown([op("relu"), op(kind)]).values())


@pytest.mark.parametrize("kind", ["phi", "builtin.combine", "cf.yield", "feed", "fetch", "builtin.parameter"])
def test_what_only_wires_values_is_always_known(kind: str) -> None:
    assert not any(find_unknown([op(kind)]).values())
