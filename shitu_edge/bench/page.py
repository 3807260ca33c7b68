"""A result as one self-contained HTML file: facts, tables and plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from . import plots
from .report import Table, facts, sweep_tables, tables, verdict_lines
from .run import STAGES, Result
from .sweep import Axis
from .verdict import Verdict

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
table { border-collapse: collapse } th, td { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top }
td + td { font-variant-numeric: tabular-nums } tr + tr { border-top: 1px solid #e4e4e4 }
svg { width: 100%; max-width: 46rem; font: 12px system-ui, sans-serif }
.verdict { padding: .6rem 1rem; white-space: pre-wrap; background: #e8f4ea } .missed, .warning { background: #fbe9e7 }
.warning { padding: .3rem 1rem }
"""


def page(result: Result, verdict: Verdict | None, swept: Sequence[Axis]) -> str:
    """Return the HTML."""
    return "\n".join(_parts(result, verdict, swept))


def _parts(result: Result, verdict: Verdict | None, swept: Sequence[Axis]) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><meta charset="utf-8"><title>shitu-edge bench</title>'
    yield f"<style>{_STYLE}</style><h1>shitu-edge bench</h1>"
    if verdict:
        lines = escape("\n".join(verdict_lines(verdict)))
        yield f'<p class="verdict{"" if verdict.met else " missed"}">{lines}</p>'
    yield from (f'<p class="warning">{escape(warning)}</p>' for warning in result.environment.warnings())
    yield _facts(facts(result))
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
        yield from _table(table)
    yield "</html>\n"


def _facts(named: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in named.items())
    return f"<table>{rows}</table>"


def _table(table: Table) -> Iterator[str]:
    yield f"<h2>{escape(table.title)}</h2><table>"
    yield f"<tr>{''.join(f'<th>{escape(heading)}</th>' for heading in table.headings)}</tr>"
    for row in table.rows:
        yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
    yield "</table>"
