"""Metrics count what has happened, and parse as Prometheus' format."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.test_recognizer import BLUE, RED, scene

from .client import png
from .conftest import Serve, Serving

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"


def _read(serving: Serving) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return all samples by name and values of their labels."""
    text = serving.client.get("/metrics").content.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, tuple(sample.labels.values())): sample.value for sample in samples}


def test_metrics_count_requests_decisions_and_stages(serve: Serve) -> None:
    serving = serve()
    image = png(scene((1, 1, RED), (5, 5, BLUE)))
    answers = [serving.client.send("/v1/recognize", image).json for _ in range(3)]
    serving.client.send("/v1/recognize", b"garbage")
    found = _read(serving)
    for decision in ("accepted", "unknown"):
        expected = sum(item["decision"] == decision for answer in answers for item in answer["items"])
        assert found.get(("shitu_edge_decisions_total", (decision,)), 0) == expected
    assert any(item["decision"] == "accepted" for item in answers[0]["items"])
    assert found["shitu_edge_requests_total", ("/v1/recognize", "200")] == 3
    assert found["shitu_edge_requests_total", ("/v1/recognize", "422")] == 1
    for stage in ("decode", "detect", "extract", "search", "verify", "decide", "total"):
        assert found["shitu_edge_stage_seconds_count", (stage,)] == 3
    total_s = sum(answer["stage_ms"]["total"] for answer in answers) / 1000
    assert abs(found["shitu_edge_stage_seconds_sum", ("total",)] - total_s) < 1e-9
    dropped = [box["reason"] for answer in answers for box in answer["dropped"]]
    for reason in set(dropped):
        assert found["shitu_edge_dropped_boxes_total", (reason,)] == dropped.count(reason)


def test_metrics_show_the_present_state(serve: Serve) -> None:
    found = _read(serve())
    assert found["shitu_edge_ready", ()] == 1
    assert (found["shitu_edge_gallery_items", ()], found["shitu_edge_gallery_revision", ()]) == (2, 3)
    assert found["shitu_edge_queue_length", ()] == 0
    assert found["shitu_edge_resident_bytes", ()] > 10_000_000
    [info] = [labels for name, labels in found if name == "shitu_edge_info"]
    assert "tiny" in info


def test_the_page_names_every_metric(shared_server: Serving) -> None:
    text = shared_server.client.get("/metrics").content.decode()
    families = {family.name for family in text_string_to_metric_families(text)}
    page = PAGE.read_text(encoding="utf-8")
    assert len(families) > 15
    assert [name for name in families if f"`{name}" not in page] == []
