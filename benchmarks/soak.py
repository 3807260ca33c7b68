"""Memory over many images of changing sizes.

    python -m benchmarks.soak [--models BUNDLE] [--count 20000] [--gallery-size 10000]

Recognizes a sample scene as JPEG, at changing sizes, and prints the resident memory on the way. Memory is flat if the
mean of the last quarter is within 2 % of that of the second quarter (the first one warms up).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure import describe_machine
from shitu_edge.bench.environment import read_memory
from shitu_edge.bench.images import load_images, resized
from shitu_edge.bench.run import Setup, opened

SIZES = 60
REPORTS = 40
TOLERANCE = 0.02
_MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--gallery-size", type=int, default=10_000)
    parser.add_argument("--objects", type=int, default=5)
    args = parser.parse_args()

    print(describe_machine())
    rng = random.Random(0)
    sizes = [(rng.randint(64, 1920), rng.randint(64, 1080)) for _ in range(SIZES)]
    scene = load_images(None, None)[:1]
    images = [image for size in sizes for image in resized(scene, size)]
    resident: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(Path(folder), args.models, gallery_size=args.gallery_size)
        with opened(setup, lambda *_: None) as recognizer:
            every = max(1, args.count // REPORTS)
            for number in range(1, args.count + 1):
                boxes = rng.randint(1, args.objects)
                recognizer.recognize(rng.choice(images), max_boxes=boxes, detection_threshold=0.0)
                if number % every == 0:
                    resident.append(read_memory().resident or 0)
                    print(f"{number} images: {resident[-1] / _MIB:.1f} MiB", flush=True)
    quarter = len(resident) // 4
    before, after = np.mean(resident[quarter : 2 * quarter]), np.mean(resident[-quarter:])
    print(f"second quarter {before / _MIB:.1f} MiB, last {after / _MIB:.1f} MiB: {100 * (after / before - 1):+.2f} %")
    if after > (1 + TOLERANCE) * before:
        sys.exit("the memory grows")


if __name__ == "__main__":
    main()
