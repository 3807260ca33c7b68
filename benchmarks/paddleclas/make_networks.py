"""Turn the official PP-ShiTu graphs, with seeded weights, into bundles that shitu-edge can open.

    python make_networks.py --shared ../shared --out build/ppshitu

OUT/paddle/{det_mainbody,rec_v1_calibrated,rec_v2_calibrated} keeps the Paddle models whole, for `reference.py`;
OUT/ppshitu-v1-seeded and OUT/ppshitu-v2-seeded are bundles made of the same weights. The detector of a bundle
ends at its raw head: stock converters cannot take the loop and the NMS that follow it.

An extractor with nothing but seeded weights answers almost alike for all images. Both extractors are therefore
given the batch-norm statistics that `calibrate.py` measured: then neighbours and similarities are worth comparing.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

os.environ.update(FLAGS_enable_pir_api="0")  # the official graphs are in Paddle's older format
os.environ.update(CI="true")  # else openvino.convert_model reports its use to a telemetry server

import numpy as np
import onnx
import openvino
import paddle
from paddle.base.framework import Program
from paddle.base.proto import framework_pb2

SEED = 0
OPSET = 14  # the first with HardSwish
STATISTICS = Path(__file__).parent
STRIDES = (8, 16, 32, 64)
SCORES = tuple(f"sigmoid_{level}.tmp_0" for level in range(len(STRIDES)))
DISTANCES = tuple(f"transpose_{2 * level + 1}.tmp_0" for level in range(len(STRIDES)))
SCALE_MEAN_STD = {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@dataclass(frozen=True, slots=True)
class Network:
    """One seeded network in both formats, and the names its converted graph answers to."""

    folder: Path
    stem: str
    source: str
    weights_sha256: str
    input_name: str
    output_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """The mainbody detector paired with an extractor; `extractor` names a folder of OUT/paddle."""

    name: str
    extractor: str
    extractor_name: str


RELEASES = (
    Release("ppshitu-v1-seeded", "rec_v1_calibrated", "PPLCNet_x2_5 (seeded weights)"),
    Release("ppshitu-v2-seeded", "rec_v2_calibrated", "PPLCNetV2_base (seeded weights)"),
)


def main() -> None:
    """Seed, cut and convert the three networks, then write the bundles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with models/ and tools/")
    parser.add_argument("--out", type=Path, default=Path("build/ppshitu"))
    args = parser.parse_args()

    paddle.enable_static()
    models = args.out / "paddle"
    for graph in ("det_mainbody", "rec_v1", "rec_v2"):
        seed_weights(args.shared, graph, models / graph)
    for graph in ("rec_v1", "rec_v2"):
        calibrate_weights(models / graph, models / f"{graph}_calibrated")
    with tempfile.TemporaryDirectory() as scratch:
        head = cut_detector(models / "det_mainbody", Path(scratch) / "det_head")
        detector = convert(head, models / "det_mainbody", Path(scratch) / "detector")
        for release in RELEASES:
            model = models / release.extractor
            extractor = convert(model, model, Path(scratch) / release.extractor / "extractor")
            write_bundle(args.out / release.name, release, detector, extractor)
            print(f"{args.out / release.name}: {detector.weights_sha256} {extractor.weights_sha256}")


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


def cut_detector(model: Path, out: Path) -> Path:
    """Save the part of the detector before its post-processing loop, for a batch of one image.

    `save_inference_model` alone would carry the loop along, so the program is rebuilt without it first.
    """
    executor = paddle.static.Executor(paddle.CPUPlace())
    paddle.static.load_inference_model(str(model / "inference"), executor)  # fills the scope with weights
    description = framework_pb2.ProgramDesc()
    description.ParseFromString((model / "inference.pdmodel").read_bytes())
    del description.blocks[1:]
    main_block = description.blocks[0]
    loop = next(index for index, op in enumerate(main_block.ops) if op.type == "while")
    del main_block.ops[loop:]
    for variable in main_block.vars:
        dims = variable.type.dense_tensor.tensor.dims
        if dims and dims[0] == -1:
            dims[0] = 1

    program = Program.parse_from_string(description.SerializeToString())
    block = program.global_block()
    fetches = [block.var(name) for name in SCORES + DISTANCES]
    paddle.static.save_inference_model(str(out / "inference"), [block.var("image")], fetches, executor, program=program)
    return out


def convert(model: Path, weights: Path, stem: Path) -> Network:
    """Convert a Paddle model to STEM.onnx, and that to STEM.xml and STEM.bin, with weights in float32.

    WEIGHTS is the whole model that MODEL was made of. Paddle2ONNX runs in a process of its own because it
    aborts on what it cannot convert, and without its optimizer because that would install packages.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    target = stem.with_suffix(".onnx")
    options = {
        "model_dir": str(model),
        "model_filename": "inference.pdmodel",
        "params_filename": "inference.pdiparams",
        "save_file": str(target),
        "opset_version": str(OPSET),
        "enable_auto_update_opset": "False",
        "optimize_tool": "None",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    subprocess.run([sys.executable, "-m", "paddle2onnx.command", *flags], check=True)
    openvino.save_model(openvino.convert_model(target), stem.with_suffix(".xml"), compress_to_fp16=False)
    onnx_graph = onnx.load(target).graph
    return Network(
        folder=stem.parent,
        stem=stem.name,
        source=describe_source(weights.name),
        weights_sha256=sha256(weights / "inference.pdiparams"),
        input_name=onnx_graph.input[0].name,
        output_names=tuple(output.name for output in onnx_graph.output),
    )


def describe_source(model_name: str) -> str:
    """Return where the graph and the weights of a folder of OUT/paddle come from."""
    graph = model_name.removesuffix("_calibrated")
    source = f"models/ppshitu/{graph}/inference.pdmodel, weights by tools/fill_weights.py --seed {SEED}"
    if graph == model_name:
        return source
    return f"{source}, batch-norm statistics of benchmarks/paddleclas/batch_norm_{graph}.npz"


def write_bundle(out: Path, release: Release, detector: Network, extractor: Network) -> None:
    """Copy the network files to OUT and describe them in OUT/bundle.json."""
    out.mkdir(parents=True, exist_ok=True)
    for network in (detector, extractor):
        for suffix in (".onnx", ".xml", ".bin"):
            shutil.copyfile(network.folder / f"{network.stem}{suffix}", out / f"{network.stem}{suffix}")
    bundle = {
        "schema_version": 1,
        "name": release.name,
        "description": "Official PP-ShiTu graphs with random weights: for parity and speed, not accuracy",
        "licence": "Apache-2.0",
        "detector": describe_detector(detector),
        "extractor": describe_extractor(extractor, release.extractor_name),
        "recognition": {"similarity_threshold": 0.5, "suppression_iou": 0.05},
    }
    text = json.dumps(bundle, indent=2, ensure_ascii=False) + "\n"
    (out / "bundle.json").write_text(text, encoding="utf-8", newline="\n")


def describe_detector(network: Network) -> dict[str, object]:
    """Return the detector section of bundle.json.

    Conversion renames the outputs and keeps their order: `cut_detector` put the scores first.
    """
    scores, distances = network.output_names[: len(STRIDES)], network.output_names[len(STRIDES) :]
    return {
        "network": {
            "name": "PicoDet-LCNet x2.5 mainbody (seeded weights)",
            **describe_files(network),
            "input": describe_input(network, size=640, resize="cubic"),
        },
        "head": {
            "layout": "picodet_levels",
            "strides": list(STRIDES),
            "scores": list(scores),
            "distances": list(distances),
            "reg_max": 7,
            "nms_iou": 0.6,
            "pre_nms_top_k": 1000,
            "nms_top_k": 1000,
            "keep_top_k": 100,
        },
        "score_threshold": 0.2,
        "max_boxes": 5,
    }


def describe_extractor(network: Network, name: str) -> dict[str, object]:
    """Return the extractor section of bundle.json."""
    return {
        "network": {
            "name": name,
            **describe_files(network),
            "input": describe_input(network, size=224, resize="bilinear"),
        },
        "output": network.output_names[0],
        "dim": 512,
    }


def describe_files(network: Network) -> dict[str, object]:
    """Return the origin and the files of a network, as bundle.json has them."""
    formats = {"onnx": (".onnx",), "openvino": (".xml", ".bin")}
    files = {
        name: [
            {"path": network.stem + suffix, "sha256": sha256(network.folder / (network.stem + suffix))}
            for suffix in suffixes
        ]
        for name, suffixes in formats.items()
    }
    return {
        "source": network.source,
        "source_sha256": network.weights_sha256,
        "default_precision": "fp32",
        "files": {"fp32": files},
    }


def describe_input(network: Network, size: int, resize: str) -> dict[str, object]:
    """Return how an image becomes the input of a network."""
    return {
        "name": network.input_name,
        "height": size,
        "width": size,
        "layout": "NCHW",
        "dtype": "float32",
        "color": "RGB",
        "resize": resize,
        **SCALE_MEAN_STD,
    }


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
