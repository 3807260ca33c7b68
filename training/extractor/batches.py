"""Batches: P things × K views from each pack, drawn by numbers alone, so that a step is the same after a restart."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .packs import Pack
from .teacher import Lessons, center
from .views import cut, part_of

_AHEAD = 4


@dataclass(frozen=True, slots=True)
class Course:
    """A pack and what is learnt from it.

    Attributes:
        pack: the images.
        share: of a batch, relative to the other packs'.
        per_label: K, the views of one label in a batch.
        classify: whether labels are products to be told apart by ArcMargin; else they only bind views together.
        lessons: what a teacher says of it, or None.
    """

    pack: Pack
    share: float
    per_label: int
    classify: bool
    lessons: Lessons | None

    @classmethod
    def open(cls, folder: Path, share: float, *, classify: bool, distil: bool) -> Course:
        """Open a pack with what a teacher says of it, if there is any and it is wanted."""
        pack = Pack.open(folder)
        return cls(pack, share, 4 if classify else 2, classify, Lessons.open(folder) if distil else None)


@dataclass(frozen=True, slots=True)
class Batch:
    """Images and what is known of them.

    Attributes:
        images: uint8 (N, 3, side, side).
        labels: int64 (N,), distinct over all packs.
        classes: of the first rows, which are to be classified: int64 (C,).
        taught: the rows of which a teacher says something, int64 (T,).
        vectors: float32 (T, D), the teacher's, centered over all packs.
        maps: float32 (T, M, S, S), the same of its feature maps.
    """

    images: Tensor
    labels: Tensor
    classes: Tensor
    taught: Tensor
    vectors: Tensor
    maps: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return it on a device."""
        return Batch(*(getattr(self, one.name).to(device) for one in fields(self)))


class Batches:
    """Draws batches of all courses.

    Args:
        courses: the packs; those to be classified come first in every batch.
        size: images a batch.
        seed: decides, with a step's number and the rank, what a batch holds.
        rank: which of several processes this is; each draws other images.
    """

    def __init__(self, courses: Sequence[Course], size: int, seed: int, rank: int = 0) -> None:
        self._courses = sorted(courses, key=lambda course: not course.classify)
        self._rows = [course.pack.by_label() for course in self._courses]
        total = sum(course.share for course in courses)
        self._groups = [max(1, round(size * course.share / total / course.per_label)) for course in self._courses]
        counts = [len(rows) for rows in self._rows]
        self._offsets = np.concatenate([[0], np.cumsum(counts)])
        self.classes = sum(n for n, course in zip(counts, self._courses, strict=True) if course.classify)
        self._seed, self._rank = seed, rank
        self._center = center([course.lessons for course in courses if course.lessons is not None])
        self.teacher_dim = len(self._center[0])

    def batch(self, step: int, side: int) -> Batch:
        """Return the batch of a step, with images of `side` pixels."""
        rng = np.random.default_rng((self._seed, step, self._rank))
        images: list[NDArray[np.uint8]] = []
        vectors: list[NDArray[np.float16]] = []
        maps: list[NDArray[np.float16]] = []
        labels: list[int] = []
        taught: list[int] = []
        classified = 0
        for course, rows, groups, offset in zip(
            self._courses, self._rows, self._groups, self._offsets[:-1], strict=True
        ):
            for label in rng.choice(len(rows), groups, replace=groups > len(rows)):
                views = course.lessons.vectors.shape[1] if course.lessons is not None else 1 << 30
                chosen = _draw(rng, rows[label], views, course.per_label)
                for row, view in chosen:
                    if course.lessons is not None:
                        taught.append(len(images))
                        vectors.append(course.lessons.vectors[row, view])
                        maps.append(course.lessons.maps[row, view])
                    images.append(cut(course.pack.pixels_rgb[row], part_of(row, view), side))
                    labels.append(int(offset + label))
                classified += len(chosen) * course.classify
        numbers = torch.tensor(np.array(labels))
        return Batch(
            torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),
            numbers,
            numbers[:classified],
            torch.tensor(taught, dtype=torch.int64),
            _centered(vectors, self._center[0]),
            _centered(maps, self._center[1]),
        )

    def ahead(self, first: int, last: int, sides: Sequence[int]) -> Iterator[tuple[int, Batch]]:
        """Yield the steps `first` to `last` - 1 and their batches, made in a thread while the caller learns."""
        with ThreadPoolExecutor(1) as pool:
            made = deque(pool.submit(self.batch, step, sides[step]) for step in range(first, min(first + _AHEAD, last)))
            try:
                for step in range(first, last):
                    batch = made.popleft().result()
                    if step + _AHEAD < last:
                        made.append(pool.submit(self.batch, step + _AHEAD, sides[step + _AHEAD]))
                    yield step, batch
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _draw(rng: np.random.Generator, rows: NDArray[np.int64], views: int, count: int) -> list[tuple[int, int]]:
    """Draw (row, view) pairs: different images as far as there are any, and never a pair twice."""
    chosen: list[tuple[int, int]] = []
    order = rng.permutation(rows)
    while len(chosen) < min(count, views * len(rows)):
        pair = int(order[len(chosen) % len(order)]), int(rng.integers(views))
        if pair not in chosen:
            chosen.append(pair)
    return chosen


def _centered(rows: list[NDArray[np.float16]], center: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.stack(rows).astype(np.float32) - center) if rows else torch.zeros(0)
