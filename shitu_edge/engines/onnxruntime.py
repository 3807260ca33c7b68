"""onnxruntime behind `Session`: reads ONNX, fp32 and int8, on the CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ..errors import EngineError
from ..forked import keep_in_children
from ..results import EngineInfo
from . import Model, Resources, Tensors, choose_format
from .telemetry import turned_off

with turned_off():
    import onnxruntime as ort

_ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True)
class OnnxRuntimeSession:
    """See `Session`. `InferenceSession.run` takes callers in parallel, so streams need nothing of their own."""

    info: EngineInfo
    _session: Any
    _shapes: dict[str, tuple[int, ...]]

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        for name, shape in self._shapes.items():
            if name not in feeds or feeds[name].shape != shape:
                found = feeds[name].shape if name in feeds else "nothing"
                raise EngineError(f"input {name}: expected shape {shape}, found {found}")
        try:
            outputs = self._session.run(None, dict(feeds))
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise EngineError(f"onnxruntime failed: {_first_line(error)}") from error
        return dict(zip((output.name for output in self._session.get_outputs()), outputs, strict=True))


def open_session(model: Model, resources: Resources, fallback: str | None) -> OnnxRuntimeSession:
    """Load a model; see `engines.open_session`."""
    if model.precision == "bf16":
        raise EngineError("has no bf16; choose fp32 or int8, or OpenVINO")
    files = model.locate(choose_format(model, ("onnx",)))
    options = ort.SessionOptions()
    options.intra_op_num_threads = max(1, resources.threads // resources.streams)
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    ort.disable_telemetry_events()  # on Windows, or where the program had imported onnxruntime before us
    try:
        session = ort.InferenceSession(str(files.paths[0]), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise EngineError(f"refuses {files.paths[0].name}: {_first_line(error)}") from error
    keep_in_children(session)
    names = {value.name for value in session.get_inputs()}
    if names != set(model.shapes):
        raise EngineError(f"{files.paths[0].name} has the inputs {sorted(names)}, expected {sorted(model.shapes)}")
    info = EngineInfo("onnxruntime", ort.__version__, model.precision, resources.threads, fallback)
    return OnnxRuntimeSession(info, session, dict(model.shapes))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
