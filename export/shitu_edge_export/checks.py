"""Every form of a converted network, on every engine that runs it, against the source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shitu_edge.bundle import DetectorSpec, ExtractorSpec
from shitu_edge.imaging.preprocess import InputBuilder
from shitu_edge.imaging.resample import Pixels
from shitu_edge.results import Detections

from .convert import Route
from .forms import simplify_onnx
from .kinds import Extractor, PicoDet
from .measure import Form, detect_all, embed_all, most_boxes, unit_rows
from .networks import Converted
from .parity import BoxParity, RowParity, compare_boxes, compare_rows
from .progress import Progress
from .receipt import Check, Tolerances, describe
from .reference import reference_detections, run_source


def forms_of(route: Route) -> Iterator[Form]:
    """Yield the forms that a route made, each on the engine that reads it."""
    if route.ir:
        yield Form(route.ir, "openvino")
    if route.onnx and not route.error:
        yield Form(route.onnx, "onnxruntime")


def check_detector(
    network: Converted[DetectorSpec, PicoDet], images: Sequence[Pixels], tolerances: Tolerances, progress: Progress
) -> tuple[tuple[Check, ...], list[Detections]]:
    """Compare boxes at the working threshold; return the checks and the source's detections."""
    spec = network.spec
    threshold = spec.score_threshold
    with progress.step(f"The source's boxes on {len(images)} images"):
        reference = reference_detections(network.model, network.kind, network.part, spec, images, threshold)
    checks = []
    for route in network.routes:
        for form in forms_of(route):
            with progress.step(f"Boxes by {route.name} on {form.engine}"):
                found = detect_all(form, spec, images, threshold)
            parity = compare_boxes(zip(reference, found, strict=True), threshold, most_boxes(spec))
            checks.append(check(route.name, form, parity, tolerances))
    return tuple(checks), reference


def check_extractor(
    network: Converted[ExtractorSpec, Extractor], crops: Sequence[Pixels], tolerances: Tolerances, progress: Progress
) -> tuple[tuple[Check, ...], NDArray[np.float32]]:
    """Compare embeddings; return the checks and the source's unit rows."""
    with progress.step(f"The source's embeddings of {len(crops)} crops"):
        reference = source_embeddings(network, crops)
    checks = []
    for route in network.routes:
        for form in forms_of(route):
            with progress.step(f"Embeddings by {route.name} on {form.engine}"):
                found = embed_all(form, network.spec, crops)
            checks.append(check(route.name, form, compare_rows(reference, found), tolerances))
    return tuple(checks), reference


def source_embeddings(network: Converted[ExtractorSpec, Extractor], crops: Sequence[Pixels]) -> NDArray[np.float32]:
    """Return unit rows (N, D) of crops as the source embeds them."""
    entry = network.spec.network.input
    builder = InputBuilder(entry)

    def feed(crop: Pixels) -> dict[str, NDArray[np.float32]]:
        tensor = np.empty(entry.shape(), np.float32)
        builder.fill(tensor[0], crop)
        return {entry.name: tensor}

    outputs = run_source(network.model.path, network.model.weights_path, [feed(crop) for crop in crops])
    rows = np.stack([np.ravel(arrays[0]) for arrays in outputs]).astype(np.float32)
    return unit_rows(rows, str(network.model.path))


def check(route: str, form: Form, parity: BoxParity | RowParity, tolerances: Tolerances) -> Check:
    """Return a line of the receipt."""
    return Check(route, form.engine, form.format, form.precision, form.bytes, parity, tolerances.accepts(parity))


def simplify(
    network: Converted[DetectorSpec, PicoDet] | Converted[ExtractorSpec, Extractor],
    checks: Sequence[Check],
    work: Path,
    reference: Sequence[Detections] | NDArray[np.float32],
    images: Sequence[Pixels],
    tolerances: Tolerances,
    progress: Progress,
) -> tuple[tuple[Form, ...], tuple[Check, ...]]:
    """Choose the float32 forms that a bundle carries; ONNX is simplified if that keeps it within the tolerances.

    Returns:
        The forms, and the check of the simplified one.
    """
    forms = tuple(forms_of(network.best))
    plain = next((form for form in forms if form.format == "onnx"), None)
    if plain is None:
        return forms, ()
    simplified = Form(work / "simplified.onnx", plain.engine)
    try:
        simplify_onnx(plain.file, simplified.file)
        with progress.step("Boxes or embeddings by the simplified ONNX"):
            parity = _parity(network, simplified, reference, images)
    except Exception as error:  # onnx's and onnxruntime's exceptions share no base class
        progress.note(f"ONNX is left as it is: it cannot be simplified: {str(error).splitlines()[0]:.200}")
        return forms, ()
    line = check(f"{network.best.name}, simplified", simplified, parity, tolerances)
    plain_passed = all(one.passed for one in checks if one.format == "onnx")
    if line.passed or not plain_passed:
        return tuple(simplified if form == plain else form for form in forms), (line,)
    progress.note(f"ONNX is left as it is: simplified, it differs from the source: {describe(parity)}")
    return forms, ()


def onnx_for_both(
    network: Converted[DetectorSpec, PicoDet] | Converted[ExtractorSpec, Extractor],
    forms: Sequence[Form],
    reference: Sequence[Detections] | NDArray[np.float32],
    images: Sequence[Pixels],
    tolerances: Tolerances,
    progress: Progress,
) -> tuple[tuple[Form, ...], tuple[Check, ...]]:
    """Leave the IR out of the float32 forms and have OpenVINO read the ONNX, where there is one.

    Returns:
        The forms, and the check of ONNX on OpenVINO.
    """
    plain = next((form for form in forms if form.format == "onnx"), None)
    if plain is None:
        return tuple(forms), ()
    read = Form(plain.file, "openvino")
    with progress.step("Boxes or embeddings by OpenVINO from the ONNX"):
        parity = _parity(network, read, reference, images)
    return (read, plain), (check(f"{network.best.name}, read by OpenVINO", read, parity, tolerances),)


def _parity(
    network: Converted[DetectorSpec, PicoDet] | Converted[ExtractorSpec, Extractor],
    form: Form,
    reference: Sequence[Detections] | NDArray[np.float32],
    images: Sequence[Pixels],
) -> BoxParity | RowParity:
    spec = network.spec
    if isinstance(spec, ExtractorSpec):
        assert isinstance(reference, np.ndarray)
        return compare_rows(reference, embed_all(form, spec, images))
    found = detect_all(form, spec, images, spec.score_threshold)
    return compare_boxes(zip(reference, found, strict=True), spec.score_threshold, most_boxes(spec))
