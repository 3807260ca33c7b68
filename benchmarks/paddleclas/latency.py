"""The same photos, weights and gallery in PaddleClas 2.6.0 and in shitu-edge, photo by photo in turn.

    python -m benchmarks.paddleclas.latency [--shared ../shared] [--size 100000] [--rounds 3]

Needs the bundles and the environment of `benchmarks/paddleclas/README.md` (`build/ppshitu`, `build/peer`). PaddleClas
runs in its own process, which sleeps during the others' turns. Photos are those of `data/drinks/queries`
as 1920 × 1080 JPEG; each gives its five best boxes and the whole image, as PP-ShiTu is configured. The gallery holds
PaddleClas' embeddings of 212 drinks and, up to the size, invented ones, each with a cosine of 0.86 to one of them:
among embeddings of another network the drinks would be an island that no graph search reaches. Milliseconds are from
a file's bytes to the items. Both search by a graph that may miss what is nearest, so which items are right is decided
by an exact search with the official networks. `--models NAME=BUNDLE` adds a bundle to the comparison.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import describe_machine, print_times
from shitu_edge import Gallery, NewGalleryItem, Recognizer
from shitu_edge.bench.images import load_images
from shitu_edge.gallery.index.exact import ExactIndex
from shitu_edge.gallery.store import Meta
from shitu_edge.results import Match

GOLDEN = Path("tests/golden/paddleclas_v2.npz")
NETWORKS = Path("build/ppshitu")
SIZE = 1920, 1080
_OWN = 0.6
"""Length of an invented item's own part, relative to a drink's unit row."""
_PAUSE_S = 0.3
"""Before each turn: OpenMP's threads spin for 0.2 s when their work is done, and would take from who is next."""

Items = list[tuple[str, list[int]]]
"""Labels, and boxes in whole pixels."""
Answer = tuple[float, Items]
"""Milliseconds and items."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--peer", type=Path, default=Path("build/peer/bin/python"))
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", action="append", default=[], metavar="NAME=BUNDLE[:PRECISION]")
    args = parser.parse_args()

    print(describe_machine(), flush=True)
    bundles = {"shitu-edge": str(NETWORKS / "ppshitu-v2-seeded")}
    bundles |= dict(entry.split("=", 1) for entry in args.models)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        photos = _photos(args.shared / "data" / "drinks" / "queries", folder)
        rows, labels = _gallery_rows(args.size)
        contestants: dict[str, Callable[[Path], Answer]] = {
            "PaddleClas": stack.enter_context(_peer(args.peer, rows, labels, args.threads, folder))
        }
        gallery = stack.enter_context(_gallery(folder, bundles["shitu-edge"], rows, labels, args.threads))
        for name, bundle in bundles.items():
            path, _, precision = bundle.partition(":")
            recognizer = Recognizer.open(path, gallery, precision=precision or None, threads=args.threads)
            contestants[name] = _ours(stack.enter_context(recognizer))
        with Recognizer.open(bundles["shitu-edge"], _Exact(gallery.meta, rows, labels), threads=args.threads) as exact:
            right = {photo: _ours(exact)(photo)[1] for photo in photos}
        _compare(contestants, right, args.rounds)


def _compare(contestants: dict[str, Callable[[Path], Answer]], right: dict[Path, Items], rounds: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in contestants}
    found_by = dict.fromkeys(contestants, 0)
    for turn in range(rounds + 1):  # the first warms up
        for photo, expected in right.items():
            for name, answer in contestants.items():
                time.sleep(_PAUSE_S)
                ms, found = answer(photo)
                if not turn:
                    continue
                times[name].append(ms)
                found_by[name] += sum(_is_among(item, found) for item in expected)
    measured = {name: np.array(values) for name, values in times.items()}
    print_times(measured)
    for name in contestants:
        ratio = float(np.median(measured["PaddleClas"] / measured[name]))
        shares = f"{found_by[name] / rounds:g} of the {sum(map(len, right.values()))} items of an exact search"
        print(f"{name}: {ratio:.2f} × as fast as PaddleClas (median over photos), {shares}")


def _is_among(item: tuple[str, list[int]], found: Items) -> bool:
    """Say whether an item was found, its box to a pixel: OpenCV and Pillow decode JPEGs a gray level apart."""
    label, box = item
    return any(label == other and max(map(abs, np.subtract(box, place))) <= 1 for other, place in found)


def _photos(queries: Path, folder: Path) -> list[Path]:
    paths = []
    for number, image in enumerate(load_images(queries, SIZE)):
        paths.append(folder / f"{number}.jpg")
        paths[-1].write_bytes(image)
    return paths


def _gallery_rows(size: int) -> tuple[NDArray[np.float32], list[str]]:
    golden = np.load(GOLDEN)
    known = golden["gallery_embeddings"] / np.linalg.norm(golden["gallery_embeddings"], axis=1, keepdims=True)
    rng = np.random.default_rng(1)
    own = rng.standard_normal((size - len(known), known.shape[1]), np.float32)
    own *= _OWN / np.linalg.norm(own, axis=1, keepdims=True)
    others = known[rng.integers(len(known), size=len(own))] + own
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    labels = [str(label) for label in golden["gallery_labels"]] + [f"other{n // 10}" for n in range(len(others))]
    return np.concatenate([known, others]).astype(np.float32), labels


@contextmanager
def _peer(
    python: Path, rows: NDArray[np.float32], labels: list[str], threads: int, folder: Path
) -> Iterator[Callable[[Path], Answer]]:
    """Start PaddleClas, and end it."""
    np.save(folder / "rows.npy", rows)
    (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    script = Path(__file__).with_name("serve.py")
    files = {"--networks": NETWORKS, "--vectors": folder / "rows.npy", "--labels": folder / "labels.txt"}
    options = [str(word) for pair in files.items() for word in pair]
    command = [str(python), str(script), *options, "--threads", str(threads)]
    log = (folder / "paddleclas.log").open("w", encoding="utf-8")
    with (
        log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdin
        assert process.stdout
        if process.stdout.readline().strip() != "ready":
            raise SystemExit((folder / "paddleclas.log").read_text(encoding="utf-8")[-2000:])

        def answer(photo: Path) -> Answer:
            print(photo, file=process.stdin, flush=True)
            found = json.loads(process.stdout.readline())  # type: ignore[union-attr]  # it is a pipe
            return found["ms"], [(label, box) for label, box in found["items"]]

        yield answer
        process.stdin.close()


@contextmanager
def _gallery(
    folder: Path, bundle: str, rows: NDArray[np.float32], labels: list[str], threads: int
) -> Iterator[Gallery]:
    with Recognizer.open(bundle) as recognizer:
        gallery = recognizer.create_gallery(folder / "both.gallery", background=False)
    with gallery:
        gallery.add(NewGalleryItem(label, "", row) for label, row in zip(labels, rows, strict=True))
        gallery.index.rebuild(threads=threads)
        yield gallery


class _Exact:
    """A gallery that looks at every row."""

    def __init__(self, meta: Meta, rows: NDArray[np.float32], labels: list[str]) -> None:
        self.meta = meta
        self._index = ExactIndex(np.arange(len(rows), dtype=np.int64), rows)
        self._labels = labels

    def search_with_revision(
        self, queries: NDArray[np.float32], k: int = 5, workers: Executor | None = None
    ) -> tuple[int, list[tuple[Match, ...]]]:
        """See `GallerySearch`."""
        ids, similarities = self._index.search(queries, k)
        rows = zip(ids.tolist(), similarities.tolist(), strict=True)
        return 1, [tuple(Match(n, self._labels[n], value) for n, value in zip(*row, strict=True)) for row in rows]

    def close(self) -> None:
        """See `GallerySearch`."""


def _ours(recognizer: Recognizer) -> Callable[[Path], Answer]:
    def answer(photo: Path) -> Answer:
        begun = time.perf_counter_ns()
        found = recognizer.recognize(photo)
        ms = (time.perf_counter_ns() - begun) / 1e6
        known = [item for item in found.items if item.label]
        return ms, [(str(item.label), [int(edge) for edge in item.box_xyxy]) for item in known]

    return answer


if __name__ == "__main__":
    main()
