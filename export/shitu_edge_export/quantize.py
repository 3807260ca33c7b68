"""Other precisions of a converted network: made, judged against float32, timed, and stored only if the gate holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino._offline_transformations import compress_quantize_weights_transformation

from shitu_edge.bundle import DetectorSpec, ExtractorSpec, Network
from shitu_edge.imaging.preprocess import InputBuilder
from shitu_edge.imaging.resample import Pixels

from . import int8
from .calibration import Calibration, crops_of
from .forms import halve_ir, halve_onnx
from .gate import BoxLoss, Limits, RowLoss, box_loss, row_loss
from .images import Sample, spread
from .measure import Form, detect_all, embed_all, time_forms
from .progress import Progress

_LOW_SCORE = 0.05
"""From here on detections count for average precision."""
_TOP_LAYERS = 12
_WORTH = 1.05

Loss = BoxLoss | RowLoss
Judge = Callable[[Form], Loss]
Feed = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Quantization:
    """A precision of a network on one engine: what it loses, what it gains, and why it is refused, if it is.

    Attributes:
        loss: against float32 on images that neither calibrated it nor steered the search.
        reasons: what exceeds the limits; none: accepted.
        ms, float_ms: one inference, in turns, on this machine.
        layers, kept_float: how many layers there are, and which stayed in float32.
        sensitivity: the layers that harm most when they alone are quantized: relative squared error of the outputs.
    """

    precision: str
    engine: str
    format: str
    bytes: int
    loss: Loss
    reasons: tuple[str, ...]
    ms: float
    float_ms: float
    layers: int = 0
    kept_float: tuple[str, ...] = ()
    sensitivity: tuple[tuple[str, float], ...] = ()

    @property
    def accepted(self) -> bool:
        """Say whether the gate holds."""
        return not self.reasons

    @property
    def pays(self) -> bool:
        """Say whether it is accepted and faster than float32."""
        return self.accepted and self.float_ms > _WORTH * self.ms

    def lines(self) -> Iterator[str]:
        """Yield what people read of it."""
        kept = f", {len(self.kept_float)} of {self.layers} layers in float32" if self.layers else ""
        speed = f"{self.ms:.1f} ms instead of {self.float_ms:.1f} ({self.float_ms / self.ms:.2f} x)"
        yield f"{self.precision} on {self.engine}: {self.loss}; {speed}, {self.bytes / 1e6:.1f} MB{kept}"
        if self.reasons:
            yield f"REFUSED: {self.precision} on {self.engine} {'; '.join(self.reasons)}."
            if self.sensitivity:
                worst = ", ".join(f"{name} {harm:.2g}" for name, harm in self.sensitivity)
                yield f"Layers that harm most when they alone are quantized (relative squared error): {worst}."


def halve_detector(
    spec: DetectorSpec, forms: Sequence[Form], work: Path, images: Sequence[Pixels], progress: Progress
) -> list[tuple[Form, Quantization]]:
    """Store a detector's weights in half precision and judge each form on the images."""
    samples = [Sample("", pixels) for pixels in images]
    made = [_halve(form, work) for form in forms]
    return _judge(made, forms, spec.network, box_judge(spec, samples, forms[0]), progress)


def halve_extractor(
    spec: ExtractorSpec, forms: Sequence[Form], work: Path, crops: Sequence[Pixels], progress: Progress
) -> list[tuple[Form, Quantization]]:
    """Store an extractor's weights in half precision and judge each form on the crops."""
    made = [_halve(form, work) for form in forms]
    return _judge(made, forms, spec.network, row_judge(spec, crops, None, forms[0]), progress)


def quantize_detector(
    spec: DetectorSpec, forms: Sequence[Form], work: Path, calibration: Calibration, progress: Progress
) -> list[tuple[Form, Quantization]]:
    """Make INT8 forms of a detector, steered by its own boxes, and judge them on images kept for that.

    Args:
        spec: of the detector.
        forms: its float32 forms, one of them IR.
        work: folder for the files.
        calibration: the user's images.
        progress: for the user.
    """
    search = box_judge(spec, calibration.search, forms[0])
    judge = box_judge(spec, calibration.judge, forms[0])
    feeds = [network_feed(spec.network, sample.pixels_rgb) for sample in calibration.ranges]
    return _quantize(spec.network, forms, work, feeds, search, judge, progress)


def quantize_extractor(
    spec: ExtractorSpec,
    forms: Sequence[Form],
    work: Path,
    detector: tuple[Form, DetectorSpec],
    calibration: Calibration,
    progress: Progress,
) -> list[tuple[Form, Quantization]]:
    """Make INT8 forms of an extractor, from crops that the detector finds, and judge them; see `quantize_detector`."""

    def crops(samples: Sequence[Sample]) -> list[Pixels]:
        form, detector_spec = detector
        images = [sample.pixels_rgb for sample in samples]
        return crops_of(samples, detect_all(form, detector_spec, images, detector_spec.score_threshold))

    if calibration.products:  # every other one to search with, the rest to judge by
        products, labels = calibration.products, calibration.labels
        search = row_judge(spec, products[0::2], labels[0::2], forms[0])
        judge = row_judge(spec, products[1::2], labels[1::2], forms[0])
    else:
        search = row_judge(spec, crops(calibration.search), None, forms[0])
        judge = row_judge(spec, crops(calibration.judge), None, forms[0])
    ranges = spread(crops(calibration.ranges), len(calibration.ranges))
    feeds = [network_feed(spec.network, crop) for crop in ranges]
    return _quantize(spec.network, forms, work, feeds, search, judge, progress)


def _quantize(
    network: Network,
    forms: Sequence[Form],
    work: Path,
    feeds: Sequence[Feed],
    search: Judge,
    judge: Judge,
    progress: Progress,
) -> list[tuple[Form, Quantization]]:
    ir = next((form for form in forms if form.format == "openvino"), None)
    if ir is None:
        progress.note("no INT8: there is no OpenVINO IR to make it from")
        return []
    model = ov.Core().read_model(str(ir.file))
    model.reshape({network.input.name: list(network.input.shape())})
    trial = Form(work / "trial.xml", "openvino", "int8")

    def holds(candidate: ov.Model, kept_float: int) -> bool:
        ov.save_model(candidate, trial.file, compress_to_fp16=False)
        loss = search(trial)
        safe = loss.is_safe(Limits())
        progress.note(f"  {kept_float} layers in float32: {loss}: {'enough' if safe else 'not enough'}")
        return safe

    with progress.step(f"INT8 from {len(feeds)} images: ranges"):
        plan = int8.make_plan(model, feeds)
    with progress.step(f"INT8: the harm of each of {len(plan.layers)} layers"):
        harm = int8.measure_sensitivity(model, plan, feeds)
    with progress.step("INT8: as few layers in float32 as the gate needs"):
        found = int8.search(model, plan, harm, holds)
    kept = Form(work / "int8.xml", "openvino", "int8")
    compress_quantize_weights_transformation(found.model)  # stores integers where it rounds: a quarter of the size
    ov.save_model(found.model, kept.file, compress_to_fp16=False)
    ranking = sorted(harm.items(), key=lambda entry: -entry[1])[:_TOP_LAYERS]
    facts = {"layers": len(plan.layers), "kept_float": tuple(found.kept_float), "sensitivity": tuple(ranking)}
    return _judge([kept], forms, network, judge, progress, **facts)


def _judge(
    made: Sequence[Form],
    forms: Sequence[Form],
    network: Network,
    judge: Judge,
    progress: Progress,
    **facts: Any,
) -> list[tuple[Form, Quantization]]:
    """Judge forms and time each beside the float32 form of its engine."""
    answers = []
    for form in made:
        plain = next(other for other in forms if other.engine == form.engine)
        with progress.step(f"{form.precision} on {form.engine}: losses and times"):
            loss = judge(form)
            times = time_forms([plain, form], network)
        figures = Quantization(
            form.precision,
            form.engine,
            form.format,
            form.bytes,
            loss,
            loss.reasons(Limits()),
            times[form],
            times[plain],
            **facts,
        )
        answers.append((form, figures))
    return answers


def box_judge(spec: DetectorSpec, samples: Sequence[Sample], plain: Form) -> Judge:
    """Return what measures a detector's form against its float32 form `plain` on some images."""
    images = [sample.pixels_rgb for sample in samples]
    reference = detect_all(plain, spec, images, _LOW_SCORE)

    def judge(form: Form) -> Loss:
        found = detect_all(form, spec, images, _LOW_SCORE)
        return box_loss(samples, reference, found, spec.score_threshold, Limits())

    return judge


def row_judge(spec: ExtractorSpec, crops: Sequence[Pixels], labels: Sequence[str] | None, plain: Form) -> Judge:
    """Return what measures an extractor's form against its float32 form `plain` on crops, of products if labeled."""
    reference = embed_all(plain, spec, crops)
    return lambda form: row_loss(reference, embed_all(form, spec, crops), labels)


def _halve(form: Form, work: Path) -> Form:
    target = work / f"half{form.file.suffix}"
    (halve_ir if form.format == "openvino" else halve_onnx)(form.file, target)
    return Form(target, form.engine, "fp16")


def network_feed(network: Network, pixels_rgb: Pixels) -> Feed:
    """Return a network's input for an image (H, W, 3) uint8 RGB."""
    tensor = np.empty(network.input.shape(), np.float32)
    InputBuilder(network.input).fill(tensor[0], pixels_rgb)
    return {network.input.name: tensor}
