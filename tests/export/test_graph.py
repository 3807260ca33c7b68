"""Graphs: op names across formats, what is upstream; the same network read from each format, cut, and damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from shitu_edge_export.errors import ModelError
from shitu_edge_export.graph import Graph, Op, Tensor, common_name
from shitu_edge_export.source import open_model, read_graph

from .programs import FORMATS, PADDLE_FORMATS, Format, Net, Node, Pico, called, extractor, write, write_and_open

CONSTANTS_OF_PIR = {"full", "full_int_array", "combine"}
"""Ops that `inference.json` has where the other formats have attributes."""


@pytest.mark.parametrize(
    ("spellings", "expected"),
    [
        ("transpose2 pd_op.transpose Transpose transpose", "transpose"),
        ("elementwise_add pd_op.add Add pd_op.add_", "add"),
        ("elementwise_mul pd_op.multiply Mul", "multiply"),
        ("elementwise_sub pd_op.subtract Sub", "subtract"),
        ("elementwise_div pd_op.divide Div", "divide"),
        ("conv2d depthwise_conv2d pd_op.depthwise_conv2d Conv", "conv2d"),
        ("pool2d pd_op.pool2d GlobalAveragePool", "pool2d"),
        ("hard_swish pd_op.hardswish HardSwish", "hardswish"),
        ("hard_sigmoid pd_op.hardsigmoid HardSigmoid", "hardsigmoid"),
        ("reshape2 pd_op.reshape Reshape", "reshape"),
        ("squeeze2 unsqueeze2", None),
        ("flatten_contiguous_range pd_op.flatten Flatten", "flatten"),
        ("matmul_v2 matmul pd_op.matmul MatMul Gemm", "matmul"),
        ("top_k top_k_v2 pd_op.topk TopK", "topk"),
        ("batch_norm pd_op.batch_norm_ BatchNormalization", "batch_norm"),
        ("multiclass_nms3 multiclass_nms pd_op.multiclass_nms3 matrix_nms NonMaxSuppression", "nms"),
        ("nearest_interp_v2 pd_op.nearest_interp", "nearest_interp"),
        ("write_to_array pd_op.array_write_", "array_write"),
        ("tensor_array_to_tensor pd_op.array_to_tensor", "array_to_tensor"),
        ("reduce_max pd_op.max ReduceMax", None),
        ("while pd_op.while", "while"),
        ("conditional_block", "conditional_block"),
        ("conv3d Conv3d", "conv3d"),
        ("Sigmoid sigmoid pd_op.sigmoid pd_op.sigmoid_", "sigmoid"),
        ("range pd_op.arange Range", "arange"),
        ("fill_constant pd_op.full", "full"),
        ("split pd_op.split_with_num Split", "split"),
    ],
    ids=lambda value: str(value).split()[0],
)
def test_one_name_for_all_spellings(spellings: str, expected: str | None) -> None:
    if expected:
        assert {common_name(spelling) for spelling in spellings.split()} == {expected}
    else:
        assert all(
            "2" not in common_name(spelling) and "v2" not in common_name(spelling) for spelling in spellings.split()
        )


def op(kind: str, inputs: str, outputs: str, block: int = 0) -> Op:
    return Op(kind, kind, tuple(inputs.split()), tuple(outputs.split()), {}, block)


def graph_of(*ops: Op, inputs: str = "x", outputs: str = "y", parameters: str = "") -> Graph:
    names = tuple(inputs.split())
    return Graph(
        names, names, tuple(outputs.split()), frozenset(parameters.split()), ops, {"x": Tensor((-1, 3), "float32")}
    )


def test_what_a_graph_says() -> None:
    loop = op("while", "c", "y steps")
    ops = (op("relu", "x", "a"), loop, op("assign", "a", "y"), op("assign", "b", "y", 1), op("phi", "y", "z", 1))
    graph = graph_of(*ops)
    assert graph.makers["y"] == (loop, ops[2], ops[3])
    assert graph.makers["a"] == (ops[0],)
    assert graph.outer == {"a", "y"}, "not what a loop alone makes"
    assert (graph.shape("x"), graph.shape("a")) == ((-1, 3), ())
    assert graph.count_types() == {0: Counter(relu=1, assign=1) + Counter({"while": 1}), 1: Counter(assign=1)}


def test_upstream_by_hand() -> None:
    ops = [
        op("conv2d", "x w", "a"),
        op("relu", "a", "b"),
        op("sigmoid", "a", "unused"),
        op("while", "b", "c"),
        op("assign", "b", "c", 1),
        op("add", "c b", "y"),
    ]
    graph = graph_of(*ops, parameters="w")
    found = list(graph.upstream(("y",)))
    assert {one.kind for one in found} == {"add", "assign", "relu", "conv2d"}, "the loop's content instead of the loop"
    assert len(found) == len({id(one) for one in found}) == 4
    assert list(graph.upstream(())) == []
    assert [one.kind for one in graph.upstream(("a", "a"))] == ["conv2d"]


def test_upstream_of_a_value_that_depends_on_itself() -> None:
    graph = graph_of(op("add", "x y", "y", 1), op("assign", "y", "x", 1))
    assert Counter(one.kind for one in graph.upstream(("y",))) == Counter(add=1, assign=1)


def plain_needed(net: Net, outputs: Sequence[str], stop: Sequence[str] = ()) -> list[Node]:
    """Return the operations that values need, by following names until nothing is added."""
    needed, kept, grown = set(outputs), [], True
    while grown:
        grown = False
        for node in net.every_node():
            if node not in kept and set(node.outputs) & (needed - set(stop)):
                kept.append(node)
                needed |= set(node.inputs)
                grown = True
    return kept


NETWORKS = {
    "raw head": Pico(end="raw", batch=1),
    "post-processed": Pico(scores="aligned"),
    "best anchors alone": Pico(scores="sigmoid", clip=True, top_k=20),
    "a loop and branches": Pico(scores="sigmoid", loop=True, clip=True, top_k=20),
    "quality of bins": Pico(scores="quality", end="boxes"),
}
CASES = [
    pytest.param(pico, file_format, id=f"{name}, {file_format}")
    for name, pico in NETWORKS.items()
    for file_format in FORMATS
    if not (pico.loop and file_format == "onnx")
]


@pytest.mark.parametrize(("pico", "file_format"), CASES)
def test_every_format_says_the_same(tmp_path: Path, pico: Pico, file_format: Format) -> None:
    net, _, _ = pico.build()
    model = write_and_open(net, tmp_path, file_format)
    graph, name = model.graph, called(net, file_format)
    assert graph.inputs == tuple(map(name, net.inputs))
    assert graph.input_names == tuple(net.inputs), "what an engine calls them, though values may have numbers alone"
    if pico.end != "nms":
        assert graph.outputs == tuple(map(name, net.outputs))
    values = {name(constant): array for constant, array in net.constants.items()}
    assert set(values) <= graph.parameters
    assert all(np.array_equal(model.array(key), array) for key, array in values.items())
    found = Counter(
        one.kind for one in graph.ops if one.kind not in {"phi", "assign", "select_input"} | CONSTANTS_OF_PIR
    )
    expected = Counter(node.kind for node in net.every_node())
    if file_format == "pdmodel":
        expected["conditional_block"] += 2 * expected.pop("if", 0)
        expected.pop("create_array", 0)
        found.pop("array_length", 0)
    expected["nms"] += expected.pop("multiclass_nms3", 0)
    found["max"] += found.pop("reducemax", 0)
    assert +found == +Counter({common_name(kind): count for kind, count in expected.items()})


@pytest.mark.parametrize(("pico", "file_format"), CASES)
def test_shapes_and_wiring(tmp_path: Path, pico: Pico, file_format: Format) -> None:
    net, _, _ = pico.build()
    graph, name = write_and_open(net, tmp_path, file_format).graph, called(net, file_format)
    by_output = {one.outputs[0]: one for one in graph.ops}
    for node in net.nodes:
        if node.kind in ("conv2d", "sigmoid", "transpose", "softmax", "matmul", "batch_norm", "add", "multiply"):
            one = by_output[name(node.outputs[0])]
            assert one.inputs[0] == name(node.inputs[0]), "data come first"
            assert set(one.inputs) == set(map(name, node.inputs))
            assert graph.shape(one.outputs[0]) == net.shapes[node.outputs[0]]
    for constant, array in net.constants.items():
        assert graph.tensors[name(constant)] == Tensor(array.shape, "float32")


PARTS = [
    pytest.param(pico, file_format, id=f"{name}, {file_format}")
    for name, pico in NETWORKS.items()
    if pico.end != "raw"
    for file_format in FORMATS
    if not (pico.loop and file_format == "onnx")
]


@pytest.mark.parametrize(("pico", "file_format"), PARTS)
def test_part_is_what_its_outputs_need(tmp_path: Path, pico: Pico, file_format: Format) -> None:
    net, scores, distances = pico.build()
    model = write_and_open(net, tmp_path, file_format)
    name = called(net, file_format)
    ends = [name(value) for value in scores + distances]
    path = model.write_part(tmp_path / "deep" / "part", [name("image")], ends)
    assert path.parent == tmp_path / "deep" / "part"
    part = open_model(path)
    needed = plain_needed(net, scores + distances)
    found = Counter(one.kind for one in part.graph.ops if one.kind not in CONSTANTS_OF_PIR)
    assert found == Counter(common_name(node.kind) for node in needed)
    assert (part.graph.inputs, part.graph.input_names) == ((name("image"),), ("image",))
    assert part.graph.outputs == tuple(ends), "in the order that is asked for"
    used = {value for node in needed for value in node.inputs} & set(net.constants)
    kept = {name(value) for value in used}
    assert {one for one in part.graph.parameters if not one.startswith("constant_")} == kept
    assert all(np.array_equal(part.array(name(value)), net.constants[value]) for value in used)
    assert part.graph.shape(name("image")) == (1, 3, pico.side, pico.side), "one image at a time"
    assert all(one.block == 0 for one in part.graph.ops)
    if file_format != "onnx":
        assert [part.graph.shape(end)[0] for end in ends] == [1] * len(ends)
        size = path.with_suffix(".pdiparams").stat().st_size
        assert size < model.weights_path.stat().st_size


@pytest.mark.parametrize("file_format", ["pdmodel", "onnx"])
def test_part_between_inner_values(tmp_path: Path, file_format: Format) -> None:
    """A part may also begin inside; that of an `inference.json` begins where the model does."""
    net = extractor("V1")
    name = called(net, file_format)
    start = next(node.outputs[0] for node in net.nodes if node.kind == "pool2d")
    model = write_and_open(net, tmp_path, file_format)
    part = open_model(model.write_part(tmp_path / "part", [name(start)], list(map(name, net.outputs))))
    expected = Counter(common_name(node.kind) for node in plain_needed(net, net.outputs, [start]))
    assert Counter(one.kind for one in part.graph.ops) == expected
    assert part.graph.inputs == (name(start),)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_part_of_a_part_is_the_same(tmp_path: Path, file_format: Format) -> None:
    net, scores, distances = Pico().build()
    name = called(net, file_format)
    ends = [name(value) for value in scores + distances]
    first = write_and_open(net, tmp_path, file_format).write_part(tmp_path / "first", [name("image")], ends)
    second = open_model(first).write_part(tmp_path / "second", [name("image")], ends)
    if file_format != "onnx":
        assert second.with_suffix(".pdiparams").read_bytes() == first.with_suffix(".pdiparams").read_bytes()
    one, other = read_graph(first), read_graph(second)
    assert (one.ops, one.parameters, one.outputs) == (other.ops, other.parameters, other.outputs)


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_source_stays_as_it_is(tmp_path: Path, file_format: Format) -> None:
    net, scores, distances = Pico().build()
    name = called(net, file_format)
    model = write_and_open(net, tmp_path, file_format)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    ops = model.graph.ops
    for attempt in range(2):
        model.write_part(tmp_path / f"part {attempt}", [name("image")], list(map(name, scores + distances)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    assert open_model(model.path).graph.ops == ops
    parts = [{path.name: path.read_bytes() for path in (tmp_path / f"part {n}").iterdir()} for n in range(2)]
    assert parts[0] == parts[1], "the model itself is not used up"


SMALL = Pico(strides=(16, 32), scores="sigmoid", clip=True, top_k=3)


def fuzzed(content: bytes, count: int, seed: int) -> list[bytes]:
    """Return content cut short in many places, and with single bits or a few bytes changed."""
    random = Random(seed)
    found = [content[: len(content) * number // count] for number in range(count)]
    for number in range(2 * count):
        changed = bytearray(content)
        for _ in range(random.choice([1, 1, 1, 4])):
            place = random.randrange(len(changed))
            changed[place] ^= 1 << random.randrange(8) if number % 2 else random.randrange(1, 256)
        found.append(bytes(changed))
    return found


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_damaged_file_is_refused_or_read(tmp_path: Path, file_format: Format) -> None:
    """Cut short or changed anywhere, it is a ModelError of one line or a graph; never another exception."""
    net, _, _ = (SMALL if file_format == "onnx" else replace(SMALL, loop=True)).build()
    path = write(net, tmp_path, file_format)
    read = 0
    tries = 25 if file_format == "onnx" else 250  # ONNX is read in a process of its own
    for content in fuzzed(path.read_bytes(), tries, seed=4):
        path.write_bytes(content)
        try:
            open_model(path)
            read += 1
        except ModelError as error:
            message = str(error)
            assert message.startswith(str(tmp_path))
            assert "\n" not in message
    assert read > 2, "some changes leave a graph"


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_cut_short(tmp_path: Path, file_format: Format) -> None:
    """A protobuf may end between two fields: what is left is then a graph with fewer ops."""
    path = write(SMALL.build()[0], tmp_path, file_format)
    whole, content = read_graph(path), path.read_bytes()
    cuts = 20 if file_format == "onnx" else 200
    for length in range(0, len(content), max(1, len(content) // cuts)):
        path.write_bytes(content[:length])
        try:
            graph = read_graph(path)
        except ModelError as error:
            message = str(error)
            assert message.startswith(f"{path}: ")
        else:
            assert file_format != "pir"
            assert len(graph.ops) <= len(whole.ops)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize(
    "content", [b"", b"\0", b"{}", b"[]", b"\xff" * 64, b"\n" * 9, Random(0).randbytes(4096)], ids=repr
)
def test_not_a_model(tmp_path: Path, file_format: Format, content: bytes) -> None:
    path = write(SMALL.build()[0], tmp_path, file_format)
    path.write_bytes(content)
    for read in (open_model, read_graph):
        with pytest.raises(ModelError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file_format", PADDLE_FORMATS)
def test_a_graph_with_the_weights_of_another(tmp_path: Path, file_format: Format) -> None:
    path = write(Pico().build()[0], tmp_path, file_format)
    other = write(Pico(classes=4).build()[0], tmp_path / "other", file_format)
    path.with_suffix(".pdiparams").write_bytes(other.with_suffix(".pdiparams").read_bytes())
    assert read_graph(path).ops, "the graph alone is well"
    with pytest.raises(ModelError, match=r"inference\.pdiparams: not this model's weights: \S+ should be float32"):
        open_model(path)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_file_that_cannot_be_read(tmp_path: Path, file_format: Format) -> None:
    path = write(SMALL.build()[0], tmp_path, file_format)
    path.unlink()
    path.mkdir()
    with pytest.raises(ModelError, match="cannot be read: is a folder"):
        read_graph(path)
