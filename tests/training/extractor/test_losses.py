"""The losses against sums by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.extractor.losses import ArcMargin, Distillation, MapDistillation, triplet_angular_margin


def test_arc_margin_turns_the_right_class_away() -> None:
    arc = ArcMargin(2, 2, margin=0.3, scale=10)
    arc.weight.data = torch.eye(2)
    angle = 0.4
    embedding = torch.tensor([[3 * math.cos(angle), 3 * math.sin(angle)]])
    right, wrong = 10 * math.cos(angle + 0.3), 10 * math.sin(angle)
    expected = -math.log(math.exp(right) / (math.exp(right) + math.exp(wrong)))
    assert arc(embedding, torch.tensor([0])).item() == pytest.approx(expected, rel=1e-5)


def test_arc_margin_goes_on_falling_beyond_pi() -> None:
    arc = ArcMargin(2, 2, margin=0.3, scale=1)
    arc.weight.data = torch.eye(2)
    losses = []
    for angle in np.linspace(math.pi - 0.6, math.pi - 0.01, 12):
        embedding = torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float32)
        logits = arc(embedding, torch.tensor([0])) - math.log(math.exp(math.sin(angle)))
        losses.append(logits.item())
    assert all(later > earlier for earlier, later in pairwise(losses))


def by_hand(rows: np.ndarray, labels: list[int]) -> float:
    """Go through anchors one by one."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    relative, near_terms, far_terms = [], [], []
    for anchor in range(len(unit)):
        cosine = unit @ unit[anchor]
        positives = [cosine[i] for i in range(len(unit)) if labels[i] == labels[anchor] and i != anchor]
        negatives = [cosine[i] for i in range(len(unit)) if labels[i] != labels[anchor]]
        near, far = min(positives), max(negatives)
        relative.append(max(0.0, far - near + 0.5))
        near_terms.append(max(0.0, 0.8 - near))
        far_terms.append(max(0.0, far - 0.4))
    return float(np.mean(relative) + 0.1 * (np.mean(near_terms) + np.mean(far_terms)))


def test_triplet_takes_the_hardest_of_each() -> None:
    rows = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    labels = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    found = float(triplet_angular_margin(torch.from_numpy(rows), torch.tensor(labels)))
    assert found == pytest.approx(by_hand(rows, labels), rel=1e-5)


def test_triplet_without_pairs_is_nothing_and_can_be_derived() -> None:
    rows = torch.randn(3, 4, requires_grad=True)
    loss = triplet_angular_margin(rows, torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss.item() == 0
    assert rows.grad is not None


def test_triplet_leaves_alone_who_has_no_partner() -> None:
    rows = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    pairs = triplet_angular_margin(rows[:4], torch.tensor([0, 0, 1, 1]))
    assert torch.isfinite(triplet_angular_margin(rows, torch.tensor([0, 0, 1, 1, 2])))
    assert torch.isfinite(pairs)


def test_distillation_is_zero_where_the_map_gives_the_teacher() -> None:
    distillation = Distillation(4, 6)
    embeddings = torch.randn(8, 4)
    assert distillation(embeddings, 3 * distillation.map(embeddings).detach()).item() == pytest.approx(0, abs=1e-6)
    assert distillation(embeddings, -distillation.map(embeddings).detach()).item() == pytest.approx(2, abs=1e-6)


def test_map_distillation_compares_place_by_place() -> None:
    distillation = MapDistillation([3, 5], [4, 2])
    features = torch.randn(2, 3, 7, 7), torch.randn(2, 5, 7, 7)
    answers = torch.cat([own(feature).detach() for own, feature in zip(distillation.maps, features, strict=True)], 1)
    assert distillation(features, 2 * answers).item() == pytest.approx(0, abs=1e-6)
    assert distillation(features, answers.flip(3)).item() > 0.1
    answers[:, 4:] *= -1  # all of the second level is the contrary
    assert distillation(features, answers).item() == pytest.approx(1, abs=1e-6)
