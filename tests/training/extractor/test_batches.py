"""Batches hold what was asked for, and a step's batch is always the same."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.extractor.batches import Batches, Course
from training.extractor.packs import pack_images
from training.extractor.teacher import MAPS, VECTORS

from .images import write_products
from .test_packs import ignore


@pytest.fixture(scope="module")
def courses(tmp_path_factory: pytest.TempPathFactory) -> list[Course]:
    """Six products of five views, and ten images that are each their own thing, with a teacher."""
    folder = tmp_path_factory.mktemp("courses")
    write_products(folder / "products", range(6), range(5))
    write_products(folder / "varied", range(20, 22), range(5))
    pack_images([folder / "products"], folder / "a", 32, False, ignore)
    pack_images([folder / "varied"], folder / "b", 32, True, ignore)
    vectors = np.arange(10 * 3 * 4, dtype=np.float16).reshape(10, 3, 4)
    np.save(folder / "b" / VECTORS, vectors)
    np.save(folder / "b" / MAPS, np.broadcast_to(vectors[..., :2, None, None], (10, 3, 2, 7, 7)))
    return [
        Course.open(folder / "b", 1, classify=False, distil=True),
        Course.open(folder / "a", 2, classify=True, distil=True),
    ]


def test_labels_stand_together_and_classes_come_first(courses: list[Course]) -> None:
    batches = Batches(courses, 24, seed=1)
    batch = batches.batch(0, 16)
    assert batch.images.shape == (24, 3, 16, 16)
    assert batches.classes == 6
    assert len(batch.classes) == 16
    assert int(batch.classes.max()) < 6 <= int(batch.labels[16:].min())
    assert sorted(torch.bincount(batch.labels)[batch.labels.unique()].tolist()) == [2, 2, 2, 2, 4, 4, 4, 4]


def test_teachers_vectors_are_those_of_their_rows_and_centered(courses: list[Course]) -> None:
    batches = Batches(courses, 24, seed=1)
    lessons = courses[0].lessons
    assert lessons is not None
    flat = lessons.vectors.reshape(-1, 4).astype(np.float32)
    known = {tuple(np.round(row, 3)) for row in flat - flat.mean(0)}
    batch = batches.batch(3, 16)
    assert batch.taught.tolist() == list(range(16, 24))
    rows = batch.vectors.numpy()
    assert {tuple(np.round(row, 3)) for row in rows} <= known
    assert batch.maps.shape == (8, 2, 7, 7)
    np.testing.assert_allclose(batch.maps.numpy(), np.broadcast_to(rows[:, :2, None, None], batch.maps.shape))


def test_a_step_is_the_same_again_and_others_differ(courses: list[Course]) -> None:
    first, again = Batches(courses, 24, seed=1), Batches(courses, 24, seed=1)
    assert torch.equal(first.batch(5, 16).images, again.batch(5, 16).images)
    assert not torch.equal(first.batch(5, 16).images, first.batch(6, 16).images)
    assert not torch.equal(first.batch(5, 16).images, Batches(courses, 24, seed=1, rank=1).batch(5, 16).images)
    assert not torch.equal(first.batch(5, 16).images, Batches(courses, 24, seed=2).batch(5, 16).images)


def test_made_ahead_as_made_at_once(courses: list[Course]) -> None:
    batches = Batches(courses, 24, seed=1)
    made = list(batches.ahead(2, 5, [16, 16, 16, 24, 24]))
    assert [step for step, _ in made] == [2, 3, 4]
    assert made[1][1].images.shape[-1] == 24
    assert torch.equal(made[0][1].images, batches.batch(2, 16).images)


def test_an_error_while_making_reaches_who_learns(courses: list[Course]) -> None:
    with pytest.raises(IndexError):
        list(Batches(courses, 24, seed=1).ahead(0, 3, [16]))


def test_leaving_early_ends_the_thread(courses: list[Course]) -> None:
    import threading

    before = threading.active_count()
    for _ in Batches(courses, 24, seed=1).ahead(0, 50, [16] * 50):
        break
    assert threading.active_count() == before
