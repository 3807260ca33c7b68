"""What the runtime adds to bare engine inference, for the official networks.

    python -m benchmarks.overhead PHOTO [--models build/ppshitu/ppshitu-v2-seeded] [--engine openvino]

Bare inference is the same compiled networks on ready tensors: the detector once, the extractor once a crop, as many
side by side as the runtime does. Overhead is `recognize` less decoding less bare inference: resizing, normalising,
reading the head, search and decision.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.measure import describe_machine, interleave, print_times
from shitu_edge import Gallery, NewItem, Recognition, Recognizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--models", default="build/ppshitu/ppshitu-v2-seeded")
    parser.add_argument("--engine", choices=["openvino", "onnxruntime"], default="openvino")
    parser.add_argument("--gallery-size", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder, Recognizer.open(args.models, engine=args.engine) as opened:
        extractor = opened.bundle.manifest.extractor
        gallery = Gallery.create(
            Path(folder) / "random.gallery",
            extractor=extractor.network.name,
            fingerprint=extractor.fingerprint,
            dim=extractor.dim,
        )
        rows = np.random.default_rng(0).standard_normal((args.gallery_size, extractor.dim), np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        gallery.add(NewItem(f"product {i // 5}", "", row) for i, row in enumerate(rows))
        with gallery, Recognizer.open(args.models, gallery, engine=args.engine) as recognizer:
            compare(recognizer, args.photo.read_bytes(), args.rounds)


def compare(recognizer: Recognizer, photo: bytes, rounds: int) -> None:
    """Measure both in turn and print times, stages and the overhead."""
    answers: list[Recognition] = []
    first = recognizer.recognize(photo)
    crops = len(first.items) + len(first.dropped)
    detector, extractor = recognizer._detector, recognizer._extractor
    noise = np.random.default_rng(0)
    scene = noise.standard_normal(detector._spec.network.input.shape(), np.float32)
    crop = noise.standard_normal(extractor._spec.network.input.shape(), np.float32)
    workers = ThreadPoolExecutor(extractor.streams)
    bare_ms: dict[str, list[float]] = {"bare detect": [], "bare extract": []}

    def bare() -> None:
        start = time.perf_counter()
        detector._session.run({detector._spec.network.input.name: scene})
        between = time.perf_counter()
        list(workers.map(lambda _: extractor._session.run({extractor._spec.network.input.name: crop}), range(crops)))
        bare_ms["bare detect"].append((between - start) * 1000)
        bare_ms["bare extract"].append((time.perf_counter() - between) * 1000)

    times = interleave({"recognize": lambda: answers.append(recognizer.recognize(photo)), "bare": bare}, rounds)
    stages = {
        stage: np.array([getattr(answer.stage_ms, stage) for answer in answers[-rounds:]])
        for stage in ("decode", "detect", "extract", "search", "decide")
    }
    print(describe_machine())
    print(
        f"{recognizer.bundle.manifest.name} on {first.made_by.detector.engine}, "
        f"{first.width} × {first.height}, {crops} crops"
    )
    print_times({**times, **stages, **{name: np.array(values[-rounds:]) for name, values in bare_ms.items()}})
    total = float(np.median(times["recognize"]))
    added = float(np.median(times["recognize"] - stages["decode"] - times["bare"]))
    print(f"overhead: {added:.1f} ms, {added / total:.1%} of the total")


if __name__ == "__main__":
    main()
