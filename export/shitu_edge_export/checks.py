"""Every variant of a converted network, on every engine that runs it, against the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shitu_edge.bundle import DetectorSpec, ExtractorSpec
from shitu_edge.imaging.geometry import Pixels
from shitu_edge.results import Detections

from .convert import Route
from .kinds import Extractor, PicoDet
from .measure import Variant, detect_all, embed_all, most_boxes, network_feed, unit_rows
from .networks import Converted
from .parity import BoxParity, RowParity, compare_boxes, compare_rows
from .progress import Progress
from .receipt import Check, Tolerances, describe
from .reference import reference_detections, run_source
from .variants import simplify_onnx


def variants_of(route: Route) -> Iterator[Variant]:
    """Yield the variants that a route made, each on the engine that reads it."""
    if route.ir:
        yield Variant(route.ir, "openvino")
    if route.onnx and not route.error:
        yield Variant(route.onnx, "onnxruntime")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares the variants of a network with its source.

    Attributes:
        what: is compared, for the user: "Boxes".
        routes: that made the variants.
        measure: returns how far a variant is from the source.
        tolerances: of float32.
        progress: for the user.
    """

    what: str
    routes: tuple[Route, ...]
    measure: Callable[[Variant], BoxParity | RowParity]
    tolerances: Tolerances
    progress: Progress

    def check(self, route: str, variant: Variant) -> Check:
        """Compare a variant; return a line of the receipt."""
        with self.progress.step(f"{self.what} by {route} on {variant.engine}"):
            parity = self.measure(variant)
        passed = self.tolerances.accepts(parity)
        return Check(route, variant.engine, variant.format, variant.precision, variant.bytes, parity, passed)

    def check_routes(self) -> tuple[Check, ...]:
        """Compare every variant of every route."""
        return tuple(self.check(route.name, variant) for route in self.routes for variant in variants_of(route))

    def simplify(self, checks: Sequence[Check], work: Path) -> tuple[tuple[Variant, ...], tuple[Check, ...]]:
        """Return the float32 variants that a bundle carries, and the check of the simplified ONNX.

        ONNX is simplified if that keeps it within the tolerances.

        Args:
            checks: of the routes.
            work: folder for the simplified file.
        """
        best = self._best()
        variants = tuple(variants_of(best))
        plain = next((variant for variant in variants if variant.format == "onnx"), None)
        if plain is None:
            return variants, ()
        simplified = Variant(work / "simplified.onnx", plain.engine)
        try:
            simplify_onnx(plain.file, simplified.file)
            line = self.check(f"{best.name}, simplified", simplified)
        except Exception as error:  # onnx's and onnxruntime's exceptions share no base class
            self.progress.note(f"ONNX is left as it is: it cannot be simplified: {str(error).splitlines()[0]:.200}")
            return variants, ()
        if line.passed or not all(one.passed for one in checks if one.format == "onnx"):
            return tuple(simplified if variant == plain else variant for variant in variants), (line,)
        self.progress.note(f"ONNX is left as it is: simplified, it differs from the source: {describe(line.parity)}")
        return variants, ()

    def onnx_for_both(self, variants: tuple[Variant, ...]) -> tuple[tuple[Variant, ...], tuple[Check, ...]]:
        """Replace IR by the ONNX, read by OpenVINO, if there is one; return the variants, and its check."""
        plain = next((variant for variant in variants if variant.format == "onnx"), None)
        if plain is None:
            return variants, ()
        read = Variant(plain.file, "openvino")
        return (read, plain), (self.check(f"{self._best().name}, read by OpenVINO", read),)

    def _best(self) -> Route:
        return next(route for route in self.routes if route.ir is not None)


def compare_detector(
    network: Converted[DetectorSpec, PicoDet], images: Sequence[Pixels], tolerances: Tolerances, progress: Progress
) -> tuple[Comparison, list[Detections]]:
    """Compare boxes at the working threshold; return the comparison and the source's detections."""
    spec = network.spec
    threshold = spec.score_threshold
    with progress.step(f"The source's boxes on {len(images)} images"):
        reference = reference_detections(network.model, network.kind, network.part, spec, images, threshold)

    def measure(variant: Variant) -> BoxParity:
        found = detect_all(variant, spec, images, threshold)
        return compare_boxes(zip(reference, found, strict=True), threshold, most_boxes(spec))

    return Comparison("Boxes", network.routes, measure, tolerances, progress), reference


def compare_extractor(
    network: Converted[ExtractorSpec, Extractor], crops: Sequence[Pixels], tolerances: Tolerances, progress: Progress
) -> tuple[Comparison, NDArray[np.float32]]:
    """Compare embeddings; return the comparison and the source's unit rows (N, D)."""
    spec, model = network.spec, network.model
    with progress.step(f"The source's embeddings of {len(crops)} crops"):
        feeds = [network_feed(spec.network, crop) for crop in crops]
        outputs = run_source(model.path, model.weights_path, feeds)
        rows = np.stack([np.ravel(arrays[0]) for arrays in outputs]).astype(np.float32)
        reference = unit_rows(rows, str(model.path))

    def measure(variant: Variant) -> RowParity:
        return compare_rows(reference, embed_all(variant, spec, crops))

    return Comparison("Embeddings", network.routes, measure, tolerances, progress), reference
