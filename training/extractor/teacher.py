"""A teacher's vectors of views of a pack's pictures, computed once and kept beside the pack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .packs import Pack, Progress
from .views import cut, part_of

VECTORS = "teacher.npy"


def teach(pack: Pack, model: Path, views: int, progress: Progress) -> NDArray[np.float16]:
    """Write and return a teacher's vectors, float16 (N, views, T).

    Args:
        pack: the pictures.
        model: a network that OpenVINO reads, with one picture (1, S, S, 3) of uint8 RGB in and one vector out.
        views: how many views (`views.part_of`) of each picture.
        progress: called with the pictures done and in all.
    """
    import openvino as ov  # the only step that needs it

    core = ov.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    side = int(compiled.input(0).shape[1])
    vectors = np.lib.format.open_memmap(
        pack.folder / VECTORS, "w+", np.float16, (len(pack), views, int(compiled.output(0).shape[-1]))
    )
    queue = ov.AsyncInferQueue(compiled)

    def keep(request: ov.InferRequest, place: tuple[int, int]) -> None:
        vectors[place] = request.get_output_tensor(0).data.reshape(-1)

    queue.set_callback(keep)
    for row in range(len(pack)):
        for view in range(views):
            queue.start_async({0: cut(pack.pixels_rgb[row], part_of(row, view), side)[None]}, (row, view))
        progress(row + 1, len(pack))
    queue.wait_all()
    vectors.flush()
    return vectors
