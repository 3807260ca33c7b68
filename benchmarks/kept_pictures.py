"""What kept pictures are worth: embeddings from them against embeddings from the photos, and their size.

    python -m benchmarks.kept_pictures --shared ../shared

Drinks and groceries, every twelfth and thirtieth photo, by the built-in bundle, cropped as they are enrolled. Prints
the mean and the lowest cosine, the mean size in bytes, and the CPU time of making one.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from shitu_edge import Recognizer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    data = parser.parse_args().shared / "data"
    sets = {
        "drinks": sorted((data / "drinks" / "gallery").glob("*/*.jpg"))[::12],
        "groceries": sorted((data / "grocery" / "images" / "train").rglob("*.jpg"))[::30],
    }
    with Recognizer.open() as recognizer:
        for name, photos in sets.items():
            measure(name, photos, recognizer)


def measure(name: str, photos: list[Path], recognizer: Recognizer) -> None:
    """Print a line for a set of photos."""
    cosines, sizes, seconds = [], [], 0.0
    for photo in photos:
        product = recognizer.cut_product(photo)
        begun = time.process_time()
        origin = product.origin("", picture=True)
        seconds += time.process_time() - begun
        assert origin.product_xyxy is not None
        kept = recognizer.embed(origin.picture, [origin.product_xyxy])[0]
        cosines.append(float(kept @ recognizer.embed(product.pixels_rgb)[0]))
        sizes.append(len(origin.picture))
    print(
        f"{name}, {len(photos)} photos: cosine {np.mean(cosines):.3f}, at least {min(cosines):.3f}; "
        f"{np.mean(sizes):.0f} bytes; {1000 * seconds / len(photos):.1f} ms"
    )


if __name__ == "__main__":
    main()
