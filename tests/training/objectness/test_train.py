"""Fitting: what is separable is learnt, one file holds the mean of several networks, and few products are lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

from shitu_edge.bundle.objectness import BOX_FACTS, OUTPUTS
from tests.test_recognizer import GREEN, RED, scene
from training.objectness import train
from training.objectness.examples import Examples
from training.objectness.train import fit, joined_weights, train_objectness
from training.options import Share
from training.paste.yolo import write_image

DIM = 8


def examples(count: int, seed: int) -> Examples:
    """Return boxes that lie on a product if the first number says so, and are whole if the last fact does too."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, DIM))
    facts = rng.normal(size=(count, BOX_FACTS)) * 3 + 2
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    on_product = rows[:, 0] > 0
    truth = np.stack([on_product, on_product & (facts[:, -1] > 2)], axis=1)
    inputs = np.concatenate([rows, facts], axis=1).astype(np.float32)
    return Examples(inputs, truth.astype(np.float32), np.ones(count, bool))


def test_what_is_separable_is_learnt_and_the_seed_decides() -> None:
    learnt, tested = examples(800, 0), examples(400, 1)
    weights = joined_weights(fit(learnt, np.ones(800, np.float32), seed=3))
    assert weights.shape[0] == DIM + BOX_FACTS + 1 + OUTPUTS
    right = (train._outputs(weights, tested) > 0) == tested.truth
    assert right.mean(axis=0) == pytest.approx([1, 1], abs=0.12)
    again = joined_weights(fit(learnt, np.ones(800, np.float32), seed=3))
    np.testing.assert_allclose(weights, again, atol=1e-6)


def test_examples_that_weigh_nothing_teach_nothing() -> None:
    learnt = examples(600, 0)
    wrong = Examples(learnt.inputs, 1 - learnt.truth, learnt.counted)
    both = Examples.joined([learnt, wrong])
    each = np.concatenate([np.full(600, 2.0), np.zeros(600)]).astype(np.float32)
    right = (train._outputs(joined_weights(fit(both, each, seed=0)), learnt) > 0) == learnt.truth
    assert right.mean() > 0.85


def test_one_network_gives_the_mean_of_several() -> None:
    rng = np.random.default_rng(0)
    several = [rng.normal(size=(DIM + BOX_FACTS + 3, 5)).astype(np.float32) for _ in range(3)]
    asked = examples(20, 2)
    mean = np.mean([train._outputs(one, asked) for one in several], axis=0)
    np.testing.assert_allclose(train._outputs(joined_weights(several), asked), mean, atol=1e-4)


def test_the_share_of_products_that_may_be_lost_decides() -> None:
    weights = joined_weights(fit(examples(800, 0), np.ones(800, np.float32), seed=3))
    tested = examples(2000, 4)
    weights[-OUTPUTS:, -1] -= train._least(weights, [(tested, 1.0)])
    lost = (train._outputs(weights, tested) < 0)[tested.truth[:, 1] == 1].mean(axis=0)
    assert lost == pytest.approx([train.LOST, train.LOST], abs=0.003)


def test_training_on_photos_gives_a_file_that_the_bundle_takes(tiny_bundle: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(20):
        column, row = (int(place) for place in rng.integers(1, 4, 2))
        pixels = scene((column, row, RED), (5, 5, GREEN))
        box = np.array([[32 * column - 16, 32 * row - 16, 32 * column + 48, 32 * row + 48]], np.float32)
        write_image(tmp_path / "photos", f"{number:02d}", pixels, box)
    told: list[tuple[int, int]] = []
    folders = [Share(tmp_path / "photos"), Share(tmp_path / "photos", 0.5)]
    weights, figures = train_objectness(tiny_bundle, folders, 10, 1, lambda *step: told.append(step))
    assert told == [(1, 2), (2, 2)]
    assert figures["products"][1] >= figures["products"][0] >= 1
    assert figures["others"][1] >= 1
    assert np.isfinite(weights).all()
