"""A detector in other input shapes: what it finds in frames of other aspects, and its CPU time.

    PYTHONPATH=.:export python -m benchmarks.shapes models/shitu-small --shapes 448x288 --shared ../shared

- held-out photos of `beverage`, which are square, with their outermost rows or columns repeated until they have the
  aspect: AP50;
- photos of `fridge_dev`, 3 : 4: things found and other boxes, by detection threshold;
- CPU time of `detect` on a decoded 1280 × 720 frame, in turns.

Each shape takes every frame, in each precision of the bundle.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from shitu_edge import Bundle
from shitu_edge.bundle.networks import open_network
from shitu_edge.engines import EngineName, Resources
from shitu_edge.errors import EngineError
from shitu_edge.evaluation.boxes import average_precision
from shitu_edge.stages.detect import Detector
from shitu_edge.system.cpu import read_cpu

from .boxed_photos import BoxedPhoto, Counts, fridges, held_out_drinks
from .measure import describe_machine, interleave_cpu, print_times

ASPECTS = {"16 : 9": 16 / 9, "4 : 3": 4 / 3, "square": 1.0, "3 : 4": 3 / 4, "9 : 16": 9 / 16}
THRESHOLDS = (0.2, 0.3, 0.5)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--shapes", nargs="*", default=[], help="further ones, HEIGHTxWIDTH")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    print(describe_machine())
    bundle = Bundle.open(options.bundle)
    image = bundle.manifest.detector.network.input
    shapes = [(image.height, image.width), *(tuple(map(int, text.split("x"))) for text in options.shapes)]
    drinks = held_out_drinks(options.shared / "data")
    sets = {name: [with_margins(photo, aspect) for photo in drinks] for name, aspect in ASPECTS.items()}
    shelves = fridges(options.shared / "data")
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    tasks = {}
    for precision in bundle.manifest.precisions:
        for shape in shapes:
            name = f"{precision} {shape[0]} × {shape[1]}"
            try:
                detector = open_detector(bundle, precision, shape, options.engine)
            except EngineError as error:
                print(f"{name}: {error}")
                continue
            tasks[name] = partial(detector.detect, frame)
            found = ", ".join(f"{aspect} {ap50(detector, photos):.2%}" for aspect, photos in sets.items())
            print(f"{name}: AP50 {found}", flush=True)
            for threshold in THRESHOLDS:
                print(f"  fridges from {threshold}: {counts(detector, shelves, threshold)}", flush=True)
    print_times(interleave_cpu(tasks, options.rounds, warm_up=5))


def open_detector(bundle: Bundle, precision: str, shape: tuple[int, ...], engine: EngineName) -> Detector:
    """Return the bundle's detector in one shape alone."""
    spec = bundle.manifest.detector
    height, width = shape
    network = replace(spec.network, input=replace(spec.network.input, height=height, width=width))
    session = open_network(bundle, network, engine, precision, Resources(read_cpu().threads))
    return Detector(session, replace(spec, network=network, shapes=()))


def with_margins(photo: BoxedPhoto, aspect: float) -> BoxedPhoto:
    """Return a photo with its outermost rows or columns repeated until it has an aspect (width / height)."""
    height, width = photo.pixels_rgb.shape[:2]
    x, y = max(0, round((height * aspect - width) / 2)), max(0, round((width / aspect - height) / 2))
    pixels = np.pad(photo.pixels_rgb, ((y, y), (x, x), (0, 0)), mode="edge")
    return BoxedPhoto(pixels, photo.boxes_xyxy + np.array([x, y, x, y], np.float32))


def ap50(detector: Detector, photos: Sequence[BoxedPhoto]) -> float:
    """Return AP50 over photos."""
    found = [detector.detect(photo.pixels_rgb, score_threshold=0.01, max_boxes=100) for photo in photos]
    return average_precision([(photo.boxes_xyxy, one) for photo, one in zip(photos, found, strict=True)], 0.5)


def counts(detector: Detector, photos: Sequence[BoxedPhoto], threshold: float) -> Counts:
    """Compare what is found from a threshold with the truth."""
    total = Counts()
    for photo in photos:
        found = detector.detect(photo.pixels_rgb, score_threshold=threshold, max_boxes=100)
        total = total.and_photo(photo.boxes_xyxy, found.boxes_xyxy)
    return total


if __name__ == "__main__":
    main()
