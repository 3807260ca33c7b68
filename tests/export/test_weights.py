"""`.pdiparams` against records that are packed here byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from shitu_edge_export.errors import ModelError
from shitu_edge_export.graph import Tensor
from shitu_edge_export.weights import Weights, read_weights

from .programs import Array, record, varint, weights_file

SMALL: Mapping[str, Array] = {
    "conv2d_2.w_0": np.arange(6, dtype=np.float32).reshape(2, 3),
    "conv2d_10.w_0": np.array([7, -8], np.int64),
    "Scale": np.array(0.5, np.float32),
    "éclair": np.array([[1], [0]], np.uint8),
}


def tensors(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    return {name: Tensor(array.shape, array.dtype.name) for name, array in arrays.items()}


def read(content: bytes, parameters: Mapping[str, Tensor], folder: Path) -> Weights:
    path = folder / "inference.pdiparams"
    path.write_bytes(content)
    return read_weights(path, parameters)


def refusal(content: bytes, parameters: Mapping[str, Tensor], folder: Path) -> str | None:
    """Return the message of a file that is refused; any other exception ends the test."""
    try:
        read(content, parameters, folder)
    except ModelError as error:
        message = str(error)
        assert message.startswith(f"{folder / 'inference.pdiparams'}: ")
        assert "\n" not in message
        return message
    return None


names = st.text(st.sampled_from("aAbB019._é图"), min_size=1, max_size=5)
arrays = st.sampled_from(["bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(content=st.dictionaries(names, arrays, max_size=5))
def test_round_trip(content: dict[str, Array], tmp_path_factory: pytest.TempPathFactory) -> None:
    weights = read(weights_file(content), tensors(content), tmp_path_factory.mktemp("weights"))
    assert set(weights.records) == set(content)
    for name, expected in content.items():
        found = weights.array(name)
        assert (found.shape, found.dtype.name) == (expected.shape, expected.dtype.name)
        assert found.tobytes() == expected.tobytes(), "also where NaN is not NaN"


def test_a_record_spelt_out(tmp_path: Path) -> None:
    """A float32 vector of two, every byte of it."""
    content = bytes.fromhex("0000000000000000000000000000000004000000080510020000803f000000c0")
    weights = read(content, {"w": Tensor((2,), "float32")}, tmp_path)
    assert weights.array("w").tolist() == [1, -2]
    assert record(np.array([1, -2], np.float32)) == content, "as the helper of these tests writes it"


def test_dimensions_that_are_packed(tmp_path: Path) -> None:
    """Protobuf may write repeated numbers in one piece; a reader has to take both."""
    description = b"\x08\x05" + b"\x12\x02\x02\x03"
    content = struct.pack("<IQIi", 0, 0, 0, len(description)) + description + bytes(24)
    assert read(content, {"w": Tensor((2, 3), "float32")}, tmp_path).array("w").shape == (2, 3)


def test_order_is_that_of_bytes(tmp_path: Path) -> None:
    """`conv2d_10` before `conv2d_2`, capitals before small letters, what is not ASCII last."""
    in_order = ["Z", "a", "conv2d_1", "conv2d_10", "conv2d_2", "é", "图"]
    content = b"".join(record(np.array([number], np.int32)) for number in range(len(in_order)))
    parameters = {name: Tensor((1,), "int32") for name in Random(0).sample(in_order, len(in_order))}
    weights = read(content, parameters, tmp_path)
    assert [int(weights.array(name)[0]) for name in in_order] == list(range(len(in_order)))


def test_no_parameters(tmp_path: Path) -> None:
    assert read(b"", {}, tmp_path).records == {}


@pytest.mark.parametrize("levels", [[b""], [b"12345678"], [b"", b"x" * 17, b"12345678"], [b"12345678"] * 8], ids=repr)
def test_levels_of_sequence_lengths_are_passed_over(tmp_path: Path, levels: Sequence[bytes]) -> None:
    content = record(SMALL["Scale"], levels) + record(SMALL["conv2d_2.w_0"], levels)
    both = {name: SMALL[name] for name in ("Scale", "conv2d_2.w_0")}
    weights = read(content, tensors(both), tmp_path)
    assert weights.array("conv2d_2.w_0").tolist() == SMALL["conv2d_2.w_0"].tolist()
    assert weights.part(["Scale"]) == record(SMALL["Scale"], levels)


def test_too_many_levels(tmp_path: Path) -> None:
    content = record(SMALL["Scale"], [b""] * 9)
    assert "byte 0 begins no parameter" in str(refusal(content, tensors({"Scale": SMALL["Scale"]}), tmp_path))


@pytest.mark.parametrize("kept", [[], ["Scale"], ["éclair", "Scale"], ["conv2d_2.w_0", "conv2d_10.w_0"], list(SMALL)])
def test_part_is_a_file_of_those_parameters(tmp_path: Path, kept: Sequence[str]) -> None:
    weights = read(weights_file(SMALL), tensors(SMALL), tmp_path)
    expected = {name: SMALL[name] for name in kept}
    assert weights.part(kept) == weights.part(set(kept)) == weights_file(expected)
    again = read(weights.part(kept), tensors(expected), tmp_path)
    assert all(again.array(name).tolist() == array.tolist() for name, array in expected.items())


def test_bfloat16_has_a_place_and_no_values(tmp_path: Path) -> None:
    description = b"\x08" + varint(22) + b"\x10\x03"
    content = struct.pack("<IQIi", 0, 0, 0, len(description)) + description + bytes(6)
    weights = read(
        content + record(SMALL["Scale"]), {"a": Tensor((3,), "bfloat16"), "b": Tensor((), "float32")}, tmp_path
    )
    assert weights.array("b") == 0.5
    assert weights.part(["a"]) == content
    with pytest.raises(ModelError, match="a: bfloat16 weights; export the model in float32"):
        weights.array("a")


WRONG = [
    ({"Scale": Tensor((), "float32")}, "more parameters than the graph's 1"),
    ({**tensors(SMALL), "图": Tensor((), "float32")}, "holds 4 parameters, the graph needs 5"),
    (
        {**tensors(SMALL), "conv2d_2.w_0": Tensor((3, 2), "float32")},
        r"conv2d_2.w_0 should be float32 [3, 2], the file has float32 [2, 3] there",
    ),
    (
        {**tensors(SMALL), "conv2d_2.w_0": Tensor((2, 3), "int32")},
        r"conv2d_2.w_0 should be int32 [2, 3], the file has float32 [2, 3] there",
    ),
    (
        {**tensors(SMALL), "Scale": Tensor((1,), "float32")},
        r"Scale should be float32 [1], the file has float32 [] there",
    ),
    (
        {"A": Tensor((), "float32"), **tensors(SMALL)},
        r"Scale should be float32 [], the file has int64 [2] there",
    ),
    ({name: Tensor((), "unknown") for name in SMALL}, "not this model's weights"),
    ({}, "more parameters than the graph's 0"),
]


@pytest.mark.parametrize(("parameters", "message"), WRONG, ids=[message[:50] for _, message in WRONG])
def test_weights_of_another_model(tmp_path: Path, parameters: Mapping[str, Tensor], message: str) -> None:
    assert message in str(refusal(weights_file(SMALL), parameters, tmp_path))


def test_cut_short_at_every_byte(tmp_path: Path) -> None:
    content = weights_file(SMALL)
    for length in range(len(content)):
        message = refusal(content[:length], tensors(SMALL), tmp_path)
        assert message is not None, length
        assert any(words in message for words in ("cut short", "begins no parameter")), message


@pytest.mark.parametrize(
    "extra", [b"\0", b"x", bytes(100), record(np.zeros(3, np.float32))], ids=lambda one: str(len(one))
)
def test_more_than_there_should_be(tmp_path: Path, extra: bytes) -> None:
    message = refusal(weights_file(SMALL) + extra, tensors(SMALL), tmp_path)
    assert message is not None
    assert "more parameters than the graph's 4" in message


def damaged(content: bytes, random: Random) -> bytes:
    """Return content with one to four bytes changed."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 4)):
        changed[random.randrange(len(changed))] ^= random.randint(1, 255)
    return bytes(changed)


def test_damaged_anywhere(tmp_path: Path) -> None:
    """Refused, or read with the dtypes and shapes that the graph expects; never another exception."""
    content, random = weights_file(SMALL), Random(5)
    refused = 0
    for _ in range(600):
        changed = damaged(content, random)
        try:
            weights = read(changed, tensors(SMALL), tmp_path)
        except ModelError as error:
            message = str(error)
            assert message.startswith(str(tmp_path))
            refused += 1
            continue
        found: dict[str, Any] = {name: weights.array(name) for name in SMALL}
        assert {name: Tensor(one.shape, one.dtype.name) for name, one in found.items()} == tensors(SMALL)
    assert 100 < refused < 600, "headers and values are both hit"


def header(version: int = 0, levels: int = 0, inner: int = 0, length: int | None = None, dims: int = 2) -> bytes:
    description = b"\x08\x05\x10" + varint(dims)
    return struct.pack("<IQIi", version, levels, inner, len(description) if length is None else length) + description


HEADERS = {
    "a dimension of 2^62": header(dims=2**62),
    "a dimension of -1": header(dims=2**64 - 1),
    "a description of 2 GiB": header(length=2**31 - 1),
    "a description of -1 bytes": header(length=-1),
    "a description of 0 bytes": header(length=0),
    "2^64 - 1 levels": header(levels=2**64 - 1),
    "another version": header(version=7),
    "another inner version": header(inner=7),
    "a dtype that there is not": struct.pack("<IQIi", 0, 0, 0, 4) + b"\x08\x63\x10\x02",
    "no dtype": struct.pack("<IQIi", 0, 0, 0, 2) + b"\x10\x02",
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_a_header_that_cannot_be(tmp_path: Path, content: bytes) -> None:
    """Told, and nothing is allocated for it."""
    assert refusal(content + bytes(8), {"w": Tensor((2,), "float32")}, tmp_path)


def test_a_level_beyond_all_files(tmp_path: Path) -> None:
    content = struct.pack("<IQQ", 0, 1, 2**64 - 1) + bytes(20)
    assert refusal(content, {"w": Tensor((2,), "float32")}, tmp_path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent\.pdiparams: cannot be read: No such file"):
        read_weights(tmp_path / "absent.pdiparams", {})
    with pytest.raises(ModelError, match="cannot be read: is a folder"):
        read_weights(tmp_path, {})
