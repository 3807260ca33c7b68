"""Empty counters: what is taken for background, if a camera has moved, and what `camera calibrate` makes of frames.

    PYTHONPATH=.:export python -m benchmarks.background --shared ../shared

On drawn counters (`counter_scenes.py`; other seeds than the rule was chosen on):

- boxes of the detector, without a view: how many of them per frame are products (IoU of at least 0.5 with one) and
  background (less than 1 % of the box is a product or a hand), and which share of each is dropped, by how much light,
  noise and JPEG change; and the same for boxes that no detector made: around fixtures and products, off by 3 to 10 %;
- states of `find_move` for cameras in place, moved, turned and covered;
- empty counters that `calibrate_camera` pieces together: background boxes per frame that remain on further frames, and
  products dropped, compared with an image of the empty counter;
- CPU time of the stages with and without a reference, on a 1280 × 720 frame.
"""

from __future__ import annotations

import argparse
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shitu_edge import EmptyCounter, Recognizer, View, calibrate_camera, find_move
from shitu_edge.engines import ENGINES
from shitu_edge.imaging.geometry import Boxes, Pixels, iou
from shitu_edge.stages.background import background
from shitu_edge.stages.decode import decode
from shitu_edge.stages.survey import survey
from training.render.surfaces import load_surfaces, surface

from .counter_scenes import HEIGHT, WIDTH, Counter, Frame, draw_counter, draw_frame, posters
from .measure import describe_machine, interleave_cpu, print_times

STRENGTHS = (0.3, 0.7, 1.0)
THRESHOLDS = (0.3, 0.5)
FRAMES = 2
"""Frames per counter and strength."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--counters", type=int, default=150)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--only", choices=("boxes", "moved", "calibrated", "times"))
    options = parser.parse_args()
    print(describe_machine())
    scenes = Scenes(options.shared / "data", options.seed, options.counters)
    parts = {"boxes": print_boxes, "moved": print_moved, "calibrated": print_calibrated}
    with Recognizer.open() as recognizer:
        for name, part in parts.items():
            if options.only in (None, name):
                part(recognizer, scenes)
    if options.only in (None, "times"):
        print_costs(scenes, options.rounds)


class Scenes:
    """Counters by number, each with its own random numbers."""

    def __init__(self, data: Path, seed: int, count: int) -> None:
        self.textures = load_surfaces(data / "textures")
        self.photos = posters(data)
        self.seed = seed
        self.count = count

    def __iter__(self) -> Iterator[tuple[np.random.Generator, Counter, EmptyCounter]]:
        for number in range(self.count):
            rng = np.random.default_rng([self.seed, number])
            counter = draw_counter(rng, self.textures, self.photos)
            empty = draw_frame(rng, counter, 0, strength=0.4, shake=0)
            yield rng, counter, EmptyCounter.of(empty.pixels_rgb)


def print_boxes(recognizer: Recognizer, scenes: Scenes) -> None:
    """Print what is dropped, by strength of light and noise."""
    tallies: Tally[tuple[object, ...]] = Tally()
    for rng, counter, empty in scenes:
        for strength in STRENGTHS:
            for _ in range(FRAMES):
                frame = draw_frame(rng, counter, int(rng.integers(0, 5)), strength, float(rng.choice([0.3, 1.0, 2.0])))
                boxes_of: dict[object, Boxes] = {"drawn": around(rng, counter, frame)}
                for least in THRESHOLDS:
                    found = recognizer.detect(frame.pixels_rgb, detection_threshold=least, max_boxes=100)
                    boxes_of[least] = found.boxes_xyxy
                for source, boxes in boxes_of.items():
                    known = background(empty, frame.pixels_rgb, boxes)
                    tallies[source, strength, "frames"] += 1
                    for kind, dropped in zip(kinds(boxes, frame), known, strict=True):
                        tallies[source, strength, kind, bool(dropped)] += 1
    for source in (*THRESHOLDS, "drawn"):
        for name, chosen in {**{str(one): (one,) for one in STRENGTHS}, "any": STRENGTHS}.items():
            print(f"{source}, strength {name}: {_summary(tallies, source, chosen)}", flush=True)


def _summary(tallies: Tally[tuple[object, ...]], source: object, strengths: tuple[float, ...]) -> str:
    def total(*key: object) -> int:
        places = [(source, strength, *key) for strength in strengths]
        return sum(tallies[place] for place in places)

    frames = total("frames")
    products, dropped = total("product", False) + total("product", True), total("product", True)
    kept, gone = total("background", False), total("background", True)
    return (
        f"{frames} frames, {dropped} of {products} products dropped, background boxes per frame "
        f"{(kept + gone) / frames:.2f} → {kept / frames:.2f} ({gone / max(1, kept + gone):.1%} dropped)"
    )


def kinds(boxes: Boxes, frame: Frame) -> list[str]:
    """Return for each box `product`, `background`, or `mixed`, which counts for neither."""
    found = []
    for box in boxes:
        x1, y1, x2, y2 = box.astype(int).tolist()
        covered = (frame.owner[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)] != -1).mean()
        if len(frame.products_xyxy) and iou(box, frame.products_xyxy).max() >= 0.5:
            found.append("product")
        else:
            found.append("background" if covered < 0.01 else "mixed")
    return found


def around(rng: np.random.Generator, counter: Counter, frame: Frame) -> Boxes:
    """Return boxes around fixtures and products of a frame, off by 3 and by 10 % of their sides."""
    corners = counter.fixtures_xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ frame.matrix[:, :2].T + frame.matrix[:, 2]
    fixtures = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
    boxes = np.concatenate([fixtures, frame.products_xyxy])
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    off = [boxes + rng.normal(0, share, boxes.shape) * sides for share in (0.03, 0.1)]
    clipped = np.clip(np.concatenate(off), 0, [WIDTH, HEIGHT, WIDTH, HEIGHT]).astype(np.float32)
    large: Boxes = clipped[((clipped[:, 2:] - clipped[:, :2]) > 12).all(axis=1)]
    return large


def print_moved(recognizer: Recognizer, scenes: Scenes) -> None:
    """Print how often each state is found."""
    states: dict[str, Tally[str]] = {}
    before: Counter | None = None
    for rng, counter, empty in scenes:
        images = {
            "in place, 0 to 4 products": draw_frame(rng, counter, int(rng.integers(0, 5))).pixels_rgb,
            "in place, 12 products": draw_frame(rng, counter, 12).pixels_rgb,
            "turned by 3°, 3 products": _turned(draw_frame(rng, counter, 3).pixels_rgb, 3),
        }
        for share in (0.03, 0.06, 0.12):
            angle = rng.uniform(0, 2 * np.pi)
            by = share * WIDTH * np.array([np.cos(angle), np.sin(angle)])
            frame = draw_frame(rng, counter, 3).pixels_rgb
            images[f"moved by {share:.0%} of the width, 3 products"] = _shifted(frame, by)
        if before is not None:
            images["another counter"] = draw_frame(rng, before, 3).pixels_rgb
        images["covered by cloth"] = _cloth(rng, scenes)
        before = counter
        for name, image in images.items():
            states.setdefault(name, Tally())[find_move(empty, image).state] += 1
    for name, tally in states.items():
        print(f"{name}: {', '.join(f'{state} {count}' for state, count in tally.most_common())}", flush=True)


def _shifted(pixels_rgb: Pixels, by: NDArray[np.float64]) -> Pixels:
    matrix = np.array([[1, 0, by[0]], [0, 1, by[1]]])
    return np.asarray(cv2.warpAffine(pixels_rgb, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))


def _turned(pixels_rgb: Pixels, angle_deg: float) -> Pixels:
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), angle_deg, 1)
    return np.asarray(cv2.warpAffine(pixels_rgb, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))


def _cloth(rng: np.random.Generator, scenes: Scenes) -> Pixels:
    """Return a surface so near to the lens that it is out of focus."""
    cloth = cv2.GaussianBlur(surface(rng, HEIGHT, WIDTH, scenes.textures), (0, 0), 25)
    nothing = np.zeros((0, 4), np.float32)
    return draw_frame(rng, Counter(np.ascontiguousarray(cloth), nothing), 0).pixels_rgb


def print_calibrated(recognizer: Recognizer, scenes: Scenes) -> None:
    """Print what remains with a reference pieced together from 30 frames with products, and with an image of it."""
    for in_front in (0.1, 0.5):
        tallies: Tally[tuple[str, str, bool]] = Tally()
        frames = unsure = 0
        for number, (rng, counter, empty) in enumerate(scenes):
            if number % 10:
                continue
            day = [draw_frame(rng, counter, int(rng.integers(0, 4)), 0.7, 0.5, in_front=in_front) for _ in range(30)]
            found = calibrate_camera(recognizer, [frame.pixels_rgb for frame in day])
            unsure += found.unsure > 0.02
            assert found.view.empty is not None
            for _ in range(6):
                frame = draw_frame(rng, counter, int(rng.integers(0, 4)), 0.7, 0.5, in_front=in_front)
                boxes = recognizer.detect(frame.pixels_rgb, max_boxes=100).boxes_xyxy
                frames += 1
                for name, reference in {"pieced": found.view.empty, "image": empty}.items():
                    known = background(reference, frame.pixels_rgb, boxes)
                    for kind, dropped in zip(kinds(boxes, frame), known, strict=True):
                        tallies[name, kind, bool(dropped)] += 1
        for name in ("image", "pieced"):
            kept, gone = tallies[name, "background", False], tallies[name, "background", True]
            dropped, products = tallies[name, "product", True], tallies[name, "product", False]
            print(
                f"{in_front:.0%} of the products in front of a fixture, {name}: {frames} frames, {dropped} of "
                f"{dropped + products} products dropped, background boxes per frame {(kept + gone) / frames:.2f} → "
                f"{kept / frames:.2f}; {unsure} counters partly unsure",
                flush=True,
            )


def print_costs(scenes: Scenes, rounds: int) -> None:
    """Print the CPU time of detecting with and without a reference."""
    rng, counter, empty = next(one for one in scenes if len(one[1].fixtures_xyxy) >= 3)
    decoded = decode(draw_frame(rng, counter, 2, 0.3, 0.3).pixels_rgb)
    for engine in ENGINES:
        with Recognizer.open(engine=engine) as recognizer:
            detector = recognizer._detector
            views = {"no view": View(), "an empty counter": View(empty=empty)}
            boxes = {name: survey(detector, decoded, view, None) for name, view in views.items()}
            tasks: dict[str, Callable[[], object]] = {
                f"{engine}, {name} ({len(boxes[name].found)} boxes count)": partial(
                    survey, detector, decoded, view, None
                )
                for name, view in views.items()
            }
            tasks[f"{engine}, find_move"] = partial(find_move, empty, decoded.pixels_rgb)
            print_times(interleave_cpu(tasks, rounds))


if __name__ == "__main__":
    main()
