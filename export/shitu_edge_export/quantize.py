"""Other precisions of a converted network: made, judged against float32, timed, and stored only if the gate holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openvino as ov
from openvino._offline_transformations import compress_quantize_weights_transformation

from shitu_edge.bundle import DetectorSpec, ExtractorSpec, Network
from shitu_edge.imaging.geometry import Pixels

from . import int8
from .calibration import Calibration, crops_of
from .gate import BoxLoss, Limits, RowLoss, box_loss, row_loss
from .images import Sample, spread
from .measure import Feed, Variant, detect_all, embed_all, network_feed, time_variants
from .progress import Progress
from .variants import halve_ir, halve_onnx

_LOW_SCORE = 0.05
"""From here on detections count for average precision."""
_TOP_LAYERS = 12
_WORTH = 1.05

Loss = BoxLoss | RowLoss
Judge = Callable[[Variant], Loss]


@dataclass(frozen=True, slots=True)
class Quantization:
    """A precision of a network on one engine: what it loses, what it gains, and why it is refused, if it is.

    Attributes:
        loss: against float32 on images that neither calibrated it nor steered the search.
        reasons: what exceeds the limits; none: accepted.
        ms, float_ms: one inference, in turns, on this machine.
        layers, kept_float: how many layers there are, and which stayed in float32.
        sensitivity: the most sensitive layers, with the relative squared error of each alone in INT8.
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
                worst = ", ".join(f"{name} {error:.2g}" for name, error in self.sensitivity)
                yield f"Most sensitive layers (relative squared error with that layer alone in INT8): {worst}."


def halve(
    network: Network, halved: Sequence[Variant], work: Path, judge: Judge, progress: Progress
) -> list[tuple[Variant, Quantization]]:
    """Store the weights of float32 variants in half precision and judge each."""
    return _judge([_halve(variant, work) for variant in halved], halved, network, judge, progress)


@dataclass(frozen=True, slots=True)
class Trial:
    """Inputs to choose INT8 ranges by, and two judges on images that share none."""

    feeds: Sequence[Feed]
    search: Judge
    judge: Judge


def detector_trial(spec: DetectorSpec, calibration: Calibration, plain: Variant) -> Trial:
    """Return a trial of a detector by the boxes that its float32 variant `plain` finds on the user's images."""
    search, judge = (box_judge(spec, samples, plain) for samples in (calibration.search, calibration.judge))
    return Trial([network_feed(spec.network, sample.pixels_rgb) for sample in calibration.ranges], search, judge)


def extractor_trial(
    spec: ExtractorSpec, detector: tuple[Variant, DetectorSpec], calibration: Calibration, plain: Variant
) -> Trial:
    """Return a trial of an extractor by crops that the detector finds, and by products if the user gave some."""

    def crops(samples: Sequence[Sample]) -> list[Pixels]:
        variant, detector_spec = detector
        images = [sample.pixels_rgb for sample in samples]
        return crops_of(samples, detect_all(variant, detector_spec, images, detector_spec.score_threshold))

    if calibration.products:  # every other one to search with, the rest to judge by
        products, labels = calibration.products, calibration.labels
        search, judge = (row_judge(spec, products[n::2], labels[n::2], plain) for n in (0, 1))
    else:
        search, judge = (row_judge(spec, crops(part), None, plain) for part in (calibration.search, calibration.judge))
    ranges = spread(crops(calibration.ranges), len(calibration.ranges))
    return Trial([network_feed(spec.network, crop) for crop in ranges], search, judge)


def quantize(
    network: Network, variants: Sequence[Variant], work: Path, trial: Trial, progress: Progress
) -> list[tuple[Variant, Quantization]]:
    """Make INT8 variants, steered by the trial's search, and judge them.

    Args:
        network: described.
        variants: its float32 variants, one of them IR.
        work: folder for the files.
        trial: see `Trial`.
        progress: for the user.
    """
    ir = next((variant for variant in variants if variant.format == "openvino"), None)
    if ir is None:
        progress.note("no INT8: there is no OpenVINO IR to make it from")
        return []
    model = ov.Core().read_model(str(ir.file))
    model.reshape({network.input.name: list(network.input.shape())})
    attempt = Variant(work / "trial.xml", "openvino", "int8")

    def holds(candidate: ov.Model, kept_float: int) -> bool:
        ov.save_model(candidate, attempt.file, compress_to_fp16=False)
        loss = trial.search(attempt)
        safe = loss.is_safe(Limits())
        progress.note(f"  {kept_float} layers in float32: {loss}: {'enough' if safe else 'not enough'}")
        return safe

    with progress.step(f"INT8 from {len(trial.feeds)} images: ranges"):
        plan = int8.make_plan(model, trial.feeds)
    with progress.step(f"INT8: the sensitivity of each of {len(plan.layers)} layers"):
        sensitivity = int8.measure_sensitivity(model, plan, trial.feeds)
    with progress.step("INT8: as few layers in float32 as the gate needs"):
        found = int8.search(model, plan, sensitivity, holds)
    kept = Variant(work / "int8.xml", "openvino", "int8")
    compress_quantize_weights_transformation(found.model)  # stores integers where it rounds: a quarter of the size
    ov.save_model(found.model, kept.file, compress_to_fp16=False)
    ranking = sorted(sensitivity.items(), key=lambda entry: -entry[1])[:_TOP_LAYERS]
    facts = {"layers": len(plan.layers), "kept_float": tuple(found.kept_float), "sensitivity": tuple(ranking)}
    return _judge([kept], variants, network, trial.judge, progress, **facts)


def _judge(
    made: Sequence[Variant],
    variants: Sequence[Variant],
    network: Network,
    judge: Judge,
    progress: Progress,
    **facts: Any,
) -> list[tuple[Variant, Quantization]]:
    """Judge variants and time each beside the float32 variant of its engine."""
    answers = []
    for variant in made:
        plain = next(other for other in variants if other.engine == variant.engine)
        with progress.step(f"{variant.precision} on {variant.engine}: losses and times"):
            loss = judge(variant)
            times = time_variants([plain, variant], network)
        facts |= {"loss": loss, "reasons": loss.reasons(Limits()), "ms": times[variant], "float_ms": times[plain]}
        answers.append(
            (variant, Quantization(variant.precision, variant.engine, variant.format, variant.bytes, **facts))
        )
    return answers


def box_judge(spec: DetectorSpec, samples: Sequence[Sample], plain: Variant) -> Judge:
    """Return what measures a detector's variant against its float32 variant `plain` on some images."""
    images = [sample.pixels_rgb for sample in samples]
    reference = detect_all(plain, spec, images, _LOW_SCORE)

    def judge(variant: Variant) -> Loss:
        found = detect_all(variant, spec, images, _LOW_SCORE)
        return box_loss(samples, reference, found, spec.score_threshold, Limits())

    return judge


def row_judge(spec: ExtractorSpec, crops: Sequence[Pixels], labels: Sequence[str] | None, plain: Variant) -> Judge:
    """Return what measures an extractor's variant against its float32 variant `plain`, by products if labeled."""
    reference = embed_all(plain, spec, crops)
    return lambda variant: row_loss(reference, embed_all(variant, spec, crops), labels)


def _halve(variant: Variant, work: Path) -> Variant:
    target = work / f"half{variant.file.suffix}"
    (halve_ir if variant.format == "openvino" else halve_onnx)(variant.file, target)
    return Variant(target, variant.engine, "fp16")
