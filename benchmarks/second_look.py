"""What a second look gains: right names at stated false accepts, on random splits of labels, upright and lying.

    python -m benchmarks.second_look --shared ../shared

Of half of the labels `k` photos each are enrolled, their other photos ask, and all photos of the other half are unknown
objects. The threshold is the gallery's own, derived from its items alone, once by the vectors and once with a second
look, which is taken if the gallery's own photos get their names as often with it. Sets: the drinks by the built-in
bundle, cropped as they are enrolled and whole, and by the official V1 vectors of the whole photos; groceries by the
built-in bundle. Lying: the object is turned by 90 degrees, its gallery photos are upright.

A second table asks with the last photo of each drink for the first one, in a gallery of all of them: recall@1.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shitu_edge import Recognizer
from shitu_edge.calibration import NEIGHBORS, KnownScores, UnknownScores, estimated_threshold, score_of
from shitu_edge.calibration.looks import look_pays
from shitu_edge.calibration.support import MOST_PHOTOS, supported
from shitu_edge.imaging.agreement import agreements
from shitu_edge.imaging.geometry import Pixels
from shitu_edge.imaging.kept_picture import keep_picture
from shitu_edge.imaging.local_features import LocalFeatures, find_features
from shitu_edge.results import Match
from shitu_edge.stages.verify import MOST_TURNED, turned

Rows = NDArray[np.float32]
_RATES = (0.01, 0.05, 0.1)


@dataclass
class Photos:
    """Photos of a set: rows (N, D) of each, and of each turned (N, 3, D), labels, and local features either way."""

    rows: Rows
    turned_rows: Rows
    labels: Sequence[str]
    asked: Sequence[LocalFeatures]
    stored: Sequence[LocalFeatures]
    _inliers: dict[tuple[int, int], int] = field(default_factory=dict)

    @cached_property
    def similarities(self) -> NDArray[np.float32]:
        """Cosines (4, N, N) of each photo upright and turned to each photo upright."""
        views = np.concatenate([self.rows[:, None], self.turned_rows], axis=1)
        found: NDArray[np.float32] = np.einsum("ntd,md->tnm", views, self.rows, optimize=True).astype(np.float32)
        return found

    def inliers(self, query: int, items: Sequence[int]) -> dict[int, int]:
        """Return the points that a photo has in common with others as a gallery keeps them."""
        new = [item for item in items if (query, item) not in self._inliers]
        features = self.asked[query]
        found = agreements(features.points_xy, features.rows(), [self.stored[item] for item in new])
        self._inliers.update(((query, item), len(one)) for item, one in zip(new, found, strict=True))
        return {item: self._inliers[query, item] for item in items}

    def nearest(self, query: int, gallery: NDArray[np.intp], view: int, count: int) -> list[Match]:
        """Return the nearest photos of a gallery to a photo that is turned by so many quarters."""
        near = self.similarities[view, query, gallery]
        order = np.argsort(-near, kind="stable")[:count]
        return [Match(int(gallery[place]), self.labels[gallery[place]], float(near[place])) for place in order]

    def ask(self, query: int, gallery: NDArray[np.intp], view: int = 0, *, turn: bool = True) -> tuple[Answer, Answer]:
        """Return the answers without and with a second look."""
        matches = self.nearest(query, gallery, view, NEIGHBORS)
        first = Answer(matches[0].label, score_of(matches))
        others = [other for other in range(4) if other != view] if turn else []
        views = [match for other in others for match in self.nearest(query, gallery, other, MOST_TURNED)]
        views.sort(key=lambda match: -match.similarity)
        compared = self.inliers(query, [match.item_id for match in [*matches[:MOST_PHOTOS], *views]])
        looked = supported(matches, lambda item: compared.get(item, 0), views)
        return first, max(first, Answer(looked[0].label, score_of(looked)), key=lambda answer: answer.score)


@dataclass(frozen=True)
class Answer:
    """The nearest label and its score."""

    label: str
    score: float


Asked = tuple[str, tuple[Answer, Answer]]
"""The label of a photo, and the answers without and with a second look."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--splits", type=int, default=20)
    options = parser.parse_args()
    sets = dict(read_sets(options.shared / "data"))
    print("| set | k | asked | false accepts | with | right | with | lying | with |\n|" + " --- |" * 9)
    for name, photos in sets.items():
        for k in (1, 2, 5):
            for line in split_lines(photos, k, options.splits):
                print(f"| {name} | {k} | {line} |", flush=True)
    print("\n| set | recall@1 | with | lying | with |\n|" + " --- |" * 5)
    for name, photos in sets.items():
        if name.startswith("drinks"):
            print(f"| {name} | {one_shot(photos)} |", flush=True)


def read_sets(data: Path) -> Iterator[tuple[str, Photos]]:
    """Yield the sets by name."""
    drinks = data / "drinks"
    lines = [line.split("\t") for line in (drinks / "gallery" / "drink_label_all.txt").read_text("utf-8").splitlines()]
    there = [place for place, (path, _) in enumerate(lines) if (drinks / "gallery" / path).is_file()]
    paths, labels = [drinks / "gallery" / lines[place][0] for place in there], [lines[place][1] for place in there]
    groceries = [line.split(", ") for line in (data / "grocery" / "test_dev.txt").read_text("utf-8").splitlines()]
    with Recognizer.open(second_look="off") as recognizer:
        yield "drinks, built-in", read_photos(recognizer, paths, labels, crop=True)
        whole = read_photos(recognizer, paths, labels, crop=False)
        yield "drinks, built-in, whole", whole
        v1 = np.load(drinks / "embeddings_v1.npy")[there]
        yield (
            "drinks, V1",
            Photos(v1, np.zeros((len(v1), 0, v1.shape[1]), np.float32), labels, whole.asked, whole.stored),
        )
        images = [data / "grocery" / "images" / line[0] for line in groceries]
        yield "groceries, built-in", read_photos(recognizer, images, [line[1] for line in groceries], crop=False)


def read_photos(recognizer: Recognizer, paths: Sequence[Path], labels: Sequence[str], *, crop: bool) -> Photos:
    """Embed photos upright and turned, and find their local features as an object's and as a gallery's."""
    rows, turned_rows, asked, stored = [], [], [], []
    for path in paths:
        product = recognizer.cut_product(path, crop=crop)
        pixels_rgb: Pixels = np.ascontiguousarray(product.pixels_rgb)
        rows.append(recognizer.embed(pixels_rgb)[0])
        turned_rows.append(np.concatenate([recognizer.embed(view) for view in turned(pixels_rgb)]))
        asked.append(find_features(pixels_rgb))
        picture, box = keep_picture(product.image_rgb, product.inside_xyxy)
        x1, y1, x2, y2 = (round(side) for side in box)
        kept = np.asarray(Image.open(io.BytesIO(picture)))[y1:y2, x1:x2]
        stored.append(find_features(kept))
    return Photos(np.array(rows), np.array(turned_rows), labels, asked, stored)


def split_lines(photos: Photos, k: int, splits: int) -> Iterator[str]:
    """Yield a line per rate: means over the splits, without and with a second look."""
    labels = np.array(photos.labels)
    rng = np.random.default_rng(k)
    measured = []
    lies = photos.similarities.shape[0] == 4
    for _ in range(splits):
        enrolled = rng.permutation(np.unique(labels))[: len(np.unique(labels)) // 2]
        gallery = np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:k] for label in enrolled])
        known = np.setdiff1d(np.flatnonzero(np.isin(labels, enrolled)), gallery)
        unknown = np.flatnonzero(~np.isin(labels, enrolled))
        own = Own.of(photos, gallery)
        strange = [("", photos.ask(query, gallery, turn=lies)) for query in unknown.tolist()]
        asked = [(labels[query], photos.ask(query, gallery, turn=lies)) for query in known.tolist()]
        lying = [(labels[query], photos.ask(query, gallery, 1)) for query in known.tolist()] if lies else []
        rows = []
        for rate in _RATES:
            for which, threshold in own.thresholds(rate):
                accepts = np.mean([answers[which].score >= threshold for _, answers in strange])
                rows.append((float(accepts), right(asked, which, threshold), right(lying, which, threshold)))
        measured.append(rows)
    means = np.mean(measured, axis=0).reshape(len(_RATES), 2, 3)
    for rate, (without, looked) in zip(_RATES, means.tolist(), strict=True):
        shares = [share for pair in zip(without, looked, strict=True) for share in pair]
        yield f"{rate:.0%} | " + " | ".join("" if np.isnan(share) else f"{share:.1%}" for share in shares)


def right(asked: Sequence[Asked], which: int, threshold: float) -> float:
    """Return the share that gets its label from a threshold, without (0) or with (1) a second look."""
    named = [answers[which].score >= threshold and answers[which].label == label for label, answers in asked]
    return float(np.mean(named)) if named else float("nan")


@dataclass(frozen=True)
class Own:
    """What a gallery knows of itself: its photos as unknown objects, and as known ones if their label has another."""

    unknown: Sequence[Asked]
    known: Sequence[Asked]

    @classmethod
    def of(cls, photos: Photos, gallery: NDArray[np.intp]) -> Own:
        """Ask the gallery for each of its photos."""
        labels = np.array(photos.labels)[gallery]
        unknown, known = [], []
        for item, label in zip(gallery.tolist(), labels.tolist(), strict=True):
            unknown.append((label, photos.ask(item, gallery[labels != label], turn=False)))
            if (labels == label).sum() > 1:
                known.append((label, photos.ask(item, gallery[gallery != item], turn=False)))
        return cls(unknown, known)

    def thresholds(self, rate: float) -> Iterator[tuple[int, float]]:
        """Yield the thresholds without and with a second look, or twice the first if the look does not pay."""
        alone, looked = (
            estimated_threshold(UnknownScores(*self._scores(self.unknown, which)), rate) for which in (0, 1)
        )
        yield 0, alone
        known = [
            KnownScores(
                scores, np.array([answers[which].label == label for label, answers in self.known], bool), products
            )
            for which in (0, 1)
            for scores, products in [self._scores(self.known, which)]
        ]
        yield (1, looked) if look_pays(known[0], alone, known[1], looked) else (0, alone)

    @staticmethod
    def _scores(asked: Sequence[Asked], which: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        scores = np.array([answers[which].score for _, answers in asked], np.float64)
        return scores, np.unique([label for label, _ in asked], return_inverse=True)[1].astype(np.int64)


def one_shot(photos: Photos) -> str:
    """Return recall@1 of the last photo of each label in a gallery of the first ones."""
    labels = np.array(photos.labels)
    several = [label for label in np.unique(labels) if (labels == label).sum() > 1]
    gallery = np.array([np.flatnonzero(labels == label)[0] for label in several])
    queries = [int(np.flatnonzero(labels == label)[-1]) for label in several]
    lies = photos.similarities.shape[0] == 4
    shares = []
    for view in (0, 1) if lies else (0,):
        answers = [photos.ask(query, gallery, view, turn=lies) for query in queries]
        for which in (0, 1):
            right = [answer[which].label == label for answer, label in zip(answers, several, strict=True)]
            shares.append(f"{np.mean(right):.1%}")
    return " | ".join([*shares, *[""] * (4 - len(shares))])


if __name__ == "__main__":
    main()
