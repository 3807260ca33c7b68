"""Fitting: what is separable is learnt, one file holds the mean of several networks, and few products are lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

from shitu_edge.stages.objectness import Objectness
from tests.test_recognizer import GREEN, RED, scene
from training.objectness import train
from training.objectness.examples import Examples
from training.objectness.train import fit, joined, train_objectness
from training.options import Share
from training.paste.yolo import write_image

DIM = 8


def examples(count: int, seed: int) -> Examples:
    """Return boxes that lie on a product if the first number says so; half of these are whole."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, DIM))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    on_product = rows[:, 0] > 0
    return Examples(rows.astype(np.float32), on_product, on_product & (rows[:, 1] > 0), np.ones(count, np.float32))


def fitted(learnt: Examples) -> train.Weights:
    return joined(fit(learnt.rows, learnt.on_product, np.ones(len(learnt.rows)), seed=3))


def test_what_is_separable_is_learnt_and_the_seed_decides() -> None:
    weights, tested = fitted(examples(800, 0)), examples(400, 1)
    assert len(weights) == DIM + 2
    right = (Objectness(weights).log_odds(tested.rows) > 0) == tested.on_product
    assert right.mean() > 0.93
    np.testing.assert_allclose(weights, fitted(examples(800, 0)), atol=1e-6)


def test_examples_that_weigh_nothing_teach_nothing() -> None:
    learnt = examples(600, 0)
    rows, wrong = np.concatenate([learnt.rows] * 2), np.concatenate([learnt.on_product, ~learnt.on_product])
    weights = joined(fit(rows, wrong, np.repeat([2.0, 0.0], 600), seed=0))
    right = (Objectness(weights).log_odds(learnt.rows) > 0) == learnt.on_product
    assert right.mean() > 0.9


def test_one_network_gives_the_mean_of_several() -> None:
    rng = np.random.default_rng(0)
    several = [rng.normal(size=(DIM + 2, 5)).astype(np.float32) for _ in range(3)]
    rows = examples(20, 2).rows
    mean = np.mean([Objectness(one).log_odds(rows) for one in several], axis=0)
    np.testing.assert_allclose(Objectness(joined(several)).log_odds(rows), mean, atol=1e-4)


def test_the_share_of_products_that_may_be_lost_decides() -> None:
    weights, tested = fitted(examples(800, 0)), examples(2000, 4)
    weights[-1, -1] -= train._point(weights, [tested], [1.0], 0.5)
    lost = (Objectness(weights).log_odds(tested.rows) < 0)[tested.whole].mean()
    assert lost == pytest.approx(train.LOST, abs=0.004)


def test_training_on_photos_gives_a_file_that_the_bundle_takes(tiny_bundle: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(20):
        column, row = (int(place) for place in rng.integers(1, 4, 2))
        pixels = scene((column, row, RED), (5, 5, GREEN))
        box = np.array([[32 * column - 16, 32 * row - 16, 32 * column + 48, 32 * row + 48]], np.float32)
        write_image(tmp_path / "photos", f"{number:02d}", pixels, box)
    told: list[tuple[int, int]] = []
    folders = [Share(tmp_path / "photos"), Share(tmp_path / "photos", 0.5)]
    weights, figures = train_objectness(tiny_bundle, folders, None, 10, 1, lambda *step: told.append(step))
    assert told == [(1, 2), (2, 2)]
    assert figures["products"][1] >= figures["products"][0] >= 1
    assert figures["others"][1] >= 1
    assert np.isfinite(weights).all()
