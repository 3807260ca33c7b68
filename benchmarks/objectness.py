"""What the objectness network leaves of what a bundle's detector finds in photos with true boxes, and its CPU time.

    PYTHONPATH=.:export python -m benchmarks.objectness [BUNDLE] --shared ../shared

Held-out photos of `beverage`, square and with margins that make them 16 : 9; `beer_dev`; `fridge_dev`, as a whole and
in six tiles. No box has a name here, so each has to be a product to count.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from shitu_edge import Recognizer, View
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
    drinks = held_out_drinks(data)
    with Recognizer.open(options.bundle) as recognizer:
        weights = recognizer.bundle.objectness()
        if weights is None:
            parser.error(f"{options.bundle} has no objectness network")
        objectness, dim = Objectness(weights), recognizer.bundle.manifest.extractor.dim
        spec = recognizer.bundle.manifest.detector
        faint, least = spec.faint_threshold, spec.score_threshold
        wide = [with_margins(photo, 16 / 9) for photo in drinks]
        sets = {"drinks": drinks, "drinks 16 : 9": wide, "promotions": promotions(data), "fridges": fridges(data)}
        views = [(name, photos, View()) for name, photos in sets.items()]
        for name, photos, view in [*views, ("fridges in 6 tiles", sets["fridges"], View(tiles=6))]:
            for threshold in sorted({faint or least, least}):
                all_boxes, kept = _counts(recognizer, objectness, photos, threshold, view)
                print(f"{name} from {threshold}: {all_boxes}", flush=True)
                print(f"  with objectness: {kept}", flush=True)
    rng = np.random.default_rng(0)
    tasks = {
        f"{count} boxes": partial(objectness.log_odds, rng.normal(size=(count, dim)).astype(np.float32))
        for count in (5, 20)
    }
    print_times(interleave_cpu(tasks, 200, warm_up=5))


def _counts(
    recognizer: Recognizer, objectness: Objectness, photos: Sequence[BoxedPhoto], threshold: float, view: View
) -> tuple[Counts, Counts]:
    """Compare with the truth what is found from a threshold, and what of it is a product."""
    before, after = Counts(), Counts()
    for photo in photos:
        pixels = photo.pixels_rgb
        found = recognizer.detect(pixels, detection_threshold=threshold, max_boxes=_MOST, view=view)
        before = before.and_photo(photo.boxes_xyxy, found.boxes_xyxy)
        if len(found):
            found = found.only(objectness.log_odds(recognizer.embed(pixels, found.boxes_xyxy)) >= 0)
        after = after.and_photo(photo.boxes_xyxy, found.boxes_xyxy)
    return before, after


if __name__ == "__main__":
    main()
