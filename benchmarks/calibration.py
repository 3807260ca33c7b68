"""Whether thresholds keep what they promise: random splits of labels into enrolled products and unknown objects.

    python -m benchmarks.calibration --shared ../shared

Of half of the labels `k` photos each are enrolled, their other photos ask, and all photos of the other half are unknown
objects. The threshold comes from the enrolled items alone. Sets: the drinks by the official V1 vectors, and by the
built-in bundle. Per set, `k` and asked rate of false accepts, over the splits:

- false accepts: mean and standard deviation, and in how many splits they are within what was asked;
- right: share of the enrolled products' photos that get their name, and `misnamed` another one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shitu_edge import Recognizer
from shitu_edge.calibration import (
    NEIGHBORS,
    UnknownScores,
    estimated_threshold,
    promised_threshold,
    scores_of,
    unknown_scores,
)
from shitu_edge.errors import OptionError

Rows = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Answers of one split: scores and whether they are right of enrolled products, scores of unknown objects."""

    known: NDArray[np.floating]
    right: NDArray[np.bool_]
    foreign: NDArray[np.floating]
    own: UnknownScores


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--splits", type=int, default=200)
    options = parser.parse_args()
    drinks = options.shared / "data" / "drinks"
    lines = [line.split("\t") for line in (drinks / "gallery" / "drink_label_all.txt").read_text("utf-8").splitlines()]
    labels = np.unique([label for _, label in lines], return_inverse=True)[1]
    print("| set | k | score | asked | false accepts | within | right | misnamed |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    measure("drinks, V1", np.load(drinks / "embeddings_v1.npy"), labels, options.splits)
    there = [place for place, (path, _) in enumerate(lines) if (drinks / "gallery" / path).is_file()]
    with Recognizer.open() as recognizer:
        rows = np.concatenate([recognizer.embed(drinks / "gallery" / lines[place][0]) for place in there])
    measure("drinks, built-in", rows, labels[there], options.splits)


def measure(name: str, rows: Rows, labels: Ids, splits: int) -> None:
    """Print the lines of one set."""
    ways: dict[str, Callable[..., float]] = {
        "estimate": estimated_threshold,
        "90 % sure": partial(promised_threshold, confidence=0.9),
    }
    for k in (1, 2, 5):
        rng = np.random.default_rng(k)
        both = [split(rows, labels, k, rng) for _ in range(splits)]
        for plain in (True, False):
            for way, threshold in ways.items():
                for rate in (0.01, 0.02, 0.05, 0.1):
                    line = describe([one[plain] for one in both], partial(threshold, rate=rate), rate)
                    score = "similarity" if plain else "score"
                    print(f"| {name} | {k} | {score}, {way} | {rate:.0%} | {line} |", flush=True)


def split(rows: Rows, labels: Ids, k: int, rng: np.random.Generator) -> tuple[Split, Split]:
    """Return a split's answers by the calibrated score, and by the plain similarity."""
    order = rng.permutation(np.unique(labels))
    enrolled = order[: len(order) // 2]
    items: list[int] = []
    asked: list[int] = []
    for label in enrolled:
        photos = rng.permutation(np.flatnonzero(labels == label))
        items, asked = [*items, *photos[:k]], [*asked, *photos[k:]]
    foreign = np.flatnonzero(~np.isin(labels, enrolled))
    gallery, own = rows[items], labels[items]

    def nearest(places: NDArray[np.intp] | list[int]) -> tuple[Rows, Ids]:
        similarities = rows[places] @ gallery.T
        best = np.argsort(-similarities, axis=1, kind="stable")[:, :NEIGHBORS]
        return np.take_along_axis(similarities, best, 1), own[best]

    known, known_labels = nearest(asked)
    others, other_labels = nearest(foreign)
    right = known_labels[:, 0] == labels[asked]
    similarities = gallery @ gallery.T
    similarities[own[:, None] == own] = -1
    plain = UnknownScores(similarities.max(axis=1).astype(np.float64), own)
    return (
        Split(
            scores_of(known, known_labels),
            right,
            scores_of(others, other_labels),
            unknown_scores(gallery, own, lambda: [(gallery, own)]),
        ),
        Split(known[:, 0], right, others[:, 0], plain),
    )


def describe(splits: list[Split], threshold: Callable[[UnknownScores], float], rate: float) -> str:
    """Return a line's figures."""
    accepts, right, wrong = [], [], []
    for one in splits:
        try:
            least = threshold(one.own)
        except OptionError:
            continue
        accepts.append(np.mean(one.foreign >= least))
        right.append(np.mean((one.known >= least) & one.right))
        wrong.append(np.mean((one.known >= least) & ~one.right))
    if not accepts:
        return "refused | | |"
    within = np.mean(np.array(accepts) <= rate)
    return (
        f"{np.mean(accepts):.2%} ± {np.std(accepts):.2%} | {within:.0%} | {np.mean(right):.1%} | {np.mean(wrong):.1%}"
    )


if __name__ == "__main__":
    main()
