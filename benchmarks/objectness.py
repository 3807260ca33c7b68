"""What recognition finds in photos with true boxes and an empty gallery, with and without the objectness network.

    PYTHONPATH=.:export python -m benchmarks.objectness [BUNDLE] --shared ../shared

Held-out photos of `beverage`, square and with margins that make them 16 : 9; `beer_dev`; `fridge_dev`, as a whole and
in tiles. No box has a name here, so each has to be a product to count. By default; and all boxes from the bundle's
threshold and from the faint one, with the network and without it: then what it has dropped as `no_product` counts as
well. Boxes that overlap a surer one by more than the policy's IoU are left out, and there are 100 at most. And the CPU
time of the network.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from shitu_edge import Box, Recognizer, View
from shitu_edge.imaging.geometry import Boxes, suppress
from shitu_edge.stages.objectness import Objectness

from .boxed_photos import BoxedPhoto, Counts, fridges, held_out_drinks, promotions
from .measure import describe_machine, interleave_cpu, print_times
from .shapes import with_margins

_MOST = 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", default="shitu-small")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    options = parser.parse_args()
    print(describe_machine())
    data = options.shared / "data"
    drinks, shelves = held_out_drinks(data), fridges(data)
    wide = [with_margins(photo, 16 / 9) for photo in drinks]
    sets = [("drinks", drinks, 1), ("drinks 16 : 9", wide, 1), ("promotions", promotions(data), 1)]
    sets += [(f"fridges, tiles {tiles}", shelves, tiles) for tiles in (1, 6, 8)]
    with tempfile.TemporaryDirectory() as folder, Recognizer.open(options.bundle) as opened:
        path = Path(folder) / "empty.gallery"
        opened.create_gallery(path).close()
        spec, weights = opened.bundle.manifest, opened.bundle.objectness()
        if weights is None:
            parser.error(f"{options.bundle} has no objectness network")
        with Recognizer.open(options.bundle, path) as recognizer:
            for name, photos, tiles in sets:
                _, kept = _counts(recognizer, photos, View(tiles=tiles), None)
                print(f"{name}: {kept}", flush=True)
                for threshold in (spec.detector.score_threshold, spec.detector.faint_threshold):
                    without, kept = _counts(recognizer, photos, View(tiles=tiles), threshold)
                    print(f"  all from {threshold}: {kept}\n  the same without the network: {without}", flush=True)
    rng, objectness = np.random.default_rng(0), Objectness(weights)
    rows = rng.normal(size=(20, spec.extractor.dim)).astype(np.float32)
    tasks = {f"{count} boxes": partial(objectness.log_odds, rows[:count]) for count in (5, 20)}
    print_times(interleave_cpu(tasks, 200, warm_up=5))


def _counts(
    recognizer: Recognizer, photos: Sequence[BoxedPhoto], view: View, threshold: float | None
) -> tuple[Counts, Counts]:
    """Compare with the truth what is found from a threshold, without and with the network."""
    without, kept = Counts(), Counts()
    iou = recognizer.bundle.manifest.policy.suppression_iou
    for photo in photos:
        answer = recognizer.recognize(
            photo.pixels_rgb, view=view, detection_threshold=threshold, max_boxes=_MOST, whole_image="never"
        )
        items = [(item.box_xyxy, item.detection_score) for item in answer.items]
        others = [(box.box_xyxy, box.detection_score) for box in answer.dropped if box.reason == "no_product"]
        kept = kept.and_photo(photo.boxes_xyxy, _boxes(items))
        both = _boxes(sorted(items + others, key=lambda one: -(one[1] or 0)))
        without = without.and_photo(photo.boxes_xyxy, both[suppress(both, np.arange(len(both)), iou)])
    return without, kept


def _boxes(some: Sequence[tuple[Box, float | None]]) -> Boxes:
    return np.array([box for box, _ in some], np.float32).reshape(-1, 4)


if __name__ == "__main__":
    main()
