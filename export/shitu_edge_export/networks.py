"""From a source to a converted network: recognized, cut where needed, converted by every route, described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from shitu_edge.bundle import DetectorSpec, ExtractorSpec, InputSpec, Network
from shitu_edge.system.digest import file_sha256

from .convert import Part, Route, convert
from .cut import describe_head
from .errors import ModelError
from .kinds import Extractor, PicoDet, recognize
from .preparation import DETECTOR, EXTRACTOR, Preparation, read_preparation
from .progress import Progress
from .source import Model, find_configuration, open_model

SpecT = TypeVar("SpecT", DetectorSpec, ExtractorSpec)
KindT = TypeVar("KindT", PicoDet, Extractor)

SCORE_THRESHOLD = 0.2
MAX_BOXES = 5
_FALLBACK_SIDES = {"detector": 640, "extractor": 224}


@dataclass(frozen=True, slots=True)
class Converted(Generic[SpecT, KindT]):
    """A converted network; `spec` names no files yet. `facts` are what the receipt says of it."""

    role: str
    model: Model
    kind: KindT
    part: Part
    routes: tuple[Route, ...]
    spec: SpecT
    facts: Mapping[str, Any]

    @property
    def best(self) -> Route:
        """The route whose files the bundle carries: through ONNX if it went all the way, as both formats then agree."""
        return next(route for route in self.routes if route.ir is not None)


def convert_detector(
    place: Path, folder: Path, input_size: int | None, progress: Progress
) -> Converted[DetectorSpec, PicoDet]:
    """Cut a PicoDet to its head and convert it, for one image of a fixed size.

    Args:
        place: the model's folder or file.
        folder: for intermediate and finished files.
        input_size: sides of another input than the model's own.

    Raises:
        ModelError: it is no PicoDet, or cannot be given that size.
        ConversionError: no route converts it.
    """
    model = open_model(place)
    kind = recognize(model)
    if not isinstance(kind, PicoDet):
        raise ModelError(f"{model.path}: expected a PicoDet detector, found: {kind.kind}")
    preparation = read_preparation(find_configuration(model.path), DETECTOR)
    height, width = fixed_sides(model, kind.image, preparation, input_size, "detector")
    values = kind.scores + kind.distances
    path = model.write_part(folder / "part", [kind.image], values)
    names = tuple(f"scores_{n}" for n in range(len(kind.scores)))
    names += tuple(f"distances_{n}" for n in range(len(kind.distances)))
    part = make_part(model, kind.image, path, path.with_suffix(".pdiparams"), (1, 3, height, width), names, values)
    routes = convert(part, folder, progress)
    converted = next(route for route in routes if route and route.ir)
    shapes = _output_shapes(converted)
    head = describe_head(kind, [shapes[name] for name in names], names, height, width)
    spec = DetectorSpec(
        _network(model, part, preparation, height, width), head, score_threshold=SCORE_THRESHOLD, max_boxes=MAX_BOXES
    )
    facts = network_facts(model, kind.kind, part, converted)
    return Converted("detector", model, kind, part, tuple(filter(None, routes)), spec, facts)


def convert_extractor(
    place: Path, folder: Path, input_size: int | None, progress: Progress
) -> Converted[ExtractorSpec, Extractor]:
    """Convert an extractor as it is, for any number of crops at a time; see `convert_detector`."""
    model = open_model(place)
    kind = recognize(model)
    if not isinstance(kind, Extractor):
        raise ModelError(f"{model.path}: expected an extractor (an image in, a vector out), found: {kind.kind}")
    preparation = read_preparation(find_configuration(model.path), EXTRACTOR)
    height, width = fixed_sides(model, kind.image, preparation, input_size, "extractor")
    shape = (-1, 3, height, width)
    part = make_part(model, kind.image, model.path, model.weights_path, shape, ("embedding",), (kind.output,))
    routes = convert(part, folder, progress)
    spec = ExtractorSpec(_network(model, part, preparation, height, width), "embedding", kind.dim)
    facts = network_facts(model, kind.kind, part, next(route for route in routes if route and route.ir))
    return Converted("extractor", model, kind, part, tuple(filter(None, routes)), spec, facts)


def fixed_sides(
    model: Model, image: str, preparation: Preparation, input_size: int | None, role: str
) -> tuple[int, int]:
    """Return height and width: those asked for, else the graph's, else the description's, else PP-ShiTu's."""
    if input_size is not None:
        return input_size, input_size
    _, _, height, width = model.graph.shape(image)
    fallback = _FALLBACK_SIDES[role]
    return (
        height if height > 0 else preparation.height or fallback,
        width if width > 0 else preparation.width or fallback,
    )


def make_part(
    model: Model,
    image: str,
    path: Path,
    weights: Path,
    shape: tuple[int, ...],
    outputs: tuple[str, ...],
    values: tuple[str, ...],
) -> Part:
    """Describe what is converted: a file of the model or of a part of it, that makes `values`, named `outputs`."""
    name = dict(zip(model.graph.inputs, model.graph.input_names, strict=True))[image]
    return Part(path, weights, {name: shape}, outputs, tuple(model.graph.upstream(values)))


def _network(model: Model, part: Part, preparation: Preparation, height: int, width: int) -> Network:
    (name,) = part.shapes
    entry = InputSpec(
        name,
        height,
        width,
        preparation.resize,
        scale=preparation.scale,
        mean=preparation.mean,
        std=preparation.std,
    )
    title = model.path.parent.name if model.path.stem in ("inference", "model") else model.path.stem
    source = f"{title}/{model.path.name}" if title != model.path.stem else model.path.name
    return Network(title, source, file_sha256(model.weights_path), {}, entry)


def _output_shapes(route: Route) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of a converted network's outputs, -1 where they are free."""
    import openvino as ov

    network = ov.Core().read_model(str(route.ir))
    return {
        output.get_any_name(): tuple(dim.get_length() if dim.is_static else -1 for dim in output.partial_shape)
        for output in network.outputs
    }


def network_facts(model: Model, kind: str, part: Part, route: Route) -> Mapping[str, Any]:
    """Return what a receipt says of a source and its conversion."""
    shapes = _output_shapes(route)
    files = dict.fromkeys((model.path, model.weights_path))
    return {
        "kind": kind,
        "source": [{"file": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in files],
        "source_inputs": {
            name: list(model.graph.shape(value))
            for name, value in zip(model.graph.input_names, model.graph.inputs, strict=True)
        },
        "inputs": {name: list(shape) for name, shape in part.shapes.items()},
        "outputs": {name: list(shape) for name, shape in shapes.items()},
        "ops": {"source": len(model.graph.ops), "converted": len(part.ops)},
    }
