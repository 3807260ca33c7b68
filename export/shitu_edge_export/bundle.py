"""From a detector and an extractor to a bundle that the runtime opens, with its receipt and model card."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from typer import Option

from shitu_edge.bundle import (
    MANIFEST,
    SCHEMA_VERSION,
    DecisionPolicy,
    DetectorSpec,
    ExtractorSpec,
    Manifest,
    Network,
    NetworkFile,
    Precision,
    write_manifest,
)
from shitu_edge.errors import OptionError
from shitu_edge.imaging.geometry import Pixels
from shitu_edge.ranges import shown
from shitu_edge.results import Detections

from .calibration import Calibration
from .card import write_card
from .checks import Comparison, compare_detector, compare_extractor
from .cohort import add_cohort
from .endtoend import Agreement, best_boxes, cut_crops, measure_agreement
from .folders import appearing, scratch_folder
from .images import Sample, image_files, load_sample, spread, synthetic_samples
from .measure import Variant
from .networks import MAX_BOXES, SCORE_THRESHOLD, Converted, convert_detector, convert_extractor
from .objectness import add_objectness
from .progress import Progress
from .quantize import Judge, Trial, box_judge, detector_trial, extractor_trial, halve, quantize, row_judge
from .receipt import NetworkReceipt, Receipt, Tolerances
from .tools import tool_versions

_IMAGES = 16

SpecT = TypeVar("SpecT", DetectorSpec, ExtractorSpec)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a bundle; each field with a help text is an option of the command line."""

    description: Annotated[str, Option(help="Description of the bundle.")] = ""
    license: Annotated[str, Option(help="License of the weights.")] = "unstated"
    notes: str = ""
    score_threshold: Annotated[
        float, Option("--detection-threshold", min=0, max=1, help="Lowest score of a box that counts.")
    ] = SCORE_THRESHOLD
    max_boxes: Annotated[int, Option(min=1, help="Largest number of boxes per image.")] = MAX_BOXES
    policy: DecisionPolicy = field(default_factory=DecisionPolicy)
    downloads: tuple[tuple[str, int, str], ...] = ()
    images: Annotated[
        tuple[Path, ...],
        Option(
            help="Folder of images to measure on; may be repeated. [default: those of --calibrate, else drawn ones]",
        ),
    ] = ()
    calibrate: Annotated[
        tuple[Path, ...],
        Option(
            help="Folder of images (30 or more, 300 are better) to make INT8 from; may be repeated. With labels/ "
            "beside images/ (YOLO text), average precision is measured too.",
        ),
    ] = ()
    products: Annotated[
        Path | None, Option(help="Folder with a subfolder of images per product, to measure INT8's loss of recall@1.")
    ] = None
    input_size: Annotated[
        int | None, Option(min=64, help="Side of the detector's input in pixels; smaller is faster.")
    ] = None
    shapes: Annotated[
        tuple[str, ...],
        Option(
            "--shape",
            metavar="HEIGHTxWIDTH",
            help="Further input size of the detector, such as 352x352, for images that it distorts much less; may be "
            "repeated. Measure it first (`benchmarks/shapes.py`).",
        ),
    ] = ()
    crop_size: Annotated[int | None, Option(min=32, help="Side of the extractor's input in pixels.")] = None
    half: Annotated[
        bool, Option("--half", help="Also store weights in half precision, which takes half the space.")
    ] = False
    compact: Annotated[
        bool,
        Option(
            "--compact",
            help="Store float32 once, as ONNX, which both engines read; OpenVINO IR is for other precisions alone.",
        ),
    ] = False
    cohort: Annotated[
        tuple[Path, ...],
        Option(
            help="Folder of photos of foreign products, by which galleries with few products are calibrated; may be "
            "repeated. Or a bundle with the same extractor, to take over its own. Sets --similarity-threshold as well."
        ),
    ] = ()
    objectness: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="What `python -m training objectness` has written: the network that tells products from lamps and "
            "print. [default: none]",
            show_default=False,
        ),
    ] = None
    faint_threshold: Annotated[
        float | None,
        Option(
            min=0,
            max=1,
            metavar="SCORE",
            help="Score from which boxes below --detection-threshold are looked at too, where most surer ones are "
            "small. Needs --objectness. [default: none are]",
            show_default=False,
        ),
    ] = None
    tolerances: Tolerances = field(default_factory=Tolerances)


@dataclass(frozen=True, slots=True)
class _Measured:
    """A converted network, measured: the variants to store by precision, and its part of the receipt."""

    variants: Mapping[str, tuple[Variant, ...]]
    receipt: NetworkReceipt
    default: Precision


def export_bundle(detector: Path, extractor: Path, out: Path, options: Options, progress: Progress) -> Receipt:
    """Convert both networks, measure them against their sources, and write a bundle to `out`, whole or not at all.

    Args:
        detector, extractor: a model's folder or its graph's file.
        out: the bundle's folder; its name is the bundle's. An older bundle there is replaced.
        options: see `Options`.
        progress: for the user.

    Raises:
        ModelError: a source is missing, damaged or of another kind.
        ConversionError: no route converts it.
        ToleranceError: a converted network differs from its source by more than the tolerances.
        ExportError: `out` is in the way, or images are missing.
        OptionError: a shape is not one, or a faint threshold comes without an objectness network.
    """
    shapes = tuple(map(_sides, options.shapes))
    if options.faint_threshold is not None and options.objectness is None:
        raise OptionError("--faint-threshold: expected --objectness as well")
    with appearing(out, MANIFEST) as folder, scratch_folder() as work:
        calibration = Calibration.load(options.calibrate, options.products) if options.calibrate else None
        images, origin = load_images(options.images or options.calibrate)
        boxes = convert_detector(detector, work / "detector", options.input_size, progress.of("Detector"))
        spec = replace(boxes.spec, score_threshold=options.score_threshold, max_boxes=options.max_boxes, shapes=shapes)
        boxes = replace(boxes, spec=spec)
        rows = convert_extractor(extractor, work / "extractor", options.crop_size, progress.of("Extractor"))
        comparison, reference = compare_detector(boxes, images, options.tolerances, progress.of("Detector"))
        judge = partial(box_judge, boxes.spec, [Sample("", pixels) for pixels in images])
        trial = partial(detector_trial, boxes.spec, calibration) if calibration else None
        found = _measure(boxes, comparison, work / "detector", options, judge, trial)
        crops = cut_crops(images, [best_boxes(one, boxes.spec.max_boxes) for one in reference]) + images
        comparison, reference_rows = compare_extractor(rows, crops, options.tolerances, progress.of("Extractor"))
        judge = partial(row_judge, rows.spec, crops, None)
        detects = (found.variants["fp32"][0], boxes.spec)
        trial = partial(extractor_trial, rows.spec, detects, calibration) if calibration else None
        embedded = _measure(rows, comparison, work / "extractor", options, judge, trial)
        agreement = _agree(images, reference, reference_rows, (boxes.spec, found), (rows.spec, embedded), progress)
        receipt = Receipt(
            made_with=tool_versions(boxes.routes + rows.routes),
            images=origin,
            tolerances=options.tolerances,
            networks=(found.receipt, embedded.receipt),
            agreement=agreement,
            downloads=tuple({"url": url, "bytes": size, "sha256": digest} for url, size, digest in options.downloads),
        )
        receipt.require()
        manifest = Manifest(
            SCHEMA_VERSION,
            out.resolve().name,
            options.description or f"{boxes.spec.network.name} finds, {rows.spec.network.name} embeds.",
            options.license,
            _store(boxes.spec, found, "detector", folder),
            _store(rows.spec, embedded, "extractor", folder),
            options.policy,
        )
        write_manifest(folder, manifest)
        if options.cohort:
            manifest = add_cohort(folder, options.cohort, progress).manifest
        if options.objectness is not None:
            manifest = add_objectness(folder, options.objectness, options.faint_threshold).manifest
        receipt.write(folder)
        write_card(folder, manifest, receipt, options.notes)
    return receipt


def _sides(text: str) -> tuple[int, int]:
    """Return the sides of a shape, `HEIGHTxWIDTH`; raises `OptionError`."""
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise OptionError(f"--shape: expected HEIGHTxWIDTH such as 352x352, found {shown(text)}")
    return int(height), int(width)


def load_images(folders: Sequence[Path]) -> tuple[list[Pixels], str]:
    """Return images to measure on, and what to say of them: the user's, or drawn ones."""
    if not folders:
        samples = synthetic_samples(_IMAGES)
        return [sample.pixels_rgb for sample in samples], f"{len(samples)} drawn images; name real ones by --images"
    paths = spread(image_files(folders), _IMAGES)
    names = ", ".join(folder.name for folder in folders)
    return [load_sample(path).pixels_rgb for path in paths], f"{len(paths)} images of {names}"


def _measure(
    network: Converted[Any, Any],
    comparison: Comparison,
    work: Path,
    options: Options,
    judge: Callable[[Variant], Judge],
    trial: Callable[[Variant], Trial] | None,
) -> _Measured:
    """Check the variants, make those of other precisions and keep what the gate accepts.

    INT8 that pays becomes the default, and float32 stays for engines without it. A compact bundle has IR alone in half
    precision.
    """
    described, progress = network.spec.network, comparison.progress
    checks = comparison.check_routes()
    variants, simplified = comparison.simplify(checks, work)
    made = []
    if halved := [
        variant for variant in variants if options.half and (variant.format == "openvino" or not options.compact)
    ]:
        made += halve(described, halved, work, judge(halved[0]), progress)
    if trial:
        made += quantize(described, variants, work, trial(variants[0]), progress)
    checks += simplified
    if options.compact:
        variants, read = comparison.onnx_for_both(variants)
        checks += read
    kept: dict[str, tuple[Variant, ...]] = {"fp32": variants}
    for variant, figures in made:
        if figures.accepted:
            kept[figures.precision] = (*kept.get(figures.precision, ()), variant)
    pays = any(one.precision == "int8" and one.pays for _, one in made)
    receipt = NetworkReceipt(
        role=network.role,
        facts=network.facts,
        routes=tuple({"name": route.name, "error": route.error} for route in network.routes),
        checks=checks,
        precisions=tuple(figures for _, figures in made),
    )
    return _Measured(kept, receipt, "int8" if pays else "fp32")


def _agree(
    images: Sequence[Pixels],
    reference: Sequence[Detections],
    reference_rows: NDArray[np.float32],
    detector: tuple[DetectorSpec, _Measured],
    extractor: tuple[ExtractorSpec, _Measured],
    progress: Progress,
) -> tuple[Agreement, ...]:
    """Go the whole way with each engine, in float32 and in the precisions that both networks have."""
    spec, measured = detector
    best = [best_boxes(boxes, spec.max_boxes) for boxes in reference]
    crops = sum(map(len, best))
    answers = []
    for precision, variants in measured.variants.items():
        others = {variant.engine: variant for variant in extractor[1].variants.get(precision, ())}
        for variant in variants:
            if variant.engine in others:
                with progress.step(f"The whole way in {precision} on {variant.engine}"):
                    pair = (others[variant.engine], extractor[0])
                    rows = (reference_rows[:crops], reference_rows[crops:])
                    answers.append(measure_agreement(images, best, *rows, (variant, spec), pair))
    return tuple(answers)


def _store(spec: SpecT, measured: _Measured, role: str, folder: Path) -> SpecT:
    """Copy the variants' files into the bundle and describe them."""
    files: dict[str, dict[str, tuple[NetworkFile, ...]]] = {}
    for precision, variants in measured.variants.items():
        stem = role if precision == "fp32" else f"{role}.{precision}"
        for variant in variants:
            names = [f"{stem}{file.suffix}" for file in variant.files]
            for file, name in zip(variant.files, names, strict=True):
                shutil.copyfile(file, folder / name)
            files.setdefault(precision, {})[variant.format] = tuple(NetworkFile(name, "") for name in names)
    network: Network = replace(spec.network, files=files, default_precision=measured.default)
    return replace(spec, network=network)
