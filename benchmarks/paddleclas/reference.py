"""Record what PaddleClas 2.6.0 answers with the seeded PP-ShiTu networks, for the parity tests.

    python reference.py --shared ../shared --networks build/ppshitu --out tests/golden

Run it in the environment of `requirements.txt`, after `make_networks.py`. It writes OUT/paddleclas_v1.npz and
OUT/paddleclas_v2.npz.

Detection, extraction, the gallery, the search and the suppression are PaddleClas' own code with its own
`inference_general.yaml`, except for the paths, the CPU instead of a GPU, one thread, and an exact index
(Flat) instead of HNSW32. The gallery holds the first image of every class.

Arrays of a file, where P photos give R detector rows, C crops and I items, and the gallery has K images:

    metadata                  JSON: the script, versions, seed, digests of the weights, thresholds
    photo_names               (P,) file names below data/drinks/queries
    photo_sizes               (P, 2) height and width of the decoded photo
    photo_orientations        (P,) EXIF orientation, which cv2.imread applies; 1 is upright
    photo_pixels_sha256       (P,) of the decoded RGB bytes, row by row
    row_photo, rows           (R,), (R, 6) all the network returned: class, score, x1, y1, x2, y2 in pixels
    crop_photo                (C,) index of the photo; its crops come best first, then the whole photo
    crop_scores               (C,) detection scores, 1 for the whole photo
    crop_boxes_xyxy           (C, 4) float32 boxes as detected
    crop_pixels_xyxy          (C, 4) the boxes as PaddleClas crops: cut off to whole numbers, ends excluded
    crop_embeddings           (C, 512) unit rows
    crop_neighbors           (C, 5) gallery indices, most similar first
    crop_similarities         (C, 5) inner products with them
    item_photo, item_labels   (I,), (I,) the answer, most similar first within a photo
    item_boxes_xyxy           (I, 4) whole numbers, as cropped
    item_similarities         (I,)
    gallery_paths             (K,) below data/drinks/gallery
    gallery_labels            (K,)
    gallery_pixels_sha256     (K,) of the decoded RGB bytes
    gallery_embeddings        (K, 512) unit rows

Boxes are float32 out of the network and stay so until `SystemPredictor.predict`, which truncates them with
`astype("int")` and crops `img[y1:y2, x1:x2]`; items carry the truncated boxes, and the suppression works on
them.
"""

import argparse
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.update(FLAGS_enable_pir_api="0")  # the official graphs are in Paddle's older format

import cv2
import faiss
import numpy as np
import paddleclas
from numpy.typing import NDArray
from paddleclas.deploy.python.build_gallery import GalleryBuilder
from paddleclas.deploy.python.predict_system import SystemPredictor
from paddleclas.deploy.utils.config import parse_config
from PIL import Image

EXIF_ORIENTATION = 0x0112
PACKAGES = ("paddlepaddle", "paddleclas", "opencv-python", "faiss-cpu", "numpy")
RELEASES = ("v1", "v2")

Arrays = dict[str, NDArray[Any]]


@dataclass(slots=True)
class Tap:
    """A function that remembers how it was called and what it answered."""

    function: Callable[..., Any]
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    def __call__(self, *args: Any) -> Any:
        """Call the function and remember."""
        answer = self.function(*args)
        self.calls.append(args)
        self.answers.append(answer)
        return answer

    def forget(self) -> None:
        """Forget all calls."""
        self.calls.clear()
        self.answers.clear()


def main() -> None:
    """Record one golden file for each release."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/drinks")
    parser.add_argument("--networks", type=Path, default=Path("build/ppshitu"), help="OUT of make_networks.py")
    parser.add_argument("--out", type=Path, default=Path("tests/golden"))
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    for release in RELEASES:
        arrays = record(args.shared / "data" / "drinks", args.networks / "paddle", f"rec_{release}_calibrated")
        target = args.out / f"paddleclas_{release}.npz"
        np.savez_compressed(target, **arrays)
        print(f"{target}: {len(arrays['crop_photo'])} crops, {len(arrays['item_photo'])} items")


def record(drinks: Path, models: Path, extractor: str) -> Arrays:
    """Let PaddleClas build the gallery and recognize the photos, and return all arrays of a golden file."""
    with tempfile.TemporaryDirectory() as scratch:
        config = configure(drinks, models, extractor, Path(scratch))
        GalleryBuilder(config)
        system = SystemPredictor(config)
    return {
        "metadata": np.array(json.dumps(describe(config))),
        **record_gallery(system, drinks / "gallery"),
        **record_photos(system, drinks / "queries"),
    }


def configure(drinks: Path, models: Path, extractor: str, scratch: Path) -> Any:
    """Return PaddleClas' configuration of PP-ShiTu, with our paths and an exact index."""
    config = parse_config(Path(paddleclas.__file__).parent / "deploy" / "configs" / "inference_general.yaml")
    config["Global"].update(
        det_inference_model_dir=str(models / "det_mainbody"),
        rec_inference_model_dir=str(models / extractor),
        use_gpu=False,
        cpu_num_threads=1,
    )
    label_file = scratch / "labels.txt"
    write_label_file(drinks / "gallery", label_file)
    config["IndexProcess"].update(
        index_method="Flat",
        image_root=str(drinks / "gallery"),
        index_dir=str(scratch / "index"),
        data_file=str(label_file),
    )
    return config


def write_label_file(gallery: Path, target: Path) -> None:
    """Write the lines of the first existing image of every class, as `path<TAB>label`.

    PaddleClas takes the label as the second word of such a line, so a space in it would cut it off.
    """
    first: dict[str, str] = {}
    for line in (gallery / "drink_label_all.txt").read_text(encoding="utf-8").splitlines():
        path, label = line.split("\t")
        if len(line.split()) != 2:
            raise ValueError(f"expected a path and a label without spaces, got {line!r}")
        if (gallery / path).exists():
            first.setdefault(label, line)
    target.write_text("\n".join(first.values()) + "\n", encoding="utf-8")


def record_gallery(system: SystemPredictor, gallery: Path) -> Arrays:
    """Return the gallery that PaddleClas built and read back, in the order of its ids."""
    lines = [system.id_map[item] for item in range(system.Searcher.ntotal)]
    paths = [line.split("\t")[0] for line in lines]
    return {
        "gallery_paths": np.array(paths),
        "gallery_labels": np.array([line.split("\t")[1] for line in lines]),
        "gallery_pixels_sha256": np.array([pixels_sha256(read_rgb(gallery / path)) for path in paths]),
        "gallery_embeddings": faiss.downcast_index(system.Searcher.index).reconstruct_n(0, len(lines)),
    }


def record_photos(system: SystemPredictor, queries: Path) -> Arrays:
    """Return what PaddleClas sees and answers on every photo, joined over the photos."""
    photos = [path for path in sorted(queries.iterdir()) if path.is_file()]
    taps = tap(system)
    recorded = [record_photo(system, taps, index, path) for index, path in enumerate(photos)]
    return {name: np.concatenate([arrays[name] for arrays in recorded]) for name in recorded[0]}


def record_photo(system: SystemPredictor, taps: tuple[Tap, Tap, Tap], index: int, path: Path) -> Arrays:
    """Return what PaddleClas sees and answers on one photo.

    The detector's list of boxes is the one to which `SystemPredictor.append_self` adds the whole photo, hence
    it has as many entries as there are crops.
    """
    image_rgb = read_rgb(path)
    select, extract, search = taps
    for listener in taps:
        listener.forget()
    items = system.predict(image_rgb)
    boxes, rows = select.answers[0], select.calls[0][0]
    return {
        "photo_names": np.array([path.name]),
        "photo_sizes": np.array([image_rgb.shape[:2]]),
        "photo_orientations": np.array([Image.open(path).getexif().get(EXIF_ORIENTATION, 1)]),
        "photo_pixels_sha256": np.array([pixels_sha256(image_rgb)]),
        "row_photo": np.full(len(rows), index),
        "rows": rows,
        "crop_photo": np.full(len(boxes), index),
        "crop_scores": np.array([box["score"] for box in boxes], np.float32),
        "crop_boxes_xyxy": np.array([box["bbox"] for box in boxes], np.float32),
        "crop_pixels_xyxy": np.array([box["bbox"].astype("int") for box in boxes]),
        "crop_embeddings": np.concatenate(extract.answers),
        "crop_neighbors": np.concatenate([neighbors for _, neighbors in search.answers]),
        "crop_similarities": np.concatenate([similarities for similarities, _ in search.answers]),
        "item_photo": np.full(len(items), index),
        "item_labels": np.array([item["rec_docs"] for item in items], np.str_),
        "item_boxes_xyxy": np.array([item["bbox"] for item in items], np.int64).reshape(-1, 4),
        "item_similarities": np.array([item["rec_scores"] for item in items], np.float32),
    }


def tap(system: SystemPredictor) -> tuple[Tap, Tap, Tap]:
    """Listen to the selection of boxes, the extraction and the search of a PaddleClas system."""
    select = Tap(system.det_predictor.parse_det_results)
    extract = Tap(system.rec_predictor.predict)
    search = Tap(system.Searcher.search)
    system.det_predictor.parse_det_results = select
    system.rec_predictor.predict = extract
    system.Searcher = SimpleNamespace(search=search)
    return select, extract, search


def describe(config: Any) -> dict[str, Any]:
    """Return where the recording comes from; free of dates and of the machine's paths."""
    options, index = config["Global"], config["IndexProcess"]
    folders = {"detector": "det_inference_model_dir", "extractor": "rec_inference_model_dir"}
    weights = {name: Path(options[key]) / "inference.pdiparams" for name, key in folders.items()}
    return {
        "generator": "benchmarks/paddleclas/reference.py",
        "versions": {package: version(package) for package in PACKAGES},
        "seed": 0,
        "models": {name: path.parent.name for name, path in weights.items()},
        "weights_sha256": {name: file_sha256(path) for name, path in weights.items()},
        "detection_threshold": options["threshold"],
        "max_boxes": options["max_det_results"],
        "similarity_threshold": index["score_thres"],
        "suppression_iou": options["rec_nms_thresold"],
        "index_method": index["index_method"],
        "return_k": index["return_k"],
    }


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read an image as PaddleClas does: cv2.imread, then BGR to RGB by a view, (H, W, 3)."""
    image_bgr = cv2.imread(str(path))
    if image_bgr is None:
        raise ValueError(f"expected an image that OpenCV can read, got {path}")
    return image_bgr[:, :, ::-1]


def pixels_sha256(image_rgb: NDArray[np.uint8]) -> str:
    """Return the digest of the pixels, row by row."""
    return hashlib.sha256(np.ascontiguousarray(image_rgb).tobytes()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
