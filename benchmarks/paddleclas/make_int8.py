"""Give a bundle of the seeded official networks INT8 variants, to see how fast they would be.

    build/export/bin/python -m benchmarks.paddleclas.make_int8 --out build/ppshitu/v2-int8
    build/export/bin/python -m benchmarks.paddleclas.make_int8 --bundle build/ppshitu/v2-416 \\
        --out build/ppshitu/v2-416-int8

The accuracy gate cannot judge random weights, because all their boxes are wrong. So the mix of precisions is the one
that the gate accepted for trained networks of the same families, those of `models/shitu-small` (its `receipt.json`):
every layer that gains from it is in integers. If that receipt says otherwise, this command refuses.
"""

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import openvino as ov
from openvino._offline_transformations import compress_quantize_weights_transformation
from shitu_edge_export.images import image_files, load_sample, spread
from shitu_edge_export.int8 import make_plan
from shitu_edge_export.int8.rewrite import apply_plan
from shitu_edge_export.measure import network_feed

from shitu_edge import Bundle
from shitu_edge.bundle import Network, NetworkFile, write_manifest

TRAINED = Path("models/shitu-small")
IMAGES = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("build/ppshitu/ppshitu-v2-seeded"))
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with data/")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    receipt = json.loads((TRAINED / "receipt.json").read_text(encoding="utf-8"))
    for network in receipt["networks"]:
        for variant in network["precisions"]:
            if variant["precision"] == "int8" and (variant["reasons"] or variant["kept_float"]):
                raise SystemExit(f"{TRAINED}: the gate did not accept a network with every layer in integers")
    shutil.copytree(args.bundle, args.out)
    manifest = Bundle.open(args.out).manifest
    detector = quantize(manifest.detector.network, args.out, args.shared / "data" / "beverage" / "images")
    extractor = quantize(manifest.extractor.network, args.out, args.shared / "data" / "drinks" / "gallery")
    write_manifest(
        args.out,
        replace(
            manifest,
            detector=replace(manifest.detector, network=detector),
            extractor=replace(manifest.extractor, network=extractor),
        ),
    )


def quantize(network: Network, folder: Path, images: Path) -> Network:
    """Write a network's INT8 variant next to its others; return the network with it as the default."""
    print(f"{network.name}: ranges from {IMAGES} images of {images}", flush=True)
    formats = network.files["fp32"]
    source = (formats.get("openvino") or formats["onnx"])[0]
    model = ov.Core().read_model(str(folder / source.path))
    model.reshape({network.input.name: list(network.input.shape())})
    chosen = spread(image_files([images]), IMAGES)
    plan = make_plan(model, [network_feed(network, load_sample(path).pixels_rgb) for path in chosen])
    made = apply_plan(model, plan)
    compress_quantize_weights_transformation(made)
    target = folder / f"{network.name}.int8.xml"
    ov.save_model(made, target, compress_to_fp16=False)
    files = (NetworkFile(target.name, ""), NetworkFile(target.with_suffix(".bin").name, ""))
    return replace(network, files={**network.files, "int8": {"openvino": files}}, default_precision="int8")


if __name__ == "__main__":
    main()
