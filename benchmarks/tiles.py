"""What the built-in detector finds in tiles, by their number, and its CPU time.

    PYTHONPATH=.:export python -m benchmarks.tiles --shared ../shared

- photos of `fridge_dev`, 3 : 4: things about a tenth as wide as the photo;
- held-out photos of `beverage`, with margins that make them 16 : 9: things of arm's length; and from 2 and 3 times as
  far, with more margin;
- per set: things found (IoU of at least 0.5), doubles (half inside of a true thing) and background boxes, and in how
  many photos `auto` took tiles.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from shitu_edge import Recognizer
from shitu_edge.stages.detect import Detector
from shitu_edge.stages.tiles import look
from shitu_edge.stages.view import TileCount

from .boxed_photos import BoxedPhoto, Counts, fridges, held_out_drinks
from .measure import describe_machine, interleave_cpu, print_times
from .shapes import with_margins

COUNTS: tuple[TileCount, ...] = (1, 2, 4, 6, 8, 12, "auto")
THRESHOLDS = (0.3, 0.5)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    print(describe_machine())
    drinks = [with_margins(photo, 16 / 9) for photo in held_out_drinks(options.shared / "data")]
    sets = {
        "fridges": fridges(options.shared / "data"),
        "drinks 16 : 9": drinks,
        "drinks from 2 x as far": [farther(photo, 2) for photo in drinks],
        "drinks from 3 x as far": [farther(photo, 3) for photo in drinks],
    }
    with Recognizer.open() as recognizer:
        detector = recognizer._detector
        for name, photos in sets.items():
            for threshold in THRESHOLDS:
                for tiles in COUNTS:
                    print(f"{name} from {threshold}, tiles {tiles}: {counts(detector, photos, tiles, threshold)}")
        frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
        tasks = {f"{tiles} tiles": partial(look, detector, frame, (0, 0, 1280, 720), tiles, None) for tiles in COUNTS}
        print_times(interleave_cpu(tasks, options.rounds))


def farther(photo: BoxedPhoto, times: int) -> BoxedPhoto:
    """Return a photo with its outermost pixels repeated until it is `times` as wide and high."""
    height, width = photo.pixels_rgb.shape[:2]
    x, y = round(width * (times - 1) / 2), round(height * (times - 1) / 2)
    pixels = np.pad(photo.pixels_rgb, ((y, y), (x, x), (0, 0)), mode="edge")
    return BoxedPhoto(pixels, photo.boxes_xyxy + np.array([x, y, x, y], np.float32))


def counts(detector: Detector, photos: list[BoxedPhoto], tiles: TileCount, threshold: float) -> str:
    """Compare what is found with the truth."""
    total, tiled = Counts(), 0
    for photo in photos:
        height, width = photo.pixels_rgb.shape[:2]
        looked = look(detector, photo.pixels_rgb, (0, 0, width, height), tiles, threshold)
        total, tiled = total.and_photo(photo.boxes_xyxy, looked.found.boxes_xyxy), tiled + (looked.tiles > 1)
    return f"{total}" + (f"; in tiles {tiled} of {len(photos)}" if tiles == "auto" else "")


if __name__ == "__main__":
    main()
