"""onnxruntime behind `Session`: reads ONNX, fp32 and int8, on the CPU."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from numpy.typing import NDArray

from ..errors import EngineError
from ..results import EngineInfo
from ..system.cpu import is_described
from ..system.forked import keep_in_children
from ..system.workers import require_threads
from . import Model, ModelFiles, Resources, Tensors, choose_format, reason, require_inputs
from .onnx_input import with_input_shapes
from .telemetry import turned_off


def _needs_proc() -> bool:
    """Return whether this version ends the process if /proc and /sys are hidden, some already when it is imported."""
    try:
        return tuple(map(int, version("onnxruntime").split(".")[:2])) < (1, 26)
    except (PackageNotFoundError, ValueError):  # another distribution of it
        return False


if _needs_proc() and not is_described():
    raise EngineError("cannot start: versions before 1.26 need /proc or /sys; mount /proc")
with turned_off():
    import onnxruntime as ort

_ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True)
class OnnxRuntimeSession:
    """See `Session`. `InferenceSession.run` is thread-safe, so streams share one session."""

    info: EngineInfo
    _session: Any
    _outputs: tuple[str, ...]
    _shapes: dict[str, tuple[int, ...]]

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        require_inputs(feeds, self._shapes)
        try:
            outputs = self._session.run(None, dict(feeds))
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise EngineError(f"onnxruntime failed: {reason(error)}") from error
        return dict(zip(self._outputs, outputs, strict=True))


def open_session(model: Model, resources: Resources, fallback: str | None) -> OnnxRuntimeSession:
    """Load a model; see `engines.open_session`."""
    if model.precision == "bf16":
        raise EngineError("does not compute in bf16; choose fp32 or int8, or OpenVINO")
    files = model.locate(choose_format(model, ("onnx",)))
    options = ort.SessionOptions()
    options.intra_op_num_threads = max(1, resources.threads // resources.streams)
    require_threads(options.intra_op_num_threads)
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    ort.disable_telemetry_events()  # on Windows, or if the program imported onnxruntime first
    try:
        session = _load(_source(files), options)
        if not _fits(session, model):
            session = _load(_reshaped(files, model), options)
        keep_in_children(session)
        names = {value.name for value in session.get_inputs()}
        outputs = tuple(value.name for value in session.get_outputs())
    except EngineError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise EngineError(f"refuses {files.paths[0].name}: {reason(error)}") from error
    if names != set(model.shapes):
        raise EngineError(f"{files.paths[0].name} has the inputs {sorted(names)}, expected {sorted(model.shapes)}")
    info = EngineInfo("onnxruntime", ort.__version__, model.precision, resources.threads, fallback)
    return OnnxRuntimeSession(info, session, outputs, dict(model.shapes))


def _load(source: str | bytes, options: Any) -> Any:
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"], enable_fallback=0)


def _fits(session: Any, model: Model) -> bool:
    """Return whether the inputs are free, or fixed to the shapes that they are to have."""
    fixed = {value.name: value.shape for value in session.get_inputs()}
    return all(
        not isinstance(side, int) or side == size
        for name, shape in model.shapes.items()
        for side, size in zip(fixed.get(name, shape), shape, strict=False)
    )


def _reshaped(files: ModelFiles, model: Model) -> bytes:
    """Return the content of a model, for other shapes than it is fixed to."""
    path, *others = files.paths
    if others:
        raise EngineError(f"{path.name} is fixed to its size, as its weights lie in other files")
    return with_input_shapes(path.read_bytes(), model.shapes)


def _source(files: ModelFiles) -> str | bytes:
    """Return the model's path, or its content if the path is not UTF-8, which onnxruntime cannot open."""
    path, *others = files.paths
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        if others:
            raise EngineError(
                f"cannot open several files in a folder whose name is not UTF-8: rename {path}"
            ) from error
        return path.read_bytes()
    return os.fspath(path)
