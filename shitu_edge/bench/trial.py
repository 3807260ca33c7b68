"""Measuring several setups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import BundleError, EngineError
from ..ranges import require_whole
from ..system.progress import StepProgress
from .measure import one_by_one
from .run import Setup, opened, recognizing
from .statistics import Summary, summarize


@dataclass(frozen=True, slots=True)
class Trial:
    """A setup to measure: its name, the setup, encoded images."""

    what: str
    setup: Setup
    images: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Milliseconds per image, and medians by stage; None if it cannot run: `refused` says why."""

    what: str
    setup: Setup
    ms: Summary | None = None
    stages_ms: Mapping[str, float] | None = None
    refused: str | None = None


def measure_trials(trials: Sequence[Trial], *, count: int, report: StepProgress) -> list[Outcome]:
    """Measure each in two rounds, the second in reverse order, so that a machine that slows down affects all alike.

    Args:
        trials: the setups.
        count: images per setup, over both rounds.
        report: progress callback.

    Raises:
        ShituError: as in `Recognizer.recognize` and `Gallery.open`.
        OptionError: the count is less than 1.
    """
    require_whole("count", count, 1)
    totals: list[list[float]] = [[] for _ in trials]
    stages: list[dict[str, list[float]]] = [{} for _ in trials]
    refused: dict[int, str] = {}
    turns = [*range(len(trials)), *reversed(range(len(trials)))]
    for done, number in enumerate(turns):
        report("setups", done, len(turns))
        if number in refused:
            continue
        trial = trials[number]
        try:
            with opened(trial.setup, report) as recognizer:
                task = recognizing(recognizer, trial.images, trial.setup.objects)
                recording = one_by_one(task, count=-(-count // 2), warm_up=3)
        except (EngineError, BundleError) as error:
            refused[number] = str(error)
            continue
        totals[number] += recording.total_ms
        for name, values in recording.stages.items():
            stages[number].setdefault(name, []).extend(values)
    report("setups", len(turns), len(turns))
    return [
        Outcome(trial.what, trial.setup, refused=refused[number])
        if number in refused
        else Outcome(
            trial.what,
            trial.setup,
            summarize(totals[number]),
            {name: summarize(values).p50.value for name, values in stages[number].items()},
        )
        for number, trial in enumerate(trials)
    ]
