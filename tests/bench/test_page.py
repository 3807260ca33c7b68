"""The page of a result: well-formed, complete, and alone."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from shitu_edge.bench.page import page
from shitu_edge.bench.run import Result
from shitu_edge.bench.statistics import summarize
from shitu_edge.bench.sweep import Axis
from shitu_edge.bench.trial import Outcome
from shitu_edge.bench.verdict import judge
from shitu_edge.drawing import plots


class Balance(HTMLParser):
    """Fails where an element ends that has not begun last."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "rect", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def html(result: Result) -> str:
    """A page with a sweep in it, one of whose outcomes failed."""
    outcomes = tuple(
        Outcome(str(size), result.setup, summarize([size / 100, size / 50]), dict.fromkeys(result.summaries(), 1.0))
        for size in (1000, 10_000)
    )
    refused = Outcome("<b>", result.setup, refused="nothing & nobody")
    return page(result, judge(result, 60_000), [Axis("gallery", (*outcomes, refused))])


def test_the_page_is_whole_and_fetches_nothing(html: str) -> None:
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    assert not re.search(r"https?:|src=|href=|url\(|<script", html)
    assert "within the budget of 60000 ms" in html
    assert "&lt;b&gt;" in html
    assert "nothing &amp; nobody" in html


def test_every_plot_is_well_formed_and_inside_its_frame(html: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) == 3
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        _, _, wide, high = map(float, root.attrib["viewBox"].split())
        for rect in root.iter("rect"):
            x, y, w, h = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
            assert -0.1 <= x <= x + w <= wide + 0.1
            assert -0.1 <= y <= y + h <= high + 0.1


def test_bars_are_as_long_as_their_values() -> None:
    root = ElementTree.fromstring(plots.stacked_bars({"a": {"x": 1.0, "y": 3.0}, "b": {"x": 2.0, "y": 0.0}}, "ms"))
    bars = [float(rect.attrib["width"]) for rect in root.iter("rect") if rect.attrib["height"] == "22.0"]
    assert bars == pytest.approx([bars[0], 3 * bars[0], 2 * bars[0], 0], abs=0.2)


def test_a_histogram_holds_every_sample_that_is_not_beyond_its_end() -> None:
    drawn = plots.distribution([1.0] * 5 + [2.0] * 3 + [1000.0], {"p50": 1.0, "p99": 2.0}, "ms")
    counts = [int(count) for count in re.findall(r"ms: (\d+)<", drawn)]
    assert sum(counts) == 8
    assert "1 longer ones are not shown" in drawn


def test_equal_samples_can_be_drawn(result: Result) -> None:
    same = replace(result, latency=replace(result.latency, total_ms=(5.0,) * 12))
    assert "<svg" in page(same, None, [])
