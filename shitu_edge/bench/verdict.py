"""The verdict on a latency budget: met or not, the slowest stage, and remedies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..ranges import require_number
from ..system.progress import StepProgress
from .run import STAGES, Result, Setup
from .statistics import Summary
from .sweep import precision_pairs
from .trial import Trial, measure_trials


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change of the setup, and its milliseconds."""

    what: str
    ms: Summary
    enough: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a budget.

    Attributes:
        budget_ms: limit of the 95th percentile.
        met: whether the 95th percentile is within it.
        sure: whether its whole confidence interval is on the same side.
        blame: the slowest stage; None if the budget is met.
        remedies: changes that were tried, the fastest first.
    """

    budget_ms: float
    met: bool
    sure: bool
    blame: str | None
    remedies: tuple[Remedy, ...] = ()


def judge(result: Result, budget_ms: float) -> Verdict:
    """Compare the 95th percentile of the total with a budget.

    Raises:
        OptionError: the budget is not a number of at least 0.
    """
    require_number("budget_ms", budget_ms, 0)
    summaries = result.summaries()
    p95 = summaries["total"].p95
    met = p95.value <= budget_ms
    end = p95.high if met else p95.low
    sure = end is not None and (end <= budget_ms) == met
    slowest = max(STAGES, key=lambda name: summaries[name].p50.value)
    return Verdict(budget_ms, met, sure, None if met else slowest)


def try_remedies(
    result: Result, verdict: Verdict, images: Sequence[bytes], *, count: int = 40, report: StepProgress
) -> Verdict:
    """Measure possible remedies, one change at a time, and add them to a verdict."""
    trials = [Trial(what, setup, images) for what, setup in _changes(result)]
    remedies = [
        Remedy(outcome.what, outcome.ms, outcome.ms.p95.value <= verdict.budget_ms)
        for outcome in measure_trials(trials, count=count, report=report)
        if outcome.ms
    ]
    return replace(verdict, remedies=tuple(sorted(remedies, key=lambda remedy: remedy.ms.p95.value)))


def _changes(result: Result) -> Iterator[tuple[str, Setup]]:
    """Yield changes, each with its setup."""
    setup, cpu = result.setup, result.environment.cpu
    used = result.made_by["detector"], result.made_by["extractor"]
    if used[0]["threads"] < cpu.threads:
        yield f"{cpu.threads} threads (--threads {cpu.threads})", replace(setup, threads=cpu.threads)
    for pair in precision_pairs(setup):
        if "int8" in pair and pair != (used[0]["precision"], used[1]["precision"]):
            yield f"{' + '.join(pair)} (shitu-edge tune)", replace(setup, precision=pair)
    if "openvino" not in used[0]["engine"]:
        yield "OpenVINO instead of onnxruntime (pip install openvino)", replace(setup, engine="openvino")
    objects = setup.objects
    while objects > 1:
        objects = max(1, objects // 2)
        yield (
            f"boxes per image: {objects} instead of {setup.objects} (--objects {objects})",
            replace(setup, objects=objects),
        )
