"""A model as somebody hands it over: a folder or a file, in one of three formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from shitu_edge.system.files import open_regular, read_json

from .errors import ModelError
from .graph import MAX_GRAPH_BYTES, Graph
from .onnx_model import read_onnx
from .pdmodel import read_pdmodel, read_pdmodel_graph
from .pir import read_pir, read_pir_graph

CONFIGURATIONS = ("inference.yml", "infer_cfg.yml", "deploy.yaml")
_CHECKPOINTS = ("*.pdparams", "*.pdopt", "*.pdstates")


class Model(Protocol):
    """A graph with its weights, in any format."""

    @property
    def path(self) -> Path:
        """The graph's file."""

    @property
    def weights_path(self) -> Path:
        """The file of the weights; of ONNX the same."""

    @property
    def graph(self) -> Graph:
        """The graph."""

    def array(self, name: str) -> NDArray[Any]:
        """Return a parameter's values."""

    def write_part(self, folder: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Path:
        """Write the part between inputs and outputs as a model of its own, for one image at a time."""


def open_model(place: Path) -> Model:
    """Open a model by its folder or by its graph's file.

    Raises:
        ModelError: there is none, it lacks a part, is damaged, or its weights are another model's.
    """
    path = find_graph(place)
    if path.suffix == ".onnx":
        return read_onnx(path)
    weights = find_weights(path)
    return read_pdmodel(path, weights) if path.suffix == ".pdmodel" else read_pir(path, weights)


def read_graph(path: Path) -> Graph:
    """Read a graph without its weights; `path` is what `find_graph` found."""
    if path.suffix == ".onnx":
        return read_onnx(path).graph
    return read_pdmodel_graph(path) if path.suffix == ".pdmodel" else read_pir_graph(path)


def find_graph(place: Path) -> Path:
    """Return the graph's file of a model that is named by it or by its folder.

    Raises:
        ModelError: there is none, or several; says what to do about a training checkpoint.
    """
    if place.suffix in (".pdparams", ".pdopt", ".pdstates"):
        raise _checkpoint(place)
    if place.is_file():
        if place.suffix not in (".pdmodel", ".json", ".onnx"):
            raise ModelError(f"{place}: no model: expected .pdmodel, inference.json or .onnx")
        return place
    if not place.is_dir():
        raise ModelError(f"{place}: no such file or folder")
    for pattern in ("*.pdmodel", "*.json", "*.onnx"):
        found = sorted(path for path in place.glob(pattern) if pattern != "*.json" or _is_pir(path))
        preferred = [path for path in found if path.stem in ("inference", "model")] or found
        if len(preferred) > 1:
            raise ModelError(f"{place}: several models: name one of {', '.join(path.name for path in preferred)}")
        if preferred:
            return preferred[0]
    checkpoints = [path for pattern in _CHECKPOINTS for path in sorted(place.glob(pattern))]
    if checkpoints:
        raise _checkpoint(checkpoints[0])
    other = next((f"; {path.name} is no Paddle program" for path in sorted(place.glob("*.json"))), "")
    raise ModelError(
        f"{place}: holds no model: expected inference.pdmodel or inference.json beside inference.pdiparams, or a "
        f".onnx{other}"
    )


def find_weights(graph: Path) -> Path:
    """Return the file of a Paddle graph's weights.

    Raises:
        ModelError: there is none.
    """
    own = graph.with_suffix(".pdiparams")
    if own.is_file():
        return own
    others = sorted(graph.parent.glob("*.pdiparams"))
    if len(others) == 1:
        return others[0]
    hint = "; a .pdparams is a training checkpoint, not these" if list(graph.parent.glob("*.pdparams")) else ""
    raise ModelError(f"{graph}: its weights are missing: expected {own.name} beside it{hint}")


def find_configuration(graph: Path) -> Path | None:
    """Return the file beside a graph that says how its input is made, None without one."""
    return next((graph.parent / name for name in CONFIGURATIONS if (graph.parent / name).is_file()), None)


def _is_pir(path: Path) -> bool:
    try:
        with open_regular(path) as stream:
            if b'"base_code"' in stream.read(4096):
                return True
        stored = read_json(path, MAX_GRAPH_BYTES)
    except (OSError, ValueError):
        return False
    return isinstance(stored, dict) and stored.get("base_code") is not None


def _checkpoint(path: Path) -> ModelError:
    return ModelError(
        f"{path}: a training checkpoint, which holds weights but no graph: export it first, with PaddleClas' "
        "tools/export_model.py or PaddleDetection's tools/export_model.py (-o Global.pretrained_model / weights=...)"
    )
