"""The benchmark: open, warm up, measure, collect."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle.networks import open_bundle
from ..bundle.profile import Profile
from ..engines import EngineName
from ..gallery import Gallery
from ..gallery.index.exact import search_in_parts
from ..ranges import require_number, require_threads, require_whole
from ..recognizer import Recognizer
from ..results import Match, Recognition
from ..system.cpu import read_cpu
from ..system.progress import StepProgress
from .cold import ColdStart, cold_start
from .environment import Environment, Memory, read_environment, read_memory
from .galleries import Rows, further_images, prepared_gallery
from .measure import Recording, as_many_as_possible, at_a_rate, idle_cpu, one_by_one
from .statistics import Summary, summarize

SCHEMA_VERSION = 3
STAGES = ("decode", "detect", "extract", "search", "verify", "decide")
_QUERIES, _NEAREST, _PART = 200, 10, 20_000
_IDLE_S = 2.0
_LOAD = 0.7
"""The fixed rate, as a share of the highest throughput."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What to measure.

    Attributes:
        bundle: folder or known name; None: the built-in one.
        gallery: a gallery file; None: a synthetic one of `gallery_size` items.
        objects: boxes recognized per image, in addition to the whole image.
        engine, precision, threads: as in `Recognizer.open`.
        count: images measured.
        seconds: per measurement of throughput.
        seed: of the synthetic gallery.
        keep: folder for synthetic galleries.
    """

    keep: Path
    bundle: str | None = None
    gallery: Path | None = None
    gallery_size: int = 100_000
    objects: int = 5
    engine: EngineName = "auto"
    precision: str | tuple[str, str] | None = None
    threads: int | None = None
    count: int = 200
    seconds: float = 5.0
    seed: int = 1

    def __post_init__(self) -> None:
        """Check the ranges; raises `OptionError`."""
        for name in ("gallery_size", "objects", "count"):
            require_whole(name, getattr(self, name), 1)
        require_threads(self.threads)
        require_number("seconds", self.seconds, 0.1)
        require_whole("seed", self.seed, 0)

    @property
    def inference(self) -> dict[str, Any]:
        """Arguments about engines for `Recognizer.open`."""
        return {"engine": self.engine, "precision": self.precision, "threads": self.threads}

    def profiled(self, profile: Profile) -> Setup:
        """Return the setup completed by a profile's engine, precisions and threads.

        Raises:
            OptionError: the profile was measured with another bundle.
        """
        profile.require(open_bundle(self.bundle))
        engine, precision, threads = profile.complete(self.engine, self.precision, self.threads)
        return replace(self, engine=engine, precision=precision, threads=threads)


@dataclass(frozen=True, slots=True)
class Search:
    """The gallery's search alone: method, milliseconds per query, and recall against exact search."""

    how: str
    ms: Summary
    recall_at_1: float
    recall_at_10: float
    queries: int


@dataclass(frozen=True, slots=True)
class Result:
    """Measurements and their conditions.

    Attributes:
        boxes: boxes recognized per image, including the whole image.
        made_by: engines, precisions and threads of both networks, and digests.
        latency: one image after the other.
        per_second: highest throughput, in images per second.
        callers: number of callers with which it was reached.
        at_rate: rate in images per second, and milliseconds since each image was due.
        cold: fresh processes with and without cached models; empty if left out.
        search: None for an empty gallery.
        memory, idle_cpu: of this process, after the measurement.
    """

    setup: Setup
    environment: Environment
    images: int
    sizes: tuple[tuple[int, int], ...]
    bundle_folder: Path
    gallery_items: int
    boxes: tuple[int, ...]
    made_by: Mapping[str, Any]
    latency: Recording
    per_second: float
    callers: int
    at_rate: tuple[float, tuple[float, ...]]
    memory: Memory
    idle_cpu: float
    search: Search | None
    cold: Mapping[str, ColdStart] = field(default_factory=dict)

    def summaries(self) -> dict[str, Summary]:
        """Summarize the stages, in their order, and `total`."""
        found = {name: summarize(self.latency.stages[name]) for name in STAGES}
        return found | {"total": summarize(self.latency.total_ms)}

    def as_dict(self) -> dict[str, Any]:
        """Return everything, including raw samples, for `json.dumps` with `default=str`."""
        summaries = {name: asdict(summary) for name, summary in self.summaries().items()}
        return {"schema_version": SCHEMA_VERSION, **asdict(self), "summaries_ms": summaries}


def run(setup: Setup, images: Sequence[bytes], *, cold: bool = True, report: StepProgress) -> Result:
    """Measure.

    Args:
        setup: what to measure.
        images: encoded; used in turn.
        cold: also start fresh processes.
        report: progress callback.

    Raises:
        ShituError: as in `Recognizer.open` and `Recognizer.recognize`.
    """
    environment = read_environment()
    with opened(setup, report) as recognizer:
        seen: deque[Recognition] = deque(maxlen=setup.count)
        recognize = recognizing(recognizer, images, setup.objects, seen)
        latency = one_by_one(
            recognize, count=setup.count, progress=lambda done, total: report("one by one", done, total)
        )
        boxes = tuple(map(_looked_at, seen))
        sizes = sorted({(answer.width, answer.height) for answer in seen})
        memory, idle = read_memory(), idle_cpu(_IDLE_S)
        callers, per_second = _throughput(recognize, recognizer.threads, setup.seconds, report)
        rate = _LOAD * per_second
        report("at a fixed rate", 0, 1)
        due = at_a_rate(recognize, per_second=rate, seconds=setup.seconds, callers=callers)
        report("at a fixed rate", 1, 1)
        gallery = recognizer.gallery
        return Result(
            setup=setup,
            environment=environment,
            images=len(images),
            sizes=tuple(sizes),
            bundle_folder=recognizer.bundle.folder,
            gallery_items=len(gallery),
            boxes=boxes,
            made_by=asdict(seen[-1].made_by),
            latency=latency,
            per_second=per_second,
            callers=callers,
            at_rate=(rate, due),
            memory=memory,
            idle_cpu=idle,
            search=_measure_search(gallery, setup, report) if len(gallery) else None,
            cold=_cold(recognizer, gallery, images[0], setup, report) if cold else {},
        )


@contextmanager
def opened(setup: Setup, report: StepProgress) -> Iterator[Recognizer]:
    """Open a setup's recognizer and gallery; a synthetic gallery is created if missing."""
    path = setup.gallery
    if path is None:
        extractor, threads = open_bundle(setup.bundle).manifest.extractor, setup.threads or read_cpu().threads
        path = prepared_gallery(
            setup.keep, setup.gallery_size, extractor, seed=setup.seed, threads=threads, progress=report
        )
    with Recognizer.open(setup.bundle, path, **setup.inference) as recognizer:
        recognizer.calibration(wait=True)  # or it would be derived beside what is measured
        yield recognizer


def recognizing(
    recognizer: Recognizer, images: Sequence[bytes], objects: int, seen: deque[Recognition] | None = None
) -> Callable[[int], Mapping[str, float]]:
    """Return a task for `one_by_one` that recognizes the images in turn; answers are appended to `seen`.

    Each image is recognized with the detector's `objects` best boxes, whatever their scores.
    """
    scores = [_lowest_score(recognizer, image, objects) for image in images]

    def recognize(number: int) -> Mapping[str, float]:
        image = number % len(images)
        answer = recognizer.recognize(images[image], max_boxes=objects, detection_threshold=scores[image])
        if seen is not None:
            seen.append(answer)
        return {name: getattr(answer.stage_ms, name) for name in STAGES}

    return recognize


def _lowest_score(recognizer: Recognizer, image: bytes, objects: int) -> float:
    """Return the lowest score among an image's best boxes.

    As the threshold it keeps the detector from decoding more boxes than usual, as it would with 0.
    """
    scores = recognizer.detect(image, max_boxes=objects, detection_threshold=0.0).scores
    return min(float(scores[-1]), 1.0) if len(scores) else 0.0


def _looked_at(answer: Recognition) -> int:
    return len(answer.items) + sum(box.reason != "max_boxes" for box in answer.dropped)


def _throughput(task: Callable[[int], object], threads: int, seconds: float, report: StepProgress) -> tuple[int, float]:
    """Return the number of callers with the highest throughput, and that throughput."""
    tried = sorted({1, 2, threads})
    found = {}
    for number, callers in enumerate(tried):
        report("as many as possible", number, len(tried))
        found[callers] = as_many_as_possible(task, callers=callers, seconds=seconds)
    report("as many as possible", len(tried), len(tried))
    best = max(found, key=lambda callers: found[callers])
    return best, found[best]


def _measure_search(gallery: Gallery, setup: Setup, report: StepProgress) -> Search:
    """Measure the gallery's search alone, and compare it with exact search."""
    ids = np.array([entry.id for entry in gallery.items()], np.int64)
    info = gallery.info()
    if setup.gallery is None:
        queries = further_images(_QUERIES, len(ids), info.dim, setup.seed)
    else:
        queries = gallery.embeddings(np.random.default_rng(setup.seed).choice(ids, _QUERIES).tolist())
    answers: list[tuple[Match, ...]] = [()] * _QUERIES

    def search(number: int) -> Mapping[str, float]:
        (answers[number],) = gallery.search(queries[[number]], _NEAREST)
        return {}

    recording = one_by_one(search, count=_QUERIES, progress=lambda done, total: report("search", done, total))
    exact = _exact(gallery, ids, queries)
    first = np.mean([found[0].item_id == right[0] for found, right in zip(answers, exact, strict=True)])
    shared = [
        len({match.item_id for match in found} & set(right)) / len(right)
        for found, right in zip(answers, exact, strict=True)
    ]
    return Search(info.search, summarize(recording.total_ms), float(first), float(np.mean(shared)), _QUERIES)


def _exact(gallery: Gallery, ids: NDArray[np.int64], queries: Rows) -> list[list[int]]:
    """Return the ids of the items nearest to each query, by exact search over parts of the gallery."""
    nearest = min(_NEAREST, len(ids))
    best, _ = search_in_parts(queries, nearest, ids, lambda some: gallery.embeddings(some.tolist()), _PART)
    found: list[list[int]] = best.tolist()
    return found


def _cold(
    recognizer: Recognizer, gallery: Gallery, image: bytes, setup: Setup, report: StepProgress
) -> dict[str, ColdStart]:
    found = {}
    for number, (name, cached) in enumerate({"without cache": False, "with cache": True}.items()):
        report("fresh processes", number, 2)
        found[name] = cold_start(recognizer.bundle.folder, gallery.path, image, cached=cached, **setup.inference)
    report("fresh processes", 2, 2)
    return found
