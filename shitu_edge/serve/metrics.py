"""Counters, gauges and histograms for Prometheus, at `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)

from ..results import CalibrationState, Recognition, StageTimes

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_STAGES = tuple(stage.name for stage in fields(StageTimes))
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.35, 0.5, 1, 2, 5)


class Metrics:
    """Counters, gauges and histograms of one server, in a registry of its own. Safe from several threads."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # would be a second series per counter
        self._registry = registry = CollectorRegistry()
        name = "shitu_edge_{}".format
        stages = Histogram(
            name("stage_seconds"), "Time of a stage of recognition", ["stage"], buckets=_BUCKETS, registry=registry
        )
        self._stages = {stage: stages.labels(stage) for stage in _STAGES}
        self._decisions = Counter(name("decisions"), "Recognized items", ["decision"], registry=registry)
        self._boxes = Counter(name("dropped_boxes"), "Boxes that are not an item", ["reason"], registry=registry)
        self.requests = Counter(
            name("requests"),
            "Answered requests; status 499: the caller had gone",
            ["route", "status"],
            registry=registry,
        )
        seconds = name("request_seconds")
        self.seconds = Histogram(seconds, "Time of a request", ["route"], buckets=_BUCKETS, registry=registry)
        self.waited = Histogram(name("queue_seconds"), "Time in the queue", buckets=_BUCKETS, registry=registry)
        self.refused = Counter(name("refused"), "Requests refused with 503", ["reason"], registry=registry)
        self.retries = Counter(
            name("engine_retries"), "Calls answered by the other engine", ["engine"], registry=registry
        )
        self.engine_errors = Counter(name("engine_errors"), "Calls that failed on every engine", registry=registry)
        self.reloads = Counter(
            name("reloads"), "Reloads of bundle, gallery and configuration", ["outcome"], registry=registry
        )
        self.frames = Counter(name("stream_frames"), "Frames of streams", ["outcome"], registry=registry)
        self.events = Counter(name("stream_events"), "Events of streams", ["kind"], registry=registry)
        self.slow_readers = Counter(name("slow_readers"), "Readers of events dropped as too slow", registry=registry)
        self._ready = self._gauge("ready", "1: a golden image was recognized right")
        self._revision = self._gauge("gallery_revision", "Revision of the gallery")
        self._local_revision = self._gauge("local_revision", "Revision of the local layer; 0 without one")
        self._items = self._gauge("gallery_items", "Items of gallery and local layer")
        self._calibration = Gauge(name("calibration"), "1 for the present state", ["state"], registry=registry)
        self._info = Info("shitu_edge", "What answers", registry=registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"shitu_edge_{name}", text, registry=self._registry)

    def follow(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge that asks for its value whenever it is read."""
        self._gauge(name, text).set_function(value)

    def recognized(self, answer: Recognition) -> None:
        """Count an answer: its stages, decisions and dropped boxes."""
        for stage, observed in self._stages.items():
            observed.observe(getattr(answer.stage_ms, stage) / 1000)
        self.decided(item.decision for item in answer.items)
        for box in answer.dropped:
            self._boxes.labels(box.reason).inc()

    def decided(self, decisions: Iterable[str]) -> None:
        """Count decisions."""
        for decision in decisions:
            self._decisions.labels(decision).inc()

    def state(self, *, ready: bool, items: int, revision: int, local_revision: int, calibration: str | None) -> None:
        """Set what the gallery and the check of the golden image say now."""
        self._ready.set(ready)
        self._items.set(items)
        self._revision.set(revision)
        self._local_revision.set(local_revision)
        for state in get_args(CalibrationState):
            self._calibration.labels(state).set(state == calibration)

    def made_by(self, **facts: str) -> None:
        """Set version, bundle and engine."""
        self._info.info(facts)

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        content: bytes = generate_latest(self._registry)
        return content
