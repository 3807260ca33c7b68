"""A part of a model → ONNX and OpenVINO IR, by two routes that share nothing but the part.

    Paddle ─paddle2onnx→ ONNX ─OpenVINO→ IR        both formats of a bundle
    Paddle ─OpenVINO's own frontend→ IR            .pdmodel only; checks the first route, and stands in for its IR

An ONNX model as a source only takes the second half of the first route. Every converter runs in a process of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from . import isolate
from .errors import ConversionError, ModelError
from .graph import Op
from .onnx_model import free_cells, mend_shared_norms, name_outputs, resize_input
from .operators import find_unknown
from .progress import Progress
from .worker import OPSET

ONNX_ROUTE = "paddle2onnx"
SOURCE_ROUTE = "onnx"
FRONTEND_ROUTE = "openvino-frontend"


@dataclass(frozen=True, slots=True)
class Route:
    """Files that one route made of a part, or the reason why it made none; `versions` are those of its tools."""

    name: str
    onnx: Path | None = None
    ir: Path | None = None
    error: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """A part to convert: a file of any format, its weights, its input shapes, and names for its outputs in order."""

    path: Path
    weights: Path
    shapes: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    ops: Sequence[Op]


def convert(part: Part, folder: Path, progress: Progress) -> tuple[Route, Route | None]:
    """Convert by both routes into `folder`.

    Returns:
        The route through ONNX and, for a `.pdmodel`, the frontend's. One of them may have failed: it says why.

    Raises:
        ConversionError: no route leads anywhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = _through_onnx(part, folder, progress)
    second = _by_frontend(part, folder, progress) if part.path.suffix == ".pdmodel" else None
    if first.ir is None and (second is None or second.ir is None):
        raise ConversionError("; ".join(route.error for route in (first, second) if route and route.error))
    return first, second


def _through_onnx(part: Part, folder: Path, progress: Progress) -> Route:
    target, ir = folder / "network.onnx", folder / "network.xml"
    name = SOURCE_ROUTE if part.path.suffix == ".onnx" else ONNX_ROUTE
    versions: dict[str, str] = {}
    try:
        if name == SOURCE_ROUTE:
            onnx.save(onnx.load(part.path), target)
        else:
            with progress.step("Paddle → ONNX by paddle2onnx"):
                versions |= _paddle_to_onnx(part, target)
            mend_shared_norms(target)
        for input_name, shape in part.shapes.items():
            resize_input(target, target, input_name, shape)
        if all(shape[0] == 1 for shape in part.shapes.values()):
            free_cells(target)
        name_outputs(target, part.outputs)
        with progress.step("ONNX → OpenVINO IR"):
            versions |= _to_ir(part, target, ir, "OpenVINO's ONNX frontend")
    except (ConversionError, ModelError) as error:
        return Route(name, onnx=target if target.is_file() else None, error=str(error), versions=versions)
    return Route(name, target, ir, versions=versions)


def _paddle_to_onnx(part: Part, target: Path) -> Mapping[str, str]:
    try:
        return isolate.run(
            "paddle_to_onnx",
            "paddle2onnx",
            [op.type for op in part.ops],
            graph=str(part.path),
            weights=str(part.weights),
            target=str(target),
            opset=OPSET,
        )
    except ConversionError as error:
        target.unlink(missing_ok=True)
        unknown = [op for converter, ops in find_unknown(part.ops).items() if "paddle2onnx" in converter for op in ops]
        if not unknown:
            raise
        raise ConversionError(f"paddle2onnx does not know {', '.join(unknown)}: {error}") from error


def _by_frontend(part: Part, folder: Path, progress: Progress) -> Route:
    ir = folder / "frontend.xml"
    try:
        with progress.step("Paddle → OpenVINO IR by its own frontend"):
            versions = _to_ir(part, part.path, ir, "OpenVINO's Paddle frontend")
    except ConversionError as error:
        return Route(FRONTEND_ROUTE, error=str(error))
    return Route(FRONTEND_ROUTE, ir=ir, versions=versions)


def _to_ir(part: Part, source: Path, ir: Path, what: str) -> Mapping[str, str]:
    facts = isolate.run(
        "to_ir",
        what,
        [op.type for op in part.ops],
        source=str(source),
        target=str(ir),
        shapes={name: list(shape) for name, shape in part.shapes.items()},
        outputs=list(part.outputs),
        half=False,
    )
    return {"openvino": facts["openvino"]}
