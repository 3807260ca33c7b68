"""The fastest setup on this machine, as a profile for `Recognizer.open`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..bundle.networks import open_bundle
from ..bundle.profile import SCHEMA_VERSION, Profile
from ..engines import ENGINES, EngineName
from ..errors import EngineError
from ..schema import build
from ..system.cpu import read_cpu
from ..system.progress import StepProgress
from .run import Setup
from .sweep import precision_pairs
from .trial import Outcome, Trial, measure_trials


@dataclass(frozen=True, slots=True)
class Tuned:
    """The profile, and all outcomes, the fastest first."""

    profile: Profile
    outcomes: tuple[Outcome, ...]


def tune(setup: Setup, images: Sequence[bytes], *, count: int = 40, report: StepProgress) -> Tuned:
    """Measure every engine with every pair of precisions of the bundle, then half the threads with the best.

    The best has the least 95th percentile. All precisions of a bundle passed the export stage's accuracy gate. Half the
    threads may be enough if cores share a cache or memory bus, or other work runs on the machine.

    Args:
        setup: bundle, gallery and objects; its engine, precision and threads are ignored.
        images: encoded.
        count: images per trial.
        report: progress callback.

    Raises:
        EngineError: no engine can run the bundle here.
        ShituError: as in `run.run`.
    """
    cpu = read_cpu()
    everything = [(engine, pair) for engine in ENGINES for pair in precision_pairs(setup)]
    trials = [_trial(setup, images, engine, pair, cpu.threads) for engine, pair in everything]
    tried = measure_trials(trials, count=count, report=report)
    if all(outcome.ms is None for outcome in tried):
        raise EngineError("; ".join(dict.fromkeys(outcome.refused or "" for outcome in tried)))
    best = min(tried, key=_p95)
    if cpu.threads > 1:
        engine, pair = everything[tried.index(best)]
        both = [_trial(setup, images, engine, pair, threads) for threads in (cpu.threads, cpu.threads // 2)]
        tried = [outcome for outcome in tried if outcome is not best]
        tried += measure_trials(both, count=count, report=report)
    tried.sort(key=_p95)
    return Tuned(_profile(setup, tried[0], cpu.model), tuple(tried))


def _trial(
    setup: Setup, images: Sequence[bytes], engine: EngineName, precision: tuple[str, str], threads: int
) -> Trial:
    of_detector, of_extractor = precision
    what = f"{engine}, detector {of_detector}, extractor {of_extractor}, {threads} threads"
    return Trial(what, replace(setup, engine=engine, precision=precision, threads=threads), images)


def _profile(setup: Setup, best: Outcome, cpu: str) -> Profile:
    bundle = open_bundle(setup.bundle)
    found = {
        "schema_version": SCHEMA_VERSION,
        "bundle": bundle.manifest.name,
        "bundle_digest": bundle.digest,
        "cpu": cpu,
        "engine": best.setup.engine,
        **dict(zip(("detector_precision", "extractor_precision"), best.setup.precision or (), strict=True)),
        "threads": best.setup.threads,
    }
    assert best.ms is not None
    return build(Profile, {**found, "p50_ms": best.ms.p50.value, "p95_ms": best.ms.p95.value})


def _p95(outcome: Outcome) -> float:
    return outcome.ms.p95.value if outcome.ms else float("inf")
