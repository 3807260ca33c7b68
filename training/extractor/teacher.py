"""A teacher's answers to views of a pack's images (`teaching.py`): vectors and feature maps, stored next to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

VECTORS, MAPS = "teacher.npy", "teacher-maps.npy"
MAP_SIDE = 7
MAP_DEPTHS = (192, 96)
"""Numbers kept a place: of the teacher's last map, and of its last map of twice that resolution."""


_SAMPLED = 5000


@dataclass(frozen=True, slots=True)
class Lessons:
    """A teacher's answers to the views of a pack's images, read from disk as needed.

    Attributes:
        vectors: float16 (N, views, T).
        maps: float16 (N, views, M, 7, 7), its feature maps.
    """

    vectors: NDArray[np.float16]
    maps: NDArray[np.float16]

    @classmethod
    def open(cls, folder: Path) -> Lessons | None:
        """Return a pack's lessons, if it has any.

        Raises:
            ValueError: there are vectors without maps, or the other way round.
        """
        there = [name for name in (VECTORS, MAPS) if (folder / name).is_file()]
        if not there:
            return None
        if len(there) == 1:
            raise ValueError(f"{folder}: what a teacher said is incomplete, only {there[0]} is there: teach it again")
        return cls(np.load(folder / VECTORS, mmap_mode="r"), np.load(folder / MAPS, mmap_mode="r"))


def center(lessons: Sequence[Lessons]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the means of vectors (T,) and maps (M, 1, 1) over a sample of all packs; of none, nothing."""
    if not lessons:
        return np.zeros(0, np.float32), np.zeros((0, 1, 1), np.float32)
    vectors, maps = [], []
    for lesson in lessons:
        rows, views = lesson.vectors.shape[:2]
        for number in range(0, rows * views, max(1, rows * views // _SAMPLED)):
            place = divmod(number, views)
            vectors.append(lesson.vectors[place].astype(np.float32))
            maps.append(lesson.maps[place].mean((1, 2), dtype=np.float32))
    return np.mean(vectors, 0), np.mean(maps, 0)[:, None, None]
