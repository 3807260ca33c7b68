"""Sweep: one parameter of the setup varied at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from ..bundle.networks import open_bundle
from ..engines import ENGINES
from ..system.cpu import read_cpu
from ..system.progress import StepProgress
from .images import resized
from .run import Setup
from .trial import Outcome, Trial, measure_trials

OBJECTS = (1, 2, 5, 10, 20)
SIZES = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
SMALLEST_GALLERY = 1000


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter, and an outcome per value."""

    name: str
    outcomes: tuple[Outcome, ...]


def sweep(setup: Setup, images: Sequence[bytes], *, count: int = 40, report: StepProgress) -> list[Axis]:
    """Vary objects, sizes of images, sizes of the synthetic gallery, threads, precisions and engines.

    Args:
        setup: the setup to vary.
        images: encoded.
        count: images per variation.
        report: progress callback.

    Raises:
        ShituError: as in `run.run`.
    """
    named = list(_variations(setup, images))
    outcomes = measure_trials([trial for _, trial in named], count=count, report=report)
    pairs = zip((name for name, _ in named), outcomes, strict=True)
    return [
        Axis(name, tuple(outcome for _, outcome in group)) for name, group in groupby(pairs, key=lambda pair: pair[0])
    ]


def precision_pairs(setup: Setup) -> list[tuple[str, str]]:
    """Return all pairs of a detector precision and an extractor precision in the setup's bundle."""
    manifest = open_bundle(setup.bundle).manifest
    return [
        (of_one, of_other)
        for of_one in manifest.detector.network.files
        for of_other in manifest.extractor.network.files
    ]


def _variations(setup: Setup, images: Sequence[bytes]) -> Iterator[tuple[str, Trial]]:
    for objects in OBJECTS:
        yield "objects", Trial(str(objects), replace(setup, objects=objects), images)
    for width, height in SIZES:
        yield "image", Trial(f"{width} × {height}", setup, resized(images, (width, height)))
    if setup.gallery is None:
        size = SMALLEST_GALLERY
        while size <= setup.gallery_size:
            yield "gallery", Trial(str(size), replace(setup, gallery_size=size), images)
            size *= 10
    threads = 1
    while threads <= read_cpu().physical_cores:
        yield "threads", Trial(str(threads), replace(setup, threads=threads), images)
        threads *= 2
    for pair in precision_pairs(setup):
        yield "precision", Trial(" + ".join(pair), replace(setup, precision=pair), images)
    for engine in ENGINES:
        yield "engine", Trial(engine, replace(setup, engine=engine), images)
