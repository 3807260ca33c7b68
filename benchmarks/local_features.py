"""Which local features, and which way to match them, name the product among those that its embedding finds nearest.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.local_features --shared ../shared

A query is compared with the kept pictures of the 30 items nearest by cosine of the built-in bundle. Descriptors match
key points; of 6 matches or more, those are inliers that one map carries from one picture to the other. The label with
most inliers is named if they are at least 8, and 1.5 times those of any other label. Photos are not cropped:

- drinks: the first photo of each label is the gallery, all others ask;
- groceries: `train.txt` is the gallery, a sample of `test_dev.txt` asks.

recall@1 takes the nearest item if inliers name nothing. `right`, `wrong` and `false accepts` are by inliers alone, the
latter with the query's label left out. `right at 5 %`: with the fewest inliers that keep false accepts to that. Times
are CPU ms of one thread: `find` per photo of the gallery, `compare` per pair. AKAZE, BRISK and KAZE need OpenCV 4.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measure import describe_machine
from shitu_edge import Recognizer
from shitu_edge.imaging import kept_picture
from shitu_edge.imaging.agreement import agreements
from shitu_edge.imaging.geometry import Pixels
from shitu_edge.imaging.local_features import LONGEST_SIDE, MOST_POINTS, NO_FEATURES, LocalFeatures, find_features
from shitu_edge.imaging.opencv import opencv

Listed = list[tuple[Path, str]]
Places = NDArray[np.intp]
Labels = NDArray[np.str_]
cv2: Any = opencv()
NEAREST = 30
FEWEST, LEAST, LEAD = 6, 8, 1.5

DETECTORS: dict[str, Callable[[int], Any]] = {
    "SIFT": cv2.SIFT_create,
    "ORB": lambda points: cv2.ORB_create(points, fastThreshold=5),
    "AKAZE": lambda points: cv2.AKAZE_create(threshold=0.0003, max_points=points),
    "BRISK": cache(lambda points: cv2.BRISK_create(20)),  # takes 20 ms
    "KAZE": lambda points: cv2.KAZE_create(threshold=0.0003),
}
BITS = ("ORB", "AKAZE", "BRISK")
FITS = {
    "affine": (cv2.estimateAffine2D, cv2.RANSAC),
    "similarity": (cv2.estimateAffinePartial2D, cv2.RANSAC),
    "USAC MAGSAC": (cv2.estimateAffine2D, cv2.USAC_MAGSAC),
}


@dataclass(frozen=True, slots=True)
class Way:
    """How features are found and compared.

    method: the detector; its `points` strongest key points are kept, in a picture with a longer side of `side` pixels.
    descriptors: `root` (the library's RootSIFT), `plain` (OpenCV's), `upright` (OpenCV's, without orientation).
    ratio, mutual: the best distance is below this share of the second best; each point is the nearest to the other.
    fit: of `FITS`, or `library` for its own comparison, which also refuses maps that no camera can have made.
    """

    method: str = "SIFT"
    descriptors: str = "root"
    points: int = MOST_POINTS
    side: int = LONGEST_SIDE
    ratio: float = 0.85
    mutual: bool = True
    fit: str = "affine"


FEATURES = (
    *(Way(points=points, side=side) for side in (256, 320, 384) for points in (100, 200, 400)),
    *(Way(descriptors=descriptors) for descriptors in ("plain", "upright")),
    *(Way(method, "plain", points) for method in ("ORB", "AKAZE", "BRISK", "KAZE") for points in (200, 400)),
)
METHODS = [way for way in FEATURES if (way.points, way.side) == (MOST_POINTS, LONGEST_SIDE)]
RULES = (
    *(Way(ratio=ratio, mutual=mutual) for ratio in (0.75, 0.8, 0.85, 0.9) for mutual in (True, False)),
    *(Way(fit=fit) for fit in ("similarity", "USAC MAGSAC", "library")),
)
CELLS = "recall@1 | right | wrong | false accepts | right at 5 % | right at 2 % | find | compare"


@dataclass(frozen=True, slots=True)
class Task:
    """Photos and labels of a gallery and of queries; the items (Q, 30) nearest to each query, and of other labels."""

    gallery: list[Pixels]
    labels: Labels
    queries: list[Pixels]
    asked: Labels
    near: Places
    foreign: Places


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--sample", type=int, default=250, help="queries of the groceries")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{describe_machine()}, OpenCV {cv2.__version__}")
    with Recognizer.open() as recognizer:
        drinks = read_task(recognizer, *drink_lists(options.shared / "data/drinks/gallery"))
        groceries = read_task(recognizer, *grocery_lists(options.shared / "data/grocery", options.sample))
    print_table("Drinks, features", drinks, FEATURES, ("method", "descriptors", "points", "side"))
    print_table("Drinks, matching", drinks, RULES, ("ratio", "mutual", "fit"))
    print_table("Groceries", groceries, METHODS, ("method", "descriptors"))


def drink_lists(folder: Path) -> tuple[Listed, Listed]:
    """Return each label's first photo, and all others, of labels with two or more."""
    photos: dict[str, Listed] = {}
    for line in (folder / "drink_label_all.txt").read_text("utf-8").splitlines():
        path, label = line.split("\t")
        if (folder / path).is_file():
            photos.setdefault(label, []).append((folder / path, label))
    several = [listed for listed in photos.values() if len(listed) > 1]
    return [listed[0] for listed in several], [one for listed in several for one in listed[1:]]


def grocery_lists(folder: Path, sample: int) -> tuple[Listed, Listed]:
    """Return the photos for training, and a sample of those for tests."""

    def read(name: str) -> Listed:
        rows = [line.split(", ") for line in (folder / name).read_text("utf-8").splitlines()]
        return [(folder / "images" / row[0], row[1]) for row in rows]

    test = read("test_dev.txt")
    return read("train.txt"), [test[place] for place in np.random.default_rng(0).permutation(len(test))[:sample]]


def read_task(recognizer: Recognizer, *lists: Listed) -> Task:
    """Return the whole photos of a gallery and of queries, with the items nearest to each query."""
    gallery, queries = ([recognizer.cut_product(path, crop=False).pixels_rgb for path, _ in one] for one in lists)
    labels, asked = (np.array([label for _, label in one]) for one in lists)
    rows, asked_rows = (np.concatenate([recognizer.embed(photo) for photo in one]) for one in (gallery, queries))
    similarities = asked_rows @ rows.T
    others = np.where(asked[:, None] == labels, -2, similarities)
    near, foreign = (np.argsort(-one, axis=1, kind="stable")[:, :NEAREST] for one in (similarities, others))
    return Task(gallery, labels, queries, asked, near, foreign)


def print_table(title: str, task: Task, ways: Sequence[Way], columns: Sequence[str]) -> None:
    """Print a row per way that this OpenCV has."""
    first = np.mean(task.labels[task.near[:, 0]] == task.asked)
    print(f"\n{title}: {len(task.gallery)} items, {len(task.queries)} queries, cosine alone {first:.1%}\n")
    headings = " | ".join([*columns, CELLS])
    print(f"| {headings} |\n|{' --- |' * (headings.count('|') + 1)}")
    for way in ways:
        if hasattr(cv2, f"{way.method}_create"):
            told = [str(getattr(way, column)) for column in columns]
            print(f"| {' | '.join([*told, *measure(task, way)])} |", flush=True)


def measure(task: Task, way: Way) -> list[str]:
    """Return the cells of `CELLS`."""
    kept_picture.LONGEST_SIDE = way.side
    kept = [np.asarray(Image.open(io.BytesIO(kept_picture.keep_picture(one, None)[0]))) for one in task.gallery]
    queries = [find(way, one) for one in task.queries]
    compared = [np.union1d(*items) for items in zip(task.near, task.foreign, strict=True)]
    begun = time.process_time()
    photos = [find(way, picture) for picture in kept]
    found = time.process_time()
    inliers = np.zeros((len(queries), len(photos)), np.intp)
    for row, query, items in zip(inliers, queries, compared, strict=True):
        row[items] = count_inliers(way, query, [photos[item] for item in items])
    compare_ms = 1e3 * (time.process_time() - found) / sum(map(len, compared))
    return [*accuracy(task, inliers), f"{1e3 * (found - begun) / len(photos):.1f}", f"{compare_ms:.2f}"]


def find(way: Way, pixels_rgb: Pixels) -> LocalFeatures:
    """Return the strongest features of a picture; bits of descriptors as 1 and -1."""
    if way.descriptors == "root":
        return find_features(pixels_rgb, way.points, way.side)
    scale = min(1.0, way.side / max(pixels_rgb.shape))
    gray = cv2.cvtColor(pixels_rgb, cv2.COLOR_RGB2GRAY)
    gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if way.descriptors == "upright":
        detector = DETECTORS[way.method](2 * way.points)  # some differ by orientation alone
        unique = {(point.pt, point.size): point for point in detector.detect(gray, None)}
        for point in unique.values():
            point.angle = 0
        found, descriptors = detector.compute(gray, list(unique.values()))
    else:
        found, descriptors = DETECTORS[way.method](way.points).detectAndCompute(gray, None)
    if descriptors is None:
        return NO_FEATURES
    best = np.argsort([-point.response for point in found], kind="stable")[: way.points]
    rows: Any = 2.0 * np.unpackbits(descriptors[best], axis=1) - 1 if way.method in BITS else descriptors[best]
    return LocalFeatures(np.array([found[place].pt for place in best], np.float32), rows)


def count_inliers(way: Way, query: LocalFeatures, photos: Sequence[LocalFeatures]) -> list[int]:
    """Return the inliers of each photo."""
    rows = query.rows()
    if way.fit == "library":
        return [len(one) for one in agreements(query.points_xy, rows, photos)]
    inliers, (estimate, method) = [0] * len(photos), FITS[way.fit]
    for place, photo in enumerate(photos):
        here, there = match(way, rows, photo.rows())
        if len(here) >= FEWEST:
            points = photo.points_xy[there], query.points_xy[here]
            fitted, inside = estimate(*points, method=method, ransacReprojThreshold=8.0, maxIters=1000, confidence=0.99)
            inliers[place] = 0 if fitted is None else int(inside.sum())
    return inliers


def match(way: Way, query: NDArray[np.float32], photo: NDArray[np.float32]) -> tuple[Places, Places]:
    """Return the places of unit rows that match."""
    places = np.arange(len(query))
    if min(len(query), len(photo)) < FEWEST:
        return places[:0], places[:0]
    products = query @ photo.T
    nearest = products.argmax(axis=1)
    kept = (products.argmax(axis=0)[nearest] == places) | (not way.mutual)
    best = products[places, nearest]
    products[places, nearest] = -1
    # 1 - product is half the squared distance, and for bits the share of those that differ
    most = way.ratio if way.method in BITS else way.ratio**2
    kept &= 1 - best < most * (1 - products.max(axis=1))
    return places[kept], nearest[kept]


def accuracy(task: Task, inliers: Places) -> list[str]:
    """Return the cells of `CELLS` in percent."""
    named, points = most_inliers(task, inliers, task.near)
    unknown_points = most_inliers(task, inliers, task.foreign)[1]
    some, right, first = points >= LEAST, named == task.asked, task.labels[task.near[:, 0]]
    shares = np.where(some, right, first == task.asked), some & right, some & ~right, unknown_points >= LEAST
    cells = [f"{100 * np.mean(share):.1f}" for share in shares]
    for rate in (0.05, 0.02):
        least = next(least for least in count(FEWEST) if np.mean(unknown_points >= least) <= rate)
        cells.append(f"{100 * np.mean(right & (points >= least)):.1f} (from {least})")
    return cells


def most_inliers(task: Task, inliers: Places, items: Places) -> tuple[Labels, Places]:
    """Return the labels (Q,) with most inliers among items (Q, K), and how many; 0 without a lead over other labels."""
    inliers, labels = np.take_along_axis(inliers, items, 1), task.labels[items]
    place = inliers.argmax(axis=1)[:, None]
    label = np.take_along_axis(labels, place, 1)
    most, others = inliers.max(axis=1), np.where(labels == label, 0, inliers).max(axis=1)
    return label[:, 0], np.where(most >= LEAD * others, most, 0)


if __name__ == "__main__":
    main()
