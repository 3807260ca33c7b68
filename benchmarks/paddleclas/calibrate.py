"""Measure batch-norm statistics that keep the seeded extractors from answering alike for every image.

    python calibrate.py --shared ../shared --networks build/ppshitu --out benchmarks/paddleclas

Random weights under random batch-norm statistics map all photos to almost the same unit vector (inner
products above 0.999), so that neighbors and suppression are decided by rounding errors. With the statistics
of real photos in every batch norm, layer after layer, inner products spread over most of [-1, 1]. The result
is kept as `batch_norm_<graph>.npz`, in float16, so that `make_networks.py` gives the same weights on every
machine. Photos: every 20th of the validation list of the Grocery Store Dataset (MIT).
"""

import argparse
import os
from pathlib import Path

os.environ.update(FLAGS_enable_pir_api="0")  # the official graphs are in Paddle's older format

import cv2
import numpy as np
import paddle
import paddleclas
from numpy.typing import NDArray
from paddleclas.deploy.python.preprocess import create_operators
from paddleclas.deploy.utils.config import parse_config

EXTRACTORS = ("rec_v1", "rec_v2")


def main() -> None:
    """Measure and keep the statistics of both extractors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/grocery")
    parser.add_argument("--networks", type=Path, default=Path("build/ppshitu"), help="OUT of make_networks.py")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()

    paddle.enable_static()
    images = load_images(args.shared / "data" / "grocery")
    for graph in EXTRACTORS:
        statistics = measure(args.networks / "paddle" / graph, images)
        np.savez_compressed(args.out / f"batch_norm_{graph}.npz", **statistics)


def load_images(grocery: Path) -> NDArray[np.float32]:
    """Return photos as PaddleClas feeds them to an extractor, (N, 3, 224, 224)."""
    config = parse_config(Path(paddleclas.__file__).parent / "deploy" / "configs" / "inference_general.yaml")
    operators = create_operators(config["RecPreProcess"]["transform_ops"])
    images = []
    for line in (grocery / "val.txt").read_text(encoding="utf-8").splitlines()[::20]:
        image = cv2.imread(str(grocery / "images" / line.split(",")[0]))[:, :, ::-1]
        for operator in operators:
            image = operator(image)
        images.append(image)
    return np.stack(images)


def measure(model: Path, images: NDArray[np.float32]) -> dict[str, NDArray[np.float16]]:
    """Return the mean and variance that every batch norm sees when all before it are already corrected.

    The weights in Paddle's global scope are left corrected. Keys are the names of the Paddle variables.
    """
    executor = paddle.static.Executor(paddle.CPUPlace())
    program, feeds, _ = paddle.static.load_inference_model(str(model / "inference"), executor)
    statistics: dict[str, NDArray[np.float16]] = {}
    for operator in program.global_block().ops:
        if operator.type != "batch_norm":
            continue
        (incoming,) = executor.run(program, feed={feeds[0]: images}, fetch_list=operator.input("X"))
        axes = (0, *range(2, incoming.ndim))
        for name, value in (
            (operator.input("Mean")[0], incoming.mean(axes, dtype=np.float64)),
            (operator.input("Variance")[0], incoming.var(axes, dtype=np.float64)),
        ):
            statistics[name] = value.astype(np.float16)
            tensor = paddle.static.global_scope().find_var(name).get_tensor()
            tensor.set(statistics[name].astype(np.float32), paddle.CPUPlace())
    return statistics


if __name__ == "__main__":
    main()
