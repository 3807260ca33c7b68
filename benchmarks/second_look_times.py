"""What a second look costs: an image whose five boxes all need one, in a gallery of 100 000 items.

    python -m benchmarks.second_look_times --shared ../shared [--models BUNDLE] [--precision int8] [--deadline-ms 200]

The gallery holds synthetic items and a photo each of half of the drinks; the image shows five of the others, side by
side. Recognizers without and with a second look take turns. A second image shows five that are enrolled, by the very
photo: nothing is doubtful. Prints medians and 95th percentiles in milliseconds.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure import describe_machine
from shitu_edge import Recognizer
from shitu_edge.bench.galleries import prepared_gallery
from shitu_edge.bundle.networks import open_bundle
from shitu_edge.calibration import looks
from shitu_edge.gallery import Gallery
from shitu_edge.results import LookState

_BOXES, _WIDTH, _HEIGHT = 5, 1280, 720


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--models")
    parser.add_argument("--precision")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--deadline-ms", type=float)
    parser.add_argument("--keep", type=Path, help="folder for the synthetic gallery, to be used again")
    options = parser.parse_args()
    looks.PICTURED = 0.0  # the synthetic items have no pictures
    print(describe_machine())
    drinks = options.shared / "data" / "drinks" / "gallery"
    lines = [line.split("\t") for line in (drinks / "drink_label_all.txt").read_text("utf-8").splitlines()]
    photos = {label: drinks / path for path, label in reversed(lines) if (drinks / path).is_file()}
    labels = sorted(photos)
    enrolled, others = labels[::2], labels[1::2]
    with tempfile.TemporaryDirectory() as folder:
        extractor = open_bundle(options.models).manifest.extractor
        made = prepared_gallery(
            options.keep or Path(folder), options.items, extractor, threads=2, progress=lambda *_: None
        )
        path = Path(folder, "drinks.gallery")
        with Gallery.open(made, background=False) as synthetic:
            synthetic.copy(path)
        with Recognizer.open(options.models, path, precision=options.precision) as recognizer:
            for label in enrolled:
                recognizer.enroll(label, photos[label])
            recognizer.gallery.index.rebuild(extend=True, threads=2)
        images = {"five unknown": [photos[label] for label in others[:_BOXES]]}
        images["five enrolled"] = [photos[label] for label in enrolled[:_BOXES]]
        for name, some in images.items():
            measure(name, shelf(some), path, options)


def shelf(photos: list[Path]) -> bytes:
    """Return a JPEG of photos side by side."""
    sheet = Image.new("RGB", (_WIDTH, _HEIGHT), (200, 200, 195))
    for place, path in enumerate(photos):
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((_WIDTH // _BOXES - 24, _HEIGHT - 120))
        sheet.paste(photo, (12 + place * _WIDTH // _BOXES, (_HEIGHT - photo.height) // 2))
    content = io.BytesIO()
    sheet.save(content, "JPEG", quality=92)
    return content.getvalue()


def measure(name: str, image: bytes, path: Path, options: argparse.Namespace) -> None:
    """Print the times of an image without and with a second look."""
    states: list[LookState] = []
    looked = 0
    times: dict[str, list[float]] = {"off": [], "auto": []}
    with (
        Recognizer.open(options.models, path, precision=options.precision, second_look="off") as off,
        Recognizer.open(options.models, path, precision=options.precision) as auto,
    ):
        for recognizer in (off, auto):
            recognizer.calibration(0.01, wait=True)
        for _ in range(options.rounds):
            for mode, recognizer in (("off", off), ("auto", auto)):
                answer = recognizer.recognize(
                    image,
                    deadline_ms=options.deadline_ms,
                    max_boxes=_BOXES,
                    detection_threshold=0.02,
                    max_false_accept=0.01,
                )
                times[mode].append(answer.stage_ms.total)
            states.append(answer.second_look.state)
            looked += answer.second_look.looked
    print(f"{name}: {set(states)}, {looked / options.rounds:.1f} boxes looked at twice")
    for mode, some in times.items():
        print(f"  {mode}: " + " / ".join(f"{value:.1f}" for value in np.percentile(some, [50, 95])) + " ms p50 / p95")


if __name__ == "__main__":
    main()
