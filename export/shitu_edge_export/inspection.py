"""A model's kind and the ops that would not convert, before anything is converted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from .errors import ModelError
from .graph import Graph, Op
from .kinds import Extractor, Other, PicoDet, recognize
from .operators import find_unknown
from .source import Model, find_configuration, find_graph, open_model, read_graph

_FRONTEND = "OpenVINO"
_MOST_BINS = 1000


@dataclass(frozen=True, slots=True)
class Inspection:
    """The facts of a model; `unknown` are op types that a converter does not know, of the part that is converted."""

    path: Path
    kind: PicoDet | Extractor | Other
    graph: Graph
    parameters: int
    configuration: Path | None
    unknown: Mapping[str, tuple[str, ...]]
    left_behind: tuple[str, ...]
    weights: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        graph = self.graph
        return {
            "file": str(self.path),
            "kind": self.kind.kind,
            "inputs": {
                name: list(graph.shape(value)) for name, value in zip(graph.input_names, graph.inputs, strict=True)
            },
            "outputs": {name: list(graph.shape(name)) for name in graph.outputs},
            "parameters": self.parameters,
            "weights": self.weights,
            "preprocessing": str(self.configuration) if self.configuration else None,
            "ops": {str(block): dict(counts.most_common()) for block, counts in self.graph.count_types().items()},
            "not_convertible": {converter: list(ops) for converter, ops in self.unknown.items()},
            "left_behind": list(self.left_behind),
            **_kind_facts(self.kind),
        }

    def lines(self) -> Iterator[str]:
        """Yield what people read."""
        graph = self.graph
        yield f"{self.path}: {self.kind.kind}"
        for name, value in zip(graph.input_names, graph.inputs, strict=True):
            yield f"  input   {name} {_shape(graph, value)}"
        for value in graph.outputs:
            yield f"  output  {value} {_shape(graph, value)}"
        yield f"  {self.parameters:,} parameters{f'; {self.weights}' if self.weights else ''}"
        for name, fact in _kind_facts(self.kind).items():
            yield f"  {name.replace('_', ' ')}: {fact}"
        for block, counts in graph.count_types().items():
            listed = ", ".join(f"{count} {name}" for name, count in counts.most_common())
            yield f"  block {block}: {sum(counts.values())} ops: {listed}"
        if self.left_behind:
            yield f"  left behind by the cut: {', '.join(self.left_behind)}"
        for converter, ops in self.unknown.items():
            yield f"  {converter}: {'does not convert ' + ', '.join(ops) if ops else 'knows all ops'}"


def inspect(place: Path) -> Inspection:
    """Look at a model; missing weights are a fact, damaged ones an error.

    Raises:
        ModelError: there is no graph, or a file is damaged or another model's.
    """
    path = find_graph(place)
    model: Model | _Weightless
    try:
        model, weights = open_model(path), None
    except ModelError as error:
        if "weights are missing" not in str(error):
            raise
        model, weights = _Weightless(read_graph(path)), "its weights are missing, so that it cannot be converted"
    graph = model.graph
    kind = recognize(model)
    converted = list(graph.upstream(kind.scores + kind.distances)) if isinstance(kind, PicoDet) else list(graph.ops)
    return Inspection(
        path=path,
        kind=kind,
        graph=graph,
        parameters=_count(graph),
        configuration=find_configuration(path),
        unknown=_unknown(path, converted),
        left_behind=_left_behind(graph, converted),
        weights=weights,
    )


@dataclass(frozen=True, slots=True)
class _Weightless:
    """A graph whose parameters have no values: a PicoDet is then recognized by its scores and its raw levels alone."""

    graph: Graph

    def array(self, name: str) -> Any:
        """Return 0, 1, 2, ... of the parameter's size: the only constants that recognizing asks for."""
        import numpy as np

        return np.arange(min(prod(self.graph.shape(name)), _MOST_BINS), dtype=np.float32)


def _unknown(path: Path, ops: list[Op]) -> Mapping[str, tuple[str, ...]]:
    if path.suffix == ".onnx":
        return {}
    unknown = find_unknown(ops)
    if path.suffix == ".json":  # OpenVINO's frontend reads .pdmodel alone
        return {converter: ops for converter, ops in unknown.items() if not converter.startswith(_FRONTEND)}
    return unknown


def _left_behind(graph: Graph, converted: list[Op]) -> tuple[str, ...]:
    kept = {id(op) for op in converted}
    return tuple(sorted({op.type for op in graph.ops if id(op) not in kept and op.kind != "phi"}))


def _count(graph: Graph) -> int:
    return sum(prod(graph.shape(name)) for name in graph.parameters)


def _kind_facts(kind: PicoDet | Extractor | Other) -> dict[str, Any]:
    if isinstance(kind, Extractor):
        return {"embedding": kind.dim}
    if isinstance(kind, PicoDet):
        found = kind.suppression
        facts: dict[str, Any] = {"levels": len(kind.scores), "bins": len(kind.projection) or None}
        if found:
            facts["suppression"] = (
                f"{found.type}, IoU {found.iou}, top {found.top_k}, keeps {found.keep_top_k}, scores over "
                f"{found.score_threshold}"
            )
        return facts
    return {}


def _shape(graph: Graph, name: str) -> str:
    return " × ".join("N" if side < 0 else str(side) for side in graph.shape(name)) or "of unknown shape"
