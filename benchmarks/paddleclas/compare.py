"""Differences of shitu-edge from the results of PaddleClas 2.6.0 that `reference.py` recorded.

    python -m benchmarks.paddleclas.compare --shared ../shared

Runs in shitu-edge's environment, on the bundles of `make networks`. The gallery holds PaddleClas' own embeddings.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure import describe_machine
from shitu_edge import Gallery, NewGalleryItem, Recognizer
from shitu_edge.engines import EngineName

GOLDEN = Path("tests/golden")
NETWORKS = Path("build/ppshitu")
ENGINES: tuple[EngineName, ...] = ("openvino", "onnxruntime")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    args = parser.parse_args()
    queries = args.shared / "data" / "drinks" / "queries"
    print(describe_machine())
    print("| network | engine | boxes off by at most | scores | embeddings, least cosine | items equal |")
    print("| --- | --- | --- | --- | --- | --- |")
    for version in ("v1", "v2"):
        for engine in ENGINES:
            print(f"| {version} | {engine} | {_compare(version, engine, queries)} |")


def _compare(version: str, engine: EngineName, queries: Path) -> str:
    golden = np.load(GOLDEN / f"paddleclas_{version}.npz")
    off, score_off, cosine, equal, items = 0.0, 0.0, 1.0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        bundle = NETWORKS / f"ppshitu-{version}-seeded"
        gallery = _gallery(Path(folder) / "drinks.gallery", bundle, engine, golden)
        with gallery, Recognizer.open(bundle, gallery, engine=engine) as recognizer:
            for number, name in enumerate(golden["photo_names"]):
                crops, expected = golden["crop_photo"] == number, golden["item_photo"] == number
                boxes = golden["crop_boxes_xyxy"][crops]
                found = recognizer.detect(queries / str(name))
                off = max(off, float(np.abs(found.boxes_xyxy - boxes[:-1]).max()))
                score_off = max(score_off, float(np.abs(found.scores - golden["crop_scores"][crops][:-1]).max()))
                rows = recognizer.embed(queries / str(name), boxes)
                cosine = min(cosine, float(np.sum(rows * golden["crop_embeddings"][crops], axis=1).min()))
                known = [item for item in recognizer.recognize(queries / str(name)).items if item.label]
                labels = [str(label) for label in golden["item_labels"][expected]]
                equal += (
                    sum(a.label == b for a, b in zip(known, labels, strict=False)) if len(known) == len(labels) else 0
                )
                items += len(labels)
    return f"{off:.4f} px | {score_off:.0e} | {cosine:.7f} | {equal} of {items}"


def _gallery(path: Path, bundle: Path, engine: EngineName, golden: np.lib.npyio.NpzFile) -> Gallery:
    with Recognizer.open(bundle, engine=engine) as embedder:
        gallery = embedder.create_gallery(path)
    rows = golden["gallery_embeddings"] / np.linalg.norm(golden["gallery_embeddings"], axis=1, keepdims=True)
    gallery.add(NewGalleryItem(str(label), "", row) for label, row in zip(golden["gallery_labels"], rows, strict=True))
    return gallery


if __name__ == "__main__":
    main()
