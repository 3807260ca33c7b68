"""Pipeline recall as PaddleClas measures it (`deploy/python/eval_shitu_pipeline.py`), to compare across a migration.

It flatters: a photo counts as right if any of its boxes, however wrong the others are, has the label among the first k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import GalleryError
from ..recognizer import Recognizer
from .queries import LabeledPhoto

_MOST = 5


def pipeline_recall(
    recognizer: Recognizer,
    photos: Sequence[LabeledPhoto],
    progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[float, ...]:
    """Return recall@1 to recall@5 over photos with a label each.

    Every detected box and the whole image name their nearest item, without a threshold; the names of a photo are sorted
    by similarity, and recall@k is the share of photos with their label among the first k names.

    Raises:
        GalleryError: there are no photos with a label.
        ImageError: a photo cannot be read.
    """
    labeled = [photo for photo in photos if photo.label is not None]
    if not labeled:
        raise GalleryError("pipeline recall needs photos with one label each: a folder per label, or a label file")
    places = []
    for done, photo in enumerate(labeled, 1):
        answer = recognizer.recognize(
            photo.path, threshold=-1, margin=0, neighbors=1, vote=False, suppression_iou=1, whole_image="always"
        )
        named = [(item.similarity, item.label) for item in answer.items]
        named += [(drop.similarity, drop.label) for drop in answer.dropped if drop.reason == "no_texture"]
        named.sort(key=lambda one: -(one[0] or 0.0))
        labels = [label for _, label in named]
        places.append(labels.index(photo.label) if photo.label in labels else _MOST)
        progress(done, len(labeled))
    return tuple(sum(place < k for place in places) / len(places) for k in range(1, _MOST + 1))
