"""Measure a stream on drawn sequences with known truth: delays, flips, wrong announcements, counts, processor time.

    python -m benchmarks.stream [--placements N] [--sequences N] [--seed N] [--shop demo|drawn]

`benchmarks/stream_scenes.py` draws the sequences. The shop `demo` has the demo's twelve products, three pairs of which
are look-alikes, and its gallery of three photos each; `drawn` has forty others. Products that are not enrolled come as
well.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter as Counted
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.stream_scenes import FPS, Counter, Frame, Thing, photo
from shitu_edge import NewGalleryItem, Recognizer, StreamAnswer, StreamEvent, StreamOptions, build_gallery, find_images
from shitu_edge.imaging.geometry import iou
from training.render.demo_products import samples
from training.render.product import Product

_SAMPLES = Path(__file__).parents[1] / "examples" / "samples" / "gallery"
_SAME_IOU = 0.3
_LONG_ENOUGH = 12
"""Calm frames after which a count is compared."""
_SETTLING = 30
"""Frames until everything is decided."""


@dataclass(frozen=True, slots=True)
class Shop:
    """Products that may lie on the counter, and the names under which they are enrolled, by product."""

    products: Sequence[Product]
    names: Mapping[Product, str]


@dataclass(slots=True)
class Tally:
    """Counts over sequences, against the truth."""

    placements: int = 0
    known: int = 0
    rest_s: list[float] = field(default_factory=list)
    free_s: list[float] = field(default_factory=list)
    never: int = 0
    wrong: list[str] = field(default_factory=list)
    flips: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    ghosts: list[str] = field(default_factory=list)
    unsure_known: int = 0
    counts: list[bool] = field(default_factory=list)
    label_counts: list[bool] = field(default_factory=list)
    things: list[bool] = field(default_factory=list)
    single: list[bool] = field(default_factory=list)
    missed_counts: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    frames: int = 0
    stream_ms: list[float] = field(default_factory=list)
    looks: Counted[str] = field(default_factory=Counted)
    embedded: int = 0


def demo_shop(recognizer: Recognizer, path: Path) -> Shop:
    """Build the gallery of the demo's samples."""
    build_gallery(recognizer, path, find_images(_SAMPLES).images)
    every = samples()
    return Shop([one.product for one in every], {one.product: one.name for one in every if one.name})


def drawn_shop(recognizer: Recognizer, path: Path) -> Shop:
    """Build a gallery of forty drawn products, four photos each; ten more are not enrolled."""
    rng = np.random.default_rng(7)
    enrolled = [Product.of(4 * brand) for brand in range(300, 340)]
    names = {one: f"drawn {one.seed}" for one in enrolled}
    with recognizer.create_gallery(path) as gallery:
        items = []
        for one in enrolled:
            for _ in range(4):
                image, box = photo(rng, one)
                items.append(NewGalleryItem(names[one], "", recognizer.embed(image, [box])[0]))
        gallery.add(items)
    return Shop([*enrolled, *(Product.of(4 * brand) for brand in range(400, 410))], names)


SHOPS = {"demo": demo_shop, "drawn": drawn_shop}


class Judge:
    """Compares what a stream says with what lies there."""

    def __init__(self, recognizer: Recognizer, rate: float | None, shop: Shop, tally: Tally, name: str) -> None:
        self._recognizer = recognizer
        self._rate = rate
        self._shop = shop
        self._tally = tally
        self._name = name
        self._named: dict[int, str] = {}
        self._announced: dict[int, int] = {}
        self._calm = 0
        self._last: tuple[Frame, StreamAnswer] | None = None
        self._seen: dict[int, Thing] = {}

    def take(self, frame: Frame, answer: StreamAnswer) -> None:
        """Take a frame and its answer."""
        if not frame.calm and self._calm >= _LONG_ENOUGH and self._last:
            self._compare(*self._last)
        self._calm = self._calm + 1 if frame.calm else 0
        self._last = frame, answer
        for thing in frame.things:
            self._seen.setdefault(thing.number, thing)
        for event in answer.events:
            self._event(event, frame)

    def end(self) -> None:
        """Count what was never named."""
        if self._calm >= _LONG_ENOUGH and self._last:
            self._compare(*self._last)
        for thing in self._seen.values():
            known = thing.product in self._shop.names
            self._tally.placements += 1
            self._tally.known += known
            self._tally.never += known and thing.number not in self._named

    def _compare(self, frame: Frame, answer: StreamAnswer) -> None:
        names = [self._shop.names.get(thing.product) for thing in frame.things]
        truth = dict(Counted(name for name in names if name))
        self._tally.counts.append(truth == answer.basket)
        self._tally.label_counts += [truth.get(name) == answer.basket.get(name) for name in {*truth, *answer.basket}]
        self._tally.things.append(len(frame.things) == len(answer.tracks))
        items = self._recognizer.recognize(frame.image_rgb, max_false_accept=self._rate).items
        self._tally.single.append(truth == dict(Counted(one.label for one in items if one.decision == "accepted")))
        if truth != answer.basket:
            self._tally.missed_counts.append(f"{self._name} frame {answer.frame}: {truth} as {answer.basket}")

    def _event(self, event: StreamEvent, frame: Frame) -> None:
        if event.track is None:
            return
        thing = _nearest(frame, event.track.box_xyxy)
        where = f"{self._name} frame {event.frame}: {event.kind} {event.label} (track {event.track.track_id})"
        truth = self._shop.names.get(thing.product) if thing else None
        if event.kind in ("named", "changed"):
            if event.label is not None and (thing is None or event.label != truth):
                self._tally.wrong.append(f"{where}: is {truth}")
            if event.kind == "changed" and thing and self._announced.get(event.track.track_id) == thing.number:
                self._tally.flips.append(where)
            if thing is not None:
                self._announced[event.track.track_id] = thing.number
                if event.label == truth and truth and thing.number not in self._named:
                    self._named[thing.number] = truth
                    self._tally.rest_s.append((event.frame - thing.rests_from) / FPS)
                    self._tally.free_s.append((event.frame - thing.free_from) / FPS)
                    if event.frame - thing.rests_from > 7:
                        self._tally.slow.append(
                            f"{where}: {event.frame - thing.rests_from} frames, {event.track.looks} looks"
                        )
        elif event.kind == "unsure" and truth:
            self._tally.unsure_known += 1
        elif event.kind == "left" and thing and self._announced.get(event.track.track_id) == thing.number:
            self._tally.lost.append(where)
        elif event.kind == "appeared" and thing is None:
            self._tally.ghosts.append(where)


def run(recognizer: Recognizer, shop: Shop, placements: int, seed: int, tally: Tally, options: StreamOptions) -> None:
    """Draw one sequence, feed it to a stream, and judge the answers."""
    counter = Counter(np.random.default_rng(seed), shop.products)
    judge = Judge(recognizer, options.max_false_accept, shop, tally, f"seed {seed}")
    with recognizer.stream(options) as stream:
        for frame in counter.frames(placements):
            before = time.process_time_ns()
            answer = stream.feed(frame.image_rgb, frame.at_s)
            tally.stream_ms.append((time.process_time_ns() - before) / 1e6)
            tally.frames += 1
            tally.looks[str(answer.look)] += 1
            tally.embedded += answer.embedded
            judge.take(frame, answer)
    judge.end()


def resting_cost(recognizer: Recognizer, shop: Shop, frames: int, seed: int) -> dict[str, float]:
    """Return processor time per frame of five resting things, by a stream and by `recognize`, in turns; and fps."""
    rng = np.random.default_rng(seed)
    counter = Counter(rng, shop.products)
    things = [shop.products[int(number)] for number in rng.permutation(len(shop.products))[:5]]
    spent: dict[str, list[float]] = {"stream": [], "recognize": []}
    wall_s = 0.0
    with recognizer.stream() as stream:
        for number, frame in enumerate(counter.resting(things, frames + _SETTLING)):
            before, began = time.process_time_ns(), time.perf_counter()
            stream.feed(frame.image_rgb, frame.at_s)
            between, ended = time.process_time_ns(), time.perf_counter()
            recognizer.recognize(frame.image_rgb)
            if number >= _SETTLING:
                spent["stream"].append((between - before) / 1e6)
                spent["recognize"].append((time.process_time_ns() - between) / 1e6)
                wall_s += ended - began
    stream_ms, recognize_ms = (float(np.mean(spent[name])) for name in ("stream", "recognize"))
    return {
        "stream_cpu_ms": round(stream_ms, 2),
        "recognize_cpu_ms": round(recognize_ms, 2),
        "share": round(stream_ms / recognize_ms, 3),
        "fps": round(frames / wall_s, 1),
    }


def correlations(recognizer: Recognizer, shop: Shop, seed: int) -> dict[str, float]:
    """Return which share of the scores' variance looks at one resting thing, and at one product elsewhere, share."""
    scores = np.empty((len(shop.names), 6, 4))
    for place in range(scores.shape[1]):
        counter = Counter(np.random.default_rng(seed + place), shop.products)
        for number, product in enumerate(shop.names):
            for look, frame in enumerate(counter.resting([product], scores.shape[2])):
                boxes = [thing.box_xyxy for thing in frame.things]
                jitter = counter.jitter(4)
                [item] = recognizer.recognize(frame.image_rgb, boxes_xyxy=np.array(boxes) + jitter).items
                scores[number, place, look] = item.similarity if item.score is None else item.score
    within = scores.var(axis=2, ddof=1).mean()
    placements = scores.mean(axis=2).var(axis=1, ddof=1).mean() - within / scores.shape[2]
    products = scores.mean(axis=(1, 2)).var(ddof=1) - placements / scores.shape[1]
    total = within + placements + products
    return {"same_pose": round(1 - within / total, 3), "other_pose": round(products / (products + placements), 3)}


def report(tally: Tally) -> dict[str, object]:
    """Return the figures."""
    return {
        "placements": tally.placements,
        "known": tally.known,
        "never_named": tally.never,
        "named_after_rest_s": _quantiles(tally.rest_s),
        "named_after_uncovered_s": _quantiles(tally.free_s),
        "wrong": len(tally.wrong),
        "flips": len(tally.flips),
        "lost": len(tally.lost),
        "ghosts": len(tally.ghosts),
        "unsure_known": tally.unsure_known,
        "counts": len(tally.counts),
        "counts_right": round(float(np.mean(tally.counts or [False])), 4),
        "label_counts": len(tally.label_counts),
        "label_counts_right": round(float(np.mean(tally.label_counts or [False])), 4),
        "things_right": round(float(np.mean(tally.things or [False])), 4),
        "counts_right_by_recognize": round(float(np.mean(tally.single or [False])), 4),
        "frames": tally.frames,
        "looks": dict(tally.looks),
        "embedded": tally.embedded,
        "cpu_ms_per_frame": round(float(np.mean(tally.stream_ms)), 2),
    }


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {name: round(float(np.quantile(values, share)), 2) for name, share in (("p50", 0.5), ("p95", 0.95))}


def _nearest(frame: Frame, box_xyxy: Sequence[float]) -> Thing | None:
    if not frame.things:
        return None
    boxes = np.array([thing.box_xyxy for thing in frame.things], np.float32)
    overlaps = iou(np.array(box_xyxy, np.float32), boxes)
    return frame.things[int(overlaps.argmax())] if overlaps.max() >= _SAME_IOU else None


def _faults(tally: Tally) -> Iterator[str]:
    for name in ("wrong", "flips", "lost", "ghosts", "missed_counts", "slow"):
        yield from (f"{name}: {line}" for line in getattr(tally, name))


def main() -> None:
    """Print the figures as JSON, and every fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--placements", type=int, default=50, help="per sequence")
    parser.add_argument("--sequences", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1, help="of the first sequence")
    parser.add_argument("--shop", choices=sorted(SHOPS), default="demo")
    parser.add_argument("--rest", type=int, default=0, help="frames of five resting things to time instead")
    parser.add_argument("--correlations", action="store_true", help="of the scores of looks instead")
    parser.add_argument("--max-false-accept", type=float, help="instead of the gallery's 1 %%")
    given = parser.parse_args()
    options = StreamOptions(max_false_accept=given.max_false_accept)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "shop.gallery"
        with Recognizer.open() as embedder:
            shop = SHOPS[given.shop](embedder, path)
        tally = Tally()
        with Recognizer.open(gallery=path) as recognizer:
            recognizer.calibration(wait=True)
            if given.rest:
                print(json.dumps(resting_cost(recognizer, shop, given.rest, given.seed)))
                return
            if given.correlations:
                print(json.dumps(correlations(recognizer, shop, given.seed)))
                return
            for number in range(given.sequences):
                run(recognizer, shop, given.placements, given.seed + number, tally, options)
    for line in _faults(tally):
        print(line)
    print(json.dumps(report(tally)))


if __name__ == "__main__":
    main()
