"""Turn the official PP-ShiTu graphs, with seeded weights, into bundles that shitu-edge can open.

    python make_networks.py --shared ../shared --out build/ppshitu

OUT/paddle/{det_mainbody,rec_v1_calibrated,rec_v2_calibrated} keeps the Paddle models whole, for `reference.py`;
OUT/ppshitu-v1-seeded and OUT/ppshitu-v2-seeded are bundles that shitu-edge-export makes of them.

An extractor with seeded weights alone gives almost the same answer for all images. So both extractors get the
batch-norm statistics that `calibrate.py` measured, and their neighbors and similarities can be compared.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

os.environ.update(FLAGS_enable_pir_api="0")  # the official graphs are in Paddle's older format

import numpy as np
import paddle
from shitu_edge_export.bundle import Options, export_bundle
from shitu_edge_export.progress import Progress

SEED = 0
STATISTICS = Path(__file__).parent
EXTRACTORS = {"ppshitu-v1-seeded": "rec_v1", "ppshitu-v2-seeded": "rec_v2"}


def main() -> None:
    """Seed the three networks, then make the bundles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with models/, data/ and tools/")
    parser.add_argument("--out", type=Path, default=Path("build/ppshitu"))
    args = parser.parse_args()

    paddle.enable_static()
    models = args.out / "paddle"
    for graph in ("det_mainbody", *EXTRACTORS.values()):
        seed_weights(args.shared, graph, models / graph)
    options = Options(
        description="Official PP-ShiTu graphs with random weights: for parity and speed, not accuracy.",
        license="Apache-2.0",
        images=(args.shared / "data" / "drinks" / "queries",),
    )
    for name, graph in EXTRACTORS.items():
        extractor = models / f"{graph}_calibrated"
        calibrate_weights(models / graph, extractor)
        receipt = export_bundle(models / "det_mainbody", extractor, args.out / name, options, Progress(name))
        print(f"{args.out / name}: {receipt.images}")


def seed_weights(shared: Path, graph: str, out: Path) -> None:
    """Write the official graph with its seeded weights to OUT, as a Paddle model."""
    source = shared / "models" / "ppshitu" / graph / "inference.pdmodel"
    script = shared / "tools" / "fill_weights.py"
    subprocess.run([sys.executable, script, source, out, "--seed", str(SEED)], check=True)


def calibrate_weights(model: Path, out: Path) -> None:
    """Write the extractor to OUT with the batch-norm statistics that `calibrate.py` measured for it."""
    executor = paddle.static.Executor(paddle.CPUPlace())
    program, feeds, fetches = paddle.static.load_inference_model(str(model / "inference"), executor)
    with np.load(STATISTICS / f"batch_norm_{model.name}.npz") as statistics:
        for name, value in statistics.items():
            tensor = paddle.static.global_scope().find_var(name).get_tensor()
            tensor.set(value.astype(np.float32), paddle.CPUPlace())
    block = program.global_block()
    paddle.static.save_inference_model(
        str(out / "inference"), [block.var(name) for name in feeds], fetches, executor, program=program
    )


if __name__ == "__main__":
    main()
