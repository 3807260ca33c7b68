"""Overhead of the runtime over bare engine inference, for the official networks.

    python -m benchmarks.overhead PHOTO [--models build/ppshitu/ppshitu-v2-seeded] [--engine openvino]

Bare inference is the same compiled networks on ready tensors: the detector once, the extractor once per crop, as many
in parallel as the runtime runs. Overhead is `recognize` less decoding less bare inference: resizing, normalizing,
reading the head, search and decision. The photo moves a little from round to round, so that boxes differ as they do
before a camera.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from benchmarks.measure import describe_machine, interleave, print_times
from shitu_edge import Bundle, Gallery, NewGalleryItem, Recognition, Recognizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--models", default="build/ppshitu/ppshitu-v2-seeded")
    parser.add_argument("--engine", choices=["openvino", "onnxruntime"], default="openvino")
    parser.add_argument("--gallery-size", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=40)
    args = parser.parse_args()

    extractor = Bundle.open(args.models).manifest.extractor
    with tempfile.TemporaryDirectory() as folder:
        gallery = Gallery.create(
            Path(folder) / "random.gallery",
            extractor=extractor.network.name,
            fingerprint=extractor.fingerprint,
            dim=extractor.dim,
        )
        rows = np.random.default_rng(0).standard_normal((args.gallery_size, extractor.dim), np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        gallery.add(NewGalleryItem(f"product {i // 5}", "", row) for i, row in enumerate(rows))
        with gallery, Recognizer.open(args.models, gallery, engine=args.engine) as recognizer:
            compare(recognizer, moving(args.photo), args.rounds)


def moving(photo: Path) -> list[bytes]:
    """Return JPEGs of a photo that moves by a few pixels."""
    image = Image.open(photo).convert("RGB")
    frames = []
    for shift in range(0, 48, 3):
        stream = BytesIO()
        ImageChops.offset(image, shift, shift // 2).save(stream, "JPEG", quality=92)
        frames.append(stream.getvalue())
    return frames


def compare(recognizer: Recognizer, photos: list[bytes], rounds: int) -> None:
    """Measure both in turn and print times, stages and the overhead."""
    answers: list[Recognition] = []
    first = recognizer.recognize(photos[0])
    crops = len(first.items) + len(first.dropped)
    detector, extractor = recognizer._detector, recognizer._extractor
    noise = np.random.default_rng(0)
    image = recognizer.bundle.manifest.detector.network.input
    scene = noise.standard_normal(image.shape(), np.float32)
    session = detector._shapes.of(image.height, image.width)._session
    crop = noise.standard_normal(extractor._spec.network.input.shape(), np.float32)
    workers = ThreadPoolExecutor(extractor.workers.count)
    bare_ms: dict[str, list[float]] = {"bare detect": [], "bare extract": []}

    def bare() -> None:
        start = time.perf_counter()
        session.run({image.name: scene})
        between = time.perf_counter()
        list(workers.map(lambda _: extractor._session.run({extractor._spec.network.input.name: crop}), range(crops)))
        bare_ms["bare detect"].append((between - start) * 1000)
        bare_ms["bare extract"].append((time.perf_counter() - between) * 1000)

    times = interleave(
        {"recognize": lambda: answers.append(recognizer.recognize(photos[len(answers) % len(photos)])), "bare": bare},
        rounds,
    )
    stages = {
        stage: np.array([getattr(answer.stage_ms, stage) for answer in answers[-rounds:]])
        for stage in ("decode", "detect", "extract", "search", "verify", "decide")
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
