"""Judging boxes: facts worked by hand, two outputs, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shitu_edge.bundle.objectness import BOX_FACTS, OUTPUTS
from shitu_edge.stages.objectness import Objectness, box_facts

DIM = 3


def test_facts_of_a_box_alone() -> None:
    (facts,) = box_facts(np.array([[10, 20, 50, 120]], np.float32), np.array([0.75], np.float32), 200, 160)
    assert facts == pytest.approx([np.log(3), np.log(np.sqrt(4000 / 32000)), np.log(0.4), 0, 0, 0], abs=1e-5)


def test_a_part_lies_in_the_whole_and_the_whole_holds_it() -> None:
    boxes = np.array([[0, 0, 100, 100], [50, 80, 90, 120], [300, 300, 310, 310]], np.float32)
    facts = box_facts(boxes, np.array([0.9, 0.6, 0.5], np.float32), 320, 320)
    assert facts[:, 3] == pytest.approx([0, 0.5 * 0.9, 0])
    assert facts[:, 4] == pytest.approx([0.5 * 0.6, 0, 0])


def test_edges_that_are_touched_are_counted() -> None:
    boxes = np.array([[0, 0, 50, 50], [0, 5, 100, 50], [0, 0, 100, 80], [3, 3, 97, 77]], np.float32)
    assert box_facts(boxes, np.full(4, 0.5, np.float32), 100, 80)[:, 5].tolist() == [2, 2, 4, 0]


def test_no_boxes_have_no_facts() -> None:
    assert box_facts(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 10, 10).shape == (0, BOX_FACTS)


@given(
    arrays.arrays(np.float32, (5, 4), elements=st.floats(-1e3, 5e3, width=32)),
    arrays.arrays(np.float32, 5, elements=st.floats(0, 1, width=32)),
)
def test_facts_are_finite_whatever_the_boxes(boxes: np.ndarray, scores: np.ndarray) -> None:
    assert np.isfinite(box_facts(boxes, scores, 640, 480)).all()


def test_outputs_are_those_of_a_hidden_layer() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(DIM + BOX_FACTS + 1 + OUTPUTS, 4)).astype(np.float32)
    inputs = rng.normal(size=(6, DIM + BOX_FACTS)).astype(np.float32)
    found = Objectness(weights).outputs(inputs)
    for row, (on_product, whole) in zip(inputs, found, strict=True):
        hidden = [
            max(0.0, sum(a * b for a, b in zip(row, weights[: DIM + BOX_FACTS, unit], strict=True)) + weights[-3, unit])
            for unit in range(4)
        ]
        assert on_product == pytest.approx(sum(a * b for a, b in zip(hidden, weights[-2], strict=True)), abs=1e-4)
        assert whole == pytest.approx(sum(a * b for a, b in zip(hidden, weights[-1], strict=True)), abs=1e-4)


def test_each_box_is_judged_by_itself() -> None:
    """The first number of a row decides whether it lies on a product, the second whether it is whole."""
    weights = np.zeros((DIM + BOX_FACTS + 1 + OUTPUTS, 3), np.float32)
    weights[0, 0] = weights[1, 1] = 1
    weights[-3, 2] = 1
    weights[-2], weights[-1] = (1, 0, -0.5), (0, 1, -0.5)
    rows = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    boxes = np.tile(np.array([[0, 0, 10, 10]], np.float32), (4, 1))
    judged = Objectness(weights).judge(rows, boxes, np.full(4, 0.6, np.float32), 100, 100)
    assert judged == [None, "no_product", "part", "no_product"]
