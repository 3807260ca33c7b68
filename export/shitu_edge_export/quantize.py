"""Other precisions of a converted network: made, judged against float32, timed, and stored only if the gate holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openvino as ov
from openvino._offline_transformations import compress_quantize_weights_transformation

from shitu_edge.bundle import DetectorSpec, ExtractorSpec, Network
from shitu_edge.imaging.resample import Pixels

from . import int8
from .calibration import Calibration, crops_of
from .forms import halve_ir, halve_onnx
from .gate import BoxLoss, Limits, RowLoss, box_loss, row_loss
from .images import Sample, spread
from .measure import Feed, Form, detect_all, embed_all, network_feed, time_forms
from .progress import Progress

_LOW_SCORE = 0.05
"""From here on detections count for average precision."""
_TOP_LAYERS = 12
_WORTH = 1.05

Loss = BoxLoss | RowLoss
Judge = Callable[[Form], Loss]


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


def halve(
    network: Network, halved: Sequence[Form], work: Path, judge: Judge, progress: Progress
) -> list[tuple[Form, Quantization]]:
    """Store the weights of float32 forms in half precision and judge each."""
    return _judge([_halve(form, work) for form in halved], halved, network, judge, progress)


@dataclass(frozen=True, slots=True)
class Trial:
    """What INT8 is made and judged by: inputs to choose ranges, and two judges on images that share none."""

    feeds: Sequence[Feed]
    search: Judge
    judge: Judge


def detector_trial(spec: DetectorSpec, calibration: Calibration, plain: Form) -> Trial:
    """Return a trial of a detector by the boxes that its float32 form `plain` finds on the user's images."""
    search, judge = (box_judge(spec, samples, plain) for samples in (calibration.search, calibration.judge))
    return Trial([network_feed(spec.network, sample.pixels_rgb) for sample in calibration.ranges], search, judge)


def extractor_trial(
    spec: ExtractorSpec, detector: tuple[Form, DetectorSpec], calibration: Calibration, plain: Form
) -> Trial:
    """Return a trial of an extractor by crops that the detector finds, and by products if the user gave some."""

    def crops(samples: Sequence[Sample]) -> list[Pixels]:
        form, detector_spec = detector
        images = [sample.pixels_rgb for sample in samples]
        return crops_of(samples, detect_all(form, detector_spec, images, detector_spec.score_threshold))

    if calibration.products:  # every other one to search with, the rest to judge by
        products, labels = calibration.products, calibration.labels
        search, judge = (row_judge(spec, products[n::2], labels[n::2], plain) for n in (0, 1))
    else:
        search, judge = (row_judge(spec, crops(part), None, plain) for part in (calibration.search, calibration.judge))
    ranges = spread(crops(calibration.ranges), len(calibration.ranges))
    return Trial([network_feed(spec.network, crop) for crop in ranges], search, judge)


def quantize(
    network: Network, forms: Sequence[Form], work: Path, trial: Trial, progress: Progress
) -> list[tuple[Form, Quantization]]:
    """Make INT8 forms, steered by the trial's search, and judge them.

    Args:
        network: described.
        forms: its float32 forms, one of them IR.
        work: folder for the files.
        trial: see `Trial`.
        progress: for the user.
    """
    ir = next((form for form in forms if form.format == "openvino"), None)
    if ir is None:
        progress.note("no INT8: there is no OpenVINO IR to make it from")
        return []
    model = ov.Core().read_model(str(ir.file))
    model.reshape({network.input.name: list(network.input.shape())})
    attempt = Form(work / "trial.xml", "openvino", "int8")

    def holds(candidate: ov.Model, kept_float: int) -> bool:
        ov.save_model(candidate, attempt.file, compress_to_fp16=False)
        loss = trial.search(attempt)
        safe = loss.is_safe(Limits())
        progress.note(f"  {kept_float} layers in float32: {loss}: {'enough' if safe else 'not enough'}")
        return safe

    with progress.step(f"INT8 from {len(trial.feeds)} images: ranges"):
        plan = int8.make_plan(model, trial.feeds)
    with progress.step(f"INT8: the harm of each of {len(plan.layers)} layers"):
        harm = int8.measure_sensitivity(model, plan, trial.feeds)
    with progress.step("INT8: as few layers in float32 as the gate needs"):
        found = int8.search(model, plan, harm, holds)
    kept = Form(work / "int8.xml", "openvino", "int8")
    compress_quantize_weights_transformation(found.model)  # stores integers where it rounds: a quarter of the size
    ov.save_model(found.model, kept.file, compress_to_fp16=False)
    ranking = sorted(harm.items(), key=lambda entry: -entry[1])[:_TOP_LAYERS]
    facts = {"layers": len(plan.layers), "kept_float": tuple(found.kept_float), "sensitivity": tuple(ranking)}
    return _judge([kept], forms, network, trial.judge, progress, **facts)


def _judge(
    made: Sequence[Form], forms: Sequence[Form], network: Network, judge: Judge, progress: Progress, **facts: Any
) -> list[tuple[Form, Quantization]]:
    """Judge forms and time each beside the float32 form of its engine."""
    answers = []
    for form in made:
        plain = next(other for other in forms if other.engine == form.engine)
        with progress.step(f"{form.precision} on {form.engine}: losses and times"):
            loss = judge(form)
            times = time_forms([plain, form], network)
        facts |= {"loss": loss, "reasons": loss.reasons(Limits()), "ms": times[form], "float_ms": times[plain]}
        answers.append((form, Quantization(form.precision, form.engine, form.format, form.bytes, **facts)))
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
