"""Boxes that the edge of the photo cuts: how many are things, and what a rule would lose that drops them.

    PYTHONPATH=.:export python -m benchmarks.frame_edges --shared ../shared

On photos with true boxes (`fridge_dev`, `beer_dev`, held-out photos of `beverage`): detections by score, by whether
they come within 1 % of the photo's side to its edge, and by what they show: a thing (IoU of at least 0.5 with a true
box that no better one has), a double or part of one, or background. Then what is left of things and background if
detections at the edge need a higher score, or a least share of the photo.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shitu_edge import Recognizer
from shitu_edge.imaging.geometry import pair_boxes
from shitu_edge.results import Detections

from .boxed_photos import BoxedPhoto, Counts, fridges, held_out_drinks, promotions
from .measure import describe_machine

NEAR = 0.01
THRESHOLDS = (0.3, 0.5)
Rule = Callable[[Detections, NDArray[np.bool_], float], NDArray[np.bool_]]
RULES: dict[str, Rule] = {
    "none": lambda found, cut, area: np.zeros(len(found), bool),
    "drop all at the edge": lambda found, cut, area: cut,
    "drop at the edge below 0.6": lambda found, cut, area: cut & (found.scores < 0.6),
    "drop at the edge below 0.7": lambda found, cut, area: cut & (found.scores < 0.7),
    "drop at the edge under 2 % of the photo": lambda found, cut, area: cut & (_areas(found) < 0.02 * area),
    "drop at the edge below 0.6 and under 10 % of the photo": lambda found, cut, area: (
        cut & (found.scores < 0.6) & (_areas(found) < 0.1 * area)
    ),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    data = parser.parse_args().shared / "data"
    print(describe_machine())
    sets = {"fridges": fridges(data), "promotions": promotions(data), "drinks": held_out_drinks(data)}
    with Recognizer.open() as recognizer:
        for name, photos in sets.items():
            for threshold in THRESHOLDS:
                seen = [(photo, _detected(recognizer, photo, threshold)) for photo in photos]
                print(f"{name} from {threshold}: {_shown(seen)}", flush=True)
                for what, rule in RULES.items():
                    print(f"  {what}: {_left(seen, rule)}", flush=True)


def _detected(recognizer: Recognizer, photo: BoxedPhoto, threshold: float) -> Detections:
    return recognizer.detect(photo.pixels_rgb, detection_threshold=threshold, max_boxes=100)


@dataclass(slots=True)
class _Shown:
    things: int = 0
    doubles: int = 0
    background: int = 0

    def __str__(self) -> str:
        return f"{self.things} things, {self.doubles} doubles or parts, {self.background} background"


def _shown(seen: list[tuple[BoxedPhoto, Detections]]) -> str:
    """Return what boxes at the edge and others show."""
    at_edge, inside = _Shown(), _Shown()
    for photo, found in seen:
        cut = at_the_edge(found, photo)
        paired = {number for number, _ in pair_boxes(found.boxes_xyxy, photo.boxes_xyxy)}
        for number in range(len(found)):
            one = at_edge if cut[number] else inside
            spare = Counts().and_photo(photo.boxes_xyxy, found.boxes_xyxy[[number]])
            one.things += number in paired
            one.doubles += number not in paired and not spare.background
            one.background += number not in paired and bool(spare.background)
    return f"at the edge {at_edge}; others {inside}"


def _left(seen: list[tuple[BoxedPhoto, Detections]], rule: Rule) -> str:
    total = Counts()
    for photo, found in seen:
        height, width = photo.pixels_rgb.shape[:2]
        dropped = rule(found, at_the_edge(found, photo), float(height * width))
        total = total.and_photo(photo.boxes_xyxy, found.boxes_xyxy[~dropped])
    return str(total)


def at_the_edge(found: Detections, photo: BoxedPhoto) -> NDArray[np.bool_]:
    """Return which boxes (N,) come near to the photo's edge."""
    height, width = photo.pixels_rgb.shape[:2]
    low, high = found.boxes_xyxy[:, :2], found.boxes_xyxy[:, 2:]
    size = np.array([width, height], np.float32)
    near: NDArray[np.bool_] = np.any((low <= NEAR * size) | (high >= (1 - NEAR) * size), axis=1)
    return near


def _areas(found: Detections) -> NDArray[np.float32]:
    areas: NDArray[np.float32] = (found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]).prod(axis=1)
    return areas


if __name__ == "__main__":
    main()
