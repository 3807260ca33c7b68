"""From a PicoDet's structure to the part that is converted, and from that part's outputs to `bundle.json`'s head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from shitu_edge.bundle import PicoDetLevels

from .errors import ModelError
from .kinds import PicoDet

Shape = tuple[int, ...]

_DEFAULT_IOU = 0.6
_DEFAULT_TOP_K = 1000
_DEFAULT_KEEP = 100


@dataclass(frozen=True, slots=True)
class Level:
    """One stride of a head: which of the score and of the distance outputs are its, and its number of anchors."""

    stride: int
    score: int
    distance: int
    anchors: int


def describe_head(
    detector: PicoDet, shapes: Sequence[Shape], names: Sequence[str], height: int, width: int
) -> PicoDetLevels:
    """Describe the head of a converted part whose outputs are the detector's scores, then its distances.

    Args:
        detector: what the part was cut from.
        shapes: of the part's outputs for one image of `height` × `width`.
        names: of the same outputs.

    Raises:
        ModelError: the outputs are no PicoDet levels of that input size.
    """
    suppression = detector.suppression
    if suppression and suppression.type.endswith("matrix_nms"):
        raise ModelError(
            f"{suppression.type}: the runtime suppresses by IoU alone; export the detector with MultiClassNMS"
        )
    count = len(detector.scores)
    scores, distances = shapes[:count], shapes[count:]
    levels = pair_levels(scores, distances, height, width)
    channels = distances[levels[0].distance][-1]
    classes = prod(scores[levels[0].score]) // levels[0].anchors
    top_k = suppression.top_k if suppression else _DEFAULT_TOP_K
    # Without a limit of its own a level may keep all; with one class, more than go into the suppression change nothing.
    unlimited = top_k if classes == 1 else max(level.anchors for level in levels)
    exact = all(value == position for position, value in enumerate(detector.projection))
    return PicoDetLevels(
        "picodet_levels",
        strides=tuple(level.stride for level in levels),
        scores=tuple(names[level.score] for level in levels),
        distances=tuple(names[count + level.distance] for level in levels),
        reg_max=channels // 4 - 1,
        pre_nms_top_k=(suppression.pre_nms_top_k if suppression else None) or unlimited,
        nms_top_k=top_k,
        nms_iou=suppression.iou if suppression else _DEFAULT_IOU,
        keep_top_k=suppression.keep_top_k if suppression else _DEFAULT_KEEP,
        scores_order=_scores_order(levels, scores, classes),
        projection=() if exact else detector.projection,
        clip_first=detector.clips,
    )


def pair_levels(scores: Sequence[Shape], distances: Sequence[Shape], height: int, width: int) -> tuple[Level, ...]:
    """Match score outputs with distance outputs by their number of anchors, finest stride first.

    Raises:
        ModelError: they do not match, or their anchors are no grid over an input of `height` × `width`.
    """
    if not all(len(shape) > 1 and prod(shape) for shape in (*scores, *distances)):
        raise ModelError(f"outputs are no PicoDet levels: scores {_list(scores)}, distances {_list(distances)}")
    if any(shape[0] != 1 for shape in (*scores, *distances)):
        raise ModelError(
            f"this graph is fixed to its own input size, {height} x {width} is another (--input-size cannot change "
            f"it): scores {_list(scores)}"
        )
    if len({shape[-1] for shape in distances}) != 1 or distances[0][-1] % 4 or distances[0][-1] < 8:
        raise ModelError(f"expected distances of 4 x (reg_max + 1) channels, found {_list(distances)}")
    by_size = sorted(range(len(scores)), key=lambda index: -prod(scores[index]))
    by_anchors = sorted(range(len(distances)), key=lambda index: -prod(distances[index]))
    levels = []
    for score, distance in zip(by_size, by_anchors, strict=True):
        anchors = prod(distances[distance][:-1])
        stride = _stride(distances[distance][1:-1], height, width)
        if prod(scores[score]) % anchors or stride is None:
            raise ModelError(
                f"scores {_list(scores)} and distances {_list(distances)} are no PicoDet levels of {height} x {width}"
            )
        levels.append(Level(stride, score, distance, anchors))
    if len({prod(scores[level.score]) // level.anchors for level in levels}) != 1:
        raise ModelError(f"levels differ in their number of classes: scores {_list(scores)}")
    return tuple(levels)


def _stride(grid: Shape, height: int, width: int) -> int | None:
    """Return the stride whose cells cover the input with this grid: (rows, columns), or (rows · columns,)."""

    def fits(stride: int) -> bool:
        rows, columns = -(-height // stride), -(-width // stride)
        return grid in ((rows, columns), (rows * columns,))

    powers = (1 << exponent for exponent in range(1, 12))
    return next((stride for stride in (*powers, *range(1, max(height, width) + 1)) if fits(stride)), None)


def _scores_order(levels: Sequence[Level], scores: Sequence[Shape], classes: int) -> Literal["NC", "CN"]:
    last = all(scores[level.score][-1] == classes for level in levels)
    first = all(scores[level.score][1] == classes for level in levels)
    if not last and not first:
        raise ModelError(f"cannot tell anchors from {classes} classes in scores {_list(scores)}")
    return "NC" if last else "CN"


def _list(shapes: Sequence[Shape]) -> str:
    return ", ".join(str(list(shape)) for shape in shapes)
