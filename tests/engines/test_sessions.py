from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from shitu_edge.engines import ENGINES, EngineName, Model, ModelFiles, Resources, Session, open_session
from shitu_edge.engines.cache import BlobCache
from shitu_edge.errors import EngineError
from tests.networks import REACH, SIDE, STRIDE, write_detector, write_extractor
from tests.photos import write_photo

EXTRACTOR_SHAPE = (1, 3, 32, 32)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> EngineName:
    pytest.importorskip(request.param, exc_type=ImportError)
    name: EngineName = request.param
    return name


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    write_detector(folder / "detector.onnx")
    write_extractor(folder / "extractor.onnx")
    return folder


def _model(path: Path, shapes: dict[str, tuple[int, ...]] | None = None, precision: str = "fp32") -> Model:
    def locate(file_format: str) -> ModelFiles:
        assert file_format == "onnx"
        return ModelFiles((path,), hashlib.sha256(path.read_bytes()).hexdigest())

    return Model(path.stem, precision, ("onnx",), locate, shapes or {"image": EXTRACTOR_SHAPE})


@pytest.fixture
def extractor(networks: Path) -> Model:
    return _model(networks / "extractor.onnx")


def _images(count: int, side: int = 32) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(count)
    return [rng.random((1, 3, side, side), np.float32) for _ in range(count)]


def _embedding(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `write_extractor` computes, by NumPy: means of 8 × 8 pixels less a gray."""
    means: NDArray[np.float32] = image.reshape(1, 3, 4, 8, 4, 8).mean((3, 5)).reshape(1, 48) - np.float32(0.45)
    return means


def _run(session: Session, image: NDArray[Any]) -> NDArray[np.float32]:
    return session.run({"image": image})["embedding"]


def test_extractor_is_numpys(engine: EngineName, extractor: Model) -> None:
    session = open_session(extractor, engine, Resources(1))
    for image in _images(3):
        outputs = session.run({"image": image})
        assert list(outputs) == ["embedding"]
        assert outputs["embedding"].dtype == np.float32
        np.testing.assert_allclose(outputs["embedding"], _embedding(image), atol=1e-5)


def test_detector_is_numpys(engine: EngineName, networks: Path) -> None:
    session = open_session(_model(networks / "detector.onnx", {"image": (1, 3, SIDE, SIDE)}), engine, Resources(1))
    [image] = _images(1, SIDE)
    outputs = session.run({"image": image})
    cells = SIDE // STRIDE
    dark = 1 - image.reshape(3, cells, STRIDE, cells, STRIDE).mean((0, 2, 4))
    assert set(outputs) == {"scores", "distances"}
    np.testing.assert_allclose(outputs["scores"], dark.reshape(1, cells, cells, 1), atol=1e-5)
    bins = outputs["distances"].reshape(cells * cells * 4, 8)
    assert set(bins.argmax(axis=1).tolist()) == {int(REACH)}


def test_info_says_what_runs(engine: EngineName, extractor: Model) -> None:
    info = open_session(extractor, engine, Resources(2)).info
    assert (info.engine, info.precision, info.threads, info.fallback) == (engine, "fp32", 2, None)
    assert import_module(engine).__version__.startswith(info.version)


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, r"input image: expected shape \(1, 3, 32, 32\), found nothing"),
        ({"photo": np.zeros(EXTRACTOR_SHAPE, np.float32)}, r"input image: expected shape .* found nothing"),
        ({"image": np.zeros((1, 3, 32, 31), np.float32)}, r"expected shape \(1, 3, 32, 32\), found \(1, 3, 32, 31\)"),
        ({"image": np.zeros((2, 3, 32, 32), np.float32)}, r"expected shape \(1, 3, 32, 32\), found \(2, 3, 32, 32\)"),
        ({"image": np.zeros((3, 32, 32), np.float32)}, r"expected shape \(1, 3, 32, 32\), found \(3, 32, 32\)"),
        ({"image": np.zeros(EXTRACTOR_SHAPE, np.float64)}, r"failed: .*(f64|double)"),
    ],
)
def test_wrong_input_is_refused_and_the_session_goes_on(
    engine: EngineName, extractor: Model, feeds: dict[str, NDArray[Any]], message: str
) -> None:
    session = open_session(extractor, engine, Resources(1))
    for _ in range(3):  # more often than there are streams
        with pytest.raises(EngineError, match=message) as refusal:
            session.run(feeds)
        assert "\n" not in str(refusal.value)
    [image] = _images(1)
    np.testing.assert_allclose(_run(session, image), _embedding(image), atol=1e-5)


def test_arrays_of_any_memory_layout(engine: EngineName, extractor: Model) -> None:
    session = open_session(extractor, engine, Resources(1))
    for image in _images(20):
        wide = np.repeat(image, 2, axis=3)
        frozen = image.copy()
        frozen.flags.writeable = False
        for view in (np.asfortranarray(image), wide[..., ::2], image[:, ::-1], frozen):
            np.testing.assert_allclose(_run(session, view), _embedding(np.array(view, order="C")), atol=1e-5)


def test_outputs_are_the_callers_own(engine: EngineName, extractor: Model) -> None:
    session = open_session(extractor, engine, Resources(1))
    first, second = _images(2)
    kept = _run(session, first)
    kept_bits = kept.tobytes()
    other = _run(session, second)
    assert kept.tobytes() == kept_bits
    assert not np.shares_memory(kept, other)
    kept[:] = 7
    np.testing.assert_allclose(_run(session, second), _embedding(second), atol=1e-5)
    assert not np.shares_memory(_run(session, first), first)


@pytest.mark.parametrize("streams", [1, 2])
def test_eight_threads_at_once(engine: EngineName, extractor: Model, streams: int) -> None:
    session = open_session(extractor, engine, Resources(2, streams))
    images = _images(200)
    with ThreadPoolExecutor(8) as workers:
        answers = list(workers.map(lambda image: _run(session, image), images))
    for image, answer in zip(images, answers, strict=True):
        np.testing.assert_allclose(answer, _embedding(image), atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"no model", bytes(range(256)) * 10])
def test_a_file_that_is_no_model(engine: EngineName, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=rf"^broken cannot run: {engine}: refuses broken\.onnx: \S") as refusal:
        open_session(_model(path), engine, Resources(1))
    assert "\n" not in str(refusal.value)


def test_a_truncated_model(engine: EngineName, networks: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    content = (networks / "extractor.onnx").read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(EngineError, match=r"half\.onnx"):
        open_session(_model(path), engine, Resources(1))


_FOREIGN = {
    "operation": (b"AveragePool", b"Averag\xff\xfeool"),
    "input": (b"image", b"im\xffge"),
    "output": (b"embedding", b"embed\x1b[\xffg"),
}


@pytest.mark.parametrize("what", _FOREIGN)
def test_text_that_is_not_utf8_is_one_line_and_no_bar_to_the_next_engine(
    engine: EngineName, networks: Path, tmp_path: Path, what: str
) -> None:
    """Python cannot decode it when an engine's message or name is read: a UnicodeDecodeError, not a RuntimeError."""
    path = tmp_path / "foreign.onnx"
    path.write_bytes((networks / "extractor.onnx").read_bytes().replace(*_FOREIGN[what]))
    with pytest.raises(EngineError, match=rf"^foreign cannot run: {engine}: refuses foreign\.onnx: ") as refusal:
        open_session(_model(path), engine, Resources(1))
    assert str(refusal.value).isprintable()
    with pytest.raises(EngineError, match=r"openvino: refuses foreign\.onnx: .*; onnxruntime: refuses foreign\.onnx: "):
        open_session(_model(path), "auto", Resources(1))


def test_foreign_text_while_openvino_starts_is_fallen_back_from(
    extractor: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(openvino, "Core", lambda: b"no plugin \xff\xfe".decode())
    session = open_session(extractor, "auto", Resources(1))
    assert session.info.fallback == "openvino: cannot start: no plugin \ufffd\ufffd (not UTF-8)"


@pytest.mark.parametrize(
    "error", [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), TypeError("odd"), MemoryError()]
)
def test_whatever_an_engine_raises_while_running_is_an_engine_error(
    engine: EngineName, extractor: Model, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    session = open_session(extractor, engine, Resources(1))
    inside = {"openvino": "openvino.InferRequest.infer", "onnxruntime": "onnxruntime.InferenceSession.run"}
    with monkeypatch.context() as patch:
        patch.setattr(inside[engine], refuse)
        with pytest.raises(EngineError, match=rf"(?i)^{engine} failed: \S") as refusal:
            _run(session, _images(1)[0])
    assert refusal.value.__cause__ is error
    assert "\n" not in str(refusal.value)
    [image] = _images(1)
    np.testing.assert_allclose(_run(session, image), _embedding(image), atol=1e-5)


def test_a_compiled_model_that_openvino_cannot_even_name_is_compiled_again(
    extractor: Model, tmp_path: Path, compiling: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")

    def refuse(*_: object) -> None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid")

    monkeypatch.setattr(openvino.Core, "import_model", refuse)
    first, second = _two_answers(extractor, tmp_path)
    assert first == second
    assert compiling == ["extractor"] * 2


def test_an_engine_that_breaks_at_its_import_is_named(extractor: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a library built for another NumPy does, in many lines and by any exception."""

    class Breaking:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "openvino":
                raise AttributeError("_ARRAY_API not found\nin many lines")

    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.delitem(sys.modules, "shitu_edge.engines.openvino", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Breaking(), *sys.meta_path])
    with pytest.raises(EngineError, match=r"openvino: cannot be loaded \(_ARRAY_API not found\); reinstall openvino$"):
        open_session(extractor, "openvino", Resources(1))


def test_a_folder_whose_name_is_not_utf8(engine: EngineName, networks: Path, tmp_path: Path) -> None:
    """商店 as a system of GBK writes it."""
    folder = os.fsencode(tmp_path) + b"/\xc9\xcc\xb5\xea"
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("the file system takes UTF-8 alone")
    path = Path(os.fsdecode(folder)) / "extractor.onnx"
    path.write_bytes((networks / "extractor.onnx").read_bytes())
    [image] = _images(1)
    answer = _run(open_session(_model(path), engine, Resources(1)), image)
    np.testing.assert_allclose(answer, _embedding(image), atol=1e-5)


@pytest.mark.parametrize(
    "shapes",
    [{"photo": EXTRACTOR_SHAPE}, {"image": EXTRACTOR_SHAPE, "scale_factor": (1, 2)}],
    ids=["another name", "one too many"],
)
def test_inputs_that_the_network_has_not(
    engine: EngineName, networks: Path, shapes: dict[str, tuple[int, ...]]
) -> None:
    with pytest.raises(EngineError, match=r"extractor\.onnx has the inputs \['image'\], expected \["):
        open_session(_model(networks / "extractor.onnx", shapes), engine, Resources(1))


def test_an_input_that_nobody_would_feed(engine: EngineName, tmp_path: Path) -> None:
    path = tmp_path / "sum.onnx"
    sides = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in ("image", "more", "sum")
    ]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["image", "more"], ["sum"])], "sum", sides[:2], sides[2:]
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8), path)
    with pytest.raises(EngineError, match=r"sum\.onnx has the inputs \['image', 'more'\], expected \['image'\]"):
        open_session(_model(path, {"image": (1, 2)}), engine, Resources(1))


def test_a_format_that_the_engine_does_not_read(engine: EngineName) -> None:
    model = Model("tiny", "int8", ("tensorrt",), lambda _: ModelFiles((), ""), {})
    with pytest.raises(EngineError, match=rf"{engine}: needs int8 files as .*onnx.*, found tensorrt"):
        open_session(model, engine, Resources(1))


def test_an_unknown_engine(extractor: Model) -> None:
    with pytest.raises(EngineError, match="unknown engine 'tensorrt'; expected auto, openvino, onnxruntime"):
        open_session(extractor, "tensorrt", Resources(1))  # type: ignore[arg-type]


def _uninstall(monkeypatch: pytest.MonkeyPatch, *engines: str) -> None:
    for engine in engines:
        monkeypatch.setitem(sys.modules, engine, None)
        monkeypatch.delitem(sys.modules, f"shitu_edge.engines.{engine}", raising=False)


def test_auto_falls_back_and_says_why(
    extractor: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("onnxruntime")
    _uninstall(monkeypatch, "openvino")
    with caplog.at_level(logging.WARNING):
        session = open_session(extractor, "auto", Resources(1))
    assert session.info.engine == "onnxruntime"
    assert session.info.fallback is not None
    assert session.info.fallback.startswith("openvino: is not installed (")
    assert "pip install openvino" in session.info.fallback
    assert [record.getMessage() for record in caplog.records] == [
        f"extractor runs on onnxruntime in fp32: {session.info.fallback}"
    ]
    [image] = _images(1)
    np.testing.assert_allclose(_run(session, image), _embedding(image), atol=1e-5)


def test_auto_takes_the_first(extractor: Model, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("openvino")
    session = open_session(extractor, "auto", Resources(1))
    assert (session.info.engine, session.info.fallback) == (ENGINES[0], None)
    assert not caplog.records


def test_a_demanded_engine_does_not_fall_back(extractor: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    _uninstall(monkeypatch, "openvino")
    with pytest.raises(EngineError, match="extractor cannot run: openvino: is not installed"):
        open_session(extractor, "openvino", Resources(1))


def test_without_any_engine(extractor: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    _uninstall(monkeypatch, *ENGINES)
    with pytest.raises(EngineError, match=r"openvino: is not installed .*; onnxruntime: is not installed"):
        open_session(extractor, "auto", Resources(1))


def test_openvino_that_cannot_start_is_fallen_back_from(extractor: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its plugins are missing."""
    openvino = pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")

    def refuse() -> None:
        raise RuntimeError("Exception from src/core.cpp:1:\nCannot open plugins.xml\n")

    monkeypatch.setattr(openvino, "Core", refuse)
    session = open_session(extractor, "auto", Resources(1))
    assert (session.info.engine, session.info.fallback) == (
        "onnxruntime",
        "openvino: cannot start: Cannot open plugins.xml",
    )


def test_onnxruntime_has_no_bf16(networks: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(EngineError, match="onnxruntime: does not compute in bf16"):
        open_session(_model(networks / "extractor.onnx", precision="bf16"), "onnxruntime", Resources(1))


def test_openvino_has_bf16_where_the_cpu_has(networks: Path) -> None:
    openvino = pytest.importorskip("openvino")
    model = _model(networks / "extractor.onnx", precision="bf16")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        session = open_session(model, "openvino", Resources(1))
        assert session.info.precision == "bf16"
        [image] = _images(1)
        np.testing.assert_allclose(_run(session, image), _embedding(image), atol=0.02)
    else:
        with pytest.raises(EngineError, match="this CPU has no bf16"):
            open_session(model, "openvino", Resources(1))


def test_openvino_on_a_cpu_without_bf16(networks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = pytest.importorskip("openvino")
    core = openvino.Core

    class OlderCore:
        def get_property(self, device: str, name: str) -> Any:
            return ["FP32", "INT8"] if name == "OPTIMIZATION_CAPABILITIES" else core().get_property(device, name)

    monkeypatch.setattr(openvino, "Core", OlderCore)
    with pytest.raises(EngineError, match="openvino: this CPU does not compute in bf16; choose fp32 or int8"):
        open_session(_model(networks / "extractor.onnx", precision="bf16"), "openvino", Resources(1))


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the networks that OpenVINO compiled; those imported from the cache are not among them."""
    module = pytest.importorskip("shitu_edge.engines.openvino", exc_type=ImportError)
    compiled: list[str] = []
    read = module._read

    def observed(core: Any, paths: tuple[Path, ...], model: Model) -> Any:
        compiled.append(model.name)
        return read(core, paths, model)

    monkeypatch.setattr(module, "_read", observed)
    return compiled


def _two_answers(model: Model, cache: Path) -> tuple[bytes, bytes]:
    [image] = _images(1)
    first, second = (_run(open_session(model, "openvino", Resources(1, 1, cache)), image) for _ in range(2))
    np.testing.assert_allclose(first, _embedding(image), atol=1e-5)
    return first.tobytes(), second.tobytes()


def test_second_opening_imports_the_compiled_model(extractor: Model, tmp_path: Path, compiling: list[str]) -> None:
    first, second = _two_answers(extractor, tmp_path)
    assert compiling == ["extractor"]
    assert first == second
    assert [path.suffix for path in tmp_path.iterdir()] == [".blob"]


def test_a_compiled_model_of_several_streams(extractor: Model, tmp_path: Path, compiling: list[str]) -> None:
    images = _images(50)
    for _ in range(2):
        session = open_session(extractor, "openvino", Resources(2, 2, tmp_path))
        with ThreadPoolExecutor(8) as workers:
            answers = list(workers.map(lambda image, session=session: _run(session, image), images))
        np.testing.assert_allclose(np.concatenate(answers), np.concatenate([*map(_embedding, images)]), atol=1e-5)
    assert compiling == ["extractor"]


def test_other_threads_streams_files_and_shapes_are_other_entries(
    extractor: Model, networks: Path, tmp_path: Path, compiling: list[str]
) -> None:
    detector = _model(networks / "detector.onnx", {"image": (1, 3, SIDE, SIDE)})
    wide = _model(networks / "extractor.onnx", {"image": (2, 3, 32, 32)})
    for _ in range(2):
        for model, threads, streams in (
            (extractor, 1, 1),
            (extractor, 2, 1),
            (extractor, 2, 2),
            (detector, 1, 1),
            (wide, 1, 1),
        ):
            open_session(model, "openvino", Resources(threads, streams, tmp_path))
    assert len(compiling) == 5
    assert len(list(tmp_path.iterdir())) == 5


def test_a_damaged_compiled_model_is_compiled_again(extractor: Model, tmp_path: Path, compiling: list[str]) -> None:
    first, _ = _two_answers(extractor, tmp_path)
    [entry] = tmp_path.iterdir()
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes(content)

    third, fourth = _two_answers(extractor, tmp_path)

    assert {first, third, fourth} == {first}
    assert compiling == ["extractor"] * 2


@pytest.mark.parametrize("blob", [b"", b"made by another build", bytes(5000)])
def test_a_whole_but_useless_compiled_model_is_compiled_again(
    extractor: Model, tmp_path: Path, compiling: list[str], monkeypatch: pytest.MonkeyPatch, blob: bytes
) -> None:
    monkeypatch.setattr(BlobCache, "read", lambda *_: blob)
    first, second = _two_answers(extractor, tmp_path)
    assert first == second
    assert compiling == ["extractor"] * 2


def test_without_a_cache_nothing_is_written(extractor: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.chdir(tmp_path)
    open_session(extractor, "openvino", Resources(1))
    assert list(tmp_path.iterdir()) == []


# Recognizes with one engine in a process where the other cannot be imported.
_WITH_ONE_ENGINE = """
import json, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == sys.argv[1]:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
from shitu_edge import Gallery, Recognizer

with Recognizer.open(sys.argv[2], threads=1) as recognizer:
    extractor = recognizer.bundle.manifest.extractor
    Gallery.create(sys.argv[3], extractor="tiny", fingerprint=extractor.fingerprint, dim=extractor.dim).close()
with Recognizer.open(sys.argv[2], sys.argv[3], threads=1) as recognizer:
    recognizer.enroll("cocoa", sys.argv[4])
    answer = recognizer.recognize(sys.argv[4])
try:
    Recognizer.open(sys.argv[2], engine=sys.argv[1])
    refusal = None
except Exception as error:
    refusal = f"{type(error).__name__}: {error}"
print(json.dumps([answer.as_dict(), refusal]))
"""


@pytest.mark.parametrize("missing", ENGINES)
def test_one_engine_is_enough(tiny_bundle: Path, tmp_path: Path, missing: str) -> None:
    [present] = set(ENGINES) - {missing}
    pytest.importorskip(present)
    write_photo(tmp_path / "cocoa.png")
    arguments = [missing, str(tiny_bundle), str(tmp_path / "shop.gallery"), str(tmp_path / "cocoa.png")]
    command = [sys.executable, "-c", _WITH_ONE_ENGINE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answer, refusal = json.loads(done.stdout)
    assert {item["label"] for item in answer["items"]} == {"cocoa"}
    assert answer["made_by"]["extractor"]["engine"] == answer["made_by"]["detector"]["engine"] == present
    assert (f"{missing} is blocked" in (answer["made_by"]["extractor"]["fallback"] or "")) == (missing == ENGINES[0])
    assert refusal.startswith("NoEngineError: ")
    assert f"{missing} is blocked" in refusal
