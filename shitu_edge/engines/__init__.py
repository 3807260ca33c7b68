"""Inference engines behind one `Session`. `open_session` chooses; an engine is imported when it is chosen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from ..errors import EngineError
from ..results import EngineInfo

_log = logging.getLogger(__name__)

EngineName = Literal["auto", "openvino", "onnxruntime"]
Tensors = Mapping[str, NDArray[Any]]

ENGINES: tuple[EngineName, ...] = ("openvino", "onnxruntime")
"""In the order that `auto` tries them."""


class Session(Protocol):
    """A network, loaded and compiled for fixed input shapes."""

    info: EngineInfo

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Infer once: input arrays by name to new output arrays by name. Thread-safe.

        Raises:
            EngineError: an input is missing or of the wrong shape, or the engine fails.
        """


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A network's files in one format, starting with the one to open, and a digest of their content."""

    paths: tuple[Path, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Model:
    """A network to load.

    Attributes:
        name: for messages.
        precision: `fp32`, `fp16`, `int8` (as the files are) or `bf16` (fp32 files, computed in bfloat16).
        formats: available file formats.
        locate: checks and returns the files of a format; called only for the loaded one.
        shapes: the fixed shape of every input, by name.
    """

    name: str
    precision: str
    formats: tuple[str, ...]
    locate: Callable[[str], ModelFiles]
    shapes: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Resources:
    """A session's threads in all, concurrent requests (`streams`), and cache folder for compiled models."""

    threads: int
    streams: int = 1
    cache: Path | None = None


class NoEngineError(EngineError):
    """No engine can run a network; `reasons` has one per engine that was tried."""

    def __init__(self, network: str, reasons: list[str]) -> None:
        super().__init__(f"{network} cannot run: {'; '.join(reasons)}")
        self.reasons = reasons


def open_session(model: Model, engine: EngineName, resources: Resources, earlier: str | None = None) -> Session:
    """Load a network.

    `auto` takes the first of `ENGINES` that works; the log and `Session.info` give the first failure, if any. `earlier`
    is a failure before this call.

    Raises:
        NoEngineError: the named engine, or each of them, is not installed, lacks a file format or rejects the network.
        BundleError: a file is missing or altered.
    """
    failures = [earlier] if earlier else []
    for candidate in ENGINES if engine == "auto" else (engine,):
        fallback = failures[0] if failures else None
        try:
            session: Session = _module(candidate).open_session(model, resources, fallback)
        except EngineError as error:
            failure = f"{candidate}: {error}"
            if failure != earlier:
                failures.append(failure)
            continue
        if fallback:
            _log.warning("%s runs on %s in %s: %s", model.name, candidate, model.precision, fallback)
        return session
    raise NoEngineError(model.name, failures)


def choose_format(model: Model, readable: tuple[str, ...]) -> str:
    """Return the first format of `readable` that the model has; raises `EngineError` if there is none."""
    for file_format in readable:
        if file_format in model.formats:
            return file_format
    raise EngineError(f"needs {model.precision} files as {' or '.join(readable)}, found {', '.join(model.formats)}")


def require_inputs(feeds: Tensors, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check the inputs of `Session.run`; raises `EngineError`."""
    for name, shape in shapes.items():
        if name not in feeds or feeds[name].shape != shape:
            found = feeds[name].shape if name in feeds else "nothing"
            raise EngineError(f"input {name}: expected shape {shape}, found {found}")


def _module(engine: str) -> Any:
    if engine not in ENGINES:
        raise EngineError(f"unknown engine {engine!r}; expected auto, {', '.join(ENGINES)}")
    try:
        return import_module(f".{engine}", __package__)
    except ModuleNotFoundError as error:
        raise EngineError(f"is not installed ({error}); pip install {engine}") from error
    except EngineError:
        raise
    except Exception as error:  # a broken native library may raise anything
        raise EngineError(f"cannot be loaded ({reason(error)}); reinstall {engine}") from error


def reason(error: Exception, line: int = 0) -> str:
    """Return a line of an engine's exception, in printable characters."""
    text, remark = str(error), ""
    if isinstance(error, UnicodeDecodeError):  # of text or a name in a file
        text, remark = error.object.decode(errors="replace"), " (not UTF-8)"
    lines = [part.strip() for part in text.splitlines() if part.strip()]
    shown = "".join(letter if letter.isprintable() else "?" for letter in lines[line][:300]) if lines else ""
    return shown + remark if shown else type(error).__name__
