"""OpenVINO behind `Session`: reads IR, ONNX and TFLite; fp32, int8 and, if the CPU has it, bf16."""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineError
from ..results import EngineInfo
from ..system.cpu import is_described
from ..system.forked import Home, keep_in_children
from ..system.workers import require_threads
from . import Model, ModelFiles, Resources, Tensors, choose_format, reason, require_inputs
from .cache import BlobCache
from .telemetry import turned_off

with turned_off():
    import openvino as ov

_log = logging.getLogger(__name__)
_CPU = "CPU"
_LAST = -1
"""The line of its messages with the reason; source positions come first."""


@dataclass(frozen=True, slots=True)
class OpenVinoSession:
    """See `Session`. As many infer requests as streams; a caller beyond that waits for one."""

    info: EngineInfo
    _requests: SimpleQueue[Any]
    _outputs: tuple[tuple[str, ...], ...]
    """All names of each output; compiling may add some."""
    _shapes: dict[str, tuple[int, ...]]

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """See `Session.run`."""
        require_inputs(feeds, self._shapes)
        arrays = []  # a request borrows their memory without keeping them alive
        request = self._requests.get()
        try:
            for name in self._shapes:
                arrays.append(
                    np.require(feeds[name], requirements=("C", "W"))
                )  # OpenVINO cannot share read-only memory
                request.set_tensor(name, ov.Tensor(arrays[-1], shared_memory=True))
            request.infer(share_outputs=True)
            outputs = ((names, request.get_tensor(names[0]).data.copy()) for names in self._outputs)
            return {name: array for names, array in outputs for name in names}
        except Exception as error:  # RuntimeError, or a decoding error of its message
            raise EngineError(f"OpenVINO failed: {reason(error, _LAST)}") from error
        finally:
            self._requests.put(request)


def open_session(model: Model, resources: Resources, fallback: str | None) -> OpenVinoSession:
    """Load a model; see `engines.open_session`."""
    if not is_described():
        raise EngineError("cannot start: neither /proc/cpuinfo nor /sys/devices/system/cpu can be read; mount /proc")
    require_threads(2 * resources.threads + 2)  # twice, as the trial's threads may still be ending
    if not _first_home().is_here:  # it would hand out its parent's executors, whose threads are not here
        raise EngineError(
            "was in use before this process was forked, and may hang in it; start new processes (multiprocessing: "
            "spawn), or open recognizers only after the fork"
        )
    try:
        core = ov.Core()
        capabilities = core.get_property(_CPU, "OPTIMIZATION_CAPABILITIES")
    except Exception as error:
        raise EngineError(f"cannot start: {reason(error, _LAST)}") from error
    if model.precision == "bf16" and "BF16" not in capabilities:
        raise EngineError("this CPU does not compute in bf16; choose fp32 or int8")
    files = model.locate(choose_format(model, ("openvino", "onnx", "tflite")))
    requests: SimpleQueue[Any] = SimpleQueue()
    keep_in_children(requests)
    try:
        compiled = _compile(core, model, files, resources)
        for _ in range(resources.streams):
            requests.put(compiled.create_infer_request())
        outputs = tuple(tuple(sorted(output.get_names())) for output in compiled.outputs)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"refuses {files.paths[0].name}: {reason(error, _LAST)}") from error
    info = EngineInfo("openvino", ov.__version__.split("-")[0], model.precision, resources.threads, fallback)
    return OpenVinoSession(info, requests, outputs, dict(model.shapes))


@cache
def _first_home() -> Home:
    """Return the process of the first call."""
    return Home()


def _compile(core: Any, model: Model, files: ModelFiles, resources: Resources) -> Any:
    """Compile, or import from the cache for the same files, settings, engine and CPU."""
    config = {
        "INFERENCE_PRECISION_HINT": "bf16" if model.precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": resources.threads,
        "NUM_STREAMS": resources.streams,
        "ENABLE_CPU_PINNING": False,  # else two processes are pinned to the same cores
    }
    cache = BlobCache(resources.cache) if resources.cache else None
    cpu = core.get_property(_CPU, "FULL_DEVICE_NAME"), core.get_property(_CPU, "OPTIMIZATION_CAPABILITIES")
    key = repr((ov.__version__, platform.machine(), cpu, files.digest, sorted(config.items()), model.shapes))
    if cache and (blob := cache.read(key)) is not None:
        try:
            return core.import_model(blob, _CPU, config)
        except Exception as error:
            _log.warning("compiled model not usable, compiling again: %s", reason(error, _LAST))
    compiled = core.compile_model(_read(core, files.paths, model), _CPU, config)
    if cache:
        try:
            cache.write(key, compiled.export_model().getbuffer())
        except Exception as error:  # the compiled model runs anyway
            _log.warning("compiled model not cached: %s", reason(error, _LAST))
    return compiled


def _read(core: Any, paths: tuple[Path, ...], model: Model) -> Any:
    """Read a network and fix its input shapes."""
    weights = paths[1:2] if paths[0].suffix.lower() == ".xml" else ()  # ONNX names its further files
    network = core.read_model(*map(str, (paths[0], *weights)))
    inputs = [value.get_names() for value in network.inputs]  # an input may have several names
    names = set().union(*inputs)
    if set(model.shapes) - names or not all(aliases & set(model.shapes) for aliases in inputs):
        raise EngineError(f"{paths[0].name} has the inputs {sorted(names)}, expected {sorted(model.shapes)}")
    network.reshape({name: list(shape) for name, shape in model.shapes.items()})
    return network
