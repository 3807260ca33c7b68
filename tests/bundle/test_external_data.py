"""Tensors outside of a model's file: found wherever protobuf lets them stand, refused unless bundle.json lists them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from shitu_edge.bundle import Bundle, ExtractorSpec, NetworkFile, write_manifest
from shitu_edge.bundle.external_data import external_files
from shitu_edge.bundle.networks import open_network
from shitu_edge.engines import ENGINES, EngineName, Resources
from shitu_edge.errors import BundleError
from tests.networks import write_bundle
from tests.shell import Shell


def tensor(name: str, location: str | None = "weights.data") -> TensorProto:
    made = numpy_helper.from_array(np.ones(4, np.float32), name)
    if location is not None:
        made.ClearField("raw_data")
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value=location)
        made.external_data.add(key="length", value="16")
    return made


def node(**attributes: Any) -> NodeProto:
    return helper.make_node("Constant", [], ["c"], **attributes)


def graph(nodes: list[NodeProto] | None = None, tensors: list[TensorProto] | None = None) -> GraphProto:
    return helper.make_graph(nodes or [], "g", [], [], tensors or [])


def model(made: GraphProto | None = None, **more: Any) -> ModelProto:
    return helper.make_model(made or graph(), **more)


def _training() -> ModelProto:
    made = model()
    made.training_info.add().algorithm.CopyFrom(graph([node(value=tensor("t"))]))
    return made


def _sparse(external: str) -> GraphProto:
    parts = {name: tensor(name, "weights.data" if name == external else None) for name in ("values", "indices")}
    made = graph()
    made.sparse_initializer.add(dims=[9], **parts)
    return made


FUNCTION = helper.make_function("d", "F", [], ["c"], [node(value=tensor("t"))], [helper.make_opsetid("", 14)])
PLACES = {
    "initializer": model(graph(tensors=[tensor("t")])),
    "constant": model(graph([node(value=tensor("t"))])),
    "tensors": model(graph([node(values=[tensor("t", None), tensor("u")])])),
    "subgraph": model(graph([node(then_branch=graph(tensors=[tensor("t")]))])),
    "subgraphs": model(graph([node(branches=[graph(), graph([node(inner=graph(tensors=[tensor("t")]))])])])),
    "sparse values": model(_sparse("values")),
    "sparse indices": model(_sparse("indices")),
    "function": model(functions=[FUNCTION]),
    "training": _training(),
}


@pytest.mark.parametrize("place", PLACES)
def test_location_is_found_in_every_place(place: str) -> None:
    assert external_files(PLACES[place].SerializeToString()) == {"weights.data"}


def test_model_of_one_file_names_none() -> None:
    named_so = helper.make_node("Relu", ["location"], ["weights.data"], name="location")
    assert external_files(model(graph([named_so], [tensor("location", None)])).SerializeToString()) == set()


def field(number: int, content: bytes, pad: int = 0) -> bytes:
    """Return a field that holds bytes, its numbers written with `pad` bytes more than they need."""
    return number_of(number << 3 | 2, pad) + number_of(len(content), pad) + content


def number_of(value: int, pad: int) -> bytes:
    digits = [value >> 7 * place & 0x7F for place in range(max(1, -(-value.bit_length() // 7)) + pad)]
    return bytes(digit | 0x80 for digit in digits[:-1]) + bytes(digits[-1:])


def nested(entry: bytes, *numbers: int, pad: int = 0) -> bytes:
    for number in numbers:
        entry = field(number, entry, pad)
    return entry


KEY, VALUE = field(1, b"location"), field(2, b"weights.data")
GRAPH_TENSOR_ENTRY = (13, 5, 7)
ENCODINGS = {
    "value first": nested(VALUE + KEY, *GRAPH_TENSOR_ENTRY),
    "long numbers": nested(field(1, b"location", 2) + field(2, b"weights.data", 2), *GRAPH_TENSOR_ENTRY, pad=2),
    "key twice": nested(field(1, b"length") + VALUE + KEY, *GRAPH_TENSOR_ENTRY),
    "graph in two parts": field(7, field(2, b"g")) + nested(KEY + VALUE, *GRAPH_TENSOR_ENTRY),
    "other fields around": field(99, b"x") + b"\x80\x08\x05" + nested(KEY + VALUE, *GRAPH_TENSOR_ENTRY) + b"\x08\x08",
    "bits above a tag": number_of(1 << 32 | 7 << 3 | 2, 0) + field(7, nested(KEY + VALUE, 13, 5))[1:],
}


@pytest.mark.parametrize("how", ENCODINGS)
def test_location_is_found_however_it_is_encoded(how: str) -> None:
    assert external_files(ENCODINGS[how]) == {"weights.data"}


@pytest.mark.parametrize(
    "content",
    [b"location", b"\x3a\x7flocation", b"\x3b" + KEY, b"\xff" * 11 + KEY, KEY + b"\x3a", KEY + b"\x09\x00"],
    ids=["text", "too long", "a group", "an endless number", "cut", "cut in a number"],
)
def test_what_may_name_files_and_cannot_be_read_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="is not an ONNX model"):
        external_files(content)


def test_work_is_bounded() -> None:
    with pytest.raises(ValueError, match="one of more than 500000 fields"):
        external_files(KEY + b"\x08\x00" * 500_000)


def locations(message: Any) -> Iterator[str]:
    """What the onnx package's own reader finds, by walking every field of every message."""
    for description, value in message.ListFields():
        if description.message_type is None:
            continue
        for part in value if description.is_repeated else [value]:
            if description.message_type.name == "StringStringEntryProto":
                if description.name == "external_data" and part.key == "location":
                    yield part.value if isinstance(part.value, str) else part.value.decode(errors="surrogateescape")
            else:
                yield from locations(part)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.sampled_from(sorted(PLACES)), st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=4))
def test_nothing_that_onnx_reads_is_missed(place: str, changes: list[tuple[int, int]]) -> None:
    content = bytearray(PLACES[place].SerializeToString())
    for position, value in changes:
        content[position % len(content)] = value
    try:
        theirs = set(locations(onnx.ModelProto.FromString(bytes(content))))
    except Exception:  # protobuf's DecodeError, by either of its implementations
        return
    try:
        ours = external_files(bytes(content))
    except ValueError:
        return
    assert theirs <= ours


def write_external(
    folder: Path, listed: bool, location: str = "extractor.data", name: str = "extractor.onnx"
) -> Bundle:
    """A bundle whose extractor keeps its tensors in a file of its own."""
    bundle = write_bundle(folder)
    whole = onnx.load(folder / "extractor.onnx")
    for made in whole.graph.initializer:
        made.raw_data = numpy_helper.to_array(made).tobytes()
    (folder / "extractor.onnx").unlink()
    (folder / name).parent.mkdir(exist_ok=True)
    onnx.save(whole, folder / name, save_as_external_data=True, location=location, size_threshold=0)
    paths = [name, *([f"{Path(name).parent / location}"] if listed else [])]
    return with_files(bundle, "onnx", *paths)


def with_files(bundle: Bundle, file_format: str, *paths: str) -> Bundle:
    extractor: ExtractorSpec = bundle.manifest.extractor
    files = {"fp32": {file_format: tuple(NetworkFile(path, "") for path in paths)}}
    extractor = replace(extractor, network=replace(extractor.network, files=files))
    return write_manifest(bundle.folder, replace(bundle.manifest, extractor=extractor))


def run(bundle: Bundle, engine: EngineName) -> float:
    network = bundle.manifest.extractor.network
    session = open_network(bundle, network, engine, None, Resources(1))
    return float(session.run({"image": np.ones((1, 3, 32, 32), np.float32)})["embedding"][0, 0])


@pytest.mark.parametrize("engine", ENGINES)
def test_unlisted_file_is_refused(tmp_path: Path, engine: EngineName, shell: Shell) -> None:
    pytest.importorskip(engine)
    bundle = write_external(tmp_path / "tiny", listed=False)
    message = r"extractor\.onnx: keeps tensors in 'extractor\.data', which bundle\.json does not list; "
    with pytest.raises(BundleError, match=message):
        run(bundle, engine)
    done = shell("models", "verify", bundle.folder)
    assert done.code == 1
    assert "keeps tensors in 'extractor.data'" in done.err


@pytest.mark.parametrize("name", ["extractor.onnx", "int8/extractor.onnx"])
@pytest.mark.parametrize("engine", ENGINES)
def test_listed_file_is_used_and_covered_by_its_digest(tmp_path: Path, engine: EngineName, name: str) -> None:
    pytest.importorskip(engine)
    bundle = write_external(tmp_path / "tiny", listed=True, name=name)
    assert run(bundle, engine) == pytest.approx(0.55)  # white, less the gray that the file holds
    assert bundle.verify() == 3
    data = bundle.folder / Path(name).with_name("extractor.data")
    data.write_bytes(np.float32(0.2).tobytes())
    with pytest.raises(BundleError, match=r"extractor\.data: checksum mismatch"):
        run(bundle, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_listed_file_by_another_way_to_write_its_name(tmp_path: Path, engine: EngineName) -> None:
    pytest.importorskip(engine)
    bundle = write_external(tmp_path / "tiny", listed=True, location="./extractor.data")
    assert run(bundle, engine) == pytest.approx(0.55)


def test_openvino_ir_brings_no_unlisted_weights(tmp_path: Path) -> None:
    """OpenVINO reads the file beside it, whatever the IR is called."""
    bundle = write_bundle(tmp_path / "tiny")
    ov.save_model(ov.convert_model(bundle.folder / "extractor.onnx"), bundle.folder / "ir.xml")
    assert run(with_files(bundle, "openvino", "ir.xml", "ir.bin"), "openvino") == pytest.approx(0.55, abs=1e-3)
    with pytest.raises(BundleError, match=r"ir\.xml: bundle\.json lists no \.bin file with its weights"):
        run(with_files(bundle, "openvino", "ir.xml"), "openvino")
    for file_format, suffix in (("onnx", ".onnx"), ("tflite", ".tflite")):
        (bundle.folder / f"ir{suffix}").write_bytes(b"\n" + (bundle.folder / "ir.xml").read_bytes())
        with pytest.raises(BundleError, match=rf"ir{suffix}: is an OpenVINO IR, bundle\.json says {file_format}"):
            run(with_files(bundle, file_format, f"ir{suffix}"), "openvino")
    (bundle.folder / "onnx.xml").write_bytes((bundle.folder / "extractor.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"onnx\.xml: is not an OpenVINO IR, bundle\.json says openvino"):
        run(with_files(bundle, "openvino", "onnx.xml", "ir.bin"), "openvino")


@pytest.mark.parametrize(("file_format", "name"), [("onnx", "m.pdmodel"), ("openvino", "m.onnx"), ("tflite", "m.pb")])
def test_names_that_choose_another_reader_are_refused(tmp_path: Path, file_format: str, name: str) -> None:
    """OpenVINO goes by the name first; Paddle's models have their weights in a second file."""
    bundle = write_bundle(tmp_path / "tiny")
    (bundle.folder / name).write_bytes((bundle.folder / "extractor.onnx").read_bytes())
    with pytest.raises(BundleError, match=rf"'{name}': expected a name that ends in \.\w+ for {file_format}"):
        with_files(bundle, file_format, name)
