"""Levels of a head, found from shapes alone: every combination of sizes, classes, bins, layouts and orders."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shitu_edge_export.cut import describe_head, pair_levels
from shitu_edge_export.errors import ModelError
from shitu_edge_export.kinds import PicoDet, Suppression

Shape = tuple[int, ...]

MULTICLASS = Suppression("multiclass_nms3", 0.6, 1000, 100, 0.025, None)


def detector(levels: int, **changes: Any) -> PicoDet:
    plain = PicoDet(
        image="image",
        scores=tuple(f"s{n}" for n in range(levels)),
        distances=tuple(f"d{n}" for n in range(levels)),
        projection=tuple(map(float, range(8))),
        suppression=MULTICLASS,
        clips=True,
        control_flow=False,
        decodes=True,
    )
    return replace(plain, **changes)


def score_shape(rows: int, columns: int, classes: int, order: str, flat: bool) -> Shape:
    grid = (rows * columns,) if flat else (rows, columns)
    return (1, *grid, classes) if order == "NC" else (1, classes, *grid)


def distance_shape(rows: int, columns: int, bins: int, flat: bool) -> Shape:
    return (1, rows * columns, 4 * bins) if flat else (1, rows, columns, 4 * bins)


strides = st.lists(st.sampled_from([4, 8, 16, 32, 64]), min_size=1, max_size=5, unique=True).map(sorted)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    strides=strides,
    classes=st.sampled_from([1, 3, 80, 1000]),
    bins=st.integers(2, 17),
    height=st.integers(65, 700),
    width=st.integers(65, 700),
    order=st.sampled_from(["NC", "CN"]),
    flat_scores=st.booleans(),
    flat_distances=st.booleans(),
    random=st.randoms(use_true_random=False),
)
def test_levels_are_found_in_any_order(
    strides: list[int],
    classes: int,
    bins: int,
    height: int,
    width: int,
    order: Literal["NC", "CN"],
    flat_scores: bool,
    flat_distances: bool,
    random: Random,
) -> None:
    """Sides that no stride divides, outputs shuffled, scores and distances each as grids or flat."""
    grids = {stride: (-(-height // stride), -(-width // stride)) for stride in strides}
    if len({rows * columns for rows, columns in grids.values()}) < len(grids):
        return
    scores, distances = random.sample(strides, len(strides)), random.sample(strides, len(strides))
    score_shapes = [score_shape(*grids[s], classes, order, flat_scores) for s in scores]
    distance_shapes = [distance_shape(*grids[s], bins, flat_distances) for s in distances]
    levels = pair_levels(score_shapes, distance_shapes, height, width)
    assert [level.stride for level in levels] == strides, "finest first"
    assert [scores[level.score] for level in levels] == strides
    assert [distances[level.distance] for level in levels] == strides
    assert [level.anchors for level in levels] == [grids[s][0] * grids[s][1] for s in strides]
    names = [f"score {s}" for s in scores] + [f"distance {s}" for s in distances]
    head = describe_head(detector(len(strides)), score_shapes + distance_shapes, names, height, width)
    assert head.strides == tuple(strides)
    assert head.scores == tuple(f"score {s}" for s in strides)
    assert head.distances == tuple(f"distance {s}" for s in strides)
    assert head.reg_max == bins - 1
    last = {shape[-1] for shape in score_shapes} == {classes}
    first = {shape[1] for shape in score_shapes} == {classes}
    assert head.scores_order == order or (last and first), "the order of the shapes, where they tell"
    read = (np.arange(int(np.prod(shape))).reshape(-1) for shape in score_shapes)
    assert all(one.size == classes * grids[s][0] * grids[s][1] for one, s in zip(read, scores, strict=True))


@pytest.mark.parametrize("order", ["NC", "CN"])
@pytest.mark.parametrize("flat", [False, True])
def test_one_class_is_the_same_in_both_orders(order: str, flat: bool) -> None:
    """(1, N, 1) and (1, 1, N) hold the same numbers in the same places: either answer reads them right."""
    shapes = [score_shape(n, n, 1, order, flat) for n in (80, 40)] + [distance_shape(n, n, 8, flat) for n in (80, 40)]
    head = describe_head(detector(2), shapes, list("abcd"), 640, 640)
    table = np.arange(6400)
    expected = table.reshape(shapes[0]).reshape(6400, 1)
    as_read = table.reshape(-1, 6400).T if head.scores_order == "CN" else table.reshape(6400, -1)
    assert np.array_equal(as_read, expected)


@pytest.mark.parametrize("order", ["NC", "CN"])
def test_as_many_classes_as_columns(order: Literal["NC", "CN"]) -> None:
    """80 classes over 80 x 80 cells: (1, 80, 80, 80) says nothing, the coarser levels do."""
    grids = (80, 40, 20, 10)
    shapes = [score_shape(n, n, 80, order, False) for n in grids] + [distance_shape(n, n, 8, False) for n in grids]
    assert shapes[0] == (1, 80, 80, 80)
    head = describe_head(detector(4), shapes, [str(n) for n in range(8)], 640, 640)
    assert head.scores_order == order


def test_as_many_classes_as_anchors_of_a_flat_level() -> None:
    """25 classes and 5 x 5 anchors: (1, 25, 25) says nothing, the other level does."""
    for order in ("NC", "CN"):
        shapes = [score_shape(n, n, 25, order, True) for n in (10, 5)] + [
            distance_shape(n, n, 8, True) for n in (10, 5)
        ]
        assert describe_head(detector(2), shapes, list("abcd"), 320, 320).scores_order == order


def test_only_the_ambiguous_level() -> None:
    """One level of 80 classes over 80 x 80 cells cannot be told; PaddleDetection's exporters put classes last."""
    shapes = [(1, 80, 80, 80), (1, 80, 80, 32)]
    assert describe_head(detector(1), shapes, list("ab"), 640, 640).scores_order == "NC"


def test_by_hand() -> None:
    """PP-ShiTu's own detector at 640, its outputs in the order of the graph."""
    grids = (80, 40, 20, 10)
    shapes = [(1, n, n, 1) for n in grids] + [(1, n, n, 32) for n in grids]
    found = detector(4, suppression=replace(MULTICLASS, pre_nms_top_k=1000))
    head = describe_head(found, shapes, list("abcdefgh"), 640, 640)
    assert (head.strides, head.scores, head.distances) == ((8, 16, 32, 64), tuple("abcd"), tuple("efgh"))
    assert (head.layout, head.reg_max, head.projection, head.clip_first) == ("picodet_levels", 7, (), True)
    assert (head.pre_nms_top_k, head.nms_top_k, head.nms_iou, head.keep_top_k) == (1000, 1000, 0.6, 100)


def test_what_the_graph_says_goes_on() -> None:
    shapes = [(1, 40, 40, 3), (1, 40, 40, 32)]
    suppression = Suppression("pd_op.multiclass_nms3", 0.5, 400, 50, 0.01, 300)
    rounded = (0.0, 1.0, 2.0, 3.0003, 4.0, 5.0, 6.0, 7.0)
    head = describe_head(
        detector(1, suppression=suppression, projection=rounded, clips=False), shapes, ["a", "b"], 320, 320
    )
    assert (head.pre_nms_top_k, head.nms_top_k, head.nms_iou, head.keep_top_k) == (300, 400, 0.5, 50)
    assert (head.projection, head.clip_first) == (rounded, False)


@pytest.mark.parametrize(("classes", "expected"), [(1, 250), (2, 1600), (80, 1600)])
def test_without_a_limit_a_level_keeps_all(classes: int, expected: int) -> None:
    """With several classes an anchor among the last may be the best of its class; with one it never is."""
    shapes = [(1, n, n, classes) for n in (40, 20)] + [(1, n, n, 32) for n in (40, 20)]
    found = detector(2, suppression=replace(MULTICLASS, top_k=250))
    assert describe_head(found, shapes, list("abcd"), 320, 320).pre_nms_top_k == expected


def test_a_raw_head_is_read_with_pp_shitu_s_settings() -> None:
    shapes = [(1, 1600, 1), (1, 1600, 32)]
    head = describe_head(detector(1, suppression=None, projection=()), shapes, ["a", "b"], 320, 320)
    assert (head.pre_nms_top_k, head.nms_top_k, head.nms_iou, head.keep_top_k) == (1000, 1000, 0.6, 100)
    assert head.projection == ()


@pytest.mark.parametrize("kind", ["matrix_nms", "pd_op.matrix_nms"])
def test_matrix_nms_is_refused(kind: str) -> None:
    shapes = [(1, 1600, 1), (1, 1600, 32)]
    found = detector(1, suppression=replace(MULTICLASS, type=kind))
    with pytest.raises(
        ModelError, match=f"{kind}: the runtime suppresses by IoU alone; export the detector with Multi"
    ):
        describe_head(found, shapes, ["a", "b"], 320, 320)


@pytest.mark.parametrize("kind", ["multiclass_nms3", "pd_op.multiclass_nms3", "NonMaxSuppression", "multiclass_nms"])
def test_other_suppressions_are_not(kind: str) -> None:
    found = detector(1, suppression=replace(MULTICLASS, type=kind))
    assert describe_head(found, [(1, 1600, 1), (1, 1600, 32)], ["a", "b"], 320, 320).nms_iou == 0.6


REFUSED = {
    "channels that are no multiple of 4": ([(1, 1600, 1)], [(1, 1600, 30)], "expected distances of 4 x (reg_max + 1)"),
    "one bin": ([(1, 1600, 1)], [(1, 1600, 4)], "expected distances of 4 x (reg_max + 1) channels, found [1, 1600, 4]"),
    "no channels": ([(1, 1600, 1)], [(1, 1600, 0)], "no PicoDet levels"),
    "levels with different bins": ([(1, 1600, 1), (1, 400, 1)], [(1, 1600, 32), (1, 400, 68)], "expected distances"),
    "another input size": ([(1, 1681, 1)], [(1, 1681, 32)], "are no PicoDet levels of 320 x 320"),
    "rows and columns changed": ([(1, 20, 80, 1)], [(1, 20, 80, 32)], "are no PicoDet levels of 320 x 320"),
    "scores of other anchors": ([(1, 1601, 3)], [(1, 1600, 32)], "are no PicoDet levels"),
    "levels of different classes": (
        [(1, 1600, 3), (1, 400, 4)],
        [(1, 1600, 32), (1, 400, 32)],
        "levels differ in their number of classes",
    ),
    "classes neither first nor last": ([(1, 40, 3, 40)], [(1, 40, 40, 32)], "cannot tell anchors from 3 classes"),
    "channels first": ([(1, 1, 40, 40)], [(1, 32, 40, 40)], ""),
}


@pytest.mark.parametrize(("scores", "distances", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_head_is_refused(scores: list[Shape], distances: list[Shape], message: str) -> None:
    found = detector(len(scores))
    with pytest.raises(ModelError) as caught:
        describe_head(found, scores + distances, [str(n) for n in range(2 * len(scores))], 320, 320)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


side_or_free = st.sampled_from([-1, 1, 2, 3, 4, 8, 32, 40, 64])


def even(items: list[Any]) -> bool:
    return len(items) % 2 == 0


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(side_or_free, min_size=2, max_size=4).map(tuple), min_size=2, max_size=6).filter(even),
    st.integers(1, 400),
)
def test_any_shapes_are_described_or_refused(shapes: list[Shape], side: int) -> None:
    """Free dimensions and nonsense included."""
    count = len(shapes) // 2
    try:
        head = describe_head(detector(count), shapes, [str(n) for n in range(2 * count)], side, side)
    except ModelError as error:
        message = str(error)
        assert "\n" not in message
        return
    assert len(head.strides) == len(head.scores) == len(head.distances) == count


@pytest.mark.parametrize(
    "shapes", [[(), ()], [(3200,), (1, 1600, 32)], [(1, 1600, 1), ()], [(1, 1600, 1), (1, 0, 32)]], ids=str
)
def test_outputs_that_are_numbers_vectors_or_empty(shapes: list[Shape]) -> None:
    """As a network has them that only looks like a raw head: a sigmoid's output and any other."""
    with pytest.raises(ModelError):
        describe_head(detector(1, suppression=None, projection=()), shapes, ["a", "b"], 320, 320)
