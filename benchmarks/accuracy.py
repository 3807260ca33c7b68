"""Accuracy of a bundle: retrieval on groceries and drinks, detection on held-out photos of drinks.

    PYTHONPATH=examples python -m benchmarks.accuracy models/shitu-small --shared ../shared

Run it where the training's packages are installed (`make trainer`). Every precision of the bundle is measured on the
engine that `auto` takes, with the runtime's own decoding, pre-processing and networks, so the figures are those of what
a kiosk runs:

- groceries: gallery `train.txt`, queries `test_dev.txt`, whole images; recall@1 and mean average precision;
- drinks: of each label with two photos or more the first is the gallery, the last the query; recall@1;
- detection: AP50 on the photos of `beverage` that training holds out, and of public detectors on the same photos. They
  are square; a kiosk's camera is not, so they are shown once more with margins left and right that make them 16 : 9.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from stand_in_bundles import make_bundles

from shitu_edge import Bundle, Recognizer
from training.detector.evaluation import evaluate_ap
from training.detector.photos import Photo, read_photos
from training.detector.split import split_photos
from training.extractor.evaluate import Retrieval, retrieval

HELD_OUT = 0.2
Listed = list[tuple[Path, str]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    options = parser.parse_args()
    data = options.shared / "data"
    for precision in Bundle.open(options.bundle).manifest.precisions:
        with Recognizer.open(options.bundle, precision=precision) as recognizer:
            grocery = measure_retrieval(recognizer, *grocery_lists(data / "grocery"))
            drinks = measure_retrieval(recognizer, *drink_lists(data / "drinks" / "gallery"))
            print(
                f"{precision}: groceries recall@1 {grocery.recall_at_1:.2%}, mAP {grocery.mean_average_precision:.2%}; "
                f"drinks recall@1 {drinks.recall_at_1:.2%}; "
                f"detection {describe_detection(recognizer, data / 'beverage')}",
                flush=True,
            )
    with tempfile.TemporaryDirectory() as folder:
        for bundle in make_bundles(options.shared / "models", Path(folder)):
            if bundle.manifest.name != "stand-in-onnxruntime":  # the localizer again
                with Recognizer.open(bundle.folder) as recognizer:
                    name = bundle.manifest.detector.network.name
                    print(f"{name}: {describe_detection(recognizer, data / 'beverage')}", flush=True)


def grocery_lists(folder: Path) -> tuple[Listed, Listed]:
    """Return gallery and queries of the Grocery Store Dataset: path and class."""

    def read(name: str) -> Listed:
        rows = [line.split(", ") for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        return [(folder / "images" / row[0], row[1]) for row in rows]

    return read("train.txt"), read("test_dev.txt")


def drink_lists(folder: Path) -> tuple[Listed, Listed]:
    """Return each label's first photo and each one's last, of labels with two or more."""
    photos: dict[str, list[Path]] = {}
    for line in (folder / "drink_label_all.txt").read_text(encoding="utf-8").splitlines():
        path, label = line.split("\t")
        if (folder / path).is_file():
            photos.setdefault(label, []).append(folder / path)
    several = {label: paths for label, paths in photos.items() if len(paths) > 1}
    return [(paths[0], label) for label, paths in several.items()], [(p[-1], label) for label, p in several.items()]


def measure_retrieval(recognizer: Recognizer, gallery: Listed, queries: Listed) -> Retrieval:
    """Embed whole images and rank."""
    number = {label: index for index, label in enumerate(sorted({label for _, label in gallery}))}

    def embed(listed: Listed) -> NDArray[np.float32]:
        return np.concatenate([recognizer.embed(path) for path, _ in listed])

    def labels(listed: Listed) -> NDArray[np.int32]:
        return np.array([number[label] for _, label in listed], np.int32)

    return retrieval(embed(gallery), labels(gallery), embed(queries), labels(queries))


def describe_detection(recognizer: Recognizer, folder: Path) -> str:
    """Return AP50 on the held-out photos of a YOLO folder, whatever class a box has, as they are and as 16 : 9."""
    _, names = split_photos(folder, HELD_OUT)
    photos = read_photos(folder, names, longest_side=1 << 20)
    square, wide = (measure_detection(recognizer, some) for some in (photos, [widened(photo) for photo in photos]))
    return f"AP50 {square:.2%}, as 16 : 9 {wide:.2%}"


def measure_detection(recognizer: Recognizer, photos: Sequence[Photo]) -> float:
    """Return AP50."""
    found = [recognizer.detect(photo.pixels_rgb, detection_threshold=0.01, max_boxes=100) for photo in photos]
    return evaluate_ap(found, [photo.boxes_xyxy for photo in photos])


def widened(photo: Photo) -> Photo:
    """Return a photo with its outermost columns repeated until it is 16 : 9."""
    height, width = photo.pixels_rgb.shape[:2]
    margin = max(0, round((height * 16 / 9 - width) / 2))
    pixels = np.pad(photo.pixels_rgb, ((0, 0), (margin, margin), (0, 0)), mode="edge")
    return Photo(photo.name, pixels, photo.boxes_xyxy + np.array([margin, 0, margin, 0], np.float32))


if __name__ == "__main__":
    main()
