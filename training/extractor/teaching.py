"""Asking a teacher: its vectors and feature maps of views of a pack's images, kept beside the pack.

A small student cannot learn all that a large teacher sees, and need not: of the maps it is shown the directions that
tell products apart (`Focus`). Random ones teach less (`shitu_small/README.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as ops

from ..progress import Progress
from .discriminant import Features, Scatter, discriminant
from .packs import Pack
from .teacher import MAP_DEPTHS, MAP_SIDE, MAPS, VECTORS
from .views import cut, part_of

Answers = Sequence[NDArray[np.float32]]
"""Of a network's outputs, in their order, to one image."""
Key = TypeVar("Key")

_CONFIG = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
"""Without the second, newer CPUs answer in bfloat16, with three digits."""
_SHRINKAGE = 0.1
_VECTOR = 256


@dataclass(frozen=True, slots=True)
class Focus:
    """Linear maps (D, C) and offsets (D,) of what a teacher's maps say of products, by discriminant analysis.

    `vector` and `coarse` are of its last map, averaged and place by place, `fine` of its last one of twice the
    resolution.
    """

    vector: Features
    vector_offset: Features
    coarse: Features
    coarse_offset: Features
    fine: Features
    fine_offset: Features

    @classmethod
    def load(cls, path: Path) -> Focus:
        """Read what `save` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            with path.open("rb") as stream, np.load(stream) as stored:  # NumPy leaves a damaged archive open
                return cls(**stored)
        except (OSError, TypeError, ValueError, AttributeError, BadZipFile) as error:
            raise ValueError(f"{path}: is no teacher's focus: {error}") from error

    def check(self, channels: Sequence[int], path: Path) -> None:
        """Refuse to look at maps of other channels, coarse and fine, than it was found for.

        Raises:
            ValueError: naming `path`, where it was read.
        """
        own = [self.coarse.shape[1], self.fine.shape[1]]
        if own != list(channels):
            raise ValueError(f"{path}: the focus is of maps of {own} channels, the teachers' have {list(channels)}")

    def save(self, path: Path) -> None:
        """Write it as a NumPy archive."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:  # `savez` would add a suffix to a name without one
            np.savez(stream, **asdict(self))


def find_focus(packs: Sequence[tuple[Pack, float]], models: Sequence[Path], progress: Progress) -> Focus:
    """Return what of teachers' maps tells products apart, of all teachers' maps side by side.

    Args:
        packs: images of products, several of each, and each pack's share.
        models: the teachers; see `teach`.
        progress: called with the answers there are and in all.

    Raises:
        ValueError: a network has no maps to learn from, or all together fewer channels than are to be kept.
    """
    networks = [read_teacher(model) for model in models]
    for network in networks:
        network.add_outputs([ops.reduce_mean(found, np.array([2, 3])).output(0) for found in find_maps(network)])
    total = sum(len(pack) for pack, _ in packs) * len(networks)
    asked, scatters = count(1), []
    for pack, _ in packs:
        answers = [_look_at(network, pack, lambda: progress(next(asked), total)) for network in networks]
        scatters.append([Scatter.of(np.hstack(rows), pack.labels) for rows in zip(*answers, strict=True)])
    shares = [share for _, share in packs]
    coarse, fine = (Scatter.mix(kind, shares) for kind in zip(*scatters, strict=True))
    pairs = ((coarse, _VECTOR), (coarse, MAP_DEPTHS[0]), (fine, MAP_DEPTHS[1]))
    for scatter, dim in pairs:
        if len(scatter.mean) < dim:
            raise ValueError(
                f"{models[0]}: {dim} directions are to be kept of maps that have {len(scatter.mean)} channels"
            )
    parts = [part for scatter, dim in pairs for part in discriminant(scatter, dim, _SHRINKAGE)]
    return Focus(*parts)


def teach(pack: Pack, model: Path, views: int, progress: Progress, focus: Focus) -> NDArray[np.float16]:
    """Write and return a teacher's vectors, float16 (N, views, T); beside them its maps (N, views, M, 7, 7).

    Args:
        pack: the images.
        model: a convolutional network that OpenVINO reads, with one image (1, S, S, 3) of uint8 RGB in and one
            vector out.
        views: how many views (`views.part_of`) of each image.
        progress: called with the images done and in all.
        focus: what of the maps to keep.

    Raises:
        ValueError: the network has no maps to learn from, or the focus is of others.
    """
    network = read_teacher(model)
    coarse, fine = find_maps(network)
    focus.check([int(found.get_shape()[1]) for found in (coarse, fine)], model)
    average = ops.reduce_mean(coarse, np.array([2, 3]), True).output(0)
    network.add_outputs(
        [
            _projected(average, focus.vector, focus.vector_offset),
            _reduced(coarse, focus.coarse, focus.coarse_offset),
            _reduced(fine, focus.fine, focus.fine_offset),
        ]
    )
    side = side_of(network)
    vectors = _new(pack.folder / VECTORS, (len(pack), views, int(network.output(1).shape[1])))
    maps = _new(pack.folder / MAPS, (len(pack), views, sum(MAP_DEPTHS), MAP_SIDE, MAP_SIDE))

    def keep(place: tuple[int, int], answers: Answers) -> None:
        vectors[place] = answers[1].reshape(-1)
        maps[place] = np.concatenate([answers[2][0], answers[3][0]])

    places = ((row, view) for row in range(len(pack)) for view in range(views))
    seen = ((place, cut(pack.pixels_rgb[place[0]], part_of(*place), side)) for place in places)
    _ask(network, seen, keep, lambda place: progress(place[0] + 1, len(pack)))
    vectors.flush()
    maps.flush()
    return vectors


def _look_at(network: ov.Model, pack: Pack, asked: Callable[[], None]) -> list[Features]:
    """Return, of every output but the first, the answers (N, C) to a pack's whole images."""
    side = side_of(network)
    answers = [np.empty((len(pack), int(output.shape[1]))) for output in network.outputs[1:]]

    def keep(row: int, found: Answers) -> None:
        for rows, answer in zip(answers, found[1:], strict=True):
            rows[row] = answer.reshape(-1)

    whole = ((row, cv2.resize(image, (side, side))) for row, image in enumerate(pack.pixels_rgb))
    _ask(network, whole, keep, lambda _: asked())
    return answers


def read_teacher(model: Path) -> ov.Model:
    """Read a network of a format that OpenVINO knows."""
    return ov.Core().read_model(model)


def side_of(network: ov.Model) -> int:
    """Return the side in pixels of a network's input (1, S, S, 3)."""
    return int(network.input(0).shape[1])


def _new(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.float16]]:
    return np.lib.format.open_memmap(path, "w+", np.float16, shape)


def _ask(
    network: ov.Model,
    images: Iterable[tuple[Key, NDArray[np.uint8]]],
    keep: Callable[[Key, Answers], None],
    asked: Callable[[Key], None],
) -> None:
    """Show images (S, S, 3) to a network, several at a time, and give `keep` its answers as they come."""
    queue = ov.AsyncInferQueue(ov.Core().compile_model(network, "CPU", _CONFIG))

    def answered(request: Any, key: Key) -> None:
        keep(key, [request.get_output_tensor(number).data for number in range(len(network.outputs))])

    queue.set_callback(answered)
    for key, image in images:
        queue.start_async({0: image[None]}, key)
        asked(key)
    queue.wait_all()


def find_maps(network: ov.Model) -> list[ov.Output]:
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


def _reduced(features: ov.Output, matrix: Features, offset: Features) -> ov.Output:
    """Bring a map to 7 × 7 places and project each."""
    pooled = ops.adaptive_avg_pool(features, np.array([MAP_SIDE, MAP_SIDE], np.int64))
    return _projected(pooled.output(0), matrix, offset)


def _projected(features: ov.Output, matrix: Features, offset: Features) -> ov.Output:
    """Map each place of (1, C, H, W) by a matrix (D, C) and an offset (D,)."""
    kernel = matrix.astype(np.float32)[:, :, None, None]
    moved = ops.convolution(features, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    return ops.add(moved, offset.astype(np.float32)[None, :, None, None]).output(0)
