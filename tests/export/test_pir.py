"""`inference.json`: programs spelt out op by op, loops and branches joined, parts that are programs again."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from shitu_edge_export.errors import ModelError
from shitu_edge_export.graph import Graph, Tensor
from shitu_edge_export.pir import PirProgram, read_pir, read_pir_graph

from .programs import Pico, extractor, numbers, pir_op, pir_program, pir_type, to_pir, weights_file, write

FLAG = pir_type([], "bool")


def read(program: Any, folder: Path) -> Graph:
    path = folder / "inference.json"
    path.write_text(json.dumps(program), encoding="utf-8")
    return read_pir_graph(path)


def region(ops: list[Any], arguments: dict[int, Any] | None = None) -> Any:
    args = [{"#": number, "TT": kind} for number, kind in (arguments or {}).items()]
    return {"#": "region_1", "blocks": [{"#": "block_1", "args": args, "ops": ops}]}


def wired(graph: Graph, block: int | None = None) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(op.kind, op.inputs, op.outputs) for op in graph.ops if block is None or op.block == block]


def test_inputs_and_outputs(tmp_path: Path) -> None:
    """Translated programs number their feeds; native ones say `data`, in their order."""
    x = pir_type([-1, 3, 8, 8])
    ops = [
        pir_op("1.feed", [], {5: x}, name="second", col=1),
        pir_op("1.feed", [], {4: pir_type([2], "int64")}, name="first", col=0),
        pir_op("1.relu_", [5], {6: x}),
        pir_op("1.fetch", [4], {8: x}, name="fetch_name_1", col=1),
        pir_op("1.fetch", [6], {7: x}, name="fetch_name_0", col=0),
    ]
    graph = read(pir_program(ops), tmp_path)
    assert (graph.inputs, graph.input_names, graph.outputs) == (("%4", "%5"), ("first", "second"), ("%6", "%4"))
    assert graph.tensors["%4"] == Tensor((2,), "int64")
    assert wired(graph) == [("relu", ("%5",), ("%6",))]
    assert graph.ops[0].type == "pd_op.relu_"
    native = [pir_op("1.data", [], {n: x}, name=name) for n, name in ((3, "image"), (9, "scale_factor"))]
    graph = read(pir_program([*native, pir_op("1.relu", [3], {1: x}), pir_op("0.shadow_output", [1], {})]), tmp_path)
    assert (graph.inputs, graph.input_names, graph.outputs) == (("%3", "%9"), ("image", "scale_factor"), ("%1",))


def test_attributes(tmp_path: Path) -> None:
    place = {"N": "place", "AT": {"#": "1.a_place", "D": [1, 0, ""]}}
    shape = {"N": "shape", "AT": {"#": "1.a_intarray", "D": [1, -1]}}
    infinite = {"N": "value", "AT": {"#": "0.a_f64", "VD": "INF"}}
    op = pir_op(
        "1.full", [], {1: pir_type([1])}, flag=True, number=3, half=0.5, text="NCHW", perm=(0, 2, 1), deep=((1,), (2,))
    )
    op["A"] += [place, shape, infinite]
    found = dict(read(pir_program([op]), tmp_path).ops[0].attributes)
    assert found == {
        "flag": True, "number": 3, "half": 0.5, "text": "NCHW", "perm": (0, 2, 1), "deep": ((1,), (2,)),
        "place": (1, 0, ""), "shape": (1, -1), "value": None,
    }  # fmt: skip


def test_values_that_are_absent(tmp_path: Path) -> None:
    """Number 0 is no input; a type NULL is a result that is not made."""
    outputs = {3: pir_type([-1, 6]), 4: {"#": "NULL"}, 5: None}
    graph = read(pir_program([pir_op("1.multiclass_nms3", [1, 2, 0], outputs)]), tmp_path)
    assert wired(graph) == [("nms", ("%1", "%2"), ("%3", "%4", "%5"))]
    assert set(graph.tensors) == {"%3"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("f32", "float32"),
        ("f16", "float16"),
        ("bf16", "bfloat16"),
        ("f64", "float64"),
        ("i64", "int64"),
        ("i32", "int32"),
        ("i16", "int16"),
        ("i8", "int8"),
        ("ui8", "uint8"),
        ("bool", "bool"),
    ],
)
def test_dtypes(tmp_path: Path, name: str, expected: str) -> None:
    kind = {"#": "0.t_dtensor", "D": [{"#": f"0.t_{name}"}, [2, -1], "NCHW", [], 0]}
    graph = read(pir_program([pir_op("1.relu", [1], {2: kind})]), tmp_path)
    assert graph.tensors["%2"] == Tensor((2, -1), expected)


def test_a_branch_is_joined(tmp_path: Path) -> None:
    x = pir_type([4])
    then, otherwise = (
        region([pir_op("1.relu", [1], {5: x}), pir_op("2.yield", [5, 1], {})]),
        region([pir_op("2.yield", [1, 1], {})]),
    )
    program = pir_program([pir_op("1.if", [2], {7: x, 8: x}, [then, otherwise]), pir_op("1.sigmoid", [7], {9: x})])
    graph = read(program, tmp_path)
    assert wired(graph) == [
        ("if", ("%2",), ("%7", "%8")),
        ("relu", ("%1",), ("%5",)),
        ("phi", ("%5", "%1"), ("%7",)),
        ("phi", ("%1", "%1"), ("%8",)),
        ("sigmoid", ("%7",), ("%9",)),
    ]
    assert [op.block for op in graph.ops if op.kind == "relu"] == [1]
    assert {op.kind for op in graph.upstream(("%9",))} == {"sigmoid", "phi", "relu"}, "not the branch itself"
    assert graph.count_types() == {0: {"pd_op.if": 1, "pd_op.sigmoid": 1}, 1: {"pd_op.relu": 1}}


def test_a_loop_goes_on_with_what_it_yields(tmp_path: Path) -> None:
    """Arguments are numbers below 0: first what the loop begins with, later what it yields."""
    x = pir_type([4])
    body = [pir_op("1.relu", [-2], {20: x}), pir_op("1.add", [-1, 3], {21: x}), pir_op("2.yield", [2, 21, 20], {})]
    loop = pir_op("1.while", [2, 10, 11], {30: x, 31: x}, [region(body, {-1: x, -2: x})])
    feeds = [pir_op("1.data", [], {number: x}, name=str(number)) for number in (10, 11)]
    graph = read(pir_program([*feeds, loop, pir_op("1.sigmoid", [31], {40: x})]), tmp_path)
    assert sorted(wired(graph)) == sorted([
        ("while", ("%2", "%10", "%11"), ("%30", "%31")),
        ("relu", ("%1-2",), ("%20",)),
        ("add", ("%1-1", "%3"), ("%21",)),
        ("phi", ("%10", "%21"), ("%1-1",)),
        ("phi", ("%11", "%20"), ("%1-2",)),
        ("phi", ("%21",), ("%30",)),
        ("phi", ("%20",), ("%31",)),
        ("sigmoid", ("%31",), ("%40",)),
    ])  # fmt: skip
    assert graph.tensors["%1-2"] == Tensor((4,), "float32")
    upstream = {op.outputs[0] for op in graph.upstream(("%40",))}
    assert upstream == {"%40", "%31", "%20", "%1-2"}, "the other carried value does not belong to it"


def test_loops_in_loops_keep_their_arguments_apart(tmp_path: Path) -> None:
    """The same numbers below 0 stand in the inner and in the outer block; a branch inside sees the loop's."""
    x = pir_type([4])
    branch = pir_op("1.if", [2], {24: x}, [region([pir_op("1.exp", [-1], {23: x}), pir_op("2.yield", [23], {})])])
    inner = pir_op("1.while", [2, -1], {22: x}, [region([branch, pir_op("2.yield", [2, 24], {})], {-1: x})])
    outer = pir_op("1.while", [2, 1], {30: x}, [region([inner, pir_op("2.yield", [2, 22], {})], {-1: x})])
    graph = read(pir_program([outer]), tmp_path)
    (exp,) = (op for op in graph.ops if op.kind == "exp")
    (name,) = exp.inputs
    assert graph.makers[name][0].inputs == ("%1-1", "%24"), (
        "the inner loop's argument: the outer's, then what is yielded"
    )
    assert graph.makers["%1-1"][0].inputs == ("%1", "%22")
    assert {op.block for op in graph.ops if op.kind == "exp"} == {3}
    assert graph.count_types()[2] == {"pd_op.if": 1}


def test_what_is_written_into_an_array_comes_out_of_it(tmp_path: Path) -> None:
    x, array = pir_type([4]), {"#": "1.t_dense_tensor_array", "D": [{"#": "0.t_f32"}, [-1], "NCHW"]}
    body = [pir_op("1.array_write_", [5, 1, 2], {20: array}), pir_op("2.yield", [3], {})]
    program = pir_program([
        pir_op("1.create_array", [], {5: array}),
        pir_op("1.while", [3], {}, [region(body)]),
        pir_op("1.array_to_tensor", [5], {6: x}),
    ])  # fmt: skip
    graph = read(program, tmp_path)
    assert {op.kind for op in graph.makers["%5"]} == {"create_array", "array_write"}
    assert "array_write" in {op.kind for op in graph.upstream(("%6",))}


def open_network(net: Any, folder: Path) -> PirProgram:
    path = write(net, folder, "pir")
    return read_pir(path, path.with_suffix(".pdiparams"))


def test_parameters_are_found_by_their_saved_names(tmp_path: Path) -> None:
    """Numbers in the program and the order of names in the weights have nothing to do with each other."""
    net = extractor("V1")
    net.constant([3.0, 4.0], "Z_first")
    net.constant([[5.0]], "_last")
    model = open_network(net, tmp_path)
    for name, number in numbers(net).items():
        if name in net.constants:
            assert np.array_equal(model.array(f"%{number}"), net.constants[name])


def test_a_part_keeps_what_it_needs_in_order(tmp_path: Path) -> None:
    net, scores, distances = Pico(scores="sigmoid", loop=True, top_k=20).build()
    model = open_network(net, tmp_path)
    number = numbers(net)
    ends = [f"%{number[name]}" for name in reversed(scores + distances)]
    path = model.write_part(tmp_path / "part", [f"%{number['image']}"], ends)
    part = json.loads(path.read_text(encoding="utf-8"))
    assert part["base_code"] == to_pir(net)["base_code"]
    (block,) = part["program"]["regions"][0]["blocks"]
    kinds = [op["#"] for op in block["ops"]]
    assert not [kind for kind in kinds if kind in ("1.while", "1.if", "2.yield", "1.array_write_", "1.multiclass_nms3")]
    assert kinds.count("1.feed") == 1
    assert kinds[-len(ends) :] == ["1.fetch"] * len(ends)
    assert not any("regions" in op for op in block["ops"])
    made: set[int] = set()
    for op in block["ops"]:
        assert {value["%"] for value in op.get("I", ())} <= made | {0}, "every value is made before it is used"
        outputs = op["O"] if isinstance(op["O"], list) else [op["O"]]
        assert not {value["%"] for value in outputs} & made, "and made once"
        made |= {value["%"] for value in outputs}
    fetched = [(op["I"][0]["%"], op["A"][1]["AT"]["D"]) for op in block["ops"] if op["#"] == "1.fetch"]
    assert [f"%{value}" for value, _ in sorted(fetched, key=lambda pair: pair[1])] == ends
    saved = {op["A"][3] for op in block["ops"] if op["#"] == "p"}
    expected = {name: net.constants[name] for name in saved}
    assert path.with_suffix(".pdiparams").read_bytes() == weights_file(expected)


def test_a_part_of_a_free_batch_is_for_one_image(tmp_path: Path) -> None:
    """Every value's first dimension is fixed, lists of tensors too; scalars and vectors stay free."""
    x, vector = pir_type([-1, 3, 4, 4]), pir_type([-1], "int64")
    combined = {"#": "0.t_vec", "D": [x, x]}
    ops = [
        pir_op("1.feed", [], {1: x}, name="x", col=0),
        pir_op("1.shape", [1], {2: vector}),
        pir_op("0.combine", [1, 1], {3: combined}),
        pir_op("1.concat", [3, 2], {4: pir_type([-1, -1, 4, 4])}),
        pir_op("1.fetch", [4], {5: pir_type([-1, -1, 4, 4])}, name="fetch_name_0", col=0),
    ]
    path = tmp_path / "inference.json"
    path.write_text(json.dumps(pir_program(ops)), encoding="utf-8")
    (tmp_path / "inference.pdiparams").write_bytes(b"")
    part = read_pir(path, tmp_path / "inference.pdiparams").write_part(tmp_path / "part", ["%1"], ["%4"])
    made = json.loads(part.read_text(encoding="utf-8"))["program"]["regions"][0]["blocks"][0]["ops"]
    types = {output["%"]: output["TT"] for op in made for output in op["O"]}
    assert [types[number]["D"][1] for number in (1, 2, 4)] == [[1, 3, 4, 4], [-1], [1, -1, 4, 4]]
    assert [kind["D"][1] for kind in types[3]["D"]] == [[1, 3, 4, 4]] * 2
    assert types[max(types)]["D"][1] == [1, -1, 4, 4], "and what is fetched"


def damages() -> dict[str, Callable[[Any], Any]]:
    """Return changes of a valid program, by what they are."""

    def at(*place: Any, value: Any) -> Callable[[Any], Any]:
        def change(program: Any) -> Any:
            node = program
            for key in place[:-1]:
                node = node[key]
            node[place[-1]] = value
            return program

        return change

    block = ("program", "regions", 0, "blocks", 0)
    return {
        "no program": lambda program: {"base_code": program["base_code"]},
        "no regions": at("program", "regions", value=[]),
        "no blocks": at("program", "regions", 0, "blocks", value=[]),
        "ops are text": at(*block, "ops", value="text"),
        "no ops": at(*block, "ops", value=[]),
        "an op is a number": at(*block, "ops", 0, value=3),
        "an op without a name": at(*block, "ops", 20, value={}),
        "a name that is a number": at(*block, "ops", 20, "#", value=7),
        "an input without a number": at(*block, "ops", 20, "I", value=[{}]),
        "outputs are null": at(*block, "ops", 20, "O", value=None),
        "an attribute of nothing": at(*block, "ops", 20, "A", value=[{"N": "x", "AT": {}}]),
        "a parameter without a name": at(*block, "ops", 0, "A", value=[0]),
        "a shape that is text": at(
            *block, "ops", 20, "O", 0, "TT", value={"#": "0.t_dtensor", "D": [{"#": "0.t_f32"}]}
        ),
        "another magic": at("base_code", "magic", value="rip"),
        "magic is null": at("base_code", "magic", value=None),
        "regions of an op are numbers": at(*block, "ops", 20, "regions", value=[1, 2]),
    }


@pytest.mark.parametrize("damage", damages().values(), ids=damages())
def test_damage(tmp_path: Path, damage: Callable[[Any], Any]) -> None:
    with pytest.raises(ModelError) as caught:
        read(damage(to_pir(Pico().build()[0])), tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'inference.json'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("base_code", [None, 3, [], "pir"])
def test_base_code_is_no_object(tmp_path: Path, base_code: Any) -> None:
    with pytest.raises(ModelError):
        read({**to_pir(Pico().build()[0]), "base_code": base_code}, tmp_path)


def test_columns_that_are_no_numbers(tmp_path: Path) -> None:
    x = pir_type([1])
    ops = [pir_op("1.feed", [], {1: x}, name="a", col=0), pir_op("1.feed", [], {2: x}, name="b", col="1")]
    with pytest.raises(ModelError):
        read(pir_program([*ops, pir_op("1.relu", [1], {3: x})]), tmp_path)


def test_a_parameter_of_no_type(tmp_path: Path) -> None:
    program = to_pir(extractor("V1"))
    program["program"]["regions"][0]["blocks"][0]["ops"][0]["O"]["TT"] = {"#": "NULL"}
    path = write(extractor("V1"), tmp_path, "pir")
    path.write_text(json.dumps(program), encoding="utf-8")
    with pytest.raises(ModelError):
        read_pir(path, path.with_suffix(".pdiparams"))


@pytest.mark.parametrize("depth", [50, 150, 100_000])
def test_nested_deeply(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "inference.json"
    path.write_text('{"base_code": {"magic": "pir"}, "program": ' + "[" * depth + "]" * depth + "}", encoding="utf-8")
    with pytest.raises(ModelError, match="damaged"):
        read_pir_graph(path)


VALUES: list[Any] = [None, True, -1, 0, 10**30, 0.5, "", "0.t_f32", "1.while", [], [0], {}, {"#": "p"}, {"%": 3}]


def test_any_value_replaced_is_refused_or_read(tmp_path: Path) -> None:
    """Replace any one value of a program, whatever its depth, by something else."""
    net, _, _ = Pico(scores="sigmoid", loop=True, strides=(16, 32)).build()
    path = write(net, tmp_path, "pir")
    valid, random = to_pir(net), Random(2)
    read_again = 0
    for _ in range(500):
        program = copy.deepcopy(valid)
        node: Any = program["program"]
        while True:
            key = random.choice(sorted(node)) if isinstance(node, dict) else random.randrange(len(node))
            if not isinstance(node[key], (dict, list)) or not node[key] or random.random() < 0.02:
                break
            node = node[key]
        node[key] = random.choice(VALUES)
        path.write_text(json.dumps(program), encoding="utf-8")
        try:
            read_pir(path, path.with_suffix(".pdiparams"))
            read_again += 1
        except ModelError as error:
            message = str(error)
            assert "\n" not in message
    assert read_again > 20
