"""The head layouts against slow, plain computations, and the detector around a fake network on real pixels."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shitu_edge.bundle import BoxesScores, DetectorSpec, InputSpec, Network, PicoDetLevels, Postprocessed
from shitu_edge.errors import EngineError
from shitu_edge.results import EngineInfo
from shitu_edge.stages.detect import Detector, decode_head

HEIGHT, WIDTH = 48, 64
Head = PicoDetLevels | BoxesScores | Postprocessed
Outputs = dict[str, NDArray[Any]]
Found = tuple[list[float], float, int]
"""A box, its score and class."""


def spec_of(head: Head, **input_facts: Any) -> DetectorSpec:
    input_spec = replace(InputSpec("image", HEIGHT, WIDTH, "bilinear"), **input_facts)
    constants = {"scale_factor": ((1.0, 1.0),)}
    network = Network("the detector", "made up", "0" * 64, {}, input_spec, constants=constants)
    return DetectorSpec(network, head, score_threshold=0.4, max_boxes=3)


def decoded(head: Head, outputs: Outputs, threshold: float = 0.3, limit: int = 100) -> list[Found]:
    boxes, scores, classes = (part[:limit] for part in decode_head(spec_of(head), outputs, threshold))
    assert boxes.dtype == scores.dtype == np.float32
    assert classes.dtype == np.int32
    assert boxes.shape == (len(scores), 4)
    assert classes.shape == scores.shape
    return list(zip(boxes.tolist(), scores.tolist(), classes.tolist(), strict=True))


def assert_same(found: Sequence[Found], expected: Sequence[Found]) -> None:
    assert [(score, cls) for _, score, cls in found] == [(score, cls) for _, score, cls in expected]
    assert [box for box, _, _ in found] == [pytest.approx(box, abs=2e-3) for box, _, _ in expected]


def plain_iou(a: Sequence[float], b: Sequence[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - width * height
    return width * height / union if union > 0 else 0.0


def plain_nms(candidates: Sequence[Found], threshold: float, top_k: int, keep: int) -> list[Found]:
    """Suppress within the best of each class apart, then take the best of all: `multiclass_nms3`."""
    best = sorted(candidates, key=lambda found: -found[1])
    kept: list[Found] = []
    for cls in {found[2] for found in best}:
        of_class: list[Found] = []
        for found in [found for found in best if found[2] == cls][:top_k]:
            if all(plain_iou(found[0], other[0]) <= threshold for other in of_class):
                of_class.append(found)
        kept += of_class
    return sorted(kept, key=best.index)[:keep]


PICODET = PicoDetLevels(
    "picodet_levels", strides=(8, 20), scores=("s8", "s20"), distances=("d8", "d20"), nms_iou=0.5003
)
GRIDS = {8: (6, 8), 20: (3, 4)}
"""Rows and columns of cells; 48 × 64 is no multiple of 20, so the last cells reach beyond it."""


def picodet_outputs(seed: int, classes: int = 3, flat: bool = False) -> Outputs:
    generator = np.random.default_rng(seed)
    outputs: Outputs = {}
    for stride, (rows, columns) in GRIDS.items():
        cells = (1, rows * columns) if flat else (1, rows, columns)
        scores = generator.permutation(rows * columns * classes) / (rows * columns * classes) * (1 - stride / 1000)
        outputs[f"s{stride}"] = scores.reshape(*cells, classes).astype(np.float32)
        outputs[f"d{stride}"] = generator.normal(0, 3, (*cells, 32)).astype(np.float32)
    return outputs


def plain_picodet(outputs: Outputs, threshold: float) -> list[Found]:
    """Decode every anchor by the formulas: softmax, expectation, distances from the cell's center, clip."""
    candidates: list[Found] = []
    for stride, (rows, columns) in GRIDS.items():
        scores = outputs[f"s{stride}"].reshape(rows, columns, -1)
        logits = outputs[f"d{stride}"].reshape(rows, columns, 4, -1)
        for row in range(rows):
            for column in range(columns):
                left, top, right, bottom = (stride * expectation(side) for side in logits[row, column].tolist())
                x, y = (column + 0.5) * stride, (row + 0.5) * stride
                box = [max(x - left, 0), max(y - top, 0), min(x + right, WIDTH), min(y + bottom, HEIGHT)]
                of_classes = enumerate(scores[row, column].tolist())
                candidates += [([*box], score, cls) for cls, score in of_classes if score >= threshold]
    return candidates


def expectation(logits: Sequence[float]) -> float:
    weights = [math.exp(logit) for logit in logits]
    return sum(number * weight for number, weight in enumerate(weights)) / sum(weights)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("limit", [1, 4, 100])
@pytest.mark.parametrize("seed", range(4))
def test_picodet(seed: int, limit: int, threshold: float) -> None:
    outputs = picodet_outputs(seed)
    expected = plain_nms(plain_picodet(outputs, threshold), PICODET.nms_iou, 1000, limit)
    assert_same(decoded(PICODET, outputs, threshold, limit), expected)


def test_picodet_by_hand() -> None:
    """One sure bin a side: the cell of column 2, row 1 at stride 8 has its center at (20, 12)."""
    outputs = {name: np.zeros_like(array) for name, array in picodet_outputs(0).items()}
    outputs["s8"][0, 1, 2, 1] = 0.75
    sides = np.full((4, 8), -50, np.float32)
    sides[range(4), [1, 0, 2, 1]] = 50
    outputs["d8"][0, 1, 2] = sides.reshape(-1)
    assert decoded(PICODET, outputs) == [([12, 12, 36, 20], 0.75, 1)]


def test_picodet_with_equal_bins_reaches_the_middle() -> None:
    outputs = {name: np.zeros_like(array) for name, array in picodet_outputs(0, classes=1).items()}
    outputs["s8"][0, 3, 4, 0] = 0.5
    assert decoded(PICODET, outputs) == [([36 - 28, 28 - 28, 36 + 28, 48], 0.5, 0)], "3.5 strides of 8, clipped"


def test_picodet_survives_large_logits() -> None:
    outputs = picodet_outputs(1)
    shifted = {name: array + 5000 * name.startswith("d") for name, array in outputs.items()}
    for (box, *facts), (other, *other_facts) in zip(decoded(PICODET, shifted), decoded(PICODET, outputs), strict=True):
        assert facts == other_facts
        assert box == pytest.approx(other, abs=0.1)


def test_picodet_flat_outputs_read_the_same() -> None:
    assert decoded(PICODET, picodet_outputs(2, flat=True)) == decoded(PICODET, picodet_outputs(2))


def test_picodet_takes_the_best_of_each_level() -> None:
    outputs = picodet_outputs(3)
    head = PicoDetLevels("picodet_levels", (8, 20), ("s8", "s20"), ("d8", "d20"), pre_nms_top_k=5, nms_iou=1.0)
    candidates = plain_picodet(outputs, 0.0)
    expected = []
    for stride in GRIDS:
        best = outputs[f"s{stride}"].reshape(-1, 3).max(axis=1)
        scores = outputs[f"s{stride}"].reshape(-1, 3)[np.argsort(-best)[:5]]
        expected += [found for found in candidates if np.float32(found[1]) in scores]
    assert_same(decoded(head, outputs, 0.0), sorted(expected, key=lambda found: -found[1]))


@pytest.mark.parametrize(("nms_top_k", "keep_top_k", "limit"), [(7, 100, 100), (1000, 6, 100), (1000, 6, 2), (4, 6, 9)])
def test_picodet_counts(nms_top_k: int, keep_top_k: int, limit: int) -> None:
    outputs = picodet_outputs(4)
    head = PicoDetLevels(
        "picodet_levels", (8, 20), ("s8", "s20"), ("d8", "d20"), 7, 1000, nms_top_k, 0.3003, keep_top_k
    )
    expected = plain_nms(plain_picodet(outputs, 0.1), 0.3003, nms_top_k, min(keep_top_k, limit))
    assert_same(decoded(head, outputs, 0.1, limit), expected)


@pytest.mark.parametrize(("strides", "reg_max"), [((8,), 3), ((20,), 7), ((20, 8), 7)])
def test_picodet_of_other_levels(strides: tuple[int, ...], reg_max: int) -> None:
    outputs = {
        name: array if name.startswith("s") else array.reshape(*array.shape[:-1], 4, 8)[..., : reg_max + 1]
        for name, array in picodet_outputs(5).items()
    }
    levels = {stride: GRIDS[stride] for stride in strides}
    head = PicoDetLevels(
        "picodet_levels",
        strides,
        tuple(f"s{stride}" for stride in strides),
        tuple(f"d{stride}" for stride in strides),
        reg_max=reg_max,
        nms_iou=0.5003,
    )
    candidates = [found for found in plain_picodet(outputs, 0.3) if of_levels(found, outputs, levels)]
    assert_same(decoded(head, outputs), plain_nms(candidates, 0.5003, 1000, 100))


def of_levels(found: Found, outputs: Outputs, levels: Mapping[int, object]) -> bool:
    """Tell by its score, which is unique, whether a candidate is of one of the levels."""
    return any((outputs[f"s{stride}"] == np.float32(found[1])).any() for stride in levels)


def test_picodet_scores_by_class_first() -> None:
    outputs = picodet_outputs(6)
    turned = {name: array.transpose(0, 3, 1, 2) if name.startswith("s") else array for name, array in outputs.items()}
    assert decoded(replace(PICODET, scores_order="CN"), turned) == decoded(PICODET, outputs)


def test_picodet_with_a_projection_of_its_own() -> None:
    """Bins that stand for 0, 2, 4, ... strides instead of 0, 1, 2, ...: every side is twice as far."""
    outputs = {name: np.zeros_like(array) for name, array in picodet_outputs(0).items()}
    outputs["s8"][0, 3, 4, 1] = 0.75
    sides = np.full((4, 8), -50, np.float32)
    sides[range(4), [1, 0, 1, 1]] = 50
    outputs["d8"][0, 3, 4] = sides.reshape(-1)
    head = replace(PICODET, projection=tuple(2.0 * bin for bin in range(8)))
    assert decoded(head, outputs) == [([20, 28, 52, 44], 0.75, 1)]


def test_picodet_may_suppress_before_clipping() -> None:
    """Two boxes that reach beyond the left edge: clipped they are alike, as they are they overlap by half."""
    outputs = {name: np.zeros_like(array) for name, array in picodet_outputs(0, classes=1).items()}
    for row, score, left in ((2, 0.9, 1), (3, 0.8, 7)):
        outputs["s8"][0, row, 0, 0] = score
        sides = np.full((4, 8), -50, np.float32)
        sides[range(4), [left, 2, 1, 2]] = 50
        outputs["d8"][0, row, 0] = sides.reshape(-1)
    assert len(decoded(PICODET, outputs)) == 1
    assert len(decoded(replace(PICODET, clip_first=False), outputs)) == 2


def test_threshold_counts() -> None:
    outputs = {name: np.zeros_like(array) for name, array in picodet_outputs(0).items()}
    outputs["s8"][0, 0, 0, 0] = 0.5
    assert len(decoded(PICODET, outputs, threshold=0.5)) == 1
    assert not decoded(PICODET, outputs, threshold=0.500001)


def dense_outputs(seed: int, count: int = 40, classes: int = 4) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return overlapping boxes (N, 4) xyxy, some beyond the input, and distinct scores (N, C)."""
    generator = np.random.default_rng(seed)
    corners = generator.uniform(-30, 50, (count, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(5, 40, (count, 2))], axis=1).astype(np.float32)
    scores = generator.permutation(count * classes).reshape(count, classes) / (count * classes)
    return boxes, scores.astype(np.float32)


def dense_candidates(boxes: NDArray[np.float32], scores: NDArray[np.float32], threshold: float) -> list[Found]:
    rows = zip(boxes.tolist(), scores.tolist(), strict=True)
    return [(box, score, cls) for box, row in rows for cls, score in enumerate(row) if score >= threshold]


@pytest.mark.parametrize("scores_order", ["NC", "CN"])
@pytest.mark.parametrize("box_order", ["xyxy", "yxyx"])
@pytest.mark.parametrize("coordinates", ["input", "relative"])
@pytest.mark.parametrize("classes", [1, 4])
def test_boxes_scores(
    scores_order: Literal["NC", "CN"],
    box_order: Literal["xyxy", "yxyx"],
    coordinates: Literal["input", "relative"],
    classes: int,
) -> None:
    boxes, scores = dense_outputs(0, classes=classes)
    expected = plain_nms(dense_candidates(boxes, scores, 0.3), 0.4003, 1000, 100)
    head = BoxesScores("boxes_scores", "b", "s", scores_order, box_order, coordinates, nms_iou=0.4003)
    sides = np.array([WIDTH, HEIGHT] * 2 if coordinates == "relative" else [1] * 4, np.float32)
    given_boxes = (boxes / sides)[:, [1, 0, 3, 2] if box_order == "yxyx" else [0, 1, 2, 3]]
    given_scores = scores.T if scores_order == "CN" else scores
    assert_same(decoded(head, {"b": given_boxes[None], "s": given_scores[None]}), expected)


@pytest.mark.parametrize("scores_order", ["NC", "CN"])
def test_scores_of_a_single_class_may_be_flat(scores_order: Literal["NC", "CN"]) -> None:
    boxes, scores = dense_outputs(1, classes=1)
    head = BoxesScores("boxes_scores", "b", "s", scores_order, nms_iou=0.4003)
    expected = plain_nms(dense_candidates(boxes, scores, 0.3), 0.4003, 1000, 100)
    assert_same(decoded(head, {"b": boxes[None], "s": scores.reshape(1, -1)}), expected)


@pytest.mark.parametrize("seed", range(8))
def test_classes_suppress_within_themselves(seed: int) -> None:
    """Overlapping boxes of many classes, also at negative coordinates."""
    boxes, scores = dense_outputs(seed, count=60, classes=3)
    expected = plain_nms(dense_candidates(boxes, scores, 0.0), 0.2003, 1000, 100)
    head = BoxesScores("boxes_scores", "b", "s", nms_iou=0.2003)
    assert_same(decoded(head, {"b": boxes[None], "s": scores[None]}, threshold=0.0), expected)


def test_classes_are_apart_on_either_side_of_the_origin() -> None:
    """A box of class 0 right of the origin and one of class 1 left of it share nothing."""
    boxes = np.array([[0, 0, 40, 40], [-40, -40, 0, 0]], np.float32)
    scores = np.array([[0.9, 0], [0, 0.8]], np.float32)
    found = decoded(BoxesScores("boxes_scores", "b", "s"), {"b": boxes[None], "s": scores[None]})
    assert [cls for _, _, cls in found] == [0, 1]


@pytest.mark.parametrize(("nms_top_k", "keep_top_k", "limit"), [(7, 100, 100), (1000, 6, 100), (1000, 6, 2), (1, 6, 9)])
def test_boxes_scores_counts(nms_top_k: int, keep_top_k: int, limit: int) -> None:
    boxes, scores = dense_outputs(2)
    head = BoxesScores("boxes_scores", "b", "s", nms_top_k=nms_top_k, nms_iou=0.3003, keep_top_k=keep_top_k)
    expected = plain_nms(dense_candidates(boxes, scores, 0.3), 0.3003, nms_top_k, min(keep_top_k, limit))
    assert_same(decoded(head, {"b": boxes[None], "s": scores[None]}, limit=limit), expected)


def test_ties_go_to_the_first() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]], np.float32)
    scores = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.25]], np.float32)
    found = decoded(BoxesScores("boxes_scores", "b", "s"), {"b": boxes[None], "s": scores[None]})
    assert found == [([0, 0, 10, 10], 0.5, 0), ([0, 0, 10, 10], 0.5, 1), ([20, 0, 30, 10], 0.5, 0)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 4), st.sampled_from([0.0, 0.5, 1.0]))
def test_boxes_scores_of_any_size(seed: int, count: int, classes: int, threshold: float) -> None:
    boxes, scores = dense_outputs(seed, count, classes)
    head = BoxesScores("boxes_scores", "b", "s", "CN", nms_iou=0.5003)
    expected = plain_nms(dense_candidates(boxes, scores, threshold), 0.5003, 1000, 100)
    assert_same(decoded(head, {"b": boxes[None], "s": scores.T[None]}, threshold), expected)


ROWS = np.array(
    [
        [2, 0.5, 1, 2, 30, 40],
        [0, 0.75, 5, 6, 20, 30],
        [1, 0.29, 0, 0, 9, 9],
        [3, 0.75, 5, 6, 20, 30],
        [-1, 0, 0, 0, 0, 0],
    ],
    np.float32,
)
BEST_ROWS: list[Found] = [
    ([5, 6, 20, 30], 0.75, 0),
    ([5, 6, 20, 30], 0.75, 3),
    ([1, 2, 30, 40], 0.5, 2),
]
"""Best first, equals in the given order, without further suppression."""


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("limit", [0, 1, 2, 3, 100])
def test_postprocessed(batch: bool, limit: int) -> None:
    head = Postprocessed("postprocessed", "rows")
    assert decoded(head, {"rows": ROWS[None] if batch else ROWS}, limit=limit) == BEST_ROWS[:limit]


@pytest.mark.parametrize(("count", "found"), [(0, []), (1, [2]), (2, [0, 2]), (5, [0, 3, 2]), (99, [0, 3, 2])])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_postprocessed_count(count: int, found: list[int], shape: tuple[int, ...]) -> None:
    head = Postprocessed("postprocessed", "rows", count="count")
    outputs = {"rows": ROWS, "count": np.full(shape, count, np.int32)}
    assert [cls for _, _, cls in decoded(head, outputs)] == found


def test_postprocessed_columns_in_another_order() -> None:
    head = Postprocessed("postprocessed", "rows", columns=("batch", "x1", "y1", "x2", "y2", "class", "score"))
    rows = np.concatenate([np.zeros((5, 1), np.float32), ROWS[:, 2:], ROWS[:, :2]], axis=1)
    assert decoded(head, {"rows": rows}) == BEST_ROWS


def test_postprocessed_without_classes() -> None:
    head = Postprocessed("postprocessed", "rows", columns=("y1", "x1", "y2", "x2", "score"))
    found = decoded(head, {"rows": ROWS[:, [3, 2, 5, 4, 1]]})
    assert found == [(box, score, 0) for box, score, _ in BEST_ROWS]


def test_postprocessed_relative_coordinates() -> None:
    head = Postprocessed("postprocessed", "rows", coordinates="relative")
    rows = np.array([[0, 0.5, 0.25, 0.5, 0.75, 1]], np.float32)
    assert decoded(head, {"rows": rows}) == [([16, 24, 48, 48], 0.5, 0)]


BOXES, BOXES_CN = BoxesScores("boxes_scores", "b", "s"), BoxesScores("boxes_scores", "b", "s", "CN")
POSTPROCESSED = Postprocessed("postprocessed", "rows", count="count")


@pytest.mark.parametrize(
    ("head", "outputs"),
    [
        pytest.param(PICODET, {name: array * 0 for name, array in picodet_outputs(0).items()}, id="picodet"),
        pytest.param(BOXES, {"b": np.ones((1, 5, 4)), "s": np.zeros((1, 5, 2))}, id="low scores"),
        pytest.param(BOXES, {"b": np.zeros((1, 0, 4)), "s": np.zeros((1, 0, 2))}, id="no boxes, NC"),
        pytest.param(BOXES, {"b": np.zeros((1, 0, 4)), "s": np.zeros((1, 0))}, id="no boxes, flat"),
        pytest.param(BOXES_CN, {"b": np.zeros((1, 0, 4)), "s": np.zeros((1, 2, 0))}, id="no boxes, CN"),
        pytest.param(POSTPROCESSED, {"rows": np.zeros((0, 6)), "count": np.zeros(1, np.int32)}, id="no rows"),
        pytest.param(POSTPROCESSED, {"rows": np.ones((4, 6)), "count": np.zeros(1, np.int32)}, id="a count of 0"),
        pytest.param(POSTPROCESSED, {"rows": np.zeros((4, 6)), "count": np.full(1, 4)}, id="low rows"),
    ],
)
def test_no_detections(head: Head, outputs: Outputs) -> None:
    assert decoded(head, outputs) == []


def without(outputs: Outputs, name: str) -> Outputs:
    return {key: array for key, array in outputs.items() if key != name}


PICODET_OUTPUTS = picodet_outputs(0)


@pytest.mark.parametrize(
    ("head", "outputs"),
    [
        pytest.param(PICODET, without(PICODET_OUTPUTS, "s20"), id="picodet without scores"),
        pytest.param(PICODET, without(PICODET_OUTPUTS, "d8"), id="picodet without distances"),
        pytest.param(PICODET, PICODET_OUTPUTS | {"s8": np.zeros((1, 5, 8, 3))}, id="picodet with other cells"),
        pytest.param(PICODET, PICODET_OUTPUTS | {"s8": np.zeros((1, 0, 3))}, id="picodet with empty scores"),
        pytest.param(PICODET, PICODET_OUTPUTS | {"d8": np.zeros((1, 6, 8, 28))}, id="picodet with other bins"),
        pytest.param(
            PICODET,
            {f"{kind}{n}": PICODET_OUTPUTS[f"{kind}{28 - n}"] for kind in "sd" for n in (8, 20)},
            id="picodet levels swapped",
        ),
        pytest.param(BOXES, {"b": np.zeros((1, 5, 4))}, id="no scores"),
        pytest.param(BOXES, {"boxes": np.zeros((1, 5, 4)), "s": np.zeros((1, 5))}, id="no boxes"),
        pytest.param(BOXES, {"b": np.zeros((1, 5, 3)), "s": np.zeros((1, 5))}, id="three sides"),
        pytest.param(BOXES, {"b": np.zeros((1, 5, 4)), "s": np.zeros((1, 7))}, id="other scores"),
        pytest.param(BOXES, {"b": np.zeros((1, 5, 4)), "s": np.zeros((1, 10))}, id="twice the scores"),
        pytest.param(BOXES, {"b": np.zeros((1, 5, 4)), "s": np.zeros((1, 2, 5))}, id="CN for NC"),
        pytest.param(BOXES_CN, {"b": np.zeros((1, 5, 4)), "s": np.zeros((1, 5, 2))}, id="NC for CN"),
        pytest.param(BOXES, {"b": np.zeros((1, 5, 4)), "s": np.zeros((1, 5, 0))}, id="no classes"),
        pytest.param(BOXES, {"b": np.zeros((1, 0, 4)), "s": np.zeros((1, 5, 2))}, id="scores without boxes"),
        pytest.param(POSTPROCESSED, {"rows": np.zeros((4, 5)), "count": np.ones(1)}, id="five columns"),
        pytest.param(POSTPROCESSED, {"rows": np.zeros((4, 6))}, id="no count"),
        pytest.param(POSTPROCESSED, {"rows": np.zeros((4, 6)), "count": np.zeros(0)}, id="an empty count"),
        pytest.param(
            Postprocessed("postprocessed", "rows", columns=("score", "x1", "y1", "x2")),
            {"rows": np.zeros((4, 4))},
            id="a side has no column",
        ),
        pytest.param(BOXES, {}, id="no outputs"),
    ],
)
def test_outputs_that_do_not_fit(head: Head, outputs: Outputs) -> None:
    with pytest.raises(EngineError) as caught:
        decode_head(spec_of(head), outputs, 0.3)
    message = str(caught.value)
    assert message.startswith(f"the detector: expected outputs of the layout {head.layout}, found ")
    assert all(f"{name} {array.shape}" in message for name, array in outputs.items())


class FakeSession:
    """A session that answers given outputs and keeps copies of what it was fed."""

    def __init__(self, outputs: Outputs) -> None:
        self.info = EngineInfo("fake", "0", "fp32", 1, None)
        self.feeds: list[dict[str, NDArray[Any]]] = []
        self._outputs = outputs

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self.feeds.append({name: array.copy() for name, array in feeds.items()})
        return dict(self._outputs)


ROWS_HEAD = Postprocessed("postprocessed", "rows")
PIXELS = np.random.default_rng(7).integers(0, 256, (96, 256, 3), np.uint8)
"""Four times as wide and twice as high as the input."""


def detector(*rows: Sequence[float], head: Head = ROWS_HEAD, **input_facts: Any) -> tuple[Detector, FakeSession]:
    session = FakeSession({"rows": np.array(rows, np.float32).reshape(-1, 6)})
    return Detector(session, spec_of(head, **input_facts)), session


def test_boxes_are_scaled_to_the_image() -> None:
    network, _ = detector((3, 0.5, 8, 10, 16, 20), (1, 0.75, 0, 0, 64, 48))
    found = network.detect(PIXELS)
    assert found.boxes_xyxy.tolist() == [[0, 0, 256, 96], [32, 20, 64, 40]]
    assert found.scores.tolist() == [0.75, 0.5]
    assert found.class_ids.tolist() == [1, 3]
    assert found.boxes_xyxy.dtype == np.float32
    assert found.class_ids.dtype == np.int32
    assert network.engine.engine == "fake"


def test_boxes_are_clipped_to_the_image() -> None:
    network, _ = detector((0, 0.9, -20, -30, 32, 24), (0, 0.8, 60, 40, 90, 90))
    assert network.detect(PIXELS).boxes_xyxy.tolist() == [[0, 0, 128, 48], [240, 80, 256, 96]]


def test_boxes_without_area_are_left_out() -> None:
    flat = [(0, 0.9, 5, 5, 5, 9), (0, 0.9, 1, 5, 9, 5), (0, 0.8, 70, 0, 90, 9), (0, 0.7, 9, 9, 4, 4)]
    network, _ = detector(*flat, (0, 0.6, 1, 1, 2, 2))
    found = network.detect(PIXELS, max_boxes=9)
    assert found.scores.tolist() == pytest.approx([0.6])
    assert len(found) == 1


def test_nothing_found() -> None:
    found = detector()[0].detect(PIXELS)
    assert len(found) == 0
    assert found.boxes_xyxy.shape == (0, 4)


def test_threshold_and_limit_are_the_bundles_unless_given() -> None:
    network, _ = detector(*[(0, score, 1, 1, 9, 9) for score in (0.9, 0.8, 0.7, 0.6, 0.5, 0.1)])
    counts = {
        (None, None): 3,
        (None, 10): 5,
        (0.65, 10): 3,
        (0.0, 10): 6,
        (0.95, None): 0,
        (None, 1): 1,
        (0.0, 0): 0,
    }
    for (threshold, limit), count in counts.items():
        assert len(network.detect(PIXELS, score_threshold=threshold, max_boxes=limit)) == count
    assert len(network.detect(PIXELS)) == 3, "a call changes nothing for the next"


def test_the_network_is_fed_normalized_planes() -> None:
    network, session = detector(scale=1 / 255, mean=(0.5, 0.25, 0.125), std=(0.5, 0.25, 2.0))
    network.detect(PIXELS)
    (feeds,) = session.feeds
    assert set(feeds) == {"image", "scale_factor"}
    assert feeds["scale_factor"].tolist() == [[1, 1]]
    resized = cv2.resize(PIXELS, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR).astype(np.float64)
    expected = (resized / 255 - [0.5, 0.25, 0.125]) / [0.5, 0.25, 2.0]
    assert feeds["image"].dtype == np.float32
    np.testing.assert_allclose(feeds["image"], expected.transpose(2, 0, 1)[None], atol=1e-5)


@pytest.mark.parametrize("color", ["RGB", "BGR"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_network_is_fed_its_layout(layout: str, color: str, dtype: str) -> None:
    network, session = detector(layout=layout, color=color, dtype=dtype)
    network.detect(PIXELS)
    expected = cv2.resize(PIXELS, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    expected = expected[:, :, ::-1] if color == "BGR" else expected
    expected = expected.transpose(2, 0, 1) if layout == "NCHW" else expected
    fed = session.feeds[0]["image"]
    assert fed.dtype == dtype
    assert np.array_equal(fed, expected[None])


def test_the_image_is_left_alone() -> None:
    pixels = PIXELS.copy()
    pixels.setflags(write=False)
    network, _ = detector(scale=1 / 255)
    network.detect(pixels)
    network.detect(pixels[10:58, 20:84])
    assert np.array_equal(pixels, PIXELS)


def test_images_of_other_sizes_follow_each_other() -> None:
    network, session = detector((0, 0.9, 0, 0, 32, 24))
    assert network.detect(PIXELS).boxes_xyxy.tolist() == [[0, 0, 128, 48]]
    assert network.detect(PIXELS[:48, :64]).boxes_xyxy.tolist() == [[0, 0, 32, 24]]
    assert network.detect(PIXELS[:1, :1]).boxes_xyxy.tolist() == [[0, 0, 0.5, 0.5]]
    assert np.array_equal(session.feeds[1]["image"][0], PIXELS[:48, :64].transpose(2, 0, 1))


def test_threads_do_not_share_the_input() -> None:
    """Both threads hold their filled tensor before either of them runs."""
    meeting = threading.Barrier(2, timeout=20)
    seen: dict[int, NDArray[Any]] = {}

    class Waiting(FakeSession):
        def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            meeting.wait()
            seen[int(feeds["image"].flat[0])] = feeds["image"].copy()
            return super().run(feeds)

    shared = Detector(Waiting({"rows": np.zeros((0, 6), np.float32)}), spec_of(ROWS_HEAD))
    images = [np.full((20, 30, 3), level, np.uint8) for level in (40, 200)]
    threads = [threading.Thread(target=shared.detect, args=(image,)) for image in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert set(seen) == {40, 200}
    assert all((image == level).all() for level, image in seen.items())


def test_detector_with_picodet() -> None:
    outputs = picodet_outputs(6)
    network = Detector(FakeSession(outputs), spec_of(PICODET))
    found = network.detect(PIXELS, score_threshold=0.3, max_boxes=50)
    expected = plain_nms(plain_picodet(outputs, 0.3), PICODET.nms_iou, 1000, 50)
    assert found.scores.tolist() == [score for _, score, _ in expected]
    np.testing.assert_allclose(found.boxes_xyxy, [np.multiply(box, [4, 2, 4, 2]) for box, _, _ in expected], atol=0.01)


def test_detector_with_outputs_that_do_not_fit() -> None:
    network = Detector(FakeSession({"other": np.zeros((2, 3))}), spec_of(ROWS_HEAD))
    with pytest.raises(EngineError, match=r"expected outputs of the layout postprocessed, found other \(2, 3\)"):
        network.detect(PIXELS)
