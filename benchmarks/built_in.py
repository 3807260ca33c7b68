"""Speed of the built-in bundle: a photo with three products from bytes to names, and its detector next to public ones.

    PYTHONPATH=examples python -m benchmarks.built_in models/shitu-small --shared ../shared

- the way: the sample scenes (1280 × 720 JPEG) from bytes to names, with three boxes and the whole image looked up in a
  gallery of the sample products, in each precision of the bundle;
- detectors: photos of `beverage`, decoded before, in turns, each with the runtime's own pre-processing and decoding.

Milliseconds of single photos, one after the other.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from stand_in_bundles import make_bundles

from shitu_edge import Bundle, Recognizer
from shitu_edge.bundle.built_in import SAMPLES
from shitu_edge.demo.scenes import find_photos
from shitu_edge.enrollment import build_gallery
from shitu_edge.inputs.folders import images_in
from shitu_edge.stages.decode import decode

from .measure import describe_machine, interleave, print_times

PRODUCTS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    print(describe_machine())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        measure_way(stack, options.bundle, folder, options.rounds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        measure_detectors(stack, options.bundle, options.shared, folder, options.rounds)


def measure_way(stack: ExitStack, bundle: Path, folder: Path, rounds: int) -> None:
    """Print the milliseconds of `recognize`, from bytes to names."""
    scenes = [path.read_bytes() for path in images_in(SAMPLES / "scenes").images]
    tasks = {}
    for precision in Bundle.open(bundle).manifest.precisions:
        gallery = folder / f"{precision}.gallery"
        with Recognizer.open(bundle, precision=precision) as embedder:
            build_gallery(embedder, gallery, find_photos(SAMPLES).gallery)
        recognizer = stack.enter_context(Recognizer.open(bundle, gallery, precision=precision))
        tasks[f"{precision}, {PRODUCTS} boxes"] = partial(_recognize_next, recognizer, cycle(scenes))
    print_times(interleave(tasks, rounds, warm_up=10))


def measure_detectors(stack: ExitStack, bundle: Path, shared: Path, folder: Path, rounds: int) -> None:
    """Print the milliseconds of `detect` on decoded photos."""
    photos = [decode(path).pixels_rgb for path in images_in(shared / "data" / "beverage" / "images").images[:20]]
    bundles: dict[str, tuple[Path, str | None]] = {
        f"{bundle.name} {precision}": (bundle, precision) for precision in Bundle.open(bundle).manifest.precisions
    }
    for other in make_bundles(shared / "models", folder):
        bundles[other.manifest.detector.network.name] = other.folder, None
    tasks = {}
    for name, (place, precision) in bundles.items():
        recognizer = stack.enter_context(Recognizer.open(place, precision=precision))
        tasks[name] = partial(_detect_next, recognizer, cycle(photos))
    print_times(interleave(tasks, rounds, warm_up=10))


def _recognize_next(recognizer: Recognizer, scenes: Iterator[bytes]) -> None:
    recognizer.recognize(next(scenes), max_boxes=PRODUCTS)


def _detect_next(recognizer: Recognizer, photos: Iterator[NDArray[np.uint8]]) -> None:
    recognizer.detect(next(photos))


if __name__ == "__main__":
    main()
