"""Kinds of networks, by the structure of their graph: a PicoDet with or without what follows its head, an extractor.

PicoDet (Yu et al. 2021, arXiv 2111.00902) predicts, at several strides, scores by a sigmoid and the distances to a
box's sides as distributions over bins (generalized focal loss). What follows differs between exports: loops, branches,
decoding, suppression. All of that is found by walking back from the end, not by names: scores are reached through ops
that only move values, distributions through the softmax that is multiplied with 0, 1, 2, ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shitu_edge.errors import OptionError
from shitu_edge.ranges import require_number

from .errors import ModelError
from .graph import CONTROL_FLOW, Graph, Op

_MOVES_FIRST = frozenset(
    {"transpose", "reshape", "slice", "strided_slice", "squeeze", "unsqueeze", "flatten", "gather", "assign", "cast"}
    | {"identity", "scale", "share_data", "dropout"}
)
_MOVES_ALL = frozenset({"concat", "stack", "combine", "phi", "select_input", "array_write", "array_to_tensor"})
_ENDS_OF_SCORES = frozenset({"sigmoid", "sqrt", "pow"})
_LIMITS = frozenset({"clip", "maximum", "minimum"})
_UNLIMITED = 1 << 20
_CHANNELS_LAST = ((0, 2, 3, 1), (0, 2, 1))


class Parameters(Protocol):
    """A graph and the values of its parameters."""

    @property
    def graph(self) -> Graph:
        """The graph."""

    def array(self, name: str) -> NDArray[Any]:
        """Return a parameter's values."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """The non-maximum suppression that an export carries; `pre_nms_top_k` counts per level, None is without limit."""

    type: str
    iou: float
    top_k: int
    keep_top_k: int
    score_threshold: float
    pre_nms_top_k: int | None


@dataclass(frozen=True, slots=True)
class PicoDet:
    """A PicoDet: the values where its head ends, and what follows them in this export.

    `scores` and `distances` are not paired yet: shapes do that, see `cut.pair_levels`. `clips` says whether boxes are
    clipped to the image before they are suppressed. `projection` are the bins' distances, () where the graph does not
    say: 0, 1, 2, ... but for rounding in some exports.
    """

    image: str
    scores: tuple[str, ...]
    distances: tuple[str, ...]
    projection: tuple[float, ...]
    suppression: Suppression | None
    clips: bool
    control_flow: bool
    decodes: bool

    @property
    def kind(self) -> str:
        """Its name for people."""
        if self.suppression:
            return "PicoDet with post-processing in the graph" + (" (control flow)" if self.control_flow else "")
        return "PicoDet with boxes decoded, without NMS" if self.decodes else "PicoDet, raw head"


@dataclass(frozen=True, slots=True)
class Extractor:
    """An extractor: one image in, one row of `dim` numbers out."""

    image: str
    output: str
    dim: int
    kind: str


@dataclass(frozen=True, slots=True)
class Other:
    """A network of another kind."""

    kind: str = "other"


def recognize(model: Parameters) -> PicoDet | Extractor | Other:
    """Say what a network is.

    Raises:
        ModelError: an op's settings are no numbers.
    """
    graph = model.graph
    image = image_input(graph)
    if image is None:
        return Other("other: no input of images (N, 3, H, W)")
    found = _find_picodet(model, image)
    if found:
        return found
    if any(op.kind == "nms" for op in graph.ops):
        return Other("other: a detector, but no PicoDet")
    if len(graph.inputs) == len(graph.outputs) == 1:
        shape = _collapse(graph.shape(graph.outputs[0]))
        if len(shape) == 2 and shape[1] > 1:
            return Extractor(image, graph.outputs[0], shape[1], _extractor_kind(graph))
    return Other()


def image_input(graph: Graph) -> str | None:
    """Return the one input of images (N, 3, H, W), None where there is none or several."""
    images = [name for name in graph.inputs if len(graph.shape(name)) == 4 and graph.shape(name)[1] == 3]
    return images[0] if len(images) == 1 else None


def _extractor_kind(graph: Graph) -> str:
    """Tell V1 (PPLCNet, a fully connected neck) from V2 (PPLCNetV2 without HSwish, a batch-norm neck)."""
    last = next((op.kind for op in _walk_back(graph, graph.outputs[0])), "")
    activations = {op.kind for op in graph.ops} & {"hardswish", "relu"}
    if last == "batch_norm" and "hardswish" not in activations:
        return "extractor V2 (PPLCNetV2, batch-norm neck)"
    if last in ("add", "matmul", "linear") and "hardswish" in activations:
        return "extractor V1 (PPLCNet, fully connected neck)"
    return "extractor"


def _find_picodet(model: Parameters, image: str) -> PicoDet | None:
    graph = model.graph
    suppressor = next((op for op in graph.ops if op.kind == "nms"), None)
    roots = suppressor.inputs[:2] if suppressor else graph.outputs
    scores = _in_order(graph, (name for root in roots for name in _score_ends(graph, root)))
    softmaxes = {id(op): projection for op, projection in _distributions(model)}
    decoders = [op for op in graph.upstream(roots) if id(op) in softmaxes]
    if decoders:
        found = [_channels_last(graph, op.inputs[0], 4 * len(softmaxes[id(op)])) for op in decoders]
        distances = _in_order(graph, (name for name in found if name))
        projections = {softmaxes[id(op)] for op in decoders}
    else:
        distances = tuple(name for name in graph.outputs if not set(_score_ends(graph, name)))
        projections = {()}
    if not scores or len(scores) != len(distances) or len(projections) > 1:
        return None
    return PicoDet(
        image=image,
        scores=scores,
        distances=distances,
        projection=projections.pop(),
        suppression=_suppression(model, suppressor, scores + distances) if suppressor else None,
        clips=_clips(graph, roots, decoders),
        control_flow=any(op.kind in CONTROL_FLOW for op in graph.ops),
        decodes=bool(decoders),
    )


def _score_ends(graph: Graph, root: str) -> Iterator[str]:
    """Yield the values that come out of a sigmoid (or a square root of two) and reach the root unchanged."""
    for op in _walk_back(graph, root):
        if op.kind in _ENDS_OF_SCORES:
            yield from (name for name in op.outputs if name in graph.outer)


def _walk_back(graph: Graph, root: str) -> Iterator[Op]:
    """Yield the ops that a value comes from when only ops that move values lie between."""
    waiting, seen = [root], {root}
    while waiting:
        for op in graph.makers.get(waiting.pop(), ()):
            if op.kind in _MOVES_ALL:
                following = op.inputs
            elif op.kind in _MOVES_FIRST:
                following = op.inputs[:1]
            else:
                yield op
                continue
            waiting += [name for name in following if name not in seen]
            seen.update(following)


def _distributions(model: Parameters) -> Iterator[tuple[Op, tuple[float, ...]]]:
    """Yield every softmax whose result is multiplied with the constants 0, 1, 2, ... and these constants.

    Some versions of Paddle round them badly (3.0003), hence the tolerance.
    """
    graph = model.graph
    softmaxes = {name: op for op in graph.ops if op.kind == "softmax" and op.inputs for name in op.outputs}
    for op in graph.ops:
        if op.kind not in ("matmul", "linear", "conv2d"):
            continue
        constants = [name for name in op.inputs if name in graph.parameters]
        sources = [softmaxes[name] for name in _plain_sources(graph, op.inputs) if name in softmaxes]
        if len(constants) == len(sources) == 1:
            values = np.ravel(model.array(constants[0]))
            if values.size > 1 and np.allclose(values, np.arange(values.size), rtol=0, atol=0.01):
                yield sources[0], tuple(map(float, values))


def _plain_sources(graph: Graph, names: tuple[str, ...]) -> Iterator[str]:
    """Yield the values and what they were before being moved."""
    waiting, seen = list(names), set(names)
    while waiting:
        yield waiting[-1]
        makers = graph.makers.get(waiting.pop(), ())
        found = [name for op in makers if op.kind in _MOVES_FIRST for name in op.inputs[:1] if name not in seen]
        waiting += found
        seen.update(found)


def _channels_last(graph: Graph, name: str, channels: int) -> str | None:
    """Return the value outside loops that holds `channels` numbers an anchor, anchor by anchor, and becomes `name`."""
    seen: set[str] = set()
    while name not in seen:
        seen.add(name)
        makers = graph.makers.get(name, ())
        op = makers[0] if makers else None
        if op is None or op.kind not in _MOVES_FIRST | {"phi"} or not op.inputs:
            return None
        turned = op.kind == "transpose" and _permutation(op) in _CHANNELS_LAST
        if turned and name in graph.outer and graph.shape(name)[-1:] == (channels,):
            return name
        name = op.inputs[0]
    return None


def _permutation(op: Op) -> tuple[int, ...]:
    order = op.attributes.get("axis") or op.attributes.get("perm")
    return order if isinstance(order, tuple) else tuple(order) if isinstance(order, list) else ()


def _clips(graph: Graph, roots: tuple[str, ...], decoders: list[Op]) -> bool:
    """Say whether anything limits the boxes between their decoding and the suppression."""
    if not decoders:
        return True  # nothing follows, so nothing is known; PP-ShiTu's own graph clips
    limits = [op for op in graph.upstream(roots) if op.kind in _LIMITS]
    return any(decoder in graph.upstream(op.inputs) for op in limits for decoder in decoders[:1])


def _suppression(model: Parameters, op: Op, head: tuple[str, ...]) -> Suppression:
    before = {id(other) for other in model.graph.upstream(head)}  # heads may look for the best of their bins themselves
    found = [other for other in model.graph.ops if other.kind == "topk" and id(other) not in before]
    top_ks = [_number(other, "k", _constant(model, other, 1, "k")) for other in found]
    if op.type == "NonMaxSuppression":
        limit, iou, score = (_number(op, "input", _constant(model, op, position, "")) for position in (2, 3, 4))
        return Suppression(op.type, round(iou or 0.6, 6), int(limit or 1000), 100, round(score or 0, 6), None)
    facts = {"nms_threshold": 0.6, "nms_top_k": 1000, "keep_top_k": 100, "score_threshold": 0, **op.attributes}
    return Suppression(
        type=op.type,
        iou=round(_number(op, "nms_threshold", facts["nms_threshold"]), 6),
        top_k=_limit(op, "nms_top_k", facts["nms_top_k"]),
        keep_top_k=_limit(op, "keep_top_k", facts["keep_top_k"]),
        score_threshold=round(_number(op, "score_threshold", facts["score_threshold"]), 6),
        pre_nms_top_k=int(max(top_ks)) if any(top_ks) else None,
    )


def _number(op: Op, name: str, value: Any) -> float:
    """Return a fact of an op, 0 where it is not known.

    Raises:
        ModelError: it is no number.
    """
    try:
        require_number(f"{op.type}: {name}", 0 if value is None else value, -1, 1 << 63)
    except OptionError as error:
        raise ModelError(f"damaged: {error}") from error
    return float(value or 0)


def _limit(op: Op, name: str, value: Any) -> int:
    """Return how many an op keeps; below 1 it keeps all of them."""
    limit = int(_number(op, name, value))
    return limit if limit > 0 else _UNLIMITED


def _constant(model: Parameters, op: Op, position: int, attribute: str) -> Any:
    """Return a constant that an op takes as an attribute or as an input, None when it is neither."""
    if attribute in op.attributes:
        return op.attributes[attribute]
    if position >= len(op.inputs):
        return None
    name = op.inputs[position]
    if name in model.graph.parameters:
        return next(iter(np.ravel(model.array(name)).tolist()), None)
    return next((maker.attributes.get("value") for maker in model.graph.makers.get(name, ())), None)


def _in_order(graph: Graph, names: Iterator[str]) -> tuple[str, ...]:
    """Return each value once, in the order in which the graph makes them."""
    wanted = set(names)
    made = (name for op in graph.ops if op.kind not in CONTROL_FLOW for name in op.outputs)
    return tuple(dict.fromkeys(name for name in made if name in wanted))


def _collapse(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop trailing dimensions of 1, which some exporters leave on a row."""
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape
