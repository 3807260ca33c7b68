"""Whether thresholds, pick-lists and probabilities keep what they promise, on random splits of labels.

    python -m benchmarks.calibration --shared ../shared

Of half of the labels `k` photos each are enrolled, their other photos ask, and all photos of the other half are unknown
objects. Everything is derived from the enrolled items alone. Sets: the drinks by the official V1 vectors, and by the
built-in bundle; groceries by the built-in bundle, which was trained on others of their photos. A table per question:

- false accepts: mean and deviation over the splits, and in how many they are within what was asked; right: share
  of the enrolled products' photos that get their name, `misnamed` another one;
- wrong labels of all objects, of which a share is unknown;
- the labels that a named object may have;
- how often a label is right that has a probability;
- a claimed label: how often that of another product, and the right one, is accepted;
- galleries of a few products, by the built-in bundle's cohort.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shitu_edge import Bundle, Recognizer
from shitu_edge.calibration import (
    COVERAGE,
    NEIGHBORS,
    Samples,
    UnknownScores,
    estimated_threshold,
    fit_probability,
    foreign_scores,
    foreign_threshold,
    label_bests,
    leave_out,
    promised_threshold,
    random_claims,
    scores_of,
    shares_of,
    threshold_for_wrong,
)
from shitu_edge.calibration.score import log_totals, reached, with_label
from shitu_edge.errors import OptionError

Rows = NDArray[np.float32]
Ids = NDArray[np.int64]
Floats = NDArray[np.floating]
_BINS = 5


@dataclass(frozen=True)
class Asked:
    """Queries of a split: their neighbors' similarities and labels (Q, K), their labels and rows."""

    similarities: Rows
    near: Ids
    labels: Ids
    rows: Rows

    @property
    def scores(self) -> Floats:
        """Scores (Q,) of the nearest labels."""
        return scores_of(self.similarities, self.near)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the nearest labels (Q,) are the queries'."""
        right: NDArray[np.bool_] = self.near[:, 0] == self.labels
        return right


@dataclass(frozen=True)
class Split:
    """A gallery, what it says itself, and queries of its products and of others."""

    rows: Rows
    labels: Ids
    samples: Samples
    known: Asked
    unknown: Asked


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--splits", type=int, default=200)
    options = parser.parse_args()
    sets = dict(read_sets(options.shared / "data"))
    splits = {
        (name, k): [split(rows, labels, k, rng) for _ in range(options.splits)]
        for name, (rows, labels) in sets.items()
        for k in (1, 2, 5)
        for rng in [np.random.default_rng(k)]
    }
    print_table("set|k|score|asked|false accepts|within|right|misnamed", splits, false_accepts)
    print_table("set|k|way|asked|unknown|wrong|within|right", splits, wrong_labels)
    print_table("set|k|asked|right among them|labels|asked about", splits, pick_lists)
    print_table("set|k|no probability|" + "|".join(f"{bin_}" for bin_ in _bins()), splits, reliability)
    print_table("set|k|asked|others accepted|not enrolled|right accepted", splits, claims)
    print("| set | products | k | asked | false accepts | right |\n| --- | --- | --- | --- | --- | --- |")
    few_products(*sets["drinks, built-in"], options.splits)


def read_sets(data: Path) -> Iterator[tuple[str, tuple[Rows, Ids]]]:
    """Yield rows and label numbers by name."""
    drinks = data / "drinks"
    lines = [line.split("\t") for line in (drinks / "gallery" / "drink_label_all.txt").read_text("utf-8").splitlines()]
    labels = np.unique([label for _, label in lines], return_inverse=True)[1]
    yield "drinks, V1", (np.load(drinks / "embeddings_v1.npy"), labels)
    there = [place for place, (path, _) in enumerate(lines) if (drinks / "gallery" / path).is_file()]
    groceries = [line.split(", ") for line in (data / "grocery" / "test_dev.txt").read_text("utf-8").splitlines()]
    with Recognizer.open() as recognizer:
        rows = np.concatenate([recognizer.embed(drinks / "gallery" / lines[place][0]) for place in there])
        yield "drinks, built-in", (rows, labels[there])
        rows = np.concatenate([recognizer.embed(data / "grocery" / "images" / line[0]) for line in groceries])
        yield "groceries, built-in", (rows, np.array([int(line[1]) for line in groceries]))


def print_table(
    headings: str,
    splits: dict[tuple[str, int], list[Split]],
    lines: Callable[[list[Split]], Iterator[str]],
) -> None:
    """Print the lines of each set and k."""
    print(f"| {headings.replace('|', ' | ')} |\n|{' --- |' * (headings.count('|') + 1)}")
    for (name, k), some in splits.items():
        for line in lines(some):
            print(f"| {name} | {k} | {line} |", flush=True)
    print(flush=True)


def split(rows: Rows, labels: Ids, k: int, rng: np.random.Generator, enrolled: int | None = None) -> Split:
    """Return a split in which half of the labels, or so many, are enrolled with k photos each."""
    order = rng.permutation(np.unique(labels))
    products = order[: len(order) // 2 if enrolled is None else enrolled]
    items: list[int] = []
    asking: list[int] = []
    for label in products:
        photos = rng.permutation(np.flatnonzero(labels == label))
        items, asking = [*items, *photos[:k]], [*asking, *photos[k:]]
    gallery, own = rows[items], labels[items]

    def ask(places: list[int] | NDArray[np.intp]) -> Asked:
        similarities = rows[places] @ gallery.T
        best = np.argsort(-similarities, axis=1, kind="stable")[:, :NEIGHBORS]
        return Asked(np.take_along_axis(similarities, best, 1), own[best], labels[places], rows[places])

    samples = leave_out(gallery, own, lambda: [(gallery, own)], claims=random_claims(own, own))
    return Split(gallery, own, samples, ask(asking), ask(np.flatnonzero(~np.isin(labels, products))))


def false_accepts(splits: list[Split]) -> Iterator[str]:
    """Yield a line per score, way and rate."""
    ways: dict[str, Callable[..., float]] = {
        "estimate": estimated_threshold,
        "90 % sure": partial(promised_threshold, confidence=0.9),
    }
    for score in ("similarity", "score"):
        answers = [_plain(one) if score == "similarity" else _scored(one) for one in splits]
        for way, threshold in ways.items():
            for rate in (0.01, 0.02, 0.05, 0.1):
                accepts, right, wrong = [], [], []
                for own, known, ok, unknown in answers:
                    try:
                        least = threshold(own, rate=rate)
                    except OptionError:
                        continue
                    accepts.append(np.mean(unknown >= least))
                    right.append(np.mean((known >= least) & ok))
                    wrong.append(np.mean((known >= least) & ~ok))
                found = "refused | | | "
                if accepts:
                    within = np.mean(np.array(accepts) <= rate)
                    found = f"{np.mean(accepts):.2%} ± {np.std(accepts):.2%} | {within:.0%} | "
                    found += f"{np.mean(right):.1%} | {np.mean(wrong):.1%}"
                yield f"{score}, {way} | {rate:.0%} | {found}"


def _plain(one: Split) -> tuple[UnknownScores, Floats, NDArray[np.bool_], Floats]:
    similarities = one.rows @ one.rows.T
    similarities[one.labels[:, None] == one.labels] = -1
    own = UnknownScores(similarities.max(axis=1).astype(np.float64), one.labels)
    return own, one.known.similarities[:, 0], one.known.right, one.unknown.similarities[:, 0]


def _scored(one: Split) -> tuple[UnknownScores, Floats, NDArray[np.bool_], Floats]:
    return one.samples.unknown, one.known.scores, one.known.right, one.unknown.scores


def wrong_labels(splits: list[Split]) -> Iterator[str]:
    """Yield a line per way, share of wrong labels and share of unknown objects; needs labels of two photos."""
    if not splits[0].samples.known.count:
        return
    for way, confidence in (("estimate", None), ("90 % sure", 0.9)):
        for most, unknown_share in ((0.02, 0.1), (0.02, 0.3), (0.05, 0.3)):
            wrong, right = [], []
            for one in splits:
                try:
                    least = threshold_for_wrong(one.samples, most, unknown_share, confidence)
                except OptionError:
                    continue
                known, ok = one.known.scores >= least, one.known.right
                accepts = np.mean(one.unknown.scores >= least)
                wrong.append(unknown_share * accepts + (1 - unknown_share) * np.mean(known & ~ok))
                right.append(np.mean(known & ok))
            found = "refused | | "
            if wrong:
                found = f"{np.mean(wrong):.2%} | {np.mean(np.array(wrong) <= most):.0%} | {np.mean(right):.1%}"
            yield f"{way} | {most:.0%} | {unknown_share:.0%} | {found}"


def pick_lists(splits: list[Split]) -> Iterator[str]:
    """Yield a line per rate: of named photos of enrolled products, whether the label is possible, and of how many."""
    for rate in (0.01, 0.05, 0.1):
        inside, lengths, several, count = [], [], 0, 0
        for one in splits:
            named = one.known.scores >= estimated_threshold(one.samples.unknown, rate)
            bests = label_bests(one.known.similarities, one.known.near)
            shares = shares_of(bests)
            possible = np.isfinite(bests) & (np.cumsum(shares, axis=1) - shares < COVERAGE)
            inside += (possible & (one.known.near == one.known.labels[:, None])).any(axis=1)[named].tolist()
            lengths += possible.sum(axis=1)[named].tolist()
            several, count = several + int(np.sum(named & (possible.sum(axis=1) > 1))), count + len(named)
        yield f"{rate:.0%} | {np.mean(inside):.1%} | {np.mean(lengths):.2f} | {several / count:.1%}"


def _bins() -> list[str]:
    return [f"{low / _BINS:.0%} to {(low + 1) / _BINS:.0%}: said, right" for low in range(_BINS)]


def reliability(splits: list[Split]) -> Iterator[str]:
    """Yield a line: in fifths of the probability of the nearest label, its mean and how often that label is right.

    A tenth of the objects is unknown.
    """
    said, right, weights, silent = list[float](), list[bool](), list[float](), list[float]()
    for one in splits:
        probability = fit_probability(one.samples, 0.1)
        if probability is None:
            return
        for asked, share in ((one.known, 0.9), (one.unknown, 0.1)):
            shares = shares_of(label_bests(asked.similarities, asked.near))[:, 0]
            found = np.array([probability.at(score) or np.nan for score in asked.scores]) * shares
            told = ~np.isnan(found)
            said, right = [*said, *found[told]], [*right, *asked.right[told]]
            weights += [share / len(told)] * int(told.sum())
            silent.append(share * np.mean(~told))
    edges = np.minimum((np.array(said) * _BINS).astype(int), _BINS - 1)
    cells = []
    for place in range(_BINS):
        inside = edges == place
        of = np.array(weights)[inside]
        means = [np.average(np.array(values)[inside], weights=of) if len(of) else np.nan for values in (said, right)]
        cells.append(f"{means[0]:.0%}, {means[1]:.0%}")
    yield f"{np.sum(silent) / len(splits):.0%} | {' | '.join(cells)}"


def claims(splits: list[Split]) -> Iterator[str]:
    """Yield a line per rate: claims accepted of other enrolled products, of ones that are not, and right ones."""
    for rate in (0.01, 0.05):
        passed: list[list[float]] = [[], [], []]
        for one in splits:
            least = estimated_threshold(one.samples.impostors, rate, new_products=False)
            others = random_claims(one.known.labels, one.labels), random_claims(one.unknown.labels, one.labels)
            for place, (asked, claimed) in enumerate(
                ((one.known, others[0]), (one.unknown, others[1]), (one.known, one.known.labels))
            ):
                passed[place].append(float(np.mean(_claim_scores(one, asked, claimed) >= least)))
        yield f"{rate:.0%} | " + " | ".join(f"{np.mean(one):.1%}" for one in passed)


def _claim_scores(one: Split, asked: Asked, claimed: Ids) -> Floats:
    same = one.labels[None, :] == claimed[:, None]
    similarity = np.max(asked.rows @ one.rows.T, axis=1, initial=-1, where=same)
    totals = log_totals(asked.similarities, asked.near)
    among = (asked.near == claimed[:, None]).any(axis=1)
    return reached(similarity, np.where(among, totals, with_label(totals, similarity)))


def few_products(rows: Rows, labels: Ids, splits: int) -> None:
    """Print how the built-in bundle's cohort serves galleries of few products."""
    cohort = Bundle.open("shitu-small").cohort()
    for products in (1, 3, 6, 12, 19):
        for k in (1, 5):
            rng = np.random.default_rng(k)
            some = [split(rows, labels, k, rng, products) for _ in range(splits)]
            for rate in (0.01, 0.05):
                accepts, right = [], []
                for one in some:
                    least = foreign_threshold(foreign_scores(cohort, [(one.rows, one.labels)]), rate)
                    accepts.append(np.mean(one.unknown.scores >= least))
                    if len(one.known.labels):
                        right.append(np.mean((one.known.scores >= least) & one.known.right))
                found = f"{np.mean(accepts):.2%} ± {np.std(accepts):.2%} | {np.mean(right):.1%}"
                print(f"| drinks, built-in | {products} | {k} | {rate:.0%} | {found} |", flush=True)


if __name__ == "__main__":
    main()
