"""A bundle's INT8 variants against float32, and NNCF's post-training quantization for comparison.

    python -m benchmarks.int8 BUNDLE --calibrate DIR [--calibrate DIR ...] [--nncf]

Run it where shitu-edge-export is installed (`make exporter`); `--nncf` needs `pip install nncf` there. Images are
split as by the exporter: NNCF is calibrated with those for ranges, and all are judged by those kept for that.
With `ONEDNN_MAX_CPU_ISA=AVX2` it computes as a CPU without VNNI.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openvino as ov
from shitu_edge_export.calibration import Calibration, crops_of
from shitu_edge_export.measure import Variant, detect_all, network_feed, time_variants
from shitu_edge_export.quantize import box_judge, row_judge

from shitu_edge.bundle import Bundle


def main() -> None:
    """Judge every INT8 variant and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--calibrate", type=Path, action="append", required=True)
    parser.add_argument("--nncf", action="store_true")
    args = parser.parse_args()

    bundle = Bundle.open(args.bundle)
    detector, extractor = bundle.manifest.detector, bundle.manifest.extractor
    images = Calibration.load(args.calibrate, None)
    print(f"{args.bundle.name}, ONEDNN_MAX_CPU_ISA={os.environ.get('ONEDNN_MAX_CPU_ISA', 'native')}")
    with tempfile.TemporaryDirectory() as scratch:
        plain = Variant(bundle.folder / "detector.xml", "openvino")
        judge = box_judge(detector, images.judge, plain)
        feeds = [network_feed(detector.network, sample.pixels_rgb) for sample in images.ranges]
        for name, variant in variants(bundle.folder / "detector.int8.xml", plain, feeds, args.nncf, Path(scratch)):
            times = time_variants([plain, variant], detector.network)
            print(f"detector, {name}: {judge(variant)}; {times[plain] / times[variant]:.2f} x", flush=True)
        found = detect_all(plain, detector, [sample.pixels_rgb for sample in images.judge], detector.score_threshold)
        plain = Variant(bundle.folder / "extractor.xml", "openvino")
        row_judged = row_judge(extractor, crops_of(images.judge, found), None, plain)
        feeds = [network_feed(extractor.network, sample.pixels_rgb) for sample in images.ranges]
        for name, variant in variants(bundle.folder / "extractor.int8.xml", plain, feeds, args.nncf, Path(scratch)):
            times = time_variants([plain, variant], extractor.network)
            print(f"extractor, {name}: {row_judged(variant)}; {times[plain] / times[variant]:.2f} x", flush=True)


def variants(own: Path, plain: Variant, feeds: list[Any], nncf: bool, scratch: Path) -> Iterator[tuple[str, Variant]]:
    """Yield the bundle's INT8 variant, if it has one, and NNCF's."""
    if own.is_file():
        yield "this", Variant(own, "openvino", "int8")
    for preset in ("MIXED", "PERFORMANCE") if nncf else ():
        yield f"NNCF {preset}", quantize_by_nncf(plain, feeds, preset, scratch)


def quantize_by_nncf(plain: Variant, feeds: list[Any], preset: str, scratch: Path) -> Variant:
    """Quantize as NNCF's documentation does, with the overflow fix for CPUs without VNNI."""
    os.environ["CI"] = "true"  # else NNCF reports its use to a telemetry server
    import nncf

    model = ov.Core().read_model(str(plain.file))
    model.reshape({name: list(value.shape) for name, value in feeds[0].items()})
    quantized = nncf.quantize(
        model,
        nncf.Dataset(feeds),
        preset=nncf.QuantizationPreset[preset],
        subset_size=len(feeds),
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
    )
    target = scratch / f"{plain.file.stem}.{preset}.xml"
    ov.save_model(quantized, target, compress_to_fp16=False)
    return Variant(target, "openvino", "int8")


if __name__ == "__main__":
    main()
