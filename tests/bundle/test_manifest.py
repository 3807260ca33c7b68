"""Bundles: written and read again, damaged in every way, found by name."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shitu_edge.bundle import (
    MANIFEST,
    SCHEMA_VERSION,
    SEARCH_PATH_VARIABLE,
    BoxesScores,
    Bundle,
    DecisionPolicy,
    DetectorSpec,
    ExtractorSpec,
    InputSpec,
    Manifest,
    Network,
    NetworkFile,
    PicoDetLevels,
    Postprocessed,
    bundle_folders,
    parse_manifest,
    write_manifest,
)
from shitu_edge.bundle.built_in import BUNDLES
from shitu_edge.errors import BundleError, OptionError

CONTENTS = {"detector.onnx": b"detector", "int8/detector.onnx": b"smaller", "x.xml": b"<net/>", "x.bin": b"\0\1\2"}
HEADS = (
    PicoDetLevels("picodet_levels", strides=(8, 16), scores=("s8", "s16"), distances=("d8", "d16")),
    BoxesScores("boxes_scores", "boxes", "scores", scores_order="CN", box_order="yxyx", coordinates="relative"),
    Postprocessed("postprocessed", "rows", count="count", columns=("score", "x1", "y1", "x2", "y2")),
)
DETECTOR = Network(
    name="detector",
    source="somewhere",
    source_sha256="d" * 64,
    files={
        "fp32": {"onnx": (NetworkFile("detector.onnx", ""),)},
        "int8": {"onnx": (NetworkFile("int8/detector.onnx", ""),)},
    },
    input=InputSpec("image", 320, 416, "cubic", scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    constants={"scale_factor": ((1.0, 1.0),)},
)
EXTRACTOR = ExtractorSpec(
    Network(
        name="extractor",
        source="elsewhere",
        source_sha256="e" * 64,
        files={"fp32": {"openvino": (NetworkFile("x.xml", ""), NetworkFile("x.bin", ""))}},
        input=InputSpec("x", 224, 224, "bilinear", scale=1 / 255, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.5)),
    ),
    output="features",
    dim=512,
)
MANIFEST_OF_TESTS = Manifest(
    SCHEMA_VERSION,
    "näme",
    "of tests",
    "Apache-2.0",
    DetectorSpec(DETECTOR, HEADS[0]),
    EXTRACTOR,
    DecisionPolicy(vote=True),
)


def write(folder: Path, manifest: Manifest = MANIFEST_OF_TESTS) -> Bundle:
    for name, content in CONTENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return write_manifest(folder, manifest)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "bundle").folder


@pytest.mark.parametrize("head", HEADS, ids=lambda head: str(head.layout))
def test_round_trip(tmp_path: Path, head: PicoDetLevels | BoxesScores | Postprocessed) -> None:
    manifest = replace(MANIFEST_OF_TESTS, detector=DetectorSpec(DETECTOR, head, score_threshold=0.25, max_boxes=7))
    opened = Bundle.open(write(tmp_path, manifest).folder)
    assert opened.manifest.detector.head == head
    assert without_digests(opened.manifest) == without_digests(manifest)
    assert opened.digest == hashlib.sha256((tmp_path / MANIFEST).read_bytes()).hexdigest()
    assert opened == Bundle.open(str(tmp_path))


def without_digests(manifest: Manifest) -> dict[str, Any]:
    data = asdict(manifest)
    for part in ("detector", "extractor"):
        for formats in data[part]["network"]["files"].values():
            for files in formats.values():
                for file in files:
                    del file["sha256"]
    return data


def test_the_written_file_is_plain_json_with_digests(folder: Path) -> None:
    data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    assert data["name"] == "näme"
    assert data["detector"]["network"]["input"]["mean"] == [0.485, 0.456, 0.406]
    files = data["extractor"]["network"]["files"]["fp32"]["openvino"]
    assert files == [
        {"path": path, "sha256": hashlib.sha256(CONTENTS[path]).hexdigest()} for path in ("x.xml", "x.bin")
    ]


def test_what_may_be_left_out(folder: Path) -> None:
    path = folder / MANIFEST
    data = json.loads(path.read_text(encoding="utf-8"))
    del data["policy"], data["detector"]["max_boxes"], data["detector"]["network"]["constants"]
    data["extractor"]["network"]["input"]["scale"] = 1
    path.write_text(json.dumps(data), encoding="utf-8-sig")
    manifest = Bundle.open(folder).manifest
    assert manifest.policy == DecisionPolicy(0.5, 0.0, 5, False, 0.05, "always")
    assert manifest.detector.max_boxes == 5
    assert manifest.detector.network.constants == {}
    assert repr(manifest.extractor.network.input.scale) == "1.0", "whole numbers are numbers"


VERSION_1 = Path(__file__).with_name("bundle_version_1.json")


def test_bundle_of_version_1_is_read_as_one_of_today() -> None:
    """The built-in bundle's manifest as version 0.1 wrote it."""
    old = json.loads(VERSION_1.read_text(encoding="utf-8"))
    manifest = parse_manifest(VERSION_1.read_bytes(), "where")
    assert manifest.schema_version == SCHEMA_VERSION
    assert manifest.license == old["licence"] == "Apache-2.0"
    assert asdict(manifest.policy) == {
        "neighbors" if key == "neighbours" else key: value for key, value in old["recognition"].items()
    } | {"max_false_accept": None, "max_wrong": None, "unknown_share": 0.1, "confidence": None}
    assert json.loads(json.dumps(asdict(manifest.detector))) == old["detector"] | {
        "shapes": [],
        "faint_threshold": None,
    }
    assert json.loads(json.dumps(asdict(manifest.extractor))) == old["extractor"] | {"cohort": None, "objectness": None}


def test_keys_of_version_1_are_unknown_in_version_2() -> None:
    old = json.loads(VERSION_1.read_text(encoding="utf-8")) | {"schema_version": 2}
    with pytest.raises(BundleError, match=r"where: .*licen[cs]e"):
        parse_manifest(json.dumps(old).encode(), "where")


@pytest.mark.parametrize("head", HEADS[1:], ids=lambda head: str(head.layout))
def test_only_a_raw_head_has_further_shapes(head: PicoDetLevels | BoxesScores | Postprocessed) -> None:
    assert DetectorSpec(DETECTOR, HEADS[0], shapes=((64, 96),)).shapes == ((64, 96),)
    with pytest.raises(OptionError, match=f"shapes: expected none with the layout {head.layout}, found"):
        DetectorSpec(DETECTOR, head, shapes=((64, 96),))


def test_verified_files(folder: Path) -> None:
    bundle = Bundle.open(folder)
    network = bundle.manifest.extractor.network
    assert bundle.verified_files(network, "fp32", "openvino") == (folder / "x.xml", folder / "x.bin")
    assert bundle.verify() == 4


@pytest.mark.parametrize(("precision", "file_format"), [("int8", "openvino"), ("fp32", "onnx"), ("", "")])
def test_a_form_that_is_not_there(folder: Path, precision: str, file_format: str) -> None:
    bundle = Bundle.open(folder)
    with pytest.raises(BundleError, match=f"extractor has no {precision} {file_format} files"):
        bundle.verified_files(bundle.manifest.extractor.network, precision, file_format)


def test_an_altered_byte(folder: Path) -> None:
    bundle = Bundle.open(folder)
    (folder / "x.bin").write_bytes(b"\0\1\3")
    with pytest.raises(BundleError, match=r"x\.bin: checksum mismatch: bundle.json says [0-9a-f]{64}, found [0-9a-f]"):
        bundle.verified_files(bundle.manifest.extractor.network, "fp32", "openvino")
    with pytest.raises(BundleError, match=r"x\.bin: checksum mismatch"):
        bundle.verify()
    assert bundle.verified_files(bundle.manifest.detector.network, "fp32", "onnx"), "other files are as they were"


@pytest.mark.parametrize("replace_by_folder", [False, True])
def test_a_missing_file(folder: Path, replace_by_folder: bool) -> None:
    bundle = Bundle.open(folder)
    (folder / "x.bin").unlink()
    if replace_by_folder:
        (folder / "x.bin").mkdir()
    with pytest.raises(BundleError, match=r"x\.bin: cannot be read: "):
        bundle.verify()


def _as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _as_endless_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _as_sparse_file(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(1 << 40)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name here")
@pytest.mark.parametrize(
    ("become", "reason"),
    [
        (_as_fifo, "is a pipe, device or socket, not a regular file"),
        (_as_endless_link, "is a pipe, device or socket, not a regular file"),
        (_as_sparse_file, "is larger than {} bytes"),
    ],
)
def test_files_that_never_end(folder: Path, become: Callable[[Path], None], reason: str) -> None:
    bundle = Bundle.open(folder)
    become(folder / "x.bin")
    with pytest.raises(BundleError, match=rf"x\.bin: cannot be read: {reason.format(1 << 30)}$"):
        bundle.verify()
    become(folder / MANIFEST)
    with pytest.raises(BundleError, match=rf"bundle\.json: cannot be read: {reason.format(1 << 20)}$"):
        Bundle.open(folder)


def test_writing_without_the_files(folder: Path) -> None:
    (folder / "int8" / "detector.onnx").unlink()
    with pytest.raises(BundleError, match=r"detector\.onnx: cannot be read: No such file"):
        write_manifest(folder, MANIFEST_OF_TESTS)


def valid() -> dict[str, Any]:
    """Return the content of a valid `bundle.json`."""
    data: dict[str, Any] = json.loads(json.dumps(asdict(MANIFEST_OF_TESTS)))
    return data


def setting(place: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Return a change of the value at a dotted place, where numbers are positions in lists."""
    *parents, last = place.split(".")

    def change(data: Any) -> None:
        for key in parents:
            data = data[int(key) if isinstance(data, list) else key]
        data[int(last) if isinstance(data, list) else last] = value

    return change


def removing(place: str) -> Callable[[dict[str, Any]], None]:
    *parents, last = place.split(".")

    def change(data: dict[str, Any]) -> None:
        for key in parents:
            data = data[key]
        del data[last]

    return change


FILE = "detector.network.files.fp32.onnx.0.path"
DAMAGES: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (setting("schema_version", 6), "expected a schema_version up to 5, found 6"),
    (setting("schema_version", 0), "expected a schema_version up to 5, found 0"),
    (setting("schema_version", "1"), "expected a schema_version up to 5, found '1'"),
    (setting("schema_version", "1\n2"), r"expected a schema_version up to 5, found '1\n2'"),
    (setting("schema_version", True), "expected a schema_version up to 5, found True"),
    (setting("schema_version", 1.0), "expected a schema_version up to 5, found 1.0"),
    (removing("schema_version"), "expected a schema_version up to 5, found None"),
    (removing("name"), "name: missing"),
    (removing("extractor"), "extractor: missing"),
    (removing("detector.network.input.resize"), "detector.network.input.resize: missing"),
    (removing("detector.head.strides"), "detector.head.strides: missing"),
    (setting("color", "red"), "color: unknown; expected one of schema_version, name,"),
    (setting("detector.network.input.color_order", "RGB"), "detector.network.input.color_order: unknown"),
    (setting("detector.head.boxes", "b"), "detector.head.boxes: unknown"),
    (setting("name", 7), "name: expected text, found 7"),
    (setting("name", None), "name: expected text, found None"),
    (setting("extractor", [1]), "extractor: expected an object, found [1]"),
    (setting("extractor.dim", 512.0), "extractor.dim: expected a whole number, found 512.0"),
    (setting("extractor.dim", True), "extractor.dim: expected a whole number, found True"),
    (setting("detector.score_threshold", "0.2"), "detector.score_threshold: expected a finite number, found '0.2'"),
    (setting("detector.score_threshold", True), "detector.score_threshold: expected a finite number, found True"),
    (
        setting("detector.score_threshold", float("nan")),
        "detector.score_threshold: expected a finite number, found nan",
    ),
    (
        setting("detector.score_threshold", float("inf")),
        "detector.score_threshold: expected a finite number, found inf",
    ),
    (setting("detector.score_threshold", 10**400), "detector.score_threshold: expected a finite number, found 1000"),
    (setting("policy.vote", 1), "policy.vote: expected true or false, found 1"),
    (setting("policy.whole_image", "sometimes"), "policy.whole_image: expected one of 'always', 'fallback'"),
    (setting("detector.network.input.layout", "CHW"), "detector.network.input.layout: expected one of 'NCHW', 'NHWC'"),
    (setting("detector.network.input.layout", ["NCHW"]), "detector.network.input.layout: expected one of 'NCHW'"),
    (setting("detector.network.input.mean", [0, 0]), "detector.network.input.mean: expected a list of 3, found [0, 0]"),
    (setting("detector.network.input.mean", 0.5), "detector.network.input.mean: expected a list, found 0.5"),
    (setting("detector.network.input.mean.1", "0"), "detector.network.input.mean[1]: expected a finite number"),
    (setting("detector.network.constants", {"a": [1]}), "detector.network.constants.a[0]: expected a list, found 1"),
    (setting("detector.network.files", []), "detector.network.files: expected an object, found []"),
    (setting("detector.network.files.int8.onnx", {}), "detector.network.files.int8.onnx: expected a list, found {}"),
    (setting("detector.head.layout", "yolo"), "detector.head: expected a layout of 'picodet_levels', 'boxes_scores'"),
    (setting("detector.head.layout", []), "detector.head: expected a layout of 'picodet_levels', 'boxes_scores'"),
    (setting("detector.head", None), "detector.head: expected a layout of 'picodet_levels'"),
    (setting("detector.head.strides", [8, 16, 32]), "detector.head: expected as many scores and distances as strides"),
    (setting("detector.head.scores", ["s8"]), "detector.head: expected as many scores and distances as strides"),
    (setting("detector.head.distances", []), "detector.head: expected as many scores and distances as strides"),
    (
        setting("detector.network.default_precision", "fp64"),
        "default_precision: expected one of 'fp32', 'fp16', 'int8'",
    ),
    (setting("extractor.network.default_precision", "int8"), "extractor: no files of its default precision, int8"),
    (removing("detector.network.files.fp32"), "detector: no files of its default precision, fp32"),
    (setting("detector.network.files.fp32", {}), "detector: no files of its default precision, fp32"),
    (setting("detector.network.files.fp32.onnx", []), "detector: no files of its default precision, fp32"),
    (setting("detector.score_threshold", 2), "detector.score_threshold: expected a number from 0 to 1, found 2"),
    (setting("detector.shapes", [[64]]), "detector.shapes[0]: expected a list of 2, found [64]"),
    (setting("detector.shapes", [[64, 48]]), "detector.shapes: expected multiples of 32, found 48"),
    (setting("detector.shapes", [[64, 0]]), "detector.shapes: expected a whole number from 32 to 4096, found 0"),
    (setting("detector.max_boxes", 0), "detector.max_boxes: expected a whole number of at least 1, found 0"),
    (setting("detector.head.keep_top_k", -1), "detector.head.keep_top_k: expected a whole number of at least 1"),
    (setting("detector.head.nms_iou", 1.5), "detector.head.nms_iou: expected a number from 0 to 1, found 1.5"),
    (setting("policy.margin", 3), "policy.margin: expected a number from 0 to 2, found 3"),
    (setting("detector.network.input.height", 0), "detector: input sides and std must be positive"),
    (setting("extractor.network.input.std.2", 0), "extractor: input sides and std must be positive"),
    (setting(FILE, "../detector.onnx"), "'../detector.onnx': expected a path inside the bundle"),
    (setting(FILE, "a/../../detector.onnx"), "'a/../../detector.onnx': expected a path inside the bundle"),
    (setting(FILE, "/etc/passwd"), "'/etc/passwd': expected a path inside the bundle"),
    (setting(FILE, "..\\detector.onnx"), "expected a path inside the bundle"),
    (setting(FILE, "C:/detector.onnx"), "'C:/detector.onnx': expected a path inside the bundle"),
    (setting(FILE, "C:detector.onnx"), "'C:detector.onnx': expected a path inside the bundle"),
    (setting(FILE, "//server/share/detector.onnx"), "expected a path inside the bundle"),
    (setting(FILE, "a\0b"), "expected a path inside the bundle"),
    (setting(FILE, "detector.pdmodel"), "'detector.pdmodel': expected a name that ends in .onnx for onnx"),
    (setting("detector.network.input.height", 4097), "detector: expected input sides of at most 4096 pixels"),
    (setting("detector.network.input.width", 2**31), "detector: expected input sides of at most 4096 pixels"),
    (setting("extractor.network.input.height", 10**30), "extractor: expected input sides of at most 4096 pixels"),
    (setting("extractor.dim", 2**70), "expected a dim of 1 to 65536"),
    (setting("detector.head.reg_max", 2**70), "detector.head: expected strides and reg_max of at most 65536"),
    (setting("detector.head.strides.1", 10**30), "detector.head: expected strides and reg_max of at most 65536"),
    (
        setting("detector.network.constants", {"a": [[1, 2], [3]]}),
        "detector: constants.a: expected rows of one length",
    ),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[message[:60] for _, message in DAMAGES])
def test_damages(folder: Path, damage: Callable[[dict[str, Any]], None], message: str) -> None:
    data = valid()
    damage(data)
    (folder / MANIFEST).write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder)
    assert str(caught.value).startswith(f"{folder / MANIFEST}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"no", b"{'name': 1}", b"\xff\xfe\xfa", b"\x80abc", b"[" * 100_000, b"1" * 10_000, b'{"a": 1} x'],
    ids=lambda content: repr(content[:12]),
)
def test_not_json(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"^where: is not JSON: ") as caught:
        parse_manifest(content, "where")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"null", b"[]", b"[1]", b'"text"', b"3", b"{}"])
def test_json_but_no_object_with_a_version(content: bytes) -> None:
    with pytest.raises(BundleError, match="where: expected a schema_version up to 5, found None"):
        parse_manifest(content, "where")


def test_bf16_is_computed_with_the_fp32_files() -> None:
    data = valid()
    setting("detector.network.default_precision", "bf16")(data)
    assert parse_manifest(json.dumps(data).encode(), "where").detector.network.default_precision == "bf16"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.data())
def test_any_change_is_refused_or_understood(data: st.DataObject) -> None:
    """Replace or remove any one value, whatever its depth: only a BundleError or a Manifest comes out."""
    content = copy.deepcopy(valid())
    node: Any = content
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not node[key] or not isinstance(node[key], (dict, list)) or data.draw(st.booleans()):
            break
        node = node[key]
    if data.draw(st.booleans()):
        node[key] = data.draw(json_values)
    else:
        del node[key]
    message = refusal(json.dumps(content).encode())
    assert message is None or message.startswith("where: ")


def refusal(content: bytes) -> str | None:
    try:
        assert parse_manifest(content, "where").schema_version == SCHEMA_VERSION
    except BundleError as error:
        return str(error)
    return None


def fingerprint(**changes: Any) -> str:
    return replace(EXTRACTOR, network=replace(EXTRACTOR.network, **changes)).fingerprint


def test_fingerprint_is_what_it_says() -> None:
    """Galleries hold it, so it must stay the same: the facts spelled out here, hashed."""
    facts = (
        '{"color": "RGB", "dim": 512, "height": 224, "mean": [0.5, 0.5, 0.5], "resize": "bilinear", '
        f'"scale": {1 / 255!r}, "std": [0.25, 0.25, 0.5], "weights": "{"e" * 64}", "width": 224}}'
    )
    assert EXTRACTOR.fingerprint == hashlib.sha256(facts.encode()).hexdigest()[:32]


def test_fingerprint_survives_the_file(folder: Path) -> None:
    assert Bundle.open(folder).manifest.extractor.fingerprint == EXTRACTOR.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {"int8": {"onnx": (NetworkFile("other.onnx", "f" * 64),)}}},
        {"default_precision": "int8"},
        {"name": "renamed"},
        {"source": "a mirror"},
        {"input": replace(EXTRACTOR.network.input, name="renamed")},
        {"input": replace(EXTRACTOR.network.input, layout="NHWC")},
        {"input": replace(EXTRACTOR.network.input, dtype="uint8")},
    ],
    ids=repr,
)
def test_fingerprint_does_not_depend_on(changes: dict[str, Any]) -> None:
    assert fingerprint(**changes) == EXTRACTOR.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        {"source_sha256": "f" * 64},
        {"input": replace(EXTRACTOR.network.input, height=225)},
        {"input": replace(EXTRACTOR.network.input, width=225)},
        {"input": replace(EXTRACTOR.network.input, resize="cubic")},
        {"input": replace(EXTRACTOR.network.input, color="BGR")},
        {"input": replace(EXTRACTOR.network.input, scale=1.0)},
        {"input": replace(EXTRACTOR.network.input, mean=(0.5, 0.5, 0.25))},
        {"input": replace(EXTRACTOR.network.input, std=(0.5, 0.25, 0.25))},
    ],
    ids=repr,
)
def test_fingerprint_depends_on(changes: dict[str, Any]) -> None:
    assert fingerprint(**changes) != EXTRACTOR.fingerprint
    assert replace(EXTRACTOR, dim=256).fingerprint != EXTRACTOR.fingerprint


def test_input_shapes() -> None:
    spec = InputSpec("image", 320, 416, "cubic")
    assert spec.shape() == (1, 3, 320, 416)
    assert replace(spec, layout="NHWC").shape(rows=4) == (4, 320, 416, 3)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with no search path set."""
    monkeypatch.delenv(SEARCH_PATH_VARIABLE, raising=False)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def test_found_by_name(elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(elsewhere / "models" / "here")
    write(tmp_path / "shop" / "there")
    write(tmp_path / "other" / "third")
    monkeypatch.setenv(SEARCH_PATH_VARIABLE, os.pathsep.join([str(tmp_path / "shop"), str(tmp_path / "other")]))
    assert Bundle.open("here").folder == Path("models/here")
    assert Bundle.open("there").folder == tmp_path / "shop" / "there"
    assert Bundle.open("third").folder == tmp_path / "other" / "third"
    assert list(bundle_folders())[:3] == [
        tmp_path / "shop" / "there",
        tmp_path / "other" / "third",
        Path("models/here"),
    ]


def test_built_in_bundles_are_called_as_their_folders() -> None:
    folders = [path for path in BUNDLES.iterdir() if path.is_dir()]
    assert folders
    for folder in folders:
        assert Bundle.open(folder).manifest.name == folder.name


def test_built_in_bundles_come_last(elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "checkout" / "models" / "same")
    monkeypatch.setattr("shitu_edge.bundle.manifest.BUNDLES", tmp_path / "checkout" / "models")
    assert Bundle.open("same").folder == tmp_path / "checkout" / "models" / "same"
    write(elsewhere / "models" / "same")
    assert Bundle.open("same").folder == Path("models/same")
    monkeypatch.chdir(tmp_path / "checkout")
    assert list(bundle_folders()) == [Path("models/same")], "in a checkout once"


def test_the_search_path_comes_first(elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(elsewhere / "models" / "same")
    write(tmp_path / "shop" / "same")
    assert Bundle.open("same").folder == Path("models/same")
    monkeypatch.setenv(SEARCH_PATH_VARIABLE, str(tmp_path / "shop"))
    assert Bundle.open("same").folder == tmp_path / "shop" / "same"


def test_a_folder_comes_before_a_name(elsewhere: Path) -> None:
    write(elsewhere / "models" / "same")
    write(elsewhere / "same")
    assert Bundle.open("same").folder == Path("same")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("name", ["absent", "models/here/absent", "", "a\0b", "x" * 5000])
def test_no_such_bundle(name: str) -> None:
    if not name:
        with pytest.raises(BundleError, match=r"bundle\.json: cannot be read: No such file"):
            Bundle.open(name)
        return
    write(Path("models/here"))
    with pytest.raises(BundleError, match=r"no such bundle folder; bundles known by name: .*here"):
        Bundle.open(name)


@pytest.mark.usefixtures("elsewhere")
def test_a_search_path_to_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SEARCH_PATH_VARIABLE, "/no/such/folder")
    with pytest.raises(BundleError, match="absent: no such bundle folder"):
        Bundle.open("absent")


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"bundle\.json: cannot be read: No such file"):
        Bundle.open(tmp_path)
