"""A result as one self-contained HTML file: facts, tables and plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from ..drawing import plots
from ..drawing.page import document, facts_html, table_html
from .report import facts, sweep_tables, tables, verdict_lines
from .run import STAGES, Result
from .sweep import Axis
from .verdict import Verdict


def page(result: Result, verdict: Verdict | None, swept: Sequence[Axis]) -> str:
    """Return the HTML."""
    return document("shitu-edge bench", _parts(result, verdict, swept))


def _parts(result: Result, verdict: Verdict | None, swept: Sequence[Axis]) -> Iterator[str]:
    if verdict:
        lines = escape("\n".join(verdict_lines(verdict)))
        yield f'<p class="verdict{"" if verdict.met else " missed"}">{lines}</p>'
    yield from (f'<p class="warning">{escape(warning)}</p>' for warning in result.environment.warnings())
    yield facts_html(facts(result))
    summaries = result.summaries()
    yield "<h2>Where the time goes</h2>"
    bars = {
        quantile: {name: getattr(summaries[name], quantile).value for name in STAGES} for quantile in ("p50", "p95")
    }
    yield plots.stacked_bars(bars, "ms")
    yield "<h2>How long an image takes</h2>"
    total = summaries["total"]
    marks = {"p50": total.p50.value, "p95": total.p95.value, "p99": total.p99.value}
    yield plots.distribution(result.latency.total_ms, marks | ({"budget": verdict.budget_ms} if verdict else {}), "ms")
    for axis in swept:
        ran = [(outcome.what, outcome.ms) for outcome in axis.outcomes if outcome.ms]
        if len(ran) > 1:
            yield f"<h2>By {escape(axis.name)}</h2>"
            quantiles = {"p50": [ms.p50.value for _, ms in ran], "p95": [ms.p95.value for _, ms in ran]}
            yield plots.lines([what for what, _ in ran], quantiles, "ms")
    for table in [*tables(result), *sweep_tables(swept)]:
        yield from table_html(table)
