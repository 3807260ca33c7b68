"""A teacher's vectors and feature maps of views of a pack's pictures, computed once and kept beside the pack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .packs import Pack, Progress
from .views import cut, part_of

if TYPE_CHECKING:
    import openvino as ov

VECTORS, MAPS = "teacher.npy", "teacher-maps.npy"
MAP_SIDE = 7
MAP_DEPTHS = (128, 64)
"""Numbers kept a place: of the teacher's last map, and of its last map of twice that resolution."""


_SAMPLED = 5000


@dataclass(frozen=True, slots=True)
class Lessons:
    """What a teacher says of the views of a pack's pictures, read from disk as needed.

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


def centre(lessons: Sequence[Lessons]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
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


def teach(pack: Pack, model: Path, views: int, progress: Progress) -> NDArray[np.float16]:
    """Write and return a teacher's vectors, float16 (N, views, T); beside them its maps (N, views, 192, 7, 7).

    Args:
        pack: the pictures.
        model: a convolutional network that OpenVINO reads, with one picture (1, S, S, 3) of uint8 RGB in and one
            vector out.
        views: how many views (`views.part_of`) of each picture.
        progress: called with the pictures done and in all.

    Raises:
        ValueError: the network has no maps to learn from.
    """
    import openvino as ov  # the only step that needs it

    core = ov.Core()
    network = core.read_model(model)
    network.add_outputs([_reduced(*pair) for pair in zip(_maps(network), MAP_DEPTHS, strict=True)])
    compiled = core.compile_model(network, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    side = int(compiled.input(0).shape[1])
    places = len(pack), views
    vectors = np.lib.format.open_memmap(
        pack.folder / VECTORS, "w+", np.float16, (*places, int(compiled.output(0).shape[-1]))
    )
    maps = np.lib.format.open_memmap(
        pack.folder / MAPS, "w+", np.float16, (*places, sum(MAP_DEPTHS), MAP_SIDE, MAP_SIDE)
    )
    queue = ov.AsyncInferQueue(compiled)

    def keep(request: ov.InferRequest, place: tuple[int, int]) -> None:
        vectors[place] = request.get_output_tensor(0).data.reshape(-1)
        maps[place] = np.concatenate([request.get_output_tensor(1 + i).data[0] for i in range(len(MAP_DEPTHS))])

    queue.set_callback(keep)
    for row in range(len(pack)):
        for view in range(views):
            queue.start_async({0: cut(pack.pixels_rgb[row], part_of(row, view), side)[None]}, (row, view))
        progress(row + 1, len(pack))
    queue.wait_all()
    vectors.flush()
    maps.flush()
    return vectors


def _maps(network: ov.Model) -> list[ov.Output]:
    """Return the outputs that are a network's last map before it averages, and the last one of twice its resolution.

    Raises:
        ValueError: there are none, so it is no convolutional network as known here.
    """
    last: dict[int, ov.Output] = {}
    for op in network.get_ordered_ops():
        shape = op.output(0).get_partial_shape() if op.get_output_size() == 1 else None
        if op.get_type_name() != "Constant" and shape is not None and shape.is_static and len(shape) == 4:
            count, _, height, width = shape.to_shape()
            if count == 1 and height == width > 1:
                last[height] = op.output(0)
    coarse = min(last, default=0)
    if 2 * coarse not in last:
        raise ValueError("the teacher: expected a network that halves its maps' resolution before it averages them")
    return [last[coarse], last[2 * coarse]]


def _reduced(features: ov.Output, depth: int) -> ov.Output:
    """Bring a map to 7 × 7 places and `depth` channels by a random projection, which keeps distances.

    It is the same for every pack (Johnson and Lindenstrauss, 1984).
    """
    from openvino import opset13 as ops

    channels = features.get_shape()[1]
    projection = np.random.default_rng(depth).standard_normal((depth, channels, 1, 1), np.float32) / depth**0.5
    pooled = ops.adaptive_avg_pool(features, np.array([MAP_SIDE, MAP_SIDE], np.int64))
    return ops.convolution(pooled, projection.astype(np.float32), [1, 1], [0, 0], [0, 0], [1, 1]).output(0)
