"""The setup that is fastest here, as a profile for `Recognizer.open`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..bundle.networks import open_bundle
from ..bundle.profile import SCHEMA_VERSION, Profile
from ..engines import ENGINES, EngineName
from ..errors import EngineError
from ..schema import build
from ..system.cpu import read_cpu
from .run import Report, Setup
from .sweep import precision_pairs
from .trial import Outcome, Trial, measure_trials


@dataclass(frozen=True, slots=True)
class Tuned:
    """The profile, and all that was tried, the fastest first and what could not run last."""

    profile: Profile
    outcomes: tuple[Outcome, ...]


def tune(setup: Setup, images: Sequence[bytes], *, count: int = 40, report: Report) -> Tuned:
    """Try every engine with every pair of precisions that the bundle has, and then fewer threads.

    A bundle has only precisions that passed the export stage's gate of accuracy. The fastest is the one with the least
    95th percentile. Half the threads are tried with the best alone: where cores share a cache or a memory bus, or other
    work runs on the machine, they may be enough.

    Args:
        setup: bundle, gallery and objects; engine, precision and threads are what is looked for.
        images: encoded.
        count: images of each trial.
        report: called while it goes on.

    Raises:
        EngineError: no engine can run the bundle here.
        ShituError: as of `run.run`.
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
