"""PaddleClas' own PP-ShiTu pipeline, answering one image per line, for `benchmarks.paddleclas.latency`.

    python serve.py --networks build/ppshitu --vectors rows.npy --labels labels.txt

Run in the environment of `requirements.txt`. Reads paths of images on stdin; answers each with a line of JSON: the
milliseconds from the file's bytes to the items, and the items. Configuration, index and code are PaddleClas' own
(`inference_general.yaml`, HNSW32 over the given unit rows), but for the CPU, the threads and the paths. A line that
is `ready` comes first.
"""

import argparse
import json
import os
import pickle
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(FLAGS_enable_pir_api="0")  # the official graphs are in Paddle's older format

import cv2
import faiss
import numpy as np
import paddleclas
from numpy.typing import NDArray
from paddleclas.deploy.python.predict_system import SystemPredictor
from paddleclas.deploy.utils.config import parse_config


def main() -> None:
    """Answer until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=Path, required=True, help="OUT of make_networks.py")
    parser.add_argument("--release", choices=("v1", "v2"), default="v2")
    parser.add_argument("--vectors", type=Path, required=True, help="(N, 512) float32 unit rows")
    parser.add_argument("--labels", type=Path, required=True, help="N lines")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # PaddleClas prints what it finds
    faiss.omp_set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        index = Path(scratch)
        write_index(np.load(args.vectors), args.labels.read_text(encoding="utf-8").splitlines(), index)
        system = SystemPredictor(configure(args.networks, args.release, index, args.threads))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        begun = time.perf_counter_ns()
        image_bgr: Any = cv2.imread(line.rstrip("\n"))
        items = system.predict(image_bgr[:, :, ::-1])
        ms = (time.perf_counter_ns() - begun) / 1e6
        found = [(item["rec_docs"], [int(edge) for edge in item["bbox"]]) for item in items]
        print(json.dumps({"ms": ms, "items": found}), file=answers, flush=True)


def write_index(rows: NDArray[np.float32], labels: list[str], folder: Path) -> None:
    """Write an index as `build_gallery.py` writes it."""
    index = faiss.IndexIDMap2(faiss.index_factory(rows.shape[1], "HNSW32", faiss.METRIC_INNER_PRODUCT))
    index.add_with_ids(rows, np.arange(len(rows)))
    faiss.write_index(index, str(folder / "vector.index"))
    with (folder / "id_map.pkl").open("wb") as file:
        pickle.dump({number: f"image\t{label}" for number, label in enumerate(labels)}, file)


def configure(networks: Path, release: str, index: Path, threads: int) -> Any:
    """Return PaddleClas' configuration of PP-ShiTu with our paths."""
    config = parse_config(Path(paddleclas.__file__).parent / "deploy" / "configs" / "inference_general.yaml")
    config["Global"].update(
        det_inference_model_dir=str(networks / "paddle" / "det_mainbody"),
        rec_inference_model_dir=str(networks / "paddle" / f"rec_{release}_calibrated"),
        use_gpu=False,
        cpu_num_threads=threads,
    )
    config["IndexProcess"].update(index_dir=str(index))
    return config


if __name__ == "__main__":
    main()
